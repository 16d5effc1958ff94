"""Calibrate a detector: probabilities that mean what they say, thresholds by false-positive rate on clean replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guardrail.thresholds import choose
from guardrail.training.data.schema import LABELS

TARGETS = (0.05, 0.02, 0.01, 0.005, 0.001)
MIN_POSITIVES = 8
# A stereotype is what most users come for, and the hardest to tell from a fact about a group: it may cost three times
# the false alarms of another label.
SHARES = {"stereotype": 3.0}


@dataclass(frozen=True, slots=True)
class Scaling:
    """A label's calibrated probability is sigmoid(scale * logit + shift); ``ece`` is of the rows it was fitted on."""

    scale: float
    shift: float
    ece: float


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Return log-odds of probabilities, clipped to stay finite."""
    clipped: np.ndarray = np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
    odds: np.ndarray = np.log(clipped / (1 - clipped))
    return odds


def fit(probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> dict[str, Scaling]:
    """Fit one scale and shift per label on rows where it is known (Platt 1999).

    ``probabilities`` and ``targets`` are (N, labels), targets in {0, 1} and -1 for unknown; ``weights`` is (N,).
    A label with fewer than eight known positives keeps its raw probability.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = {}
    for column, label in enumerate(LABELS):
        known = targets[:, column] >= 0
        truth, raw = targets[known, column], logit(probabilities[known, column])
        if min(truth.sum(), (1 - truth).sum()) < MIN_POSITIVES:
            fitted[label] = Scaling(1.0, 0.0, expected_calibration_error(probabilities[known, column], truth))
            continue
        model = LogisticRegression(C=1e4).fit(raw[:, None], truth, sample_weight=weights[known])
        scale, shift = max(float(model.coef_[0, 0]), 0.05), float(model.intercept_[0])
        error = expected_calibration_error(1 / (1 + np.exp(-(scale * raw + shift))), truth)
        fitted[label] = Scaling(round(scale, 4), round(shift, 4), error)
    return fitted


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = 10) -> float:
    """Return the mean gap between confidence and frequency over equal-width bins, weighted by their rows, in [0, 1]."""
    if not len(truth):
        return 0.0
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [
        abs(probabilities[which == b].mean() - truth[which == b].mean()) * (which == b).sum()
        for b in range(bins)
        if (which == b).any()
    ]
    return float(sum(gaps) / len(truth))


def thresholds(clean: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return, for each target, thresholds at which at most that share of clean texts is flagged by any label.

    ``clean`` holds the whole-text scores of clean texts; ``guardrail.thresholds.choose`` says how they are chosen.

    Raises:
        ValueError: there is no clean text.
    """
    return {f"fpr<={target:g}": choose(clean, LABELS, target, SHARES) for target in TARGETS}
