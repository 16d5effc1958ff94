"""Print values as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import typer

from guardrail.cli.texts import encodable


def print_json(value: object) -> None:
    """Print a dataclass, mapping or sequence as one line of ASCII JSON; a lone surrogate comes out as U+FFFD."""
    typer.echo(json.dumps(_jsonable(value)))


def _jsonable(value: object) -> object:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _jsonable(getattr(value, field.name)) for field in fields(value)}
    return value
