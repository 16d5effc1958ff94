"""Mix the rows of a detector run: public, authored, unlabelled, a share of them noisy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from guardrail.text.windows import split_sentences
from guardrail.training.data.authored import detector_rows, read_authored
from guardrail.training.data.noise import with_noise
from guardrail.training.data.pool import read_pool, read_unlabelled
from guardrail.training.data.schema import Row
from guardrail.training.detector.recipe import Recipe


def load_rows(recipe: Recipe, pool: Path) -> list[Row]:
    """Return the recipe's labelled rows, both folds: the pool's share, then each authored row once."""
    data = recipe.raw["data"]
    public = read_pool(pool, data["caps"], split_sentences, recipe.seed)
    return public + list(detector_rows(read_authored(), weight=float(data["authored_weight"])))


def public_rows(recipe: Recipe, pool: Path) -> list[Row]:
    """Return the public training rows that a teacher begins with, shuffled, noise and all."""
    data = recipe.raw["data"]
    rows = [row for row in read_pool(pool, data["caps"], split_sentences, recipe.seed) if row.fold == "train"]
    random.Random(recipe.seed).shuffle(rows)
    return with_noise(rows[: int(data["teacher_rows"])], float(data["noise_share"]), recipe.seed)


def finish_rows(recipe: Recipe, pool: Path) -> list[Row]:
    """Return the rows that a teacher ends with: the authored ones and some public ones against forgetting."""
    rows = _mixed(recipe, pool, None)
    replay = [row for row in rows if not _authored(row) and row.labels]
    random.Random(recipe.seed + 1).shuffle(replay)
    return [row for row in rows if _authored(row)] + replay[: int(recipe.raw["finish"]["replay"])]


def training_rows(recipe: Recipe, pool: Path) -> list[Row]:
    """Return all training rows of the student: labelled, authored (repeated) and unlabelled ones, noise and all."""
    return _mixed(recipe, pool, int(recipe.raw["data"]["student_rows"]))


def _mixed(recipe: Recipe, pool: Path, most: int | None) -> list[Row]:
    data = recipe.raw["data"]
    rows = [row for row in load_rows(recipe, pool) if row.fold == "train"]
    authored = [row for row in rows if _authored(row)]
    if most is not None:
        public = [row for row in rows if not _authored(row)]
        rows = random.Random(recipe.seed + 2).sample(public, min(most, len(public))) + authored
    extra = authored * (int(data["authored_repeat"]) - 1)
    free = read_unlabelled(pool, data["unlabelled"], split_sentences, recipe.seed)
    # Each repetition draws its own noise, so that most authored rows are seen clean and disturbed.
    return with_noise([*rows, *extra, *free], float(data["noise_share"]), recipe.seed)


def _authored(row: Row) -> bool:
    return row.source.startswith("authored/")


def count_by_source(rows: Sequence[Row]) -> dict[str, int]:
    """Return the number of rows of each source, the largest first."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.source] = counts.get(row.source, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
