"""Keep callbacks of the surroundings away from a model that is called inside another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.runnables.config import var_child_runnable_config


@contextmanager
def unheard() -> Iterator[None]:
    """Hide the surrounding run: a model that calls another one inside would hand its raw tokens to every listener.

    The block must not yield to a caller.
    """
    token = var_child_runnable_config.set(None)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
