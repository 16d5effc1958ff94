"""Check the fp32 bundles of a run's networks: they score as the networks do, and are made again only when old."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from guardrail._runtime import Deadline
from guardrail.detect.onnx import OnnxDetector
from guardrail.models.bundle import open_bundle
from guardrail.training.data.authored import read_authored
from guardrail.training.data.schema import LABELS
from guardrail.training.detector import mix
from guardrail.training.detector.batches import tokenizer_of
from guardrail.training.detector.model import save_weights
from guardrail.training.detector.recipe import Recipe
from guardrail.training.evaluate import side
from tests.training import tiny
from tests.training.detector.conftest import RECIPE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pool, a base, a recipe and the weights of a finished run."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(RECIPE.replace("\nlayers = 1\n", "\n"), encoding="utf-8")
    base = tiny.save_base(folder / "base")
    tiny.pool(folder / "pool")
    for seed, stage in enumerate(("finish", "student")):
        save_weights(tiny.net(base, seed=seed), folder / "work" / stage / "weights.safetensors")
    return folder


def make(run: Path, *arguments: str) -> None:
    common = ["--recipe", str(run / "tiny.toml"), "--data", str(run / "pool"), "--work", str(run / "work")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mix, "read_authored", lambda: read_authored()[::60])
        patch.setattr("sys.argv", ["side", *common, *arguments])
        side.main()


pytestmark = pytest.mark.training


def test_teacher_and_student_become_bundles_that_score_as_their_networks_do(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = str(run / "base")
    make(run, "--teacher", base, "--student", base)
    printed = capsys.readouterr().out.splitlines()
    folders = [run / "work" / "side" / role for role in ("teacher", "student")]
    assert printed == [
        f'--compare "{role} fp32={folder}"' for role, folder in zip(("teacher", "student"), folders, strict=True)
    ]
    text = "the idiot plan of the board"
    for seed, folder in enumerate(folders):
        bundle = open_bundle(folder)
        bundle.verify()
        (row,) = OnnxDetector(bundle).score([text], Deadline(None))
        ids = torch.tensor([tokenizer_of(base).encode(text).ids])
        logits = tiny.net(run / "base", seed=seed).eval()(ids, torch.ones_like(ids))[0][0]
        for label, value in zip(LABELS, logits, strict=True):
            scale, shift = bundle.info["calibration"][label]
            expected = torch.sigmoid(value * scale + shift).item()
            assert row.labels[label] == pytest.approx(expected, abs=1e-4)  # type: ignore[index]
        assert set(bundle.info["thresholds"]) == {"fpr<=0.01"}


def test_a_bundle_is_made_again_only_when_its_weights_are_newer(run: Path) -> None:
    recipe, bases = Recipe.read(run / "tiny.toml"), {"student": str(run / "base")}
    made: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(side, "_make", lambda recipe, pool, role, base, weights, out: made.append(role))
        done = run / "work" / "side" / "student" / "bundle.toml"
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()
        weights = run / "work" / "student" / "weights.safetensors"
        os.utime(weights, (1, 1))
        found = side.side_bundles(recipe, run / "pool", run / "work", bases)
        assert (list(found), made) == (["student fp32"], [])
        os.utime(done, (1, 1))
        os.utime(weights, (2, 2))
        side.side_bundles(recipe, run / "pool", run / "work", bases)
        assert made == ["student"]
