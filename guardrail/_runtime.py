"""Bound what a call may cost: a deadline that stops a running model, a limiter for callers, a renewal after a fork."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from guardrail.errors import DeadlineError, OverloadedError

T = TypeVar("T")


class Terminable(Protocol):
    """Anything that a deadline can stop from another thread, such as onnxruntime's ``RunOptions``."""

    terminate: bool


class Deadline:
    """A point in time after which the call has failed; ``None`` seconds never expires unless it is cancelled."""

    __slots__ = ("_at", "_cancelled", "_running", "_seconds")

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds
        self._at = None if seconds is None else time.monotonic() + seconds
        self._cancelled = False
        self._running: Terminable | None = None

    @property
    def expired(self) -> bool:
        """Tell whether the time is up."""
        return self._cancelled or (self._at is not None and time.monotonic() >= self._at)

    def cancel(self) -> None:
        """Let the time be up now, from any thread: nobody waits for the answer any more."""
        self._cancelled = True
        running = self._running
        if running is not None:
            running.terminate = True

    def check(self) -> None:
        """Raise ``DeadlineError`` once the time is up."""
        if self._cancelled:
            raise DeadlineError("the call was cancelled")
        if self._at is not None and self.expired:
            raise DeadlineError(
                f"the time budget of {self._seconds:g} s ran out; raise policy.timeout_ms or send less text"
            )

    @contextmanager
    def stopping(self, options: Terminable) -> Iterator[None]:
        """Set ``options.terminate`` when the time is up while the block runs, then report it as ``DeadlineError``."""
        self._running = options
        timer = None
        try:
            self.check()
            if self._at is not None:
                timer = threading.Timer(self._at - time.monotonic(), setattr, (options, "terminate", True))
                timer.daemon = True
                timer.start()
            yield
        except Exception:
            self.check()
            raise
        finally:
            self._running = None
            if timer is not None:
                timer.cancel()


class Limiter:
    """Admit ``max_running`` calls at a time and let ``max_queued`` more wait; refuse the rest at once."""

    def __init__(self, max_running: int, max_queued: int) -> None:
        self._limits = (max_running, max_queued)
        self._renew()
        _LIVE.add(self)

    def _renew(self) -> None:
        running, queued = self._limits
        self._places = threading.BoundedSemaphore(running + queued)
        self._running = threading.BoundedSemaphore(running)

    @contextmanager
    def admit(self, deadline: Deadline) -> Iterator[None]:
        """Hold a place for the block; raises ``OverloadedError`` when full, ``DeadlineError`` after too long a wait."""
        places, running = self._places, self._running
        if not places.acquire(blocking=False):
            most, waiting = self._limits
            raise OverloadedError(
                f"{most} calls run and {waiting} wait already; raise max_running or max_queued, or retry later"
            )
        try:
            while not running.acquire(timeout=0.05):
                deadline.check()
            try:
                yield
            finally:
                running.release()
        finally:
            places.release()


class PerProcess(Generic[T]):
    """Build a value once per process, under a lock: an onnxruntime session must not cross a fork."""

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._value: T | None = None
        self._renew()
        _LIVE.add(self)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        if self._value is not None:
            # Destroying a session that was made in another process can crash this one.
            _INHERITED.append(self._value)
            self._value = None

    def get(self) -> T:
        """Return this process's value, building it on first use."""
        if self._value is None:
            with self._lock:
                if self._value is None:
                    self._value = self._build()
        return self._value


_LIVE: weakref.WeakSet[Limiter | PerProcess[Any]] = weakref.WeakSet()
_INHERITED: list[object] = []


def _after_fork() -> None:
    # A thread that held a lock in the parent does not exist here and will never give it back.
    for part in list(_LIVE):
        part._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
