"""Run whatever judges texts, a bundle or a baseline, and gather what it says as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from guardrail._runtime import Deadline
from guardrail.detect.memo import Memo
from guardrail.detect.onnx import OnnxDetector
from guardrail.judge import Judge
from guardrail.models.bundle import open_bundle
from guardrail.models.store import find
from guardrail.policy import Policy
from guardrail.result import GROUPS, Detection, Label
from guardrail.training.data.schema import LABELS

CHUNK = 64
REMEMBERED = 20_000


class System(Protocol):
    """Judge whole texts, with thresholds of its own."""

    @property
    def name(self) -> str:
        """What its column is called."""

    def detect(self, texts: Sequence[str]) -> list[Detection]:
        """Judge texts in order."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A bundle as the run time uses it: normalised, cut into sentences, pooled, calibrated."""

    name: str
    judge: Judge

    def detect(self, texts: Sequence[str]) -> list[Detection]:
        """Judge texts in order."""
        return detect_all(self.judge, texts)


def open_system(bundle: str | Path, policy: Policy, name: str = "") -> Judged:
    """Open a detector bundle by its folder (a ``Path``) or its name; raises ``ModelError`` if it cannot be used."""
    detector = OnnxDetector(open_bundle(bundle) if isinstance(bundle, Path) else find(bundle))
    # Pages and swaps repeat sentences, and a piece's score is its own.
    return Judged(name or detector.name, Judge(Memo(detector, REMEMBERED), policy))


def detect_all(judge: Judge, texts: Sequence[str]) -> list[Detection]:
    """Judge texts in chunks, without a deadline."""
    parts = (texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK))
    return [found for part in parts for found in judge.detect(part, Deadline(None))]


@dataclass(frozen=True, slots=True)
class Scored:
    """What one system said of N texts.

    ``scores`` and ``flags`` are (N, labels), ``groups`` is (N, groups), probabilities in [0, 1]; ``flagged`` is (N,)
    and true where any model label counts. ``disguised`` is (N,); ``spans`` holds each text's flagged characters.
    """

    scores: np.ndarray
    flags: np.ndarray
    groups: np.ndarray
    disguised: np.ndarray
    spans: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def highest(self) -> np.ndarray:
        """Return each text's highest label score."""
        best: np.ndarray = self.scores.max(1, initial=0.0)
        return best

    @property
    def flagged(self) -> np.ndarray:
        """Return where any model label counts."""
        return np.asarray(self.flags.any(1), bool)

    def take(self, rows: Sequence[int]) -> Scored:
        """Return the chosen texts only."""
        at = np.array(rows, int)
        spans = tuple(self.spans[i] for i in at)
        return Scored(self.scores[at], self.flags[at], self.groups[at], self.disguised[at], spans)


def score(system: System, texts: Sequence[str]) -> Scored:
    """Judge texts and gather scores, verdicts, groups and spans."""
    return gather(system.detect(texts))


def gather(found: Sequence[Detection]) -> Scored:
    """Turn detections into arrays."""
    rows = len(found)
    labels = [_row(detection.scores, LABELS) for detection in found]
    flags = [[any(f.label == label for f in detection.findings) for label in LABELS] for detection in found]
    return Scored(
        np.array(labels, float).reshape(rows, len(LABELS)),
        np.array(flags, bool).reshape(rows, len(LABELS)),
        np.array([_row(detection.groups, GROUPS) for detection in found], float).reshape(rows, len(GROUPS)),
        np.array([any(f.label is Label.OBFUSCATION for f in detection.findings) for detection in found], bool),
        tuple(_spans(detection) for detection in found),
    )


def _row(values: Mapping[Label, float] | Mapping[str, float], names: Sequence[str]) -> list[float]:
    by_name = {str(name): value for name, value in values.items()}
    return [by_name.get(name, 0.0) for name in names]


def _spans(detection: Detection) -> tuple[tuple[int, int], ...]:
    return tuple((f.start, f.end) for f in detection.findings if f.label is not Label.OBFUSCATION)
