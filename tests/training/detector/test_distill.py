"""Check that a student comes to say what its teacher says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guardrail.result import GROUPS
from guardrail.training.data.schema import LABELS, Row, known
from guardrail.training.detector.batches import Encoded, encode
from guardrail.training.detector.distill import train_student
from guardrail.training.detector.loop import LoopConfig
from guardrail.training.detector.predict import Predictions, predict
from tests.training import tiny

pytestmark = pytest.mark.training

CONFIG = LoopConfig(epochs=12, learning_rate=3e-3, head_rate=1e-2, token_budget=300, seed=3)
TOXIC = LABELS.index("toxicity")


@pytest.fixture(scope="module")
def items() -> list[Encoded]:
    """Rows of which nothing is known."""
    texts = [f"the {word} said it {i}" for i in range(20) for word in ("idiot", "clerk")]
    return encode([Row(text, "x") for text in texts], tiny.tokenizer(), 32)


def taught(items: list[Encoded]) -> Predictions:
    """Say what a teacher thinks: rows with "idiot" are toxic for that word, all are about gender with 0.7."""
    idiot = tiny.tokenizer().token_to_id("idiot")
    labels = np.full((len(items), len(LABELS)), 0.05, np.float32)
    groups = np.full((len(items), len(GROUPS)), 0.02, np.float32)
    groups[:, GROUPS.index("gender")] = 0.7
    tokens = []
    for row, item in enumerate(items):
        labels[row, TOXIC] = 0.9 if idiot in item.ids else 0.1
        carried = np.full((len(item.ids), len(LABELS)), 0.02, np.float16)
        carried[[i for i, token in enumerate(item.ids) if token == idiot], TOXIC] = 0.95
        tokens.append(carried)
    return Predictions(labels, groups, tokens)


def gap(found: Predictions, soft: Predictions) -> tuple[float, float, float]:
    tokens = np.concatenate(found.tokens).astype(np.float32) - np.concatenate(soft.tokens).astype(np.float32)
    return (
        float(np.abs(found.labels - soft.labels).mean()),
        float(np.abs(found.groups - soft.groups).mean()),
        float(np.abs(tokens).mean()),
    )


def test_distillation_pulls_every_head_to_the_teacher(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    net, soft = tiny.net(base), taught(items)
    before = gap(predict(net, items), soft)
    report = train_student(net, items, soft, CONFIG, tmp_path, gold_share=0.5)
    after = gap(predict(net, items), soft)
    assert report.complete
    assert all(new < old / 2 for new, old in zip(after, before, strict=True))
    assert max(after) < 0.1


def test_gold_alone_does_not_listen_to_the_teacher(base: Path, items: list[Encoded], tmp_path: Path) -> None:
    net = tiny.net(base, dropout=0.0)
    before = predict(net, items)
    train_student(net, items, taught(items), CONFIG, tmp_path, gold_share=1.0)
    np.testing.assert_allclose(predict(net, items).labels, before.labels, atol=0.02)


def test_where_gold_and_teacher_disagree_the_share_decides(base: Path, tmp_path: Path) -> None:
    rows = [Row(f"the clerk said it {i}", "x", labels=known(LABELS, []), spans=()) for i in range(30)]
    items = encode(rows, tiny.tokenizer(), 32)
    soft = taught(items)
    soft.labels[:, TOXIC] = 1.0
    scores = {}
    for share in (0.2, 0.8):
        net = tiny.net(base)
        train_student(net, items, soft, CONFIG, tmp_path / str(share), gold_share=share)
        scores[share] = float(predict(net, items).labels[:, TOXIC].mean())
    assert scores[0.2] == pytest.approx(0.8, abs=0.12)
    assert scores[0.8] == pytest.approx(0.2, abs=0.12)


def test_predictions_come_in_the_order_given_whatever_the_batches(base: Path) -> None:
    rows = [Row("the " + "plan is late " * (i % 5) + str(i), "x") for i in range(17)]
    items = encode(rows, tiny.tokenizer(), 64)
    net = tiny.net(base)
    together, alone = predict(net, items, 200), [predict(net, [item]) for item in items]
    np.testing.assert_allclose(together.labels, np.concatenate([one.labels for one in alone]), atol=1e-5)
    np.testing.assert_allclose(together.groups, np.concatenate([one.groups for one in alone]), atol=1e-5)
    for many, one in zip(together.tokens, alone, strict=True):
        assert many.dtype == np.float16
        np.testing.assert_allclose(many, one.tokens[0], atol=2e-3)
    assert [len(tokens) for tokens in together.tokens] == [len(item.ids) for item in items]


def test_prediction_draws_no_dropout(base: Path, items: list[Encoded]) -> None:
    net = tiny.net(base).train()
    np.testing.assert_array_equal(predict(net, items).labels, predict(net, items).labels)
