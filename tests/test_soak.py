"""Test the soak on a short run with the bundled models, and that it sees what it is there to see."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from guardrail.server.app import create_app
from guardrail.server.settings import Settings
from tests.guards import guard
from tests.servers import served
from tests.soak import TEXTS, Report, drive, expected, soak


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.enable_socket
def test_sixteen_callers_get_right_answers() -> None:
    # One text that is rewritten, the others only judged: what is asked last is waited for.
    report = soak(seconds=8.0, callers=16, texts=(*TEXTS[:2], TEXTS[3], *TEXTS[6:]))
    assert (report.errors, report.wrong) == ([], [])
    assert report.requests >= 16
    assert report.memory[-1][1] > 10


@pytest.mark.enable_socket
def test_a_wrong_answer_and_an_error_are_seen() -> None:
    door = guard()
    table = expected(door, ["The idiot spoke.", "Fine."])
    with served(create_app(door)) as address:
        right = asyncio.run(drive(address, table, callers=4, seconds=0.5))
        spoiled = {("check", "Fine."): {"action": "block"}}
        wrong = asyncio.run(drive(address, spoiled, callers=4, seconds=0.5))
    assert (right.errors, right.wrong) == ([], [])
    assert right.requests >= 4
    assert set(wrong.wrong) == {"check: text of 5 characters"}
    with served(create_app(door, Settings(max_body=10))) as address:
        refused = asyncio.run(drive(address, table, callers=2, seconds=0.2))
    assert len(refused.errors) == refused.requests > 0
    assert "413" in "\n".join(refused.lines())


def test_growth_is_what_comes_after_the_start() -> None:
    flat = Report(memory=[(float(at), 100.0 if at < 10 else 180.0) for at in range(60)])
    assert flat.growth() == 0.0
    rising = replace(flat, memory=[(float(at), 100.0 + at) for at in range(60)])
    assert rising.growth() > 24.0
