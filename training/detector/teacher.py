"""Fine-tune the teacher on gold labels with the masked multi-head loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guardrail.training.detector.batches import Encoded
from guardrail.training.detector.loop import LoopConfig, LoopReport, train
from guardrail.training.detector.losses import gold_loss
from guardrail.training.detector.model import DetectorNet


def train_teacher(net: DetectorNet, items: Sequence[Encoded], config: LoopConfig, out: Path) -> LoopReport:
    """Train on gold labels alone."""
    return train(net, items, lambda logits, b: gold_loss(logits, b.labels, b.groups, b.tokens, b.weight), config, out)
