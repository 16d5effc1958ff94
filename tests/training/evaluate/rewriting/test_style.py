"""Check sentence-length entropy and voice on texts that can be counted by hand."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")

from guardrail.training.evaluate.rewriting.style import clen, modals, persons, voice_drift

pytestmark = pytest.mark.training


def test_sentences_of_one_length_have_no_entropy() -> None:
    assert clen(["It is late. Tea is up.", "One two three."]) == 0.0
    assert math.isnan(clen([]))
    assert math.isnan(clen(["..."]))


def test_entropy_is_of_the_lengths_bins_over_the_most_it_could_be() -> None:
    short, long = "It is late.", "We all went to the mill by the river at nine."
    assert clen([short, long]) == pytest.approx(math.log(2) / math.log(9))
    levels = [" ".join(["Word"] + ["word"] * (5 * i)) + "." for i in range(9)]
    assert clen(levels) == pytest.approx(1.0)


def test_longer_than_the_last_bin_falls_into_it() -> None:
    assert clen([" ".join(["word"] * 45) + ".", " ".join(["word"] * 90) + "."]) == 0.0


def test_persons_are_shares_of_the_pronouns() -> None:
    assert persons("I told you that she left us.").tolist() == [0.5, 0.25, 0.25]
    assert persons("Tea is up.").tolist() == [0.0, 0.0, 0.0]


def test_voice_drifts_when_a_report_becomes_a_reply() -> None:
    assert voice_drift("She left early.", "They left early.") == 0.0
    assert voice_drift("She left early.", "I thank you.") == 1.0
    assert voice_drift("She left early.", "The nurse left early.") == 1.0
    assert voice_drift("I told her.", "You told her.") == pytest.approx(0.5)


def test_modal_verbs_are_counted_a_hundred_words() -> None:
    assert modals("You should go and must not wait.") == pytest.approx(100 * 2 / 7)
    assert modals("") == 0.0
