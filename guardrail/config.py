"""Read a policy and the names of models from a TOML file; unknown keys are refused."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from guardrail.errors import ConfigError
from guardrail.policy import Policy

DETECTOR = "detector-fast"
REWRITER = "sr"

S = TypeVar("S", Policy, "Models")


@dataclass(frozen=True, slots=True)
class Models:
    """Which models a guard uses: names of installed bundles or folders; ``threads`` per model, 1 to 64."""

    detector: str = DETECTOR
    rewriter: str = REWRITER
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Config:
    """A parsed configuration file."""

    policy: Policy = field(default_factory=Policy)
    models: Models = field(default_factory=Models)


def read_config(path: str | os.PathLike[str]) -> Config:
    """Read ``[policy]`` and ``[models]`` from a TOML file.

    Raises:
        ConfigError: the file is missing or no TOML, a key is unknown, or a value is out of range; says which.
    """
    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"configuration file {os.fspath(path)!r} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"configuration file {os.fspath(path)!r} is not valid TOML: {error}") from error
    _refuse_unknown("", data, ["policy", "models"])
    models = _section(Models, "models", data.get("models", {}))
    _check(models)
    return Config(_section(Policy, "policy", data.get("policy", {})), models)


def _check(models: Models) -> None:
    for name in ("detector", "rewriter"):
        if not isinstance(getattr(models, name), str):
            raise ConfigError(f"models.{name} = {getattr(models, name)!r} must be the name or folder of a bundle")
    threads: object = models.threads
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= 64:
        raise ConfigError(f"models.threads = {threads!r} must be a whole number from 1 to 64")


def _section(kind: type[S], name: str, table: object) -> S:
    if not isinstance(table, Mapping):
        raise ConfigError(f"[{name}] must be a table of settings")
    _refuse_unknown(f"{name}.", table, [f.name for f in fields(kind)])
    return kind(**table)


def _refuse_unknown(prefix: str, table: Mapping[str, Any], known: list[str]) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            remedy = f"did you mean {prefix}{close[0]}?" if close else f"the keys are {', '.join(known)}"
            raise ConfigError(f"unknown key {prefix}{key}; {remedy}")
