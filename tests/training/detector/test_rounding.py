"""Check that training through the rounding computes with the very weights that the int8 export stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from guardrail.models.bundle import open_bundle
from guardrail.training.data.schema import LABELS, Row, known
from guardrail.training.detector.batches import Batch, batches, encode
from guardrail.training.detector.export import export_int8
from guardrail.training.detector.loop import LoopConfig
from guardrail.training.detector.losses import gold_loss
from guardrail.training.detector.model import DetectorNet
from guardrail.training.detector.restore import restore
from guardrail.training.detector.rounding import RoundedLinear, rounded, through_rounding
from guardrail.training.detector.teacher import train_teacher
from tests import bundles
from tests.training import tiny

pytestmark = pytest.mark.training


def linears(net: nn.Module) -> dict[str, nn.Linear]:
    return {name: module for name, module in net.named_modules() if isinstance(module, nn.Linear)}


def test_rounded_weights_equal_those_of_the_exported_file_bit_by_bit(base: Path, tmp_path: Path) -> None:
    net = tiny.net(base, seed=4)
    export_int8(net, tmp_path / "made.onnx")
    config = (base / "config.json").read_bytes()
    bundles.write_detector(tmp_path / "b", {"model.onnx": (tmp_path / "made.onnx").read_bytes(), "config.json": config})
    stored = linears(restore(open_bundle(tmp_path / "b")))
    assert len(stored) == 6 * 2 + 3
    for name, layer in linears(net).items():
        assert torch.equal(rounded(layer.weight), stored[name].weight), name
        assert not torch.equal(layer.weight, stored[name].weight), name


@given(st.integers(0, 1000), st.floats(1e-6, 1e4))
def test_a_row_holds_at_most_255_values_and_keeps_its_largest(seed: int, size: float) -> None:
    weight = size * torch.randn(3, 700, generator=torch.Generator().manual_seed(seed))
    held = rounded(weight)
    for row, kept in zip(weight, held, strict=True):
        assert len(kept.unique()) <= 255
        assert kept.abs().max().item() == pytest.approx(row.abs().max().item(), rel=1e-6)
        assert (kept - row).abs().max() <= row.abs().max() / 127 / 2 * 1.0001
    assert torch.allclose(rounded(held), held, rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1e-42])
def test_a_row_of_nothing_stays_finite(value: float) -> None:
    assert torch.isfinite(rounded(torch.full((2, 5), value))).all()


def test_the_gradient_passes_as_if_nothing_was_rounded() -> None:
    weight = torch.randn(4, 9, requires_grad=True)
    given_back = torch.randn(4, 9)
    rounded(weight).backward(given_back)
    assert weight.grad is not None and torch.equal(weight.grad, given_back)


def test_every_linear_layer_computes_with_rounded_weights_for_a_while(base: Path) -> None:
    net = tiny.net(base, dropout=0.0).eval()
    names, ids = list(net.state_dict()), torch.tensor([[2, 30, 31, 32, 3]])
    with torch.inference_mode():
        before = net(ids, torch.ones_like(ids))[0]
        with through_rounding(net):
            assert all(type(layer) is RoundedLinear for layer in linears(net).values())
            assert list(net.state_dict()) == names
            during = net(ids, torch.ones_like(ids))[0]
        after = net(ids, torch.ones_like(ids))[0]
        for layer in linears(net).values():
            layer.weight.copy_(rounded(layer.weight))
        by_hand = net(ids, torch.ones_like(ids))[0]
    assert torch.equal(before, after) and not torch.equal(before, during)
    assert torch.equal(during, by_hand)


def test_layers_are_themselves_again_after_a_failure(base: Path) -> None:
    net = tiny.net(base)
    with pytest.raises(KeyError), through_rounding(net):
        raise KeyError
    assert all(type(layer) is nn.Linear for layer in linears(net).values())


def loss_when_rounded(net: DetectorNet, rows: list[Row]) -> float:
    (batch,) = tiny_batches(rows)
    net.eval()
    with torch.inference_mode(), through_rounding(net):
        logits = net(batch.input_ids, batch.attention_mask)
        return float(gold_loss(logits, batch.labels, batch.groups, batch.tokens, batch.weight))


def tiny_batches(rows: list[Row]) -> list[Batch]:
    return list(batches(encode(rows, tiny.tokenizer(), 32), 10_000))


def test_weights_still_learn_through_the_rounding(base: Path, tmp_path: Path) -> None:
    rows = [
        Row(f"the {word} said it {i}", "x", labels=known(LABELS, ["toxicity"] if word == "idiot" else []))
        for i in range(10)
        for word in ("idiot", "clerk")
    ]
    net = tiny.net(base)
    before = loss_when_rounded(net, rows)
    config = LoopConfig(epochs=9, learning_rate=2e-3, head_rate=5e-3, token_budget=200)
    with through_rounding(net):
        train_teacher(net, encode(rows, tiny.tokenizer(), 32), config, tmp_path)
    assert loss_when_rounded(net, rows) < before / 2
    weight = linears(net)["label_head"].weight.detach().numpy()
    assert len(np.unique(weight)) > 255
