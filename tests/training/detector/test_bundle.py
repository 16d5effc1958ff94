"""Check that a finished bundle verifies, runs, opens in optimum, and has a card that tells what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from guardrail._runtime import Deadline
from guardrail.detect.onnx import OnnxDetector
from guardrail.errors import ModelIntegrityError
from guardrail.judge import Judge
from guardrail.models.bundle import Bundle, open_bundle
from guardrail.policy import Policy
from guardrail.result import GROUPS, MODEL_LABELS
from guardrail.training.data.pool import CLEAN_REPLIES, clean_replies, sha256_of
from guardrail.training.data.schema import LABELS
from guardrail.training.detector import bundle, mix
from guardrail.training.detector.batches import tokenizer_of
from guardrail.training.detector.calibrate import TARGETS
from guardrail.training.detector.recipe import Recipe
from guardrail.training.evaluate import detector as evaluation
from guardrail.training.evaluate.detector import Plan, evaluate
from guardrail.training.evaluate.report import to_json
from guardrail.training.evaluate.systems import detect_all
from tests.training import tiny
from tests.training.detector.conftest import Trained, few_authored

pytestmark = pytest.mark.training

TEXTS = ["the women said it", "the draconian plan of the board", "tea"]
FILES = {"CARD.md", "config.json", "metrics.json", "model.onnx", "noise.svg", "reliability.svg", "tokenizer.json"}


@pytest.fixture(scope="module")
def made(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made from the command line."""
    out = tmp_path_factory.mktemp("made") / "detector-tiny"
    arguments = {"recipe": trained.recipe, "data": trained.pool, "student": trained.student, "work": trained.work}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mix, "read_authored", few_authored)
        patch.setattr(evaluation, "FULL", tiny.SIZE)
        line = [part for name, path in (arguments | {"out": out}).items() for part in (f"--{name}", str(path))]
        patch.setattr("sys.argv", ["bundle", *line])
        bundle.main()
    return out


@pytest.fixture(scope="module")
def opened(made: Path) -> Bundle:
    return open_bundle(made)


def test_every_file_is_pinned_and_verifies(made: Path, opened: Bundle) -> None:
    opened.verify()
    assert set(opened.files) == FILES == {path.name for path in made.iterdir()} - {"bundle.toml"}


def test_it_says_what_it_is(opened: Bundle) -> None:
    assert (opened.name, opened.kind, opened.license) == ("detector-tiny", "detector", "Apache-2.0")
    assert opened.info["languages"] == ["en"]
    assert opened.info["labels"] == list(LABELS)
    assert opened.info["groups"] == list(GROUPS)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_file_is_refused(made: Path, tmp_path: Path, name: str) -> None:
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes((made / name).read_bytes() + b" ")
    with pytest.raises(ModelIntegrityError, match=name):
        open_bundle(tmp_path).verify()


def test_the_run_time_s_detector_loads_and_scores(opened: Bundle) -> None:
    detector = OnnxDetector(opened)
    rows = detector.score(TEXTS, Deadline(None))
    assert len(rows) == len(TEXTS)
    for row in rows:
        assert tuple(row.labels) == MODEL_LABELS
        assert tuple(row.groups) == GROUPS
        assert all(0 <= score <= 1 for score in (*row.labels.values(), *row.groups.values()))
    assert rows[0].labels != rows[1].labels


def test_it_takes_texts_as_long_as_it_says(opened: Bundle) -> None:
    detector = OnnxDetector(opened)
    assert detector.max_tokens == 126
    assert len(detector.score(["tea " * detector.max_tokens], Deadline(None))) == 1


def test_each_target_has_thresholds_in_their_range(opened: Bundle) -> None:
    detector = OnnxDetector(opened)
    assert list(detector.thresholds) == [f"fpr<={target:g}" for target in TARGETS]
    for limits in detector.thresholds.values():
        assert tuple(limits) == MODEL_LABELS
        assert all(0 < limit <= 1 for limit in limits.values())


def test_the_thresholds_hold_on_the_clean_replies_they_were_chosen_on(trained: Trained, opened: Bundle) -> None:
    texts = clean_replies(trained.pool, "train", CLEAN_REPLIES)
    flagged = [found.flagged for found in detect_all(Judge(OnnxDetector(opened), Policy(threshold="fpr<=0.05")), texts)]
    assert len(flagged) > 100
    assert np.mean(flagged) <= 0.06


def test_optimum_opens_it_without_the_network(made: Path, opened: Bundle) -> None:
    optimum = pytest.importorskip("optimum.onnxruntime")
    model = optimum.ORTModelForSequenceClassification.from_pretrained(made, local_files_only=True)
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.problem_type == "multi_label_classification"
    detector = OnnxDetector(opened)
    tokenizer = tokenizer_of(str(made))
    for text, row in zip(TEXTS, detector.score(TEXTS, Deadline(None)), strict=True):
        ids = torch.tensor([tokenizer.encode(text).ids])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        for label, value in zip(MODEL_LABELS, logits, strict=True):
            scale, shift = opened.info["calibration"][label]
            assert torch.sigmoid(value * scale + shift).item() == pytest.approx(row.labels[label], abs=1e-4)


def test_the_metrics_are_those_that_evaluation_gives_and_strict_json(trained: Trained, made: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = (made / "metrics.json").read_text(encoding="utf-8")
    written = json.loads(text, parse_constant=refuse)
    plan = Plan(recipe=Recipe.read(trained.recipe), size=tiny.SIZE)
    again = json.loads(to_json(evaluate(made, trained.pool, plan)))
    assert written["about"] == again["about"]
    assert written["reliability"] == again["reliability"]
    for name, section in again["sections"].items():
        for row, found in section["rows"].items():
            assert written["sections"][name]["rows"][row] | found == written["sections"][name]["rows"][row], name


def test_the_card_tells_how_it_was_made_on_what_and_what_was_measured(trained: Trained, made: Path) -> None:
    card = (made / "CARD.md").read_text(encoding="utf-8")
    for stage in ("teacher", "student"):
        report = json.loads((trained.work / stage / "loop.json").read_text(encoding="utf-8"))["report"]
        assert f"{report['steps']} steps, {report['seconds']:.0f} s" in card
    for name in ("bold_wiki", "cad", "pairs_wnc_small", "toxic_spans"):
        assert f"- {name}: {sha256_of(trained.pool, name)[:16]}" in card
    metrics = json.loads((made / "metrics.json").read_text(encoding="utf-8"))
    system = metrics["about"]["system"]
    held = metrics["sections"]["heldout.overview"]["rows"]["all"]
    assert {system, "tf-idf", "student fp32"} <= set(held)
    for said, key in (("AUC, any label", "auc"), ("biased ones flagged", "recall")):
        assert f"kept out of training: {said}: {held[system][key]:.3f}" in card
    assert "| student fp32 | " in card
    assert all(f"({name})" in card for name in ("reliability.svg", "noise.svg"))
    assert "authored/heldout.jsonl: " in card


def test_no_file_names_a_folder_of_this_machine(trained: Trained, made: Path) -> None:
    folders = (str(trained.student), str(trained.work), str(trained.pool), str(made.parent))
    for path in made.iterdir():
        data = path.read_bytes()
        assert not [folder for folder in folders if folder.encode() in data], path.name
