"""Retrieve the (biased, neutral) pairs that are most like a sentence, to show them to a prompted model."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

Pair = tuple[str, str]
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Shots:
    """The ``count`` nearest of ``pairs`` by the cosine of their idf-weighted words, the same ones each time.

    A pair whose source is the sentence itself is never shown: it would give the answer away.
    """

    def __init__(self, pairs: Sequence[Pair], count: int) -> None:
        self._pairs, self._count = list(pairs), count
        bags = [Counter(_words(source)) for source, _ in self._pairs]
        found = Counter(word for bag in bags for word in bag)
        self._idf = {word: math.log((1 + len(bags)) / (1 + n)) + 1 for word, n in found.items()}
        self._places: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for index, bag in enumerate(bags):
            for word, weight in self._weighted(bag).items():
                self._places[word].append((index, weight))

    def near(self, sentence: str) -> list[Pair]:
        """Return the nearest pairs, the nearest last, where a model minds it most; fewer where few share a word."""
        words = _words(sentence)
        scores: dict[int, float] = defaultdict(float)
        for word, weight in self._weighted(Counter(words)).items():
            for index, other in self._places.get(word, ()):
                scores[index] += weight * other
        order = sorted(scores, key=lambda index: (-scores[index], index))
        chosen = (index for index in order if _words(self._pairs[index][0]) != words)
        best = [self._pairs[index] for index, _ in zip(chosen, range(self._count), strict=False)]
        return best[::-1]

    def _weighted(self, bag: Counter[str]) -> dict[str, float]:
        weights = {word: n * self._idf.get(word, 0.0) for word, n in bag.items()}
        length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
        return {word: weight / length for word, weight in weights.items()}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
