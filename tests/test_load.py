"""Test the composition: a guard from names, folders, parts and files, on a release of tiny random models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save

import guardrail
from guardrail import Action, ConfigError, Guard, ModelIntegrityError, Policy
from guardrail._runtime import Deadline
from guardrail.errors import ModelNotFoundError
from guardrail.load import load_detector, load_rewriter
from guardrail.models import store
from guardrail.rewrite.base import RewriteRequest
from tests import bundles
from tests.bundles import sha256, write_bundle, write_detector
from tests.fakes import MapRewriter, WordDetector, plain_words

if TYPE_CHECKING:
    from guardrail.load import LazyRewriter

pytest.importorskip("torch", reason="the tiny models are made with the training code")
pytestmark = pytest.mark.training

REQUESTS = [RewriteRequest("The chairman spoke."), RewriteRequest("Women cannot park.")]


def adapter(strength: float) -> bytes:
    from guardrail.training.rewriter.tiny import SHAPE

    random, tensors = np.random.default_rng(0), {}
    for layer in range(SHAPE.layers):
        for name, (width, height) in SHAPE.projections().items():
            tensors[f"layers.{layer}.{name}.A"] = random.normal(0, 0.2, (width, 2)).astype(np.float16)
            tensors[f"layers.{layer}.{name}.B"] = random.normal(0, strength, (2, height)).astype(np.float16)
    return save(tensors)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with a detector, a rewriter's base and an adapter."""
    from guardrail.training.detector.export import export_fp32
    from guardrail.training.rewriter.tiny import tiny_model, tiny_tokenizer

    folder = tmp_path_factory.mktemp("release")
    export_fp32(bundles.tiny_net(), folder / "model.onnx")
    files = {"model.onnx": (folder / "model.onnx").read_bytes(), "tokenizer.json": bundles.tiny_tokenizer()}
    base = {"model.onnx": tiny_model(seed=2, end_bias=2.0), "tokenizer.json": tiny_tokenizer()}
    pins = {
        "detector-fast": write_detector(folder / "detector-fast", files),
        "rewriter-base": write_bundle(folder / "rewriter-base", base, kind="rewriter-base"),
        "rewriter-sr": write_adapter(folder / "rewriter-sr", base["model.onnx"]),
    }
    lines = [f'{name} = "{pin}"' for name, pin in pins.items()]
    (folder / "manifest.toml").write_text("\n".join(["[bundles]", *lines]))
    return folder


def write_adapter(folder: Path, weights: bytes, **facts: object) -> str:
    own = {"kind": "rewriter-adapter", "base": "rewriter-base", "base_sha256": sha256(weights), **facts}
    return write_bundle(folder, {"adapter.safetensors": adapter(0.5)}, tables="", **own)


