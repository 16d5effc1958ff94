"""Bound what a call may cost: a deadline that stops a running model, a limiter for callers, a check for forked processes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from guardrail.errors import DeadlineError, OverloadedError

T = TypeVar("T")


class Terminable(Protocol):
    """Anything that a deadline can stop from another thread, such as onnxruntime's ``RunOptions``."""

    terminate: bool


class Deadline:
    """A point in time after which the call has failed; ``None`` seconds never expires."""

    __slots__ = ("_at", "_seconds")

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds
        self._at = None if seconds is None else time.monotonic() + seconds

    @property
    def expired(self) -> bool:
        """Tell whether the time is up."""
        return self._at is not None and time.monotonic() >= self._at

    def check(self) -> None:
        """Raise ``DeadlineError`` once the time is up."""
        if self.expired:
            raise DeadlineError(f"the time budget of {self._seconds:g} s ran out; raise policy.timeout_ms or send less text")

    @contextmanager
    def stopping(self, options: Terminable) -> Iterator[None]:
        """Set ``options.terminate`` when the time is up while the block runs, then report it as ``DeadlineError``."""
        self.check()
        if self._at is None:
            yield
            return
        timer = threading.Timer(self._at - time.monotonic(), setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            self.check()
            raise
        finally:
            timer.cancel()


class Limiter:
    """Admit ``max_running`` calls at a time and let ``max_queued`` more wait; refuse the rest at once."""

    def __init__(self, max_running: int, max_queued: int) -> None:
        self._places = threading.BoundedSemaphore(max_running + max_queued)
        self._running = threading.BoundedSemaphore(max_running)
        self._limits = (max_running, max_queued)

    @contextmanager
    def admit(self, deadline: Deadline) -> Iterator[None]:
        """Hold one place for the block; raises ``OverloadedError`` when full and ``DeadlineError`` after waiting too long."""
        if not self._places.acquire(blocking=False):
            running, queued = self._limits
            raise OverloadedError(f"{running} calls run and {queued} wait already; raise max_running or max_queued, or retry later")
        try:
            while not self._running.acquire(timeout=0.05):
                deadline.check()
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._places.release()


class PerProcess(Generic[T]):
    """Build a value once per process, under a lock: an onnxruntime session must not cross a fork."""

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._pid = -1
        self._value: T | None = None

    def get(self) -> T:
        """Return this process's value, building it on first use."""
        value = self._value
        if value is not None and self._pid == os.getpid():
            return value
        if self._pid not in (-1, os.getpid()):
            self._lock = threading.Lock()
        with self._lock:
            if self._value is None or self._pid != os.getpid():
                self._value, self._pid = self._build(), os.getpid()
            return self._value
