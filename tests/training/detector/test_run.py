"""Check the run from pool to student, and that it goes on where it stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from guardrail.errors import ConfigError
from guardrail.training.data.pool import sha256_of
from guardrail.training.detector import run
from guardrail.training.detector.batches import encode, tokenizer_of
from guardrail.training.detector.mix import training_rows
from guardrail.training.detector.recipe import Recipe
from tests.training.detector.conftest import RECIPE, Trained

pytestmark = pytest.mark.training


def call(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr("sys.argv", ["run", *arguments, "--threads", "1"])
    run.main()


def test_a_run_leaves_teacher_soft_labels_and_student(trained: Trained) -> None:
    for stage in run.STAGES:
        report = json.loads((trained.work / stage / "loop.json").read_text(encoding="utf-8"))["report"]
        assert report["complete"]
        assert (trained.work / stage / "weights.safetensors").stat().st_size > 10_000
    assert (trained.work / "teacher" / "int8.onnx").exists()
    assert not list(trained.work.rglob("*.partial*"))


def test_there_is_a_soft_label_for_each_training_row(trained: Trained) -> None:
    rows = training_rows(Recipe.read(trained.recipe), trained.pool)
    items = encode(rows, tokenizer_of(str(trained.student)), 48)
    with np.load(trained.work / "soft.npz", allow_pickle=False) as soft:
        assert soft["lengths"].tolist() == [len(item.ids) for item in items]
        assert len(soft["labels"]) == len(soft["groups"]) == len(items)
        assert len(soft["tokens"]) == soft["lengths"].sum()
        for name in ("labels", "groups", "tokens"):
            assert 0 <= soft[name].min() < soft[name].max() <= 1


def test_a_finished_run_is_left_as_it_is(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in trained.work.rglob("*") if path.is_file()}
    call(monkeypatch, trained.arguments())
    assert {path: path.read_bytes() for path in trained.work.rglob("*") if path.is_file()} == before


def test_a_run_that_lost_its_student_makes_the_same_one_again(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(trained.work, work)
    shutil.rmtree(work / "student")
    call(monkeypatch, trained.arguments(work=work))
    names = ("student/weights.safetensors", "soft.npz")
    assert all((work / name).read_bytes() == (trained.work / name).read_bytes() for name in names)


def test_soft_labels_of_other_rows_are_refused(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = tmp_path / "other.toml"
    recipe.write_text(RECIPE.replace("cad = 24", "cad = 20"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"soft\.npz was made with other rows"):
        call(monkeypatch, trained.arguments(recipe=recipe))


def test_soft_labels_can_come_from_the_unquantised_teacher(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe, work = tmp_path / "fp32.toml", tmp_path / "work"
    recipe.write_text(RECIPE.replace("int8_labels = true", "int8_labels = false"), encoding="utf-8")
    for stage in ("teacher", "finish"):
        shutil.copytree(trained.work / stage, work / stage)
    call(monkeypatch, trained.arguments(recipe=recipe, work=work))
    with np.load(work / "soft.npz") as ours, np.load(trained.work / "soft.npz") as quantised:
        difference = np.abs(ours["labels"] - quantised["labels"])
    assert 0 < difference.mean() < 0.03


def test_a_missing_pool_file_is_named(trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lacks bold_wiki\.jsonl\.gz, cad\.jsonl\.gz"):
        call(monkeypatch, trained.arguments(data=tmp_path, work=tmp_path / "work"))


# ---- stops


def test_a_run_stops_after_the_stage_asked_for(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    call(monkeypatch, [*trained.arguments(work=work), "--until", "teacher"])
    assert {path.name for path in work.iterdir()} == {"teacher", "run.json"}
    call(monkeypatch, [*trained.arguments(work=work), "--until", "finish"])
    assert {path.name for path in work.iterdir()} == {"teacher", "finish", "run.json"}
    for name in ("teacher/weights.safetensors", "finish/weights.safetensors"):
        assert (work / name).read_bytes() == (trained.work / name).read_bytes()
    assert len(json.loads((work / "run.json").read_text(encoding="utf-8"))["calls"]) == 2


def test_the_finish_goes_on_from_the_teacher(trained: Trained) -> None:
    from safetensors.torch import load_file

    first, last = (load_file(trained.work / stage / "weights.safetensors") for stage in ("teacher", "finish"))
    moved = {name for name in first if not first[name].equal(last[name])}
    assert "label_head.weight" in moved
    assert not [name for name in moved if "embeddings" in name or ".layer.0." in name]


def test_an_unknown_stage_is_refused(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        call(monkeypatch, [*trained.arguments(), "--until", "rounded"])


# ---- rounding


def test_a_student_can_end_through_the_rounding(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe, work = tmp_path / "rounded.toml", tmp_path / "work"
    recipe.write_text(RECIPE.replace("gold_share", "quantise_aware_steps = 3\ngold_share"), encoding="utf-8")
    shutil.copytree(trained.work, work)
    call(monkeypatch, trained.arguments(recipe=recipe, work=work))
    report = json.loads((work / "rounded" / "loop.json").read_text(encoding="utf-8"))["report"]
    assert (report["steps"], report["complete"]) == (3, True)
    student, rounded = ((work / stage / "weights.safetensors").read_bytes() for stage in ("student", "rounded"))
    assert student == (trained.work / "student" / "weights.safetensors").read_bytes()
    assert rounded != student and len(rounded) == len(student)
    assert run.last_stage(Recipe.read(recipe)) == "rounded"
    assert run.last_stage(Recipe.read(trained.recipe)) == "student"


# ---- record


def test_a_run_records_what_it_was_made_from(trained: Trained) -> None:
    facts = json.loads((trained.work / "run.json").read_text(encoding="utf-8"))
    recipe = Recipe.read(trained.recipe)
    assert (facts["recipe"], facts["recipe_sha256"], facts["seed"]) == (recipe.raw, recipe.sha256, 5)
    assert (facts["teacher_base"], facts["student_base"]) == (trained.teacher.name, trained.student.name)
    assert facts["data_sha256"]["cad"] == sha256_of(trained.pool, "cad")
    assert facts["data_sha256"]["redditbias"] == sha256_of(trained.pool, "redditbias")
    assert len(facts["calls"]) == 1 and facts["calls"][0]["seconds"] > 0
    assert str(trained.pool.parent) not in json.dumps(facts)
