"""Test that observers learn of every decision, once and at every door, and can change none."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked, ModelIntegrityError, ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action, Result
from tests.fakes import MapRewriter, WordDetector, plain_words
from tests.guards import SECRET, failing, guard, same

TEXT = "One calm day. The idiot spoke. A second calm day."


class Seen:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.told: list[tuple[Result, str]] = []

    def __call__(self, result: Result, text: str) -> None:
        self.told.append((result, text))

    @property
    def actions(self) -> list[str]:
        return [str(result.action) for result, _ in self.told]


async def _acheck(watched: Any) -> None:
    await watched.acheck(TEXT)


async def _astream(watched: Any) -> None:
    async def source() -> AsyncIterator[str]:
        for letter in TEXT:
            yield letter

    [piece async for piece in watched.astream(source())]


def _feed(watched: Any) -> None:
    engine = watched.open_stream()
    for letter in TEXT:
        engine.feed(letter)
    engine.finish()
    engine.close()


DOORS = {
    "check": lambda watched: watched.check(TEXT),
    "check_many": lambda watched: watched.check_many([TEXT]),
    "acheck": lambda watched: anyio.run(_acheck, watched),
    "stream": lambda watched: list(watched.stream(TEXT[i : i + 3] for i in range(0, len(TEXT), 3))),
    "astream": lambda watched: anyio.run(_astream, watched),
    "open_stream": _feed,
    "wrap": lambda watched: watched.wrap(lambda: TEXT)(),
    "wrap, a generator": lambda watched: list(watched.wrap(lambda: iter([TEXT]))()),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_tells_the_result_of_check_once(door: str) -> None:
    seen = Seen()
    DOORS[door](guard(observers=[seen]))  # type: ignore[no-untyped-call]
    [(result, text)] = seen.told
    assert text == TEXT
    assert same(result) == same(guard().check(TEXT))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("action", ["block", "raise"])
def test_a_text_that_is_withheld_is_told_too(door: str, action: str) -> None:
    seen = Seen()
    try:
        DOORS[door](guard(Policy(action=Action(action)), observers=[seen]))  # type: ignore[no-untyped-call]
    except GuardrailBlocked as blocked:
        assert blocked.result.action is Action.RAISE
    [(result, text)] = seen.told
    # A stream ends at the sentence that is withheld.
    assert text in (TEXT, "One calm day. The idiot spoke. ")
    assert result.action == action
    assert "idiot" not in result.text


@pytest.mark.parametrize("door", DOORS)
def test_a_failure_that_is_raised_is_told_as_one(door: str) -> None:
    seen = Seen()
    watched = guard(Policy(on_error="raise"), detector=failing(ModelRuntimeError("no more")), observers=[seen])
    with pytest.raises(ModelRuntimeError):
        DOORS[door](watched)  # type: ignore[no-untyped-call]
    [(result, text)] = seen.told
    assert (result.action, result.text, result.coverage) == (Action.RAISE, "", 0.0)
    assert (result.error, result.model) == ("ModelRuntimeError: no more", "words@1")
    assert TEXT.startswith(text) and text


def test_a_damaged_model_is_told() -> None:
    seen = Seen()
    with pytest.raises(ModelIntegrityError):
        guard(detector=failing(ModelIntegrityError("damaged")), observers=[seen]).check(TEXT)
    assert seen.told[0][0].error == "ModelIntegrityError: damaged"


def test_a_stream_that_fails_when_it_is_judged_as_a_whole_is_told_with_all_of_its_text() -> None:
    class Tired:
        name, languages, thresholds = "tired@1", ("en",), WordDetector.thresholds

        def __init__(self) -> None:
            self._words = WordDetector()
            self.count_tokens, self.score = self._words.count_tokens, self._words.score

        @property
        def max_tokens(self) -> int:
            # The two sentences and the rewrite of one of them are scored; the whole text comes next.
            if self._words.calls == 3:
                raise ModelRuntimeError("no more")
            return 20

    seen = Seen()
    watched = Streaming(Policy(on_error="raise"), Tired(), MapRewriter(plain_words), observers=[seen])
    stream = watched.stream(["The idiot spoke. ", "Yes."])
    with pytest.raises(ModelRuntimeError):
        list(stream)
    [(result, text)] = seen.told
    assert (result.action, result.error) == (Action.RAISE, "ModelRuntimeError: no more")
    assert (text, result.text) == ("The idiot spoke. Yes.", "The plain spoke. Yes.")


def test_blank_and_failed_texts_are_told_as_the_policy_ends_them() -> None:
    seen = Seen()
    watched = guard(detector=failing(ModelRuntimeError("no more")), observers=[seen])
    assert [watched.check(text).action for text in ("", " \n", TEXT)] == seen.actions == ["allow", "allow", "block"]


def test_what_only_looks_is_not_told() -> None:
    seen = Seen()
    watched = guard(observers=[seen])
    watched.detect(TEXT)
    watched.detect_many([TEXT])
    with pytest.raises(TypeError):
        watched.check(b"bytes")  # type: ignore[arg-type]
    assert seen.told == []


def test_a_stream_that_nobody_reads_to_its_end_is_told_as_far_as_it_was_judged() -> None:
    seen = Seen()
    with guard(observers=[seen]).stream(["The idiot spoke. Then he", " went on and", " on."]) as stream:
        first = next(stream)
    [(result, text)] = seen.told
    assert (first, result.text, text) == ("The plain spoke. ", "The plain spoke. ", "The idiot spoke. ")
    assert (result.action, result.reason) == (Action.REWRITE, "closed before its end")
    assert [finding.label for finding in result.findings] == ["toxicity"]
    stream.close()
    assert len(seen.told) == 1


def test_a_stream_that_judged_nothing_tells_nothing() -> None:
    seen = Seen()
    guard(observers=[seen]).open_stream().close()
    with guard(observers=[seen]).stream(["half a sen"]):
        pass
    assert seen.told == []


def test_observers_are_told_in_order_and_a_failing_one_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen()

    def broken(result: Result, text: str) -> None:
        raise ValueError(f"cannot write {text}")

    class Sink:
        def __call__(self, result: Result, text: str) -> None:
            raise OSError(text)

    with caplog.at_level(logging.ERROR, "guardrail"):
        result = guard(observers=[broken, Sink(), seen]).check(SECRET)
    assert same(result) == same(guard().check(SECRET)) == same(seen.told[0][0])
    assert [record.getMessage() for record in caplog.records] == [
        "observer broken failed (ValueError); the decision stands",
        "observer Sink failed (OSError); the decision stands",
    ]
    assert "Zyxwvut" not in caplog.text


def test_an_observer_must_be_callable() -> None:
    with pytest.raises(TypeError, match="an observer must be callable with a result and a text, not str"):
        guard(observers=["decisions.jsonl"])  # type: ignore[list-item]
