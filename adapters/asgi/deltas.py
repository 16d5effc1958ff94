"""Judge text that comes in small parts inside JSON events: one stream for each place, flushed before its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from guardrail.adapters.asgi.paths import Name, Path, Place, parsed, places, strings
from guardrail.doors import Streaming
from guardrail.stream import StreamGuard

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fields:
    """Which places of a JSON value hold text, whole or in parts, and which say that a text has ended.

    ``ends`` are paths to a value that is true at the end (``choices.*.finish_reason``) or equals what is given
    (``type=message_stop``). A value that is nothing but a string is text.
    """

    whole: tuple[Path, ...]
    deltas: tuple[Path, ...]
    ends: tuple[tuple[Path, str | None], ...]

    @classmethod
    def of(cls, whole: Sequence[str], deltas: Sequence[str], ends: Sequence[str]) -> Fields:
        """Read the three lists of paths; raises ``ConfigError``."""
        split = [path.partition("=") for path in ends]
        paths = parsed([path for path, _, _ in split])
        wanted = [value if equals else None for _, equals, value in split]
        return cls(parsed(whole), parsed(deltas), tuple(zip(paths, wanted, strict=True)))


@dataclass(slots=True)
class _Text(Generic[T]):
    engine: StreamGuard
    carrier: list[Any]
    tag: T


class Deltas(Generic[T]):
    """Take the JSON values of one response and give them back with judged text only.

    What was held back is put into a copy of the last value that carried its text; the ``tag`` of that one comes along.
    """

    def __init__(self, guard: Streaming, fields: Fields) -> None:
        self._guard, self._fields = guard, fields
        self._texts: dict[Name, _Text[T]] = {}

    async def take(self, value: Any, tag: T) -> list[tuple[Any, T]]:
        """Return what to send in place of ``value``, which may be changed: what was held comes before it."""
        root = [value]
        parts = self._parts(root)
        taken = {(id(place.holder), place.key) for place in parts}
        for place in strings(value, self._fields.whole):
            if (id(place.holder), place.key) not in taken:
                place.put((await self._guard.acheck(place.value)).text)
        for place in parts:
            text = self._texts.get(place.name) or _Text(self._guard.open_stream(), root, tag)
            self._texts[place.name] = text
            text.carrier, text.tag = root, tag
            place.put(await text.engine.afeed(place.value))
        return [*await self._flushed(value, parts), (root[0], tag)]

    async def finish(self) -> list[tuple[Any, T]]:
        """Return values that carry what is still held."""
        return [carried for name in list(self._texts) for carried in await self._carried(name)]

    def _parts(self, root: list[Any]) -> list[Place]:
        if isinstance(root[0], str):
            return [Place(root, 0, ())]
        return list(strings(root[0], self._fields.deltas))

    async def _flushed(self, value: Any, parts: Sequence[Place]) -> list[tuple[Any, T]]:
        here = {place.name: place for place in parts}
        before: list[tuple[Any, T]] = []
        for name in self._ended(value):
            if name in here:
                here[name].put(here[name].value + await self._tail(name))
            else:
                before += await self._carried(name)
        return before

    def _ended(self, value: Any) -> list[Name]:
        ended = [
            _identity(place.name)
            for path, wanted in self._fields.ends
            for place in places(value, [path])
            if (place.value if wanted is None else place.value == wanted)
        ]
        return [name for name in self._texts if any(_identity(name)[: len(end)] == end for end in ended)]

    async def _tail(self, name: Name) -> str:
        engine = self._texts[name].engine
        tail = await engine.afinish()
        # A text that the policy has cut stays cut, whatever comes under its name.
        if not engine.closed:
            del self._texts[name]
        return tail

    async def _carried(self, name: Name) -> list[tuple[Any, T]]:
        text = self._texts[name]
        tail = await self._tail(name)
        if not tail:
            return []
        copy = json.loads(json.dumps(text.carrier))
        for place in self._parts(copy):
            place.put(tail if place.name == name else "")
        return [(copy[0], text.tag)]


def _identity(name: Name) -> tuple[int, ...]:
    return tuple(part for part in name if isinstance(part, int))
