"""Guard a function: the text that it returns, at once, awaited or piece by piece, is judged before it gets out."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING

from guardrail.mend import Context

if TYPE_CHECKING:
    from guardrail.doors import Streaming

Prompt = str | Callable[..., str] | None


def wrapped(guard: Streaming, function: Callable[..., object], prompt: Prompt) -> Callable[..., object]:
    """Return ``function`` with what it returns judged by ``guard``; see ``Streaming.wrap``."""
    if not callable(function):
        raise TypeError(f"guard.wrap decorates a function, not {type(function).__name__}; use guard.check for a text")

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def later(*args: object, **kwargs: object) -> object:
            asked = _asked(prompt, args, kwargs)
            return await _awaited(guard, function(*args, **kwargs), asked)

        return later

    @wraps(function)
    def now(*args: object, **kwargs: object) -> object:
        asked = _asked(prompt, args, kwargs)
        return _guarded(guard, function(*args, **kwargs), asked)

    return now


def _asked(prompt: Prompt, args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    asked = prompt(*args, **kwargs) if callable(prompt) else prompt or ""
    if not isinstance(asked, str):
        raise TypeError(f"prompt must be a str or a function that returns one, not {type(asked).__name__}")
    return asked


def _guarded(guard: Streaming, value: object, asked: str) -> object:
    if isinstance(value, str):
        return guard._check(value, guard._deadline(), Context(prompt=asked)).text
    if inspect.isawaitable(value):
        return _awaited(guard, value, asked)
    if isinstance(value, AsyncIterable):
        return guard.astream(value, prompt=asked)
    if isinstance(value, Iterator):
        return guard.stream(value, prompt=asked)
    raise TypeError(
        f"a function under guard.wrap returned {type(value).__name__}; return a str or an (async) iterator of str, or"
        " call guard.check on the texts in it"
    )


async def _awaited(guard: Streaming, value: Awaitable[object], asked: str) -> object:
    found = await value
    if isinstance(found, str):
        return (await guard._acheck(found, Context(prompt=asked))).text
    return _guarded(guard, found, asked)
