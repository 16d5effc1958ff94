"""Find texts that are equal but for case and punctuation, or nearly copies of each other."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

# Texts that share so many words say the same; unrelated ones on one topic stay under .45.
NEAR = 0.6
_TINY = 1e-9


def words_of(text: str) -> list[str]:
    """Return a text's words, compatibility forms unified and case folded, without punctuation."""
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def folded(text: str) -> str:
    """Return a form that is equal for texts that differ only in case, spaces or punctuation."""
    return " ".join(words_of(text)) or text.strip()


def near_copies(left: Sequence[str], right: Sequence[str], least: float = NEAR) -> list[tuple[int, int]]:
    """Return the pairs (i, j) whose sets of words have a Jaccard index of ``least`` (0..1) or more, in order.

    Pairs are looked for among texts that share one of their rarest words, which misses none (prefix filtering,
    Bayardo et al. 2007). A text without words is nobody's copy.
    """
    sets = [[frozenset(words_of(text)) for text in side] for side in (left, right)]
    counts = Counter(word for side in sets for words in side for word in words)

    def rarest(words: frozenset[str]) -> list[str]:
        ranked = sorted(words, key=lambda word: (counts[word], word))
        return ranked[: len(words) - math.ceil(least * len(words) - _TINY) + 1]

    holders: defaultdict[str, set[int]] = defaultdict(set)
    for j, words in enumerate(sets[1]):
        for word in rarest(words):
            holders[word].add(j)
    pairs = []
    for i, words in enumerate(sets[0]):
        for j in sorted({j for word in rarest(words) for j in holders[word]}):
            if len(words & sets[1][j]) >= least * len(words | sets[1][j]) - _TINY:
                pairs.append((i, j))
    return pairs
