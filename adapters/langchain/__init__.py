"""Guard LangChain: chat models, agents, runnables and streams show judged text only.

``GuardedChatModel`` wraps a chat model and ``GuardMiddleware`` swaps it into an agent: clean on every surface. Where no
model can be swapped, ``as_runnable`` guards what leaves a chain, ``GuardStreamTransformer`` an agent's
``stream_events(version="v3")``, and ``GuardCallbackHandler`` only watches.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.adapters.langchain.callback import GuardCallbackHandler
    from guardrail.adapters.langchain.middleware import GuardMiddleware
    from guardrail.adapters.langchain.model import GuardedChatModel
    from guardrail.adapters.langchain.runnable import GuardRunnable, as_runnable
    from guardrail.adapters.langchain.transformer import GuardStreamTransformer

__all__ = [
    "GuardCallbackHandler",
    "GuardMiddleware",
    "GuardRunnable",
    "GuardStreamTransformer",
    "GuardedChatModel",
    "as_runnable",
]

_HOMES = {
    "GuardCallbackHandler": ("callback", "langchain"),
    "GuardMiddleware": ("middleware", "langchain-agents"),
    "GuardRunnable": ("runnable", "langchain"),
    "GuardStreamTransformer": ("transformer", "langchain-agents"),
    "GuardedChatModel": ("model", "langchain"),
    "as_runnable": ("runnable", "langchain"),
}


# A chain needs langchain-core only; the agent's parts need langchain and langgraph as well (PEP 562).
def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, extra = _HOMES[name]
    try:
        module = importlib.import_module(f"{__name__}.{home}")
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "guardrail"):
            raise
        raise ImportError(f'{name} needs {package}: pip install "guardrail-sdk[{extra}]"', name=package) from error
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
