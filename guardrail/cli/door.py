"""End every command with one of the exit codes 0, 1 and 2, and every failure with one line that holds no user text."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from guardrail.cli.texts import visible
from guardrail.errors import GuardrailError

CLEAN, FLAGGED, FAILED, INTERRUPTED = 0, 1, 2, 130


class Door(TyperGroup):
    """The group of all commands; click's own messages repeat what was typed, and that may be the text to check."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read the options of the group; ends as ``invoke`` does."""
        return _guarded(super().make_context, *args, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; raises ``typer.Exit`` with code 2 after telling what failed."""
        return _guarded(super().invoke, ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command by its name."""
        if args[0] not in self.commands:
            close = difflib.get_close_matches(args[0], self.commands, 1)
            remedy = f"did you mean {close[0]}?" if close else f"the commands are {', '.join(self.commands)}"
            raise GuardrailError(f"there is no such command; {remedy}; to check a text: guardrail check TEXT")
        return super().resolve_command(ctx, args)


def tell(message: str) -> None:
    """Print one line to stderr."""
    typer.echo(f"guardrail: {visible(message)}", err=True)


def _guarded(function: Callable[..., object], *args: object, **more: object) -> object:
    try:
        return function(*args, **more)
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        tell(_said(error))
        raise typer.Exit(FAILED) from None


def _said(error: Exception) -> str:
    if isinstance(error, GuardrailError):
        return str(error)
    if type(error).__name__ == "NoSuchOption":
        close = sorted(getattr(error, "possibilities", None) or ())
        remedy = f"did you mean {close[0]}?" if close else "--help lists the options"
        return f"unknown option; {remedy}; put -- before a text that begins with a dash"
    if hasattr(error, "format_message"):
        return str(error.format_message())
    if isinstance(error, OSError):
        return f"{error.filename or 'the output'} cannot be used: {error.strerror or type(error).__name__}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"unexpected {type(error).__name__} at {where}; run guardrail doctor; if it finds nothing, report this"
