"""Content in blocks, of every shape that providers give it: judged as one text, the rest kept in its order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk

from guardrail.adapters.langchain import GuardedChatModel
from guardrail.policy import Policy
from guardrail.result import Action
from tests.adapters.langchain.fakes import FakeChat, leaks
from tests.adapters.langchain.surfaces import ASK
from tests.guards import guard

BAD, GOOD = "The idiot spoke first.", "The plain spoke first."
IMAGE = {"type": "image", "url": "https://example.org/a.png"}


def reply(content: Any, size: int = 0, policy: Policy | None = None, **options: Any) -> AIMessage:
    """Return what a guarded model says: whole if ``size`` is 0, or streamed and put together."""
    kwargs = options.pop("additional_kwargs", {})
    metadata = options.pop("response_metadata", {})
    message = AIMessage(content, additional_kwargs=kwargs, response_metadata=metadata)
    inner = FakeChat(replies=[message], size=size or 1)
    model = GuardedChatModel(inner=inner, guard=guard(policy), **options)
    if not size:
        return model.invoke(ASK)
    first, *others = model.stream(ASK)
    assert isinstance(first, AIMessageChunk)
    return first + others if others else first


def blocks(message: AIMessage) -> list[dict[str, Any]]:
    assert isinstance(message.content, list)
    return [{k: v for k, v in block.items() if k != "index"} for block in message.content if isinstance(block, dict)]


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def cite(start: int, end: int, **more: Any) -> dict[str, Any]:
    return {"type": "citation", "start_index": start, "end_index": end, **more}


SIZES = pytest.mark.parametrize("size", [0, 1, 5, 1000])


@SIZES
def test_a_sentence_that_runs_over_blocks_is_one_sentence(size: int) -> None:
    said = reply([text("All is well. The id"), text("iot spoke fir"), text("st. Bye now.")], size)
    assert said.text == f"All is well. {GOOD} Bye now."
    assert [f["start"] for f in said.response_metadata["guardrail"]["findings"]] == [17]


@SIZES
def test_other_blocks_stay_and_keep_their_place(size: int) -> None:
    audio = {"type": "audio", "base64": "AAAA"}
    said = reply([text("One. "), IMAGE, text(BAD), audio, {"type": "non_standard", "value": {"a": 1}}], size)
    assert blocks(said) == [text("One. "), IMAGE, text(GOOD), audio, {"type": "non_standard", "value": {"a": 1}}]


@SIZES
def test_citations_move_with_their_text_and_go_with_it(size: int) -> None:
    content = [
        text("Rome is old. An idiot spoke first, though. Paris is big.", annotations=[
            cite(0, 4, url="a"), cite(13, 20, url="b"), cite(43, 48, url="c"), cite(900, 901, url="d"),
        ]),
        text(" Bonn is green.", annotations=[cite(1, 5, url="e"), {"type": "citation", "url": "f"}]),
    ]  # fmt: skip
    first, second = blocks(reply(content, size))
    assert first["text"] == "Rome is old. An plain spoke first, though. Paris is big."
    assert [a["url"] for a in first["annotations"]] == ["a", "c"]
    assert [a["url"] for a in second["annotations"]] == ["e", "f"]
    for block in (first, second):
        for mark in block["annotations"]:
            if "start_index" in mark:
                cited = block["text"][mark["start_index"] : mark["end_index"]]
                assert cited == {"a": "Rome", "c": "Paris", "e": "Bonn"}[mark["url"]]


@SIZES
def test_citations_of_a_longer_rewrite_are_moved_too(size: int) -> None:
    content: Any = [text(f"{BAD} Paris is big.", citations=[cite(23, 28), {"cited_text": "x"}])]
    message = AIMessage(content)
    longer = guard(answer=lambda r: "Somebody from the village spoke first.")
    model = GuardedChatModel(inner=FakeChat(replies=[message], size=size or 1), guard=longer)
    said = model.invoke(ASK) if not size else sum_of(model)
    (block,) = blocks(said)
    (mark,) = block["citations"]
    assert block["text"][mark["start_index"] : mark["end_index"]] == "Paris"


def sum_of(model: GuardedChatModel) -> AIMessage:
    first, *others = model.stream(ASK)
    return first + others


@SIZES
def test_clean_blocks_are_the_same_with_all_that_is_said_about_them(size: int) -> None:
    content = [
        text("Rome is old.", annotations=[cite(0, 4)], id="b1", extras={"signature": "s"}),
        {"type": "thinking", "thinking": "Well now.", "signature": "abc"},
        {"type": "reasoning", "reasoning": "Let me see.", "extras": {"signature": "def"}},
        text("Paris is big. "),
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {}},
    ]
    assert blocks(reply(content, size)) == content


@SIZES
def test_reasoning_is_judged_passed_or_dropped(size: int) -> None:
    content = [
        {"type": "thinking", "thinking": f"Hm. {BAD}", "signature": "abc"},
        {"type": "reasoning", "reasoning": BAD, "extras": {"signature": "def"}},
        text("Fine."),
    ]
    judged = reply(content, size)
    assert blocks(judged)[0] == {"type": "thinking", "thinking": f"Hm. {GOOD}"}
    assert blocks(judged)[1] == {"type": "reasoning", "reasoning": GOOD}
    verdict = judged.response_metadata["guardrail"]
    assert (verdict["action"], verdict["findings"], judged.text) == ("rewrite", [], "Fine.")
    assert [(b["kind"], b["action"]) for b in verdict["beside"]][:1] == [("reasoning", "rewrite")]
    assert blocks(reply(content, size, reasoning="pass")) == content
    assert blocks(reply(content, size, reasoning="drop")) == [text("Fine.")]


@SIZES
def test_text_aside_of_the_content_is_judged_as_well(size: int) -> None:
    kwargs = {"reasoning_content": f"Hm. {BAD}", "other": "kept"}
    said = reply("Fine.", size, additional_kwargs=kwargs)
    assert said.additional_kwargs == {"reasoning_content": f"Hm. {GOOD}", "other": "kept"}
    assert said.content == "Fine."
    assert reply("Fine.", size, additional_kwargs=kwargs, reasoning="drop").additional_kwargs == {"other": "kept"}
    assert reply("Fine.", size, additional_kwargs=kwargs, reasoning="pass").additional_kwargs == kwargs
    refused = reply("", size, additional_kwargs={"refusal": BAD})
    assert refused.additional_kwargs == {"refusal": GOOD}
    summed = {"reasoning": {"id": "r", "summary": [{"type": "summary_text", "text": BAD}]}}
    assert reply("Fine.", size, additional_kwargs=summed).additional_kwargs["reasoning"]["summary"] == [
        {"type": "summary_text", "text": GOOD}
    ]


@pytest.mark.parametrize(
    ("block", "safe"),
    [
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": BAD}]}, {"text": GOOD}),
        ({"type": "reasoning_content", "reasoning_content": {"type": "text", "text": BAD}}, {"text": GOOD}),
        ({"type": "refusal", "refusal": BAD}, {"refusal": GOOD}),
        ({"type": "output_text", "text": BAD}, {"text": GOOD}),
        (BAD, {"text": GOOD}),
    ],
)
@SIZES
def test_every_shape_of_text_is_judged(block: Any, safe: dict[str, str], size: int) -> None:
    said = reply([block, IMAGE], size)
    assert not any("idiot" in str(part) for part in said.content)
    assert next(iter(safe.values())) in str(said.content[0])
    assert IMAGE.items() <= dict(said.content[1]).items()  # type: ignore[arg-type]


@SIZES
def test_blocked_blocks_leave_one_text(size: int) -> None:
    policy = Policy(action=Action.BLOCK)
    content = [text("One. ", annotations=[cite(0, 3)]), text(BAD), IMAGE, text("Two.")]
    said = reply(content, size, policy, refusal_block=True)
    *kept, last = blocks(said)
    assert last["type"] == "refusal"
    assert IMAGE in kept
    assert said.text == (policy.block_message if not size else "One. " + policy.block_message)
    assert not any(block.get("annotations") for block in kept)


def test_reasoning_that_is_blocked_leaves_the_text() -> None:
    policy = Policy(action=Action.BLOCK)
    for size in (0, 1):
        said = reply([{"type": "reasoning", "reasoning": BAD}, text("Fine.")], size, policy, refusal_block=True)
        assert blocks(said) == [{"type": "reasoning", "reasoning": policy.block_message}, text("Fine.")]
        assert said.response_metadata["guardrail"]["action"] == "block"


def test_what_a_provider_s_translator_reads_is_on_every_chunk() -> None:
    metadata = {"model_provider": "anthropic", "output_version": "v0"}
    message = AIMessage([text(BAD)], response_metadata=metadata)
    model = GuardedChatModel(inner=FakeChat(replies=[message], size=3), guard=guard())
    chunks = list(model.stream(ASK))
    assert all(chunk.response_metadata["model_provider"] == "anthropic" for chunk in chunks[:-2])
    assert chunks[-1].response_metadata["model_provider"] == "anthropic"
    assert "".join(b["text"] for chunk in chunks for b in chunk.content_blocks if b["type"] == "text") == GOOD


WORDS = st.sampled_from(["Well.", "The idiot spoke.", "One chairman,", "two.", "\n", "Is it? Yes!", "“So,” he said."])
PART = st.one_of(
    st.lists(WORDS, min_size=1, max_size=4).map(lambda words: text(" ".join(words) + " ")),
    st.lists(WORDS, min_size=1, max_size=2).map(lambda words: {"type": "reasoning", "reasoning": " ".join(words)}),
    st.just(IMAGE),
)


@given(st.lists(PART, max_size=6), st.integers(1, 40))
@settings(max_examples=40)
def test_a_stream_comes_to_what_the_whole_message_is(parts: list[dict[str, Any]], size: int) -> None:
    whole, streamed = reply(parts), reply(parts, size)
    assert streamed.text == whole.text
    assert not leaks(whole, streamed)
    assert "idiot" not in repr(streamed)
    if parts:
        wanted = [block for block in blocks(whole) if block.get("text", block.get("reasoning", "image"))]
        assert blocks(streamed) == wanted
        wanted_verdict, verdict = (m.response_metadata["guardrail"] for m in (whole, streamed))
        assert verdict["findings"] == wanted_verdict["findings"]
        assert verdict["action"] == wanted_verdict["action"]
