"""Test training on tiny models: it learns, stays finite, comes apart loudly, and stops by behaviour."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from guardrail.errors import GuardrailError
from guardrail.training.unlearn.loop import train
from guardrail.training.unlearn.losses import answer_loss
from guardrail.training.unlearn.probe import Probe, Reading, Stopper, blank_rate, harmful_rate, sweep
from guardrail.training.unlearn.recipe import Recipe, StopSettings
from guardrail.training.unlearn.subject import Subject
from tests.training.unlearn import small

pytestmark = pytest.mark.training


def loss(subject: Subject, part: str, coefficient: float) -> float:
    layout = subject.layout
    pairs = layout.encode_all(small.HARMFUL if part == "forget" else small.NORMAL)
    with torch.no_grad(), subject.scaled(coefficient):
        return float(answer_loss(subject.score(layout.collate(pairs))))


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_a_copy_learns_harm_and_its_negative_unlearns_it(tuning: str) -> None:
    recipe = small.recipe(run={"steps": 25, "lr": 1e-2 if tuning == "lora" else 3e-3})
    subject = small.subject(tuning)
    before = loss(subject, "forget", 0.0)
    train(subject, small.plan(recipe), recipe)
    assert loss(subject, "forget", 1.0) < before - 0.2
    assert loss(subject, "forget", -1.0) > before + 0.2
    assert loss(subject, "forget", 0.0) == pytest.approx(before, rel=1e-4), "the original is left as it was"


@pytest.mark.slow
@pytest.mark.parametrize(("tuning", "bound", "direction"), [("lora", "smooth", "forward"), ("full", "clip", "reverse")])
def test_a_thousand_steps_stay_finite(tuning: str, bound: str, direction: str) -> None:
    tables = {"bound": bound, "direction": direction, "cap": 2.0}
    recipe = small.recipe(run={"steps": 1000, "lr": 1e-3, "batch": 1}, weights={"mismatches": 1}, divergence=tables)
    subject = small.subject(tuning)
    course = train(subject, small.plan(recipe), recipe)
    assert course.steps == 1000
    assert all(math.isfinite(value) for terms in course.terms for value in terms.values())
    assert min(terms["preservation"] for terms in course.terms) >= -2.0
    assert all(bool(torch.isfinite(weight).all()) for weight in subject.model.parameters())


def test_the_published_divergence_has_no_lower_end_and_ours_has() -> None:
    lowest = {}
    for bound in ("none", "smooth"):
        alone = {"distortion": 0.0, "disassociation": 0.0}
        recipe = small.recipe(run={"steps": 20, "lr": 5e-2}, divergence={"bound": bound, "cap": 0.5}, weights=alone)
        course = train(small.subject(), small.plan(recipe), recipe)
        lowest[bound] = min(terms["preservation"] for terms in course.terms)
    assert lowest["none"] < -1.0 and lowest["smooth"] >= -0.5


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    subject, recipe = small.subject("full"), small.recipe()
    with torch.no_grad():
        next(subject.model.parameters()).fill_(math.nan)
    with pytest.raises(GuardrailError, match=r"'distortion' is nan; lower run.lr"):
        train(subject, small.plan(recipe), recipe)


def test_the_same_seed_gives_the_same_weights_and_looks_change_nothing() -> None:
    found = []
    for every in (0, 2):
        recipe = small.recipe(stop={"every": every, "patience": 99, "new_tokens": 2})
        subject = small.subject(dropout=0.2)
        train(subject, small.plan(recipe), recipe, probe(subject, small.never))
        found.append([weight.detach().clone() for weight in subject.trained()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


# ---- behaviour


def probe(subject: Subject, judge: object, coefficient: float = -1.0) -> Probe:
    normal = subject.layout.encode_all(small.NORMAL[:2])
    return Probe(["Harm?", "Hit?"], ["Hurt?"], normal, judge, coefficient=coefficient, new_tokens=4)  # type: ignore[arg-type]


def stopping(**stop: object) -> Recipe:
    return small.recipe(
        run={"steps": 30}, stop={"every": 3, "patience": 2, "new_tokens": 2, "perplexity": 1e9, "blank": 1.0, **stop}
    )


def test_a_run_ends_when_answers_are_harmless_not_when_the_loss_is_low() -> None:
    recipe, subject, kept = stopping(), small.subject(), list[int]()
    # Twice a look: trained prompts, then unseen ones. Those are harmful once more than these.
    looks = iter([1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])

    def judge(prompts: Sequence[str], _answers: Sequence[str]) -> list[float]:
        return [next(looks)] * len(prompts)

    recipe = recipe.changed(seed=3)
    course = train(subject, small.plan(recipe), recipe, probe(subject, judge), keep=lambda: kept.append(1))
    assert course.steps == 12 and "harmful rate" in course.reason
    assert [(one.step, one.harmful, one.unseen) for one in course.readings] == [
        (0, 1.0, 1.0),
        (3, 1.0, 1.0),
        (6, 0.0, 1.0),
        (9, 0.0, 0.0),
        (12, 0.0, 0.0),
    ]
    assert course.best_step >= 9 and len(kept) >= 3


def test_a_probe_judges_the_negated_copy_and_gives_the_copy_back() -> None:
    subject = small.subject()
    small.change(subject, 0.3)
    plain, negated = probe(subject, small.never, 1.0).read(subject, 1), probe(subject, small.never).read(subject, 1)
    assert plain.perplexity != pytest.approx(negated.perplexity, rel=1e-3)
    assert probe(subject, small.never, 1.0).read(subject, 1) == plain
    curve = sweep(subject, probe(subject, small.never), [0.0, 1.0], 1)
    assert [one.coefficient for one in curve] == [0.0, -1.0]
    assert curve[1] == negated


def reading(harmful: float, perplexity: float, blank: float = 0.0) -> Reading:
    return Reading(1, harmful, harmful, blank, perplexity)


def test_the_best_reading_keeps_normal_behaviour() -> None:
    stopper = Stopper(StopSettings(patience=9), reading(0.6, 10.0))
    good, exploded, blank = reading(0.2, 10.9), reading(0.0, 50.0), reading(0.0, 10.0, blank=0.5)
    for one in (reading(0.4, 10.5), exploded, blank, good, reading(0.3, 10.0)):
        stopper.see(one)
    assert stopper.best == good


def test_too_much_forgotten_ends_the_run_too() -> None:
    stopper = Stopper(StopSettings(patience=2), reading(0.6, 10.0))
    assert stopper.see(reading(0.0, 99.0)) == ""
    assert "perplexity or blanks" in stopper.see(reading(0.0, math.inf))


def test_a_judge_that_sees_no_harm_in_the_base_ends_nothing() -> None:
    stopper = Stopper(StopSettings(patience=1), reading(0.0, 10.0))
    assert stopper.blind
    assert [stopper.see(reading(0.0, 10.0)) for _ in range(3)] == ["", "", ""]


def test_rates_by_hand() -> None:
    assert harmful_rate(lambda prompts, answers: [0.2, 0.5, 0.9], ["a"] * 3, ["b"] * 3) == pytest.approx(2 / 3)
    assert harmful_rate(small.never, [], []) == 0.0
    assert blank_rate(["", " . .", "word", "two words", "1 2 3"]) == pytest.approx(0.8)
