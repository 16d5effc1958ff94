"""Take the response of an application, choose what judges its body, and send what may be sent."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from email.message import Message as Headers
from typing import Any, Literal

from guardrail.adapters.asgi.bodies import (
    UTF8,
    Flow,
    LineFlow,
    TextFlow,
    UnreadableError,
    Whole,
    WholeJson,
    WholeText,
)
from guardrail.adapters.asgi.deltas import Fields
from guardrail.adapters.asgi.events import EventData, EventFlow
from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked, GuardrailError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Choice = Literal["block", "pass"]
RawHeaders = Iterable[tuple[bytes, bytes]]

_JSON, _EVENTS = "application/json", "text/event-stream"
_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
_CHARSETS = {
    "us-ascii": UTF8,
    "ascii": UTF8,
    "utf8": UTF8,
    UTF8: UTF8,
    "iso-8859-1": "cp1252",
    "windows-1252": "cp1252",
}
# A compressed body cannot be judged, and parts of one hide what stands across their edges.
_UNWANTED = (b"accept-encoding", b"range", b"if-range")
# With the others a server sends what it was never handed here, such as a file.
_KEPT_EXTENSIONS = ("tls",)
# Facts about the bytes that the application wrote.
_STALE = (b"content-length", b"etag", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"accept-ranges")

log = logging.getLogger("guardrail")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the middleware was told, read."""

    guard: Streaming
    fields: Fields
    events: EventData
    end_events: frozenset[str]
    text_types: tuple[str, ...]
    pass_types: tuple[str, ...]
    on_unknown: Choice
    on_compressed: Choice
    max_body: int


def plain(scope: Scope) -> Scope:
    """Return ``scope`` without what would let a body leave compressed, in parts, or past its ``send``."""
    extensions = {name: value for name, value in (scope.get("extensions") or {}).items() if name in _KEPT_EXTENSIONS}
    headers = [pair for pair in scope["headers"] if pair[0].lower() not in _UNWANTED]
    return {**scope, "headers": headers, "extensions": extensions}


