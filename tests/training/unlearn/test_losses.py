"""Test the losses against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from guardrail.errors import ConfigError
from guardrail.training.unlearn.losses import (
    Scored,
    answer_loss,
    bounded,
    divergence,
    dpo,
    log_likelihood,
    npo,
    per_row,
    score,
    token_nll,
)
from tests.training.unlearn import small

pytestmark = pytest.mark.training


def scored() -> Scored:
    """Two answers: tokens of probability 1/2 and 1/4 in the first, 3/4 in the second."""
    probability = torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.25, 0.75]])
    return Scored(probability.log(), torch.tensor([0, 0, 1]), torch.tensor([0, 0, 1]), 2)


def test_likelihoods_by_hand() -> None:
    half, quarter, rest = math.log(2), math.log(4), math.log(4 / 3)
    assert token_nll(scored()).tolist() == pytest.approx([half, quarter, rest])
    assert log_likelihood(scored()).tolist() == pytest.approx([-half - quarter, -rest])
    assert float(answer_loss(scored())) == pytest.approx(((half + quarter) / 2 + rest) / 2)
    whole = scored()
    alone = Scored(whole.logits[:2], whole.targets[:2], whole.row[:2], 2)
    assert per_row(token_nll(alone), alone, mean=True)[1] == 0


def test_divergences_by_hand() -> None:
    known, other = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    forward = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    reverse = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert divergence(known, other).tolist() == pytest.approx([forward])
    assert divergence(known, other, "reverse").tolist() == pytest.approx([reverse])
    assert divergence(known, known).tolist() == pytest.approx([0.0], abs=1e-7)
    with pytest.raises(ConfigError, match="'sideways'"):
        divergence(known, other, "sideways")


def test_bounds_by_hand_and_where_their_gradients_end() -> None:
    values = torch.tensor([0.0, 1.0, 50.0], requires_grad=True)
    assert bounded(values, 2.0, "clip").tolist() == [0.0, 1.0, 2.0]
    assert bounded(values, 2.0, "smooth").tolist() == pytest.approx([0.0, 2 * (1 - math.exp(-0.5)), 2.0], rel=1e-5)
    assert bounded(values, 2.0, "none").tolist() == [0.0, 1.0, 50.0]
    for bound, kept in (("clip", [1, 1, 0]), ("smooth", [1, math.exp(-0.5), 0]), ("none", [1, 1, 1])):
        (gradient,) = torch.autograd.grad(bounded(values, 2.0, bound).sum(), values)
        assert gradient.tolist() == pytest.approx(kept, abs=1e-6)
    with pytest.raises(ConfigError, match="divergence.cap = 0"):
        bounded(values, 0.0)
    with pytest.raises(ConfigError, match="'soft'"):
        bounded(values, 1.0, "soft")


def test_preferences_by_hand() -> None:
    model, reference = torch.tensor([-1.0, -2.0]), torch.tensor([-1.5, -1.0])
    ratios = [math.exp(0.5), math.exp(-1.0)]
    beta = 0.5
    want = sum(2 / beta * math.log(1 + ratio**beta) for ratio in ratios) / 2
    assert float(npo(model, reference, beta)) == pytest.approx(want, rel=1e-5)
    sigmoid = 1 / (1 + math.exp(-beta * (0.5 - -1.0)))
    assert float(dpo(torch.tensor([0.5]), torch.tensor([-1.0]), beta)) == pytest.approx(-math.log(sigmoid), rel=1e-5)


def test_npo_tends_to_gradient_ascent_and_is_never_below_zero() -> None:
    model = torch.tensor([-3.0], requires_grad=True)
    (slope,) = torch.autograd.grad(npo(model, torch.tensor([-3.5]), 1e-6), model)
    assert float(slope) == pytest.approx(1.0, rel=1e-4), "like ascent, whose slope in the log-likelihood is 1"
    assert float(npo(torch.tensor([-1e4]), torch.tensor([0.0]), 0.1)) == pytest.approx(0.0, abs=1e-6)


def test_only_answer_tokens_are_scored_each_by_the_position_before_it() -> None:
    layout, model = small.layout(), small.model().eval()
    items = layout.encode_all([*small.HARMFUL[:2], small.NORMAL[0]])
    with torch.no_grad():
        found = log_likelihood(score(model, layout.collate(items)))
        for item, value in zip(items, found, strict=True):
            whole = torch.tensor([[*item.prompt, *item.answer]])
            logits = model(whole).logits[0, len(item.prompt) - 1 : -1].log_softmax(-1)
            want = logits.gather(1, whole[0, len(item.prompt) :, None]).sum()
            assert float(value) == pytest.approx(float(want), rel=1e-4)
