"""Put values on a wire: results as JSON, and server-sent events out of and into a stream of text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace

from guardrail.text.surrogates import without_surrogates

_LINE_END = re.compile(r"\r\n|\n|\r")
# A reader ignores every other field, so whatever a server writes there is not passed on.
_FIELDS = ("event", "id", "retry")


def jsonable(value: object) -> object:
    """Return a dataclass, mapping or sequence as what ``json`` can write; a lone surrogate comes out as U+FFFD."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    return value


def to_json(value: object) -> str:
    """Return ``value`` as one line of ASCII JSON, the same through every door."""
    return json.dumps(jsonable(value))


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event: its data, None where it has none, and its other fields in order; comments come empty."""

    data: str | None = None
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The type of the event, "" if it has none."""
        return dict(self.fields).get("event", "")

    def with_data(self, data: str | None) -> Event:
        """Return the event with other data."""
        return replace(self, data=data)

    def to_text(self) -> str:
        """Return the event as it is written in a ``text/event-stream``."""
        lines = [f"{name}: {value}" if name else ":" for name, value in self.fields]
        if self.data is not None:
            lines += [f"data: {line}" for line in _LINE_END.split(self.data)]
        return "\n".join(lines) + "\n\n"


def json_event(name: str, value: object) -> str:
    """Return an event of type ``name`` with ``value`` as JSON, as text."""
    return Event(to_json(value), (("event", name),)).to_text()


class EventReader:
    """Take a ``text/event-stream`` in chunks of any size and give back its events."""

    def __init__(self) -> None:
        self._line: list[str] = []
        self._data: list[str] = []
        self._others: list[tuple[str, str]] = []
        self._after_return = False
        self._begun = False
        self.held = 0

    def feed(self, text: str) -> Iterator[Event]:
        """Yield the events that are complete; ``held`` is then how many characters of the next one are here."""
        if not text:
            return
        if not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        if self._after_return:
            text = text.removeprefix("\n")
        self._after_return = text.endswith("\r")
        first, *others = _LINE_END.split(text)
        self._hold(first)
        for part in others:
            yield from self._ended()
            self._hold(part)

    def finish(self) -> Iterator[Event]:
        """Yield what is left as an event: many readers take a last one that no blank line follows."""
        if any(self._line):
            yield from self._ended()
        yield from self._dispatched()

    def _hold(self, part: str) -> None:
        self._line.append(part)
        self.held += len(part)

    def _ended(self) -> Iterator[Event]:
        line = "".join(self._line)
        self._line = []
        if not line:
            yield from self._dispatched()
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name in _FIELDS:
            self._others.append((name, value))
        elif not name:
            self._others.append(("", ""))

    def _dispatched(self) -> Iterator[Event]:
        if self._data or self._others:
            yield Event("\n".join(self._data) if self._data else None, tuple(self._others))
        self._data, self._others, self.held = [], [], 0