@pytest.fixture(autouse=True)
def places(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(store, "BUILT_IN", release)
    monkeypatch.setenv("GUARDRAIL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield


def answers(rewriter: LazyRewriter, requests: Sequence[RewriteRequest] = REQUESTS) -> list[str]:
    return rewriter.rewrite(requests, Deadline())


def test_a_guard_without_parts_takes_the_bundled_ones() -> None:
    guard = Guard(Policy(threshold=0.01, on_error="raise"))
    result = guard.check("Hello there. The idiot spoke first.")
    assert (result.model, result.error) == ("detector-fast@1.0.0", None)
    assert result.action in (Action.REWRITE, Action.MASK)
    assert result.rewrites
    again = Guard(Policy(threshold=0.01)).check("Hello there. The idiot spoke first.")
    assert replace(again, latency_ms=0.0) == replace(result, latency_ms=0.0)


def test_the_public_name_is_this_guard() -> None:
    assert guardrail.Guard is Guard


def test_a_guard_takes_parts_of_the_caller_s_own() -> None:
    guard = Guard(detector=WordDetector(), rewriter=MapRewriter(plain_words))
    assert guard.check("The idiot spoke.").text == "The plain spoke."


def test_a_guard_takes_folders(release: Path) -> None:
    guard = Guard(detector=release / "detector-fast", rewriter=str(release / "rewriter-sr"))
    assert guard.detect("Hello there.").model == "detector-fast@1.0.0"


def test_a_guard_from_a_file(tmp_path: Path, release: Path) -> None:
    path, folder = tmp_path / "guardrail.toml", (release / "detector-fast").as_posix()
    path.write_text(f'[policy]\naction = "block"\nthreshold = 0.01\n[models]\ndetector = "{folder}"\n')
    guard = Guard.from_config(path)
    assert guard.policy == Policy(action=Action.BLOCK, threshold=0.01)
    assert guard.check("Hello there.").action is Action.BLOCK
    path.write_text("[policy]\nacton = 'block'\n")
    with pytest.raises(ConfigError, match=r"unknown key policy.acton; did you mean policy.action\?"):
        Guard.from_config(path)


def test_what_is_not_there_is_said_when_the_guard_is_made() -> None:
    for parts in ({"detector": "detector-fats"}, {"rewriter": "srx"}):
        with pytest.raises(ModelNotFoundError, match="installed: detector-fast, rewriter-base, rewriter-sr"):
            Guard(**parts)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'fpr<=0.3' is not calibrated"):
        Guard(Policy(threshold="fpr<=0.3"))


def test_a_rewriter_for_a_detector_and_the_other_way_round_are_refused() -> None:
    with pytest.raises(ModelIntegrityError, match="'rewriter-sr' is a rewriter-adapter; a detector is needed"):
        load_detector("rewriter-sr")
    with pytest.raises(ModelIntegrityError, match="'detector-fast' is a detector; a rewriter is needed"):
        load_rewriter("detector-fast")


def test_the_adapter_changes_what_the_base_says(release: Path) -> None:
    short, long, base = load_rewriter("sr"), load_rewriter("rewriter-sr"), load_rewriter("rewriter-base")
    assert answers(short) == answers(long) == answers(load_rewriter(release / "rewriter-sr"))
    assert short.name == "rewriter-sr@1.0.0"
    assert base.name == "rewriter-base@1.0.0"
    assert any(answers(base))
    assert answers(short) != answers(base)


def test_a_folder_of_the_working_directory_takes_no_model_s_place(tmp_path: Path, release: Path) -> None:
    for name in ("sr", "rewriter-sr", "detector-fast", "rewriter-base"):
        write_bundle(tmp_path / "work" / name, {}, kind="detector", version="evil")
    assert load_rewriter("sr").name == "rewriter-sr@1.0.0"
    assert load_detector("detector-fast").name == "detector-fast@1.0.0"
    assert any(answers(load_rewriter("sr")))


def test_a_rewriter_s_short_name_may_also_be_its_whole_name(tmp_path: Path, release: Path) -> None:
    model = (release / "rewriter-base" / "model.onnx").read_bytes()
    pin = write_adapter(tmp_path / "source" / "mine", model)
    store.install(tmp_path / "source" / "mine", sha256=pin)
    assert load_rewriter("mine").name == "mine@1.0.0"


def test_a_base_may_lie_beside_its_adapter(tmp_path: Path, release: Path) -> None:
    from guardrail.training.rewriter.tiny import tiny_model, tiny_tokenizer

    other = {"model.onnx": tiny_model(seed=3, end_bias=2.0), "tokenizer.json": tiny_tokenizer()}
    for name in ("my-base", "rewriter-base"):
        write_bundle(tmp_path / name, other, kind="rewriter-base")
        write_adapter(tmp_path / "adapter", other["model.onnx"], base=name)
        assert len(answers(load_rewriter(tmp_path / "adapter"))) == len(REQUESTS)


def test_an_adapter_over_another_base_is_refused(tmp_path: Path) -> None:
    write_adapter(tmp_path / "adapter", b"another base")
    with pytest.raises(ModelIntegrityError, match="made over another base than 'rewriter-base'"):
        load_rewriter(tmp_path / "adapter")
    write_adapter(tmp_path / "adapter", b"", base="detector-fast")
    with pytest.raises(ModelIntegrityError, match="made over another base"):
        load_rewriter(tmp_path / "adapter")
    write_adapter(tmp_path / "adapter", b"", base="no-such-base")
    with pytest.raises(ModelNotFoundError, match="needs the base 'no-such-base'"):
        load_rewriter(tmp_path / "adapter")


def test_an_adapter_is_asked_with_the_prompt_that_it_was_trained_with(tmp_path: Path, release: Path) -> None:
    weights = (release / "rewriter-base" / "model.onnx").read_bytes()
    write_adapter(tmp_path / "own", weights, prompt="guardrail/1")
    write_adapter(tmp_path / "paper", weights, prompt="sr-llm/paper-2024-08")
    assert answers(load_rewriter(tmp_path / "own")) == answers(load_rewriter("sr"))
    assert answers(load_rewriter(tmp_path / "paper")) != answers(load_rewriter("sr"))


@pytest.mark.parametrize("version", ["sr-llm/paper-2031-01", "", 3])
def test_an_adapter_for_an_unknown_prompt_is_refused(tmp_path: Path, release: Path, version: object) -> None:
    weights = (release / "rewriter-base" / "model.onnx").read_bytes()
    write_adapter(tmp_path / "adapter", weights, prompt=version)
    with pytest.raises(ModelIntegrityError, match="was trained with the prompt .* install a newer guardrail-sdk"):
        load_rewriter(tmp_path / "adapter")


@pytest.mark.parametrize("base", ["", "../rewriter-base", "/etc", ["a"]])
def test_an_adapter_s_base_is_a_name_and_no_path(tmp_path: Path, base: object) -> None:
    write_adapter(tmp_path / "adapter", b"", base=base)
    with pytest.raises(ModelIntegrityError, match="which is no name of a bundle"):
        load_rewriter(tmp_path / "adapter")


def test_damaged_files_are_refused_on_first_use_whatever_the_policy(tmp_path: Path, release: Path) -> None:
    model = (release / "rewriter-base" / "model.onnx").read_bytes()
    write_adapter(tmp_path / "adapter", model)
    data = bytearray((tmp_path / "adapter" / "adapter.safetensors").read_bytes())
    data[-1] ^= 1
    guard = Guard(Policy(on_error="allow"), detector=WordDetector(), rewriter=tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter.safetensors").write_bytes(data)
    assert guard.check("Nothing to rewrite.").action is Action.ALLOW
    with pytest.raises(ModelIntegrityError, match=r"adapter.safetensors has sha256"):
        guard.check("The idiot spoke.")


def test_nothing_heavy_is_loaded_before_the_first_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> object:
        pytest.fail("a model was loaded")

    monkeypatch.setattr("guardrail.models.bundle.Bundle.read", forbidden)
    Guard()
