"""Judge the bodies of HTTP responses: whole ones, and those that flow in chunks of any size."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn, Protocol

from guardrail.adapters.asgi.deltas import Deltas, Fields
from guardrail.adapters.asgi.paths import Place, strings
from guardrail.doors import Streaming
from guardrail.text.surrogates import without_surrogates

UTF8 = "utf-8"


class UnreadableError(Exception):
    """A body is not what its headers say; the message names what is wrong and never the body."""


class Whole(Protocol):
    """Judge a body that is complete."""

    async def judged(self, body: bytes) -> bytes:
        """Return the safe body, the same object if nothing was changed; raises ``UnreadableError``."""


class Flow(Protocol):
    """Judge a body that comes in chunks."""

    def feed(self, chunk: bytes) -> AsyncIterator[bytes]:
        """Yield what may be sent now; raises ``UnreadableError``."""

    def finish(self) -> AsyncIterator[bytes]:
        """Yield the rest; raises ``UnreadableError``."""


class WholeText:
    """A text in one piece; it leaves as UTF-8."""

    def __init__(self, guard: Streaming, charset: str) -> None:
        self._guard, self._charset = guard, charset

    async def judged(self, body: bytes) -> bytes:
        """Return the checked text."""
        text = decoded(_decoder(self._charset), body, final=True)
        result = await self._guard.acheck(text)
        return body if self._charset == UTF8 and result.text == text else _encoded(result.text)


class WholeJson:
    """A JSON value in one piece, of which some fields are text."""

    def __init__(self, guard: Streaming, fields: Fields) -> None:
        self._guard, self._fields = guard, fields

    async def judged(self, body: bytes) -> bytes:
        """Return the value with its fields checked."""
        value, plain = loaded(decoded(_decoder(UTF8), body, final=True))
        root = [value]
        changed = not plain
        whole = [Place(root, 0, ())] if isinstance(value, str) else strings(value, self._fields.whole)
        for place in whole:
            result = await self._guard.acheck(place.value)
            changed = changed or result.text != place.value
            place.put(result.text)
        return dumped(root[0]).encode() if changed else body


class TextFlow:
    """A text that comes in chunks; it leaves as UTF-8."""

    def __init__(self, guard: Streaming, charset: str) -> None:
        self._decoder = _decoder(charset)
        self._stream = guard.open_stream()

    async def feed(self, chunk: bytes) -> AsyncIterator[bytes]:
        """Yield what was judged of the text so far."""
        yield _encoded(await self._stream.afeed(decoded(self._decoder, chunk)))

    async def finish(self) -> AsyncIterator[bytes]:
        """Yield the judged rest."""
        decoded(self._decoder, b"", final=True)
        yield _encoded(await self._stream.afinish())


class LineFlow:
    """A stream of JSON values, one a line."""

    def __init__(self, guard: Streaming, fields: Fields, most: int) -> None:
        self._decoder = _decoder(UTF8)
        self._deltas = Deltas[None](guard, fields)
        self._most = most
        self._parts: list[str] = []
        self._length = 0

    async def feed(self, chunk: bytes) -> AsyncIterator[bytes]:
        """Yield the lines that are complete, and what was held before them."""
        first, *others = decoded(self._decoder, chunk).split("\n")
        self._hold(first)
        for part in others:
            yield await self._line()
            self._hold(part)

    async def finish(self) -> AsyncIterator[bytes]:
        """Yield the last line and what is still held."""
        decoded(self._decoder, b"", final=True)
        yield await self._line()
        yield _lines_of(await self._deltas.finish())

    async def _line(self) -> bytes:
        line, self._parts, self._length = "".join(self._parts), [], 0
        if not line.strip():
            return b""
        value, _ = loaded(line)
        return _lines_of(await self._deltas.take(value, None))

    def _hold(self, part: str) -> None:
        self._parts.append(part)
        self._length += len(part)
        bound(self._length, self._most)


def decoded(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> str:
    """Return the text of the next bytes; raises ``UnreadableError``."""
    try:
        return decoder.decode(chunk, final)
    except UnicodeError:
        raise UnreadableError("bytes that are no text in its charset") from None


def loaded(text: str) -> tuple[Any, bool]:
    """Return a JSON value, and whether it says all that its text says.

    Of a key that stands there twice readers take the first or the last: only one of them is kept.

    Raises:
        UnreadableError: the text is no JSON.
    """
    twice = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        value = dict(items)
        twice = twice or len(value) < len(items)
        return value

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise UnreadableError("no JSON") from None
    return value, not twice


def dumped(value: Any) -> str:
    """Return JSON on one line; raises ``UnreadableError`` where a number is too large for it."""
    try:
        return without_surrogates(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    except (ValueError, RecursionError):
        raise UnreadableError("a number that JSON cannot hold") from None


def bound(length: int, most: int) -> None:
    """Refuse what would have to be held beyond ``most`` characters; raises ``UnreadableError``."""
    if length > most:
        raise UnreadableError(f"more than max_body = {most} in one piece")


def _refused(constant: str) -> NoReturn:
    raise ValueError


def _decoder(charset: str) -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder(charset)()


def _encoded(text: str) -> bytes:
    return without_surrogates(text).encode()


def _lines_of(values: Iterable[tuple[Any, None]]) -> bytes:
    return "".join(dumped(value) + "\n" for value, _ in values).encode()
