from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardrail.text.windows import Span, coverage, plan_windows, split_sentences

prose = st.lists(
    st.sampled_from(
        ["Women cry", "He left", "a", "Dr", "U.S", "e.g", "ok", "你好", "1", "-", "*", '"', "'", "(", ")", "[", "]"]
        + [
            ". ",
            "! ",
            "? ",
            "... ",
            "。",
            " ",
            "  ",
            "\n",
            "\r\n",
            "\n\n",
            "\t",
            ", ",
            "😂",
            "\x85",
            "\u2028",
            "x" * 60,
        ]
    ),
    max_size=40,
).map("".join)
any_text = st.one_of(prose, st.text(st.characters(), max_size=60))


def words(text: str) -> list[Span]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def letters(text: str) -> list[Span]:
    return [(index, index + 1) for index, char in enumerate(text) if not char.isspace()]


def greedy_pieces(text: str) -> list[Span]:
    # Splits a word's start differently from its middle, as word pieces do.
    return [match.span() for match in re.finditer(r"(?<!\w)\w{1,5}|\w{1,2}|[^\w\s]", text)]


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@settings(max_examples=200)
@given(any_text)
@example("")
@example(" ")
@example("\ud800. A.")
def test_sentences_tile_the_text(text: str) -> None:
    spans = split_sentences(text)
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(start < end for start, end in spans)
    assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]


