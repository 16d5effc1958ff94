"""The guard as a part of a chain: texts and messages, whole and streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser

from guardrail.adapters.langchain import GuardRunnable, as_runnable
from guardrail.errors import GuardrailBlocked
from guardrail.load import Guard
from guardrail.policy import Policy
from guardrail.result import Action, Result
from tests.adapters.langchain.fakes import SAFE, TEXT, USAGE, FakeChat, leaks, plain
from tests.adapters.langchain.surfaces import ASK
from tests.fakes import MapRewriter, WordDetector
from tests.guards import guard

BLOCKED = Policy(action=Action.BLOCK)


def step(policy: Policy | None = None, **options: Any) -> Any:
    return as_runnable(guard(policy, plain), **options)


def raw(size: int) -> FakeChat:
    return FakeChat(replies=[AIMessage(TEXT)], size=size)


CHAINS: dict[str, Callable[[int], Any]] = {
    "message": lambda size: raw(size) | step() | StrOutputParser(),
    "text": lambda size: raw(size) | StrOutputParser() | step(),
}


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("kind", CHAINS)
async def test_nothing_unjudged_comes_out_of_a_chain(kind: str, size: int) -> None:
    chain = CHAINS[kind](size)
    assert chain.invoke(ASK) == await chain.ainvoke(ASK) == SAFE
    assert chain.batch([ASK, ASK]) == await chain.abatch([ASK, ASK]) == [SAFE, SAFE]
    parts = list(chain.stream(ASK))
    assert "".join(parts) == SAFE
    assert [part async for part in chain.astream(ASK)] == parts
    assert len(parts) > 1


def test_a_message_stays_a_message() -> None:
    chain = raw(4) | step()
    whole = chain.invoke(ASK)
    assert isinstance(whole, AIMessage) and not isinstance(whole, AIMessageChunk)
    assert (whole.text, whole.usage_metadata) == (SAFE, USAGE)
    first, *others = chain.stream(ASK)
    assert isinstance(first, AIMessageChunk)
    message: Any = first + others
    assert (message.text, message.usage_metadata) == (SAFE, USAGE)
    assert message.response_metadata["guardrail"]["action"] == "rewrite"


def test_a_whole_text_is_what_check_makes_of_it() -> None:
    for policy in (Policy(), BLOCKED, Policy(action=Action.MASK), Policy(action=Action.FLAG)):
        assert step(policy).invoke(TEXT) == guard(policy, plain).check(TEXT).text
        assert step(policy).invoke(AIMessage(TEXT)).text == guard(policy, plain).check(TEXT).text
    assert "".join(map(str, step().stream(TEXT))) == SAFE
    (whole,) = step().stream(AIMessage(TEXT))
    assert isinstance(whole, AIMessage) and whole.text == SAFE


@pytest.mark.anyio
async def test_a_blocked_text_ends_the_stream() -> None:
    chain = raw(1) | StrOutputParser() | step(BLOCKED)
    wanted = "Hello there, my friend. " + BLOCKED.block_message
    assert "".join(chain.stream(ASK)) == wanted
    assert "".join([part async for part in chain.astream(ASK)]) == wanted


@pytest.mark.anyio
async def test_what_came_before_an_error_is_judged_and_shown() -> None:
    chain = FakeChat(replies=[AIMessage(TEXT)], size=4, fails_after=13) | StrOutputParser() | step()
    seen: list[str] = []
    with pytest.raises(ConnectionError):
        for part in chain.stream(ASK):
            seen.append(part)
    assert "".join(seen) == SAFE[:52]
    seen.clear()
    with pytest.raises(ConnectionError):
        async for part in chain.astream(ASK):
            seen.append(part)
    assert "".join(seen) == SAFE[:52]


@pytest.mark.anyio
async def test_raise_and_audit() -> None:
    told: list[Result] = []
    raising = step(Policy(action=Action.RAISE), audit=told.append)
    with pytest.raises(GuardrailBlocked):
        raising.invoke(TEXT)
    with pytest.raises(GuardrailBlocked):
        await raising.ainvoke(TEXT)
    with pytest.raises(GuardrailBlocked):
        list(raising.stream(TEXT))
    with pytest.raises(GuardrailBlocked):
        _ = [part async for part in raising.astream(TEXT)]
    assert [result.action for result in told] == [Action.RAISE] * 4
    told.clear()
    mending = step(audit=told.append)
    mending.invoke(TEXT)
    list(mending.stream(TEXT))
    mending.invoke(AIMessage(TEXT))
    assert [result.text for result in told] == [SAFE] * 3
    assert not leaks(told)


@pytest.mark.anyio
@pytest.mark.parametrize("wrong", [b"bytes", None, 3, {"text": TEXT}, HumanMessage(TEXT)])
async def test_what_is_no_text_is_a_type_error_that_names_the_remedy(wrong: Any) -> None:
    for call in (step().invoke, lambda said: list(step().stream(said))):
        with pytest.raises(TypeError, match=f"not {type(wrong).__name__}; put it right behind the model"):
            call(wrong)
    with pytest.raises(TypeError, match="judges a str or an AIMessage"):
        await step().ainvoke(wrong)


def test_an_empty_stream_stays_empty() -> None:
    assert list(step().transform(iter([]))) == []
    assert step().invoke("") == ""


def test_the_guard_itself_makes_one() -> None:
    door = Guard(detector=WordDetector(), rewriter=MapRewriter(plain))
    assert isinstance(door.as_runnable(), GuardRunnable)
    assert (raw(3) | door.as_runnable() | StrOutputParser()).invoke(ASK) == SAFE
