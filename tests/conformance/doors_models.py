"""Drive the doors of other packages: LangChain, the OpenAI client and LiteLLM's proxy."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from functools import cache
from typing import Any

import httpx
from langchain_core.messages import AIMessage
from openai import OpenAI

from guardrail.adapters.langchain import GuardedChatModel, GuardRunnable
from guardrail.adapters.openai import guarded
from guardrail.doors import Streaming
from guardrail.result import Result
from tests.adapters.langchain.fakes import FakeChat
from tests.conformance.doors_core import in_loop, of_result, pieces
from tests.conformance.seen import Door, Seen, caught, plain, verdict_of
from tests.openai_api import MODEL, Api, choice, completion, sse, talk

# Not in Result: they are about the message.
_LANGCHAIN_OWN = ("text_sha256", "beside")


def runnable(guard: Streaming, text: str) -> Seen:
    told: list[Result] = []
    try:
        said = GuardRunnable(guard, audit=told.append).invoke(text)
    except Exception as error:
        return caught(error)
    assert [said] == [result.text for result in told]
    return of_result(told[0])


def runnable_transform(guard: Streaming, text: str) -> Seen:
    told: list[Result] = []
    shown: list[str] = []
    try:
        for part in GuardRunnable(guard, audit=told.append).transform(iter(pieces(text))):
            shown.append(str(part))
    except Exception as error:
        return caught(error, "".join(shown))
    return Seen("".join(shown), verdict_of(told[0]))


def _chat(guard: Streaming, text: str) -> GuardedChatModel:
    return GuardedChatModel(inner=FakeChat(replies=[AIMessage(text)], size=7), guard=guard, refusal_block=False)


def _metadata(message: Any) -> dict[str, Any]:
    found = message.response_metadata.get("guardrail", {})
    return {name: value for name, value in found.items() if name not in _LANGCHAIN_OWN}


def chat_invoke(guard: Streaming, text: str) -> Seen:
    try:
        message = _chat(guard, text).invoke("Say something.")
    except Exception as error:
        return caught(error)
    return Seen(str(message.text), _metadata(message))


def chat_stream(guard: Streaming, text: str) -> Seen:
    shown, verdicts = [], []
    try:
        for chunk in _chat(guard, text).stream("Say something."):
            shown.append(str(chunk.text))
            verdicts.append(_metadata(chunk))
    except Exception as error:
        return caught(error, "".join(shown))
    (verdict,) = filter(None, verdicts)
    return Seen("".join(shown), verdict)


def _openai(guard: Streaming, api: Api) -> Any:
    http = httpx.Client(transport=api.transport)
    return guarded(OpenAI(api_key="k", base_url="http://api.test", http_client=http), guard).chat.completions


def _chosen(values: Iterable[Any]) -> tuple[str, dict[str, Any]]:
    """Return what choices say, and the verdict that one of them carries."""
    shown, verdict = [], {}
    for value in values:
        said = value.get("delta") or value.get("message") or {}
        shown.append(said.get("content") or "")
        for found in value.get("guardrail") or ():
            verdict = plain(found)
    return "".join(shown), verdict


def openai_create(guard: Streaming, text: str) -> Seen:
    try:
        reply = _openai(guard, Api.says(completion(choice(content=text)))).create(**MODEL)
    except Exception as error:
        return caught(error)
    return Seen(*_chosen(one.model_dump() for one in reply.choices))


def openai_stream(guard: Streaming, text: str) -> Seen:
    api = Api.streams(sse(talk(pieces(text))))
    values: list[Any] = []
    try:
        for chunk in _openai(guard, api).create(**MODEL, stream=True):
            values += (one.model_dump() for one in chunk.choices)
    except Exception as error:
        return caught(error, _chosen(values)[0])
    return Seen(*_chosen(values))


@cache
def _litellm() -> Any:
    # It would fetch a list of prices.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    return litellm


def _hooks(guard: Streaming) -> Any:
    _litellm()
    from guardrail.adapters.litellm import GuardrailLitellm

    return GuardrailLitellm(guard, event_hook="post_call", default_on=True)


def litellm_reply(guard: Streaming, text: str) -> Seen:
    hooks = _hooks(guard)
    reply = _litellm().ModelResponse(**completion(choice(content=text)))
    try:
        safe = in_loop(lambda: hooks.async_post_call_success_hook({}, None, reply))
    except Exception as error:
        return caught(error)
    return Seen(*_chosen(one.model_dump() for one in safe.choices))


def litellm_stream(guard: Streaming, text: str) -> Seen:
    hooks = _hooks(guard)
    values: list[Any] = []

    async def source() -> AsyncIterator[Any]:
        for value in talk(pieces(text)):
            yield _litellm().ModelResponseStream(**value)

    async def read() -> None:
        async for chunk in hooks.async_post_call_streaming_iterator_hook(None, source(), {}):
            values.extend(one.model_dump() for one in chunk.choices)

    try:
        in_loop(read)
    except Exception as error:
        return caught(error, _chosen(values)[0])
    return Seen(*_chosen(values))


DOORS = (
    Door("as_runnable, invoke", runnable),
    Door("as_runnable, transform", runnable_transform, flows=True),
    Door("GuardedChatModel, invoke", chat_invoke),
    Door("GuardedChatModel, stream", chat_stream, flows=True),
    Door("OpenAI, create", openai_create),
    Door("OpenAI, stream", openai_stream, flows=True),
    Door("LiteLLM, reply", litellm_reply),
    Door("LiteLLM, stream", litellm_stream, flows=True),
)
