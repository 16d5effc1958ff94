"""Speak the wire format of OpenAI's API, for the tests of the adapters that read it: bodies, events, fake servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

import httpx

Json = dict[str, Any]
MODEL: Json = {"model": "fake", "messages": [{"role": "user", "content": "Say something."}]}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
TOOL_CALLS = [{"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"x": "idiot"}'}}]
EVENTS = {"content-type": "text/event-stream"}


def choice(index: int = 0, finish: str = "stop", **message: Any) -> Json:
    return {"index": index, "finish_reason": finish, "message": {"role": "assistant", **message}}


def completion(*choices: Json, **fields: Any) -> Json:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake",
        "choices": list(choices),
        "usage": USAGE,
        **fields,
    }


def chunk(*choices: Json, **fields: Any) -> Json:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "fake",
        "choices": list(choices),
        **fields,
    }


def delta(index: int = 0, finish: str | None = None, **said: Any) -> Json:
    return {"index": index, "delta": said, "finish_reason": finish}


def talk(parts: Iterable[str], finish: str = "stop") -> list[Json]:
    """Return the chunks of one choice that says ``parts``, with its role before and usage after it."""
    said = [chunk(delta(content=part)) for part in parts]
    return [chunk(delta(role="assistant", content="")), *said, chunk(delta(finish=finish)), chunk(usage=USAGE)]


def sse(values: Iterable[Json], *, done: bool = True) -> bytes:
    events = [(f"event: {v['type']}\n" if "type" in v else "") + f"data: {json.dumps(v)}\n\n" for v in values]
    return "".join([*events, *(["data: [DONE]\n\n"] if done else [])]).encode()


class Wire(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in these chunks, byte for byte; ``closed`` counts how often it was closed."""

    def __init__(self, chunks: Sequence[bytes], error: Exception | None = None) -> None:
        self.chunks, self.error, self.pulled, self.closed = chunks, error, 0, 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self.chunks:
            self.pulled += 1
            yield part
        if self.error is not None:
            raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in iter(self):
            yield part

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Api:
    """A fake API: what it answers, and the requests that it got."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer
        self.transport = httpx.MockTransport(self._handle)

    @classmethod
    def says(cls, *bodies: Json, **headers: str) -> Api:
        """Answer with these bodies in turn, with the last one for ever."""
        left = list(bodies)

        def answer(_: httpx.Request) -> httpx.Response:
            # In ASCII, as a server may: so a lone surrogate comes through.
            body = json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode()
            return httpx.Response(200, headers={"content-type": "application/json", **headers}, content=body)

        return cls(answer)

    @classmethod
    def streams(cls, body: bytes | Wire, **headers: str) -> Api:
        wire = body if isinstance(body, Wire) else Wire([body])
        return cls(lambda _: httpx.Response(200, headers={**EVENTS, **headers}, stream=wire))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request)


def text_of(chunks: Iterable[Any], index: int = 0, field: str = "content") -> str:
    """Return what the chunks of a stream say in one field of one choice."""
    deltas = [c.delta for chunk in chunks for c in chunk.choices if c.index == index]
    return "".join(getattr(said, field, None) or "" for said in deltas)


def message(text: str, **fields: Any) -> Json:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{**part, **fields}],
    }


def response(*output: Json, **fields: Any) -> Json:
    return {
        "id": "r1",
        "object": "response",
        "created_at": 1,
        "model": "fake",
        "status": "completed",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **fields,
    }


def numbered(events: Iterable[Json]) -> list[Json]:
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def written(parts: Sequence[str], index: int = 0) -> list[Json]:
    """Return the events of one message of a response, from its first to its last."""
    at = {"item_id": "m1", "output_index": index, "content_index": 0}
    text = "".join(parts)
    empty = {**message(""), "status": "in_progress", "content": []}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": empty},
        {"type": "response.content_part.added", **at, "part": message("")["content"][0]},
        *({"type": "response.output_text.delta", **at, "delta": part, "logprobs": []} for part in parts),
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": message(text)["content"][0]},
        {"type": "response.output_item.done", "output_index": index, "item": message(text)},
    ]


def responding(*output: Sequence[Json], last: str = "completed") -> list[Json]:
    """Return the events of a response whose items are these, in order."""
    items = [event["item"] for events in output for event in events if event["type"] == "response.output_item.done"]
    begun = response(status="in_progress")
    return numbered(
        [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            *(event for events in output for event in events),
            {"type": f"response.{last}", "response": response(*items, status=last)},
        ]
    )
