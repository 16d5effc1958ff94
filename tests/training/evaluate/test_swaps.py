"""Check that a swapped text is grammatical and means the same, and that what cannot be swapped is left alone."""

from __future__ import annotations

import pytest

from guardrail.result import GROUPS
from guardrail.training.evaluate.mentions import mentioned
from guardrail.training.evaluate.probes import identities
from guardrail.training.evaluate.swaps import FAMILIES, swaps


def of(text: str, group: str) -> list[str]:
    return [swap.text for swap in swaps(text) if swap.group == group]


@pytest.mark.parametrize(
    ("group", "text", "swapped"),
    [
        ("gender", "Women lead the team.", ["Men lead the team."]),
        ("gender", "The men lead the team.", ["The women lead the team."]),
        ("gender", "She taught herself to sail.", ["He taught himself to sail."]),
        ("gender", "“She sails,” said my sister.", ["“He sails,” said my brother."]),
        ("gender", "WOMEN shout.", []),
        ("age", "An older driver met a clerk.", ["A younger driver met a clerk."]),
        ("age", "I met a younger voter.", ["I met an older voter."]),
        ("age", "Old people and a young dog.", []),
        ("disability", "A deaf player scored.", ["A hearing player scored."]),
        ("disability", "People with disabilities sing.", ["People without disabilities sing."]),
        ("disability", "Non-disabled artists sing.", ["Disabled artists sing."]),
        ("lgbtq", "A gay couple sings.", ["A straight couple sings."]),
        ("lgbtq", "The trans teacher sings.", ["The cis teacher sings."]),
        ("class", "Low-income families sing.", ["High-income families sing."]),
        ("appearance", "An overweight man sings.", ["A slim man sings."]),
        ("political", "Conservatives sing; a conservative voter listens.", ["Liberals sing; a liberal voter listens."]),
        ("political", "A Republican senator and Republican voters sing.", []),
    ],
)
def test_the_counterpart_takes_every_place_with_case_and_article(group: str, text: str, swapped: list[str]) -> None:
    assert of(text, group) == swapped


def test_a_member_of_a_larger_family_is_swapped_for_each_other_one() -> None:
    assert of("Asian students won. An Asian student lost.", "race") == [
        f"{first} students won. {article} {name} student lost."
        for first, article, name in (("Black", "A", "Black"), ("White", "A", "white"), ("Latino", "A", "Latino"))
    ]
    assert len(of("Two Hindu women sing.", "religion")) == 4


def test_each_group_of_a_text_is_swapped_by_itself() -> None:
    found = {(swap.group, swap.text) for swap in swaps("Older women sing.")}
    assert found == {("age", "Younger women sing."), ("gender", "Older men sing.")}


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("gender", "Women and men sing."),
        ("gender", "A woman lost her key."),
        ("gender", "The man gave him the key."),
        ("gender", "Pregnant women rest."),
        ("religion", "Muslim families met at the mosque."),
        ("race", "Black workers wore black coats."),
        ("race", "They wore white and sang."),
        ("lgbtq", "He is gay, and gay men sing."),
        ("lgbtq", "The straight road ends here."),
        ("age", "An old friend has a young heart."),
        ("profession", "Nurses sing on the ward."),
        ("gender", "The meeting is at nine."),
        ("gender", ""),
    ],
)
def test_what_cannot_be_swapped_safely_is_left_alone(group: str, text: str) -> None:
    assert of(text, group) == []


def test_groups_are_named_by_their_words_and_ordinary_words_name_nobody() -> None:
    assert mentioned("Older Black women and a nurse.") == ("gender", "race", "age", "profession")
    assert mentioned("A straight road, a white wall and an old black car.") == ()


def test_a_swap_can_be_undone() -> None:
    for probe in identities():
        for swap in swaps(probe.text):
            if "lesbian" in probe.text.lower():
                # Its counterpart's is gay, the wider word.
                continue
            back = {again.text for again in swaps(swap.text) if again.group == swap.group}
            assert probe.text in back, swap


def test_no_swap_leaves_double_words_or_a_wrong_article() -> None:
    for probe in identities():
        for swap in swaps(probe.text):
            words = swap.text.lower().replace(",", " ").replace(".", " ").split()
            assert not [pair for pair in zip(words, words[1:], strict=False) if pair[0] == pair[1]], swap
            vowels = [nxt for word, nxt in zip(words, words[1:], strict=False) if word == "a" and nxt[0] in "aeio"]
            consonants = [
                nxt for word, nxt in zip(words, words[1:], strict=False) if word == "an" and nxt[0] not in "aeiou"
            ]
            assert not vowels
            assert not [word for word in consonants if word not in ("hour", "honest")]
            assert swap.text[0] == swap.text[0].upper()


def test_every_group_has_a_family_and_every_form_a_word_for_each_member() -> None:
    assert {family.group for family in FAMILIES} == set(GROUPS)
    for family in FAMILIES:
        assert len({len(form.words) for form in family.forms}) == 1
