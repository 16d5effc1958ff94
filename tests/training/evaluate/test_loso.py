"""Check what leaving a source out costs, on sources that share a word and one that is alone with its own."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from guardrail.training.data.schema import Row
from guardrail.training.detector.recipe import Recipe
from guardrail.training.evaluate import loso
from guardrail.training.evaluate.loso import DEV_CAP, BagLearner, drawn, source_of
from guardrail.training.evaluate.loso_encoder import EncoderLearner
from tests.training import tiny
from tests.training.detector.conftest import RECIPE

pytestmark = pytest.mark.training


def rows(source: str, bad: str, label: str = "toxicity", count: int = 40, good: str = "clerk") -> list[Row]:
    made = []
    for i in range(count):
        fold = "dev" if i % 2 else "train"
        made.append(Row(f"the {bad} left {source} {i}", source, labels={label: 1}, fold=fold))
        made.append(Row(f"the {good} left {source} {i}", source, labels={label: 0}, fold=fold))
    return made


SHARED = [*rows("cad", "idiot"), *rows("stormfront", "idiot"), *rows("wiki", "draconian", good="mild")]


def test_a_source_is_its_pool_file_or_its_brief() -> None:
    names = ("pairs_wnc_small/neutral", "authored/contrast/rewrite", "edos")
    assert [source_of(Row("x", name)) for name in names] == ["pairs_wnc_small", "authored/contrast", "edos"]


def test_what_others_teach_is_kept_and_what_they_do_not_is_lost() -> None:
    told: list[str] = []
    section = loso.loso(SHARED, BagLearner(SHARED), told.append)
    assert list(section.rows) == ["cad: toxicity", "stormfront: toxicity", "wiki: toxicity"]
    shared, alone = (section.rows[f"{name}: toxicity"]["tf-idf"] for name in ("cad", "wiki"))
    assert (shared["dev_rows"], shared["auc_with_it"], shared["auc_left_out"], shared["lost"]) == (40, 1, 1, 0)
    assert alone["auc_with_it"] == 1
    assert alone["auc_left_out"] < 0.8
    assert alone["lost"] == alone["auc_with_it"] - alone["auc_left_out"]
    assert told == ["cad: toxicity", "stormfront: toxicity", "wiki: toxicity"]


def test_a_label_that_no_other_source_has_cannot_be_learned_without_it() -> None:
    both = [*SHARED, *rows("wnc", "draconian", "loaded_language")]
    figures = loso.loso(both, BagLearner(both), lambda line: None).rows["wnc: loaded_language"]["tf-idf"]
    assert figures["auc_with_it"] == 1
    assert math.isnan(figures["auc_left_out"])


def test_sources_with_few_dev_rows_are_not_tested() -> None:
    few = [*SHARED, *rows("edos", "idiot", count=18)]
    assert not [row for row in loso.loso(few, BagLearner(few), lambda line: None).rows if row.startswith("edos")]


def test_training_rows_are_drawn_and_dev_rows_capped() -> None:
    many = rows("cad", "idiot", count=2 * DEV_CAP)
    chosen = drawn([*many, Row("nobody knows", "x", groups={"race": 1})], 100, 7)
    train = [row for row in chosen if row.fold == "train"]
    assert (len(train), len(chosen) - len(train)) == (100, DEV_CAP)
    assert chosen == drawn([*many, Row("nobody knows", "x", groups={"race": 1})], 100, 7)
    assert all(row.labels for row in chosen)


def test_a_small_encoder_takes_the_baseline_s_place(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    recipe, base = Recipe.read(tmp_path / "tiny.toml"), tiny.save_base(tmp_path / "base")
    learner = EncoderLearner(SHARED, str(base), recipe)
    assert learner.name == "base"
    keep = np.array([row.fold == "train" for row in SHARED])
    found = learner.scores(keep, ["toxicity"])
    assert set(found) == {"toxicity"}
    assert found["toxicity"].shape == (len(SHARED),)
    assert ((found["toxicity"] > 0) & (found["toxicity"] < 1)).all()
    again = learner.scores(keep, ["toxicity"])["toxicity"]
    assert again == pytest.approx(found["toxicity"], abs=1e-6)
    assert learner.scores(np.roll(keep, 1), ["toxicity"])["toxicity"] != pytest.approx(found["toxicity"], abs=1e-6)


def test_a_run_reads_the_recipe_s_rows(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    told: list[str] = []
    recipe = Recipe.read(tmp_path / "tiny.toml")
    sections = loso.run(recipe, tiny.pool(tmp_path / "pool"), "", 1000, told.append)
    assert [section.name for section in sections] == ["loso.tf-idf"]
    assert "1000 of them to train on" in told[0]
    assert all(row.startswith("authored/") for row in sections[0].rows)
