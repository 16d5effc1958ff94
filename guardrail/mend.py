"""Mend a flagged text: rewrite its flagged sentences, mask what cannot be mended, leave every other character alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from guardrail._runtime import Deadline
from guardrail.errors import DeadlineError, GuardrailError, ModelError
from guardrail.policy import SEVERITY, Decision, Policy
from guardrail.result import Action, Finding, Result, Rewrite
from guardrail.rewrite.base import Rewriter, RewriteRequest
from guardrail.rewrite.refine import Candidate, Residual, refine, sha256_of
from guardrail.rewrite.verify import similarity

CONTEXT_CHARS = 160
Span = tuple[int, int]


class Mender:
    """Apply REWRITE and MASK decisions with one rewriter; ``residual`` judges its candidates."""

    def __init__(
        self, policy: Policy, rewriter: Rewriter, residual: Callable[[Sequence[str], Deadline], list[Residual]]
    ) -> None:
        self._policy, self._rewriter, self._residual = policy, rewriter, residual

    def mend(self, text: str, result: Result, decision: Decision, deadline: Deadline) -> Result:
        """Return ``result`` with the safe text and one ``Rewrite`` per changed stretch; the action is the one that was taken."""
        masks = [f for f in decision.findings if self._policy.action_for(f.label) is Action.MASK]
        flagged = [f for f in decision.findings if self._policy.action_for(f.label) is Action.REWRITE]
        changes = [self._masked(text, (f.start, f.end)) for f in masks]
        error = None
        if flagged:
            try:
                changes += self._rewritten(text, flagged, deadline)
            except DeadlineError:
                raise
            except ModelError as failure:
                error = f"{type(failure).__name__}: {failure}"
                changes += [self._masked(text, span) for span in _sentences(flagged)]
        if any(change.masked for change in changes) and flagged and self._policy.on_rewrite_failure != "mask":
            return self._refused(result, error)
        return self._applied(text, result, changes, error)

    def _rewritten(self, text: str, findings: Sequence[Finding], deadline: Deadline) -> list[Rewrite]:
        spans = _sentences(findings)
        requests = [_request(text, span, findings) for span in spans]
        best = refine(
            requests, self._rewriter, lambda texts: self._residual(texts, deadline), self._policy.max_rounds, deadline
        )
        return [self._change(text, span, candidate) for span, candidate in zip(spans, best, strict=True)]

    def _change(self, text: str, span: Span, candidate: Candidate | None) -> Rewrite:
        if candidate is None or not candidate.accepted:
            checks = {} if candidate is None else {**candidate.checks, "unflagged": not candidate.residual.flags}
            rounds = 0 if candidate is None else candidate.round
            return replace(self._masked(text, span), checks=checks, rounds=rounds)
        return Rewrite(
            *span,
            original_sha256=sha256_of(text[slice(*span)]),
            replacement=candidate.text,
            rounds=candidate.round,
            similarity=candidate.similarity,
            checks={**candidate.checks, "unflagged": True},
        )

    def _masked(self, text: str, span: Span) -> Rewrite:
        source = text[slice(*span)]
        mask = self._policy.mask
        return Rewrite(
            *span,
            original_sha256=sha256_of(source),
            replacement=mask,
            rounds=0,
            similarity=similarity(source, mask),
            masked=True,
        )

    def _refused(self, result: Result, error: str | None) -> Result:
        action = Action.RAISE if self._policy.on_rewrite_failure == "raise" else Action.BLOCK
        return replace(result, action=action, text=self._policy.block_message, reason="no rewrite passed", error=error)

    def _applied(self, text: str, result: Result, changes: list[Rewrite], error: str | None) -> Result:
        kept: list[Rewrite] = []
        for change in sorted(changes, key=lambda c: (c.start, -c.end, not c.masked)):
            if not kept or change.start >= kept[-1].end:
                kept.append(change)
            elif change.end > kept[-1].end or change.masked:
                merged = (kept[-1].start, max(kept[-1].end, change.end))
                kept[-1] = self._masked(text, merged)
        parts, at = [], 0
        for change in kept:
            parts += [text[at : change.start], change.replacement]
            at = change.end
        taken = Action.MASK if all(change.masked for change in kept) else Action.REWRITE
        action = max(result.action, taken, key=SEVERITY.__getitem__) if taken is Action.REWRITE else taken
        return replace(result, action=action, text="".join(parts) + text[at:], rewrites=tuple(kept), error=error)


def _sentences(findings: Sequence[Finding]) -> list[Span]:
    """Return the flagged sentences in order, those that overlap joined into one stretch."""
    spans: list[Span] = []
    for start, end in sorted({f.sentence for f in findings}):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _request(text: str, span: Span, findings: Sequence[Finding]) -> RewriteRequest:
    start, end = span
    own = [f for f in findings if start <= f.sentence[0] < end]
    flags = tuple(dict.fromkeys((str(f.label), text[f.start : f.end] if (f.start, f.end) != span else "") for f in own))
    return RewriteRequest(
        text[start:end],
        before=text[max(0, start - CONTEXT_CHARS) : start].strip(),
        after=text[end : end + CONTEXT_CHARS].strip(),
        flags=flags,
    )
