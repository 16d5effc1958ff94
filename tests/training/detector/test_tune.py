"""Check that gentle training learns, stops in time, keeps its best epoch and what nobody asked it to change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from guardrail.training.data.schema import LABELS, Row, known
from guardrail.training.detector import tune as module
from guardrail.training.detector.batches import Encoded, encode
from guardrail.training.detector.model import DetectorNet
from guardrail.training.detector.predict import predict
from guardrail.training.detector.tune import Gently, tune
from tests.training import tiny

pytestmark = pytest.mark.training

FAST = Gently(epochs=12, learning_rate=3e-3, head_rate=1e-2, token_budget=120, seed=3)
TOXIC = LABELS.index("toxicity")


def items(count: int = 12, start: int = 0) -> list[Encoded]:
    rows = [
        Row(f"the {word} said it {i}", "own", labels=known(LABELS, LABELS if word == "idiot" else []), spans=((4, 9),))
        for i in range(start, start + count)
        for word in ("idiot", "clerk")
    ]
    return encode(rows, tiny.tokenizer(), 32)


def scripted(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """Let the held-out losses be these, whatever the network says."""
    left = iter(losses)
    monkeypatch.setattr(module, "_loss_on", lambda net, held_out: next(left))


def test_it_learns_and_says_how_well(base: Path) -> None:
    net = tiny.net(base)
    found = tune(net, items(), items(3, 90), FAST)
    assert len(found.losses) - 1 <= FAST.epochs
    assert found.losses[found.best] < found.losses[0] / 2
    scores = predict(net, items(3, 200)).labels[:, TOXIC]
    assert scores[::2].min() > 0.5 > scores[1::2].max()


def test_the_embeddings_stay_as_they_are(base: Path) -> None:
    net = tiny.net(base)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    tune(net, items(), items(3, 90), FAST)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and not [name for name in moved if "embeddings" in name]
    assert not net.training


def test_the_weights_of_the_best_epoch_are_kept(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = tiny.net(base)
    scripted(monkeypatch, [1.0, 0.8, 0.5])
    tune(two, items(), items(3, 90), replace(FAST, epochs=2))
    net = tiny.net(base)
    scripted(monkeypatch, [1.0, 0.8, 0.5, 0.6, 0.49, 0.1])
    found = tune(net, items(), items(3, 90), replace(FAST, patience=2))
    # 0.49 is no gain worth an epoch; 0.1 is never reached.
    assert (found.losses, found.best) == ((1.0, 0.8, 0.5, 0.6, 0.49), 2)
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in net.state_dict().items())


def test_a_network_that_only_gets_worse_is_left_as_it_was(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, same = tiny.net(base), tiny.net(base)
    scripted(monkeypatch, [0.5, 0.6, 0.7, 0.8])
    found = tune(net, items(), items(3, 90), FAST)
    assert (found.best, len(found.losses)) == (0, 3)
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in net.state_dict().items())


def test_the_same_seed_gives_the_same_weights(base: Path) -> None:
    nets: list[DetectorNet] = []
    for seed in (3, 3, 4):
        nets.append(tiny.net(base))
        tune(nets[-1], items(), items(3, 90), replace(FAST, epochs=2, seed=seed))
        torch.rand(5)
    first, again, other = (net.state_dict()["label_head.weight"] for net in nets)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_what_the_rows_do_not_say_is_filled_in_with_what_the_network_said(base: Path) -> None:
    net = tiny.net(base)
    row = Row("the idiot said it", "own", labels={"toxicity": 1, "harm": 0})
    given = [*items(2), *encode([row], tiny.tokenizer(), 32)]
    said, filled = predict(net, given), module._filled(net, given)
    assert np.array_equal(np.where(given[-1].labels < 0)[0], [0, 1, 3, 4]) and (given[-1].tokens < 0).any()
    for i, (item, one) in enumerate(zip(given, filled, strict=True)):
        for before, after, own in (
            (item.labels, one.labels, said.labels[i]),
            (item.groups, one.groups, said.groups[i]),
            (item.tokens, one.tokens, said.tokens[i].astype(np.float32)),
        ):
            assert np.array_equal(after, np.where(before < 0, own, before))


def test_groups_that_nobody_labelled_are_hardly_forgotten(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def moved() -> float:
        net, probe = tiny.net(base), items(5, 300)
        before = predict(net, probe).groups
        tune(net, items(), items(3, 90), FAST)
        return float(np.abs(predict(net, probe).groups - before).mean())

    kept = moved()
    monkeypatch.setattr(module, "_filled", lambda net, given: list(given))
    assert kept < 0.7 * moved()
