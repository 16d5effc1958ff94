"""Stretches of whole words from per-token scores."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from guardrail.detect.spans import FAINT, SURE, stretches


def found(text: str, scores: dict[str, float]) -> list[str]:
    tokens = [(m.start(), m.end(), m.group()) for m in re.finditer(r"\w{1,4}|[^\w\s]", text)]
    marked = stretches(text, [(a, b) for a, b, _ in tokens], [scores.get(token, 0.0) for _, _, token in tokens])
    return [text[start:end] for start, end, _ in marked]


def test_a_token_grows_to_its_word() -> None:
    assert found("It was shamefully rushed.", {"sham": 0.9}) == ["shamefully"]
    assert found("the so-called reform", {"so": 0.9, "call": 0.8}) == ["so-called"]


def test_neighbouring_words_join_and_distant_ones_do_not() -> None:
    assert found("stup idio code", {"stup": 0.9, "idio": 0.7}) == ["stup idio"]
    assert found("stup but idio", {"stup": 0.9, "idio": 0.7}) == ["stup", "idio"]


def test_the_best_token_counts_where_none_is_sure() -> None:
    assert found("one two six", {"two": 0.3, "six": 0.1}) == ["two"]
    assert found("one two six", {"two": 0.3, "six": 0.2}) == ["two six"]


def test_nothing_counts_below_the_faintest_score() -> None:
    assert found("one two six", {"two": FAINT / 2}) == []


def test_a_sure_token_is_not_outshone() -> None:
    assert found("one two six", {"one": 0.99, "six": SURE}) == ["one", "six"]


def test_special_tokens_never_count() -> None:
    assert list(stretches("word", [(0, 0), (0, 4), (0, 0)], [0.9, 0.0, 0.9])) == []


@given(st.text(max_size=60), st.lists(st.floats(0, 1), min_size=60, max_size=60))
def test_stretches_lie_in_the_text_in_order_and_apart(text: str, scores: list[float]) -> None:
    offsets = [(i, i + 1) for i in range(len(text))]
    spans = list(stretches(text, offsets, scores[: len(text)]))
    assert all(0 <= a < b <= len(text) and 0 <= score <= 1.0000001 for a, b, score in spans)
    assert all(left[1] < right[0] for left, right in zip(spans, spans[1:], strict=False))
