"""Measure what rewriting does to style: how varied sentence lengths are, and who speaks to whom with what certainty."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from guardrail.text.windows import split_sentences

WIDTH = 5
BINS = 9
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
PERSONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "first": frozenset("i me my mine myself we us our ours ourselves".split()),
        "second": frozenset("you your yours yourself yourselves".split()),
        "third": frozenset(
            "he him his himself she her hers herself they them their theirs themselves themself it its itself".split()
        ),
    }
)
MODALS = frozenset("can could may might must shall should will would ought cannot".split())


def clen(texts: Sequence[str]) -> float:
    """Return the entropy of sentence lengths, in [0, 1].

    SR-LLM reports a "Content-Length Entropy Normalization" without a formula (methods.md 1.6). Ours: the lengths, in
    words, of all sentences, counted in nine bins (1-5, 6-10, up to 41 and more); the Shannon entropy of their shares
    over log 9. 0 where all sentences are of one length, 1 where the bins are level; NaN for no sentence.
    """
    lengths = [len(_WORD.findall(text[a:b])) for text in texts for a, b in split_sentences(text)]
    bins = Counter(min((n - 1) // WIDTH, BINS - 1) for n in lengths if n)
    total = bins.total()
    # Adding nought turns -0.0 into 0.0.
    return -sum(n / total * math.log(n / total) for n in bins.values()) / math.log(BINS) + 0.0 if total else math.nan


def persons(text: str) -> np.ndarray:
    """Return the shares of first, second and third person among a text's pronouns, (3,); noughts where it has none."""
    found = Counter(_WORD.findall(text.lower()))
    counts = np.array([sum(found[word] for word in PERSONS[person]) for person in PERSONS], float)
    total: float = counts.sum()
    return counts / total if total else counts


def voice_drift(source: str, rewrite: str) -> float:
    """Return how far a rewrite speaks in other persons, in [0, 1]: total variation between both texts' shares.

    A text without pronouns is impersonal, a fourth kind.
    """
    before, after = (np.append(shares, 1 - shares.sum()) for shares in (persons(source), persons(rewrite)))
    return float(np.abs(before - after).sum() / 2)


def modals(text: str) -> float:
    """Return the modal verbs per hundred words; 0 for a text without words."""
    found = _WORD.findall(text.lower())
    return 100 * sum(word in MODALS for word in found) / len(found) if found else 0.0
