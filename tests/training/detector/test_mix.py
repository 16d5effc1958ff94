"""Check which rows each stage of a run sees, how often, and which of them are noisy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from guardrail.training.data.schema import Row
from guardrail.training.detector.mix import count_by_source, finish_rows, load_rows, public_rows, training_rows
from guardrail.training.detector.recipe import Recipe
from tests.training import tiny
from tests.training.detector.conftest import RECIPE

pytestmark = pytest.mark.training

PUBLIC = {"bold_wiki", "cad", "pairs_wnc_small", "toxic_spans"}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.pool(tmp_path_factory.mktemp("pool"))


def recipe(tmp_path: Path, **data: float) -> Recipe:
    """Return the tiny recipe with other settings of its data."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    raw: dict[str, Any] = dict(Recipe.read(path).raw)
    return Recipe(raw | {"data": raw["data"] | data})


def of(rows: list[Row], room: str) -> list[Row]:
    return [row for row in rows if row.source.split("/")[0] == room]


def test_labelled_rows_come_once_clean_and_of_both_folds(tmp_path: Path, pool: Path) -> None:
    rows = load_rows(recipe(tmp_path, noise_share=1.0), pool)
    authored = of(rows, "authored")
    assert {row.source.split("/")[0] for row in rows} == PUBLIC | {"authored"}
    assert {row.fold for row in rows} == {"train", "dev"}
    assert {row.weight for row in authored} == {1.5}
    assert max(Counter((row.source, row.text) for row in authored).values()) == 1
    assert all(row.text.isascii() for row in of(rows, "cad"))


def test_no_held_out_row_is_read(tmp_path: Path, pool: Path) -> None:
    rows = training_rows(recipe(tmp_path), pool)
    assert not [row for row in rows if row.source.startswith("authored/heldout")]


def test_a_teacher_begins_with_its_share_of_the_public_training_rows(tmp_path: Path, pool: Path) -> None:
    rows = public_rows(recipe(tmp_path), pool)
    assert len(rows) == 60
    assert {row.fold for row in rows} == {"train"}
    assert {row.source.split("/")[0] for row in rows} == PUBLIC


def test_a_teacher_ends_with_the_authored_rows_and_some_labelled_public_ones(tmp_path: Path, pool: Path) -> None:
    settings = recipe(tmp_path, noise_share=0.0)
    rows, everything = finish_rows(settings, pool), training_rows(settings, pool)
    assert of(rows, "authored") == of(everything, "authored")
    replay = [row for row in rows if not row.source.startswith("authored/")]
    assert len(replay) == 10
    assert all(row.labels and row.source.split("/")[0] in PUBLIC for row in replay)


@pytest.mark.parametrize("most", [0, 50, 10_000])
def test_a_student_sees_a_sample_of_the_public_rows_and_all_others(tmp_path: Path, pool: Path, most: int) -> None:
    rows = training_rows(recipe(tmp_path, student_rows=most, noise_share=0.0), pool)
    every = [row for row in load_rows(recipe(tmp_path), pool) if row.fold == "train"]
    public = [row for row in every if not row.source.startswith("authored/")]
    sample = [row for row in rows if row.source.split("/")[0] in PUBLIC]
    assert len(sample) == min(most, len(public))
    assert all(row in public for row in sample)
    assert len(of(rows, "authored")) == 2 * len(of(every, "authored"))
    assert len(rows) == len(sample) + len(of(rows, "authored")) + len(of(rows, "unlabelled"))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_student_sees_every_authored_row_as_often_as_the_recipe_says(tmp_path: Path, pool: Path, times: int) -> None:
    settings = recipe(tmp_path, authored_repeat=times, noise_share=0.0)
    rows = training_rows(settings, pool)
    once = Counter(row.text for row in of(load_rows(settings, pool), "authored") if row.fold == "train")
    assert Counter(row.text for row in of(rows, "authored")) == {text: times * n for text, n in once.items()}


def test_repetitions_draw_noise_of_their_own(tmp_path: Path, pool: Path) -> None:
    settings = recipe(tmp_path, authored_repeat=2, noise_share=1.0)
    authored = of(training_rows(settings, pool), "authored")
    half = len(authored) // 2
    assert sum(a.text != b.text for a, b in zip(authored[:half], authored[half:], strict=True)) > half / 3


def test_a_student_hears_its_teacher_on_unlabelled_text(tmp_path: Path, pool: Path) -> None:
    rows = of(training_rows(recipe(tmp_path, noise_share=0.0), pool), "unlabelled")
    assert len(rows) == 12
    assert {row.source for row in rows} == {"unlabelled/redditbias"}
    assert not [row for row in rows if row.labels or row.groups or row.spans is not None]


def test_no_row_of_the_dev_fold_that_has_a_label_is_trained_on(tmp_path: Path, pool: Path) -> None:
    settings = recipe(tmp_path, noise_share=0.0)
    for rows in (public_rows(settings, pool), finish_rows(settings, pool), training_rows(settings, pool)):
        assert not [row for row in rows if row.labels and row.fold == "dev"]


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.0), (0.3, 0.1, 0.3), (1.0, 0.5, 0.75)])
def test_the_recipe_s_share_of_rows_is_disturbed(
    tmp_path: Path, pool: Path, share: float, low: float, high: float
) -> None:
    clean = training_rows(recipe(tmp_path, noise_share=0.0), pool)
    noisy = training_rows(recipe(tmp_path, noise_share=share), pool)
    assert [row.source for row in noisy] == [row.source for row in clean]
    changed = sum(a.text != b.text for a, b in zip(clean, noisy, strict=True)) / len(clean)
    assert low <= changed <= high


def test_the_same_recipe_gives_the_same_rows(tmp_path: Path, pool: Path) -> None:
    settings = recipe(tmp_path)
    for rows_of in (public_rows, finish_rows, training_rows):
        assert rows_of(settings, pool) == rows_of(settings, pool)


def test_sources_are_counted_the_largest_first() -> None:
    rows = [Row("a", "x"), Row("b", "y"), Row("c", "y")]
    assert list(count_by_source(rows).items()) == [("y", 2), ("x", 1)]
    assert count_by_source([]) == {}
