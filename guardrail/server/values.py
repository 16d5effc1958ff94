"""Hold what pages answer beside the guard's own values: a batch, scores by sentence, the policy that holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from guardrail.doors import Streaming
from guardrail.policy import SEVERITY
from guardrail.result import Action, Finding, Label, Result


@dataclass(frozen=True, slots=True)
class Batch:
    """The results of several texts, in order."""

    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where in a sentence a label lies or would lie, and its score: character offsets into the whole text."""

    label: Label
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A judged sentence: its offsets, the score of every label in it, its groups, and where each label would lie."""

    start: int
    end: int
    _: KW_ONLY
    scores: Mapping[Label, float]
    groups: tuple[str, ...]
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A ``Detection`` with the thresholds that hold and what any others would find."""

    flagged: bool
    scores: Mapping[Label, float]
    _: KW_ONLY
    groups: Mapping[str, float]
    findings: tuple[Finding, ...]
    coverage: float
    model: str
    thresholds: Mapping[Label, float]
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """What this server does, label by label."""

    thresholds: Mapping[Label, float]
    actions: Mapping[Label, Action]
    severity: tuple[Action, ...]
    mask: str
    block_message: str
    max_chars: int
    on_rewrite_failure: str
    on_unsupported_language: Action
    version: str


def explained(guard: Streaming, text: str) -> Explanation:
    """Judge ``text`` once and return the scores of each sentence; raises as ``Guard.detect`` does."""
    found, limits = guard.explain(text), guard.thresholds
    return Explanation(
        found.flagged,
        found.scores,
        groups=found.groups,
        findings=tuple(f for f in found.findings if f.score >= limits[f.label]),
        coverage=found.coverage,
        model=found.model,
        thresholds=limits,
        sentences=_sentences(found.findings),
    )


def in_force(guard: Streaming, version: str) -> PolicyInForce:
    """Return the policy of ``guard`` as a page can show it."""
    policy = guard.policy
    return PolicyInForce(
        guard.thresholds,
        {label: policy.action_for(label) for label in Label},
        tuple(sorted(Action, key=SEVERITY.__getitem__)),
        policy.mask,
        policy.block_message,
        policy.max_chars,
        policy.on_rewrite_failure,
        policy.on_unsupported_language,
        version,
    )


def _sentences(findings: tuple[Finding, ...]) -> tuple[Sentence, ...]:
    """Put findings together by sentence; what hides inside a sentence, such as a disguise, belongs to it."""
    places: list[tuple[int, int]] = []
    members: list[list[Finding]] = []
    for finding in sorted(findings, key=lambda f: (f.sentence[0], -f.sentence[1])):
        start, end = finding.sentence
        if places and start < places[-1][1]:
            places[-1] = (places[-1][0], max(end, places[-1][1]))
            members[-1].append(finding)
        else:
            places.append((start, end))
            members.append([finding])
    return tuple(_sentence(place, found) for place, found in zip(places, members, strict=True))


def _sentence(place: tuple[int, int], findings: list[Finding]) -> Sentence:
    scores: dict[Label, float] = {}
    for finding in findings:
        scores[finding.label] = max(finding.score, scores.get(finding.label, 0.0))
    stretches = dict.fromkeys((f.start, f.end, f.label, f.score) for f in findings)
    groups = dict.fromkeys(group for finding in findings for group in finding.groups)
    return Sentence(
        *place,
        scores=scores,
        groups=tuple(groups),
        stretches=tuple(Stretch(label, score, start, end) for start, end, label, score in sorted(stretches)),
    )
