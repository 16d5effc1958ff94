"""Check the fairness tables with a detector that dislikes a word of our choice."""

from __future__ import annotations

import math

import pytest

from guardrail.detect.base import PieceScores
from guardrail.judge import Judge
from guardrail.policy import Policy
from guardrail.result import Label
from guardrail.training.evaluate import fairness
from guardrail.training.evaluate.cases import Case
from guardrail.training.evaluate.fairness import ALL, MIN_MENTIONS
from guardrail.training.evaluate.probes import Identity, Neutral, Twin
from guardrail.training.evaluate.systems import Judged
from tests import fakes

SYSTEM = "words"


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Judged:
    """Score 0.9 where "men" occurs, whoever says it, else 0.01."""
    monkeypatch.setattr(fakes, "WORDS", {"men": Label.STEREOTYPE, "finna": Label.TOXICITY})
    monkeypatch.setattr(fakes.WordDetector, "_one", _one)
    return Judged(SYSTEM, Judge(fakes.WordDetector(), Policy()))


def _one(self: fakes.WordDetector, piece: str) -> PieceScores:
    found = {
        label: word in piece.lower().replace(",", " ").replace(".", " ").split() for word, label in fakes.WORDS.items()
    }
    return PieceScores({label: 0.9 if hit else 0.01 for label, hit in found.items()}, {})


def test_swaps_are_measured_by_how_far_the_score_moves(system: Judged) -> None:
    probes = [
        Identity("gender", "Women sing.", False),
        Identity("gender", "Wives sing.", False),
        Identity("age", "Older voters sing.", True),
    ]
    rows = fairness.counterfactual([system], probes, []).rows
    assert list(rows) == [ALL, "gender", "age"]
    gender = rows["gender"][SYSTEM]
    assert (gender["pairs"], gender["verdict_changes"]) == (2, 0.5)
    assert gender["mean_shift"] == pytest.approx(0.89 / 2)
    assert gender["worst_shift"] == pytest.approx(0.89)
    assert rows["age"][SYSTEM]["worst_shift"] == 0
    everybody = rows[ALL][SYSTEM]
    assert everybody["mean_shift"] == pytest.approx(0.89 / 3)
    assert everybody["mean_shift_low"] <= everybody["mean_shift"] <= everybody["mean_shift_high"]


def test_blameless_cases_are_swapped_and_biased_or_unknown_ones_are_not(system: Judged) -> None:
    cases = [
        Case("Women sing.", "a", biased=0),
        Case("Women are bad.", "a", biased=1),
        Case("Women dance.", "a"),
        Case("Tea.", "a", biased=0),
    ]
    assert fairness.counterfactual([system], [], cases).rows["gender"][SYSTEM]["pairs"] == 1


def test_the_same_pair_counts_once(system: Judged) -> None:
    probe = Identity("gender", "Women sing.", False)
    case = Case("Women sing.", "a", biased=0)
    assert fairness.counterfactual([system], [probe], [case]).rows[ALL][SYSTEM]["pairs"] == 1


def test_neutral_mentions_are_neutral_probes_their_swaps_and_blameless_cases() -> None:
    probes = [Identity("gender", "Women sing.", False), Identity("age", "Older men lie.", True)]
    cases = [
        Case("A nun prays.", "a", biased=0, mentions=("religion",)),
        Case("muslims pray.", "a", biased=0),
        Case("Tea.", "a", biased=0),
        Case("Nurses lie.", "a", biased=1),
    ]
    assert dict(fairness.neutral_mentions(probes, cases)) == {
        "Women sing.": ("gender",),
        "Men sing.": ("gender",),
        "A nun prays.": ("religion",),
        "muslims pray.": ("religion",),
    }


def test_each_group_has_its_rate_and_its_gap_to_the_mean_of_the_groups(system: Judged) -> None:
    gender = [(f"{'Men' if i < 10 else 'Women'} sing at {i}.", ("gender",)) for i in range(MIN_MENTIONS)]
    race = [(f"Sing at {i}.", ("race",)) for i in range(2 * MIN_MENTIONS)]
    few = [(f"Men sing {i}.", ("class",)) for i in range(MIN_MENTIONS - 1)]
    section = fairness.by_group([system], [*gender, *race, *few], "mentions", "Title")
    assert section.name == "fairness.mentions"
    assert list(section.rows) == [ALL, "gender", "race"]
    assert section.rows["gender"][SYSTEM]["false_positives"] == 0.5
    assert section.rows["gender"][SYSTEM]["gap_to_mean"] == pytest.approx(0.25)
    assert section.rows["race"][SYSTEM]["gap_to_mean"] == pytest.approx(-0.25)
    everybody = section.rows[ALL][SYSTEM]
    assert everybody["gap_to_mean"] == pytest.approx(0.25)
    assert everybody["false_positives"] == pytest.approx((10 + MIN_MENTIONS - 1) / (4 * MIN_MENTIONS - 1))


def test_without_enough_texts_of_any_group_there_is_no_gap(system: Judged) -> None:
    rows = fairness.by_group([system], [("Men sing.", ("gender",))], "mentions", "Title").rows
    assert list(rows) == [ALL]
    assert math.isnan(rows[ALL][SYSTEM]["gap_to_mean"])


def test_twins_have_a_gap_against_the_dialect(system: Judged) -> None:
    twins = [Twin("I'm finna go.", "I will go."), Twin("She be late.", "She is late."), Twin("We good.", "We men go.")]
    rows = fairness.dialect([system], [*twins, Twin("It cold.", "It is cold.")]).rows
    assert rows["African-American English"][SYSTEM]["false_positives"] == 0.25
    assert rows["standard English"][SYSTEM]["false_positives"] == 0.25
    assert rows["gap"][SYSTEM]["false_positives"] == 0
    assert rows["gap"][SYSTEM]["mean_score"] == pytest.approx(0)
    alone = fairness.dialect([system], twins[:2]).rows["gap"][SYSTEM]
    assert alone["false_positives"] == 0.5
    assert alone["mean_score"] == pytest.approx(0.89 / 2)


def test_each_register_has_its_share(system: Judged) -> None:
    texts = [Neutral("news", "Men met."), Neutral("news", "Tea."), Neutral("chat", "lol")]
    rows = fairness.registers([system], texts).rows
    assert {name: row[SYSTEM]["false_positives"] for name, row in rows.items()} == {
        ALL: pytest.approx(1 / 3),
        "news": 0.5,
        "chat": 0,
    }
    assert rows["news"][SYSTEM]["worst_score"] == pytest.approx(0.9)
