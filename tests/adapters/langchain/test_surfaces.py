"""The leak test: whatever way a guarded model or agent is read, nothing comes out that was not judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool

from guardrail.adapters.langchain import GuardedChatModel, GuardMiddleware
from tests.adapters.langchain.fakes import SAFE, TEXT, FakeChat, Recorder, leaks, plain
from tests.adapters.langchain.surfaces import AGENT, AGENT_ASYNC, ASYNC, SYNC, Seen, stream, stream_events_v3
from tests.guards import guard

BLOCKS: list[str | dict[Any, Any]] = [{"type": "text", "text": TEXT[:26]}, {"type": "text", "text": TEXT[26:]}]
FORMS = {"str": AIMessage(TEXT), "blocks": AIMessage(BLOCKS), "id": AIMessage(TEXT, id="msg-1")}
CUTS = [("str", 1), ("str", 2), ("str", 7), ("str", 1000), ("blocks", 1), ("blocks", 1000), ("id", 3), ("v1", 2)]
# Who guards the agent, whether it calls a tool first, characters a chunk.
AGENTS = [("middleware", True, 1), ("middleware", False, 1000), ("model", True, 2), ("fallback", False, 7)]


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Sunny in {city}."


CALL = AIMessage(TEXT, tool_calls=[{"name": "weather", "args": {"city": "Rome"}, "id": "call_1"}])


def guarded(form: str, size: int) -> GuardedChatModel:
    reply = FORMS.get(form, FORMS["str"])
    version = "v1" if form == "v1" else None
    inner = FakeChat(replies=[reply], size=size)
    return GuardedChatModel(inner=inner, guard=guard(answer=plain), output_version=version)


def assert_judged(seen: Seen, expected: str = SAFE) -> None:
    text, objects = seen
    assert text == expected
    assert not leaks(objects)


@pytest.mark.parametrize(("form", "size"), CUTS)
@pytest.mark.parametrize("surface", SYNC)
def test_no_surface_of_a_model_shows_unjudged_text(surface: Callable[[Any], Seen], form: str, size: int) -> None:
    recorder = Recorder()
    model = guarded(form, size).model_copy(update={"callbacks": [recorder]})
    assert_judged(surface(model))
    assert recorder.heard
    assert not leaks(recorder.heard)


@pytest.mark.anyio
@pytest.mark.parametrize(("form", "size"), CUTS)
@pytest.mark.parametrize("surface", ASYNC)
async def test_no_async_surface_of_a_model_shows_unjudged_text(
    surface: Callable[[Any], Awaitable[Seen]], form: str, size: int
) -> None:
    recorder = Recorder()
    model = guarded(form, size).model_copy(update={"callbacks": [recorder]})
    assert_judged(await surface(model))
    assert recorder.heard
    assert not leaks(recorder.heard)


def test_the_leak_test_sees_a_leak() -> None:
    raw = FakeChat(replies=[AIMessage(TEXT)])
    for surface in (stream, stream_events_v3):
        with pytest.raises(AssertionError):
            assert_judged(surface(raw))


def agent(kind: str, *, loop: bool, size: int) -> Any:
    raw = FakeChat(replies=[CALL, AIMessage(TEXT)] if loop else [AIMessage(TEXT)], size=size)
    if kind == "model":
        return create_agent(GuardedChatModel(inner=raw, guard=guard(answer=plain)), tools=[weather])
    middleware = GuardMiddleware(guard(answer=plain))
    if kind == "middleware":
        return create_agent(raw, tools=[weather], middleware=[middleware])
    broken = FakeChat(replies=[AIMessage(TEXT)], size=size, fails_after=0)
    return create_agent(broken, tools=[weather], middleware=[ModelFallbackMiddleware(raw), middleware])


@pytest.mark.parametrize(("kind", "loop", "size"), AGENTS)
@pytest.mark.parametrize("surface", AGENT)
def test_no_surface_of_an_agent_shows_unjudged_text(
    surface: Callable[[Any], Seen], kind: str, loop: bool, size: int
) -> None:
    assert_judged(surface(agent(kind, loop=loop, size=size)), SAFE * (2 if loop else 1))


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "loop", "size"), AGENTS)
@pytest.mark.parametrize("surface", AGENT_ASYNC)
async def test_no_async_surface_of_an_agent_shows_unjudged_text(
    surface: Callable[[Any], Awaitable[Seen]], kind: str, loop: bool, size: int
) -> None:
    assert_judged(await surface(agent(kind, loop=loop, size=size)), SAFE * (2 if loop else 1))


@pytest.mark.parametrize("surface", [s for s in SYNC if s is not stream_events_v3])
def test_fallbacks_are_judged_as_well(surface: Callable[[Any], Seen]) -> None:
    broken: BaseChatModel = FakeChat(replies=[AIMessage(TEXT)], fails_after=0)
    first = GuardedChatModel(inner=broken, guard=guard(answer=plain))
    model: Runnable[Any, Any] = first.with_fallbacks([guarded("str", 3)])
    assert_judged(surface(model))
