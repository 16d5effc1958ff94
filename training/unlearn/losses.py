"""Compute the losses of unlearning from logits at the answers' tokens: likelihoods, divergences, NPO and DPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from guardrail.errors import ConfigError
from guardrail.training.unlearn.encode import Batch

DIRECTIONS = ("forward", "reverse")
BOUNDS = ("smooth", "clip", "none")


@dataclass(frozen=True, slots=True)
class Scored:
    """Float32 logits ``(answer tokens, vocabulary)`` with each token's target and the row that it is of."""

    logits: Tensor
    targets: Tensor
    row: Tensor
    rows: int


def score(model: nn.Module, batch: Batch) -> Scored:
    """Run the model and keep the logits that predict learnt tokens, no others."""
    start = int(batch.learnt.any(dim=0).int().argmax())
    causal: Any = model
    # What comes before the first answer is never predicted, and a vocabulary's logits cost much.
    kept = batch.ids.shape[1] - start + 1
    output = causal(input_ids=batch.ids, attention_mask=batch.attention, logits_to_keep=kept, use_cache=False)
    learnt = batch.learnt[:, start:]
    logits = output.logits[:, :-1][learnt].float()
    row = torch.arange(len(batch.ids), device=batch.ids.device)[:, None].expand_as(learnt)[learnt]
    return Scored(logits, batch.ids[:, start:][learnt], row, len(batch.ids))


def token_nll(scored: Scored) -> Tensor:
    """Return the negative log-likelihood of each answer token, in nats."""
    return functional.cross_entropy(scored.logits, scored.targets, reduction="none")


def per_row(values: Tensor, scored: Scored, *, mean: bool) -> Tensor:
    """Add up each row's values, or average them; rows without a token give 0."""
    total = values.new_zeros(scored.rows).index_add(0, scored.row, values)
    return total / torch.bincount(scored.row, minlength=scored.rows).clamp(min=1) if mean else total


def answer_loss(scored: Scored) -> Tensor:
    """Return the mean over answers of the mean cross-entropy of their tokens: a long answer counts like a short one."""
    return per_row(token_nll(scored), scored, mean=True).mean()


def log_likelihood(scored: Scored) -> Tensor:
    """Return each answer's log-likelihood, the sum over its tokens, ``(rows,)``."""
    return -per_row(token_nll(scored), scored, mean=False)


def divergence(reference: Tensor, logits: Tensor, direction: str = "forward") -> Tensor:
    """Return the Kullback-Leibler divergence of each position, in nats, from logits ``(positions, vocabulary)``.

    ``forward`` is KL(reference || model), ``reverse`` KL(model || reference). Both sides stay in log space, so that
    a probability of zero gives a large number and no infinity.
    """
    if direction not in DIRECTIONS:
        raise ConfigError(f"divergence.direction is {direction!r}; use one of {', '.join(DIRECTIONS)}")
    known, other = functional.log_softmax(reference.float(), -1), functional.log_softmax(logits.float(), -1)
    left, right = (known, other) if direction == "forward" else (other, known)
    return (left.exp() * (left - right)).sum(-1)


def bounded(values: Tensor, cap: float, bound: str = "smooth") -> Tensor:
    """Keep divergences (nats, at least 0) within ``cap``, so that maximising them comes to an end.

    ``clip`` cuts at ``cap``, where the gradient ends; ``smooth`` is ``cap * (1 - exp(-value / cap))``, whose gradient
    fades; ``none`` is the published loss, which has no lower end.
    """
    if bound not in BOUNDS:
        raise ConfigError(f"divergence.bound is {bound!r}; use one of {', '.join(BOUNDS)}")
    if bound == "none":
        return values
    if cap <= 0:
        raise ConfigError(f"divergence.cap = {cap} must be above 0, in nats a token, such as 2.0")
    return values.clamp(max=cap) if bound == "clip" else cap * -torch.expm1(-values / cap)


def npo(model: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Return negative preference optimisation's loss from answers' log-likelihoods, ``(rows,)`` each.

    ``2/beta * mean(log(1 + (p_model / p_reference)^beta))``: Zhang et al. 2024, "Negative Preference Optimization: From
    Catastrophic Collapse to Effective Unlearning", eq. 3. It tends to gradient ascent as ``beta`` goes to 0.
    """
    return 2 / beta * functional.softplus(beta * (model - reference)).mean()


def dpo(chosen: Tensor, rejected: Tensor, beta: float) -> Tensor:
    """Return direct preference optimisation's loss from log-ratios model/reference of both answers, ``(rows,)`` each.

    ``-mean(log sigmoid(beta * (chosen - rejected)))``: Rafailov et al. 2023, "Direct Preference Optimization", eq. 7.
    """
    return functional.softplus(-beta * (chosen - rejected)).mean()
