"""Compare rewrites with references: the same text, the same edits, the same n-grams."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from guardrail.training.rewriter.filters import unify

_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
Edit = tuple[int, int, tuple[str, ...]]


def exact(rewrite: str, reference: str) -> float:
    """Return 1 where both are the same text, whatever the quotes and the spaces are, else 0."""
    return float(unify(rewrite) == unify(reference))


def edits(source: str, other: str) -> frozenset[Edit]:
    """Return the edits that turn ``source`` into ``other``: (first token, token behind the last, tokens instead)."""
    before, after = _TOKEN.findall(unify(source)), _TOKEN.findall(unify(other))
    codes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return frozenset((a, b, tuple(after[c:d])) for kind, a, b, c, d in codes if kind != "equal")


def edit_counts(source: str, rewrite: str, reference: str) -> tuple[int, int, int]:
    """Return how many edits (hit, were not wanted, are missing), against the reference's."""
    made, wanted = edits(source, rewrite), edits(source, reference)
    return len(made & wanted), len(made - wanted), len(wanted - made)


def f1(hits: np.ndarray, extra: np.ndarray, missing: np.ndarray) -> float:
    """Return the micro F1 of edit counts; NaN where there is no edit at all."""
    total = 2 * hits.sum() + extra.sum() + missing.sum()
    return float(2 * hits.sum() / total) if total else float("nan")


def bleu(rewrites: Sequence[str], references: Sequence[str]) -> float:
    """Return the corpus BLEU, 0 to 1, of sacrebleu's defaults (13a tokens, exponential smoothing).

    NaN where there is nothing to compare or sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        return float("nan")
    if not rewrites:
        return float("nan")
    return float(BLEU().corpus_score(list(rewrites), [list(references)]).score) / 100
