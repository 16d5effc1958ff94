"""Check the metrics against examples done by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.training.evaluate.metrics import Bin, auc, ece, f1, interval, macro_f1, mean, reliability, span_f1

sklearn = pytest.importorskip("sklearn.metrics")

Spans = list[tuple[int, int]]


@pytest.mark.parametrize(
    ("scores", "truth", "value"),
    [
        ([0.1, 0.9], [0, 1], 1.0),
        ([0.9, 0.1], [0, 1], 0.0),
        ([0.5, 0.5], [0, 1], 0.5),
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
        ([0.2, 0.2, 0.2, 0.9], [0, 0, 1, 1], 0.75),
        ([0.2, 0.5, 0.5, 0.5, 0.7], [0, 1, 0, 1, 0], 0.5),
        ([3.0, -1.0, 2.0], [1, 0, 0], 1.0),
    ],
)
def test_auc_by_hand(scores: list[float], truth: list[int], value: float) -> None:
    assert auc(np.array(scores), np.array(truth)) == pytest.approx(value)


@pytest.mark.parametrize("truth", [[], [1, 1], [0, 0]])
def test_auc_needs_both_classes(truth: list[int]) -> None:
    assert math.isnan(auc(np.linspace(0, 1, len(truth)), np.array(truth)))


truths = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=80).filter(
    lambda rows: len({truth for _, truth in rows}) == 2
)


@given(truths)
def test_auc_is_that_of_scikit_learn_with_ties(rows: list[tuple[int, bool]]) -> None:
    scores, truth = np.array([s for s, _ in rows]) / 10, np.array([int(t) for _, t in rows])
    assert auc(scores, truth) == pytest.approx(sklearn.roc_auc_score(truth, scores))


@given(truths)
def test_auc_turns_round_with_the_scores_and_ignores_their_scale(rows: list[tuple[int, bool]]) -> None:
    scores, truth = np.array([float(s) for s, _ in rows]), np.array([int(t) for _, t in rows])
    assert auc(-scores, truth) == pytest.approx(1 - auc(scores, truth))
    assert auc(np.exp(scores), truth) == auc(scores, truth)


@given(truths)
def test_f1_is_that_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    predicted, truth = np.array([int(s > 4) for s, _ in rows]), np.array([int(t) for _, t in rows])
    assert f1(predicted, truth) == pytest.approx(sklearn.f1_score(truth, predicted, zero_division=0))
    both = sklearn.f1_score(truth, predicted, average="macro", labels=[0, 1], zero_division=0)
    assert macro_f1(predicted, truth) == pytest.approx(both)


def test_f1_of_nothing_found_and_nothing_there_is_zero() -> None:
    assert f1(np.zeros(3, int), np.zeros(3, int)) == 0
    assert macro_f1(np.zeros(3, int), np.zeros(3, int)) == 0.5


@pytest.mark.parametrize(
    ("found", "gold", "value"),
    [
        ([], [], 1.0),
        ([(0, 0)], [], 1.0),
        ([(0, 3)], [], 0.0),
        ([], [(0, 3)], 0.0),
        ([(0, 3)], [(0, 3)], 1.0),
        ([(0, 3)], [(3, 6)], 0.0),
        ([(0, 4)], [(2, 6)], 0.5),
        ([(0, 10)], [(0, 5)], 2 / 3),
        ([(0, 3), (2, 5)], [(0, 5)], 1.0),
        ([(0, 2), (4, 6)], [(0, 6)], 0.8),
        ([(7, 5)], [(5, 7)], 0.0),
    ],
)
def test_span_f1_by_hand(found: Spans, gold: Spans, value: float) -> None:
    assert span_f1(found, gold) == pytest.approx(value)
    assert span_f1(gold, found) == pytest.approx(value)


spans = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda s: (min(s), max(s))), max_size=5)


@given(spans, spans)
def test_span_f1_is_a_share(found: Spans, gold: Spans) -> None:
    assert 0 <= span_f1(found, gold) <= 1
    assert span_f1(found, found) == 1


def test_bins_hold_their_mean_and_their_share() -> None:
    bins = reliability(np.array([0.05, 0.15, 0.15, 0.95, 1.0]), np.array([0, 1, 0, 1, 1]))
    assert bins == [Bin(0.05, 0.0, 1), Bin(0.15, 0.5, 2), Bin(0.975, 1.0, 2)]
    # 1/5 * .05 + 2/5 * .35 + 2/5 * .025
    assert ece(bins) == pytest.approx(0.16)


def test_a_model_that_means_what_it_says_has_no_calibration_error() -> None:
    assert ece(reliability(np.full(10, 0.3), np.array([1] * 3 + [0] * 7))) == pytest.approx(0)


def test_no_rows_have_no_calibration_error_to_report() -> None:
    assert reliability(np.array([]), np.array([])) == []
    assert math.isnan(ece([]))
    assert math.isnan(mean([]))


def test_an_interval_holds_the_figure_and_shrinks_with_more_rows() -> None:
    few, many = np.array([0.0, 1.0] * 10), np.array([0.0, 1.0] * 1000)
    low, high = interval(mean, few)
    assert 0.2 < low < 0.5 < high < 0.8
    narrow = interval(mean, many)
    assert narrow[1] - narrow[0] < (high - low) / 5
    # 1.96 standard errors of a coin: .0219 either way.
    assert narrow == pytest.approx((0.5 - 0.0219, 0.5 + 0.0219), abs=0.004)


def test_an_interval_is_the_same_each_time() -> None:
    scores, truth = np.linspace(0, 1, 40), np.array([0, 1] * 20)
    assert interval(auc, scores, truth) == interval(auc, scores, truth)


def test_rows_that_do_not_vary_have_no_width() -> None:
    assert interval(mean, np.ones(30)) == (1, 1)


@pytest.mark.parametrize("truth", [np.array([]), np.zeros(20, int)])
def test_what_too_few_draws_can_measure_has_no_interval(truth: np.ndarray) -> None:
    assert all(math.isnan(bound) for bound in interval(auc, np.linspace(0, 1, len(truth)), truth))
