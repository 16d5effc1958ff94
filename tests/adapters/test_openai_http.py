"""Test the guard under an HTTP client of one's own, and the bodies and requests that no SDK would send."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from guardrail.adapters._openai_http import AsyncGuardedTransport, Gate, GuardedTransport
from guardrail.errors import GuardrailBlocked, GuardrailError
from guardrail.policy import Policy
from guardrail.result import Action
from tests.guards import guard
from tests.openai_api import Api, choice, completion, delta, sse, talk
from tests.openai_api import chunk as part

URL = "http://api.test/v1"
IDIOT = completion(choice(content="The idiot spoke."))


def http(api: Api, policy: Policy | None = None) -> httpx.Client:
    gate = Gate(guard(policy), frozenset())
    return httpx.Client(transport=GuardedTransport(httpx.Client(transport=api.transport), gate))


def test_an_error_of_the_guard_is_raised_where_nobody_collects_it() -> None:
    with pytest.raises(GuardrailBlocked):
        http(Api.says(IDIOT), Policy(action=Action.RAISE)).post(f"{URL}/chat/completions", json={})
    with pytest.raises(GuardrailError, match="threads"):
        http(Api.says({})).get(f"{URL}/threads/t1/messages")


@pytest.mark.parametrize(
    "path",
    ["chat/completions", "chat/completions/c1", "completions", "deployments/x/chat/completions", "responses/r1/cancel"],
)
def test_these_paths_hold_replies(path: str) -> None:
    assert "idiot" not in http(Api.says(IDIOT)).post(f"{URL}/{path}", json={}).text


@pytest.mark.parametrize("path", ["models", "embeddings", "chat/completions/c1/messages", "completions/x/y"])
def test_these_do_not(path: str) -> None:
    assert "idiot" in http(Api.says(IDIOT)).get(f"{URL}/{path}").text


@pytest.mark.parametrize(
    ("body", "safe"),
    [
        (["The idiot spoke.", IDIOT, 1], "The plain spoke."),
        ({"data": [IDIOT, "The idiot spoke."]}, "The plain spoke."),
        ({"choices": ["idiot", choice(content="The idiot spoke.")]}, "The plain spoke."),
        (None, "null"),
        ({"id": "c1", "deleted": True}, "deleted"),
    ],
)
def test_bodies_of_another_shape_are_judged_too(body: Any, safe: str) -> None:
    text = http(Api.says(body)).post(f"{URL}/chat/completions", json={}).text
    assert safe in text
    assert "idiot" not in text


def test_a_stream_may_be_asked_for_in_the_address_and_a_request_may_be_a_stream_itself() -> None:
    body = sse(talk(["The idiot spoke."]))
    api = Api.streams(body, **{"content-type": "application/octet-stream"})
    text = http(api).get(f"{URL}/responses/r1", params={"stream": "true"}).text
    assert "plain" in text
    assert text.endswith("data: [DONE]\n\n")
    for asked in (b"no JSON", iter([b'{"stream": true}'])):
        assert "idiot" not in http(api).post(f"{URL}/chat/completions", content=asked).text


def test_a_chunk_may_hold_something_that_is_no_choice() -> None:
    odd = {
        **part(delta(content="The idiot spoke.")),
        "choices": ["idiot", delta(content="Fine. "), {"index": 0, "delta": 1}],
    }
    text = http(Api.streams(sse([odd]))).post(f"{URL}/chat/completions", json={}).text
    assert "Fine." in text
    assert "idiot" not in text


@pytest.mark.anyio
async def test_the_async_transport_gives_the_same() -> None:
    def client(api: Api, policy: Policy | None = None) -> httpx.AsyncClient:
        inner = httpx.AsyncClient(transport=api.transport)
        return httpx.AsyncClient(transport=AsyncGuardedTransport(inner, Gate(guard(policy), frozenset())))

    async with client(Api.says(IDIOT)) as door:
        assert "idiot" not in (await door.post(f"{URL}/chat/completions", json={})).text
        assert "idiot" in (await door.get(f"{URL}/models")).text
    with pytest.raises(GuardrailBlocked):
        await client(Api.says(IDIOT), Policy(action=Action.RAISE)).post(f"{URL}/chat/completions", json={})
