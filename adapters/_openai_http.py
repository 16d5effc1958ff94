"""Put the guard between an HTTP client and what OpenAI's API answers, so that nothing above sees text unjudged."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

import httpx

from guardrail.adapters._openai_wire.body import EventStream, guarded_body
from guardrail.adapters._steps import run_later, run_now
from guardrail.doors import Streaming
from guardrail.errors import GuardrailError

_GUARDED = re.compile(
    r"/(?:chat/)?completions(?:/[^/]+)?/?"
    r"|/responses(?:/[^/]+(?:/(?:cancel|input_items))?)?/?"
    r"|/conversations/[^/]+/items(?:/[^/]+)?/?"
)
_REFUSED = re.compile(r"/threads(?:/|$)")
_EVENTS = "text/event-stream"
# Of the body as it came; ours is another one.
_VOID = ("content-encoding", "content-length", "transfer-encoding")

# Where a transport leaves the guard's error: the SDK would take it for one of the network and try again.
failures: ContextVar[list[GuardrailError] | None] = ContextVar("guardrail_openai_failures", default=None)


class Gate:
    """Know what is to be judged, and how to answer."""

    def __init__(self, guard: Streaming, keep: frozenset[str]) -> None:
        self.guard, self.keep = guard, keep

    def refuse(self, request: httpx.Request) -> None:
        """Raise ``GuardrailError`` for what the guard cannot judge."""
        if _REFUSED.search(request.url.path):
            raise GuardrailError("threads of assistants are not guarded; use responses, or a client without the guard")
        if "starting_after" in request.url.params and self.guards(request):
            raise GuardrailError("a stream that starts in its middle cannot be judged; leave starting_after out")

    def guards(self, request: httpx.Request) -> bool:
        """Whether the answer to a request may hold text that a model wrote."""
        path = request.url.path
        return any(match.end() == len(path) for match in _GUARDED.finditer(path))

    def streams(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Whether the answer is a stream of events; some servers do not say so."""
        kind = response.headers.get("content-type", "")
        return _EVENTS in kind or ("json" not in kind and _asks_for_stream(request))

    def events(self) -> EventStream:
        """Open the guard for one stream of events."""
        return EventStream(self.guard, self.keep)

    def whole(self, response: httpx.Response, body: bytes) -> httpx.Response:
        """Return the response with another body."""
        headers = [*_headers(response), ("content-length", str(len(body)))]
        # A stream, because the client measures the time until a response is read.
        stream = httpx.ByteStream(body)
        return httpx.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)

    def flowing(self, response: httpx.Response, stream: GuardedBytes | AsyncGuardedBytes) -> httpx.Response:
        """Return the response with a body that flows."""
        return httpx.Response(
            response.status_code, headers=_headers(response), stream=stream, extensions=response.extensions
        )


class GuardedTransport(httpx.BaseTransport):
    """Send requests through the user's own client, with its proxies, limits and hooks, and guard the answers."""

    def __init__(self, inner: httpx.Client, gate: Gate) -> None:
        self._inner, self._gate = inner, gate

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return a guarded response; an error of the guard is left in ``failures`` where somebody collects them."""
        try:
            return self._handled(request)
        except GuardrailError as error:
            return _left(error)

    def close(self) -> None:
        """Close the user's client, as closing theirs would."""
        self._inner.close()

    def _handled(self, request: httpx.Request) -> httpx.Response:
        gate = self._gate
        gate.refuse(request)
        # Redirects are followed in there: the path that was asked for says what the answer is.
        response = self._inner.send(request, stream=True, auth=None)
        if response.is_error or not gate.guards(request):
            return response
        if gate.streams(request, response):
            return gate.flowing(response, GuardedBytes(response, gate.events()))
        try:
            body = response.read()
        finally:
            response.close()
        return gate.whole(response, run_now(guarded_body(body, gate.guard, gate.keep)))


class AsyncGuardedTransport(httpx.AsyncBaseTransport):
    """Do the same for an async client; the models run on the guard's own worker threads."""

    def __init__(self, inner: httpx.AsyncClient, gate: Gate) -> None:
        self._inner, self._gate = inner, gate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return a guarded response; an error of the guard is left in ``failures`` where somebody collects them."""
        try:
            return await self._handled(request)
        except GuardrailError as error:
            return _left(error)

    async def aclose(self) -> None:
        """Close the user's client, as closing theirs would."""
        await self._inner.aclose()

    async def _handled(self, request: httpx.Request) -> httpx.Response:
        gate = self._gate
        gate.refuse(request)
        response = await self._inner.send(request, stream=True, auth=None)
        if response.is_error or not gate.guards(request):
            return response
        if gate.streams(request, response):
            return gate.flowing(response, AsyncGuardedBytes(response, gate.events()))
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        return gate.whole(response, await run_later(guarded_body(body, gate.guard, gate.keep)))


class GuardedBytes(httpx.SyncByteStream):
    """The guarded bytes of a response that flows. If it breaks off, what it said before is judged and released."""

    def __init__(self, response: httpx.Response, events: EventStream) -> None:
        self._response, self._events = response, events

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._response.iter_bytes()
        while True:
            try:
                chunk = next(chunks, None)
            except Exception:
                yield run_now(self._events.flush())
                raise
            for step in self._events.finish() if chunk is None else self._events.feed(chunk):
                yield run_now(step)
            if chunk is None:
                return

    def close(self) -> None:
        """Close the response; nothing more is released."""
        self._response.close()


class AsyncGuardedBytes(httpx.AsyncByteStream):
    """The same for an async client."""

    def __init__(self, response: httpx.Response, events: EventStream) -> None:
        self._response, self._events = response, events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = self._response.aiter_bytes()
        while True:
            try:
                chunk = await anext(chunks, None)
            except Exception:
                yield await run_later(self._events.flush())
                raise
            for step in self._events.finish() if chunk is None else self._events.feed(chunk):
                yield await run_later(step)
            if chunk is None:
                return

    async def aclose(self) -> None:
        """Close the response; nothing more is released."""
        await self._response.aclose()


def _left(error: GuardrailError) -> httpx.Response:
    """Leave an error for the one who collects them, and answer with nothing; raise it if there is nobody."""
    collected = failures.get()
    if collected is None:
        raise error
    collected.append(error)
    return httpx.Response(200, json={})


def _headers(response: httpx.Response) -> list[tuple[str, str]]:
    return [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _VOID]


def _asks_for_stream(request: httpx.Request) -> bool:
    if request.url.params.get("stream") == "true":
        return True
    try:
        asked = json.loads(request.content)
    except (ValueError, httpx.RequestNotRead):
        return False
    return isinstance(asked, dict) and bool(asked.get("stream"))
