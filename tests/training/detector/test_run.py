"""Check the run from pool to student, its recipe, and that it goes on where it stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from guardrail.errors import ConfigError
from guardrail.training.detector import run
from guardrail.training.detector.batches import encode
from guardrail.training.detector.run import Recipe, load_rows, tokenizer_of
from tests.training import tiny
from tests.training.detector.conftest import RECIPE, Trained

pytestmark = pytest.mark.training

RECIPES = Path(run.__file__).parents[1] / "recipes"


def read(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return Recipe.read(path)


def call(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr("sys.argv", ["run", *arguments, "--threads", "1"])
    run.main()


# ---- recipe


@pytest.mark.parametrize("name", ["detector", "detector_gpu"])
def test_the_shipped_recipes_are_sound(name: str) -> None:
    recipe = Recipe.read(RECIPES / f"{name}.toml")
    assert recipe.max_tokens <= 126
    for stage in ("teacher", "student"):
        loop = recipe.loop(stage)
        assert loop.seed == recipe.raw["seed"]
        assert loop.epochs >= 1
        assert loop.token_budget >= recipe.max_tokens + 4
    assert not {"redditbias", "stereoset", "diasafety"} & set(recipe.raw["data"]["caps"])


def test_a_stage_takes_its_settings_from_the_recipe(tmp_path: Path) -> None:
    loop = read(tmp_path, RECIPE).loop("student")
    assert (loop.epochs, loop.learning_rate, loop.token_budget, loop.seed) == (2, 2e-3, 800, 5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 5\n", "", "lacks 'seed'"),
        ("[teacher]", "[techer]", "lacks 'teacher'"),
        ("teacher_rows = 60\n", "", r"\[data\] lacks 'teacher_rows'"),
        ("gold_share = 0.5\n", "", r"\[student\] lacks 'gold_share'"),
        ("int8_labels = true", "int8_label = true", r"\[teacher\] has the unknown key 'int8_label'"),
        ("layers = 1", "depth = 1", r"\[student\] has the unknown key 'depth'"),
        ("seed = 5", "seed = 5\nsede = 6", "unknown key 'sede'"),
    ],
)
def test_a_faulty_recipe_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in RECIPE
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, RECIPE.replace(old, new))


# ---- rows and tokenizer


def test_authored_rows_are_repeated_and_weighted_as_the_recipe_says(trained: Trained) -> None:
    rows = load_rows(Recipe.read(trained.recipe), trained.pool)
    authored = [row for row in rows if row.source.startswith("authored/")]
    assert {row.weight for row in authored} == {1.5}
    assert authored[: len(authored) // 2] == authored[len(authored) // 2 :]
    assert {row.source.split("/")[0] for row in rows} == {
        "authored",
        "bold_wiki",
        "cad",
        "pairs_wnc_small",
        "toxic_spans",
    }


def test_no_held_out_row_is_read(trained: Trained) -> None:
    rows = load_rows(Recipe.read(trained.recipe), trained.pool)
    assert not [row for row in rows if row.source.startswith("authored/heldout")]


def test_the_tokenizer_neither_cuts_nor_pads(tmp_path: Path) -> None:
    made = tiny.tokenizer()
    made.enable_truncation(4)
    made.enable_padding(length=9)
    made.save(str(tmp_path / "tokenizer.json"))
    loaded: Tokenizer = tokenizer_of(str(tmp_path))
    assert len(loaded.encode("the plan is late " * 9).ids) == 38
    assert len(loaded.encode("the plan").ids) == 4


# ---- stages


def test_a_run_leaves_teacher_soft_labels_and_student(trained: Trained) -> None:
    for stage in ("teacher", "student"):
        report = json.loads((trained.work / stage / "loop.json").read_text(encoding="utf-8"))["report"]
        assert report["complete"]
        assert (trained.work / stage / "weights.safetensors").stat().st_size > 10_000
    assert (trained.work / "teacher" / "int8.onnx").exists()
    assert not list(trained.work.rglob("*.partial*"))


def test_there_is_a_soft_label_for_each_training_row_and_none_for_dev(trained: Trained) -> None:
    rows = [row for row in load_rows(Recipe.read(trained.recipe), trained.pool) if row.fold == "train"]
    items = encode(rows, tokenizer_of(str(trained.student)), 48)
    with np.load(trained.work / "soft.npz", allow_pickle=False) as soft:
        assert soft["lengths"].tolist() == [len(item.ids) for item in items]
        assert len(soft["labels"]) == len(soft["groups"]) == len(items)
        assert len(soft["tokens"]) == soft["lengths"].sum()
        for name in ("labels", "groups", "tokens"):
            assert 0 <= soft[name].min() < soft[name].max() <= 1


def test_the_teacher_sees_the_authored_rows_and_a_share_of_the_pool(trained: Trained) -> None:
    rows = [row for row in load_rows(Recipe.read(trained.recipe), trained.pool) if row.fold == "train"]
    authored = sum(row.source.startswith("authored/") for row in rows)
    done = json.loads((trained.work / "teacher" / "done").read_text(encoding="utf-8"))
    assert done["rows"] == authored + 60 < len(rows)


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
    shutil.copytree(trained.work / "teacher", work / "teacher")
    call(monkeypatch, trained.arguments(recipe=recipe, work=work))
    with np.load(work / "soft.npz") as ours, np.load(trained.work / "soft.npz") as quantised:
        difference = np.abs(ours["labels"] - quantised["labels"])
    assert 0 < difference.mean() < 0.03


def test_a_missing_pool_file_is_named(trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"bold_wiki\.jsonl\.gz"):
        call(monkeypatch, trained.arguments(data=tmp_path, work=tmp_path / "work"))
