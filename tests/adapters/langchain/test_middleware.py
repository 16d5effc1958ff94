"""What the middleware does in an agent beside swapping the model: late checks, audit, the company of others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, hook_config
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from guardrail.adapters.langchain import GuardedChatModel, GuardMiddleware
from guardrail.errors import GuardrailBlocked
from guardrail.policy import Policy
from guardrail.result import Action, Result
from tests.adapters.langchain.fakes import SAFE, TEXT, FakeChat, leaks, plain
from tests.adapters.langchain.surfaces import START, agent_invoke, agent_messages
from tests.guards import guard

CLEAN = "All is well."
RAW = FakeChat(replies=[AIMessage(TEXT)])
FINE = FakeChat(replies=[AIMessage(CLEAN)])


def middleware(policy: Policy | None = None, **options: Any) -> GuardMiddleware:
    return GuardMiddleware(guard(policy, plain), **options)


class Swaps(AgentMiddleware[Any, Any, Any]):
    """Call another model than the agent's."""

    def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[..., Any]) -> ModelResponse[Any]:
        response: ModelResponse[Any] = handler(request.override(model=RAW))
        return response

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Callable[..., Any]) -> ModelResponse[Any]:
        response: ModelResponse[Any] = await handler(request.override(model=RAW))
        return response


class Answers(AgentMiddleware[Any, Any, Any]):
    """End the run with words of its own."""

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Any) -> dict[str, Any]:
        return {"messages": [AIMessage(TEXT, id="own")], "jump_to": "end"}


class Edits(AgentMiddleware[Any, Any, Any]):
    """Change a reply that was judged already."""

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any]:
        last = state["messages"][-1]
        return {"messages": [last.model_copy(update={"content": TEXT})]}


def test_a_model_that_another_middleware_chose_is_guarded() -> None:
    for surface in (agent_invoke, agent_messages):
        text, objects = surface(create_agent(FINE, middleware=[Swaps(), middleware()]))
        assert text == SAFE
        assert not leaks(objects)


@pytest.mark.anyio
async def test_a_model_that_was_swapped_in_further_inside_is_judged_late(caplog: pytest.LogCaptureFixture) -> None:
    agent = create_agent(FINE, middleware=[middleware(), Swaps()])
    for state in (agent.invoke(START), await agent.ainvoke(START)):
        assert state["messages"][-1].text == SAFE
        assert not leaks(state)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "put GuardMiddleware last" in caplog.text
    assert not leaks(caplog.text)


@pytest.mark.anyio
@pytest.mark.parametrize("other", [Answers, Edits])
async def test_words_of_other_middleware_are_judged_when_the_agent_ends(other: type[Any]) -> None:
    agent = create_agent(FINE, middleware=[other(), middleware()])
    for state in (agent.invoke(START), await agent.ainvoke(START)):
        assert [message.text for message in state["messages"][1:]] == [SAFE]
        assert state["messages"][-1].response_metadata["guardrail"]["action"] == "rewrite"


def test_the_final_check_leaves_judged_replies_and_earlier_turns_alone() -> None:
    agent: Any = create_agent(FINE, middleware=[middleware()], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    earlier = [HumanMessage("Hi."), AIMessage(TEXT, id="old"), HumanMessage("Hi again.")]
    updates = list(agent.stream({"messages": earlier}, config, stream_mode="updates"))
    assert updates[-1] == {"GuardMiddleware.after_agent": None}
    state = agent.invoke(START, config)
    assert [message.text for message in state["messages"] if message.type == "ai"] == [TEXT, CLEAN, CLEAN]


def test_the_audit_hook_gets_each_result_once() -> None:
    told: list[Result] = []
    create_agent(RAW, middleware=[middleware(audit=told.append)]).invoke(START)
    assert [(result.action, result.text) for result in told] == [(Action.REWRITE, SAFE)]


def test_the_options_reach_the_model() -> None:
    thought = {"type": "reasoning", "reasoning": "Hm."}
    thoughtful = FakeChat(replies=[AIMessage([thought, {"type": "text", "text": TEXT}])])
    policy = Policy(action=Action.BLOCK)
    hook = middleware(policy, reasoning="drop", refusal_block=True)
    state = create_agent(thoughtful, middleware=[hook]).invoke(START)
    assert [block["type"] for block in state["messages"][-1].content] == ["text", "refusal"]


@pytest.mark.anyio
async def test_raise_ends_the_run() -> None:
    agent = create_agent(RAW, middleware=[middleware(Policy(action=Action.RAISE))])
    with pytest.raises(GuardrailBlocked):
        agent.invoke(START)
    with pytest.raises(GuardrailBlocked):
        await agent.ainvoke(START)
    with pytest.raises(GuardrailBlocked):
        list(agent.stream(START, stream_mode="messages"))


def test_a_model_that_is_guarded_already_is_not_guarded_twice() -> None:
    door = guard(answer=plain)
    asked: list[str] = []

    class Counts(FakeChat):
        def reply(self, messages: Any, **kwargs: Any) -> AIMessage:
            asked.append("reply")
            return super().reply(messages, **kwargs)

    told: list[Result] = []
    model = GuardedChatModel(inner=Counts(replies=[AIMessage(TEXT)]), guard=door, audit=told.append)
    state = create_agent(model, middleware=[GuardMiddleware(door)]).invoke(START)
    assert (state["messages"][-1].text, asked, len(told)) == (SAFE, ["reply"], 1)


def test_an_agent_without_any_answer_is_left_as_it_is() -> None:
    hook = middleware()
    runtime: Any = None
    assert hook.after_agent({"messages": []}, runtime) is None
    assert hook.after_agent({"messages": [HumanMessage("Hi.")]}, runtime) is None