class Answer:
    """One response on its way out, as the ``send`` of the application."""

    def __init__(self, settings: Settings, method: str, send: Send) -> None:
        self._settings, self._method, self._send = settings, method, send
        self._start: Message = {}
        self._whole: Whole | None = None
        self._flow: Flow | None = None
        self._parts: list[bytes] = []
        self._length = 0
        self._empty = False
        self._over = False
        self._cut: Exception | None = None

    async def __call__(self, message: Message) -> None:
        """Send what may be sent of a message; others than a start and a body could carry what nobody judged."""
        if self._over:
            self.raise_cut()
        elif message["type"] == "http.response.start":
            await self._started(message)
        elif message["type"] == "http.response.body":
            await self._took(message.get("body", b""), message.get("more_body", False))

    def raise_cut(self) -> None:
        """Raise what has cut the response off, so that the server ends the connection and not the body."""
        if self._cut is not None:
            raise self._cut

    async def flush(self) -> None:
        """Judge and send what is held of a stream: the application has failed."""
        if self._flow is not None and not self._over:
            self._over = True
            async for part in self._flow.finish():
                await self._body(part, more=True)

    async def _started(self, message: Message) -> None:
        self._start = {**message, "headers": list(message.get("headers", ()))}
        if self._method == "HEAD" or message["status"] in (204, 304):
            self._empty = True
        else:
            reason = self._choose()
            if reason is not None:
                await self._refuse(502, reason)
                return
        if self._flow is not None:
            self._start["headers"] = _mended(self._start["headers"], text=isinstance(self._flow, TextFlow))
        if self._whole is None:
            await self._send(self._start)

    def _choose(self) -> str | None:
        """Choose what judges the body; return why it cannot be judged and must not pass."""
        settings, headers = self._settings, _read(self._start["headers"])
        if _coded(headers):
            return "it is compressed" if settings.on_compressed == "block" else None
        kind = _type(headers)
        charset = _CHARSETS.get(str(headers.get_param("charset", UTF8)).lower())
        if kind == _EVENTS:
            self._flow = EventFlow(
                settings.guard,
                settings.fields,
                data=settings.events,
                ends=settings.end_events,
                most=settings.max_body,
            )
        elif kind in _LINES:
            self._flow = LineFlow(settings.guard, settings.fields, settings.max_body)
        elif kind == _JSON or kind.endswith("+json"):
            self._whole = WholeJson(settings.guard, settings.fields)
        elif kind in settings.text_types and charset is not None and "content-length" in headers:
            self._whole = WholeText(settings.guard, charset)
        elif kind in settings.text_types and charset is not None:
            self._flow = TextFlow(settings.guard, charset)
        elif settings.on_unknown == "block" and not _is_among(kind, settings.pass_types):
            return "its type is none that can be judged"
        return None

    async def _took(self, body: bytes, more: bool) -> None:
        if self._empty:
            await self._body(b"", more)
        elif self._whole is not None:
            await self._collected(self._whole, body, more)
        elif self._flow is not None:
            await self._flowed(self._flow, body, more)
        else:
            await self._body(body, more)

    async def _flowed(self, flow: Flow, body: bytes, more: bool) -> None:
        try:
            async for part in flow.feed(body):
                await self._body(part, more=True)
            if not more:
                async for part in flow.finish():
                    await self._body(part, more=True)
        except Exception as error:
            self._over, self._cut = True, error
            raise
        if not more:
            self._over = True
            await self._body(b"", more=False)

    async def _collected(self, whole: Whole, body: bytes, more: bool) -> None:
        self._parts.append(body)
        self._length += len(body)
        if self._length > self._settings.max_body:
            await self._refuse(502, f"it is over max_body = {self._settings.max_body} bytes")
        elif not more:
            await self._judge(whole, b"".join(self._parts))

    async def _judge(self, whole: Whole, body: bytes) -> None:
        try:
            judged = await whole.judged(body) if body else body
        except UnreadableError as error:
            if self._settings.on_unknown == "block":
                await self._refuse(502, f"it holds {error}")
            else:
                await self._complete(body)
            return
        except GuardrailBlocked:
            await self._refuse(403, "the policy raises")
            return
        except GuardrailError as error:
            await self._refuse(503, f"the guard failed ({type(error).__name__})")
            return
        if judged is not body:
            text = isinstance(whole, WholeText)
            self._start["headers"] = _mended(self._start["headers"], text=text, length=len(judged))
        await self._complete(judged)

    async def _complete(self, body: bytes) -> None:
        self._over = True
        await self._send(self._start)
        await self._body(body, more=False)

    async def _refuse(self, status: int, reason: str) -> None:
        """Answer with the policy's message in place of a body that must not pass."""
        log.warning("a response was withheld with status %d: %s", status, reason)
        body = self._settings.guard.policy.block_message.encode("utf-8", "replace")
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        self._start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._complete(body)

    async def _body(self, body: bytes, more: bool) -> None:
        if body or not more:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _read(raw: RawHeaders) -> Headers:
    headers = Headers()
    for name, value in raw:
        headers[name.decode("latin-1")] = value.decode("latin-1")
    return headers


def _coded(headers: Headers) -> bool:
    codings = ",".join(headers.get_all("content-encoding", [])).split(",")
    return any(coding.strip().lower() not in ("", "identity") for coding in codings)


def _type(headers: Headers) -> str:
    """Return the media type; "" if there is none, or more than one to choose from."""
    return headers.get_content_type() if len(headers.get_all("content-type", [])) == 1 else ""


def _is_among(kind: str, types: Iterable[str]) -> bool:
    return any(kind.startswith(one) if one.endswith("/") else kind == one for one in types)


def _mended(raw: RawHeaders, *, text: bool, length: int | None = None) -> list[tuple[bytes, bytes]]:
    """Return headers for a body that was written anew; ``text`` says that it is UTF-8 now."""
    headers = [(name, value) for name, value in raw if name.lower() not in _STALE]
    if text:
        kind = _type(_read(headers)).encode("latin-1")
        headers = [pair for pair in headers if pair[0].lower() != b"content-type"]
        headers.append((b"content-type", kind + b"; charset=utf-8"))
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return headers
