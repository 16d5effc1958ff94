"""Check that thresholds keep their promise on clean texts, and the statistics that go with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.result import MODEL_LABELS
from guardrail.thresholds import FLOOR, choose, count_flagged, texts_needed, wilson

LABELS = tuple(str(label) for label in MODEL_LABELS)


def clean(count: int, seed: int) -> list[dict[str, float]]:
    """Draw scores of clean texts: low as a rule, some high, labels with tails of their own."""
    random = np.random.default_rng(seed)
    values = 1 / (1 + np.exp(-random.normal(-3, np.linspace(1.0, 2.5, len(LABELS)), (count, len(LABELS)))))
    return [dict(zip(LABELS, map(float, row), strict=True)) for row in values]


def rate(texts: list[dict[str, float]], limits: dict[str, float]) -> float:
    return sum(any(row[label] >= limits[label] for label in limits) for row in texts) / len(texts)


@pytest.mark.parametrize("target", [0.5, 0.05, 0.01, 0.001, 1e-6])
def test_thresholds_keep_their_target_on_the_texts_they_were_chosen_on(target: float) -> None:
    texts = clean(5000, 1)
    limits = choose(texts, LABELS, target)
    assert list(limits) == list(LABELS)
    assert rate(texts, limits) <= target
    assert count_flagged(texts, limits) == round(rate(texts, limits) * len(texts))


def test_thresholds_honour_the_target_on_fresh_draws_and_are_no_stricter_than_needed() -> None:
    texts, fresh = clean(20_000, 1), clean(20_000, 2)
    for target in (0.05, 0.02, 0.01):
        assert rate(fresh, choose(texts, LABELS, target)) == pytest.approx(target, rel=0.3)


def test_a_stricter_target_never_has_a_lower_threshold() -> None:
    texts = clean(4000, 4)
    tables = [choose(texts, LABELS, target) for target in (0.1, 0.05, 0.01, 0.001)]
    for loose, strict in zip(tables, tables[1:], strict=False):
        assert all(loose[label] <= strict[label] for label in LABELS)


def test_only_the_labels_asked_for_count() -> None:
    texts = [dict.fromkeys(LABELS, 0.1) | {"hate": 0.99}] * 50
    assert choose(texts, ["toxicity"], 0.01) == {"toxicity": FLOOR}
    assert choose(texts, ["hate"], 0.01)["hate"] > 0.99


@given(st.lists(st.floats(0, 0.9998), min_size=1, max_size=40), st.floats(0.001, 0.5))
def test_a_threshold_is_rounded_up_to_four_digits(values: list[float], target: float) -> None:
    texts = [{"hate": value} for value in values]
    (limit,) = choose(texts, ["hate"], target).values()
    assert limit == round(limit, 4) and FLOOR <= limit <= 1
    assert count_flagged(texts, {"hate": limit}) <= target * len(texts)
    if limit > FLOOR:
        # No stricter than the next score above would need.
        assert any(limit - 2.1e-4 <= value < limit for value in values)


def test_no_threshold_leaves_its_range() -> None:
    assert set(choose([dict.fromkeys(LABELS, 0.001)] * 50, LABELS, 0.01).values()) == {FLOOR}
    high = choose([dict.fromkeys(LABELS, 0.99993)] * 50, LABELS, 0.01)
    assert all(0.99993 < value <= 1 for value in high.values())


def test_equal_scores_are_flagged_all_or_none() -> None:
    texts = [dict.fromkeys(LABELS, 0.2)] * 980 + [dict.fromkeys(LABELS, 0.9)] * 20
    assert rate(texts, choose(texts, LABELS, 0.02)) in (0.0, 0.02)
    assert rate(texts, choose(texts, LABELS, 0.01)) == 0.0


def test_a_score_of_one_cannot_be_let_through() -> None:
    texts = [{"hate": 1.0}] * 5 + [{"hate": 0.1}] * 95
    assert count_flagged(texts, choose(texts, ["hate"], 0.01)) == 5


def test_thresholds_without_clean_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="clean texts"):
        choose([], LABELS, 0.01)


@pytest.mark.parametrize(
    ("target", "texts"), [(0.5, 6), (0.05, 60), (0.01, 300), (0.005, 600), (0.001, 3000), (0.3, 10)]
)
def test_a_rate_needs_three_texts_for_each_one_it_lets_through(target: float, texts: int) -> None:
    assert texts_needed(target) == texts


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Figures of Newcombe 1998, table I, and of the rule of three for none.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_the_interval_by_the_book(hits: int, count: int, low: float, high: float) -> None:
    assert list(wilson(hits, count)) == pytest.approx([low, high], abs=1e-4)


def test_the_interval_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
