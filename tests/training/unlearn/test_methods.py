"""Test SKU's terms and every baseline: what each does to which likelihood, and that each can be switched."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import torch

from guardrail.errors import ConfigError
from guardrail.training.unlearn import baselines, sku
from guardrail.training.unlearn.baselines import METHODS, terms_of
from guardrail.training.unlearn.loop import lr_share, train
from guardrail.training.unlearn.losses import answer_loss, divergence, log_likelihood, per_row
from guardrail.training.unlearn.recipe import Recipe
from guardrail.training.unlearn.sku import Objective, Term
from tests.training.unlearn import small

pytestmark = pytest.mark.training


def objective(recipe: Recipe | None = None, *, changed: bool = True) -> Objective:
    settings = recipe or small.recipe()
    subject = small.subject()
    if changed:
        small.change(subject, 0.1)
    return Objective(subject, next(small.plan(settings).steps()), settings)


def moved(term: Term, watched: Callable[[Objective], Any]) -> float:
    """Return how ``watched`` changes when the term is lowered by a small step down its gradient."""
    one = objective()
    with torch.no_grad():
        before = float(watched(one))
    term(one).backward()
    with torch.no_grad():
        for weight in one.subject.trained():
            if weight.grad is not None:
                weight.sub_(1e-3 * weight.grad / (1e-6 + weight.grad.norm()))
        return float(watched(one)) - before


def nll(part: str) -> Callable[[Objective], Any]:
    return lambda one: answer_loss(one.subject.score(one.subject.layout.collate(getattr(one.step, part))))


def apart(part: str) -> Callable[[Objective], Any]:
    return lambda one: one.apart(getattr(one.step, part))


@pytest.mark.parametrize(
    ("term", "watched", "sign"),
    [
        (sku.guided_distortion, nll("forget"), -1),
        (sku.random_disassociation, nll("mismatched"), -1),
        (sku.preservation_divergence, apart("normal"), 1),
        (baselines.gradient_ascent, nll("forget"), 1),
        (baselines.random_mismatch, nll("strangers"), -1),
        (baselines.stay_near, apart("normal"), -1),
        (baselines.retain, nll("normal"), -1),
        (baselines.negative_preference, nll("forget"), 1),
        (baselines.direct_preference, nll("rejected"), 1),
        (baselines.direct_preference, nll("chosen"), -1),
        (baselines.near_miss, nll("near"), -1),
        (baselines.near_miss_held, apart("near"), -1),
    ],
)
def test_each_term_moves_what_it_is_about(term: Term, watched: Callable[[Objective], Any], sign: int) -> None:
    assert moved(term, watched) * sign > 0


@torch.no_grad()
def test_terms_equal_their_formulas_on_one_step() -> None:
    one = objective(small.recipe(weights={"beta": 0.3}, divergence={"bound": "clip", "cap": 0.05}))
    layout, step = one.subject.layout, one.step
    mine, theirs = (ask(layout.collate(step.forget)) for ask in (one.subject.score, one.subject.reference))
    ratio = (log_likelihood(mine) - log_likelihood(theirs)).tolist()
    want = sum(2 / 0.3 * math.log1p(math.exp(0.3 * value)) for value in ratio) / len(ratio)
    assert float(baselines.negative_preference(one)) == pytest.approx(want, rel=1e-4)
    assert float(baselines.gradient_ascent(one)) == -float(sku.guided_distortion(one))
    batch = layout.collate(step.normal)
    raw = divergence(one.subject.reference(batch).logits, one.subject.score(batch).logits)
    scored = one.subject.score(batch)
    clipped = per_row(raw.clamp(max=0.05), scored, mean=True).mean()
    assert float(sku.preservation_divergence(one)) == pytest.approx(-float(clipped), rel=1e-4)
    assert float(raw.max()) > 0.05


@torch.no_grad()
def test_nothing_is_apart_before_training() -> None:
    one = objective(changed=False)
    assert float(sku.preservation_divergence(one)) == pytest.approx(0.0, abs=1e-6)
    assert float(baselines.direct_preference(one)) == pytest.approx(math.log(2), rel=1e-5)
    assert float(baselines.negative_preference(one)) == pytest.approx(2 / 0.1 * math.log(2), rel=1e-5)


def test_mismatched_answers_are_of_other_prompts_and_drawn_anew() -> None:
    steps = list(islice(small.plan(small.recipe(weights={"mismatches": 3})).steps(), 40))
    answers = {pair.key: pair.answer for pair in small.items().forget}
    for step in steps:
        assert len(step.mismatched) == 3 * len(step.forget)
        assert all(item.answer != answers[item.key] for item in step.mismatched)
    drawn = {tuple(item.answer for item in step.mismatched if item.key == steps[0].forget[0].key) for step in steps}
    assert len(drawn - {()}) > 1


def test_two_processes_share_each_step() -> None:
    plan = small.plan(small.recipe(run={"batch": 4}))
    whole, first, second = (next(plan.steps(rank=rank, size=size)) for rank, size in ((0, 1), (0, 2), (1, 2)))
    assert sorted(item.key for part in (first, second) for item in part.forget) == sorted(i.key for i in whole.forget)
    assert not {item.key for item in first.normal} & {item.key for item in second.normal}


def test_ablations_leave_one_term_out_and_weight_zero_turns_a_term_off() -> None:
    weights = {name: 1.0 for name in ("distortion", "disassociation", "preservation", "forget", "mismatch", "retain")}
    weights["near_miss"] = 0.0
    full = set(terms_of("sku", weights))
    for name, left_out in (("sku-gd", "distortion"), ("sku-rd", "disassociation"), ("sku-pd", "preservation")):
        assert full - set(terms_of(name, weights)) == {left_out}
        assert METHODS[name].negated
    assert set(terms_of("sku", {**weights, "distortion": 0.0})) == full - {"distortion"}
    assert terms_of("sku", {**weights, "near_miss": 0.5})["near_miss"] == (0.5, baselines.near_miss_held)
    assert terms_of("npo", {**weights, "near_miss": 0.5})["near_miss"] == (0.5, baselines.near_miss)
    assert set(terms_of("tv", weights)) == {"distortion"}
    with pytest.raises(ConfigError, match="no weight above 0"):
        terms_of("tv", {**weights, "distortion": 0.0})
    with pytest.raises(ConfigError, match="method is 'magic'; use one of sku"):
        terms_of("magic", weights)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_in_the_same_loop(name: str) -> None:
    recipe = small.recipe(method=name, weights={"near_miss": 0.5, "mismatches": 1}, run={"steps": 2})
    subject = small.subject()
    course = train(subject, small.plan(recipe), recipe)
    assert course.steps == course.best_step == 2
    assert all(math.isfinite(value) for terms in course.terms for value in terms.values())
    assert "near_miss" in course.terms[0]
    assert any(bool(weight.detach().abs().sum()) for weight in subject.trained())


def test_a_term_without_pairs_says_so() -> None:
    recipe = small.recipe(method="dpo")
    items = small.items()
    from guardrail.training.unlearn.draw import Items, Plan

    plan = Plan(Items(items.forget, items.normal), batch=2, mismatches=1, seed=0)
    with pytest.raises(ConfigError, match="no pairs to learn from"):
        train(small.subject(), plan, recipe)
    with pytest.raises(ConfigError, match="0 forget and 8 normal"):
        Plan(Items([], items.normal), batch=2, mismatches=1, seed=0)


def test_the_rate_rises_falls_and_is_never_zero_on_a_step() -> None:
    run = small.recipe(run={"steps": 100, "warmup": 0.1}).run
    shares = [lr_share(run, step, step / 100) for step in range(100)]
    assert max(shares) == pytest.approx(0.91) and min(shares) > 0
    assert shares[:10] == sorted(shares[:10]) and shares[10:] == sorted(shares[10:], reverse=True)
