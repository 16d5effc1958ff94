"""Define one training row: a text, what is known about it (and what is not), and where it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

from guardrail.result import GROUPS, MODEL_LABELS

LABELS: tuple[str, ...] = tuple(str(label) for label in MODEL_LABELS)
DEV_SHARE = 0.08


@dataclass(frozen=True, slots=True)
class Row:
    """A text with masked targets.

    ``labels`` and ``groups`` map a head to 1 (present) or 0 (absent); a head that is missing is unknown and takes no
    part in the loss. ``spans`` are (start, end) characters that carry the labels: None where nobody marked them.
    """

    text: str
    source: str
    _: KW_ONLY
    labels: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    spans: tuple[tuple[int, int], ...] | None = None
    weight: float = 1.0
    fold: str = "train"

    @property
    def positive(self) -> bool:
        """Tell whether any label is known to be present."""
        return any(self.labels.values())


def fold_of(text: str) -> str:
    """Return "dev" for a fixed share of texts, by hash, so that equal texts never fall on both sides."""
    digest = hashlib.sha256(text.strip().lower().encode("utf-8", "replace")).digest()
    return "dev" if int.from_bytes(digest[:4], "big") / 2**32 < DEV_SHARE else "train"


def known(names: Sequence[str], present: Sequence[str]) -> dict[str, int]:
    """Map each name to 1 when present, else 0."""
    return {name: int(name in present) for name in names}


def all_clean(text: str, source: str, *, weight: float = 1.0, fold: str = "train") -> Row:
    """Return a row on which every label and every group is known to be absent."""
    return Row(text, source, labels=known(LABELS, ()), groups=known(GROUPS, ()), spans=(), weight=weight, fold=fold)
