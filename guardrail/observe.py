"""Tell observers of each decision; whatever they do wrong changes no verdict and names no text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from guardrail.errors import GuardrailError
from guardrail.result import Action, Result

Observer = Callable[[Result, str], None]
"""Is called with each result and the text it is about, on the thread that judged; keep it short."""

log = logging.getLogger("guardrail")


class Observers:
    """Those who want to know of a guard's decisions, in the order of telling."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        for observer in self._observers:
            if not callable(observer):
                raise TypeError(f"an observer must be callable with a result and a text, not {type(observer).__name__}")

    def __bool__(self) -> bool:
        return bool(self._observers)

    def tell(self, result: Result, text: str) -> None:
        """Tell each of a decision on ``text``; the log says which one failed."""
        for observer in self._observers:
            try:
                observer(result, text)
            except Exception as error:  # what it says may quote the text
                name = getattr(observer, "__name__", type(observer).__name__)
                log.error("observer %s failed (%s); the decision stands", name, type(error).__name__)


def raised(error: GuardrailError, model: str, latency_ms: float) -> Result:
    """Return what stands for a result where the guard failed and the policy raised: nothing was released."""
    said = f"{type(error).__name__}: {error}"
    return Result(Action.RAISE, "", coverage=0.0, reason="not judged", error=said, model=model, latency_ms=latency_ms)
