"""Judge texts: normalise, cut into pieces, score every piece in one batch, map what is found back to the caller's text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from guardrail._runtime import Deadline
from guardrail.detect.base import Detector, PieceScores
from guardrail.policy import Policy
from guardrail.result import Detection, Finding, Label
from guardrail.rewrite.refine import Residual
from guardrail.text.normalize import Normalized, normalize
from guardrail.text.windows import coverage, plan_windows, split_sentences

GROUP_THRESHOLD = 0.5
MIN_SPAN_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch to score: where it lies in the normalised text, or the second view it comes from."""

    text: str
    start: int
    source: tuple[int, int]
    name: str = "model"


@dataclass(frozen=True, slots=True)
class _Plan:
    normal: Normalized
    sentences: tuple[tuple[int, int], ...]
    pieces: tuple[_Piece, ...]
    covered: float


class Judge:
    """Turn texts into ``Detection`` values with one detector and one policy's thresholds."""

    def __init__(self, detector: Detector, policy: Policy) -> None:
        self._detector = detector
        self._limits = {label: policy.threshold_for(label, detector.thresholds) for label in Label}

    def detect(self, texts: Sequence[str], deadline: Deadline) -> list[Detection]:
        """Judge texts, all their pieces together in batches of similar length."""
        plans = [self._plan(text) for text in texts]
        scores = iter(self._detector.score([piece.text for plan in plans for piece in plan.pieces], deadline))
        return [self._detection(plan, [next(scores) for _ in plan.pieces]) for plan in plans]

    def residual(self, texts: Sequence[str], deadline: Deadline) -> list[Residual]:
        """Say what is still flagged in candidate rewrites."""
        return [_residual(text, found) for text, found in zip(texts, self.detect(texts, deadline), strict=True)]

    def _plan(self, text: str) -> _Plan:
        normal = normalize(text)
        sentences = split_sentences(normal.text)
        spans = plan_windows(normal.text, sentences, self._detector.count_tokens, self._detector.max_tokens)
        pieces = [_Piece(normal.text[a:b], a, normal.to_source(a, b)) for a, b in spans]
        for view in normal.views:
            parts = plan_windows(view.text, split_sentences(view.text), self._detector.count_tokens, self._detector.max_tokens)
            pieces += [_Piece(view.text[a:b], a, (view.start, view.end), view.name) for a, b in parts]
        return _Plan(normal, sentences, tuple(pieces), coverage(normal.text, spans))

    def _detection(self, plan: _Plan, scores: Sequence[PieceScores]) -> Detection:
        findings = [f for piece, score in zip(plan.pieces, scores, strict=True) for f in self._findings(plan, piece, score)]
        findings += self._disguises(plan)
        highest = _highest(score.labels for score in scores)
        if plan.normal.signals:
            highest[Label.OBFUSCATION] = 1.0
        return Detection(
            bool(findings),
            {label: highest.get(label, 0.0) for label in Label},
            groups=_highest(score.groups for score in scores),
            findings=tuple(sorted(findings, key=lambda f: (f.start, f.end, f.label))),
            coverage=plan.covered,
            model=self._detector.name,
        )

    def _findings(self, plan: _Plan, piece: _Piece, score: PieceScores) -> Iterator[Finding]:
        groups = tuple(name for name, value in score.groups.items() if value >= GROUP_THRESHOLD)
        for label, value in score.labels.items():
            if value < self._limits[label]:
                continue
            spans = [(span.start, span.end) for span in score.spans if span.label is label]
            for start, end in spans or [_trimmed(piece.text)]:
                hidden = piece.name != "model"
                at = piece.source if hidden else plan.normal.to_source(piece.start + start, piece.start + end)
                sentence = self._sentence(plan, piece)
                yield Finding(label, value, start=at[0], end=at[1], groups=groups, source=piece.name, sentence=sentence)

    def _disguises(self, plan: _Plan) -> Iterator[Finding]:
        for signal in plan.normal.signals:
            at = (signal.start, signal.end)
            yield Finding(Label.OBFUSCATION, 1.0, start=at[0], end=at[1], source=signal.name, sentence=at)

    def _sentence(self, plan: _Plan, piece: _Piece) -> tuple[int, int]:
        """Return the whole sentence around a piece, in the caller's text: a window of a long sentence is no unit to rewrite."""
        if piece.name != "model":
            return piece.source
        inside = [s for s in plan.sentences if s[0] < piece.start + len(piece.text) and piece.start < s[1]]
        if not inside:
            return piece.source
        start, end = inside[0][0], inside[-1][1]
        left, right = _trimmed(plan.normal.text[start:end])
        return plan.normal.to_source(start + left, start + right)


def _residual(text: str, found: Detection) -> Residual:
    flags = tuple((str(f.label), text[f.start : f.end]) for f in found.findings)
    return Residual(flags, max((f.score for f in found.findings), default=0.0))


def _highest(tables: Iterator[Mapping[Label, float]] | Iterator[Mapping[str, float]]) -> dict[str, float]:
    highest: dict[str, float] = {}
    for table in tables:
        for name, value in table.items():
            highest[name] = max(value, highest.get(name, 0.0))
    return highest


def _trimmed(text: str) -> tuple[int, int]:
    start = len(text) - len(text.lstrip())
    return start, max(start, len(text.rstrip()))
