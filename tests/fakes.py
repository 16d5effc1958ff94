"""Stand in for models in tests: a detector that knows words and a rewriter that knows answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from guardrail._runtime import Deadline
from guardrail.detect.base import PieceScores, SpanScore
from guardrail.result import GROUPS, MODEL_LABELS, Label
from guardrail.rewrite.base import RewriteRequest

WORDS: Mapping[str, Label] = {
    "stereotype": Label.STEREOTYPE,
    "hateful": Label.HATE,
    "idiot": Label.TOXICITY,
    "draconian": Label.LOADED_LANGUAGE,
    "chairman": Label.GENDERED_TERM,
    "overdose": Label.HARM,
}


class WordDetector:
    """Score 0.9 for a label whose word occurs, 0.01 otherwise; every run of letters is a token."""

    name = "words@1"
    languages: tuple[str, ...] = ("en",)
    thresholds: Mapping[str, Mapping[Label, float]] = {
        "fpr<=0.01": dict.fromkeys(MODEL_LABELS, 0.5),
        "fpr<=0.001": dict.fromkeys(MODEL_LABELS, 0.95),
    }

    def __init__(self, max_tokens: int = 20, before: Callable[[], None] | None = None) -> None:
        self.max_tokens = max_tokens
        self.calls = 0
        self.pieces: list[str] = []
        self._before = before

    def count_tokens(self, text: str) -> list[tuple[int, int]]:
        """Return the offsets of every run of non-blank characters."""
        return [match.span() for match in re.finditer(r"\S+", text)]

    def score(self, pieces: Sequence[str], deadline: Deadline) -> list[PieceScores]:
        """Score by looking words up."""
        self.calls += 1
        self.pieces += pieces
        if self._before is not None:
            self._before()
        deadline.check()
        return [self._one(piece) for piece in pieces]

    def _one(self, piece: str) -> PieceScores:
        found = {label: re.search(rf"\b{word}\b", piece, re.IGNORECASE) for word, label in WORDS.items()}
        scores = {label: 0.9 if match else 0.01 for label, match in found.items()}
        spans = tuple(SpanScore(label, *match.span(), 0.9) for label, match in found.items() if match)
        return PieceScores(scores, dict.fromkeys(GROUPS, 0.9 if found[Label.STEREOTYPE] else 0.0), spans)


class MapRewriter:
    """Answer each request by a function of it; records what it was asked."""

    name = "map@1"

    def __init__(self, answer: Callable[[RewriteRequest], str]) -> None:
        self._answer = answer
        self.requests: list[RewriteRequest] = []

    def rewrite(self, requests: Sequence[RewriteRequest], deadline: Deadline) -> list[str]:
        """Return the answers in order."""
        deadline.check()
        self.requests += requests
        return [self._answer(request) for request in requests]


def plain_words(request: RewriteRequest) -> str:
    """Replace every known word by a plain one."""
    text = request.sentence
    for word in WORDS:
        text = re.sub(rf"\b{word}\b", "plain", text, flags=re.IGNORECASE)
    return text
