"""Check references: exact match, edits, BLEU."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

pytest.importorskip("torch")

from guardrail.training.evaluate.rewriting.edited import bleu, edit_counts, edits, exact, f1

pytestmark = pytest.mark.training


def test_quotes_and_spaces_do_not_matter_words_do() -> None:
    assert exact("She said  “no”.", 'She said "no".') == 1.0
    assert exact("She said no", "She said no.") == 0.0


def test_edits_are_places_and_what_stands_there_instead() -> None:
    assert edits("The chairman left.", "The chair left.") == {(1, 2, ("chair",))}
    assert edits("The big chairman left.", "The chairman left.") == {(1, 2, ())}
    assert edits("Same.", "Same.") == frozenset()


def test_an_edit_counts_once_as_hit_extra_or_missing() -> None:
    source, reference = "The chairman fired his nurse.", "The chair fired their nurse."
    assert edit_counts(source, reference, reference) == (2, 0, 0)
    assert edit_counts(source, "The chair fired his nurse.", reference) == (1, 0, 1)
    assert edit_counts(source, source, reference) == (0, 0, 2)
    assert edit_counts(source, "The chairman fired a nurse!", reference) == (0, 2, 2)


def test_f1_is_over_all_edits() -> None:
    table = np.array([[1, 0, 1], [2, 1, 0]], float)
    assert f1(*table.T) == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert math.isnan(f1(*np.zeros((2, 3)).T))


def test_bleu_is_one_for_the_reference_and_not_measured_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ["The chair of the club left early."]
    pytest.importorskip("sacrebleu")
    assert bleu(text, text) == pytest.approx(1.0)
    assert bleu(["Boats sail on the wide open sea."], text) < 0.1
    assert math.isnan(bleu([], []))
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    assert math.isnan(bleu(text, text))
