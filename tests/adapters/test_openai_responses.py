"""Test the guarded OpenAI client on responses: whole, streamed, stored; messages, refusals, reasoning and tools."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from pydantic import BaseModel

from guardrail.adapters.openai import guarded
from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked
from guardrail.policy import Policy
from guardrail.result import Action
from tests.guards import CLEAN, guard
from tests.openai_api import Api, Json, Wire, message, numbered, responding, response, sse, written
from tests.streams import chunked, fed, texts

ASKED: Json = {"model": "fake", "input": "Say something."}
TEXT = "A calm day, naïve Zoë. The idiot spoke. Dr. Smith asked why. A chairman left."
SAFE = TEXT.replace("idiot", "plain").replace("chairman", "plain")
CALL = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "f", "arguments": '{"x": "idiot"}'}
REASONING = {
    "type": "reasoning",
    "id": "rs1",
    "summary": [{"type": "summary_text", "text": "The idiot asks."}],
    "content": [{"type": "reasoning_text", "text": "A chairman asks."}],
    "encrypted_content": "aWRpb3Q=",
}
AT = {"item_id": "m1", "output_index": 0, "content_index": 0}


def client(api: Api, with_guard: Streaming | None = None, **settings: Any) -> OpenAI:
    inner = OpenAI(api_key="k", base_url="http://api.test/v1", http_client=httpx.Client(transport=api.transport))
    return guarded(inner, with_guard or guard(), **settings)


def streamed(events: list[Json], with_guard: Streaming | None = None, size: int = 10**6, **settings: Any) -> list[Json]:
    body = sse(events, done=False)
    api = Api.streams(Wire([body[at : at + size] for at in range(0, len(body), size)]))
    stream = client(api, with_guard, **settings).responses.create(**ASKED, stream=True)
    return [event.model_dump(exclude_unset=True) for event in stream]


def text_of(events: list[Json], kind: str = "response.output_text.delta", index: int = 0) -> str:
    return "".join(e["delta"] for e in events if e["type"] == kind and e["output_index"] == index)


def of_kind(events: list[Json], kind: str) -> Json:
    return next(event for event in events if event["type"] == kind)


def test_each_text_is_what_check_makes_of_it() -> None:
    cases = [*CLEAN, TEXT, "Все женщины."]
    create = client(Api.says(*(response(message(text)) for text in cases))).responses.create
    for text in cases:
        reply = create(**ASKED)
        result = guard().check(text)
        assert reply.output_text == result.text
        assert reply.status == "completed"
        verdict = reply.model_dump()["guardrail"][0]
        assert (verdict["output_index"], verdict["content_index"]) == (0, 0)
        assert (verdict["action"], verdict["reason"]) == (result.action, result.reason)
        assert len(verdict["findings"]) == len(result.findings)


def test_messages_refusals_and_reasoning_are_judged_and_tools_are_not_touched() -> None:
    said = message("Fine.")
    said["content"] += [{"type": "refusal", "refusal": "This is draconian."}, {"type": "odd", "text": "idiot"}]
    api = Api.says(response(REASONING, said, CALL, {"type": "odd", "id": "o", "text": "idiot"}))
    output = json.loads(client(api).responses.with_raw_response.create(**ASKED).text)["output"]
    assert [part["text"] for part in output[0]["summary"] + output[0]["content"]] == [
        "The plain asks.",
        "A plain asks.",
    ]
    assert output[0]["encrypted_content"] == REASONING["encrypted_content"]
    assert output[1]["content"][1]["refusal"] == "This is plain."
    assert output[1]["content"][2] == {"type": "odd"}
    assert output[2] == CALL
    assert output[3] == {"type": "odd", "id": "o"}


def test_citations_and_log_probabilities_are_kept_for_an_unchanged_text_only() -> None:
    cited = {"annotations": [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}]}
    kept, gone = message("Fine.", **cited), message("The idiot.", **cited, logprobs=[{"token": "idiot"}])
    output = client(Api.says(response(kept, gone))).responses.create(**ASKED).model_dump()["output"]
    assert output[0]["content"][0]["annotations"]
    assert (output[1]["content"][0]["annotations"], output[1]["content"][0]["logprobs"]) == ([], [])


def test_a_block_makes_the_response_incomplete() -> None:
    policy = Policy(action=Action.BLOCK)
    reply = client(Api.says(response(message("The idiot."), CALL)), guard(policy)).responses.create(**ASKED)
    assert reply.output_text == policy.block_message
    assert reply.status == "incomplete"
    assert reply.incomplete_details is not None
    assert reply.incomplete_details.reason == "content_filter"
    assert reply.output[1].type == "function_call"


class Answer(BaseModel):
    name: str


def test_parse_reads_the_judged_text() -> None:
    reply = client(Api.says(response(message('{"name": "Ada"}')))).responses.parse(**ASKED, text_format=Answer)
    assert reply.output_parsed == Answer(name="Ada")


def test_stored_responses_and_items_of_conversations_are_judged() -> None:
    api = Api.says(response(message("The idiot spoke.")))
    assert client(api).responses.retrieve("r1").output_text == "The plain spoke."
    assert client(api).responses.cancel("r1").output_text == "The plain spoke."
    asked = {
        "type": "message",
        "id": "u1",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "idiot"}],
    }
    page = Api.says({"object": "list", "data": [asked, message("The idiot.")], "has_more": False})
    for items in (client(page).responses.input_items.list("r1"), client(page).conversations.items.list("c1")):
        dumped = [item.model_dump() for item in items]
        assert [item["content"][0]["text"] for item in dumped] == ["idiot", "The plain."]
    one = client(Api.says(message("The idiot."))).conversations.items.retrieve("m1", conversation_id="c1")
    assert one.model_dump()["content"][0]["text"] == "The plain."


@pytest.mark.parametrize("size", [1, 3, 50, 10**6])
def test_a_stream_says_the_same_in_every_event_wherever_its_bytes_are_cut(size: int) -> None:
    said = streamed(responding(written(list(chunked(TEXT, [3] * 40)))), size=size)
    assert text_of(said) == SAFE
    assert of_kind(said, "response.output_text.done")["text"] == SAFE
    assert of_kind(said, "response.content_part.done")["part"]["text"] == SAFE
    assert of_kind(said, "response.output_item.done")["item"]["content"][0]["text"] == SAFE
    last = said[-1]["response"]
    assert (said[-1]["type"], last["output"][0]["content"][0]["text"]) == ("response.completed", SAFE)
    assert [v["action"] for v in last["guardrail"]] == ["rewrite"]
    assert [event["sequence_number"] for event in said] == list(range(len(said)))


@settings(max_examples=15)
@given(texts, st.lists(st.integers(0, 20), max_size=20))
def test_any_text_is_what_an_engine_makes_of_it(text: str, cuts: list[int]) -> None:
    said = streamed(responding(written(list(chunked(text, cuts)))))
    released, _ = fed(guard(), [text])
    assert text_of(said) == said[-1]["response"]["output"][0]["content"][0]["text"] == released


def test_nothing_of_the_text_is_in_an_event_before_it_was_judged() -> None:
    events = responding(written(["The idiot", " spoke. And", " a chairman."]))
    for event in events:
        if event["type"].endswith((".added", "in_progress", "created")) and "item" in event:
            event["item"] = message("The idiot spoke. And a chairman.")
        if event["type"] == "response.content_part.added":
            event["part"] = message("The idiot spoke.")["content"][0]
        if event["type"] in ("response.created", "response.in_progress"):
            event["response"] = response(message("The idiot spoke."), status="in_progress")
    said = streamed(events)
    assert "idiot" not in str(said)
    assert "chairman" not in str(said)


def test_texts_of_several_items_flow_side_by_side() -> None:
    one, two = written(["The id", "iot spoke."]), written(["A chair", "man left."], index=1)
    mixed = [event for pair in zip(one, two, strict=True) for event in pair]
    said = streamed(responding(mixed))
    assert (text_of(said), text_of(said, index=1)) == ("The plain spoke.", "A plain left.")
    assert [v["output_index"] for v in said[-1]["response"]["guardrail"]] == [0, 1]


def test_refusals_and_reasoning_are_held_like_text_and_tools_pass_in_their_order() -> None:
    at = {"item_id": "rs1", "output_index": 0}
    reasoning = [
        {"type": "response.output_item.added", **at, "item": {**REASONING, "summary": [], "content": []}},
        {"type": "response.reasoning_summary_part.added", **at, "summary_index": 0, "part": REASONING["summary"][0]},
        {"type": "response.reasoning_summary_text.delta", **at, "summary_index": 0, "delta": "The idiot "},
        {"type": "response.reasoning_summary_text.delta", **at, "summary_index": 0, "delta": "asks."},
        {"type": "response.reasoning_summary_text.done", **at, "summary_index": 0, "text": "The idiot asks."},
        {"type": "response.reasoning_summary_part.done", **at, "summary_index": 0, "part": REASONING["summary"][0]},
        {"type": "response.reasoning_text.delta", **at, "content_index": 0, "delta": "A chairman asks."},
        {"type": "response.reasoning_text.done", **at, "content_index": 0, "text": "A chairman asks."},
        {"type": "response.output_item.done", **at, "item": REASONING},
    ]
    at = {"item_id": "m1", "output_index": 1, "content_index": 0}
    refused = {**message(""), "content": [{"type": "refusal", "refusal": "This is draconian."}]}
    refusal = [
        {"type": "response.refusal.delta", **at, "delta": "This is draconian."},
        {"type": "response.refusal.done", **at, "refusal": "This is draconian."},
        {"type": "response.output_item.done", "output_index": 1, "item": refused},
    ]
    at = {"item_id": "f1", "output_index": 2}
    tool = [
        {"type": "response.output_item.added", **at, "item": {**CALL, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **at, "delta": CALL["arguments"]},
        {"type": "response.function_call_arguments.done", **at, "arguments": CALL["arguments"], "name": "f"},
        {"type": "response.output_item.done", **at, "item": CALL},
    ]
    strange = [{"type": "response.novelty.delta", "delta": "idiot"}, {"type": "response.audio.delta", "delta": "aWRp"}]
    said = streamed(responding(reasoning, refusal, tool, strange))
    assert text_of(said, "response.reasoning_summary_text.delta") == "The plain asks."
    assert text_of(said, "response.reasoning_text.delta") == "A plain asks."
    assert text_of(said, "response.refusal.delta", 1) == of_kind(said, "response.refusal.done")["refusal"]
    assert of_kind(said, "response.refusal.done")["refusal"] == "This is plain."
    output = said[-1]["response"]["output"]
    assert [part["text"] for part in output[0]["summary"] + output[0]["content"]] == [
        "The plain asks.",
        "A plain asks.",
    ]
    assert output[1]["content"][0]["refusal"] == "This is plain."
    assert [e for e in said if e["type"].startswith("response.function_call")] == numbered_like(tool[1:3], said)
    assert output[2] == CALL
    assert not any("novelty" in e["type"] or "audio" in e["type"] for e in said)


def numbered_like(events: list[Json], said: list[Json]) -> list[Json]:
    numbers = [e["sequence_number"] for e in said if e["type"].startswith("response.function_call")]
    return [{**event, "sequence_number": number} for event, number in zip(events, numbers, strict=True)]


@pytest.mark.parametrize(("text", "kept"), [("A calm day.", True), ("The idiot spoke.", False)])
def test_log_probabilities_and_citations_of_a_stream_come_in_the_end(text: str, kept: bool) -> None:
    events = written([text])
    tokens = [{"token": text, "logprob": -0.1}]
    for event in events:
        if event["type"].startswith("response.output_text"):
            event["logprobs"] = tokens
    cited = {"type": "response.output_text.annotation.added", **AT, "annotation_index": 0, "annotation": {"url": "u"}}
    said = streamed(responding([*events[:3], cited, *events[3:]]))
    kinds = [event["type"] for event in said]
    assert of_kind(said, "response.output_text.delta")["logprobs"] == []
    assert of_kind(said, "response.output_text.done")["logprobs"] == (tokens if kept else [])
    assert (cited["type"] in kinds) is kept
    if kept:
        assert kinds.index("response.output_text.delta") < kinds.index(cited["type"])
        assert kinds.index(cited["type"]) < kinds.index("response.output_text.done")


def test_a_block_ends_the_stream_incomplete() -> None:
    policy = Policy(action=Action.BLOCK)
    said = streamed(responding(written(["A calm day. ", "The idiot spoke. ", "And more of it. "])), guard(policy))
    assert text_of(said) == "A calm day. " + policy.block_message
    last = said[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["status"] == "incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "content_filter"}
    assert last["response"]["output"][0]["content"][0]["text"] == text_of(said)


def test_a_policy_that_raises_raises_while_the_stream_is_read() -> None:
    with pytest.raises(GuardrailBlocked):
        streamed(responding(written(["The idiot spoke."])), guard(Policy(action=Action.RAISE)))


def test_texts_that_come_whole_or_end_too_early_are_judged_too() -> None:
    whole = [event for event in written(["The idiot spoke."]) if not event["type"].endswith("delta")]
    said = streamed(responding(whole))
    assert of_kind(said, "response.output_text.done")["text"] == "The plain spoke."
    unfinished = [event for event in responding(written(["The idiot", " spoke."])) if "done" not in event["type"]]
    said = streamed(unfinished)
    assert [event["type"] for event in said[-2:]] == ["response.output_text.delta", "response.completed"]
    assert text_of(streamed(unfinished[:-1])) == "The plain spoke."
    item_only = [
        event
        for event in responding(written(["The idiot", " spoke."]))
        if "text.done" not in event["type"] and "part.done" not in event["type"]
    ]
    said = streamed(item_only)
    kinds = [event["type"] for event in said]
    assert kinds.index("response.output_text.delta") < kinds.index("response.output_item.done")
    assert text_of(said) == "The plain spoke."
    failed = [
        *responding(written(["The idiot"]))[:5],
        *numbered([{"type": "error", "message": "overloaded", "code": "x"}]),
    ]
    assert [event["type"] for event in streamed(failed)][-2:] == ["response.output_text.delta", "error"]


def test_the_stream_helper_gathers_judged_text_only() -> None:
    events = responding(written(list(chunked('{"name": "Ada. The idiot. Bob"}', [3] * 12))))
    api = Api.streams(sse(events, done=False))
    with client(api, guard(Policy(action=Action.FLAG))).responses.stream(**ASKED, text_format=Answer) as stream:
        list(stream)
        assert stream.get_final_response().output_parsed == Answer(name="Ada. The idiot. Bob")
    api = Api.streams(sse(responding(written([TEXT])), done=False))
    with client(api).responses.stream(**ASKED) as stream:
        shown = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert shown == stream.get_final_response().output_text == SAFE


def test_a_response_of_another_shape_brings_no_text_along() -> None:
    plain = {"type": "message", "role": "assistant", "id": "m2", "status": "completed", "content": "The idiot."}
    body = response(
        plain, {"type": "message", "content": ["idiot", message("")["content"][0]]}, output_text="The idiot."
    )
    body["output"].append("idiot")
    said = json.loads(client(Api.says(body)).responses.with_raw_response.create(**ASKED).text)
    assert said["output"][0]["content"] == "The plain."
    assert said["output"][1]["content"][0] == {}
    assert said["output"][2] == {}
    assert "idiot" not in json.dumps(said)


def test_events_of_another_shape_bring_no_text_along() -> None:
    events = responding(written(["The idiot spoke."]))
    cited = {
        "type": "response.output_text.annotation.added",
        **AT,
        "annotation_index": 0,
        "annotation": {"url": "idiot"},
    }
    late = {"type": "response.output_text.delta", **AT, "delta": " idiot"}
    odd: list[Any] = [
        cited,
        {"type": "response.output_item.done", "output_index": 0, "item": "idiot"},
        {"type": "response.in_progress", "response": "idiot"},
        {"type": "response.content_part.done", **AT, "content_index": 9, "part": message("")["content"][0]},
    ]
    said = streamed(numbered([events[0], *odd, *events[2:6], late, *events[6:-1]]))
    assert "idiot" not in str(said)
    assert text_of(said) == "The plain spoke."
    queued = {"type": "response.completed", "response": {"id": "r1", "status": "completed"}}
    assert raw(numbered([queued]))["response"] == {"id": "r1", "status": "completed"}


def raw(events: list[Json]) -> Any:
    with client(Api.streams(sse(events, done=False))).responses.with_streaming_response.create(
        **ASKED, stream=True
    ) as reply:
        body = b"".join(reply.iter_bytes()).decode()
    return json.loads(body.partition("data: ")[2])
