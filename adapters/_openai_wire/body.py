"""Guard the bodies of HTTP responses that hold completions or responses: JSON, and streams of events."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

from guardrail.adapters._openai_wire.chat import guarded_completion
from guardrail.adapters._openai_wire.chat_stream import ChatStream
from guardrail.adapters._openai_wire.responses import guarded_item, guarded_items, guarded_response
from guardrail.adapters._openai_wire.responses_stream import ResponseStream
from guardrail.adapters._openai_wire.verdicts import Json
from guardrail.adapters._steps import Steps, check
from guardrail.doors import Streaming
from guardrail.errors import GuardrailError
from guardrail.wire import Event, EventReader

_DONE = "[DONE]"
_COMMENT = ("", "")
_NO_JSON = object()


def guarded_body(body: bytes, guard: Streaming, keep: frozenset[str]) -> Steps[bytes]:
    """Return a whole body with every text judged; one that is no JSON is a text."""
    value = _parsed(body)
    if value is _NO_JSON:
        text = body.decode("utf-8", "replace")
        return (yield from check(guard, text)).text.encode("utf-8", "replace")
    return json.dumps((yield from guarded_value(value, guard, keep))).encode()


def guarded_value(value: Any, guard: Streaming, keep: frozenset[str]) -> Steps[Any]:
    """Return a completion, a response, an item, or a list of them with every text judged; all else as it is."""
    if isinstance(value, str):
        return (yield from check(guard, value)).text
    if isinstance(value, list):
        return (yield from _guarded_all(value, guard, keep))
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("choices"), list):
        return (yield from guarded_completion(value, guard, keep))
    if isinstance(value.get("output"), list):
        return (yield from guarded_response(value, guard, keep))
    if isinstance(value.get("data"), list):
        return (yield from _guarded_list(value, guard, keep))
    if isinstance(value.get("content"), list):
        return (yield from guarded_item(value, guard, keep))
    return value


def _guarded_list(value: Json, guard: Streaming, keep: frozenset[str]) -> Steps[Json]:
    if any(isinstance(entry, dict) and "choices" in entry for entry in value["data"]):
        return {**value, "data": (yield from _guarded_all(value["data"], guard, keep))}
    return (yield from guarded_items(value, guard, keep))


def _guarded_all(values: list[Any], guard: Streaming, keep: frozenset[str]) -> Steps[list[Any]]:
    safe = []
    for value in values:
        safe.append((yield from guarded_value(value, guard, keep)))
    return safe


class ValueStream:
    """Take the values of one stream, of chat chunks or of a response's events, and give back what may be shown."""

    def __init__(self, guard: Streaming, keep: frozenset[str]) -> None:
        self._chat = ChatStream(guard, keep)
        self._response = ResponseStream(guard, keep)

    def take(self, value: Any) -> Steps[list[Json]]:
        """Return what to send in place of ``value``; errors of the server pass, after what was held."""
        if not isinstance(value, dict):
            return []
        if isinstance(value.get("choices"), list):
            return (yield from self._chat.take(value))
        if value.get("error") or value.get("type") == "error":
            return [*(yield from self.finish()), value]
        return (yield from self._response.take(value))

    def finish(self) -> Steps[list[Json]]:
        """Return what was held back: nothing more will come."""
        chunks = yield from self._chat.finish()
        return [*chunks, *(yield from self._response.finish())]


class EventStream:
    """Take a ``text/event-stream`` in chunks of any size; each event is a step of its own.

    Raises:
        GuardrailError: an event is no JSON, or no UTF-8: it cannot be judged.
    """

    def __init__(self, guard: Streaming, keep: frozenset[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._reader = EventReader()
        self._values = ValueStream(guard, keep)

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[Steps[bytes]]:
        """Yield the work on each event that is complete; what it returns may be sent."""
        for event in self._reader.feed(self._decoded(chunk, final)):
            yield self._event(event)

    def finish(self) -> Iterator[Steps[bytes]]:
        """Yield the work on what is left."""
        yield from self.feed(b"", final=True)
        for event in self._reader.finish():
            yield self._event(event)
        yield self.flush()

    def flush(self) -> Steps[bytes]:
        """Return what was held back: nothing more will come."""
        return _written((yield from self._values.finish()))

    def _event(self, event: Event) -> Steps[bytes]:
        if event.data is None:
            # A comment keeps the connection alive; what it says is nobody's business.
            return b":\n\n" if _COMMENT in event.fields else b""
        if event.data.startswith(_DONE):
            return (yield from self.flush()) + b"data: [DONE]\n\n"
        value = _parsed(event.data)
        if value is _NO_JSON:
            raise GuardrailError("an event of the stream is no JSON, so it cannot be judged; ask the server for JSON")
        return _written((yield from self._values.take(value)))

    def _decoded(self, chunk: bytes, final: bool) -> str:
        try:
            return self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            wrong = "the stream is no UTF-8, so it cannot be judged; ask the server for UTF-8"
        # Not while that error is being handled: it holds the bytes, and would be this one's context.
        raise GuardrailError(wrong)


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _written(values: list[Json]) -> bytes:
    return "".join(_event_of(value).to_text() for value in values).encode()


def _event_of(value: Json) -> Event:
    kind = value.get("type")
    return Event(json.dumps(value), (("event", kind),) if isinstance(kind, str) else ())
