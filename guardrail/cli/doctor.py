"""The command ``guardrail doctor``: say what is wrong with this machine and how to mend it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.door import CLEAN, FAILED
from guardrail.cli.output import print_json
from guardrail.config import DETECTOR, REWRITER, Config
from guardrail.errors import GuardrailError

if TYPE_CHECKING:
    from guardrail.cli.machine import Check
    from guardrail.guard import Pipeline

PLAIN = "The meeting is at nine."
ROUGH = "You are a worthless idiot."
_ROUNDS = 5
_INSTALL = "guardrail models install SOURCE --sha256 HEX, or pip install --force-reinstall guardrail-sdk"
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as one JSON object.")] = False,
) -> None:
    """Look at this machine, the models and one judgement. Exit code: 0, or 2 if a check fails."""
    from guardrail.cli.machine import Status

    checks = [*_machine(), *_models(), _judgement(context)]
    well = all(check.status is not Status.FAIL for check in checks)
    if as_json:
        print_json({"ok": well, "checks": checks})
    else:
        _print(checks)
    raise typer.Exit(CLEAN if well else FAILED)


def _machine() -> list[Check]:
    from guardrail.cli import machine
    from guardrail.models.store import cache_folder

    def cache() -> Check:
        return machine.cache(cache_folder())

    looks = (machine.python, machine.onnxruntime, machine.runtimes, machine.import_name, machine.cpu)
    return machine.every((*looks, machine.memory, machine.telemetry, machine.network, cache))


def _models() -> list[Check]:
    from guardrail.cli.machine import Check, Status
    from guardrail.cli.models import installed
    from guardrail.load import load_detector, load_rewriter

    checks = []
    for one in installed(verify=True):
        said = one.error or f"{one.version}, {one.size / 1e6:.1f} MB, every file verified"
        checks.append(
            Check(
                f"bundle {one.name}",
                Status.FAIL if one.error else Status.OK,
                said=said,
                remedy=_INSTALL if one.error else "",
            )
        )
    for name, part, load in (("detector", DETECTOR, load_detector), ("rewriter", REWRITER, load_rewriter)):
        try:
            checks.append(Check(name, Status.OK, said=load(part).name))
        except GuardrailError as error:
            checks.append(Check(name, Status.FAIL, said=str(error), remedy=_INSTALL))
    return checks


def _judgement(context: typer.Context) -> Check:
    from guardrail.cli.machine import Check, Status
    from guardrail.cli.parts import guard_for

    name = "judgement"
    try:
        begun = time.perf_counter()
        guard = guard_for(context, Config(), detect_only=True)
        plain = guard.detect(PLAIN)
        first = (time.perf_counter() - begun) * 1000
        rough = guard.detect(ROUGH)
    except Exception as error:
        said = str(error) if isinstance(error, GuardrailError) else f"failed with {type(error).__name__}"
        return Check(name, Status.FAIL, said=said, remedy="mend what failed above, then run guardrail doctor again")
    said = f"first text {first:.0f} ms with loading, then {_milliseconds(guard):.1f} ms, by {plain.model}"
    if plain.flagged or not rough.flagged:
        said = f"{plain.model} {'flags a plain' if plain.flagged else 'passes a rough'} sentence"
        return Check(
            name, Status.WARN, said=said, remedy="see the cpu line: int8 differs between CPUs; report both lines"
        )
    return Check(name, Status.OK, said=said)


def _milliseconds(guard: Pipeline) -> float:
    begun = time.perf_counter()
    for _ in range(_ROUNDS):
        guard.detect(PLAIN)
    return (time.perf_counter() - begun) / _ROUNDS * 1000


def _print(checks: list[Check]) -> None:
    from rich.text import Text

    from guardrail.cli.screen import Screen
    from guardrail.cli.texts import visible

    console = Screen()
    width = max(len(check.name) for check in checks)
    for check in checks:
        line = Text().append(f"{check.status:<5}", style=f"bold {_COLOURS[check.status]}")
        line.append(visible(f"{check.name:<{width}}  {check.said}"))
        console.print(line)
        if check.remedy:
            console.print(Text(f"{'':<{width + 7}}mend: {visible(check.remedy)}"))
