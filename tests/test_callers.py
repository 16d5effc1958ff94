"""Test many callers at once and the event loop's freedom on short runs, and that the script sees what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import anyio
import pytest

from guardrail.doors import Streaming
from guardrail.load import Guard
from guardrail.policy import Policy
from guardrail.result import Action, Result
from tests.fakes import WordDetector
from tests.guards import guard, pause
from tests.load import TEXTS, Run, in_a_loop, in_threads, load
from tests.streams import later

blockbuster = pytest.importorskip("blockbuster", reason="needs the [dev] extra")


def test_sixty_four_callers_get_right_answers() -> None:
    reports = load(callers=64, checks=600, model_checks=0)
    assert [len(report.seconds) for report in reports] == [300, 300]
    assert [(report.errors, report.wrong) for report in reports] == [([], []), ([], [])]


@pytest.mark.model
@pytest.mark.slow
def test_callers_share_the_bundled_models() -> None:
    reports = load(callers=8, checks=0, model_checks=4)[2:]
    assert [(len(report.seconds), report.errors, report.wrong) for report in reports] == [(2, [], [])] * 2


class Forgetful(Streaming):
    """Gives the second text the answer of another one, and fails on the third."""

    def check(self, text: str) -> Result:
        if text == TEXTS[2] and self.spoiled:
            raise RuntimeError
        found = super().check(text)
        return replace(found, text="other") if text == TEXTS[1] and self.spoiled else found

    spoiled = False


def test_a_wrong_answer_and_an_error_are_seen() -> None:
    door = Forgetful(Policy(max_queued=64), WordDetector(), guard()._rewriter)
    run = Run("spoiled", door, TEXTS[:3], 30)
    door.spoiled = True
    report = in_threads(run, 4)
    assert (len(report.wrong), report.errors) == (10, ["RuntimeError"] * 10)
    assert "30 checks, 10 errors, 10 wrong" in report.line()


def test_refused_calls_are_errors() -> None:
    door = guard(Policy(max_running=1, max_queued=0), detector=WordDetector(before=lambda: pause(0.01)))
    report = in_a_loop(Run("small", door, TEXTS[:1], 20), 8)
    assert any(error.startswith("OverloadedError") for error in report.errors)


@pytest.fixture
def strict() -> Iterator[None]:
    # Blocks every call that would block an event loop: files, sockets, locks, sleep.
    with blockbuster.blockbuster_ctx(["guardrail", "tests"]):
        yield


async def every_async_door(door: Streaming, text: str) -> None:
    result = await door.acheck(text)
    stream = door.astream(later([text[at : at + 9] for at in range(0, len(text), 9)]))
    shown = "".join([piece async for piece in stream])
    assert (shown, stream.result is not None) == (result.text, True)


@pytest.mark.usefixtures("strict")
def test_the_event_loop_is_never_blocked() -> None:
    anyio.run(every_async_door, guard(detector=WordDetector(before=lambda: pause(0.001))), TEXTS[1])


@pytest.mark.model
@pytest.mark.slow
def test_loading_and_running_the_models_blocks_no_event_loop() -> None:
    # Loads both models and the language model inside the loop's lifetime.
    with blockbuster.blockbuster_ctx(["guardrail"]):
        anyio.run(every_async_door, Guard(Policy(action=Action.MASK, timeout_ms=None)), TEXTS[3] + " The idiot spoke.")


def test_what_blocks_is_seen() -> None:
    class Blocking(Streaming):
        async def acheck(self, text: str) -> Result:
            pause(0.001)
            return self.check(text)

    door = Blocking(Policy(), WordDetector(before=lambda: pause(0.001)), guard()._rewriter)
    with blockbuster.blockbuster_ctx(["guardrail", "tests"]), pytest.raises(blockbuster.BlockingError):
        anyio.run(door.acheck, TEXTS[1])
