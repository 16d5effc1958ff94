"""Judge rewrites by detectors that are not the shipped one, each in a column of its own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from guardrail.errors import ConfigError
from guardrail.models.bundle import Bundle, open_bundle
from guardrail.models.store import find
from guardrail.policy import Policy
from guardrail.training.data.pool import CLEAN_REPLIES, clean_replies
from guardrail.training.data.schema import LABELS
from guardrail.training.detector.mix import load_rows
from guardrail.training.detector.recipe import Recipe
from guardrail.training.evaluate.baseline import Bag, train
from guardrail.training.evaluate.systems import System, open_system, score

SEED = 17
TARGET = "fpr<=0.01"
Place = str | Path


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What one judge says of N sources and of every system's rewrites of them: flagged or not, (N,) of bool."""

    before: np.ndarray
    after: Mapping[str, np.ndarray]


def open_judges(places: Mapping[str, Place], policy: Policy, shipped: Bundle) -> list[System]:
    """Open detector bundles as judges, by name or folder.

    Raises:
        ConfigError: one of them has the weights of the detector that is being measured with: it would judge itself.
        ModelError: one cannot be used.
    """
    judges: list[System] = []
    for name, place in places.items():
        bundle = open_bundle(place) if isinstance(place, Path) else find(place)
        if bundle.files.get("model.onnx") == shipped.files.get("model.onnx"):
            raise ConfigError(f"--judge {name!r} is the shipped detector itself; give another one")
        judges.append(open_system(place, policy, name))
    return judges


def tf_idf(pool: Path, recipe: Recipe, rows: int, threshold: float | str = TARGET) -> Bag:
    """Train the judge that always exists: a bag of words on the pool's train fold.

    ``threshold`` is a number, or a target such as "fpr<=0.01", for which the bag gets thresholds of its own.
    """
    found = [row for row in load_rows(recipe, pool) if row.fold == "train"]
    random.Random(SEED).shuffle(found)
    bag = train(found[:rows])
    if not isinstance(threshold, str):
        return replace(bag, limits=dict.fromkeys(LABELS, threshold))
    try:
        return bag.calibrated(clean_replies(pool, "train", CLEAN_REPLIES), float(threshold.removeprefix("fpr<=")))
    except (KeyError, ValueError):
        raise ConfigError(f"the tf-idf judge has no thresholds for {threshold!r}; take {TARGET}, or a number") from None


def verdicts(judge: System, sources: Sequence[str], rewrites: Mapping[str, Sequence[str]]) -> Verdicts:
    """Judge sources and rewrites, every different text once."""
    texts = list(dict.fromkeys([*sources, *(text for texts in rewrites.values() for text in texts)]))
    flagged = dict(zip(texts, score(judge, texts).flagged.tolist(), strict=True))
    after = {name: np.array([flagged[text] for text in texts], bool) for name, texts in rewrites.items()}
    return Verdicts(np.array([flagged[text] for text in sources], bool), after)
