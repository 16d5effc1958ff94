"""Compute detector metrics from scores and truths."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


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
