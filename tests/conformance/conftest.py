"""Print at the end how many cases each door has passed."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from tests.cli import no_colour

__all__ = ["no_colour"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table of doors, if their cases were run."""
    passed, run, seconds = Counter[str](), Counter[str](), defaultdict[str, float](float)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            door = dict(getattr(report, "user_properties", ())).get("door")
            if door is not None and report.when == "call":
                run[door] += 1
                passed[door] += outcome == "passed"
                seconds[door] += report.duration
    if run:
        terminalreporter.section("conformance: cases that each door passed")
        for door in sorted(run):
            terminalreporter.write_line(f"{door:<26} {passed[door]:>3} of {run[door]:<3} {seconds[door]:6.1f} s")
