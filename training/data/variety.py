"""Measure how varied texts are: distinct word triples, and how near each text's nearest neighbour is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, hstack
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer

from guardrail.training.data.overlap import words_of

CHUNK = 512
KIN = 0.2


@dataclass(frozen=True, slots=True)
class Nearness:
    """Mean and 95th percentile, over texts, of the similarity to the nearest neighbour, in [0, 1]; NaN for none."""

    mean: float
    p95: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts by place, and their similarity in [0, 1]."""

    one: int
    other: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest neighbour of each of N texts in its own set and in the other sets: similarity (N,) and place (N,).

    The similarity is -1 where there is no such neighbour.
    """

    inside: np.ndarray
    inside_at: np.ndarray
    outside: np.ndarray
    outside_at: np.ndarray


def distinct_trigrams(texts: Sequence[str]) -> float:
    """Return the share of distinct ones among all word triples (distinct-3, Li et al. 2016); NaN for no triple."""
    triples = [triple for text in texts for triple in _triples(words_of(text))]
    return len(set(triples)) / len(triples) if triples else float("nan")


def _triples(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + 3]) for i in range(len(words) - 2)]


def neighbours(texts: Sequence[str], sets: Sequence[str]) -> Neighbours:
    """Find each text's nearest neighbours; ``sets`` names the set of each text.

    The similarity is the mean of two tf-idf cosines: of words and word pairs, and of three to five characters in
    words.
    """
    vectors, home = _vectors(texts), np.unique(np.array(sets), return_inverse=True)[1]
    best = np.full((2, len(texts)), -1.0)
    at = np.zeros((2, len(texts)), int)
    for start in range(0, len(texts), CHUNK):
        near = (vectors[start : start + CHUNK] @ vectors.T).toarray()
        rows = np.arange(len(near))
        same = home[start : start + len(near), None] == home[None, :]
        near[rows, start + rows] = -1.0
        for side, seen in enumerate((same, ~same)):
            masked = np.where(seen, near, -1.0)
            at[side, start + rows] = masked.argmax(1)
            best[side, start + rows] = masked.max(1)
    return Neighbours(best[0], at[0], best[1], at[1])


def _vectors(texts: Sequence[str]) -> csr_matrix:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    # Two unit vectors side by side, scaled so that the dot product is the mean of the two cosines.
    return hstack([words.fit_transform(texts), letters.fit_transform(texts)]).tocsr() / np.sqrt(2)


def nearness(similarities: np.ndarray) -> Nearness:
    """Summarise nearest similarities; texts without a neighbour take no part."""
    known = similarities[similarities >= 0]
    if not len(known):
        return Nearness(float("nan"), float("nan"))
    return Nearness(float(known.mean()), float(np.percentile(known, 95)))


def families(near: Neighbours) -> list[int]:
    """Return a number for each text, the same for texts linked through neighbours in their set, ``KIN`` or nearer."""
    linked, count = np.flatnonzero(near.inside >= KIN), len(near.inside)
    links = coo_matrix((np.ones(len(linked)), (linked, near.inside_at[linked])), shape=(count, count))
    return [int(family) for family in connected_components(links, directed=False)[1]]


def closest(similarities: np.ndarray, places: np.ndarray, count: int) -> list[Pair]:
    """Return the most similar pairs, each once, the most similar first."""
    pairs: dict[tuple[int, int], float] = {}
    for i in np.argsort(-similarities, kind="stable"):
        if similarities[i] >= 0 and len(pairs) < count:
            pairs.setdefault((min(i, places[i]), max(i, places[i])), float(similarities[i]))
    return [Pair(int(one), int(other), similarity) for (one, other), similarity in pairs.items()]


def yardstick(texts: Sequence[str], size: int, seed: int) -> tuple[float, Nearness]:
    """Return distinct triples and nearness of ``size`` texts drawn by ``seed``; both depend on the number of texts."""
    drawn = random.Random(seed).sample(list(texts), min(size, len(texts)))
    return distinct_trigrams(drawn), nearness(neighbours(drawn, [""] * len(drawn)).inside)
