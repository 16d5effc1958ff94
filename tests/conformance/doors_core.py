"""Drive the doors that need no other package: calls, batches, streams, the decorator and the command line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import anyio

from guardrail.doors import AsyncGuardedStream, GuardedStream, Streaming
from guardrail.result import Result
from tests.cli import run
from tests.conformance.seen import Door, Seen, caught, plain, verdict_of
from tests.streams import chunked, later

T = TypeVar("T")


def sizes(text: str, size: int) -> list[int]:
    """Return the sizes of chunks that cut all of ``text``."""
    return [size] * (len(text) // size)


def pieces(text: str) -> list[str]:
    """Cut a text as a model writes it, for the doors whose own format makes each chunk dear."""
    return list(chunked(text, sizes(text, 23)))


def in_loop(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function on a new event loop."""
    return anyio.run(work)


def of_result(result: Result) -> Seen:
    """Return what was seen of a whole result."""
    return Seen(result.text, verdict_of(result))


def check(guard: Streaming, text: str) -> Seen:
    try:
        return of_result(guard.check(text))
    except Exception as error:
        return caught(error)


def acheck(guard: Streaming, text: str) -> Seen:
    try:
        return of_result(in_loop(lambda: guard.acheck(text)))
    except Exception as error:
        return caught(error)


def check_many(guard: Streaming, text: str) -> Seen:
    try:
        first, second = guard.check_many(["", text])
    except Exception as error:
        return caught(error)
    assert first.text == ""
    return of_result(second)


def pulled(stream: GuardedStream) -> Seen:
    """Read a stream to its end."""
    shown: list[str] = []
    try:
        for piece in stream:
            shown.append(piece)
    except Exception as error:
        return caught(error, "".join(shown))
    return Seen("".join(shown), verdict_of(stream.result))


async def apulled(stream: AsyncGuardedStream) -> Seen:
    """Read an async stream to its end."""
    shown: list[str] = []
    try:
        async for piece in stream:
            shown.append(piece)
    except Exception as error:
        return caught(error, "".join(shown))
    return Seen("".join(shown), verdict_of(stream.result))


def stream_by(size: int) -> Callable[[Streaming, str], Seen]:
    def drive(guard: Streaming, text: str) -> Seen:
        return pulled(guard.stream(chunked(text, sizes(text, size))))

    return drive


def astream(guard: Streaming, text: str) -> Seen:
    async def read() -> Seen:
        return await apulled(guard.astream(later(chunked(text, sizes(text, 7)))))

    return in_loop(read)


def wrap_function(guard: Streaming, text: str) -> Seen:
    @guard.wrap
    def say() -> str:
        return text

    try:
        return Seen(say())
    except Exception as error:
        return caught(error)


def wrap_coroutine(guard: Streaming, text: str) -> Seen:
    @guard.wrap
    async def say() -> str:
        return text

    try:
        return Seen(in_loop(lambda: say()))
    except Exception as error:
        return caught(error)


def wrap_generator(guard: Streaming, text: str) -> Seen:
    @guard.wrap
    def say() -> Iterator[str]:
        yield from pieces(text)

    stream = say()
    assert isinstance(stream, GuardedStream)
    return pulled(stream)


def wrap_async_generator(guard: Streaming, text: str) -> Seen:
    @guard.wrap
    def say() -> AsyncIterator[str]:
        return later(pieces(text))

    async def read() -> Seen:
        stream = say()
        assert isinstance(stream, AsyncGuardedStream)
        return await apulled(stream)

    return in_loop(read)


def command_line(guard: Streaming, text: str) -> Seen:
    ended = run("check", "--json", "--text", "--", text, factory=lambda config, detect_only: guard)
    if not ended.stdout:
        assert ended.exit_code == 2 and ended.stderr.startswith("guardrail: ")
        return Seen("", raised="GuardrailError")
    value = json.loads(ended.stdout)
    assert ended.exit_code == (2 if value["error"] and not value["flagged"] else int(value["action"] != "allow"))
    return Seen(value["text"], plain(value))


DOORS = (
    Door("check", check),
    Door("acheck", acheck),
    Door("check_many", check_many),
    Door("stream, 1 character", stream_by(1), flows=True),
    Door("stream, 7 characters", stream_by(7), flows=True),
    Door("stream, one chunk", stream_by(10**6), flows=True),
    Door("astream", astream, flows=True),
    Door("wrap, function", wrap_function, bare=True),
    Door("wrap, coroutine", wrap_coroutine, bare=True),
    Door("wrap, generator", wrap_generator, flows=True),
    Door("wrap, async generator", wrap_async_generator, flows=True),
    Door("CLI --json", command_line, encodes=True),
)
