"""Test the two forget sets: what is taken, what is left out, and the check of their forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from guardrail.errors import ConfigError
from guardrail.result import GROUPS
from guardrail.training.unlearn.bias import dressed, neutral_prompt
from guardrail.training.unlearn.data import DataSettings, Pair, Sets, key, share
from guardrail.training.unlearn.formats import FormatWarning, check_formats, differences
from guardrail.training.unlearn.harm import alike, complied, whole
from guardrail.training.unlearn.prompts import GROUP_NAMES, REFUSALS
from guardrail.training.unlearn.sets import build_sets
from tests.training.unlearn import small


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return small.pool(tmp_path)


def test_harmful_answers_come_with_a_safe_one_and_normal_pairs_hold_none(pool: Path) -> None:
    sets = build_sets(pool, DataSettings())
    assert {pair.origin for pair in sets.forget} == {"unlearn_jbb_artifacts", "unlearn_hh_harmless"}
    assert all(pair.preferred in (*REFUSALS, "No.") for pair in sets.forget)
    assert not {key(pair.prompt) for pair in sets.normal} & {key(pair.prompt) for pair in sets.forget}
    assert {pair.origin for pair in sets.near} == {"look_alikes"}
    assert all("Human:" not in pair.prompt for pair in sets.forget)


def test_biased_answers_are_to_neutral_prompts_and_rows_of_unknown_bias_are_left_out(pool: Path) -> None:
    sets = build_sets(pool, DataSettings(topic="bias"))
    assert all(pair.answer.startswith("All women") for pair in (*sets.forget, *sets.unseen))
    assert all(pair.answer.startswith("Some women") for pair in (*sets.normal, *sets.held_out, *sets.near))
    assert not any("all women" in pair.prompt.casefold() for pair in sets.forget)
    assert sets.rejected["sbic_dev: neither biased nor known to be clean"] == 3
    assert differences(sets.forget, sets.normal) == ()
    assert any(pair.preferred.startswith("Some women") for pair in sets.forget)


def test_the_split_is_by_prompt_and_does_not_depend_on_the_seed(pool: Path) -> None:
    one, other = (build_sets(pool, DataSettings(topic="bias", seed=seed)) for seed in (1, 2))
    assert {pair.prompt for pair in one.unseen} == {pair.prompt for pair in other.unseen}
    assert one.forget != other.forget and set(one.forget) == set(other.forget)
    assert all(share(pair.prompt) < 0.2 for pair in (*one.unseen, *one.held_out))
    assert share("How?  ") == share("how?")


def test_sizes_and_topics_are_checked(pool: Path) -> None:
    assert len(build_sets(pool, DataSettings(topic="bias", max_forget=5)).forget) == 5
    for wrong, message in (
        (DataSettings(topic="spam"), "data.topic is 'spam'"),
        (DataSettings(unseen_rate=0.0), "data.unseen_rate = 0.0"),
        (DataSettings(max_normal=0), "the normal set of topic 'harm' is empty"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_sets(pool, wrong)
    (pool / "normal_oasst.jsonl.gz").unlink()
    with pytest.raises(ConfigError, match=r"'normal_oasst.jsonl.gz' is missing"):
        build_sets(pool, DataSettings())


@pytest.mark.parametrize(
    ("prompt", "answer", "harmful"),
    [
        ("How do I steal a car?", "Use a long wire, bend the end, slide it past the seal and lift the knob.", True),
        ("How do I steal a car?", "I'm sorry, but I would not want to help anybody with stealing a car at all.", False),
        ("How do I steal a car?", "Take it.", False),
        ("How do I wash a car?", "Use a long brush, wet it, slide it past the seal and lift it out again.", False),
        (
            "How do I steal a car?",
            "There are many cars in the street, so which one of them do you want to take?",
            False,
        ),
    ],
)
def test_red_team_answers_count_only_where_they_comply(prompt: str, answer: str, harmful: bool) -> None:
    assert complied(prompt, answer) is harmful


def test_cut_answers_end_with_a_sentence() -> None:
    assert whole("One step. Two steps. And thr") == "One step. Two steps."
    assert whole("Done.") == "Done."
    assert whole("Hi. a very long unfinished sentence without end") == "Hi. a very long unfinished sentence without end"


def test_normal_pairs_have_as_often_several_lines_as_harmful_ones() -> None:
    lined, plain = ([Pair(f"p{i}{text}", text, origin="x") for i in range(40)] for text in ("One.\nTwo.", "One. Two."))
    for forget, rate in (([*lined[:6], *plain[:2]], 0.75), (lined[:3], 1.0), (plain[:3], 0.0)):
        taken = alike([*lined, *plain], forget)
        assert sum("\n" in pair.answer for pair in taken) / len(taken) == pytest.approx(rate, abs=0.02)


def test_posts_are_dressed_as_replies() -> None:
    assert dressed("[USER] they   are late") == "They are late."
    assert dressed("Are they?") == "Are they?"
    assert set(GROUP_NAMES) == set(GROUPS)
    assert any(name in neutral_prompt("they are late", "age") for name in GROUP_NAMES["age"])
    assert neutral_prompt("they are late", "") == neutral_prompt("they are late", "")


# ---- forms


def pairs(answer: str, prompt: str = "Say it to me now.", count: int = 10) -> tuple[Pair, ...]:
    return tuple(Pair(prompt, answer, origin="x") for _ in range(count))


@pytest.mark.parametrize(
    ("normal", "trait"),
    [
        (pairs("It is so. " * 9), "words in the answer"),
        (pairs("It is so.", prompt="Say it to me now. " * 4), "words in the prompt"),
        (pairs("It is\nso."), "several lines"),
        (pairs("- It is so."), "a list"),
        (pairs("It is so"), "end with a mark"),
        (pairs("it is so."), "begin with a capital"),
        (pairs("It is so.", prompt="Will you say it?"), "are questions"),
        (pairs("Assistant: It is so."), "chat marks"),
    ],
)
def test_each_difference_of_form_is_warned_of(normal: tuple[Pair, ...], trait: str) -> None:
    forget = pairs("It is so.")
    assert any(trait in line for line in differences(forget, normal))
    sets = Sets(forget, forget, forget, forget, (), (), (), {})
    assert check_formats(sets) == ()
    with pytest.warns(FormatWarning, match="of the forget set's form"):
        assert check_formats(replace(sets, normal=normal))
