"""Test the decorator: every kind of function that returns text, and a clear refusal of everything else."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from guardrail.doors import AsyncGuardedStream, GuardedStream
from guardrail.errors import GuardrailBlocked
from guardrail.policy import Policy
from guardrail.result import Action
from tests.fakes import MapRewriter, plain_words
from tests.guards import WAIT, guard

TEXT = "The idiot spoke. A calm day."
SAFE = "The plain spoke. A calm day."


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_function_that_returns_text() -> None:
    @guard().wrap
    def answer(question: str, *, loud: bool = False) -> str:
        """Answer a question."""
        return f"{question} {TEXT}{'!' * loud}"

    assert answer("Well?", loud=True) == f"Well? {SAFE}!"
    assert (answer.__name__, answer.__doc__) == ("answer", "Answer a question.")
    assert list(inspect.signature(answer).parameters) == ["question", "loud"]
    assert not inspect.iscoroutinefunction(answer)


def test_a_generator_is_streamed_and_lazy() -> None:
    begun = []

    @guard().wrap
    def answer(size: int) -> Iterator[str]:
        begun.append(size)
        yield from (TEXT[at : at + size] for at in range(0, len(TEXT), size))

    stream = answer(5)
    assert begun == []
    assert isinstance(stream, GuardedStream)
    assert next(stream) == "The plain spoke. "
    assert "".join(stream) == "A calm day."
    assert stream.result is not None
    assert stream.result.action is Action.REWRITE


@pytest.mark.anyio
async def test_a_coroutine_function_stays_one() -> None:
    @guard().wrap
    async def answer(question: str) -> str:
        await anyio.sleep(0)
        return f"{question} {TEXT}"

    assert inspect.iscoroutinefunction(answer)
    assert await answer("Well?") == f"Well? {SAFE}"


@pytest.mark.anyio
async def test_an_async_generator_is_streamed() -> None:
    @guard().wrap
    async def answer(question: str) -> AsyncIterator[str]:
        yield f"{question} "
        for char in TEXT:
            yield char

    stream = answer("Well?")
    assert isinstance(stream, AsyncGuardedStream)
    assert "".join([piece async for piece in stream]) == f"Well? {SAFE}"


@pytest.mark.anyio
async def test_a_coroutine_that_returns_an_iterator() -> None:
    async def pieces() -> AsyncIterator[str]:
        yield TEXT

    @guard().wrap
    async def answer(kind: str) -> object:
        return pieces() if kind == "async" else iter([TEXT])

    stream = await answer("async")
    assert isinstance(stream, AsyncGuardedStream)
    assert "".join([piece async for piece in stream]) == SAFE
    plain = await answer("sync")
    assert isinstance(plain, GuardedStream)
    assert "".join(plain) == SAFE


@pytest.mark.anyio
async def test_a_plain_function_that_returns_an_awaitable() -> None:
    async def later() -> str:
        return TEXT

    @guard().wrap
    def answer() -> Awaitable[str]:
        return later()

    assert await answer() == SAFE
    assert await guard().wrap(partial(later))() == SAFE


class Bot:
    door = guard()

    def __init__(self) -> None:
        self.name = "bot"

    @door.wrap
    def answer(self, question: str) -> str:
        return f"{self.name}: {question} {TEXT}"

    @staticmethod
    @door.wrap
    def fixed() -> str:
        return TEXT

    @classmethod
    @door.wrap
    def named(cls) -> str:
        return f"{cls.__name__}: {TEXT}"


def test_methods() -> None:
    assert Bot().answer("Well?") == f"bot: Well? {SAFE}"
    assert (Bot.fixed(), Bot.named()) == (SAFE, f"Bot: {SAFE}")


@pytest.mark.parametrize("prompt", ["Who is here? Sam?", lambda who, **more: f"Who is here? {who}?"])
def test_the_prompt_is_shown_to_the_rewriter_and_not_judged(prompt: Any) -> None:
    rewriter = MapRewriter(plain_words)

    @guard(Policy(), rewriter=rewriter).wrap(prompt=prompt)
    def answer(who: str, *, often: int = 1) -> str:
        return "The idiot spoke. " * often + f"The idiot is {who}."

    assert answer("Sam", often=1) == "The plain spoke. The plain is Sam."
    assert [request.before for request in rewriter.requests] == ["Who is here? Sam?", "The idiot spoke."]

    @guard(rewriter=rewriter).wrap(prompt=prompt)
    def stream(who: str) -> Iterator[str]:
        yield "The idiot is "
        yield who

    assert "".join(stream("Sam")) == "The plain is Sam"
    assert rewriter.requests[-1].before == "Who is here? Sam?"


@pytest.mark.anyio
async def test_the_prompt_of_a_coroutine() -> None:
    rewriter = MapRewriter(plain_words)

    @guard(rewriter=rewriter).wrap(prompt=lambda who: who.upper())
    async def answer(who: str) -> str:
        return f"The idiot is {who}."

    assert await answer("sam") == "The plain is sam."
    assert rewriter.requests[0].before == "SAM"


@pytest.mark.parametrize("value", [None, b"bytes", 7, ["a", "b"], ("a",), {"text": "a"}])
def test_what_is_neither_text_nor_an_iterator_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=f"under guard.wrap returned {type(value).__name__}; return a str or an"):
        guard().wrap(lambda: value)()


@pytest.mark.anyio
async def test_what_is_awaited_and_is_no_text_is_refused() -> None:
    @guard().wrap
    async def answer() -> int:
        return 7

    with pytest.raises(TypeError, match="under guard.wrap returned int"):
        await answer()


@pytest.mark.parametrize("function", ["text", 7, ["a"]])
def test_what_cannot_be_called_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match=f"decorates a function, not {type(function).__name__}"):
        guard().wrap(function)


@pytest.mark.parametrize("prompt", [7, lambda: None, lambda: b"x"])
def test_a_prompt_that_is_no_text_is_refused(prompt: Any) -> None:
    called = []
    with pytest.raises(TypeError, match="prompt must be a str or a function that returns one"):
        guard().wrap(lambda: called.append(1), prompt=prompt)()
    assert called == []


def test_an_error_of_the_function_goes_on() -> None:
    @guard().wrap
    def answer() -> str:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        answer()


def test_raise_comes_out_of_the_function() -> None:
    with pytest.raises(GuardrailBlocked):
        guard(Policy(action=Action.RAISE)).wrap(lambda: TEXT)()


@pytest.mark.anyio
async def test_cancelling_a_wrapped_coroutine_cancels_it() -> None:
    @guard().wrap
    async def answer() -> str:
        await anyio.sleep_forever()
        return TEXT

    with anyio.fail_after(WAIT), anyio.move_on_after(0.01) as scope:
        await answer()
    assert scope.cancelled_caught
