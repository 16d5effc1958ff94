"""Distil a teacher's soft labels into a small student, gold labels beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from guardrail.training.detector.batches import Batch, Encoded
from guardrail.training.detector.loop import LoopConfig, LoopReport, train
from guardrail.training.detector.losses import Logits, distill_loss, gold_loss
from guardrail.training.detector.model import DetectorNet
from guardrail.training.detector.predict import Predictions


def train_student(
    net: DetectorNet,
    items: Sequence[Encoded],
    soft: Predictions,
    config: LoopConfig,
    out: Path,
    *,
    gold_share: float = 0.5,
) -> LoopReport:
    """Train on ``gold_share`` gold loss and the rest distillation loss.

    ``soft`` holds the teacher's probabilities for ``items`` in the same order, by the same tokenisation; the teacher
    fills in every head that a row's annotators did not look at.
    """

    def loss(logits: Logits, batch: Batch) -> Tensor:
        gold = gold_loss(logits, batch.labels, batch.groups, batch.tokens, batch.weight)
        taught = distill_loss(logits, _gather(soft, batch), batch.attention_mask)
        return gold_share * gold + (1 - gold_share) * taught

    return train(net, items, loss, config, out)


def _gather(soft: Predictions, batch: Batch) -> Logits:
    index = list(batch.index)
    tokens = torch.zeros(*batch.input_ids.shape, soft.labels.shape[1])
    for row, i in enumerate(index):
        tokens[row, : len(soft.tokens[i])] = torch.from_numpy(soft.tokens[i].astype("float32"))
    device = batch.input_ids.device
    return (
        torch.from_numpy(soft.labels[index]).to(device),
        torch.from_numpy(soft.groups[index]).to(device),
        tokens.to(device),
    )
