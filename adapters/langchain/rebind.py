"""Put a guarded model in the place of the one that a runnable was made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import (
    Runnable,
    RunnableAssign,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.runnables.base import RunnableBindingBase

Guarding = Callable[[BaseChatModel], BaseChatModel]


def rebound(runnable: Runnable[Any, Any], guard: Guarding) -> Runnable[Any, Any]:
    """Return the runnable with every chat model in it guarded.

    Raises:
        NotImplementedError: no model was found in it; returned as it is, it would answer unguarded.
    """
    found: list[BaseChatModel] = []

    def noted(model: BaseChatModel) -> BaseChatModel:
        found.append(model)
        return guard(model)

    safe: Runnable[Any, Any] = _rebound(runnable, noted)
    if not found:
        raise NotImplementedError(
            f"the model made a {type(runnable).__name__} that hides it, so it cannot be guarded; pipe the guarded model"
            " into a parser of your own"
        )
    return safe


def _rebound(runnable: Runnable[Any, Any], guard: Guarding) -> Any:
    if isinstance(runnable, BaseChatModel):
        return guard(runnable)
    if isinstance(runnable, RunnableBindingBase):
        return runnable.model_copy(update={"bound": _rebound(runnable.bound, guard)})
    if isinstance(runnable, RunnableSequence):
        return RunnableSequence(*(_rebound(step, guard) for step in runnable.steps), name=runnable.name)
    if isinstance(runnable, RunnableParallel):
        return RunnableParallel({key: _rebound(step, guard) for key, step in runnable.steps__.items()})
    if isinstance(runnable, RunnableAssign):
        return RunnableAssign(_rebound(runnable.mapper, guard))
    if isinstance(runnable, RunnableWithFallbacks):
        others = [_rebound(other, guard) for other in runnable.fallbacks]
        return runnable.model_copy(update={"runnable": _rebound(runnable.runnable, guard), "fallbacks": others})
    return runnable
