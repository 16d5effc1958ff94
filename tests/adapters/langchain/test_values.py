"""Structured output: every string in the data is judged, its shape stays, and no surface shows the raw data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool
from pydantic import BaseModel

from guardrail.adapters.langchain import GuardedChatModel, GuardMiddleware
from guardrail.policy import Policy
from guardrail.result import Action, Result
from tests.adapters.langchain.fakes import MARKER, FakeChat, Recorder, leaks, plain
from tests.adapters.langchain.surfaces import ASK, START
from tests.guards import guard

BAD, GOOD = f"The {MARKER} spoke first.", "The plain spoke first."


class Report(BaseModel):
    """A report."""

    title: str
    lines: list[str]
    count: int = 0


RAW: dict[str, Any] = {"title": BAD, "lines": ["All is well.", BAD], "count": 2}
SAFE: dict[str, Any] = {"title": GOOD, "lines": ["All is well.", GOOD], "count": 2}
CALLS = AIMessage("", tool_calls=[{"name": "Report", "args": RAW, "id": "call_1"}])


class JsonChat(FakeChat):
    """A model that answers with JSON in its text, and with the parsed object beside it."""

    parsed: bool = False

    def reply(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        reply = super().reply(messages, **kwargs)
        aside = {"parsed": Report(**RAW)} if self.parsed else {}
        return reply.model_copy(update={"additional_kwargs": aside})

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Any:
        asked = self.bind(response_format={"type": "json_schema"})
        if self.parsed:
            return asked | RunnableLambda(lambda message: message.additional_kwargs["parsed"])
        return asked | JsonOutputParser()


class Elaborate(JsonChat):
    """A model that makes its chain of every sort of part."""

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Any:
        asked = self.bind(response_format={"type": "json_schema"}).with_retry()
        chain = (asked | JsonOutputParser()).with_fallbacks([self | JsonOutputParser()])
        return {"question": RunnablePassthrough(), "raw": self} | RunnablePassthrough.assign(
            parsed=RunnableLambda(lambda seen: seen["question"]) | chain
        )


def structured(model: FakeChat, schema: Any = Report, policy: Policy | None = None, **options: Any) -> Any:
    return GuardedChatModel(inner=model, guard=guard(policy, plain)).with_structured_output(schema, **options)


@pytest.mark.parametrize(("schema", "wanted"), [(Report, Report(**SAFE)), (Report.model_json_schema(), SAFE)])
@pytest.mark.parametrize("size", [1, 1000])
def test_the_strings_of_a_tool_call_are_judged(schema: Any, wanted: object, size: int) -> None:
    chain = structured(FakeChat(replies=[CALLS], size=size), schema)
    assert chain.invoke(ASK) == wanted
    assert list(chain.stream(ASK))[-1] == wanted
    assert chain.batch([ASK])[0] == wanted


@pytest.mark.anyio
async def test_no_surface_shows_the_raw_data() -> None:
    for model in (
        FakeChat(replies=[CALLS], size=1),
        JsonChat(replies=[AIMessage(json.dumps(RAW, ensure_ascii=False))]),
    ):
        chain = structured(model)
        recorder = Recorder()
        assert not leaks(await chain.ainvoke(ASK, {"callbacks": [recorder]}))
        assert not leaks([chunk async for chunk in chain.astream(ASK, {"callbacks": [recorder]})])
        assert not leaks([event async for event in chain.astream_events(ASK, version="v2")])
        assert not leaks(recorder.heard)
        assert "plain" in "".join(recorder.heard)


def test_the_raw_message_beside_the_data_is_judged() -> None:
    content: list[str | dict[Any, Any]] = [
        {"type": "text", "text": BAD},
        {"type": "tool_use", "id": "call_1", "name": "Report", "input": RAW, "partial_json": json.dumps(RAW)},
        {"type": "function_call", "call_id": "call_1", "name": "Report", "arguments": json.dumps(RAW)},
        {"type": "tool_call", "id": "call_1", "name": "Report", "args": RAW},
        "and no more",
    ]
    kwargs = {"tool_calls": [{"id": "call_1", "function": {"arguments": json.dumps(RAW)}}], "other": 1}
    reply = AIMessage(content, tool_calls=CALLS.tool_calls, additional_kwargs=kwargs)
    out = structured(FakeChat(replies=[reply]), include_raw=True).invoke(ASK)
    assert out["parsed"] == Report(**SAFE)
    raw = out["raw"]
    assert raw.content[0] == {"type": "text", "text": GOOD}
    assert raw.content[1] == {"type": "tool_use", "id": "call_1", "name": "Report", "input": SAFE}
    assert json.loads(raw.content[2]["arguments"]) == SAFE
    assert raw.content[3]["args"] == SAFE
    assert raw.content[4] == "and no more"
    assert raw.additional_kwargs == {"other": 1}
    assert not leaks(out)
    assert raw.response_metadata["guardrail"]["action"] == "rewrite"
    assert {b["kind"] for b in raw.response_metadata["guardrail"]["beside"]} == {"value"}


def test_arguments_that_cannot_be_read_are_judged_as_text() -> None:
    broken = [{"name": "Report", "args": BAD, "id": "call_1", "error": None, "type": "invalid_tool_call"}]
    content: list[str | dict[Any, Any]] = [{"type": "tool_use", "id": "call_1", "name": "Report", "input": BAD}]
    reply = AIMessage(content, invalid_tool_calls=broken)
    out = structured(FakeChat(replies=[reply]), include_raw=True).invoke(ASK)
    assert out["raw"].invalid_tool_calls[0]["args"] == GOOD
    assert not leaks(out)


@pytest.mark.parametrize("wrap", ["{}", "```json\n{}\n```"])
def test_json_in_the_text_stays_json(wrap: str) -> None:
    model = JsonChat(replies=[AIMessage(wrap.replace("{}", json.dumps(RAW, ensure_ascii=False)))])
    assert structured(model).invoke(ASK) == SAFE
    assert list(structured(model).stream(ASK))[-1] == SAFE


def test_clean_json_is_the_same_byte_for_byte() -> None:
    clean = '{"title": "Fine.",  "n": 1.50, "none": null}'
    model = GuardedChatModel(inner=JsonChat(replies=[AIMessage(clean)]), guard=guard(), data=True)
    assert model.invoke(ASK).content == clean
    assert model.invoke(ASK).response_metadata["guardrail"]["action"] == "allow"


@pytest.mark.parametrize(
    "said",
    [
        f'{{"a": "{BAD}", "a": "Fine."}}',
        f'{{"a": "Fine."}} {BAD}',
        f'{BAD} ```json\n{{"a": "Fine."}}\n```',
        f'{{"a": "Fine.", "b": "{BAD}',
        f'"{BAD}"',
        BAD,
    ],
)
def test_text_that_is_not_quite_json_is_judged_as_it_stands(said: str) -> None:
    model = GuardedChatModel(inner=JsonChat(replies=[AIMessage(said)]), guard=guard(answer=plain), data=True)
    assert not leaks(model.invoke(ASK), list(model.stream(ASK)))


def test_names_that_hold_white_space_are_text_and_others_are_names() -> None:
    said = json.dumps({"chairman": {f"the {MARKER}": 1}, "n": [None, True, 1.5]}, ensure_ascii=False)
    model = GuardedChatModel(inner=JsonChat(replies=[AIMessage(said)]), guard=guard(answer=plain), data=True)
    assert json.loads(str(model.invoke(ASK).text)) == {"chairman": {"the plain": 1}, "n": [None, True, 1.5]}


def test_an_object_that_the_provider_parsed_is_judged() -> None:
    model = JsonChat(replies=[AIMessage(json.dumps(RAW, ensure_ascii=False))], parsed=True)
    assert structured(model).invoke(ASK) == Report(**SAFE)
    plainly = GuardedChatModel(inner=model, guard=guard(answer=plain))
    assert "parsed" not in plainly.invoke(ASK).additional_kwargs


def test_blocked_values_are_withheld_one_by_one() -> None:
    policy = Policy(action=Action.BLOCK)
    out = structured(FakeChat(replies=[CALLS]), policy=policy, include_raw=True).invoke(ASK)
    message = policy.block_message
    assert out["parsed"] == Report(title=message, lines=["All is well.", message], count=2)
    assert out["raw"].response_metadata["guardrail"]["action"] == "block"
    said = JsonChat(replies=[AIMessage(json.dumps(RAW, ensure_ascii=False))])
    assert structured(said, policy=policy).invoke(ASK)["title"] == message


def test_every_model_in_a_chain_is_guarded() -> None:
    out = structured(Elaborate(replies=[AIMessage(json.dumps(RAW, ensure_ascii=False))])).invoke(ASK)
    assert out["parsed"] == json.loads(out["raw"].text) == SAFE
    assert not leaks(out)


def test_a_model_that_hides_in_its_chain_is_refused() -> None:
    class Hides(FakeChat):
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            return RunnableLambda(lambda _: RAW)

    with pytest.raises(NotImplementedError, match="cannot be guarded"):
        structured(Hides(replies=[]))


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Sunny in {city}."


ACTS = AIMessage(BAD, tool_calls=[{"name": "weather", "args": {"city": BAD}, "id": "call_0"}])


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy, lambda schema: schema])
@pytest.mark.parametrize("schema", [Report, {k: v for k, v in Report.model_json_schema().items() if k != "title"}])
def test_an_agent_s_data_is_judged_and_its_actions_are_not(strategy: Callable[[Any], Any], schema: Any) -> None:
    last = AIMessage(json.dumps(RAW, ensure_ascii=False)) if strategy is ProviderStrategy else None
    told: list[Result] = []
    raw = Caller(replies=[ACTS, *([last] if last else [])], size=3)
    middleware = GuardMiddleware(guard(answer=plain), audit=told.append)
    agent = create_agent(raw, tools=[weather], middleware=[middleware], response_format=strategy(schema))
    state = agent.invoke(START)
    data = state["structured_response"]
    assert (data.model_dump() if isinstance(data, BaseModel) else data) == SAFE
    acted = [message for message in state["messages"] if isinstance(message, AIMessage)][0]
    assert (acted.text, acted.tool_calls[0]["args"]) == (GOOD, {"city": BAD})
    assert state["messages"][2].content == f"Sunny in {BAD}."
    assert not leaks([part for part in state["messages"] if part.type == "ai" and not part.tool_calls])
    assert told


class Caller(FakeChat):
    """Act first, then call the tool that stands for the response format, whatever its name is."""

    def reply(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        said = sum(isinstance(message, AIMessage) for message in messages)
        if said < len(self.replies):
            return self.replies[said]
        name = next(t["function"]["name"] for t in kwargs["tools"] if t["function"]["name"] != "weather")
        return AIMessage("", tool_calls=[{"name": name, "args": RAW, "id": "call_1"}])
