"""The command line: ``guardrail check``, ``models``, ``doctor`` and ``bench``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli import audit, bench, calibrate, check, doctor, eval, models, serve, train
from guardrail.cli.door import Door

if TYPE_CHECKING:
    from guardrail.cli.parts import GuardFactory

app = typer.Typer(
    name="guardrail",
    cls=Door,
    help="Find biased text in LLM output and rewrite it, offline.",
    epilog="Exit codes: 0 clean, 1 flagged, 2 not judged or nothing done, with the reason on stderr.",
    add_completion=False,
    # Rich help takes longer to import than everything else that --help does.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command(context_settings={"allow_extra_args": True})(check.check)
app.add_typer(models.app, name="models")
app.command()(doctor.doctor)
app.command()(bench.bench)
app.command()(serve.serve)
app.command()(audit.audit)
app.add_typer(eval.app, name="eval")
app.add_typer(train.app, name="train")
app.command()(calibrate.calibrate)


def main(factory: GuardFactory | None = None) -> None:
    """Run the command line of this process and exit with its code; ``factory`` builds guards of other parts."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    try:
        app(obj=factory)
    finally:
        _flush()


def _version(wanted: bool) -> None:
    if wanted:
        from guardrail import __version__

        typer.echo(f"guardrail {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def _flush() -> None:
    """Write out what is left, quietly where the reader has gone (``guardrail check … | head -1``)."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
