"""Find the strings that paths such as ``choices.*.message.content`` name in a parsed JSON value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from guardrail.errors import ConfigError

Name = tuple[str | int, ...]
Path = tuple[str, ...]
_IDENTITY = "index"


@dataclass(frozen=True, slots=True)
class Place:
    """A value inside a JSON value: what holds it, under which key, and the name that it has in every event.

    An item of a list is named by its own ``index`` where it has one, because a stream may send the items one by one.
    """

    holder: Any
    key: str | int
    name: Name

    @property
    def value(self) -> Any:
        """The value that stands there now."""
        return self.holder[self.key]

    def put(self, value: object) -> None:
        """Put another value there."""
        self.holder[self.key] = value


def parsed(paths: Sequence[str]) -> tuple[Path, ...]:
    """Split paths at their dots; ``*`` is every item of a list or object, ``**`` any number of such steps.

    ``**`` alone names everything.

    Raises:
        ConfigError: one has an empty part, or more than one ``**``.
    """
    if isinstance(paths, str):
        raise ConfigError(f"paths must be a list, not one text; write ({paths!r},)")
    for path in paths:
        if not all(path.split(".")):
            raise ConfigError(f"path {path!r} has an empty part; write it like choices.*.message.content")
        if path.split(".").count("**") > 1:
            raise ConfigError(f"path {path!r} has ** more than once; name the steps between")
    return tuple(tuple(path.split(".")) for path in paths)


def places(value: object, paths: Sequence[Path]) -> Iterator[Place]:
    """Yield the places that ``paths`` name, each once; the number of steps is bounded by the value's size."""
    seen: set[tuple[int, str | int]] = set()
    root = value.get(_IDENTITY) if isinstance(value, dict) else None
    start: Name = (root,) if isinstance(root, int) else ()
    for path in paths:
        for place in _below(value, path, start):
            at = (id(place.holder), place.key)
            if at not in seen:
                seen.add(at)
                yield place


def strings(value: object, paths: Sequence[Path]) -> Iterator[Place]:
    """Yield the places of ``places`` where a string stands."""
    return (place for place in places(value, paths) if isinstance(place.value, str))


def _below(value: object, path: Path, name: Name) -> Iterator[Place]:
    # A stack of its own: a value may be nested deeper than Python's.
    todo = [(value, path, name)]
    while todo:
        holder, (part, *rest), so_far = todo.pop()
        deeper = [(holder, tuple(rest), so_far)] if part == "**" and rest else []
        for key, label in _keys(holder, part):
            place = Place(holder, key, (*so_far, label))
            if not rest:
                yield place
            below = (part, *rest) if part == "**" else tuple(rest)
            if below:
                deeper.append((place.value, below, place.name))
        todo += reversed(deeper)


def _keys(holder: object, part: str) -> Iterator[tuple[str | int, str | int]]:
    if isinstance(holder, dict):
        yield from ((key, key) for key in (holder if part in ("*", "**") else (part,)) if key in holder)
    elif isinstance(holder, list) and part in ("*", "**"):
        for position, item in enumerate(holder):
            own = item.get(_IDENTITY) if isinstance(item, dict) else None
            yield position, own if isinstance(own, int) else position
    elif isinstance(holder, list) and part.isdecimal() and int(part) < len(holder):
        yield int(part), int(part)
