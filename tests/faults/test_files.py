"""Test faults in reading and running the bundled detector: the n-th file, the n-th tokenisation, the n-th run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardrail.detect.onnx import OnnxDetector
from guardrail.errors import ModelIntegrityError
from guardrail.guard import Pipeline
from guardrail.models.store import find
from guardrail.policy import Policy
from guardrail.result import Action
from tests.fakes import MapRewriter, plain_words
from tests.faults.harness import NAME, TEXT

pytestmark = pytest.mark.model

CALM = "The meeting is at nine."
Work = Callable[..., Any]


def real(**choices: Any) -> Pipeline:
    policy = Policy(timeout_ms=None, max_running=1, max_queued=0, action=Action.FLAG, **choices)
    return Pipeline(policy, OnnxDetector(find("detector-fast")), MapRewriter(plain_words))


def failing_at(at: int, work: Work, error: Exception, seen: list[int]) -> Work:
    def broken(*args: Any, **kwargs: Any) -> Any:
        seen.append(1)
        if len(seen) == at:
            raise error
        return work(*args, **kwargs)

    return broken


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("on_error", ["block", "allow", "raise"])
def test_a_file_that_cannot_be_read_is_never_overridden(
    at: int, on_error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = real(on_error=on_error)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing_at(at, Path.read_bytes, OSError(5, "input/output error"), []))
        with pytest.raises(ModelIntegrityError, match="cannot be read"):
            door.check(TEXT)
    assert door.check(CALM).error is None


@pytest.mark.parametrize("at", [1, 2])
def test_memory_that_runs_out_while_a_file_is_read(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    door = real()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing_at(at, Path.read_bytes, MemoryError(), []))
        result = door.check(TEXT)
    assert (result.action, result.text) == (Action.BLOCK, door.policy.block_message)
    assert NAME not in str(result.error)
    assert door.check(CALM).error is None


class Broken:
    """Stands for a session or a tokenizer, one of whose methods fails at its n-th call."""

    def __init__(self, whole: Any, name: str, broken: Work) -> None:
        self._whole, self._name, self._broken = whole, name, broken

    def __getattr__(self, name: str) -> Any:
        return self._broken if name == self._name else getattr(self._whole, name)


@pytest.mark.parametrize(("part", "method"), [("tokenizer", "encode"), ("session", "run")])
@pytest.mark.parametrize("on_error", ["block", "allow", "raise"])
def test_the_detector_fails_at_any_operation(
    part: str, method: str, on_error: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    door = real(on_error=on_error)
    detector: Any = door._detector
    loaded = detector._loaded.get()
    whole = getattr(loaded, part)
    for at in range(1, 40):
        seen: list[int] = []
        broken = failing_at(at, getattr(whole, method), RuntimeError(TEXT), seen)
        monkeypatch.setattr(detector._loaded, "_value", replace(loaded, **{part: Broken(whole, method, broken)}))
        try:
            result = door.check(TEXT)
        except Exception as error:
            assert on_error == "raise"
            assert NAME not in str(error)
        else:
            if len(seen) < at:
                assert (at > 1, result.error) == (True, None)
                break
            assert result.text == (TEXT if on_error == "allow" else door.policy.block_message)
            assert NAME not in str(result.error)
        monkeypatch.setattr(detector._loaded, "_value", loaded)
        assert door.check(CALM).error is None
    else:
        pytest.fail("the faults never came to an end")
    assert NAME not in caplog.text
