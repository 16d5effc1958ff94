"""Test the algebra of task vectors, of whole models and of adapters."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from guardrail.errors import ConfigError
from guardrail.training.unlearn.lora_vector import LoraVector
from guardrail.training.unlearn.task_vector import TaskVector, apply_file
from tests.training.unlearn import small

pytestmark = pytest.mark.training


def tuned(base: Any, seed: int = 1) -> Any:
    other = copy.deepcopy(base)
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return other


def same(left: Any, right: Any, tolerance: float = 1e-6) -> bool:
    pairs = zip(left.parameters(), right.parameters(), strict=True)
    return all(torch.allclose(one, other, atol=tolerance) for one, other in pairs)


def test_subtracting_then_adding_gives_the_original_back() -> None:
    base = small.model()
    vector = TaskVector.between(tuned(base), base)
    model = copy.deepcopy(base)
    (-vector).apply_to(model)
    assert not same(model, base)
    vector.apply_to(model)
    assert same(model, base)
    vector.apply_to(model)
    assert same(model, tuned(base))


def test_vectors_add_subtract_and_scale() -> None:
    base = small.model()
    one, two = (TaskVector.between(tuned(base, seed), base) for seed in (1, 2))
    left, right = copy.deepcopy(base), copy.deepcopy(base)
    (one + two).apply_to(left, 0.5)
    one.apply_to(right, 0.5)
    (0.5 * two).apply_to(right)
    assert same(left, right)
    assert (one - one).norm() == 0.0
    assert (2 * one).norm() == pytest.approx(2 * one.norm())


def test_a_saved_vector_is_applied_in_chunks_of_any_size(tmp_path: Path) -> None:
    base = small.model()
    vector = TaskVector.between(tuned(base), base)
    vector.save(tmp_path / "delta.safetensors")
    whole, parts = copy.deepcopy(base), copy.deepcopy(base)
    TaskVector.load(tmp_path / "delta.safetensors").apply_to(whole, -1.5)
    apply_file(tmp_path / "delta.safetensors", parts, -1.5, chunk=7)
    assert same(whole, parts, 0.0)
    assert not same(whole, base)


def test_tied_weights_are_changed_once() -> None:
    base = small.model()
    assert base.lm_head.weight is base.model.embed_tokens.weight
    model = copy.deepcopy(base)
    TaskVector.between(tuned(base), base).apply_to(model)
    assert torch.allclose(model.lm_head.weight, tuned(base).lm_head.weight, atol=1e-6)


def test_small_changes_of_16_bit_weights_are_added_in_float32() -> None:
    base = small.model().to(torch.bfloat16)
    vector = TaskVector({name: torch.full(w.shape, 1e-3) for name, w in base.named_parameters()})
    model = copy.deepcopy(base)
    (64 * vector).apply_to(model)
    name, weight = next(iter(base.named_parameters()))
    want = (weight.float() + 0.064).to(torch.bfloat16)
    assert torch.equal(dict(model.named_parameters())[name], want)


def test_a_vector_of_another_model_is_refused_and_changes_nothing() -> None:
    base, wide = small.model(), small.model(hidden=64)
    vector = TaskVector.between(tuned(base), base)
    before = copy.deepcopy(wide)
    with pytest.raises(ConfigError, match="has shape"):
        vector.apply_to(wide)
    assert same(wide, before, 0.0)
    with pytest.raises(ConfigError, match="has no weight 'nowhere'"):
        (vector + TaskVector({"nowhere": torch.ones(1)})).apply_to(copy.deepcopy(base))
    with pytest.raises(ConfigError, match="must agree"):
        TaskVector.between(wide, base)


# ---- adapters


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    subject = small.subject()
    small.change(subject)
    subject.save(tmp_path / "learnt")
    return tmp_path / "learnt"


def merged(folder: Path) -> Any:
    model: Any = PeftModel.from_pretrained(small.model(), str(folder))
    return model.merge_and_unload()


def test_an_adapter_with_its_sign_turned_subtracts_what_was_learnt(adapter: Path, tmp_path: Path) -> None:
    (-LoraVector.load(adapter)).save(tmp_path / "minus")
    base, plus, minus = small.model(), merged(adapter), merged(tmp_path / "minus")
    want = copy.deepcopy(base)
    (-TaskVector.between(plus, base)).apply_to(want)
    assert same(minus, want, 1e-5)
    assert not same(minus, base, 1e-3)


def test_adapters_add_without_loss_and_their_delta_is_what_they_do(adapter: Path, tmp_path: Path) -> None:
    vector = LoraVector.load(adapter)
    (vector + 0.5 * vector).save(tmp_path / "sum")
    base = small.model()
    want = copy.deepcopy(base)
    TaskVector.between(merged(adapter), base).apply_to(want, 1.5)
    assert same(merged(tmp_path / "sum"), want, 1e-5)
    layer = "model.layers.1.mlp.up_proj"
    change = merged(adapter).model.layers[1].mlp.up_proj.weight - base.model.layers[1].mlp.up_proj.weight
    assert torch.allclose(vector.delta(layer), change, atol=1e-6)
    assert torch.allclose((vector - vector).delta(layer), torch.zeros_like(change), atol=1e-6)


def test_what_is_no_plain_adapter_is_refused(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no adapter_config.json"):
        LoraVector.load(tmp_path)
    vector = LoraVector.load(adapter)
    LoraVector({**vector.config, "use_dora": True}, vector.tensors).save(tmp_path / "dora")
    with pytest.raises(ConfigError, match="not plain LoRA"):
        LoraVector.load(tmp_path / "dora")
