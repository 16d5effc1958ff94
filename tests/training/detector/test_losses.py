"""Check that what is unknown, and padding, takes no part in a loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from guardrail.result import GROUPS
from guardrail.training.data.schema import LABELS
from guardrail.training.detector.losses import GROUP_SHARE, SPAN_SHARE, distill_loss, gold_loss, masked_bce

pytestmark = pytest.mark.training


def logits(batch: int = 3, tokens: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    shapes = ((batch, len(LABELS)), (batch, len(GROUPS)), (batch, tokens, len(LABELS)))
    label, group, token = (torch.randn(shape, requires_grad=True) for shape in shapes)
    return label, group, token


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, of)
    return found


def test_the_loss_is_the_mean_over_what_is_known() -> None:
    value = masked_bce(torch.tensor([[0.0, 9.0, 2.0]]), torch.tensor([[1.0, -1.0, 0.0]]), torch.ones(1))
    assert value.item() == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 2)


def test_rows_count_by_their_weight() -> None:
    values = torch.tensor([[0.0], [2.0]])
    loss = masked_bce(values, torch.tensor([[1.0], [0.0]]), torch.tensor([3.0, 1.0]))
    assert loss.item() == pytest.approx((3 * math.log(2) + math.log(1 + math.exp(2))) / 4)


def test_the_gradient_of_an_unknown_target_is_exactly_zero() -> None:
    values = torch.randn(4, 6, requires_grad=True)
    targets = torch.randint(-1, 2, (4, 6), generator=torch.Generator().manual_seed(1)).float()
    found = gradient(masked_bce(values, targets, torch.ones(4)), values)
    assert (found[targets < 0] == 0).all()
    assert (found[targets >= 0] != 0).all()


def test_where_nothing_is_known_the_loss_and_its_gradient_are_zero() -> None:
    values = torch.randn(2, 3, requires_grad=True)
    loss = masked_bce(values, torch.full((2, 3), -1.0), torch.ones(2))
    assert loss.item() == 0
    assert (gradient(loss, values) == 0).all()


def test_extreme_logits_of_unknown_targets_do_no_harm() -> None:
    values = torch.tensor([[1e4, 0.0]], requires_grad=True)
    loss = masked_bce(values, torch.tensor([[-1.0, 1.0]]), torch.ones(1))
    assert gradient(loss, values)[0, 0] == 0
    assert loss.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("head", [0, 1, 2])
def test_each_head_is_masked_by_itself(head: int) -> None:
    out = logits()
    targets = [torch.full_like(one, -1.0) for one in out]
    targets[head] = torch.ones_like(out[head])
    loss = gold_loss(out, targets[0], targets[1], targets[2], torch.ones(3))
    loss.backward()
    for index, one in enumerate(out):
        assert one.grad is not None
        assert (one.grad != 0).all() if index == head else (one.grad == 0).all()


def test_the_heads_share_the_loss() -> None:
    out = tuple(torch.zeros_like(one) for one in logits())
    ones = [torch.ones_like(one) for one in out]
    loss = gold_loss((out[0], out[1], out[2]), ones[0], ones[1], ones[2], torch.ones(3))
    assert loss.item() == pytest.approx(math.log(2) * (1 + GROUP_SHARE + SPAN_SHARE))


def test_padding_takes_no_part_in_distillation() -> None:
    out = logits()
    soft = (torch.rand(3, len(LABELS)), torch.rand(3, len(GROUPS)), torch.rand(3, 5, len(LABELS)))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    loss = distill_loss(out, soft, mask)
    found = gradient(loss, out[2])
    assert (found[mask == 0] == 0).all()
    assert (found[mask == 1] != 0).all()
    changed = (soft[0], soft[1], torch.where(mask.bool().unsqueeze(-1), soft[2], torch.rand_like(soft[2])))
    assert distill_loss(out, changed, mask).item() == loss.item()


def test_distillation_is_least_where_the_student_says_what_the_teacher_says() -> None:
    soft = (torch.full((2, len(LABELS)), 0.3), torch.full((2, len(GROUPS)), 0.7), torch.full((2, 4, len(LABELS)), 0.2))
    same = (torch.logit(soft[0]), torch.logit(soft[1]), torch.logit(soft[2]))
    mask = torch.ones(2, 4, dtype=torch.long)
    least = distill_loss(same, soft, mask)
    for step in (-0.5, 0.5):
        assert distill_loss((same[0] + step, same[1] + step, same[2] + step), soft, mask) > least
    moving = tuple(one.requires_grad_() for one in same)
    found = torch.autograd.grad(distill_loss((moving[0], moving[1], moving[2]), soft, mask), moving)
    assert max(float(one.abs().max()) for one in found) < 1e-6
