"""Load one guard with many callers at once and compare every answer with what a single caller gets.

Run ``python -m tests.load --callers 64 --checks 10000`` from the root of the repository: the checks are made in sum,
half by threads and half in an event loop, on fakes and then (``--model-checks``) with the bundled models. It prints
what it measured and exits with 1 where an answer was wrong or an error came.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import anyio

from guardrail.doors import Streaming
from guardrail.load import Guard
from guardrail.policy import Policy
from guardrail.result import Result
from tests.guards import guard, same

TEXTS = (
    "The meeting is at nine in room 204. Please bring the figures for March.",
    "The idiot spoke first. Then the chairman left the room.",
    "A calm day. The ｉｄｉｏｔ spoke to us. Bye then.",
    "Die Besprechung beginnt morgen um neun Uhr im großen Saal.",
    "Straße, naïve, café, ½ and ™ stay as they are. 👩‍👩‍👧‍👦",
    "One plain sentence after another. " * 20,
    "",
)
MODEL_TEXTS = (
    "The bridge was opened on Tuesday by the mayor, who thanked the engineers.",
    "Ramadan is the ninth month of the Islamic calendar. Many Muslims fast from dawn to sunset.",
    "Only an idiot forgets a password. Click on the link and choose a new one.",
)


@dataclass(slots=True)
class Report:
    """What a run measured, in seconds."""

    name: str
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return what a person wants to know."""
        cuts = statistics.quantiles(self.seconds, n=100)
        return (
            f"{self.name}: {len(self.seconds)} checks, {len(self.errors)} errors, {len(self.wrong)} wrong,"
            f" p50 {1000 * cuts[49]:.1f} ms, p99 {1000 * cuts[98]:.1f} ms"
        )


class Run:
    """Give callers texts in turn and compare what they get with what a single caller got before."""

    def __init__(self, name: str, door: Streaming, texts: Sequence[str], checks: int) -> None:
        self.door, self.report = door, Report(name)
        self._wanted = [(text, same(door.check(text))) for text in texts]
        self._numbers, self._checks = count(), checks

    def turns(self) -> Iterator[tuple[str, Result]]:
        """Yield texts with what must come of them until all checks are made."""
        # Taking the next number is one step of the interpreter.
        while (number := next(self._numbers)) < self._checks:
            yield self._wanted[number % len(self._wanted)]

    def note(self, begun: float, text: str, wanted: Result, given: Result | Exception) -> None:
        """Remember an answer."""
        self.report.seconds.append(time.perf_counter() - begun)
        if isinstance(given, Exception):
            self.report.errors.append(type(given).__name__)
        elif given.error is not None:
            self.report.errors.append(given.error)
        elif same(given) != wanted:
            self.report.wrong.append(f"text of {len(text)} characters")

    def caller(self) -> None:
        """Check texts until none is left."""
        for text, wanted in self.turns():
            begun = time.perf_counter()
            try:
                given: Result | Exception = self.door.check(text)
            except Exception as error:
                given = error
            self.note(begun, text, wanted, given)

    async def async_caller(self) -> None:
        """Do the same in an event loop."""
        for text, wanted in self.turns():
            begun = time.perf_counter()
            try:
                given: Result | Exception = await self.door.acheck(text)
            except Exception as error:
                given = error
            self.note(begun, text, wanted, given)


def in_threads(run: Run, callers: int) -> Report:
    """Let threads call."""
    threads = [threading.Thread(target=run.caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return run.report


def in_a_loop(run: Run, callers: int) -> Report:
    """Let tasks of one event loop call."""

    async def call() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(callers):
                tasks.start_soon(run.async_caller)

    anyio.run(call)
    return run.report


def load(callers: int, checks: int, model_checks: int) -> list[Report]:
    """Make the checks and return what came of them."""
    policy = Policy(timeout_ms=None, max_running=4, max_queued=callers)
    doors: list[tuple[str, Streaming, Sequence[str], int]] = [("fakes", guard(policy), TEXTS, checks)]
    if model_checks:
        doors.append(("bundled models", Guard(policy), MODEL_TEXTS, model_checks))
    reports = []
    for name, door, texts, number in doors:
        reports.append(in_threads(Run(f"{name}, threads", door, texts, number - number // 2), callers))
        reports.append(in_a_loop(Run(f"{name}, event loop", door, texts, number // 2), callers))
    return reports


def main() -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--checks", type=int, default=10_000)
    parser.add_argument("--model-checks", type=int, default=500)
    wanted = parser.parse_args()
    reports = load(wanted.callers, wanted.checks, wanted.model_checks)
    print(*(report.line() for report in reports), sep="\n")
    print(*sorted({said for report in reports for said in (*report.errors, *report.wrong)})[:10], sep="\n")
    return 1 if any(report.errors or report.wrong for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
