"""Print values as JSON."""

from __future__ import annotations

import typer

from guardrail.wire import to_json


def print_json(value: object) -> None:
    """Print a dataclass, mapping or sequence as one line of ASCII JSON; a lone surrogate comes out as U+FFFD."""
    typer.echo(to_json(value))
