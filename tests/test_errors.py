"""Test the error tree: what catches what, and that a blocked text's error carries its result and no text."""

from __future__ import annotations

import pickle  # noqa: TID251  (an error must survive the trip from a worker process)

import pytest

from guardrail import errors
from guardrail.errors import ConfigError, DeadlineError, GuardrailBlocked, GuardrailError, ModelError
from guardrail.result import Action, Finding, Label, Result

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_a_guardrail_error(kind: type[Exception]) -> None:
    assert issubclass(kind, GuardrailError)


@pytest.mark.parametrize("name", ["ModelNotFoundError", "ModelIntegrityError", "ModelRuntimeError"])
def test_every_model_error_is_caught_as_one(name: str) -> None:
    assert issubclass(getattr(errors, name), ModelError)


def test_the_standard_library_s_names_catch_ours() -> None:
    assert issubclass(ConfigError, ValueError)
    assert issubclass(DeadlineError, TimeoutError)


def test_a_blocked_text_s_error_names_labels_and_survives_pickling() -> None:
    findings = (Finding(Label.HATE, 0.9, start=0, end=4), Finding(Label.HARM, 0.9, start=2, end=4))
    error = GuardrailBlocked(Result(Action.RAISE, "withheld", findings=findings, reason="raise: hate"))
    assert str(error) == "text blocked by the policy (reason: raise: hate; labels: harm, hate)"
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(copy), copy.result) == (str(error), error.result)
    assert "labels: none" in str(GuardrailBlocked(Result(Action.RAISE, "withheld")))
