"""Test the guarded OpenAI client on streamed chat: nothing unjudged at any cut of the bytes, all else in its order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import APIError, AsyncOpenAI, OpenAI

from guardrail.adapters.openai import guarded
from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked, GuardrailError
from guardrail.policy import Policy
from guardrail.result import Action
from tests.fakes import WordDetector
from tests.guards import SECRET, failing, guard, same
from tests.openai_api import MODEL, TOOL_CALLS, USAGE, Api, Json, Wire, chunk, delta, sse, talk, text_of
from tests.streams import chunked, fed, texts

TEXT = "A calm day — 你好, naïve Zoë. The idiot spoke. Dr. Smith asked 👩‍👩‍👧‍👦 why. A chairman\nleft."
SAFE = TEXT.replace("idiot", "plain").replace("chairman", "plain")


# On trio that is a warning, with or without the guard.
SDK_LEAVES_ITS_GENERATORS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Door:
    """One guarded client for many streams: giving it chunks of bytes is cheap."""

    def __init__(self, with_guard: Streaming | None = None, **settings: Any) -> None:
        self.wire = Wire([])
        self.guard = with_guard or guard()
        api = Api(lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=self.wire))
        self.sync = guarded(_openai(api), self.guard, **settings)
        http = httpx.AsyncClient(transport=api.transport)
        self.later = guarded(AsyncOpenAI(api_key="k", base_url="http://api.test", http_client=http), self.guard)

    def chunks(self, *parts: bytes, error: Exception | None = None) -> list[Any]:
        self.wire = Wire(parts, error)
        return list(self.sync.chat.completions.create(**MODEL, stream=True))

    async def achunks(self, *parts: bytes) -> list[Any]:
        self.wire = Wire(parts)
        return [c async for c in await self.later.chat.completions.create(**MODEL, stream=True)]


def _openai(api: Api) -> OpenAI:
    return OpenAI(api_key="k", base_url="http://api.test", http_client=httpx.Client(transport=api.transport))


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def values(*chunks: Json, **settings: Any) -> list[Json]:
    said = Door(**settings).chunks(sse(chunks))
    return [value.model_dump(exclude_unset=True) for value in said]


def bare(choices: Sequence[Json]) -> list[Json]:
    return [{key: value for key, value in choice.items() if key != "guardrail"} for choice in choices]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000, 10**6])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_the_text_is_the_same_wherever_the_bytes_are_cut(size: int, ends: bytes) -> None:
    body = sse(talk(chunked(TEXT, [4] * 100))).replace(b"\n", ends)
    assert text_of(Door().chunks(*cut(body, size))) == SAFE


def test_the_text_is_the_same_at_every_cut_in_an_event_that_is_not_ascii() -> None:
    said = json.dumps(chunk(delta(content="Zoë 👍🏽, idiot.")), ensure_ascii=False).encode()
    body, door = b"data: " + said + b"\n\n" + sse(talk(["Bye."])), Door()
    begun = body.index(b"Zo")
    for at in [*range(begun, begun + 32), len(said) + 5, len(said) + 6, len(said) + 7, len(said) + 8]:
        assert text_of(door.chunks(body[:at], body[at:])) == "Zoë 👍🏽, plain.Bye."


@settings(max_examples=25)
@given(texts, st.lists(st.integers(0, 20), max_size=20), st.integers(1, 300))
def test_any_text_is_what_an_engine_makes_of_it(text: str, cuts: list[int], size: int) -> None:
    door = DOOR
    said = door.chunks(*cut(sse(talk(chunked(text, cuts))), size))
    released, _ = fed(guard(), [text])
    assert text_of(said) == released


DOOR = Door()


def test_nothing_is_shown_before_it_was_judged() -> None:
    detector = WordDetector()
    door = Door(guard(Policy(action=Action.FLAG), detector=detector))
    text = "A calm day. Two of them. The idiot spoke. A chairman left, and so on. Bye."
    door.wire = Wire([sse([value], done=False) for value in talk(text)])
    shown = ""
    for value in door.sync.chat.completions.create(**MODEL, stream=True):
        shown += text_of([value])
        assert "".join(shown.split()) in "".join("".join(detector.pieces).split())
    assert shown == text
    assert len(detector.pieces) > 3


def test_text_comes_sentence_by_sentence_while_the_model_still_writes() -> None:
    door = Door()
    door.wire = Wire([sse([value], done=False) for value in talk(chunked(TEXT, [1] * 200))])
    pulled = [(door.wire.pulled, text_of([c])) for c in door.sync.chat.completions.create(**MODEL, stream=True)]
    first = next(count for count, text in pulled if text)
    assert first < door.wire.pulled / 2
    assert sum(1 for _, text in pulled if text) >= 4


def test_the_verdict_comes_with_the_finish_reason_and_is_that_of_check() -> None:
    said = values(*talk(chunked(TEXT, [3] * 50)))
    last = [c for value in said for c in value["choices"] if c["finish_reason"]]
    wanted = same(guard().check(TEXT))
    (verdict,) = last[0]["guardrail"]
    assert (verdict["field"], verdict["action"], verdict["reason"]) == ("content", "rewrite", wanted.reason)
    assert [(f["label"], f["start"], f["end"]) for f in verdict["findings"]] == [
        (f.label, f.start, f.end) for f in wanted.findings
    ]
    assert [(r["start"], r["end"], r["replacement"]) for r in verdict["rewrites"]] == [
        (r.start, r.end, r.replacement) for r in wanted.rewrites
    ]
    assert "text" not in verdict


def test_role_finish_reason_and_usage_keep_their_order_and_held_text_comes_before_them() -> None:
    said = values(*talk(["The idiot ", "spoke."], finish="length"))
    assert [bare(value["choices"]) for value in said] == [
        [delta(role="assistant", content="")],
        [delta(content="The plain spoke.")],
        [delta(finish="length")],
        [],
    ]
    assert said[-1]["usage"] == USAGE
    assert {(value["id"], value["model"], value["created"]) for value in said} == {("c1", "fake", 1)}


def test_a_role_that_comes_with_text_is_not_lost_and_text_may_come_with_the_finish_reason() -> None:
    said = values(chunk(delta(role="assistant", content="The idiot")), chunk(delta(finish="stop", content=" spoke.")))
    assert [c for value in said for c in bare(value["choices"])] == [
        delta(role="assistant"),
        delta(content="The plain spoke."),
        delta(finish="stop"),
    ]
    both = values(chunk(delta(role="assistant", content="A calm day. Two of them. And")), chunk(delta(finish="stop")))
    assert both[0]["choices"][0]["delta"]["role"] == "assistant"
    assert both[0]["choices"][0]["delta"]["content"].startswith("A calm day.")


def test_held_text_comes_before_a_tool_call_and_the_call_is_untouched() -> None:
    more = [{"index": 0, "function": {"arguments": "idiot"}}]
    said = values(
        chunk(delta(role="assistant", content="The idiot asks")),
        chunk(delta(tool_calls=TOOL_CALLS)),
        chunk(delta(tool_calls=more)),
        chunk(delta(finish="tool_calls")),
    )
    assert [c["delta"] for value in said for c in value["choices"]] == [
        {"role": "assistant"},
        {"content": "The plain asks"},
        {"tool_calls": TOOL_CALLS},
        {"tool_calls": more},
        {},
    ]


def test_text_that_changes_to_and_fro_with_tool_calls_is_not_judged_word_by_word() -> None:
    letters = [part for letter in "The idiot spoke." for part in (delta(content=letter), delta(tool_calls=TOOL_CALLS))]
    said = Door().chunks(sse([chunk(part) for part in [*letters, delta(finish="stop")]]))
    assert text_of(said) == "The plain spoke."[0] + guard().check("he idiot spoke.").text


def test_text_that_changes_to_and_fro_with_reasoning_is_not_judged_word_by_word() -> None:
    same_twice = [delta(reasoning=letter, reasoning_content=letter) for letter in "The idiot spoke."]
    said = Door().chunks(sse([chunk(part) for part in [*same_twice, delta(content="Fine."), delta(finish="stop")]]))
    assert text_of(said, field="reasoning") == text_of(said, field="reasoning_content") == "The plain spoke."
    kinds = [next(iter(c.delta.model_dump(exclude_unset=True)), "") for value in said for c in value.choices]
    assert kinds == ["reasoning", "reasoning_content", "content", ""]


def test_each_choice_is_a_text_of_its_own() -> None:
    one, two = "A calm day. The idiot spoke.", "The chairman left. A draconian rule."
    turns = zip_longest(chunked(one, [2] * 14), chunked(two, [2] * 18), fillvalue="")
    mixed = [chunk(*(delta(index, content=part) for index, part in enumerate(turn))) for turn in turns]
    said = Door().chunks(sse([*mixed, chunk(delta(0, "stop"), delta(1, "length"))]))
    assert (text_of(said, 0), text_of(said, 1)) == (guard().check(one).text, guard().check(two).text)
    ends = {c.index: c.finish_reason for value in said for c in value.choices if c.finish_reason}
    assert ends == {0: "stop", 1: "length"}


def test_log_probabilities_and_citations_come_in_the_end_if_nothing_was_changed() -> None:
    def said(*parts: str) -> list[Json]:
        tokens: list[Json] = [
            {"content": [{"token": p, "logprob": -0.5, "bytes": None, "top_logprobs": []}]} for p in parts
        ]
        written = [chunk({**delta(content=p), "logprobs": t}) for p, t in zip(parts, tokens, strict=True)]
        cited = chunk(delta(annotations=[{"type": "url_citation"}]))
        return values(*written, cited, chunk(delta(finish="stop")))

    last = said("A calm", " day.")[-1]["choices"][0]
    assert [token["token"] for token in last["logprobs"]["content"]] == ["A calm", " day."]
    assert last["delta"]["annotations"] == [{"type": "url_citation"}]
    changed = said("The id", "iot spoke.")
    assert "annotations" not in changed[-1]["choices"][0]["delta"]
    assert not any(c.get("logprobs") for value in changed for c in value["choices"])


def test_a_block_ends_the_text_with_the_policys_message() -> None:
    policy = Policy(action=Action.BLOCK)
    said = values(
        *talk(["A calm day. Two of them. ", "The idiot spoke. ", "More of it. ", "And more."]), with_guard=guard(policy)
    )
    text = "".join(c["delta"].get("content", "") for value in said for c in value["choices"])
    assert text == "A calm day. Two of them. " + policy.block_message
    assert [c["finish_reason"] for value in said for c in value["choices"] if c["finish_reason"]] == ["content_filter"]
    assert said[-1]["usage"] == USAGE


def test_a_blocked_text_stays_blocked_after_a_tool_call() -> None:
    policy = Policy(action=Action.BLOCK)
    parts = [delta(content="The idiot."), delta(tool_calls=TOOL_CALLS), delta(content="Fine."), delta(finish="stop")]
    said = Door(guard(policy)).chunks(sse([chunk(part) for part in parts]))
    assert text_of(said) == policy.block_message


def test_a_policy_that_raises_raises_while_the_stream_is_read_and_closes_it() -> None:
    door = Door(guard(Policy(action=Action.RAISE)))
    door.wire = Wire(
        [sse([value], done=False) for value in talk(["A calm day. ", "The idiot spoke. ", "More.", " Bye."])]
    )
    shown = ""
    with pytest.raises(GuardrailBlocked), door.sync.chat.completions.create(**MODEL, stream=True) as stream:
        for value in stream:
            shown += text_of([value])
    assert shown == "A calm day. "
    assert door.wire.closed


def test_a_guard_that_fails_blocks() -> None:
    door = Door(guard(detector=failing(RuntimeError(SECRET))))
    assert text_of(door.chunks(sse(talk([SECRET])))) == Policy().block_message


def test_what_was_held_comes_out_judged_when_the_connection_breaks_off() -> None:
    door = Door()
    door.wire = Wire([sse(talk(["The idiot spoke"]), done=False)[:-200]], httpx.ReadError("reset"))
    shown = ""
    with pytest.raises(httpx.ReadError):
        for value in door.sync.chat.completions.create(**MODEL, stream=True):
            shown += text_of([value])
    assert shown == "The plain spoke"


def test_what_was_held_comes_before_an_error_of_the_server_and_at_an_early_end() -> None:
    failed = b'data: {"error": {"message": "overloaded"}}\n\n'
    door = Door()
    door.wire = Wire([sse([chunk(delta(content="The idiot spoke"))], done=False), failed])
    shown = ""
    with pytest.raises(APIError, match="overloaded"):
        for value in door.sync.chat.completions.create(**MODEL, stream=True):
            shown += text_of([value])
    assert shown == "The plain spoke"
    assert text_of(door.chunks(sse([chunk(delta(content="The idiot spoke"))], done=False))) == "The plain spoke"
    assert text_of(door.chunks(sse([chunk(delta(content="The idiot"))], done=False)[:-2])) == "The plain"
    blocked = Door(guard(Policy(action=Action.BLOCK))).chunks(sse([chunk(delta(content="The idiot"))]))
    assert blocked[-1].choices[0].finish_reason == "content_filter"


def test_a_stream_that_is_left_early_is_closed() -> None:
    door = Door()
    door.wire = Wire([sse([value], done=False) for value in talk(["A calm day. "] * 50)])
    with door.sync.chat.completions.create(**MODEL, stream=True) as stream:
        next(value for value in stream if text_of([value]))
    assert door.wire.closed
    assert door.wire.pulled < 10


@pytest.mark.parametrize("body", [b"data: The idiot\n\n", b"data: {\xff}\n\n"])
def test_what_is_no_event_of_the_api_is_refused_and_not_shown(body: bytes) -> None:
    with pytest.raises(GuardrailError, match="cannot be judged") as caught:
        Door().chunks(body)
    assert "idiot" not in str(caught.value)
    assert caught.value.__context__ is None or "idiot" not in repr(caught.value.__context__)


def test_comments_and_strange_events_bring_no_text_along() -> None:
    door = Door()
    door.wire = Wire(
        [b": idiot\n\n", b'data: "idiot"\n\n', b'data: {"idiot": 1}\n\nid: idiot\n\n', sse(talk(["Fine."]))]
    )
    with door.sync.chat.completions.with_streaming_response.create(**MODEL, stream=True) as raw:
        body = b"".join(raw.iter_bytes())
    assert body.startswith(b":\n\n")
    assert b"idiot" not in body
    assert b"Fine." in body
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_stream_that_does_not_say_so_is_one_if_it_was_asked_for() -> None:
    api = Api.streams(sse(talk(["The idiot spoke."])), **{"content-type": "text/plain"})
    safe = guarded(_openai(api), guard())
    assert text_of(safe.chat.completions.create(**MODEL, stream=True)) == "The plain spoke."


def test_text_completions_are_streamed_in_the_same_way() -> None:
    def said(text: str, finish: str | None = None) -> Json:
        logprobs = {"tokens": [text], "token_logprobs": [-1.0]}
        return {"index": 0, "text": text, "finish_reason": finish, "logprobs": logprobs if text else None}

    parts = [said("The id"), said("iot "), said("spoke."), said("", "stop")]
    safe = guarded(_openai(Api.streams(sse([chunk(p, object="text_completion") for p in parts]))), guard())
    shown = list(safe.completions.create(model="m", prompt="p", stream=True))
    assert "".join(c.text for value in shown for c in value.choices) == "The plain spoke."
    assert shown[-1].choices[0].finish_reason == "stop"
    assert not any(c.logprobs for value in shown for c in value.choices)


def test_the_stream_helper_gathers_judged_text_only() -> None:
    door = Door()
    door.wire = Wire(cut(sse(talk(chunked(TEXT, [5] * 20))), 50))
    with door.sync.chat.completions.stream(**MODEL) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert deltas == final.choices[0].message.content == SAFE
    assert final.choices[0].finish_reason == "stop"


@SDK_LEAVES_ITS_GENERATORS
@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 9, 10**6])
async def test_the_async_client_gives_the_same(size: int) -> None:
    door = Door()
    body = cut(sse(talk(chunked(TEXT, [4] * 100))), size)
    assert text_of(await door.achunks(*body)) == SAFE
    door.wire = Wire(body)
    async with door.later.chat.completions.stream(**MODEL) as stream:
        assert (await stream.get_final_completion()).choices[0].message.content == SAFE


@SDK_LEAVES_ITS_GENERATORS
@pytest.mark.anyio
async def test_the_async_client_fails_in_the_same_way() -> None:
    door = Door()
    door.wire, shown = Wire([sse(talk(["The idiot spoke"]), done=False)[:-200]], httpx.ReadError("reset")), ""
    with pytest.raises(httpx.ReadError):
        async for value in await door.later.chat.completions.create(**MODEL, stream=True):
            shown += text_of([value])
    assert shown == "The plain spoke"
    with pytest.raises(GuardrailBlocked):
        await Door(guard(Policy(action=Action.RAISE))).achunks(sse(talk(["The idiot spoke."])))
    door.wire = Wire([sse([value], done=False) for value in talk(["A calm day. "] * 50)])
    async with await door.later.chat.completions.create(**MODEL, stream=True) as stream:
        await anext(value async for value in stream if text_of([value]))
    assert door.wire.closed
    assert door.wire.pulled < 10
