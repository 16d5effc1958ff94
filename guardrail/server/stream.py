"""Judge a text while it arrives and send what may be shown as server-sent events, on one connection."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked, GuardrailError
from guardrail.result import Result
from guardrail.server.limits import Gate
from guardrail.server.metrics import Metrics
from guardrail.server.problems import log, of_guard, problem, where
from guardrail.wire import Event, EventReader, json_event

KINDS = ("text/plain", "application/x-ndjson", "text/event-stream")
_START = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # A proxy that collects the answer would undo the stream.
    (b"x-accel-buffering", b"no"),
]


class BadChunkError(Exception):
    """Something in a streamed body cannot be read; the message says where and nothing of what stands there."""


class Parts:
    """Turn the bytes of a streamed body into pieces of text."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._reader = EventReader()
        self._line: list[str] = []

    def feed(self, data: bytes, *, final: bool = False) -> Iterator[str]:
        """Yield the texts that are complete; raises ``BadChunkError``."""
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError:
            raise BadChunkError("the body is no UTF-8") from None
        if self._kind == "text/plain":
            yield text
        elif self._kind == "text/event-stream":
            yield from self._events(self._reader.feed(text))
            yield from self._events(self._reader.finish() if final else ())
        else:
            yield from self._lines(text + "\n" * final)

    def _events(self, events: Iterable[Event]) -> Iterator[str]:
        for event in events:
            if event.data and event.data != "[DONE]":
                yield _text_of(event.data, bare=True)

    def _lines(self, text: str) -> Iterator[str]:
        first, *others = text.split("\n")
        self._line.append(first)
        for part in others:
            line, self._line = "".join(self._line), [part]
            if line.strip():
                yield _text_of(line, bare=False)


def _text_of(data: str, *, bare: bool) -> str:
    """Return the text of a JSON string or of ``{"text": …}``; anything else is text itself if ``bare``."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        value = value.get("text")
    elif bare and not isinstance(value, str):
        value = data
    if not isinstance(value, str):
        raise BadChunkError('each line or event must be a JSON string or {"text": "…"}')
    return value


class GuardedEvents(Response):
    """The answer of ``/v1/stream``: ``text`` events, then one ``result`` or ``error``.

    With ``chunks`` the body was read already; without, the texts are read from it while the answer is under way.
    A client that goes away stops the model.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        guard: Streaming,
        metrics: Metrics,
        gate: Gate,
        *,
        kind: str = "",
        chunks: Iterable[str] = (),
        prompt: str = "",
    ) -> None:
        super().__init__()
        self._guard, self._metrics, self._gate = guard, metrics, gate
        self._kind, self._chunks, self._prompt = kind, chunks, prompt
        self._fault: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; raises ``HTTPException`` 429 before the first where too many requests run."""
        with self._gate.place():
            await send({"type": "http.response.start", "status": 200, "headers": _START})
            bodies, bytes_ = anyio.create_memory_object_stream[bytes](1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, receive, bodies, tasks.cancel_scope.cancel)
                async with bytes_:
                    async for event in self._events(bytes_):
                        await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                tasks.cancel_scope.cancel()

    async def _read(self, receive: Receive, bodies: MemoryObjectSendStream[bytes], gone: Callable[[], None]) -> None:
        """Read the body, then wait for the client to go away."""
        async with bodies:
            more = bool(self._kind)
            while more:
                try:
                    message = await receive()
                except HTTPException as fault:
                    self._fault = fault
                    return
                if message["type"] == "http.disconnect":
                    gone()
                    return
                if message.get("body"):
                    await bodies.send(message["body"])
                more = message.get("more_body", False)
        while (await receive())["type"] != "http.disconnect":
            pass
        gone()

    async def _texts(self, bodies: MemoryObjectReceiveStream[bytes]) -> AsyncIterator[str]:
        for chunk in self._chunks:
            yield chunk
        if self._kind:
            parts = Parts(self._kind)
            async for data in bodies:
                for text in parts.feed(data):
                    yield text
            if self._fault is not None:
                raise self._fault
            for text in parts.feed(b"", final=True):
                yield text

    async def _events(self, bodies: MemoryObjectReceiveStream[bytes]) -> AsyncIterator[str]:
        length = 0
        engine = self._guard.open_stream(prompt=self._prompt)
        try:
            async for text in self._texts(bodies):
                length += len(text)
                shown = await engine.afeed(text)
                if shown:
                    yield json_event("text", {"text": shown})
                if engine.closed:
                    break
            shown = await engine.afinish()
            if shown:
                yield json_event("text", {"text": shown})
            if engine.result is not None:
                yield self._result(length, engine.result)
        except GuardrailBlocked as blocked:
            yield self._result(length, blocked.result)
        except Exception as error:
            yield json_event("error", _problem_of(error))

    def _result(self, length: int, result: Result) -> str:
        self._metrics.judged(length, result)
        return json_event("result", result)


def _problem_of(error: Exception) -> object:
    if isinstance(error, GuardrailError):
        error = of_guard(error)
    if isinstance(error, HTTPException):
        return problem(error.status_code, str(error.detail))
    if isinstance(error, BadChunkError):
        return problem(422, str(error))
    log.error("unexpected %s", where(error))
    return problem(500, "the server failed; its log says where")
