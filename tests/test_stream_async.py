"""Test the async doors on asyncio and trio: the same text, a free loop, and a cancellation that stops everything."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.to_thread
import pytest

from guardrail._runtime import Deadline
from guardrail.detect.base import PieceScores
from guardrail.errors import GuardrailBlocked, ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action
from tests.fakes import WordDetector
from tests.guards import WAIT, failing, guard, pause, same
from tests.streams import fed, later

TEXT = "One calm day. The idiot spoke. A second calm day. And so on."
pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Source:
    """An async source that can be closed and can hang."""

    def __init__(self, *chunks: object, error: BaseException | None = None, hangs: bool = False) -> None:
        self._chunks, self._error, self._hangs = list(chunks), error, hangs
        self.pulled, self.closed, self.hanging = 0, 0, False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self.pulled < len(self._chunks):
            self.pulled += 1
            return self._chunks[self.pulled - 1]
        if self._hangs:
            self.hanging = True
            await anyio.sleep_forever()
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await anyio.sleep(0)
        self.closed += 1


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_it_gives_what_the_engine_gives(size: int) -> None:
    stream = guard().astream(later(TEXT[at : at + size] for at in range(0, len(TEXT), size)))
    assert stream.result is None
    pieces = [piece async for piece in stream]
    released, result = fed(guard(), [TEXT])
    assert ("".join(pieces), all(pieces)) == (released, True)
    assert stream.result is not None
    assert same(stream.result) == same(result)


async def test_an_engine_is_fed_and_finished_by_hand() -> None:
    engine = guard().open_stream()
    assert await engine.afeed("One calm day. The idi") == "One calm day. "
    assert await engine.afeed("ot spoke") == ""
    assert await engine.afinish() == "The plain spoke"
    assert engine.result is not None
    assert engine.result.action is Action.REWRITE
    with pytest.raises(TypeError, match="text must be a str, not NoneType"):
        await engine.afeed(None)  # type: ignore[arg-type]


async def test_the_models_run_beside_the_event_loop() -> None:
    loop_thread, seen = threading.get_ident(), []
    detector = WordDetector(before=lambda: seen.append(threading.get_ident()))
    assert [piece async for piece in guard(detector=detector).astream(later(TEXT))]
    assert len(seen) >= 4
    assert loop_thread not in seen


async def test_the_loop_is_free_while_a_model_runs() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        assert go_on.wait(WAIT)

    got: list[str] = []

    async def read() -> None:
        got.extend([piece async for piece in guard(detector=WordDetector(before=wait)).astream(later([TEXT]))])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        with anyio.fail_after(WAIT):
            while not inside.is_set():
                await anyio.sleep(0.001)
        assert got == []
        go_on.set()
    assert "".join(got) == TEXT.replace("idiot", "plain")


async def test_a_chunk_without_a_decision_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("a thread was used")

    engine = guard().open_stream()
    monkeypatch.setattr(anyio.to_thread, "run_sync", never)
    for chunk in ("One ", "calm ", "day", ".", " And"):
        assert await engine.afeed(chunk) == ""


async def test_block_ends_the_stream_and_closes_the_source() -> None:
    source = Source(*TEXT)
    stream = guard(Policy(action=Action.BLOCK)).astream(source)
    assert [await anext(stream), await anext(stream)] == ["One calm day. ", Policy().block_message]
    assert source.closed == 1
    assert source.pulled == TEXT.index("second")
    assert [piece async for piece in stream] == []
    assert stream.result is not None
    assert stream.result.action is Action.BLOCK


async def test_raise_comes_after_what_was_judged() -> None:
    source, got = Source(TEXT, "More. And more. "), []
    stream = guard(Policy(action=Action.RAISE)).astream(source)
    with pytest.raises(GuardrailBlocked):
        async for piece in stream:
            got.append(piece)
    assert (got, source.pulled, source.closed >= 1) == (["One calm day. "], 1, True)
    assert await anext(stream, None) is None


async def test_an_error_of_the_source_comes_after_what_it_gave_was_judged() -> None:
    source, got = Source("One calm day. The idiot spo", error=ConnectionError("lost")), []
    stream = guard().astream(source)
    with pytest.raises(ConnectionError, match="lost"):
        async for piece in stream:
            got.append(piece)
    assert (got, source.closed >= 1) == (["One calm day. ", "The plain spo"], True)
    assert stream.result is not None
    assert stream.result.text == "One calm day. The plain spo"


@pytest.mark.parametrize("chunk", [None, b"bytes"])
async def test_a_chunk_that_is_no_text_is_an_error(chunk: object) -> None:
    source = Source("One calm day. The rest", chunk)
    stream = guard().astream(source)
    assert await anext(stream) == "One calm day. "
    with pytest.raises(TypeError, match="text must be a str"):
        await anext(stream)
    assert (source.closed >= 1, await anext(stream, None)) == (True, None)


async def test_a_failure_that_the_policy_raises_closes_the_source() -> None:
    source = Source(TEXT)
    stream = guard(Policy(on_error="raise"), detector=failing(ModelRuntimeError("x"))).astream(source)
    with pytest.raises(ModelRuntimeError):
        await anext(stream)
    assert source.closed >= 1


async def test_closing_releases_nothing_more_and_closes_the_source() -> None:
    source = Source(*TEXT)
    async with guard().astream(source) as stream:
        assert await anext(stream) == "One calm day. "
    assert source.closed >= 1
    assert (await anext(stream, None), stream.result, source.pulled < len(TEXT)) == (None, None, True)


async def test_an_async_generator_is_closed_with_the_stream() -> None:
    closed = []

    async def write() -> AsyncIterator[str]:
        try:
            for char in TEXT:
                yield char
        finally:
            closed.append(True)

    stream = guard().astream(write())
    await anext(stream)
    await stream.aclose()
    assert closed == [True]


async def test_cancelling_while_the_source_hangs_closes_it() -> None:
    source = Source("One calm day. The idiot spo", hangs=True)
    stream = guard().astream(source)
    got: list[str] = []

    async def read() -> None:
        async for piece in stream:
            got.append(piece)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        with anyio.fail_after(WAIT):
            while not source.hanging:
                await anyio.sleep(0.001)
        tasks.cancel_scope.cancel()
    assert (got, source.closed, stream.result) == (["One calm day. "], 1, None)
    assert await anext(stream, None) is None


class Patient(WordDetector):
    def __init__(self) -> None:
        super().__init__()
        self.inside, self.stopped = threading.Event(), threading.Event()

    def score(self, pieces: Sequence[str], deadline: Deadline) -> list[PieceScores]:
        self.inside.set()
        while not deadline.expired:
            pause(0.001)
        self.stopped.set()
        return super().score(pieces, deadline)


async def test_cancelling_stops_the_model_and_closes_the_source() -> None:
    detector, source, got = Patient(), Source(TEXT), []
    stream = guard(Policy(on_timeout="allow"), detector=detector).astream(source)

    async def read() -> None:
        got.extend([piece async for piece in stream])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        assert await anyio.to_thread.run_sync(detector.inside.wait, WAIT)
        tasks.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(detector.stopped.wait, WAIT)
    assert (got, source.closed, stream.result) == ([], 1, None)
    assert await anext(stream, None) is None


async def test_cancelling_a_feed_closes_the_engine() -> None:
    detector = Patient()
    engine = guard(Policy(on_timeout="allow"), detector=detector).open_stream()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.afeed, TEXT)
        assert await anyio.to_thread.run_sync(detector.inside.wait, WAIT)
        tasks.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(detector.stopped.wait, WAIT)
    assert engine.closed
    assert (await engine.afeed("More. And "), await engine.afinish(), engine.result) == ("", "", None)


async def test_many_streams_at_once_do_not_mix() -> None:
    door, got = guard(Policy(max_queued=64)), {}

    async def read(number: int) -> None:
        text = f"Day {number} was calm. The idiot number {number} spoke. So it was, {number} times."
        got[number] = "".join([piece async for piece in door.astream(later(text))])

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(read, number)
    assert got == {
        number: f"Day {number} was calm. The plain number {number} spoke. So it was, {number} times."
        for number in range(12)
    }
