"""Check that a user's own rows turn a bundle into another one, with figures that were measured, and no text in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import ConfigError, ModelIntegrityError, ModelNotFoundError
from guardrail.guard import Pipeline
from guardrail.load import Guard, load_detector
from guardrail.models.bundle import open_bundle
from guardrail.policy import Policy
from guardrail.result import Label
from guardrail.rewrite.base import Rewriter
from guardrail.training.data.schema import LABELS
from guardrail.training.detector.export import export_int8
from guardrail.training.detector.fine_tune import REFIT, fine_tune
from guardrail.training.detector.model import save_weights
from guardrail.training.detector.restore import restore
from guardrail.training.detector.tune import Gently
from guardrail.training.detector.tuned import Tuned
from tests import bundles
from tests.fakes import MapRewriter, plain_words
from tests.training import tiny

pytestmark = pytest.mark.training

FAST = Gently(epochs=4, learning_rate=3e-3, head_rate=1e-2, token_budget=400)
SECRET = "Zyxwvut"
FILES = {"CARD.md", "config.json", "metrics.json", "model.onnx", "tokenizer.json"}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(count: int = 30) -> list[dict[str, Any]]:
    return [
        {"text": f"the {word} of {SECRET} said it {i}", "labels": ["toxicity"] if word == "idiot" else []}
        for i in range(count)
        for word in ("idiot", "clerk")
    ]


@pytest.fixture(scope="module")
def start(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector bundle with random weights."""
    folder = tmp_path_factory.mktemp("start")
    export_int8(tiny.net(base, seed=2), folder / "model.onnx")
    files = {
        "model.onnx": (folder / "model.onnx").read_bytes(),
        "config.json": (base / "config.json").read_bytes(),
        "tokenizer.json": (base / "tokenizer.json").read_bytes(),
    }
    bundles.write_detector(folder / "detector-tiny", files, max_tokens=60, license="MIT", version="3.2.1")
    return folder / "detector-tiny"


