"""Every way to read a chat model or an agent, as functions that return the text seen and all objects seen."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any

from langchain_core._api import LangChainBetaWarning
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable

Seen = tuple[str, list[object]]
ASK = "Tell me."
START: Any = {"messages": [("user", ASK)]}


def _texts(messages: Iterable[Any]) -> str:
    return "".join(str(message.text) for message in messages)


async def _all(items: AsyncIterable[Any]) -> list[Any]:
    return [item async for item in items]


def invoke(model: Runnable[Any, Any]) -> Seen:
    message = model.invoke(ASK)
    return _texts([message]), [message]


def stream(model: Runnable[Any, Any]) -> Seen:
    chunks = list(model.stream(ASK))
    return _texts(chunks), [chunks]


def batch(model: Runnable[Any, Any]) -> Seen:
    messages = model.batch([ASK, ASK])
    assert messages[0].text == messages[1].text
    return _texts(messages[:1]), [messages]


def batch_as_completed(model: Runnable[Any, Any]) -> Seen:
    messages = [message for _, message in model.batch_as_completed([ASK, ASK])]
    return _texts(messages[:1]), [messages]


def parsed_invoke(model: Runnable[Any, Any]) -> Seen:
    text = (model | StrOutputParser()).invoke(ASK)
    return text, []


def parsed_stream(model: Runnable[Any, Any]) -> Seen:
    parts = list((model | StrOutputParser()).stream(ASK))
    return "".join(parts), [parts]


def stream_events_v3(model: BaseChatModel) -> Seen:
    with _beta():
        run = model.stream_events(ASK, version="v3")
        events: list[Any] = list(run)
        deltas = [e["delta"].get("text", "") for e in events if e["event"] == "content-block-delta"]
        assert "".join(deltas) == str(run.text)
        return str(run.output.text), [events, run.output]


async def ainvoke(model: Runnable[Any, Any]) -> Seen:
    message = await model.ainvoke(ASK)
    return _texts([message]), [message]


async def astream(model: Runnable[Any, Any]) -> Seen:
    chunks = await _all(model.astream(ASK))
    return _texts(chunks), [chunks]


async def abatch(model: Runnable[Any, Any]) -> Seen:
    messages = await model.abatch([ASK, ASK])
    return _texts(messages[:1]), [messages]


async def astream_events_v2(model: Runnable[Any, Any]) -> Seen:
    events = await _all(model.astream_events(ASK, version="v2"))
    chunks = [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
    return _texts(chunks), [events]


async def parsed_events_v2(model: Runnable[Any, Any]) -> Seen:
    events = await _all((model | StrOutputParser()).astream_events(ASK, version="v2"))
    return "".join(e["data"]["chunk"] for e in events if e["event"] == "on_parser_stream"), [events]


async def astream_events_v3(model: BaseChatModel) -> Seen:
    with _beta():
        run = await model.astream_events(ASK, version="v3")
        events = await _all(run)
        message = await run.output
    return str(message.text), [events, message]


async def astream_log(model: Runnable[Any, Any]) -> Seen:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        patches = await _all(model.astream_log(ASK))
    parts = [op["value"] for patch in patches for op in patch.ops if op["path"].endswith("/streamed_output/-")]
    return _texts(parts), [patches]


def agent_invoke(agent: Any) -> Seen:
    state = agent.invoke(START)
    return _said(state), [state]


def agent_messages(agent: Any) -> Seen:
    parts = list(agent.stream(START, stream_mode="messages"))
    return _texts(message for message, _ in parts if isinstance(message, AIMessage)), [parts]


def agent_updates(agent: Any) -> Seen:
    parts = list(agent.stream(START, stream_mode="updates"))
    messages = [m for part in parts for update in part.values() if update for m in update.get("messages", [])]
    return _texts(m for m in messages if isinstance(m, AIMessage)), [parts]


def agent_values(agent: Any) -> Seen:
    parts = list(agent.stream(START, stream_mode="values"))
    return _said(parts[-1]), [parts]


def agent_modes(agent: Any) -> Seen:
    parts = list(agent.stream(START, stream_mode=["messages", "updates", "values", "tasks", "debug"]))
    return _said([data for mode, data in parts if mode == "values"][-1]), [parts]


def agent_events_v3(agent: Any) -> Seen:
    with _beta():
        run = agent.stream_events(START, version="v3")
        events = list(run)
        projected = agent.stream_events(START, version="v3")
        texts = ["".join(message.text) for message in projected.messages]
        assert "".join(texts) == _said(projected.output)
        return "".join(texts), [events, run.output, projected.output]


async def agent_ainvoke(agent: Any) -> Seen:
    state = await agent.ainvoke(START)
    return _said(state), [state]


async def agent_amessages(agent: Any) -> Seen:
    parts = await _all(agent.astream(START, stream_mode="messages"))
    return _texts(message for message, _ in parts if isinstance(message, AIMessage)), [parts]


async def agent_astream_events_v2(agent: Any) -> Seen:
    events = await _all(agent.astream_events(START, version="v2"))
    chunks = [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
    return _texts(chunks), [events]


async def agent_astream_events_v3(agent: Any) -> Seen:
    with _beta():
        run = await agent.astream_events(START, version="v3")
        events = await _all(run)
        output = await run.output()
        projected = await agent.astream_events(START, version="v3")
        texts = ["".join([part async for part in message.text]) async for message in projected.messages]
    return "".join(texts), [events, output, await projected.output()]


def _said(state: dict[str, Any]) -> str:
    messages: list[BaseMessage] = state["messages"]
    return _texts(message for message in messages if isinstance(message, AIMessage))


class _beta(warnings.catch_warnings):
    """The third version of the events warns that it may change; the tests know."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore", LangChainBetaWarning)


SYNC: list[Callable[[Any], Seen]] = [
    invoke,
    stream,
    batch,
    batch_as_completed,
    parsed_invoke,
    parsed_stream,
    stream_events_v3,
]
ASYNC: list[Callable[[Any], Awaitable[Seen]]] = [
    ainvoke,
    astream,
    abatch,
    astream_events_v2,
    parsed_events_v2,
    astream_events_v3,
    astream_log,
]
AGENT: list[Callable[[Any], Seen]] = [
    agent_invoke,
    agent_messages,
    agent_updates,
    agent_values,
    agent_modes,
    agent_events_v3,
]
AGENT_ASYNC: list[Callable[[Any], Awaitable[Seen]]] = [
    agent_ainvoke,
    agent_amessages,
    agent_astream_events_v2,
    agent_astream_events_v3,
]
