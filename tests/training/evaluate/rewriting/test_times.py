"""Check what is timed beside what; no figure of a clock is asserted but that it is there."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from guardrail.guard import Pipeline
from guardrail.policy import Policy
from guardrail.training.evaluate.rewriting.items import Item
from guardrail.training.evaluate.rewriting.times import sentences, times
from tests.fakes import MapRewriter, WordDetector, plain_words

pytestmark = pytest.mark.training


def test_the_sentences_nearest_to_25_words_are_timed() -> None:
    items = [Item(f"The chairman {'sat ' * n}down.", clean=False, spans=((4, 12),)) for n in (2, 22, 60)]
    found = sentences([*items, Item("Clean " * 25, clean=True)], 1)
    assert [len(request.sentence.split()) for request in found] == [25]
    assert sentences([], 3) == []


def test_rewriter_check_and_copy_are_timed_side_by_side_by_threads() -> None:
    fake = MapRewriter(plain_words)
    guard = Pipeline(Policy(), WordDetector(), fake)
    requests = sentences([Item("The chairman spoke.", clean=False, spans=((4, 12),))], 5)
    section = times({1: {"r alone": fake}, 2: {"r alone": fake}}, {1: guard, 2: guard}, requests, "pipeline")
    assert set(section.rows) == {"1 thread", "2 threads"}
    for row in section.rows.values():
        assert set(row) == {"r alone", "pipeline", "copy"}
        assert all(0 <= figures["p50_ms"] <= figures["p95_ms"] for figures in row.values())