@pytest.fixture(scope="module")
def tuned(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuned")
    return fine_tune(start, write(folder / "my.jsonl", rows()), folder / "mine", how=FAST, threads=1, elsewhere=6)


# ---- the bundle


def test_every_file_is_pinned_and_what_was_copied_is_the_same(start: Path, tuned: Tuned) -> None:
    bundle = open_bundle(tuned.bundle)
    bundle.verify()
    assert set(bundle.files) == FILES == {path.name for path in tuned.bundle.iterdir()} - {"bundle.toml"}
    for name in ("config.json", "tokenizer.json"):
        assert (tuned.bundle / name).read_bytes() == (start / name).read_bytes()
    assert (tuned.bundle / "model.onnx").read_bytes() != (start / "model.onnx").read_bytes()


def test_it_says_what_it_is_and_what_it_was_made_from(start: Path, tuned: Tuned) -> None:
    old, new = open_bundle(start), open_bundle(tuned.bundle)
    assert (new.name, new.kind, new.license) == ("detector-tiny-tuned", "detector", "MIT")
    assert new.info["made_from"] == "detector-tiny@3.2.1"
    for key in ("thresholds", "labels", "groups", "languages", "max_tokens", "calibration"):
        assert new.info[key] == old.info[key]
    assert tuned.refitted == ()


def test_it_learnt_the_rows_and_can_be_trained_on_again(tuned: Tuned) -> None:
    before, after = tuned.held_out
    assert after.auc > max(before.auc, 0.8)
    assert before.texts == after.texts == 6
    assert 1 <= tuned.tuning.best < len(tuned.tuning.losses)
    assert restore(open_bundle(tuned.bundle)).label_head.weight.isfinite().all()


def test_a_guard_opens_it(tuned: Tuned) -> None:
    rewriter: Rewriter = MapRewriter(plain_words)
    guard = Pipeline(Policy(threshold=0.5), load_detector(tuned.bundle), rewriter)
    found = guard.detect("the idiot of the board said it")
    assert found.model == "detector-tiny-tuned@1.0.0"
    assert found.scores[Label.TOXICITY] > guard.detect("the clerk of the board said it").scores[Label.TOXICITY]


def test_the_card_holds_the_figures_and_no_text(tuned: Tuned) -> None:
    card = (tuned.bundle / "CARD.md").read_text(encoding="utf-8")
    for line in tuned.lines():
        assert line in card
    assert f"epoch {tuned.tuning.best} of {len(tuned.tuning.losses) - 1} kept" in card
    assert "detector-tiny 3.2.1, fine-tuned on 60 rows" in card
    figures = json.loads((tuned.bundle / "metrics.json").read_text(encoding="utf-8"))
    assert figures["held_out"]["after"]["auc"] == tuned.held_out[1].auc
    assert figures["elsewhere"]["before"]["texts"] == 6
    for path in tuned.bundle.iterdir():
        data = path.read_bytes()
        assert SECRET.encode() not in data and str(tuned.bundle.parent).encode() not in data, path.name


def test_the_same_rows_give_the_same_weights(start: Path, tuned: Tuned, tmp_path: Path) -> None:
    again = fine_tune(start, write(tmp_path / "my.jsonl", rows()), tmp_path / "b", how=FAST, threads=1, elsewhere=6)
    assert (again.bundle / "model.onnx").read_bytes() == (tuned.bundle / "model.onnx").read_bytes()
    assert again.held_out == tuned.held_out


def test_an_older_bundle_is_replaced_and_other_files_are_left(start: Path, tuned: Tuned, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    bundles.write_bundle(out, {"old.onnx": b"old"})
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    fine_tune(start, write(tmp_path / "my.jsonl", rows()), out, how=FAST, name="mine-2", elsewhere=6)
    assert open_bundle(out).name == "mine-2"
    assert not (out / "old.onnx").exists() and (out / "notes.txt").exists()
    open_bundle(out).verify()


def test_labels_with_enough_rows_are_calibrated_anew(start: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "my.jsonl", rows(10 * REFIT))
    found = fine_tune(start, path, tmp_path / "mine", how=Gently(epochs=1, head_rate=1e-2), threads=1, elsewhere=6)
    assert found.refitted == ("toxicity",)
    calibration = open_bundle(found.bundle).info["calibration"]
    assert calibration["toxicity"] != [1.0, 0.0]
    assert {label for label in LABELS if calibration[label] == [1.0, 0.0]} == set(LABELS) - {"toxicity"}


def test_it_can_start_from_the_unrounded_weights(base: Path, start: Path, tmp_path: Path) -> None:
    path, other = write(tmp_path / "my.jsonl", rows()), tmp_path / "weights.safetensors"
    save_weights(tiny.net(base, seed=7), other)
    how = Gently(epochs=1, learning_rate=1e-9, head_rate=1e-9)
    fine_tune(start, path, tmp_path / "mine", weights=other, how=how, elsewhere=6)
    export_int8(tiny.net(base, seed=7), tmp_path / "same.onnx")
    assert (tmp_path / "mine" / "model.onnx").read_bytes() == (tmp_path / "same.onnx").read_bytes()


# ---- faults


def test_what_cannot_be_used_is_named_before_anything_is_written(start: Path, tmp_path: Path) -> None:
    path, out = write(tmp_path / "my.jsonl", rows()), tmp_path / "mine"
    with pytest.raises(ModelNotFoundError, match="no model bundle 'detector-gone'"):
        fine_tune("detector-gone", path, out)
    with pytest.raises(ConfigError, match="is the bundle that the training starts from"):
        fine_tune(start, path, start)
    with pytest.raises(ConfigError, match="name = 'My Detector' is no name of a bundle"):
        fine_tune(start, path, out, name="My Detector")
    with pytest.raises(ConfigError, match="exists and is no bundle"):
        fine_tune(start, path, tmp_path)
    with pytest.raises(ConfigError, match="fine-tuning needs 40 texts"):
        fine_tune(start, write(tmp_path / "few.jsonl", rows(3)), out)
    (tmp_path / "broken.safetensors").write_bytes(b"x" * 40)
    for weights in ("broken", "gone"):
        with pytest.raises(ConfigError, match=f"{weights}.safetensors are not those of a network like"):
            fine_tune(start, path, out, weights=tmp_path / f"{weights}.safetensors")
    assert not out.exists()


def test_only_a_detector_with_our_labels_can_be_trained_on(start: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "my.jsonl", rows())
    bundles.write_bundle(tmp_path / "sr", {"adapter.safetensors": b"x"}, kind="rewriter-adapter")
    bundles.write_detector(tmp_path / "other", {"model.onnx": b"x"}, labels=["toxicity"])
    for name in ("sr", "other"):
        with pytest.raises(ModelIntegrityError, match="is no detector with the labels stereotype"):
            fine_tune(tmp_path / name, path, tmp_path / "mine")


# ---- the shipped model


@pytest.mark.model
@pytest.mark.slow
def test_the_shipped_detector_learns_a_word_of_the_house(tmp_path: Path) -> None:
    texts = ("The {} is late again.", "Our {} spoke first.", "I met a {} in the lift.", "My neighbour is a {}.")
    trades = ("gardener", "teacher", "painter", "baker", "clerk", "driver")
    rows = [
        {"text": opening + text.format(word), "labels": labels}
        for i, opening in enumerate(("", "Well, ", "Look: ", "As I said, ", "Oh, "))
        for j, text in enumerate(texts)
        for word, labels in (("snorfblat", ["toxicity"]), (trades[(i + j) % 6], []))
    ]
    unseen, clean = "A snorfblat repaired the printer.", "A plumber repaired the printer."
    before = Guard().detect(unseen)
    how = Gently(epochs=3, learning_rate=1e-4, head_rate=1e-3, token_budget=192)
    found = fine_tune(
        "detector-fast", write(tmp_path / "my.jsonl", rows), tmp_path / "mine", how=how, threads=1, elsewhere=6
    )
    guard = Guard(detector=tmp_path / "mine")
    assert not before.flagged and guard.detect(unseen).flagged
    assert guard.detect(unseen).scores[Label.TOXICITY] > 0.85 > 0.5 > before.scores[Label.TOXICITY]
    assert not guard.detect(clean).flagged
    assert found.held_out[1].recall == 1.0 and found.held_out[1].false_positives == 0.0
