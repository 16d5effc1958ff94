"""The command ``guardrail check``: judge a text or a file of them, show what was found, exit with the verdict."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.batch_plan import Batch, EngineName
from guardrail.cli.door import CLEAN, FAILED, FLAGGED, tell
from guardrail.cli.output import print_json
from guardrail.cli.texts import read_text
from guardrail.config import Config, read_config
from guardrail.errors import GuardrailBlocked, GuardrailError
from guardrail.result import Action, Result

if TYPE_CHECKING:
    from guardrail.guard import Pipeline

_TOGETHER = (
    "--input and --output go together, without a text and without --detect-only (a policy with action = "
    '"flag" changes nothing either)'
)


def check(
    context: typer.Context,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT|FILE|-]", help="A text, an existing file, or - for stdin.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    policy: Annotated[str, typer.Option(metavar="FILE", help="TOML file with [policy] and [models].")] = "",
    detect_only: Annotated[bool, typer.Option("--detect-only", help="Judge and change nothing.")] = False,
    as_text: Annotated[
        bool, typer.Option("--text", help="Take the argument as text, even if a file has that name.")
    ] = False,
    as_file: Annotated[bool, typer.Option("--file", help="Take the argument as the path of a file.")] = False,
    rows: Annotated[
        Path | None, typer.Option("--input", metavar="FILE", help="Judge the rows of a .parquet, .jsonl or .csv file.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the judged rows go; ends alike.")] = None,
    field: Annotated[str, typer.Option(help="Column or key of --input that holds the texts.")] = "text",
    keep: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Column to copy to the output; may be repeated.")
    ] = None,
    engine: Annotated[EngineName, typer.Option(help="Judge rows in this process or on Ray.")] = EngineName.LOCAL,
    workers: Annotated[int, typer.Option(min=1, help="Threads, or actors of Ray, that judge rows.")] = 1,
    chunk: Annotated[int, typer.Option(min=1, help="Rows that a killed run may lose.")] = 500,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
) -> None:
    """Judge a text, or every row of a file, and rewrite what is biased. Exit code: 0 clean, 1 flagged, 2 not judged."""
    config = read_config(policy) if policy else Config()
    if rows is not None or output is not None:
        if rows is None or output is None or text is not None or detect_only:
            raise GuardrailError(_TOGETHER)
        kept = tuple(dict.fromkeys(keep or ()))
        plan = Batch(rows, output, field=field, keep=kept, engine=engine, workers=workers, chunk=chunk, resume=resume)
        from guardrail.cli.batch import run_batch

        raise typer.Exit(run_batch(context, config, plan, as_json=as_json))
    if text is None:
        raise GuardrailError("check takes a text, the path of a file, or - for stdin; or --input and --output")
    if context.args:
        raise GuardrailError(f"check takes one text and got {1 + len(context.args)} arguments; put the text in quotes")
    wanted = read_text(text, as_text=as_text, as_file=as_file, max_chars=config.policy.max_chars)
    from guardrail.cli.parts import guard_for

    result = _judged(guard_for(context, config, detect_only=detect_only), wanted, detect_only)
    # The verdict holds even if nobody reads to the end.
    with suppress(BrokenPipeError):
        _shown(wanted, result, as_json)
    raise typer.Exit(_exit_code(result))


def _shown(text: str, result: Result, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    from guardrail.cli.show import print_result

    print_result(text, result)


def _judged(guard: Pipeline, text: str, detect_only: bool) -> Result:
    if not detect_only:
        try:
            return guard.check(text)
        except GuardrailBlocked as blocked:
            return blocked.result
    begun = time.perf_counter()
    found = guard.detect(text)
    return Result(
        Action.FLAG if found.flagged else Action.ALLOW,
        text,
        flagged=found.flagged,
        scores=found.scores,
        groups=found.groups,
        findings=found.findings,
        coverage=found.coverage,
        reason="detected only" if found.flagged else "nothing flagged",
        model=found.model,
        latency_ms=(time.perf_counter() - begun) * 1000,
    )


def _exit_code(result: Result) -> int:
    if result.error is not None:
        tell(result.error)
    if result.error is not None and not result.flagged:
        return FAILED
    return CLEAN if result.action is Action.ALLOW else FLAGGED
