"""The guard of a run's events: nothing that ``stream_events(version="v3")`` shows is unjudged."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START as BEGIN
from langgraph.graph import MessagesState, StateGraph
from langgraph.stream import StreamTransformer
from pydantic import BaseModel

from guardrail.adapters._steps import run_now
from guardrail.adapters.langchain import GuardedChatModel, GuardStreamTransformer
from guardrail.adapters.langchain.events import EventFilter
from guardrail.adapters.langchain.settings import Settings
from guardrail.errors import GuardrailBlocked
from guardrail.policy import Policy
from guardrail.result import Action, Result
from tests.adapters.langchain.fakes import SAFE, TEXT, FakeChat, leaks, plain
from tests.adapters.langchain.surfaces import ASK, START, agent_astream_events_v3, agent_events_v3
from tests.guards import guard

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
BAD, GOOD = "The idiot spoke first.", "The plain spoke first."


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Sunny in {city}."


CALL = AIMessage(TEXT, tool_calls=[{"name": "weather", "args": {"city": "Rome"}, "id": "call_1"}])


def transformer(policy: Policy | None = None, **options: Any) -> Any:
    return partial(GuardStreamTransformer, guard(policy, plain), **options)


def agent(size: int, policy: Policy | None = None, **options: Any) -> Any:
    raw = FakeChat(replies=[CALL, AIMessage(TEXT)], size=size)
    return create_agent(raw, tools=[weather], transformers=[transformer(policy, **options)])


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_no_event_and_no_projection_shows_unjudged_text(size: int) -> None:
    for text, objects in (agent_events_v3(agent(size)), await agent_astream_events_v3(agent(size))):
        assert text == SAFE * 2
        assert not leaks(objects)
        assert "Rome" in repr(objects)


def test_the_verdict_comes_with_the_message() -> None:
    told: list[Result] = []
    run = agent(3, audit=told.append).stream_events(START, version="v3")
    verdicts = [message.output.response_metadata["guardrail"] for message in run.messages]
    assert [(v["action"], v["findings"][0]["start"]) for v in verdicts] == [("rewrite", 28), ("rewrite", 28)]
    assert [result.text for result in told[:1]] == [SAFE]


class Everything(StreamTransformer):
    """Ask for all events that there are."""

    required_stream_modes = ("messages", "values", "updates", "tasks", "debug", "custom", "checkpoints")

    def __init__(self, seen: list[object], scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._seen = seen

    def init(self) -> dict[str, Any]:
        return {}

    def process(self, event: Any) -> bool:
        self._seen.append(repr(event["params"]["data"]))
        return True


def inner_node(state: MessagesState) -> dict[str, Any]:
    return {"messages": [FakeChat(replies=[AIMessage(TEXT)]).invoke(ASK), AIMessage(TEXT)]}


def outer_graph(seen: list[object]) -> Any:
    inner = StateGraph(MessagesState)
    inner.add_node("speak", inner_node)
    inner.add_edge(BEGIN, "speak")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile())
    outer.add_edge(BEGIN, "inner")
    return outer.compile(transformers=[partial(Everything, seen), transformer()])


def test_graphs_inside_and_every_kind_of_event_are_judged() -> None:
    seen: list[object] = []
    graph = outer_graph(seen)
    run = graph.stream_events(START, version="v3")
    assert not leaks(list(run), seen, run.output)
    assert len(seen) > 10
    texts = ["".join(m.text) for handle in graph.stream_events(START, version="v3").subgraphs for m in handle.messages]
    assert SAFE in texts
    assert not leaks(texts)


class State(BaseModel):
    """A state that is a class."""

    messages: list[Any] = []
    note: tuple[str, ...] = ("kept",)


def test_a_state_that_is_a_class_is_judged_in_every_event() -> None:
    graph = StateGraph(State)
    graph.add_node("speak", lambda state: {"messages": [AIMessage(TEXT)]})
    graph.add_edge(BEGIN, "speak")
    begin: Any = {"messages": []}
    run = graph.compile(transformers=[transformer()]).stream_events(begin, version="v3")
    assert not leaks(list(run))


def test_the_state_itself_stays_the_graph_s_own() -> None:
    assert leaks(agent(3).invoke(START))


@pytest.mark.parametrize("policy", [Policy(action=Action.BLOCK), Policy(action=Action.FLAG)])
def test_every_action_is_taken(policy: Policy) -> None:
    run = agent(3, policy).stream_events(START, version="v3")
    first = "".join(next(iter(run.messages)).text)
    stop = "Hello there, my friend. " + policy.block_message
    assert first == (stop if policy.action is Action.BLOCK else TEXT)


def test_raise_fails_the_run() -> None:
    run = agent(3, Policy(action=Action.RAISE)).stream_events(START, version="v3")
    with pytest.raises(GuardrailBlocked):
        list(run)


def test_a_message_that_was_judged_is_not_judged_again() -> None:
    told: list[Result] = []
    model = GuardedChatModel(inner=FakeChat(replies=[AIMessage("Fine.")]), guard=guard())
    graph: Any = create_agent(model, transformers=[transformer(audit=told.append)])
    assert graph.stream_events(START, version="v3").output["messages"][-1].text == "Fine."
    assert len(told) == 1


@pytest.mark.parametrize(
    ("payload", "kept"),
    [(AIMessageChunk(content=BAD), None), (ToolMessage(BAD, tool_call_id="t"), ToolMessage(BAD, tool_call_id="t"))],
)
def test_pieces_of_the_old_protocol_are_dropped_and_tools_left_alone(payload: Any, kept: Any) -> None:
    event = {"method": "messages", "params": {"namespace": [], "data": (payload, {})}}
    stays = GuardStreamTransformer(guard()).process(event)
    assert (event["params"]["data"], stays) == ((kept, {}), kept is not None)  # type: ignore[index]


def test_events_of_a_tool_s_message_pass() -> None:
    screen = GuardStreamTransformer(guard())
    for payload in ({"event": "message-start", "role": "tool"}, *message({"type": "text", "text": BAD})):
        event: Any = {"method": "messages", "params": {"namespace": [], "data": (dict(payload), {"run_id": "1"})}}
        assert screen.process(event)
        assert event["params"]["data"][0] == payload


def filtered(events: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    screen = EventFilter(Settings(guard(), **options))
    return [run_now(screen.take(event)) for event in events]


def message(*blocks: dict[str, Any], deltas: bool = True) -> Iterator[dict[str, Any]]:
    """Say a message as a provider does that speaks the protocol itself: block after block."""
    for index, block in enumerate(blocks):
        field = next((name for name in ("text", "reasoning") if name in block), "")
        yield {"event": "content-block-start", "index": index, "content": {**block, field: ""} if field else block}
        for character in block.get(field, "") if deltas else "":
            delta = {"type": f"{field}-delta", field: character}
            yield {"event": "content-block-delta", "index": index, "delta": delta}
        yield {"event": "content-block-finish", "index": index, "content": block}
    yield {"event": "message-finish"}


@pytest.mark.parametrize("deltas", [True, False])
def test_blocks_are_finished_with_their_judged_text_and_what_still_holds(deltas: bool) -> None:
    cited = {"type": "citation", "start_index": 23, "end_index": 28}
    gone = {"type": "citation", "start_index": 4, "end_index": 9}
    blocks: list[dict[str, Any]] = [
        {"type": "reasoning", "reasoning": f"Hm. {BAD}", "extras": {"signature": "s"}},
        {"type": "text", "text": f"{BAD} Paris is big.", "annotations": [gone, cited]},
        {"type": "tool_call", "id": "t", "name": "weather", "args": {"city": BAD}},
        {"type": "text", "text": "Bye."},
    ]
    events = filtered(list(message(*blocks, deltas=deltas)))
    finished = [event["content"] for event in events if event["event"] == "content-block-finish"]
    assert finished == [
        {"type": "reasoning", "reasoning": f"Hm. {GOOD}"},
        {"type": "text", "text": f"{GOOD} Paris is big.", "annotations": [cited]},
        blocks[2],
        blocks[3],
    ]
    assert [e["kind"] for e in events[-1]["metadata"]["guardrail"]["beside"]] == ["reasoning"]


def test_reasoning_can_pass_or_be_dropped() -> None:
    block = {"type": "reasoning", "reasoning": BAD}
    assert filtered(list(message(block)), reasoning="pass")[:-1] == list(message(block))[:-1]
    assert not any("idiot" in repr(event) for event in filtered(list(message(block)), reasoning="drop"))


@pytest.mark.parametrize(
    "event",
    [
        {"event": "content-block-start", "index": 0, "content": {"type": "text", "text": BAD}},
        {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": BAD}},
        {"event": "content-block-delta", "index": 0, "delta": {"type": "reasoning-delta", "reasoning": BAD}},
        {"event": "content-block-finish", "index": 0, "content": {"type": "text", "text": BAD}},
        {"event": "content-block-finish", "index": 0, "content": {"type": "refusal", "refusal": BAD}},
    ],
)
def test_events_out_of_their_order_are_judged_as_well(event: dict[str, Any]) -> None:
    assert "idiot" not in repr(filtered([event, {"event": "message-finish"}]))


def test_a_delta_of_another_sort_shows_nothing_of_a_text() -> None:
    start = {"event": "content-block-start", "index": 0, "content": {"type": "text", "text": ""}}
    delta = {"type": "block-delta", "fields": {"type": "text", "text": BAD}}
    finish = {"event": "content-block-finish", "index": 0, "content": {"type": "text", "text": BAD}}
    events = filtered([start, {"event": "content-block-delta", "index": 0, "delta": delta}, finish])
    assert "idiot" not in repr(events)
    assert events[-1]["content"]["text"] == GOOD
