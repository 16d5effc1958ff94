"""Open the doors for texts that are still being written: iterators in, iterators of judged text out."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import ParamSpec, TypeVar, overload

import anyio

from guardrail.errors import ConfigError
from guardrail.guard import Pipeline, checked
from guardrail.result import Result
from guardrail.stream import StreamGuard
from guardrail.wrap import Prompt, wrapped

MAX_HOLD = 1000
_LONGEST_HOLD = 65_536
_CLOSE_SECONDS = 5.0

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="GuardedStream")
A = TypeVar("A", bound="AsyncGuardedStream")


class GuardedStream(Iterator[str]):
    """The judged text of an iterator of chunks, pulled lazily; ``result`` says what became of it in the end.

    If the source fails, what it gave before is judged and released, then its error goes on. Closing it, also by
    leaving its ``with`` block, closes the source and releases nothing more. For one thread.
    """

    def __init__(self, engine: StreamGuard, chunks: Iterable[str]) -> None:
        self._engine = engine
        self._chunks = iter(chunks)
        self._pieces: Iterator[str] = filter(None, _pieces(engine, self._chunks))

    @property
    def result(self) -> Result | None:
        """The result of the whole text, once the iterator is exhausted or the policy blocked."""
        return self._engine.result

    def __iter__(self: S) -> S:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release nothing more and close the source, if it can be closed."""
        self._engine.close()
        self._pieces = iter(())
        _close(self._chunks)


# No method, so that a stream that is dropped is no cycle and its source is closed at once.
def _pieces(engine: StreamGuard, chunks: Iterator[str]) -> Iterator[str]:
    try:
        failure = None
        while failure is None and not engine.closed:
            try:
                chunk = next(chunks)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                continue
            for piece in engine.pieces(chunk):
                if engine.closed:
                    # Now and not when the caller asks again: a model may be writing on at a price.
                    _close(chunks)
                yield piece
        yield from engine.last_pieces()
        if failure is not None:
            raise failure
    finally:
        engine.close()
        _close(chunks)


def _close(chunks: Iterator[str]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()


class AsyncGuardedStream(AsyncIterator[str]):
    """The judged text of an async iterator of chunks, on asyncio or trio; all else as ``GuardedStream``.

    The models run on the guard's own worker threads, so the event loop stays free; cancelling stops them and closes the
    source.
    """

    def __init__(self, engine: StreamGuard, chunks: AsyncIterable[str]) -> None:
        self._engine = engine
        self._chunks = aiter(chunks)
        self._failure: Exception | None = None
        self._over = False
        self._flushed = False
        self._ended = False

    @property
    def result(self) -> Result | None:
        """The result of the whole text, once the iterator is exhausted or the policy blocked."""
        return self._engine.result

    def __aiter__(self: A) -> A:
        return self

    async def __anext__(self) -> str:
        try:
            while not self._ended:
                piece = await self._next()
                if piece:
                    return piece
        except BaseException:
            await self.aclose()
            raise
        raise StopAsyncIteration

    async def __aenter__(self: A) -> A:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Release nothing more and close the source, if it can be closed, within five seconds."""
        self._ended = True
        self._engine.close()
        await self._close_source()

    async def _close_source(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            # A cancelled task may not wait for anything else, and the source must not stay open for that.
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await close()

    async def _next(self) -> str:
        if not self._over:
            return await self._fed()
        if not self._flushed:
            self._flushed = True
            return await self._engine.afinish()
        if self._failure is not None:
            raise self._failure
        await self.aclose()
        return ""

    async def _fed(self) -> str:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._over = True
            return ""
        except Exception as error:
            self._failure = error
            self._over = True
            return ""
        piece = await self._engine.afeed(chunk)
        if self._engine.closed:
            self._over = True
            await self._close_source()
        return piece


class Streaming(Pipeline):
    """A pipeline with every door: ``check`` and its kin, streams, and a decorator."""

    def open_stream(self, *, prompt: str = "", max_hold: int = MAX_HOLD) -> StreamGuard:
        """Open a stream to feed by hand, for a framework that has its own loop.

        Args:
            prompt: what the text answers; shown to the rewriter where nothing comes before, never judged.
            max_hold: most characters held back, 1 to 65,536: a longer sentence is judged in parts.

        Raises:
            TypeError: ``prompt`` is no ``str``.
            ConfigError: ``max_hold`` is out of range.
        """
        value: object = max_hold
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LONGEST_HOLD:
            raise ConfigError(f"max_hold = {max_hold!r} must be a whole number from 1 to {_LONGEST_HOLD}")
        return StreamGuard(self, prompt=checked(prompt), max_hold=max_hold)

    def stream(self, chunks: Iterable[str], *, prompt: str = "", max_hold: int = MAX_HOLD) -> GuardedStream:
        """Return an iterator over the judged text of ``chunks``; arguments as for ``open_stream``.

        Each piece is released as soon as its sentence is judged; together they are the safe text. Iterating raises as
        ``StreamGuard.feed`` does.

        Raises:
            TypeError: ``chunks`` is no iterable of ``str``.
        """
        if isinstance(chunks, (str, bytes)):
            raise TypeError(f"chunks must be an iterable of str, not one {type(chunks).__name__}; put it in a list")
        if not isinstance(chunks, Iterable):
            remedy = "use astream" if isinstance(chunks, AsyncIterable) else "use check for one text"
            raise TypeError(f"chunks must be an iterable of str, not {type(chunks).__name__}; {remedy}")
        return GuardedStream(self.open_stream(prompt=prompt, max_hold=max_hold), chunks)

    def astream(self, chunks: AsyncIterable[str], *, prompt: str = "", max_hold: int = MAX_HOLD) -> AsyncGuardedStream:
        """Return an async iterator over the judged text of ``chunks``; as ``stream`` otherwise."""
        if not isinstance(chunks, AsyncIterable):
            remedy = "use stream" if isinstance(chunks, Iterable) else "use acheck for one text"
            raise TypeError(f"chunks must be an async iterable of str, not {type(chunks).__name__}; {remedy}")
        return AsyncGuardedStream(self.open_stream(prompt=prompt, max_hold=max_hold), chunks)

    @overload
    def wrap(self, function: Callable[P, R], *, prompt: Prompt = None) -> Callable[P, R]: ...

    @overload
    def wrap(self, function: None = None, *, prompt: Prompt = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def wrap(self, function: Callable[..., object] | None = None, *, prompt: Prompt = None) -> Callable[..., object]:
        """Decorate a function so that what it returns is judged: a text, or an iterator of texts, now or awaited.

        A ``str`` comes back as ``check(...).text``, an iterator as a ``GuardedStream``, an async one as an
        ``AsyncGuardedStream``; a coroutine function stays one.

        Args:
            function: what to decorate; leave it out to give arguments (``@guard.wrap(prompt=...)``).
            prompt: what the text answers, or a function of the call's arguments that returns it.

        Raises:
            TypeError: ``function`` cannot be called; when called: it returned something else.
        """
        if function is None:
            return partial(wrapped, self, prompt=prompt)
        return wrapped(self, function, prompt)
