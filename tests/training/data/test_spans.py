"""Check that a span stands on its own word."""

from __future__ import annotations

import pytest

from guardrail.training.data.spans import cuts_word, place_spans, whole_places


@pytest.mark.parametrize(
    ("text", "spans", "found"),
    [
        ("The board asks that he resign.", ["he"], ["he"]),
        ("The foreman said that any man may apply.", ["man"], ["man"]),
        ("Each clerk took her bag and her hat.", ["her", "her"], ["her", "her"]),
        ("A typical grandmotherly fuss.", ["grandmother"], ["grandmother"]),
        ("Women are bad at maths, women are.", ["are bad at maths", "Women"], ["Women", "are bad at maths"]),
        ('He said "no" (twice).', ['"no"'], ['"no"']),
        ("Garlic, which they stole, which is all.", [", which is all"], [", which is all"]),
        ("", [], []),
    ],
)
def test_a_span_lies_on_its_word_and_not_inside_another(text: str, spans: list[str], found: list[str]) -> None:
    places = place_spans(text, spans)
    assert [text[start:end] for start, end in places] == found
    assert len(set(places)) == len(found)
    assert all(start == 0 or not text[start - 1].isalnum() or not text[start].isalnum() for start, _ in places)


def test_equal_spans_beyond_their_places_fall_together() -> None:
    assert place_spans("her bag and her hat", ["her"] * 3) == ((0, 3), (12, 15))


def test_a_span_that_is_not_in_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="substring not found"):
        place_spans("The board met.", ["council"])


def test_only_a_place_between_two_letters_cuts_a_word() -> None:
    text = "No, é_9."
    assert [at for at in range(len(text) + 1) if cuts_word(text, at)] == [1, 5, 6]


def test_whole_places_are_all_places_that_cut_no_word() -> None:
    assert whole_places("he, the hen and he", "he") == [(0, 2), (16, 18)]
