"""Check that near copies are found, all of them and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guardrail.training.data.overlap import folded, near_copies, words_of

texts = st.lists(st.lists(st.sampled_from("a b c d e f g h".split()), max_size=7).map(" ".join), max_size=8)


def test_words_are_unified_and_without_marks() -> None:
    assert words_of("“Straße”, ﬁne—DON'T!") == ["strasse", "fine", "don", "t"]


def test_folded_texts_are_equal_but_for_case_and_marks() -> None:
    assert folded("The NURSE stayed  late!") == folded("the nurse, stayed late")
    assert folded("The nurse stayed.") != folded("The nurses stayed.")
    assert folded("?!") == "?!"


def test_the_bound_belongs_to_it() -> None:
    left = ["one two three four"]
    assert near_copies(left, ["one two three four five"], 0.8) == [(0, 0)]
    assert near_copies(left, ["one two three four five six"], 0.8) == []
    assert near_copies(left, ["four three two one one"], 1.0) == [(0, 0)]


def test_a_text_without_words_is_nobodys_copy() -> None:
    assert near_copies(["!?", ""], ["!?", "", "word"]) == []


@given(texts, texts, st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]))
def test_it_misses_none_and_invents_none(left: list[str], right: list[str], least: float) -> None:
    def jaccard(one: str, other: str) -> float:
        a, b = set(one.split()), set(other.split())
        return len(a & b) / len(a | b) if a | b else 0.0

    places = [(i, j) for i in range(len(left)) for j in range(len(right))]
    assert near_copies(left, right, least) == [(i, j) for i, j in places if jaccard(left[i], right[j]) >= least - 1e-9]
