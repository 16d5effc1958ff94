"""Test the middleware on server-sent events: nothing unjudged leaves, whatever is cut where."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.policy import Policy
from guardrail.result import Action, Label
from tests.asgi import EVENTS, MENDED, TEXT, answering, call, chat, content_of, cut, cuttings, events_of
from tests.guards import guard

pytestmark = pytest.mark.anyio
MESSAGE = Policy().block_message


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def guarded(chunks: Sequence[bytes], policy: Policy | None = None, **settings: Any) -> str:
    answer = await call(GuardMiddleware(answering(chunks, [*EVENTS, ("etag", "1")]), guard(policy), **settings))
    assert answer.ended
    assert answer.headers == {"content-type": "text/event-stream"}
    return answer.text


def tokens(size: int, text: str = TEXT) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def sse(*events: tuple[str, str]) -> bytes:
    """Return (type, data) pairs as events."""
    lines = []
    for kind, data in events:
        lines += [f"event: {kind}"] if kind else []
        lines += [f"data: {line}" for line in data.split("\n")] + [""]
    return ("\n".join(lines) + "\n").encode()


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_no_token_of_a_chat_leaves_unjudged(size: int) -> None:
    body = chat(tokens(size))
    for chunks in (cut(body, 1), cut(body, 37), [body], [body.replace(b"\n", b"\r\n")], cut(body, 1000)):
        said = await guarded(chunks)
        assert content_of(said) == MENDED
        assert "idi" not in said.replace('"id"', "")


async def test_every_cut_of_the_bytes_gives_the_same() -> None:
    events = chat(["“Naïve”. The idi", "ot spoke."]).split(b"\n\n")[1:3]
    body = b"\r\n\r\n".join(event.replace(b'"id": "c1", ', b"") for event in events)
    # The reader of events is tested at every cut by itself.
    for chunks in list(cuttings(body))[::4]:
        assert content_of(await guarded(chunks)) == "“Naïve”. The plain spoke."


async def test_what_was_held_comes_before_the_end_and_every_event_stays() -> None:
    events = events_of(await guarded([chat(tokens(4))]))
    values = [json.loads(data) for _, data in events[:-1]]
    assert events[-1] == ("", "[DONE]")
    assert values[-1]["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert values[-2]["choices"][0]["delta"]["content"] == "Bye, all of you."
    assert values[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len(values) == 1 + len(tokens(4)) + 2
    assert all(value["id"] == "c1" for value in values)


async def test_choices_that_come_in_turn_are_texts_of_their_own() -> None:
    first, second = tokens(1), tokens(1, TEXT.replace("idiot", "chairman"))
    pieces = [part for pair in zip(first, second, strict=False) for part in zip((0, 1), pair, strict=True)]
    body = b"".join(
        chat([part], choice=choice).split(b"\n\n")[1] + b"\n\n"
        for choice, part in pieces + [(1, part) for part in second[len(first) :]]
    )
    said = await guarded(cut(body, 11))
    assert content_of(said, 0) == content_of(said, 1) == MENDED


async def test_a_tool_call_comes_after_the_text_before_it_and_is_untouched() -> None:
    call_ = {"index": 0, "function": {"name": "f", "arguments": '{"who": "the idiot"}'}}
    values: list[Any] = [
        {"choices": [{"index": 0, "delta": {"content": "The idi"}}]},
        {"choices": [{"index": 0, "delta": {"content": "ot spoke. Let me"}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [call_]}}]},
        {"choices": [{"index": 0, "delta": {"content": " see."}, "finish_reason": "stop"}], "usage": {"n": 3}},
    ]
    said = events_of(await guarded([sse(*(("", json.dumps(value)) for value in values))]))
    deltas = [json.loads(data)["choices"][0]["delta"] for _, data in said]
    assert deltas == [
        {"content": ""},
        {"content": "The plain spoke. "},
        {"content": "Let me"},
        {"tool_calls": [call_]},
        {"content": " see."},
    ]
    assert json.loads(said[-1][1])["usage"] == {"n": 3}


async def test_anthropic_events_keep_their_types() -> None:
    def delta(text: str, index: int) -> tuple[str, str]:
        value = {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}
        return "content_block_delta", json.dumps(value)

    def stop(index: int) -> tuple[str, str]:
        return "content_block_stop", json.dumps({"type": "content_block_stop", "index": index})

    parts = tokens(3)
    body = sse(*(delta(part, 0) for part in parts), stop(0), delta("The idiot", 1), stop(1))
    said = events_of(await guarded(cut(body, 5)))
    assert [kind for kind, _ in said[-3:]] == ["content_block_delta", "content_block_delta", "content_block_stop"]
    values = [json.loads(data) for _, data in said]
    assert [value["type"] for value in values] == [kind for kind, _ in said]
    texts = ["".join(v["delta"]["text"] for v in values if "delta" in v and v["index"] == i) for i in (0, 1)]
    assert texts == [MENDED, "The plain"]
    assert [v["index"] for v in values if v["type"] == "content_block_stop"] == [0, 1]


async def test_whole_texts_inside_events_are_checked() -> None:
    value = {"output": [{"content": [{"text": TEXT}]}], "other": 1}
    said = await guarded([sse(("response.completed", json.dumps(value)))])
    assert json.loads(events_of(said)[0][1]) == {"output": [{"content": [{"text": MENDED}]}], "other": 1}


@pytest.mark.parametrize("events", ["auto", "text"])
@pytest.mark.parametrize("size", [1, 4, 100])
async def test_data_that_is_text_is_judged_across_events(events: str, size: int) -> None:
    body = sse(*(("", part) for part in tokens(size)), ("", "[DONE]"))
    for chunks in ([body], cut(body, 1), cut(body, 13)):
        said = events_of(await guarded(chunks, events=events))
        assert said[-1] == ("", "[DONE]")
        assert "".join(data for _, data in said[:-1]) == MENDED


async def test_data_that_is_json_strings_stays_so() -> None:
    body = sse(*(("", json.dumps(part)) for part in tokens(2)))
    said = events_of(await guarded(cut(body, 9)))
    assert "".join(json.loads(data) for _, data in said) == MENDED


async def test_text_that_looks_like_json_is_judged_as_text() -> None:
    for kind, first in (("auto", "Well, "), ("text", '{"a": 1}')):
        body = sse(("", first), ("", '{"said": "the idiot"}'), ("", "[1]"))
        assert "idiot" not in await guarded([body], events=kind)
    body = sse(("", '{"choices": []}'), ("", "the idi"), ("", "ot spoke."))
    assert "".join(data for _, data in events_of(await guarded([body]))) == '{"choices":[]}the plain spoke.'


async def test_types_of_events_are_texts_of_their_own_and_an_end_comes_last() -> None:
    body = sse(("token", "The idi"), ("ping", ""), ("thought", "That id"), ("token", "ot spoke."), ("thought", "iot!"))
    body += sse(("done", json.dumps({"by": "the idiot"})))
    said = events_of(await guarded(cut(body, 3), events="text"))
    assert [kind for kind, _ in said] == ["ping", "token", "thought", "done"]
    assert dict(said)["token"] == "The plain spoke."
    assert dict(said)["thought"] == "That plain!"
    assert "idiot" not in dict(said)["done"]


async def test_comments_lose_their_text_and_known_fields_stay() -> None:
    body = b": the idiot waits\n\nid: 7\nretry: 5\nsecret: idiot\ndata: Fine. Yes it is.\n\n"
    assert await guarded(cut(body, 2)) == ":\n\nid: 7\nretry: 5\ndata: Fine. \n\ndata: Yes it is.\n\n"


async def test_lines_in_the_data_stay_lines() -> None:
    body = sse(("", "One.\n\nThe idiot"), ("", " spoke.\nThree."))
    said = events_of((await guarded([body])).replace("data: \n", "data: \u2424\n"))
    assert "".join(data.replace("\u2424", "") for _, data in said) == "One.\n\nThe plain spoke.\nThree."


async def test_a_choice_the_policy_blocks_is_silent_from_then_on() -> None:
    policy = Policy(actions={Label.TOXICITY: Action.BLOCK})
    said = await guarded(cut(chat(tokens(3)) + chat(tokens(3, "More. And more.")), 50), policy)
    assert content_of(said) == "The meeting is at nine. " + MESSAGE


async def test_a_stream_whose_event_has_no_end_is_cut() -> None:
    app = answering([b"data: Fine. Yes.\n\ndata: ", *[b"idiot" * 20] * 10], EVENTS)
    with pytest.raises(Exception, match="more than max_body = 500 in one piece"):
        await call(GuardMiddleware(app, guard(), max_body=500))
