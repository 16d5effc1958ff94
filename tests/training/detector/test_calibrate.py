"""Check that calibrated scores mean what they say, also on rows that were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from guardrail.training.data.schema import LABELS
from guardrail.training.detector.calibrate import (
    MIN_POSITIVES,
    TARGETS,
    expected_calibration_error,
    fit,
    logit,
    thresholds,
)

pytestmark = pytest.mark.training

HATE = LABELS.index("hate")


def sigmoid(values: np.ndarray) -> np.ndarray:
    calm: np.ndarray = 1 / (1 + np.exp(-values))
    return calm


def skewed(count: int, seed: int, scale: float = 3.0, shift: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores that are too sure and too high, with their truths, for every label."""
    random = np.random.default_rng(seed)
    honest = random.normal(-1, 2, (count, len(LABELS)))
    truth = (random.random(honest.shape) < sigmoid(honest)).astype(np.float32)
    return sigmoid(scale * honest + shift).astype(np.float32), truth


def scaled(scores: np.ndarray, scale: float, shift: float) -> np.ndarray:
    return sigmoid(scale * logit(scores) + shift)


# ---- scaling


def test_calibration_lowers_the_error_on_rows_it_was_not_fitted_on() -> None:
    scores, truth = skewed(4000, 1)
    fresh, fresh_truth = skewed(4000, 2)
    for column, (label, one) in enumerate(fit(scores, truth, np.ones(len(scores))).items()):
        assert label == LABELS[column]
        before = expected_calibration_error(fresh[:, column], fresh_truth[:, column])
        after = expected_calibration_error(scaled(fresh[:, column], one.scale, one.shift), fresh_truth[:, column])
        assert before > 0.1
        assert after < 0.04
        assert one.ece < 0.04
        assert one.scale == pytest.approx(1 / 3, abs=0.06)


def test_scores_that_are_honest_already_stay_as_they_are() -> None:
    scores, truth = skewed(6000, 3, scale=1.0, shift=0.0)
    for one in fit(scores, truth, np.ones(len(scores))).values():
        assert one.scale == pytest.approx(1, abs=0.1)
        assert one.shift == pytest.approx(0, abs=0.15)


def test_the_order_of_scores_is_never_turned_round() -> None:
    scores, truth = skewed(500, 4)
    assert all(one.scale > 0 for one in fit(scores, 1 - truth, np.ones(len(scores))).values())


def test_unknown_rows_do_not_count() -> None:
    scores, truth = skewed(1000, 5)
    other_scores, _ = skewed(1000, 6)
    together = np.concatenate([truth, np.full_like(truth, -1)])
    both = fit(np.concatenate([scores, other_scores]), together, np.ones(2000))
    assert both == fit(scores, truth, np.ones(1000))


def test_rows_count_by_their_weight() -> None:
    scores, truth = skewed(1000, 7)
    doubled = fit(np.concatenate([scores, scores]), np.concatenate([truth, truth]), np.ones(2000))
    weighted = fit(scores, truth, np.full(1000, 2.0))
    assert doubled["hate"].scale == pytest.approx(weighted["hate"].scale, abs=1e-3)
    assert doubled["hate"].shift == pytest.approx(weighted["hate"].shift, abs=1e-3)


@pytest.mark.parametrize("positives", [0, 1, MIN_POSITIVES - 1])
@pytest.mark.parametrize("turned", [False, True])
def test_a_label_with_too_few_of_one_side_keeps_its_score(positives: int, turned: bool) -> None:
    scores, truth = skewed(200, 8)
    truth[:, HATE] = float(turned)
    truth[:positives, HATE] = float(not turned)
    one = fit(scores, truth, np.ones(200))["hate"]
    assert (one.scale, one.shift) == (1.0, 0.0)
    assert one.ece == expected_calibration_error(scores[:, HATE], truth[:, HATE])


def test_a_label_that_nobody_looked_at_keeps_its_score() -> None:
    scores, truth = skewed(200, 9)
    truth[:, HATE] = -1
    one = fit(scores, truth, np.ones(200))["hate"]
    assert (one.scale, one.shift, one.ece) == (1.0, 0.0, 0.0)


def test_certain_scores_have_finite_log_odds() -> None:
    assert np.isfinite(logit(np.array([0.0, 1.0], np.float32))).all()
    scores, truth = skewed(200, 10)
    scores[:5], scores[5:10] = 0.0, 1.0
    assert all(np.isfinite([one.scale, one.shift]).all() for one in fit(scores, truth, np.ones(200)).values())


@pytest.mark.parametrize(
    ("scores", "truth", "error"),
    [
        ([0.0, 1.0], [0, 1], 0.0),
        ([1.0, 0.0], [0, 1], 1.0),
        ([0.5] * 4, [0, 1, 0, 1], 0.0),
        ([0.9] * 4, [0, 1, 0, 1], 0.4),
        ([0.2, 0.2, 0.8, 0.8], [0, 0, 1, 0], 0.25),
        ([], [], 0.0),
    ],
)
def test_the_calibration_error_by_hand(scores: list[float], truth: list[int], error: float) -> None:
    assert expected_calibration_error(np.array(scores), np.array(truth)) == pytest.approx(error)


# ---- thresholds


def clean(count: int, seed: int) -> list[dict[str, float]]:
    """Draw scores of clean texts: low as a rule, some high, labels with tails of their own."""
    random = np.random.default_rng(seed)
    values = sigmoid(random.normal(-3, np.linspace(1.0, 2.5, len(LABELS)), (count, len(LABELS))))
    return [dict(zip(LABELS, map(float, row), strict=True)) for row in values]


def test_there_is_a_table_for_each_target_that_keeps_it() -> None:
    texts = clean(3000, 3)
    found = thresholds(texts)
    assert list(found) == [f"fpr<={target:g}" for target in TARGETS]
    for target, limits in zip(TARGETS, found.values(), strict=True):
        assert list(limits) == list(LABELS)
        assert sum(any(row[label] >= limits[label] for label in LABELS) for row in texts) <= target * len(texts)


def test_thresholds_without_clean_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="clean texts"):
        thresholds([])
