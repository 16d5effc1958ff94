"""Check that training learns, and that a run that was stopped ends like one that was not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from guardrail.training.data.schema import LABELS, Row, known
from guardrail.training.detector.batches import Batch, Encoded, encode
from guardrail.training.detector.loop import LoopConfig, LoopReport, train
from guardrail.training.detector.losses import Logits, gold_loss
from guardrail.training.detector.model import DetectorNet, build, load_weights, save_weights
from guardrail.training.detector.teacher import train_teacher
from tests.training import tiny

pytestmark = pytest.mark.training

CONFIG = LoopConfig(epochs=2, learning_rate=2e-3, head_rate=5e-3, token_budget=200, checkpoint_every=4, seed=3)


class Stopped(Exception):
    """Stand for a machine that goes down."""


def rows(count: int = 60) -> list[Row]:
    bad = [f"the idiot said it {i}" for i in range(count // 2)]
    good = [f"the plan is late {i}" for i in range(count // 2)]
    return [Row(text, "x", labels=known(LABELS, ["toxicity"]), spans=((4, 9),)) for text in bad] + [
        Row(text, "x", labels=known(LABELS, ()), spans=()) for text in good
    ]


@pytest.fixture(scope="module")
def items() -> list[Encoded]:
    return encode(rows(), tiny.tokenizer(), 32)


def gold(logits: Logits, batch: Batch) -> Tensor:
    return gold_loss(logits, batch.labels, batch.groups, batch.tokens, batch.weight)


def failing_after(steps: int) -> Callable[[Logits, Batch], Tensor]:
    done = 0

    def loss(logits: Logits, batch: Batch) -> Tensor:
        nonlocal done
        done += 1
        if done > steps:
            raise Stopped
        return gold(logits, batch)

    return loss


def weights(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "weights.safetensors")


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def total_loss(net: DetectorNet, items: Sequence[Encoded]) -> float:
    from guardrail.training.detector.batches import batches

    net.eval()
    with torch.inference_mode():
        return sum(float(gold(net(b.input_ids, b.attention_mask), b)) for b in batches(items, 10_000))


def test_twenty_steps_lower_the_loss(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    net = tiny.net(base)
    before = total_loss(net, items)
    report = train_teacher(net, items, replace(CONFIG, epochs=9, max_minutes=0), tmp_path)
    assert report.complete
    assert report.steps >= 20
    assert total_loss(net, items) < before / 3


def test_the_report_is_that_of_the_file(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    report = train(tiny.net(base), items, gold, CONFIG, tmp_path)
    written = json.loads((tmp_path / "loop.json").read_text(encoding="utf-8"))
    assert LoopReport(**written["report"]) == report
    assert LoopConfig(**written["config"]) == CONFIG
    assert 0 < report.loss < 5
    assert report.seconds >= 0


def test_the_saved_weights_are_those_of_the_network(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    net = tiny.net(base)
    train(net, items, gold, CONFIG, tmp_path)
    assert same(weights(tmp_path), net.state_dict())


def test_the_same_seed_gives_the_same_weights(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train(tiny.net(base), items, gold, replace(CONFIG, seed=seed), tmp_path / name)
        torch.rand(7)  # what was drawn elsewhere must not matter
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("steps", [4, 5, 7])
def test_a_run_taken_up_again_ends_like_one_that_was_not_stopped(
    base: Path, items: list[Encoded], tmp_path: Path, steps: int
) -> None:
    whole = train(tiny.net(base), items, gold, CONFIG, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(tiny.net(base), items, failing_after(steps), CONFIG, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "loop.json").exists()
    # Another network: all that counts comes from the checkpoint.
    resumed = train(tiny.net(base, seed=9), items, gold, CONFIG, tmp_path / "stopped")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert replace(resumed, seconds=0) == replace(whole, seconds=0)


def test_a_run_stopped_by_its_time_limit_goes_on_later(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    whole = train(tiny.net(base), items, gold, CONFIG, tmp_path / "whole")
    part = train(tiny.net(base), items, gold, replace(CONFIG, max_minutes=1e-9), tmp_path / "part")
    assert (part.steps, part.complete) == (1, False)
    rest = train(tiny.net(base), items, gold, CONFIG, tmp_path / "part")
    assert (rest.steps, rest.complete) == (whole.steps, True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "part"))


def test_a_finished_run_is_not_run_again(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    first = train(tiny.net(base), items, gold, CONFIG, tmp_path)
    content = (tmp_path / "loop.json").read_bytes()
    net = tiny.net(base, seed=9)
    assert train(net, items, failing_after(0), CONFIG, tmp_path) == first
    assert (tmp_path / "loop.json").read_bytes() == content
    assert same(weights(tmp_path), net.state_dict())


def test_a_checkpoint_of_another_run_is_refused(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    train(tiny.net(base), items, gold, CONFIG, tmp_path)
    with pytest.raises(ValueError, match=r"optimizer\.pt is of a run of \d+ steps, not"):
        train(tiny.net(base), items[:20], gold, CONFIG, tmp_path)


def test_no_rows_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no row to train on"):
        train(tiny.net(base), [], gold, CONFIG, tmp_path)


def test_frozen_embeddings_do_not_move(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = build(base, freeze_embeddings=True)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    train(net, items, gold, CONFIG, tmp_path)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert not [name for name in moved if "embeddings" in name]
    assert {"label_head.weight", "span_head.weight"} <= moved
    assert any(name.startswith("encoder.encoder.layer.1.") for name in moved)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_do_not_move_and_the_others_do(
    base: Path, items: list[Encoded], tmp_path: Path, frozen: int
) -> None:
    torch.manual_seed(0)
    net = build(base, freeze_embeddings=True, frozen_layers=frozen)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    train(net, items, gold, CONFIG, tmp_path)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    for layer in range(2):
        of_layer = {name for name in before if f".layer.{layer}." in name}
        assert not of_layer & moved if layer < frozen else len(of_layer & moved) > 10
    assert {"label_head.weight", "group_head.weight", "span_head.weight"} <= moved


def test_a_student_can_take_the_first_layers_only(base: Path) -> None:
    whole, first = build(base), build(base, layers=1)
    names = {name for name, _ in first.named_parameters()}
    assert any(".layer.0." in name for name in names)
    assert not any(".layer.1." in name for name in names)
    assert torch.equal(
        first.get_parameter("encoder.encoder.layer.0.output.dense.weight"),
        whole.get_parameter("encoder.encoder.layer.0.output.dense.weight"),
    )


def test_weights_come_back_as_saved(base: Path, tmp_path: Path) -> None:
    net = tiny.net(base, seed=1)
    save_weights(net, tmp_path / "deep" / "weights.safetensors")
    other = load_weights(tiny.net(base, seed=2), tmp_path / "deep" / "weights.safetensors")
    assert same(net.state_dict(), other.state_dict())
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["weights.safetensors"]


def test_padding_does_not_change_what_the_network_says(base: Path) -> None:
    net = tiny.net(base, dropout=0.0).eval()
    ids = torch.tensor([[2, 10, 11, 3]])
    padded = torch.tensor([[2, 10, 11, 3, 0, 0, 0], [2, 20, 21, 22, 23, 24, 3]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1] * 7])
    with torch.inference_mode():
        alone, together = net(ids, torch.ones_like(ids)), net(padded, mask)
    torch.testing.assert_close(alone[0][0], together[0][0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone[1][0], together[1][0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone[2][0], together[2][0, :4], atol=1e-5, rtol=1e-4)


def test_the_learning_rate_rises_and_falls_to_zero(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    train(tiny.net(base), items, gold, replace(CONFIG, epochs=3), tmp_path)
    saved = torch.load(tmp_path / "optimizer.pt", weights_only=True)
    assert [group["lr"] for group in saved["optimizer"]["param_groups"]] == [0.0, 0.0]
    assert [group["initial_lr"] for group in saved["optimizer"]["param_groups"]] == [2e-3, 5e-3]
