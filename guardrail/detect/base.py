"""Say what a detector is: something that scores pieces of normalised text, one row of probabilities a piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from guardrail._runtime import Deadline
from guardrail.result import Label


@dataclass(frozen=True, slots=True)
class SpanScore:
    """A stretch of one piece that carries a label: character offsets into that piece, mean probability in [0, 1]."""

    label: Label
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class PieceScores:
    """Calibrated probabilities of one piece, 0 to 1, higher is worse, and the stretches that carry them."""

    labels: Mapping[Label, float]
    groups: Mapping[str, float]
    spans: tuple[SpanScore, ...] = ()


class Detector(Protocol):
    """Score pieces of text that ``text.normalize`` has put out."""

    @property
    def name(self) -> str:
        """Name and version, such as ``"detector-fast@1.0.0"``."""

    @property
    def max_tokens(self) -> int:
        """Most tokens of a piece, special tokens left out, at least 1."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that it was trained on, as ISO 639-1 codes."""

    @property
    def thresholds(self) -> Mapping[str, Mapping[Label, float]]:
        """The score from which each label counts, keyed by false-positive target (``"fpr<=0.01"``)."""

    def count_tokens(self, text: str) -> list[tuple[int, int]]:
        """Return the (start, end) character offsets of each token of ``text``, special tokens left out."""

    def score(self, pieces: Sequence[str], deadline: Deadline) -> list[PieceScores]:
        """Score pieces of at most ``max_tokens`` tokens in order; raises ``ModelRuntimeError`` or ``DeadlineError``."""
