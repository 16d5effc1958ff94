"""The audit: it hears every reply once, changes nothing and keeps no text."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage

from guardrail.adapters.langchain import GuardCallbackHandler, GuardedChatModel
from guardrail.errors import GuardrailBlocked
from guardrail.policy import Policy
from guardrail.result import Action, Result
from tests.adapters.langchain.fakes import TEXT, FakeChat, leaks, plain
from tests.adapters.langchain.surfaces import ASK
from tests.guards import guard

RAW = FakeChat(replies=[AIMessage(TEXT)])


def handler(policy: Policy | None = None, **options: Any) -> tuple[GuardCallbackHandler, list[Result]]:
    told: list[Result] = []

    def audit(result: Result, run_id: UUID) -> None:
        assert isinstance(run_id, UUID)
        told.append(result)

    return GuardCallbackHandler(guard(policy, plain), audit=audit, **options), told


@pytest.mark.anyio
async def test_every_reply_is_reported_once_and_left_as_it_is() -> None:
    heard, told = handler()
    config: Any = {"callbacks": [heard]}
    assert RAW.invoke(ASK, config).text == TEXT
    assert "".join(str(chunk.text) for chunk in RAW.stream(ASK, config)) == TEXT
    assert (await RAW.ainvoke(ASK, config)).text == TEXT
    assert FakeListLLM(responses=[TEXT]).invoke(ASK, config) == TEXT
    assert [result.action for result in told] == [Action.REWRITE] * 4


def test_a_reply_that_was_judged_is_passed_over() -> None:
    heard, told = handler()
    model = GuardedChatModel(inner=RAW, guard=guard(answer=plain))
    model.invoke(ASK, {"callbacks": [heard]})
    list(model.stream(ASK, {"callbacks": [heard]}))
    assert told == []


def test_raise_stops_the_run_only_if_asked_to() -> None:
    policy = Policy(action=Action.RAISE)
    heard, told = handler(policy)
    assert RAW.invoke(ASK, {"callbacks": [heard]}).text == TEXT
    strict, told_strict = handler(policy, raise_error=True)
    with pytest.raises(GuardrailBlocked):
        RAW.invoke(ASK, {"callbacks": [strict]})
    assert [result.action for result in told + told_strict] == [Action.RAISE] * 2


def test_without_a_hook_the_log_says_what_was_found_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    config: Any = {"callbacks": [GuardCallbackHandler(guard(answer=plain))]}
    RAW.invoke(ASK, config)
    FakeChat(replies=[AIMessage("Fine.")]).invoke(ASK, config)
    (record,) = caplog.records
    assert "rewrite: toxicity" in record.getMessage()
    assert not leaks(record.getMessage())
    assert "spoke" not in record.getMessage()
