"""Test the iterator door: lazy, closed with its source, and the source's errors come after what was judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.doors import GuardedStream
from guardrail.errors import GuardrailBlocked, ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action
from tests.fakes import WordDetector
from tests.guards import failing, guard, same
from tests.streams import any_texts, chunked, fed, later

TEXT = "One calm day. The idiot spoke. A second calm day. And so on."


class Source:
    """A source that counts what was pulled and can be closed, as the streams of model clients are."""

    def __init__(self, *chunks: object, error: BaseException | None = None) -> None:
        self._chunks, self._error = list(chunks), error
        self.pulled, self.closed = 0, 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.pulled < len(self._chunks):
            self.pulled += 1
            return self._chunks[self.pulled - 1]
        if self._error is not None:
            raise self._error
        raise StopIteration

    def close(self) -> None:
        self.closed += 1


@settings(max_examples=100)
@given(any_texts, st.lists(st.integers(0, 20), max_size=20))
def test_an_iterator_gives_what_an_engine_gives(text: str, cuts: list[int]) -> None:
    stream = guard().stream(chunked(text, cuts))
    pieces = list(stream)
    released, result = fed(guard(), [text])
    assert "".join(pieces) == released
    assert all(pieces)
    assert stream.result is not None
    assert same(stream.result) == same(result)


def test_it_pulls_only_what_it_needs_and_has_its_result_in_the_end() -> None:
    source = Source("One calm day. ", "The idiot ", "spoke. ", "A second", " day.")
    stream = guard().stream(source)
    assert (source.pulled, stream.result) == (0, None)
    assert (next(stream), source.pulled) == ("One calm day. ", 2)
    assert (next(stream), source.pulled, stream.result) == ("The plain spoke. ", 4, None)
    assert list(stream) == ["A second day."]
    assert stream.result is not None
    assert stream.result.action is Action.REWRITE
    assert (source.closed >= 1, next(stream, None)) == (True, None)


def test_sentences_of_one_chunk_come_one_by_one() -> None:
    detector = WordDetector()
    stream = guard(detector=detector).stream([TEXT])
    assert next(stream) == "One calm day. "
    assert detector.pieces == ["One calm day. "]
    assert "".join(stream) == TEXT.replace("idiot", "plain").removeprefix("One calm day. ")


def test_block_ends_the_stream_and_closes_the_source_at_once() -> None:
    source = Source(*TEXT)
    stream = guard(Policy(action=Action.BLOCK)).stream(source)
    assert next(stream) == "One calm day. "
    assert next(stream) == Policy().block_message
    assert source.closed == 1
    assert source.pulled == TEXT.index("second")
    assert list(stream) == []
    assert stream.result is not None
    assert stream.result.action is Action.BLOCK


def test_raise_comes_after_what_was_judged_and_closes_the_source() -> None:
    source, got = Source(TEXT), []
    with pytest.raises(GuardrailBlocked) as caught:
        for piece in (stream := guard(Policy(action=Action.RAISE)).stream(source)):
            got.append(piece)
    assert got == ["One calm day. "]
    assert caught.value.result is stream.result
    assert (source.closed >= 1, next(stream, None)) == (True, None)


def test_an_error_of_the_source_comes_after_what_it_gave_was_judged() -> None:
    source = Source("One calm day. The idiot spo", error=ConnectionError("lost"))
    stream, got = guard().stream(source), []
    with pytest.raises(ConnectionError, match="lost"):
        for piece in stream:
            got.append(piece)
    assert got == ["One calm day. ", "The plain spo"]
    assert stream.result is not None
    assert stream.result.text == "One calm day. The plain spo"
    assert (source.closed >= 1, next(stream, None)) == (True, None)


def test_an_interrupt_of_the_source_goes_on_at_once() -> None:
    source = Source("One calm day. The idiot spo", error=KeyboardInterrupt())
    stream = guard().stream(source)
    assert next(stream) == "One calm day. "
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert (source.closed, stream.result, next(stream, None)) == (1, None, None)


@pytest.mark.parametrize("chunk", [None, b"bytes", 7, {"text": "x"}])
def test_a_chunk_that_is_no_text_is_an_error_and_nothing_unjudged_gets_out(chunk: object) -> None:
    source = Source("One calm day. The rest", chunk, "More.")
    stream = guard().stream(source)
    assert next(stream) == "One calm day. "
    with pytest.raises(TypeError, match=f"text must be a str, not {type(chunk).__name__}; decode bytes"):
        next(stream)
    assert (source.closed >= 1, next(stream, None)) == (True, None)


def test_closing_releases_nothing_more_and_closes_the_source() -> None:
    source = Source(*TEXT)
    stream = guard().stream(source)
    assert next(stream) == "One calm day. "
    stream.close()
    assert source.closed >= 1
    assert (next(stream, None), stream.result, source.pulled < len(TEXT)) == (None, None, True)


def test_leaving_the_block_closes_it() -> None:
    source = Source(*TEXT)
    with guard().stream(source) as stream:
        assert next(stream) == "One calm day. "
    assert source.closed >= 1
    assert list(stream) == []


def test_a_generator_is_closed_with_the_stream() -> None:
    closed = []

    def write() -> Iterator[str]:
        try:
            yield from TEXT
        finally:
            closed.append(True)

    stream = guard().stream(write())
    next(stream)
    stream.close()
    assert closed == [True]


def test_a_stream_that_is_dropped_closes_its_source() -> None:
    source = Source(*TEXT)
    stream: GuardedStream | None = guard().stream(source)
    assert stream is not None
    next(stream)
    stream = None
    assert source.closed >= 1


def test_a_failure_that_the_policy_raises_closes_the_source() -> None:
    source = Source(*TEXT)
    with pytest.raises(ModelRuntimeError):
        list(guard(Policy(on_error="raise"), detector=failing(ModelRuntimeError("x"))).stream(source))
    assert source.closed == 1


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ("one text", "not one str; put it in a list"),
        (b"bytes", "not one bytes; put it in a list"),
        (None, "not NoneType; use check for one text"),
        (later([]), "not async_generator; use astream"),
    ],
)
def test_what_gives_no_chunks_is_refused(chunks: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"chunks must be an iterable of str, {said}"):
        guard().stream(chunks)


@pytest.mark.parametrize(("chunks", "said"), [(["a"], "list; use stream"), (7, "int; use acheck for one text")])
def test_what_gives_no_chunks_asynchronously_is_refused(chunks: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"chunks must be an async iterable of str, not {said}"):
        guard().astream(chunks)
