"""Check what is timed beside what, on a small shape and a small bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.detect.onnx import OnnxDetector
from guardrail.models.bundle import open_bundle
from guardrail.training.evaluate.latency import THEIRS, Shape, interleave, latency, text_of

pytestmark = [pytest.mark.training, pytest.mark.model]

BUNDLE = Path(__file__).parents[3] / "guardrail/models/detector-fast"
SMALL = Shape(layers=1, hidden=32, heads=2, inner=64, vocabulary=2100)


def test_cases_run_in_turns_after_one_run_each_that_does_not_count() -> None:
    order: list[str] = []
    times = interleave({(name, "x"): lambda name=name: order.append(name) for name in "ab"}, 3)  # type: ignore[misc]
    assert order == list("abababab")
    assert {key: len(values) for key, values in times.items()} == {("a", "x"): 3, ("b", "x"): 3}
    assert all(value >= 0 for values in times.values() for value in values)


def test_a_text_has_as_many_tokens_as_asked_for_or_one_less() -> None:
    detector = OnnxDetector(open_bundle(BUNDLE))
    for tokens in (32, 128):
        text = text_of(detector, tokens)
        assert tokens - 2 <= len(detector.count_tokens(text)) + 2 <= tokens
    assert text_of(detector, 32).count(".") == 1
    assert text_of(detector, 128).count(".") >= 4


def test_our_model_the_other_shape_and_our_whole_detect_are_told_with_their_ratio() -> None:
    section = latency(open_bundle(BUNDLE), SMALL, rounds=3)
    assert set(section.rows) == {f"{what}, {n} tokens" for what in ("model", "whole detect") for n in (32, 128)}
    for tokens in (32, 128):
        ours, theirs = section.rows[f"model, {tokens} tokens"].values()
        assert list(section.rows[f"model, {tokens} tokens"])[1] == THEIRS
        assert theirs["times_ours"] == theirs["p50_ms"] / ours["p50_ms"]
        assert ours["best_ms"] <= ours["p50_ms"] <= ours["p95_ms"]
        assert "times_ours" not in ours
    assert "load average" in section.note
