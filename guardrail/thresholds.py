"""Choose thresholds by the share of clean texts that may be flagged, and say how sure that share is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

# Below this a score says "rather not", however quiet clean texts are.
FLOOR = 0.5
DIGITS = 4
_ROUNDS = 30
_Z95 = 1.959964


def choose(
    clean: Sequence[Mapping[str, float]],
    labels: Sequence[str],
    rate: float,
    shares: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Return thresholds at which at most the share ``rate`` of clean texts is flagged by any label.

    ``clean`` holds the whole-text scores of clean texts, in [0, 1]. All labels get the same quantile, as strict as the
    rate needs, or a part of the false alarms in proportion to its entry in ``shares`` (1 where it has none); each is
    rounded up to four digits and is never less than 0.5. A text with a score of 1 stays flagged, for no threshold lies
    above that.

    Raises:
        ValueError: there is no clean text.
    """
    if not clean:
        raise ValueError("thresholds need clean texts and got none; give texts that should not be flagged")
    table = np.array([[row[label] for label in labels] for row in clean])
    part = np.array([(shares or {}).get(label, 1.0) for label in labels])
    low, high = 1 - rate, 1.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        limits = _limits(table, 1 - (1 - middle) * part)
        low, high = (middle, high) if (table >= limits).any(1).mean() > rate else (low, middle)
    chosen = _limits(table, 1 - (1 - high) * part).tolist()
    return {name: round(limit, DIGITS) for name, limit in zip(labels, chosen, strict=True)}


def count_flagged(clean: Sequence[Mapping[str, float]], limits: Mapping[str, float]) -> int:
    """Return how many texts reach a threshold of any label."""
    return sum(any(row[label] >= limit for label, limit in limits.items()) for row in clean)


def texts_needed(rate: float) -> int:
    """Return how many clean texts a rate needs: with fewer, none flagged would still not show it (rule of three)."""
    return math.ceil(3 / rate - 1e-9)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of which ``hits`` of ``count`` were seen (Wilson 1927); (0, 1) for none."""
    if not count:
        return 0.0, 1.0
    share, spread = hits / count, _Z95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def _limits(table: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    each = zip(table.T, np.clip(quantiles, 0, 1), strict=True)
    # A step above the quantile that survives the rounding, so that the quantile itself is not flagged.
    cut = np.array([np.quantile(column, at, method="higher") for column, at in each]) + 1e-4
    limits: np.ndarray = np.clip(np.round(cut, DIGITS), FLOOR, 1.0)
    return limits
