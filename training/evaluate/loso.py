"""Leave one source out of training at a time and see how much of its labels the others teach.

guardrail eval loso --recipe detector --data POOL --out loso.json
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from guardrail.training.data.schema import LABELS, Row
from guardrail.training.detector.mix import load_rows
from guardrail.training.detector.recipe import Recipe
from guardrail.training.evaluate.baseline import NAME, fit, vocabulary
from guardrail.training.evaluate.metrics import auc
from guardrail.training.evaluate.section import Figures, Section

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MIN_OF_EACH = 10
DEV_CAP = 800
Tell = Callable[[str], None]


def source_of(row: Row) -> str:
    """Return the source that is left out with a row: its pool file, or its authored brief."""
    parts = row.source.split("/")
    return "/".join(parts[:2]) if parts[0] == "authored" else parts[0]


class Learner(Protocol):
    """Train on the rows that a mask keeps and score every row."""

    @property
    def name(self) -> str:
        """What its column is called."""

    def scores(self, keep: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """Return each label's scores of all rows, (N,); a label that cannot be learned is missing."""


class BagLearner:
    """The tf-idf baseline, its vocabulary made once over all rows, without their labels."""

    name = NAME

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._features: csr_matrix = vocabulary([row.text for row in rows])[1]

    def scores(self, keep: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """Return each label's scores of all rows, (N,)."""
        models = {label: fit(self._features, self._rows, label, keep) for label in labels}
        return {label: model.decision_function(self._features) for label, model in models.items() if model is not None}


def run(recipe: Recipe, pool: Path, base: str, cap: int, tell: Tell = print) -> list[Section]:
    """Return the table of the baseline and, where ``base`` names an encoder (a folder or a hub id), of that one too."""
    rows = drawn(load_rows(recipe, pool), cap, recipe.seed)
    tell(f"{len(rows)} rows, {sum(row.fold == 'train' for row in rows)} of them to train on")
    sections = [loso(rows, BagLearner(rows), tell)]
    if base:
        from guardrail.training.evaluate.loso_encoder import EncoderLearner

        sections.append(loso(rows, EncoderLearner(rows, base, recipe), tell))
    return sections


def loso(rows: Sequence[Row], learner: Learner, tell: Tell = print) -> Section:
    """Return, per source and label, the dev AUC with the source in training and without it.

    Sources whose dev fold has fewer than ten of each class take part in training only.
    """
    train = np.array([row.fold == "train" for row in rows])
    sources = np.array([source_of(row) for row in rows])
    tested = _tested(rows, sources)
    inside = learner.scores(train, sorted({label for _, label in tested}))
    found: dict[str, dict[str, Figures]] = {}
    for source in dict.fromkeys(source for source, _ in tested):
        labels = [label for name, label in tested if name == source]
        outside = learner.scores(train & (sources != source), labels)
        for label in labels:
            at, truth = tested[source, label]
            with_it, without = (auc(s[label][at], truth) if label in s else math.nan for s in (inside, outside))
            figures = {"dev_rows": float(len(at)), "auc_with_it": with_it, "auc_left_out": without}
            found[f"{source}: {label}"] = {learner.name: {**figures, "lost": with_it - without}}
        tell(f"{source}: {', '.join(labels)}")
    note = "AUC on a source's dev fold when its train fold was learned, and when only the other sources were."
    return Section(f"loso.{learner.name}", f"Leave one source out, {learner.name}", note, dict(sorted(found.items())))


def drawn(rows: Sequence[Row], cap: int, seed: int) -> list[Row]:
    """Return at most ``cap`` labelled training rows, drawn by ``seed``, and up to 800 dev rows of each source."""
    train = [row for row in rows if row.fold == "train" and row.labels]
    random.Random(f"{seed}/loso").shuffle(train)
    dev: dict[str, list[Row]] = {}
    for row in rows:
        if row.fold == "dev" and row.labels:
            dev.setdefault(source_of(row), []).append(row)
    return train[:cap] + [row for found in dev.values() for row in found[:DEV_CAP]]


def _tested(rows: Sequence[Row], sources: np.ndarray) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    dev = np.array([row.fold == "dev" for row in rows])
    tested = {}
    for source in sorted(set(sources[dev])):
        for label in LABELS:
            own = [int(i) for i in np.flatnonzero(dev & (sources == source))]
            at = np.array([i for i in own if label in rows[i].labels], np.int64)
            truth = np.array([rows[i].labels[label] for i in at], int)
            if len(at) and min(truth.sum(), (1 - truth).sum()) >= MIN_OF_EACH:
                tested[str(source), label] = (at, truth)
    return tested