@given(any_text)
def test_only_a_blank_text_has_a_blank_sentence(text: str) -> None:
    if text.strip():
        assert all(sentence.strip() for sentence in sentences(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Women cry. Men do not! Really? Yes.", ["Women cry. ", "Men do not! ", "Really? ", "Yes."]),
        (
            "Dr. Smith went to the U.S. on Jan. 5. He paid $3.50.",
            ["Dr. Smith went to the U.S. on Jan. 5. ", "He paid $3.50."],
        ),
        ("One\nTwo\r\nThree\n\nFour", ["One\n", "Two\r\n", "Three\n\n", "Four"]),
        ("1. First item.\n2. Second item.\n* a\n- b", ["1. First item.\n", "2. Second item.\n", "* a\n", "- b"]),
        ('He said "Women cry. They do." Then he left.', ['He said "Women cry. ', 'They do." ', "Then he left."]),
        ('Yes, I do. "Never." Fine.', ["Yes, I do. ", '"Never." ', "Fine."]),
        ("It was 1990. [1] She left.[2] They stayed.", ["It was 1990. ", "[1] She left.", "[2] They stayed."]),
        ("Done.  \n\n  Next", ["Done.  \n\n", "  Next"]),
        ("你好。我很好！你呢？", ["你好。", "我很好！", "你呢？"]),
        ("x = 1.5\nprint(x.y)\n", ["x = 1.5\n", "print(x.y)\n"]),
        ("\n\nabc", ["\n\nabc"]),
        ("   ", ["   "]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_wrapped_line_goes_on() -> None:
    wrapped = "This is a long line that a mail program broke just about\nhere in the middle. Next."
    assert sentences(wrapped) == [wrapped[:-5], "Next."]
    assert len(sentences(wrapped.replace("\n", "\n\n"))) == 3
    assert len(sentences(wrapped.replace("here", "Here"))) == 3


def test_an_unclosed_quotation_does_not_swallow_the_text() -> None:
    assert len(sentences('The 5" screen broke. I was sad. "It works. Now. ' + "Then I left. " * 20)) > 20


def test_later_text_does_not_move_earlier_sentences() -> None:
    text = (
        'He said "Women cry. They whine a lot. Men (some say. so) do not." Then Dr. Who left. It was 5 p.m. We slept. '
        "If a < b. Then c > d. Run `a. B` now. Women \u2039cry. Men\u203a do not. \u300aSo. It\u300b is. "
    )
    whole = set(split_sentences(text))
    for end in range(1, len(text)):
        assert set(split_sentences(text[:end])[:-2]) <= whole


@settings(max_examples=200)
@given(prose, st.integers(0, 300))
def test_a_word_that_has_ended_settles_where_the_sentence_before_it_ends(text: str, end: int) -> None:
    text += " "
    ends = [match.end() for match in re.finditer(r"[^\W\d]\s", text)]
    if ends:
        end = ends[end % len(ends)]
        assert set(split_sentences(text[:end])[:-1]) <= set(split_sentences(text))


@pytest.mark.parametrize("blank", ["\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u2029", "\u202f", "\u3000"])
def test_white_space_at_which_the_library_panics_is_a_space_to_it(blank: str) -> None:
    assert sentences(f"He met A{blank}. B is here. So{blank}it is.") == [
        "He met A" + blank + ". B is here. ",
        f"So{blank}it is.",
    ]


@pytest.mark.parametrize("unit", ["a", "word ", ".", ". ", '" ', "女", "\n", "a.\n", "? ! "])
def test_a_text_without_sentences_is_sliced(unit: str) -> None:
    text = unit * (140_000 // len(unit))
    spans = split_sentences(text)
    assert max(end - start for start, end in spans) <= 65_536
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert all(left[1] == right[0] for left, right in zip(spans, spans[1:], strict=False))


@settings(max_examples=200)
@given(any_text, st.sampled_from([words, letters, greedy_pieces]), st.integers(1, 12))
def test_every_character_is_inside_some_piece(text: str, tokens: object, most: int) -> None:
    assert callable(tokens)
    pieces = plan_windows(text, split_sentences(text), tokens, most)
    assert all(0 <= start < end <= len(text) for start, end in pieces)
    assert coverage(text, pieces) == 1.0


@given(
    st.lists(st.sampled_from(["women", "men", "abcdefghijkl", "a", ", ", " ", "-"]), max_size=120), st.integers(4, 20)
)
def test_no_piece_holds_more_tokens_than_the_model_takes(parts: list[str], most: int) -> None:
    text = "".join(parts)
    for tokens in (words, letters, greedy_pieces):
        for start, end in plan_windows(text, split_sentences(text), tokens, most):
            assert len(tokens(text[start:end])) <= most


def test_a_short_sentence_is_one_piece() -> None:
    text = "Women cry. Men do not."
    assert plan_windows(text, split_sentences(text), words, 8) == split_sentences(text)


def test_a_long_sentence_becomes_overlapping_windows_at_words() -> None:
    text = " ".join(f"word{index}" for index in range(50))
    pieces = plan_windows(text, split_sentences(text), words, 16)
    assert [len(words(text[start:end])) for start, end in pieces] == [16, 16, 16, 14]
    assert all(right[0] < left[1] for left, right in zip(pieces, pieces[1:], strict=False))
    assert all(text[start:].startswith("word") for start, _ in pieces)


def test_characters_the_tokenizer_drops_are_covered() -> None:
    text = "\u4e00" * 30 + "a b c d e f g h" + "\u4e00" * 30
    pieces = plan_windows(
        text, split_sentences(text), lambda part: [s for s in letters(part) if part[s[0]] < "\u4e00"], 3
    )
    assert coverage(text, pieces) == 1.0


def test_a_sentence_longer_than_a_slice_is_tokenised_in_slices() -> None:
    seen: list[int] = []

    def tokens(part: str) -> list[Span]:
        seen.append(len(part))
        return words(part)

    text = "word " * 40_000
    pieces = plan_windows(text, [(0, len(text))], tokens, 512)
    assert max(seen) <= 65_536
    assert coverage(text, pieces) == 1.0


@pytest.mark.parametrize("most", [0, -1])
def test_no_room_for_a_token_is_refused(most: int) -> None:
    with pytest.raises(ValueError, match=f"max_tokens is {most}"):
        plan_windows("abc", [(0, 3)], words, most)


@pytest.mark.parametrize(
    ("pieces", "share"),
    [([], 0.0), ([(0, 2)], 0.5), ([(0, 5)], 1.0), ([(3, 5), (0, 2)], 1.0), ([(0, 4), (1, 2)], 0.75), ([(2, 3)], 0.0)],
)
def test_coverage_counts_characters_that_are_not_blank(pieces: list[Span], share: float) -> None:
    assert coverage("ab cd", pieces) == share


def test_a_blank_text_is_covered_by_nothing() -> None:
    assert coverage(" \n", []) == 1.0
    assert plan_windows(" \n", [(0, 2)], words, 4) == ()
