"""How a guarded stream begins and ends: errors of the provider, readers who stop, models inside of models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda

from guardrail.adapters.langchain import GuardedChatModel
from tests.adapters.langchain.fakes import SAFE, TEXT, FakeChat, Recorder, leaks, plain
from tests.adapters.langchain.surfaces import ASK
from tests.guards import guard


@pytest.mark.anyio
async def test_what_came_before_a_provider_s_error_is_judged_and_shown() -> None:
    inner = FakeChat(replies=[AIMessage(TEXT)], size=4, fails_after=13)
    guarded = GuardedChatModel(inner=inner, guard=guard(answer=plain))
    seen: list[str] = []
    with pytest.raises(ConnectionError):
        for chunk in guarded.stream(ASK):
            seen.append(str(chunk.text))
    assert "".join(seen) == SAFE[:52]
    seen.clear()
    with pytest.raises(ConnectionError):
        async for chunk in guarded.astream(ASK):
            seen.append(str(chunk.text))
    assert "".join(seen) == SAFE[:52]


class Watched(FakeChat):
    """Note when the stream is closed."""

    closed: list[bool] = []

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        try:
            yield from super()._stream(messages, *args, **kwargs)
        finally:
            self.closed.append(True)


def test_a_reader_who_stops_gets_nothing_more_and_closes_the_source() -> None:
    inner = Watched(replies=[AIMessage(TEXT)], closed=[])
    chunks = GuardedChatModel(inner=inner, guard=guard(answer=plain)).stream(ASK)
    assert next(chunks).text == "Hello there, my friend. "
    chunks.close()  # type: ignore[attr-defined]
    assert inner.closed == [True]
    assert list(chunks) == []


class Endless(FakeChat):
    """Write on for ever, and note when nobody listens any more."""

    closed: list[bool] = []

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        try:
            while True:
                yield ChatGenerationChunk(message=AIMessageChunk(content="All is well. "))
                await anyio.sleep(0)
        finally:
            self.closed.append(True)


@pytest.mark.anyio
async def test_an_async_reader_who_stops_or_is_cancelled_closes_the_source() -> None:
    inner = Endless(replies=[], closed=[])
    guarded = GuardedChatModel(inner=inner, guard=guard())
    chunks = guarded.astream(ASK)
    assert (await anext(chunks)).text == "All is well. "
    await chunks.aclose()  # type: ignore[attr-defined]
    assert inner.closed == [True]

    async def read() -> None:
        async for chunk in guarded.astream(ASK):
            seen.append(str(chunk.text))

    seen: list[str] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        while not seen:
            await anyio.sleep(0)
        tasks.cancel_scope.cancel()
    assert inner.closed == [True, True]
    assert set(seen) == {"All is well. "}


class Outer(FakeChat):
    """A model that calls another one inside, as a router does."""

    other: BaseChatModel

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.other.invoke(messages))])

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in self.other.stream(messages):
            yield ChatGenerationChunk(message=chunk)


@pytest.mark.anyio
async def test_a_model_inside_the_model_is_not_heard() -> None:
    inner = Outer(replies=[], other=FakeChat(replies=[AIMessage(TEXT)]))
    guarded = GuardedChatModel(inner=inner, guard=guard(answer=plain))

    def node(question: str) -> str:
        return str(guarded.invoke(question).text) + "".join(str(chunk.text) for chunk in guarded.stream(question))

    recorder = Recorder()
    chain = RunnableLambda(node)
    assert chain.invoke(ASK, {"callbacks": [recorder]}) == SAFE * 2
    events = [event async for event in chain.astream_events(ASK, version="v2")]
    assert not leaks(recorder.heard, events)
    assert len(events) > 5
