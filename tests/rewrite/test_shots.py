"""Check that retrieved pairs are like the sentence, and never its own."""

from __future__ import annotations

from guardrail.rewrite.shots import Shots

PAIRS = [
    ("The chairman opened the session.", "The chair opened the session."),
    ("A stewardess served the tea.", "A flight attendant served the tea."),
    ("The chairman of the club resigned.", "The chair of the club resigned."),
]


def test_the_nearest_pair_comes_last() -> None:
    assert Shots(PAIRS, 2).near("That club has another chairman.") == [PAIRS[0], PAIRS[2]]


def test_the_sentence_itself_is_never_shown_whatever_its_case_and_ends() -> None:
    assert PAIRS[0] not in Shots(PAIRS, 3).near("the chairman opened the SESSION")


def test_a_sentence_without_a_known_word_gets_none() -> None:
    assert Shots(PAIRS, 3).near("Zyxwvut!") == []
    assert Shots(PAIRS, 3).near("") == []
    assert Shots([], 3).near("The chairman left.") == []


def test_no_pair_is_shown_where_none_is_wanted() -> None:
    assert Shots(PAIRS, 0).near("The chairman left.") == []


def test_rare_words_count_more_than_common_ones() -> None:
    pairs = [("the the the the boat", "x"), ("the quokka", "y")]
    assert Shots(pairs, 1).near("the quokka swims") == [pairs[1]]
