"""Let every system rewrite the same items: the whole pipeline, a rewriter alone, and edits that need no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Protocol

from guardrail._runtime import Deadline
from guardrail.guard import Pipeline
from guardrail.mend import CONTEXT_CHARS
from guardrail.result import Action
from guardrail.rewrite.base import Rewriter, RewriteRequest
from guardrail.text.windows import split_sentences
from guardrail.training.evaluate.rewriting.items import Item, Span

MASK = "[removed]"
BATCH = 16
_GAP = re.compile(r"\s+(?=[,.;:!?)])|(?<=\s)\s+|^[\s,;:]+")


@dataclass(frozen=True, slots=True)
class Output:
    """What one system made of one item.

    ``touched`` says that it tried to change the text, ``masked`` that a mask stands in it; ``failed`` names the rules
    that its best candidate broke where it says so itself.
    """

    text: str
    _: KW_ONLY
    touched: bool = True
    masked: bool = False
    failed: tuple[str, ...] = ()


class Writer(Protocol):
    """Anything that rewrites items."""

    @property
    def name(self) -> str:
        """What its row is called."""

    def write(self, items: Sequence[Item]) -> list[Output]:
        """Return one output per item, in order; raises ``GuardrailError``."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The pipeline as an application runs it: detect, rewrite, refine, verify, mask what fails."""

    name: str
    guard: Pipeline

    def write(self, items: Sequence[Item]) -> list[Output]:
        """Check every text; nothing is told of what is wrong with it."""
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Output:
        result = self.guard.check(item.text)
        failed = {name for one in result.rewrites for name, held in one.checks.items() if not held}
        touched = result.action not in (Action.ALLOW, Action.FLAG)
        masked = result.action in (Action.MASK, Action.BLOCK) or any(one.masked for one in result.rewrites)
        return Output(result.text, touched=touched, masked=masked, failed=tuple(sorted(failed)))


@dataclass(frozen=True, slots=True)
class Alone:
    """A rewriter by itself, one try a sentence: no detector, no check, no second round.

    It is given the sentences that hold a marked stretch, with the label and the stretch; all sentences of a text that
    has none, a clean one too.
    """

    name: str
    rewriter: Rewriter

    def write(self, items: Sequence[Item]) -> list[Output]:
        """Rewrite sentences in batches and put the texts together again."""
        plans = [requests_of(item) for item in items]
        requests = [request for plan in plans for _, request in plan]
        answers: list[str] = []
        for i in range(0, len(requests), BATCH):
            answers += self.rewriter.rewrite(requests[i : i + BATCH], Deadline(None))
        said = iter(answers)
        return [
            Output(_joined(item.text, [(span, next(said)) for span, _ in plan]))
            for item, plan in zip(items, plans, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Edit:
    """A rule that needs no model, as a bar to be higher than."""

    name: str
    edit: Callable[[Item], str]

    def write(self, items: Sequence[Item]) -> list[Output]:
        """Edit every text."""
        return [Output(self.edit(item), masked=MASK in self.edit(item)) for item in items]


def edits() -> tuple[Edit, ...]:
    """Return the three baselines: leave it, cut out what is at fault, put a mask there."""
    return (
        Edit("copy", lambda item: item.text),
        Edit("delete the flagged span", lambda item: without_spans(item, "")),
        Edit("mask the flagged span", lambda item: without_spans(item, MASK)),
    )


def without_spans(item: Item, stand_in: str) -> str:
    """Return a text with ``stand_in`` where its marked stretches were; the gaps that deleting leaves are closed."""
    text, behind = item.text, len(item.text)
    for start, end in sorted(item.spans, reverse=True):
        text = text[:start] + stand_in + text[min(end, behind) :]
        behind = start
    if stand_in or not item.spans:
        return text
    text = _GAP.sub("", text).strip()
    return text[:1].upper() + text[1:] if item.text[:1].isupper() else text


def requests_of(item: Item) -> list[tuple[Span, RewriteRequest]]:
    """Return the sentences of an item that are to be rewritten, each with what is known to be wrong with it."""
    found = []
    for start, end in split_sentences(item.text):
        sentence = item.text[start:end]
        left = start + len(sentence) - len(sentence.lstrip())
        right = end - len(sentence) + len(sentence.rstrip())
        if right <= left:
            continue
        flags = tuple(
            (label, item.text[max(a, left) : min(b, right)])
            for (a, b), label in zip(item.spans, _labels(item), strict=True)
            if a < right and b > left
        )
        if flags or not item.spans:
            known = flags or tuple((label, "") for label in item.labels)
            before = item.text[max(0, left - CONTEXT_CHARS) : left].strip()
            found.append(((left, right), RewriteRequest(item.text[left:right], before=before, flags=known)))
    return found


def _labels(item: Item) -> list[str]:
    # Rows do not say which label a stretch has: the first ones in order, the last for what is left over.
    names = item.labels or ("toxicity",)
    return [names[min(i, len(names) - 1)] for i in range(len(item.spans))]


def _joined(text: str, parts: Sequence[tuple[Span, str]]) -> str:
    for (start, end), answer in reversed(parts):
        text = text[:start] + answer.strip() + text[end:]
    return text
