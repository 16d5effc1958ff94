"""Test that a deadline and a cancellation stop a detector while its network runs."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from guardrail._runtime import Deadline
from guardrail.detect.onnx import OnnxDetector
from guardrail.errors import DeadlineError
from guardrail.models.store import find
from tests.guards import WAIT

pytestmark = pytest.mark.model

TEXT = "The meeting is at nine."


class Endless:
    """A session that runs until it is told to stop, as onnxruntime looks at ``terminate`` between two nodes."""

    def __init__(self) -> None:
        self.inside = threading.Event()

    def run(self, outputs: Any, feed: Any, options: Any) -> None:
        self.inside.set()
        for _ in range(int(WAIT * 1000)):
            if options.terminate:
                raise RuntimeError("terminated")
            threading.Event().wait(0.001)
        pytest.fail("nobody stopped the run")


@pytest.fixture
def detector() -> OnnxDetector:
    found = OnnxDetector(find("detector-fast"))
    found.load()
    return found


def endless(detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch) -> Endless:
    session, loaded = Endless(), detector._loaded.get()
    monkeypatch.setattr(detector._loaded, "_value", replace(loaded, session=session))
    return session


def test_a_deadline_cuts_a_run(detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    endless(detector, monkeypatch)
    with pytest.raises(DeadlineError, match="time budget of 0.2 s"):
        detector.score([TEXT], Deadline(0.2))
    monkeypatch.undo()
    assert len(detector.score([TEXT], Deadline())) == 1


@pytest.mark.parametrize("seconds", [None, 3600.0])
def test_a_cancellation_cuts_a_run(
    detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch, seconds: float | None
) -> None:
    session, deadline, caught = endless(detector, monkeypatch), Deadline(seconds), list[Exception]()

    def work() -> None:
        try:
            detector.score([TEXT], deadline)
        except DeadlineError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert session.inside.wait(WAIT)
    deadline.cancel()
    thread.join(WAIT)
    assert [str(error) for error in caught] == ["the call was cancelled"]


def test_nothing_to_score_starts_no_timer(detector: OnnxDetector) -> None:
    before = threading.active_count()
    assert detector.score([], Deadline(3600)) == []
    assert threading.active_count() == before
