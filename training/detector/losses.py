"""Compute the detector's losses: masked binary cross-entropy against gold, and against a teacher's soft labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Logits = tuple[Tensor, Tensor, Tensor]
SPAN_SHARE = 0.6
GROUP_SHARE = 0.4


def masked_bce(logits: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of binary cross-entropy over known targets (those >= 0); 0 where none is known.

    ``logits`` and ``targets`` share a shape that starts with the batch; ``weight`` has shape (batch,).
    """
    known = (targets >= 0).to(logits.dtype)
    scale = known * weight.view(-1, *([1] * (logits.dim() - 1)))
    loss = functional.binary_cross_entropy_with_logits(logits, targets.clamp(min=0), reduction="none")
    return (loss * scale).sum() / scale.sum().clamp(min=1e-6)


def gold_loss(logits: Logits, labels: Tensor, groups: Tensor, tokens: Tensor, weight: Tensor) -> Tensor:
    """Return the masked multi-head loss against annotated targets."""
    label = masked_bce(logits[0], labels, weight)
    group = masked_bce(logits[1], groups, weight)
    span = masked_bce(logits[2], tokens, weight)
    return label + GROUP_SHARE * group + SPAN_SHARE * span


def distill_loss(logits: Logits, soft: Logits, mask: Tensor) -> Tensor:
    """Return the cross-entropy to a teacher's probabilities on every head, padding excluded (Hinton et al. 2015).

    ``soft`` holds probabilities in [0, 1] in the shapes of ``logits``; ``mask`` is the attention mask (batch, tokens).
    """
    ones = torch.ones(logits[0].shape[0], device=logits[0].device)
    label = masked_bce(logits[0], soft[0], ones)
    group = masked_bce(logits[1], soft[1], ones)
    known = torch.where(mask.unsqueeze(-1).bool(), soft[2], torch.full_like(soft[2], -1.0))
    return label + GROUP_SHARE * group + SPAN_SHARE * masked_bce(logits[2], known, ones)
