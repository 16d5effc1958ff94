"""Measure what a rewrite keeps of its source, on scales where an unrelated text scores about nought.

SR-LLM's and MBIAS's knowledge retention has a floor of one half (methods.md 1.9). Here each raw share is rescaled by
what unrelated texts get, as BERTScore is by its baseline (Zhang et al. 2020, arXiv 1904.09675): 0 for a text about
something else, 1 for one that keeps everything.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from guardrail.rewrite.verify import no_prompt_echo, not_a_reply
from guardrail.text.windows import split_sentences
from guardrail.training.evaluate.rewriting.items import Item

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ENDINGS = re.compile(r"(?<=\w{3})(?:['’]s|ies|ing|ed|es|s|y|e)$")
_STOP = frozenset(
    "a about after again all also am an and any are as at be because been before being but by can could did do does "
    "down for from had has have he her here hers him his how i if in into is it its just may me might more most must "
    "my no nor not of off on once only or other our out over own s same shall she should so some such t than that the "
    "their them then there these they this those through to too under until up very was we were what when where which "
    "while who whom whose why will with would you your yours".split()
)
KEYS = ("retention", "faithfulness", "relevancy")
STEPS = (1, 7, 31)


@dataclass(frozen=True, slots=True)
class Content:
    """The content words of a source: outside the stretches at fault, inside them."""

    kept: Counter[str]
    at_fault: Counter[str]


def content(item: Item) -> Content:
    """Count the stemmed content words of an item; where all of it is at fault, all of it should still be kept."""
    everything = words(item.text)
    # A stretch may cut a word; what is left of it is none.
    outside = words(_blanked(item)) & everything
    return Content(outside or everything, everything - outside)


def words(text: str) -> Counter[str]:
    """Count the content words and numbers of a text, lower-cased and stemmed."""
    return Counter(stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP)


def stem(word: str) -> str:
    """Return a word without its commonest endings, so that "neighbour's" and "neighbours" are one."""
    return _ENDINGS.sub("", word)


def raw(item: Item, rewrite: str) -> tuple[float, float, float]:
    """Return (retention, faithfulness, relevancy) of a rewrite, each a share in [0, 1], not yet rescaled.

    Retention is recall times precision: how many content words outside the stretches at fault are still there, and
    how many of the rewrite's own come from the source or stand for one that was at fault. Faithfulness is that
    precision alone. Relevancy is the share of the rewrite's sentences that stand in the source, or share a content word
    with it and are no reply, lecture or meta-text.
    """
    source, said = content(item), words(rewrite)
    known = source.kept | words(item.text)
    if not known or not said:
        same = float(rewrite == item.text)
        return same, same, same
    recall = (source.kept & said).total() / source.kept.total()
    new = max(0, (said - known).total() - source.at_fault.total())
    faithful = 1 - new / said.total()
    return recall * faithful, faithful, _relevant(item, known, rewrite)


def _relevant(item: Item, known: Counter[str], rewrite: str) -> float:
    sentences = [rewrite[a:b] for a, b in split_sentences(rewrite) if words(rewrite[a:b])]
    if not sentences:
        return 0.0
    fit = [
        one in item.text or (bool(words(one) & known) and not_a_reply(item.text, one) and no_prompt_echo("", one))
        for one in sentences
    ]
    return sum(fit) / len(fit)


def chance(items: Sequence[Item]) -> np.ndarray:
    """Return what unrelated texts get, (3,): the mean of ``raw`` for each item beside the texts of other items.

    Nought where there are too few items to tell.
    """
    steps = [step for step in STEPS if step < len(items)]
    pairs = [(item, items[(i + step) % len(items)].text) for step in steps for i, item in enumerate(items)]
    pairs = [(item, text) for item, text in pairs if text != item.text]
    return np.mean([raw(*pair) for pair in pairs], axis=0) if pairs else np.zeros(len(KEYS))


def kept(items: Sequence[Item], rewrites: Sequence[str], base: np.ndarray) -> dict[str, np.ndarray]:
    """Return retention, faithfulness and relevancy of each rewrite, (N,) each, rescaled by ``base``: at most 1."""
    shares = np.array([raw(item, text) for item, text in zip(items, rewrites, strict=True)], float)
    scaled = (shares.reshape(-1, len(KEYS)) - base) / np.maximum(1 - base, 1e-9)
    return {key: scaled[:, i] for i, key in enumerate(KEYS)}


def _blanked(item: Item) -> str:
    text = item.text
    for start, end in item.spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text
