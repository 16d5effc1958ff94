"""Measure how far two annotators agree on the authored rows, the dropped ones included."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from guardrail.training.data.schema import LABELS
from guardrail.training.evaluate.metrics import interval

VERDICT = "biased at all"
Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two annotators agree on one name over ``rows`` rows.

    ``either`` counts the rows where at least one of them gave the name, ``agreed`` is the share of rows on which both
    said the same, ``kappa`` is Cohen's, with its 95 % interval ``low`` to ``high``; NaN where nobody gave the name.
    """

    name: str
    rows: int
    either: int
    agreed: float
    kappa: float
    low: float
    high: float


def kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Return Cohen's kappa of two arrays of 0 and 1, in [-1, 1]; NaN when both say one and the same throughout."""
    expected = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    return float(((first == second).mean() - expected) / (1 - expected)) if expected < 1 else float("nan")


def draw(rows: Sequence[Raw], size: int, seed: int) -> list[Raw]:
    """Return ``size`` rows that have a second opinion, drawn by ``seed``; all of them where there are no more.

    The draw is the same in whatever order or file the rows stand.
    """
    seconded = sorted((raw for raw in rows if "second" in raw), key=lambda raw: str(raw["text"]))
    return random.Random(seed).sample(seconded, min(size, len(seconded)))


def agreement(rows: Sequence[Raw]) -> list[Agreement]:
    """Return the agreement on the verdict and on each label, over the rows that have a second opinion."""
    pairs = [(raw["labels"], raw["second"]) for raw in rows if "second" in raw]
    if not pairs:
        return []
    found = [_measured(VERDICT, [(bool(first), bool(second)) for first, second in pairs])]
    return found + [_measured(name, [(name in first, name in second) for first, second in pairs]) for name in LABELS]


def _measured(name: str, pairs: Sequence[tuple[bool, bool]]) -> Agreement:
    both = np.array(pairs, float)
    first, second = both[:, 0], both[:, 1]
    return Agreement(
        name,
        len(pairs),
        int(both.any(1).sum()),
        float((first == second).mean()),
        kappa(first, second),
        *interval(kappa, first, second),
    )
