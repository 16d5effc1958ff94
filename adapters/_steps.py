"""Write the work on a message once and run it on a thread or an event loop: a generator asks, a driver answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from guardrail.doors import Streaming
from guardrail.result import Result
from guardrail.stream import StreamGuard

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to the guard, in both ways of asking it."""

    now: Callable[[], Any]
    later: Callable[[], Awaitable[Any]]


Steps = Generator[Ask, Any, T]


def run_now(steps: Steps[T]) -> T:
    """Run the steps on this thread and return what they come to."""
    answer: object = None
    while True:
        try:
            ask = steps.send(answer)
        except StopIteration as stop:
            value: T = stop.value
            return value
        answer = ask.now()


async def run_later(steps: Steps[T]) -> T:
    """Run the steps with the guard on its own worker threads, so that the event loop stays free."""
    answer: object = None
    while True:
        try:
            ask = steps.send(answer)
        except StopIteration as stop:
            value: T = stop.value
            return value
        answer = await ask.later()


def check(guard: Streaming, text: str) -> Steps[Result]:
    """Ask for ``guard.check(text)``."""
    result: Result = yield Ask(lambda: guard.check(text), lambda: guard.acheck(text))
    return result


def feed(stream: StreamGuard, text: str) -> Steps[str]:
    """Ask for ``stream.feed(text)``."""
    released: str = yield Ask(lambda: stream.feed(text), lambda: stream.afeed(text))
    return released


def finish(stream: StreamGuard) -> Steps[str]:
    """Ask for ``stream.finish()``."""
    released: str = yield Ask(stream.finish, stream.afinish)
    return released
