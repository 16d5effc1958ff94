"""Define every error that guardrail raises.

The tree::

    GuardrailError
    ├── ConfigError            a policy, bundle or TOML value is wrong (also a ValueError)
    ├── ModelError             a model cannot be used
    │   ├── ModelNotFoundError     no such bundle on this machine
    │   ├── ModelIntegrityError    a file differs from its manifest; never overridden
    │   └── ModelRuntimeError      the model ran and failed
    ├── DeadlineError          the call's time budget ran out (also a TimeoutError)
    ├── OverloadedError        too many calls are running and waiting
    └── GuardrailBlocked       the policy's action is RAISE; carries the Result

No message and no attribute of an error holds the caller's text, except the redacted ``Result`` of ``GuardrailBlocked``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.result import Result


class GuardrailError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(GuardrailError, ValueError):
    """A setting is wrong: the message names the setting, its value and the remedy."""


class ModelError(GuardrailError):
    """A model bundle cannot be used."""


class ModelNotFoundError(ModelError):
    """No bundle of that name or path is on this machine."""


class ModelIntegrityError(ModelError):
    """A bundle's file is missing, foreign or differs from its manifest."""


class ModelRuntimeError(ModelError):
    """A loaded model failed while it ran."""


class DeadlineError(GuardrailError, TimeoutError):
    """The time budget of the call ran out."""


class OverloadedError(GuardrailError):
    """More calls are running and waiting than the limiter allows."""


class GuardrailBlocked(GuardrailError):
    """The policy raised instead of returning; ``result`` says why and holds no rejected text."""

    def __init__(self, result: Result) -> None:
        labels = ", ".join(sorted({finding.label for finding in result.findings})) or "none"
        super().__init__(f"text blocked by the policy (reason: {result.reason}; labels: {labels})")
        self.result = result

    def __reduce__(self) -> tuple[type[GuardrailBlocked], tuple[Result]]:
        # Exceptions are rebuilt from their message, which is not what __init__ takes.
        return type(self), (self.result,)
