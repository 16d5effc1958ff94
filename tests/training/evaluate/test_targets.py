"""Check that each target reads its own figure and says whether it is kept."""

from __future__ import annotations

import math

import pytest

from guardrail.training.data.noise import FAMILIES
from guardrail.training.evaluate.section import Section
from guardrail.training.evaluate.targets import Facts, Target, Verdict, targets

US = "ours"


def section(name: str, **rows: dict[str, float]) -> Section:
    return Section(name, name, "", {row: {US: figures} for row, figures in rows.items()})


def found(what: str, *sections: Section, facts: Facts | None = None) -> list[Target]:
    return [one for one in targets(sections, facts or Facts(US, 23.0)) if one.what.startswith(what)]


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("x", 0.03, 0.03, "", at_most=True), Verdict.PASS),
        (Target("x", 0.03, 0.0301, "", at_most=True), Verdict.SHORT),
        (Target("x", 0.9, 0.9, ""), Verdict.PASS),
        (Target("x", 0.9, 0.89, ""), Verdict.SHORT),
        (Target("x", 0.9, math.nan, ""), Verdict.UNMEASURED),
        (Target("x", 0.9, math.nan, "", at_most=True), Verdict.UNMEASURED),
    ],
)
def test_a_bound_is_kept_or_not_or_not_measured(target: Target, verdict: Verdict) -> None:
    assert target.verdict is verdict


def test_nothing_measured_is_said_of_every_target_but_the_size() -> None:
    verdicts = {one.what: one.verdict for one in targets([], Facts(US, 23.0))}
    assert verdicts.pop("bundle, MB") is Verdict.PASS
    assert set(verdicts.values()) == {Verdict.UNMEASURED}
    assert found("bundle", facts=Facts(US, 24.1))[0].verdict is Verdict.SHORT


def test_the_worst_label_counts_for_calibration() -> None:
    labels = {"hate": {"ece": 0.01}, "harm": {"ece": math.nan}, "toxicity": {"ece": 0.05}}
    dev, held = found("ECE", section("dev.labels", **labels), section("heldout.labels", hate={"ece": 0.02}))
    assert (dev.found, dev.verdict) == (0.05, Verdict.SHORT)
    assert (held.found, held.verdict) == (0.02, Verdict.PASS)


def test_fairness_targets_read_all_groups_together() -> None:
    shift = found("counterfactual", section("fairness.swaps", all={"mean_shift": 0.02}, age={"mean_shift": 0.5}))
    assert shift[0].found == 0.02
    gaps = found("worst group", section("fairness.mentions", all={"gap_to_mean": 0.03}, age={"gap_to_mean": 0.03}))
    assert [one.verdict for one in gaps] == [Verdict.SHORT, Verdict.UNMEASURED]


def test_long_texts_are_found_at_the_worst_place_and_no_more_often_flagged_than_short_ones() -> None:
    places = section("robustness.position", start={"recall": 1.0}, middle={"recall": 0.9}, end={"recall": 1.0})
    assert found("one bad sentence", places)[0].found == 0.9
    rows = {"one page": {"false_positives": 0.02}, "ten pages": {"false_positives": 0.05}}
    (target,) = found("ten neutral pages", section("robustness.long", **rows))
    assert target.found == pytest.approx(0.03)
    assert target.verdict is Verdict.SHORT


@pytest.mark.parametrize("gap", [0.02, -0.02])
def test_a_dialect_gap_counts_either_way(gap: float) -> None:
    (target,) = found("dialect", section("fairness.dialect", gap={"false_positives": gap}))
    assert (target.found, target.verdict) == (0.02, Verdict.SHORT)


def test_each_step_down_in_size_may_lose_a_point() -> None:
    figures = {"teacher": 0.80, "student": 0.795, US: 0.78}
    rows = {"cad: hate": {name: {"macro_f1_at_half": value} for name, value in figures.items()}}
    facts = Facts(US, 23.0, ("teacher", "student", US))
    first, second = found("macro-F1 lost", Section("dev.heads", "", "", rows), facts=facts)
    assert (first.what, second.what) == ("macro-F1 lost, teacher to student", f"macro-F1 lost, student to {US}")
    assert first.found == pytest.approx(0.005)
    assert [first.verdict, second.verdict] == [Verdict.PASS, Verdict.SHORT]
    assert found("macro-F1 lost", facts=facts)[0].verdict is Verdict.UNMEASURED


def test_every_family_of_noise_has_its_drop_at_the_training_s_top_level() -> None:
    rows = {f"{name}, {level}": {"auc_drop": drop} for name in FAMILIES for level, drop in (("12%", 0.5), ("40%", 0.0))}
    rows["stars (never trained on), 40%"] = rows.pop("stars, 40%") | {"auc_drop": 0.2}
    drops = found("drop in AUC", section("robustness.noise", clean={"texts": 20.0}, **rows))
    assert len(drops) == len(FAMILIES)
    assert {one.what: one.found for one in drops if one.found} == {"drop in AUC, stars": 0.2}
    assert all("few texts" in one.on for one in drops)


def test_latency_is_that_of_a_whole_detect() -> None:
    rows = {
        "model, 32 tokens": {"p50_ms": 0.1},
        "whole detect, 32 tokens": {"p50_ms": 1.5},
        "whole detect, 128 tokens": {"p50_ms": 9.0},
    }
    short, long = found("p50", section("latency", **rows))
    assert [short.verdict, long.verdict] == [Verdict.PASS, Verdict.SHORT]


def test_what_the_dev_folds_cannot_measure_says_why() -> None:
    for what in ("human-scored", "loaded news"):
        (target,) = found(what)
        assert target.verdict is Verdict.UNMEASURED
        assert target.on.startswith("no ")


def test_the_worst_register_is_one_register_and_not_all() -> None:
    rows = {"all": {"false_positives": 0.01}, "news": {"false_positives": 0.0}, "chat": {"false_positives": 0.08}}
    both, worst = (
        found(what, section("fairness.registers", **rows))[0] for what in ("ten registers", "worst register")
    )
    assert (both.found, worst.found) == (0.01, 0.08)
