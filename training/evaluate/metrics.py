"""Compute detector metrics from scores and truths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS = 400
SEED = 17
_EDGES = (2.5, 97.5)
_NORMAL = 1.959964


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose probability fell into one bin: mean probability, share that is true, and how many rows."""

    confidence: float
    frequency: float
    rows: int


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counted half, by ranks; NaN when one class is missing."""
    positive, negative = int((truth == 1).sum()), int((truth == 0).sum())
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]
    return float((ranks[truth == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def f1(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the F1 score of the positive class; 0 when nothing is predicted or true."""
    hits = int(((predicted == 1) & (truth == 1)).sum())
    total = int((predicted == 1).sum()) + int((truth == 1).sum())
    return 2 * hits / total if total else 0.0


def macro_f1(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean F1 of both classes."""
    return (f1(predicted, truth) + f1(1 - predicted, 1 - truth)) / 2


def span_f1(found: Iterable[tuple[int, int]], gold: Iterable[tuple[int, int]]) -> float:
    """Return the character F1 of one text's spans; 1 when both are empty (the measure of SemEval-2021 task 5)."""
    left = {i for start, end in found for i in range(start, end)}
    right = {i for start, end in gold for i in range(start, end)}
    if not left and not right:
        return 1.0
    return 2 * len(left & right) / (len(left) + len(right))


def mean(values: Sequence[float] | np.ndarray) -> float:
    """Return the mean as a float; NaN for no values."""
    return float(np.mean(values)) if len(values) else float("nan")


def reliability(probabilities: np.ndarray, truth: np.ndarray, bins: int = 10) -> list[Bin]:
    """Return equal-width bins over [0, 1] that hold rows, the lowest first; 1.0 falls into the last bin."""
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        Bin(float(probabilities[which == b].mean()), float(truth[which == b].mean()), int((which == b).sum()))
        for b in range(bins)
        if (which == b).any()
    ]


def ece(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error of ``reliability``'s bins, in [0, 1] (Naeini et al. 2015); NaN for none."""
    rows = sum(one.rows for one in bins)
    return sum(abs(one.confidence - one.frequency) * one.rows for one in bins) / rows if rows else float("nan")


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927), which stays within [0, 1] at none and at all; NaN for none."""
    if not total:
        return float("nan"), float("nan")
    share, square = hits / total, _NORMAL**2
    middle = share + square / (2 * total)
    width = _NORMAL * (share * (1 - share) / total + square / (4 * total**2)) ** 0.5
    scale = 1 + square / total
    return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)


def interval(measure: Callable[..., float], *columns: np.ndarray, rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the 95 % percentile interval of ``measure(*columns)`` under resampled rows (Efron 1979).

    ``columns`` are arrays of equal length; the draws are the same for the same length. NaN where fewer than half of
    the draws can be measured.
    """
    rows = len(columns[0])
    rng = np.random.default_rng(SEED)
    draws = [rng.integers(0, rows, rows) for _ in range(rounds)] if rows else []
    values = np.array([measure(*(column[draw] for column in columns)) for draw in draws])
    measured = values[~np.isnan(values)]
    if len(measured) < max(1, rounds / 2):
        return float("nan"), float("nan")
    low, high = np.percentile(measured, _EDGES)
    return float(low), float(high)
