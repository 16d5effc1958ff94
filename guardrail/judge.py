"""Judge texts: normalise, cut into pieces, score all pieces together, map what is found back to the caller's text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from guardrail._runtime import Deadline
from guardrail.detect.base import Detector, PieceScores
from guardrail.errors import GuardrailError, ModelRuntimeError
from guardrail.policy import SEVERITY, Policy
from guardrail.result import Action, Detection, Finding, Label
from guardrail.rewrite.refine import Residual
from guardrail.text.normalize import Normalized, normalize
from guardrail.text.windows import Span, coverage, plan_windows, split_sentences

GROUP_THRESHOLD = 0.5
_MODEL = "model"


K = TypeVar("K", bound=str)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch to score: where it lies in the normalised text, or the second view it comes from."""

    text: str
    start: int
    source: tuple[int, int]
    name: str = _MODEL


@dataclass(frozen=True, slots=True)
class _Plan:
    normal: Normalized
    sentences: tuple[tuple[int, int], ...]
    pieces: tuple[_Piece, ...]
    covered: float


class Judge:
    """Turn texts into ``Detection`` values with one detector and one policy's thresholds, or a ``share`` of them.

    ``split`` gives the sentences of a normalised text.
    """

    def __init__(
        self,
        detector: Detector,
        policy: Policy,
        *,
        share: float = 1.0,
        split: Callable[[str], tuple[Span, ...]] = split_sentences,
    ) -> None:
        self._detector = detector
        self._policy = policy
        self._split = split
        self._limits = {label: share * policy.threshold_for(label, detector.thresholds) for label in Label}

    def detect(self, texts: Sequence[str], deadline: Deadline) -> list[Detection]:
        """Judge texts, all their pieces in one call of the detector.

        Raises ``GuardrailError`` only: what a detector of the caller's own raises may quote the text and stops here.
        """
        try:
            plans = [self._plan(text, deadline) for text in texts]
            scores = iter(self._scores([piece.text for plan in plans for piece in plan.pieces], deadline))
            return [self._detection(plan, list(islice(scores, len(plan.pieces)))) for plan in plans]
        except GuardrailError:
            raise
        except Exception as error:
            name = type(error).__name__
            raise ModelRuntimeError(f"judging with the detector {self._detector.name} failed ({name})") from None

    def residual(self, texts: Sequence[str], deadline: Deadline) -> list[Residual]:
        """Say what is still flagged in candidate rewrites; what the policy only flags or allows may stay."""
        return [self._residual(text, found) for text, found in zip(texts, self.detect(texts, deadline), strict=True)]

    def _residual(self, text: str, found: Detection) -> Residual:
        # A rewrite has no cause to hide anything, whatever the policy says of texts that do.
        counted = [
            f
            for f in found.findings
            if f.label is Label.OBFUSCATION or SEVERITY[self._policy.action_for(f.label)] > SEVERITY[Action.FLAG]
        ]
        flags = ((str(f.label), "" if (f.start, f.end) == f.sentence else text[f.start : f.end]) for f in counted)
        return Residual(tuple(dict.fromkeys(flags)), max((f.score for f in counted), default=0.0))

    def _scores(self, pieces: Sequence[str], deadline: Deadline) -> Sequence[PieceScores]:
        scores = self._detector.score(pieces, deadline) if pieces else []
        if len(scores) != len(pieces):
            name = self._detector.name
            raise ModelRuntimeError(f"the detector {name} gave {len(scores)} scores for {len(pieces)} pieces")
        return scores

    def _plan(self, text: str, deadline: Deadline) -> _Plan:
        deadline.check()
        normal = normalize(text)
        sentences = self._split(normal.text)
        spans = plan_windows(normal.text, sentences, self._detector.count_tokens, self._detector.max_tokens)
        pieces = [_Piece(normal.text[a:b], a, normal.to_source(a, b)) for a, b in spans]
        for view in normal.views:
            parts = plan_windows(
                view.text, split_sentences(view.text), self._detector.count_tokens, self._detector.max_tokens
            )
            pieces += [_Piece(view.text[a:b], a, (view.start, view.end), view.name) for a, b in parts]
        return _Plan(normal, sentences, tuple(pieces), coverage(normal.text, spans))

    def _detection(self, plan: _Plan, scores: Sequence[PieceScores]) -> Detection:
        pairs = zip(plan.pieces, scores, strict=True)
        findings = _best([f for piece, score in pairs for f in self._findings(plan, piece, score)])
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
                hidden = piece.name != _MODEL
                at = piece.source if hidden else plan.normal.to_source(piece.start + start, piece.start + end)
                sentence = self._sentence(plan, piece)
                yield Finding(label, value, start=at[0], end=at[1], groups=groups, source=piece.name, sentence=sentence)

    def _disguises(self, plan: _Plan) -> Iterator[Finding]:
        for signal in plan.normal.signals:
            at = (signal.start, signal.end)
            yield Finding(Label.OBFUSCATION, 1.0, start=at[0], end=at[1], source=signal.name, sentence=at)

    def _sentence(self, plan: _Plan, piece: _Piece) -> tuple[int, int]:
        """Return the whole sentence around a piece, in the caller's text: a window of it is no unit to rewrite."""
        if piece.name != _MODEL:
            return piece.source
        # Sentences tile the text, so those that a piece touches are neighbours.
        first = bisect_right(plan.sentences, piece.start, key=lambda sentence: sentence[1])
        behind = bisect_left(plan.sentences, piece.start + len(piece.text), key=lambda sentence: sentence[0])
        start, end = plan.sentences[first][0], plan.sentences[behind - 1][1]
        left, right = _trimmed(plan.normal.text[start:end])
        return plan.normal.to_source(start + left, start + right)


def _best(findings: Iterable[Finding]) -> list[Finding]:
    """Keep the highest score of each label and stretch: windows overlap, and a disguise may have two readings."""
    best: dict[tuple[Label, int, int], Finding] = {}
    for finding in findings:
        key = (finding.label, finding.start, finding.end)
        if key not in best or finding.score > best[key].score:
            best[key] = finding
    return list(best.values())


def _highest(tables: Iterable[Mapping[K, float]]) -> dict[K, float]:
    highest: dict[K, float] = {}
    for table in tables:
        for name, value in table.items():
            highest[name] = max(value, highest.get(name, 0.0))
    return highest


def _trimmed(text: str) -> tuple[int, int]:
    start = len(text) - len(text.lstrip())
    return start, max(start, len(text.rstrip()))
