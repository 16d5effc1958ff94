"""Find biased text in LLM output and rewrite it, offline."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.errors import (
        ConfigError,
        DeadlineError,
        GuardrailBlocked,
        GuardrailError,
        ModelError,
        ModelIntegrityError,
        OverloadedError,
    )
    from guardrail.load import Guard
    from guardrail.policy import Policy
    from guardrail.result import Action, Detection, Finding, Label, Result, Rewrite

__version__ = "0.1.0"

__all__ = [
    "Action",
    "ConfigError",
    "DeadlineError",
    "Detection",
    "Finding",
    "Guard",
    "GuardrailBlocked",
    "GuardrailError",
    "Label",
    "ModelError",
    "ModelIntegrityError",
    "OverloadedError",
    "Policy",
    "Result",
    "Rewrite",
]

_VALUES = ("Action", "Detection", "Finding", "Label", "Result", "Rewrite")
_HOMES = {
    **dict.fromkeys(__all__, "guardrail.errors"),
    **dict.fromkeys(_VALUES, "guardrail.result"),
    "Guard": "guardrail.load",
    "Policy": "guardrail.policy",
}


# A program that imports guardrail and judges nothing yet must not pay for numpy and onnxruntime (PEP 562).
def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
