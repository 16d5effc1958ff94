"""Measure how verdicts hold under disturbed spelling, and in long texts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from guardrail.training.data.noise import FAMILIES, HELD_OUT, disturb
from guardrail.training.data.schema import Row
from guardrail.training.evaluate.cases import Case
from guardrail.training.evaluate.metrics import auc, interval, mean
from guardrail.training.evaluate.section import Figures, Section
from guardrail.training.evaluate.systems import Scored, System, score

LEVELS = (0.12, 0.4, 1.0)
CLEAN = "clean"
PAGE_WORDS = 300
PAGES = 10
PLACES = {"start": 0.0, "middle": 0.5, "end": 1.0}


def sample(cases: Sequence[Case], each: int, seed: int) -> list[Case]:
    """Return up to ``each`` biased and as many blameless cases of at most 400 characters, drawn by ``seed``."""
    rng = random.Random(f"{seed}/sample")
    chosen = []
    for side in (1, 0):
        fitting = [case for case in cases if case.biased == side and len(case.text) <= 400]
        rng.shuffle(fitting)
        chosen += fitting[:each]
    return chosen


def noise(systems: Sequence[System], cases: Sequence[Case], seed: int) -> Section:
    """Disturb biased and blameless texts by family and share of words; the families never trained on are named."""
    versions = {CLEAN: [case.text for case in cases]}
    for family in FAMILIES:
        for level in LEVELS:
            name = f"{family}{' (never trained on)' if family in HELD_OUT else ''}, {level:.0%}"
            versions[name] = [_disturbed(case, family, level, f"{seed}/{i}") for i, case in enumerate(cases)]
    truth = np.array([int(case.biased or 0) for case in cases], int)
    rows: dict[str, dict[str, Figures]] = {name: {} for name in versions}
    for system in systems:
        found = {name: score(system, texts) for name, texts in versions.items()}
        for name, scored in found.items():
            rows[name][system.name] = _disturbed_figures(scored, found[CLEAN], truth)
    note = (
        "A share of each text's words disturbed in one way: AUC of any label and its drop, biased and blameless texts "
        "flagged by a label, and texts whose disguise was reported as such."
    )
    return Section("robustness.noise", "Noise curve", note, rows)


def _disturbed(case: Case, family: str, level: float, seed: str) -> str:
    return disturb(Row(case.text, case.bucket), random.Random(f"{seed}/{family}/{level}"), level, (family,)).text


def _disturbed_figures(scored: Scored, clean: Scored, truth: np.ndarray) -> Figures:
    low, high = interval(_drop, clean.highest, scored.highest, truth, rounds=200)
    return {
        "texts": float(len(truth)),
        "auc": auc(scored.highest, truth),
        "auc_drop": _drop(clean.highest, scored.highest, truth),
        "auc_drop_low": low,
        "auc_drop_high": high,
        "recall": mean(scored.flagged[truth == 1]),
        "false_positives": mean(scored.flagged[truth == 0]),
        "disguise_reported": mean(scored.disguised),
    }


def _drop(before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> float:
    return auc(before, truth) - auc(after, truth)


def pages(texts: Sequence[str], words: int, count: int, seed: int) -> list[str]:
    """Return ``count`` documents of at least ``words`` words, each of whole texts drawn without repetition.

    Fewer come back where the texts do not suffice.
    """
    documents: list[str] = []
    rng = random.Random(f"{seed}/pages")
    order = list(texts)
    rng.shuffle(order)
    current: list[str] = []
    for text in order:
        current.append(text)
        if sum(len(part.split()) for part in current) >= words:
            documents.append("\n\n".join(current))
            current = []
        if len(documents) == count:
            break
    return documents


def long_texts(systems: Sequence[System], clean: Sequence[str], count: int, seed: int) -> Section:
    """Measure the share of neutral documents flagged, of one page (300 words) and of ten."""
    documents = {
        "one page": pages(clean, PAGE_WORDS, count, seed),
        "ten pages": pages(clean, PAGES * PAGE_WORDS, max(1, count // 2), seed + 1),
    }
    rows: dict[str, dict[str, Figures]] = {}
    for name, texts in documents.items():
        if texts:
            rows[name] = {system.name: _long(score(system, texts), texts) for system in systems}
    note = "Documents of clean prose and clean replies, whole texts joined: share flagged, and findings a document."
    return Section("robustness.long", "Ten neutral pages against one", note, rows)


def _long(scored: Scored, texts: Sequence[str]) -> Figures:
    low, high = interval(mean, scored.flagged.astype(float))
    return {
        "documents": float(len(texts)),
        "words": mean([len(text.split()) for text in texts]),
        "false_positives": mean(scored.flagged),
        "false_positives_low": low,
        "false_positives_high": high,
        "findings": mean([len(spans) for spans in scored.spans]),
    }


def positions(systems: Sequence[System], biased: Sequence[str], clean: Sequence[str], seed: int) -> Section:
    """Put one biased sentence at the start, the middle and the end of ten neutral pages that are not flagged.

    Only sentences that a system flags alone count for it: what is measured is the place, not the sentence.
    """
    rows: dict[str, dict[str, Figures]] = {place: {} for place in PLACES}
    for system in systems:
        page = _unflagged(system, clean, seed)
        alone = [text for text, hit in zip(biased, score(system, biased).flagged, strict=True) if hit]
        for place, share in PLACES.items():
            at = round(share * len(page))
            texts = ["\n\n".join([*page[:at], sentence, *page[at:]]) for sentence in alone]
            found = score(system, texts)
            rows[place][system.name] = {
                "sentences": float(len(alone)),
                "words": float(sum(len(text.split()) for text in page)),
                "recall": mean(found.flagged),
            }
    note = "One biased sentence that is flagged alone, put into ten neutral pages: share of documents flagged."
    return Section("robustness.position", "One bad sentence in ten pages", note, rows)


def _unflagged(system: System, clean: Sequence[str], seed: int) -> list[str]:
    """Return texts of ten pages in all, none of which the system flags by itself."""
    order = list(clean)
    random.Random(f"{seed}/page").shuffle(order)
    kept: list[str] = []
    words = 0
    for text, hit in zip(order, score(system, order).flagged, strict=True):
        if not hit and words < PAGES * PAGE_WORDS:
            kept.append(text)
            words += len(text.split())
    return kept
