"""Judge server-sent events: their data is JSON with text in some fields, or text itself."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Iterable
from typing import Literal

from guardrail.adapters.asgi.bodies import UTF8, UnreadableError, bound, decoded, dumped, loaded
from guardrail.adapters.asgi.deltas import Deltas, Fields
from guardrail.doors import Streaming
from guardrail.stream import StreamGuard
from guardrail.wire import Event, EventReader

EventData = Literal["auto", "json", "text"]
_DONE = "[DONE]"


class EventFlow:
    """A ``text/event-stream``; ``data`` says what its data is, ``"auto"`` goes by the first event that has any.

    Data that is text makes one text for each type of event; JSON strings are text and stay JSON strings. Events of the
    types ``ends``, and the data ``[DONE]``, come after all text before them.
    """

    def __init__(self, guard: Streaming, fields: Fields, *, data: EventData, ends: frozenset[str], most: int) -> None:
        self._guard, self._ends, self._most = guard, ends, most
        self._decoder = codecs.getincrementaldecoder(UTF8)()
        self._reader = EventReader()
        self._deltas = Deltas[Event](guard, fields)
        self._texts: dict[str, StreamGuard] = {}
        self._kind = None if data == "auto" else data
        self._quoted = False

    async def feed(self, chunk: bytes) -> AsyncIterator[bytes]:
        """Yield the events that may be sent now; raises ``UnreadableError``."""
        for event in self._reader.feed(decoded(self._decoder, chunk)):
            yield _written(await self._judged(event))
        bound(self._reader.held, self._most)

    async def finish(self) -> AsyncIterator[bytes]:
        """Yield the last event, and events with what is still held; raises ``UnreadableError``."""
        decoded(self._decoder, b"", final=True)
        for event in self._reader.finish():
            yield _written(await self._judged(event))
        yield _written(await self._flushed())

    async def _judged(self, event: Event) -> list[Event]:
        ended = event.name in self._ends or event.data == _DONE
        before = await self._flushed() if ended else []
        if not event.data or event.data == _DONE:
            return [*before, event]
        if self._kind_of(event.data) == "json":
            value = _container(event.data)
            if value is not None:
                return before + [tag.with_data(dumped(part)) for part, tag in await self._deltas.take(value, event)]
        if ended:
            checked = await self._guard.acheck(event.data)
            return [*before, event.with_data(checked.text)]
        return await self._fed(event, event.data)

    def _kind_of(self, data: str) -> str:
        if self._kind is None:
            self._kind = "text" if _container(data) is None else "json"
            self._quoted = _string(data) is not None
        return self._kind

    async def _fed(self, event: Event, data: str) -> list[Event]:
        said = _string(data) if self._quoted else None
        if event.name not in self._texts:
            self._texts[event.name] = self._guard.open_stream()
        out = await self._texts[event.name].afeed(data if said is None else said)
        return [event.with_data(self._shown(out))] if out else []

    async def _flushed(self) -> list[Event]:
        events = []
        for name, engine in list(self._texts.items()):
            tail = await engine.afinish()
            if not engine.closed:
                del self._texts[name]
            if tail:
                events.append(Event(self._shown(tail), (("event", name),) if name else ()))
        return events + [tag.with_data(dumped(value)) for value, tag in await self._deltas.finish()]

    def _shown(self, text: str) -> str:
        return json.dumps(text) if self._quoted else text


def _container(data: str) -> object:
    try:
        value, _ = loaded(data)
    except UnreadableError:
        return None
    return value if isinstance(value, (dict, list)) else None


def _string(data: str) -> str | None:
    try:
        value, _ = loaded(data)
    except UnreadableError:
        return None
    return value if isinstance(value, str) else None


def _written(events: Iterable[Event]) -> bytes:
    return "".join(event.to_text() for event in events).encode("utf-8", "replace")
