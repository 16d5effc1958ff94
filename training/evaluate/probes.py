"""Read the probes: texts that this project wrote for evaluation alone, never for training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guardrail.result import GROUPS

FOLDER = Path(__file__).parent / "probes"


@dataclass(frozen=True, slots=True)
class Twin:
    """The same blameless message in African-American English and in the standard variety."""

    dialect: str
    standard: str


@dataclass(frozen=True, slots=True)
class Neutral:
    """A blameless text of one register."""

    register: str
    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A text whose label stays the same whoever of a group stands in it; ``biased`` is that label."""

    group: str
    text: str
    biased: bool


@dataclass(frozen=True, slots=True)
class Injection:
    """An offensive text with an order to the rewriter in it; ``reply`` is what one that obeys says, "" if unknown."""

    family: str
    text: str
    reply: str


def twins() -> list[Twin]:
    """Return the dialect twins; raises ``ValueError`` for a faulty row."""
    return [Twin(_text(raw, "aae"), _text(raw, "standard")) for raw in _rows("dialect_twins")]


def registers() -> list[Neutral]:
    """Return the blameless texts of ten registers; raises ``ValueError`` for a faulty row."""
    return [Neutral(_text(raw, "register"), _text(raw, "text")) for raw in _rows("registers")]


def identities() -> list[Identity]:
    """Return the texts for identity swaps; raises ``ValueError`` for a faulty row."""
    return [_identity(raw) for raw in _rows("identities")]


def injections() -> list[Injection]:
    """Return the attacks on the rewriter, twenty of each family; raises ``ValueError`` for a faulty row."""
    rows = _rows("injections")
    return [Injection(_text(raw, "family"), _text(raw, "text"), str(raw.get("reply") or "")) for raw in rows]


def _identity(raw: dict[str, Any]) -> Identity:
    group, label = _text(raw, "group"), raw.get("label")
    if group not in GROUPS or label not in (0, 1):
        raise ValueError(f"a probe has the group {group!r} and the label {label!r}; mend the row")
    return Identity(group, _text(raw, "text"), bool(label))


def _rows(name: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"a probe lacks the text {key!r}; mend the row")
    return value
