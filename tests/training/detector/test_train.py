"""Check the way from data to bundle in one call: what it refuses before it begins, and what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from guardrail._runtime import Deadline
from guardrail.cli import app
from guardrail.errors import ConfigError
from guardrail.load import load_detector
from guardrail.models.bundle import open_bundle
from guardrail.training.detector import mix, train
from guardrail.training.detector.recipe import Recipe
from guardrail.training.detector.train import train_detector
from guardrail.training.evaluate import detector as evaluation
from tests import bundles
from tests.training import tiny
from tests.training.detector.conftest import RECIPE, Trained, few_authored

pytestmark = pytest.mark.training


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The two halves of a run as they are called, in place of their work."""
    noted: list[tuple[Any, ...]] = []
    monkeypatch.setattr(train, "run", lambda *given: noted.append(("run", *given)))
    monkeypatch.setattr(train, "make", lambda *given, **named: noted.append(("make", *given, named)))
    return noted


def test_training_comes_first_and_the_bundle_last(trained: Trained, tmp_path: Path, steps: list[Any]) -> None:
    out, recipe = tmp_path / "mine", Recipe.read(trained.recipe)
    teacher, student = str(trained.teacher), str(trained.student)
    assert train_detector(str(trained.recipe), trained.pool, out, teacher=teacher, student=student) == out
    work = tmp_path / "mine-work"
    assert steps == [
        ("run", recipe, trained.pool, teacher, student, work),
        ("make", recipe, trained.pool, student, work, out, {"teacher": teacher}),
    ]


def test_bases_default_to_the_recipe_s(trained: Trained, tmp_path: Path, steps: list[Any]) -> None:
    recipe = tmp_path / "tiny.toml"
    bases = f"teacher_base = '{trained.teacher}'\nstudent_base = '{trained.student}'\n"
    recipe.write_text(bases + RECIPE, encoding="utf-8")
    train_detector(str(recipe), trained.pool, tmp_path / "mine", work=tmp_path / "elsewhere")
    assert steps[0][3:] == (str(trained.teacher), str(trained.student), tmp_path / "elsewhere")


def test_an_older_bundle_may_be_trained_anew(trained: Trained, tmp_path: Path, steps: list[Any]) -> None:
    bundles.write_bundle(tmp_path / "mine", {"model.onnx": b"old"})
    teacher, student = str(trained.teacher), str(trained.student)
    train_detector(str(trained.recipe), trained.pool, tmp_path / "mine", teacher=teacher, student=student)
    assert len(steps) == 2


def test_what_cannot_work_is_refused_before_anything_is_done(
    trained: Trained, tmp_path: Path, steps: list[Any]
) -> None:
    recipe, out = str(trained.recipe), tmp_path / "mine"
    teacher, student = str(trained.teacher), str(trained.student)
    with pytest.raises(ConfigError, match="names no teacher_base"):
        train_detector(recipe, trained.pool, out, student=student)
    with pytest.raises(ConfigError, match="student base 'nobody/nothing' cannot be loaded"):
        train_detector(recipe, trained.pool, out, teacher=teacher, student="nobody/nothing")
    with pytest.raises(ConfigError, match=r"lacks bold_wiki\.jsonl\.gz"):
        train_detector(recipe, tmp_path, out, teacher=teacher, student=student)
    with pytest.raises(ConfigError, match="lies in the bundle's folder"):
        train_detector(recipe, trained.pool, out, teacher=teacher, student=student, work=out / "work")
    with pytest.raises(ConfigError, match="exists and is no bundle"):
        train_detector(recipe, trained.pool, trained.pool, teacher=teacher, student=student)
    assert steps == [] and not out.exists()


@pytest.mark.slow
def test_one_command_goes_from_data_to_a_bundle_that_opens(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mix, "read_authored", few_authored)
    monkeypatch.setattr(evaluation, "FULL", tiny.SIZE)
    out = tmp_path / "mine"
    options = {"recipe": trained.recipe, "data": trained.pool, "teacher": trained.teacher, "student": trained.student}
    line = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    done = CliRunner().invoke(app, ["train", "detector", *line, "--out", str(out), "--threads", "1"])
    assert done.exit_code == 0, done.output
    open_bundle(out).verify()
    (row,) = load_detector(out).score(["the idiot said it"], Deadline(None))
    assert all(0 <= score <= 1 for score in row.labels.values())
    card = (out / "CARD.md").read_text(encoding="utf-8")
    assert f"Recipe sha256 {Recipe.read(trained.recipe).sha256[:16]}, seed 5" in card
    assert "Wall-clock time from data to student: " in card and "Energy of the machine meanwhile: " in card
    weights = "student/weights.safetensors"
    assert (tmp_path / "mine-work" / weights).read_bytes() == (trained.work / weights).read_bytes()
