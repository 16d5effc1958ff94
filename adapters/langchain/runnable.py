"""Guard a chain: a runnable that judges the text or the messages that run through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable, RunnableConfig

from guardrail.adapters._steps import Steps, check, feed, finish, run_later, run_now
from guardrail.adapters.langchain.chunks import ChunkFilter
from guardrail.adapters.langchain.messages import guarded
from guardrail.adapters.langchain.settings import Audit, Settings
from guardrail.doors import Streaming
from guardrail.stream import StreamGuard

Said = str | AIMessage


class GuardRunnable(Runnable[Said, Said]):
    """Judge what runs through a chain: ``model | guard.as_runnable() | parser``, or behind a parser to ``str``.

    A ``str`` comes out as one, a message as a message, streamed text sentence by sentence. What stands in front of it
    still reports its own raw output to callbacks and to ``astream_events``; a ``GuardedChatModel`` does not.

    Args:
        guard: what judges.
        audit: gets the ``Result`` of every text.
    """

    def __init__(self, guard: Streaming, *, audit: Audit | None = None) -> None:
        self._settings = Settings(guard, audit=audit)

    def invoke(self, input: Said, config: RunnableConfig | None = None, **kwargs: Any) -> Said:
        """Judge a whole text or message.

        Raises:
            TypeError: ``input`` is neither; and as ``Guard.check`` does.
        """
        return self._call_with_config(lambda said: self._now(self._whole(said)), input, config)

    async def ainvoke(self, input: Said, config: RunnableConfig | None = None, **kwargs: Any) -> Said:
        """Do the same on an event loop."""

        async def later(said: Said) -> Said:
            with self._settings.reporting():
                return await run_later(self._whole(said))

        return await self._acall_with_config(later, input, config)

    def stream(self, input: Said, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Said]:
        """Judge a whole text or message, released sentence by sentence."""
        return self.transform(iter([input]), config)

    async def astream(self, input: Said, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Said]:
        """Do the same on an event loop."""

        async def once() -> AsyncIterator[Said]:
            yield input

        async for said in self.atransform(once(), config):
            yield said

    def transform(self, input: Iterator[Said], config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Said]:
        """Judge text or chunks of messages while they come."""
        yield from self._transform_stream_with_config(input, self._screened, config)

    async def atransform(
        self, input: AsyncIterator[Said], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Said]:
        """Do the same on an event loop."""
        async for said in self._atransform_stream_with_config(input, self._ascreened, config):
            yield said

    def _screened(self, source: Iterator[Said]) -> Iterator[Said]:
        screen, failure = _Screen(self._settings), None
        while failure is None and not screen.closed:
            try:
                said = next(source)
            except StopIteration:
                break
            except Exception as error:
                failure = error
            else:
                yield from self._now(screen.take(said))
        yield from self._now(screen.end(complete=failure is None))
        if failure is not None:
            raise failure

    async def _ascreened(self, source: AsyncIterator[Said]) -> AsyncIterator[Said]:
        screen, failure = _Screen(self._settings), None
        while failure is None and not screen.closed:
            try:
                said = await anext(source)
            except StopAsyncIteration:
                break
            except Exception as error:
                failure = error
            else:
                for shown in await self._later(screen.take(said)):
                    yield shown
        for shown in await self._later(screen.end(complete=failure is None)):
            yield shown
        if failure is not None:
            raise failure

    def _now(self, steps: Steps[Any]) -> Any:
        with self._settings.reporting():
            return run_now(steps)

    async def _later(self, steps: Steps[Any]) -> Any:
        with self._settings.reporting():
            return await run_later(steps)

    def _whole(self, said: Said) -> Steps[Said]:
        if isinstance(said, AIMessage):
            return (yield from guarded(said, self._settings))
        if not isinstance(said, str):
            raise _unfit(said)
        result = yield from check(self._settings.guard, said)
        self._settings.report(result)
        return result.text


class _Screen:
    """Judge one stream of texts or of messages; what comes first decides which."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._text: StreamGuard | None = None
        self._chunks: ChunkFilter | None = None

    @property
    def closed(self) -> bool:
        """Whether the policy blocked a text; messages go on for their tool calls and usage."""
        return self._text is not None and self._text.closed

    def take(self, said: Said) -> Steps[list[Said]]:
        """Return what may be shown now."""
        if isinstance(said, AIMessageChunk):
            if self._chunks is None:
                self._chunks = ChunkFilter(self._settings)
            return [*(yield from self._chunks.take(said))]
        if isinstance(said, AIMessage):
            return [(yield from guarded(said, self._settings))]
        if not isinstance(said, str):
            raise _unfit(said)
        if self._text is None:
            self._text = self._settings.guard.open_stream()
        shown = yield from feed(self._text, said)
        return [shown] if shown else []

    def end(self, *, complete: bool) -> Steps[list[Said]]:
        """Return the rest."""
        if self._chunks is not None:
            return [*(yield from self._chunks.end(complete=complete))]
        if self._text is None:
            return []
        shown = yield from finish(self._text)
        self._settings.report(self._text.result)
        return [shown] if shown else []


def as_runnable(guard: Streaming, *, audit: Audit | None = None) -> GuardRunnable:
    """Return the guard as a runnable; ``guard.as_runnable()`` is the same."""
    return GuardRunnable(guard, audit=audit)


def _unfit(said: object) -> TypeError:
    return TypeError(
        f"a guard in a chain judges a str or an AIMessage, not {type(said).__name__}; put it right behind the model or"
        " behind StrOutputParser"
    )
