"""Test the guarded OpenAI client on whole replies: what ``check`` says, and all else as it came."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from guardrail.adapters.openai import guarded
from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked, GuardrailError, ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action, Label
from guardrail.wire import jsonable
from tests.fakes import WordDetector
from tests.guards import CLEAN, SECRET, failing, guard
from tests.openai_api import MODEL, TOOL_CALLS, USAGE, Api, Json, Wire, choice, completion, message, response

TEXTS = (*CLEAN, "The idiot spoke. Bye.", "A chairman. The hateful idiot. An overdose.", "", "  ", "Все женщины.")
POLICIES = (
    Policy(),
    Policy(action=Action.FLAG),
    Policy(action=Action.MASK),
    Policy(action=Action.BLOCK),
    Policy(action=Action.ALLOW),
    Policy(actions={Label.TOXICITY: Action.BLOCK}),
    Policy(max_chars=20),
)


def client(api: Api, with_guard: Streaming | None = None, **settings: Any) -> OpenAI:
    inner = OpenAI(api_key="k", base_url="http://api.test/v1", http_client=httpx.Client(transport=api.transport))
    return guarded(inner, with_guard or guard(), **settings)


def aclient(api: Api, with_guard: Streaming | None = None, **settings: Any) -> AsyncOpenAI:
    http = httpx.AsyncClient(transport=api.transport)
    return guarded(
        AsyncOpenAI(api_key="k", base_url="http://api.test/v1", http_client=http), with_guard or guard(), **settings
    )


def said(*contents: Any, with_guard: Streaming | None = None) -> list[Any]:
    """Return the choices that a guarded client makes of these contents, one call each."""
    api = Api.says(*(completion(choice(content=content)) for content in contents))
    create = client(api, with_guard).chat.completions.create
    return [create(**MODEL).choices[0] for _ in contents]


def timeless(verdict: Json) -> Json:
    return {**verdict, "latency_ms": 0.0}


@pytest.mark.parametrize("policy", POLICIES, ids=range(len(POLICIES)))
def test_a_reply_is_what_check_makes_of_it(policy: Policy) -> None:
    for text, reply in zip(TEXTS, said(*TEXTS, with_guard=guard(policy)), strict=True):
        result = guard(policy).check(text)
        assert reply.message.content == result.text
        assert reply.finish_reason == ("content_filter" if result.action is Action.BLOCK else "stop")
        if text:
            wanted = jsonable(result)
            assert isinstance(wanted, dict)
            del wanted["text"]
            assert [timeless(v) for v in reply.guardrail] == [timeless({"field": "content", **wanted})]


def test_a_guard_that_cannot_judge_lets_nothing_through() -> None:
    broken = guard(detector=failing(RuntimeError(SECRET)))
    (reply,) = said(SECRET, with_guard=broken)
    assert reply.message.content == Policy().block_message
    assert reply.finish_reason == "content_filter"
    assert "ModelRuntimeError" in reply.guardrail[0]["error"]
    assert "Zyxwvut" not in reply.model_dump_json()


@pytest.mark.parametrize("policy", [Policy(action=Action.RAISE), Policy(on_error="raise")])
@pytest.mark.anyio
async def test_an_error_of_the_guard_comes_out_as_it_is_and_the_call_is_not_made_again(policy: Policy) -> None:
    detector = WordDetector() if policy.action is Action.RAISE else failing(ModelRuntimeError("it failed"))
    kind = GuardrailBlocked if policy.action is Action.RAISE else ModelRuntimeError
    api = Api.says(completion(choice(content=SECRET)))
    with pytest.raises(kind) as caught:
        client(api, guard(policy, detector=detector)).chat.completions.create(**MODEL)
    assert "Zyxwvut" not in str(caught.value)
    with pytest.raises(kind):
        await aclient(api, guard(policy, detector=detector)).chat.completions.create(**MODEL)
    assert len(api.requests) == 2


def test_each_field_of_each_choice_is_a_text_of_its_own() -> None:
    first = choice(content="The idiot spoke.", refusal="This is draconian.", reasoning_content="A chairman asks.")
    api = Api.says(completion(first, choice(1, content="Fine."), choice(2, content="A draconian rule.")))
    reply = client(api).chat.completions.create(**MODEL)
    one = reply.choices[0].message
    assert (one.content, one.refusal) == ("The plain spoke.", "This is plain.")
    assert one.model_dump()["reasoning_content"] == "A plain asks."
    assert [c.message.content for c in reply.choices[1:]] == ["Fine.", "A plain rule."]
    assert [v["field"] for v in reply.choices[0].model_dump()["guardrail"]] == [
        "reasoning_content",
        "content",
        "refusal",
    ]


def test_tool_calls_usage_and_ids_stay_as_they_are_even_if_the_text_is_blocked() -> None:
    calls = [{key: value for key, value in call.items() if key != "index"} for call in TOOL_CALLS]
    api = Api.says(completion(choice(content="The idiot.", tool_calls=calls, finish="tool_calls")))
    reply = client(api).chat.completions.create(**MODEL)
    assert reply.choices[0].message.model_dump()["tool_calls"] == calls
    assert (reply.id, reply.choices[0].finish_reason) == ("c1", "tool_calls")
    assert reply.usage is not None
    assert reply.usage.total_tokens == USAGE["total_tokens"]
    blocked = client(api, guard(Policy(action=Action.BLOCK))).chat.completions.create(**MODEL).choices[0]
    assert blocked.message.model_dump()["tool_calls"] == calls
    assert blocked.finish_reason == "content_filter"
    empty = Api.says(completion(choice(content=None, tool_calls=calls)))
    assert client(empty).chat.completions.create(**MODEL).choices[0].message.content is None


@pytest.mark.parametrize(("text", "kept"), [("A calm day.", True), ("The idiot spoke.", False)])
def test_log_probabilities_and_citations_are_kept_for_an_unchanged_text_only(text: str, kept: bool) -> None:
    tokens = {"content": [{"token": text, "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
    citation = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 3, "title": "t", "url": "u"}}
    whole = {**choice(content=text, annotations=[citation]), "logprobs": tokens}
    reply = client(Api.says(completion(whole))).chat.completions.create(**MODEL).choices[0]
    assert (reply.logprobs is not None) is kept
    assert bool(reply.message.annotations) is kept
    assert ("idiot" in reply.model_dump_json()) is False


def test_fields_that_are_not_known_are_left_out_unless_kept() -> None:
    strange = {**choice(content="Fine.", thoughts="idiot", audio={"id": "a", "transcript": "idiot"}), "raw": "idiot"}
    strange["content_filter_results"] = {"hate": {"filtered": False}}
    api = Api.says(completion(strange, snippets="idiot"))
    whole = client(api).chat.completions.create(**MODEL)
    assert "idiot" not in whole.model_dump_json()
    reply = whole.choices[0]
    assert reply.model_dump()["content_filter_results"] == {"hate": {"filtered": False}}
    kept = client(api, keep=["thoughts"]).chat.completions.create(**MODEL).choices[0]
    assert kept.message.model_dump()["thoughts"] == "idiot"


def test_content_in_parts_is_one_text() -> None:
    (reply,) = said([{"type": "text", "text": "The id"}, {"type": "text", "text": "iot spoke."}])
    assert reply.message.content == "The plain spoke."


class Answer(BaseModel):
    name: str


def test_parse_reads_the_judged_text_and_fails_clearly_on_a_blocked_one() -> None:
    api = Api.says(completion(choice(content='{"name": "Ada"}')))
    reply = client(api).chat.completions.parse(**MODEL, response_format=Answer)
    assert reply.choices[0].message.parsed == Answer(name="Ada")
    bad = Api.says(completion(choice(content='{"name": "idiot"}')))
    with pytest.raises(openai.ContentFilterFinishReasonError):
        client(bad, guard(Policy(action=Action.BLOCK))).chat.completions.parse(**MODEL, response_format=Answer)


def test_raw_and_streaming_responses_hold_judged_text_only() -> None:
    api = Api.says(completion(choice(content="The idiot spoke.")), **{"x-request-id": "r1"})
    raw = client(api).chat.completions.with_raw_response.create(**MODEL)
    assert "idiot" not in raw.text
    assert (raw.headers["x-request-id"], raw.request_id) == ("r1", "r1")
    assert raw.parse().choices[0].message.content == "The plain spoke."
    with client(api).chat.completions.with_streaming_response.create(**MODEL) as flowing:
        body = b"".join(flowing.iter_bytes())
    assert json.loads(body)["choices"][0]["message"]["content"] == "The plain spoke."
    assert raw.elapsed.total_seconds() >= 0


def test_a_copy_of_the_client_and_a_request_by_hand_are_guarded_as_well() -> None:
    api = Api.says(completion(choice(content="The idiot spoke.")))
    safe = client(api)
    assert isinstance(safe, OpenAI)
    copied = safe.with_options(timeout=9, max_retries=0)
    assert copied.chat.completions.create(**MODEL).choices[0].message.content == "The plain spoke."
    by_hand = safe.post("/chat/completions", body=MODEL, cast_to=httpx.Response)
    assert "idiot" not in by_hand.text
    with pytest.raises(GuardrailError, match="realtime is not guarded"):
        copied.realtime.connect(model="fake")


def test_the_client_that_was_given_stays_as_it_is() -> None:
    api = Api.says(completion(choice(content="The idiot spoke.")))
    inner = OpenAI(api_key="k", base_url="http://api.test/v1", http_client=httpx.Client(transport=api.transport))
    guarded(inner, guard())
    assert inner.chat.completions.create(**MODEL).choices[0].message.content == "The idiot spoke."
    assert inner.realtime is not None


def test_text_completions_are_judged() -> None:
    logprobs = {"tokens": ["idiot"], "token_logprobs": [-0.1], "text_offset": [0], "top_logprobs": []}
    body = {"index": 0, "text": "The idiot spoke.", "finish_reason": "stop", "logprobs": logprobs}
    api = Api.says(completion(body, object="text_completion"))
    reply = client(api).completions.create(model="fake", prompt="p").choices[0]
    assert (reply.text, reply.logprobs) == ("The plain spoke.", None)


def test_stored_completions_are_judged_one_by_one_and_in_lists() -> None:
    stored = completion(choice(content="The idiot spoke."))
    assert client(Api.says(stored)).chat.completions.retrieve("c1").choices[0].message.content == "The plain spoke."
    page = {"object": "list", "data": [stored, stored], "has_more": False, "first_id": "a", "last_id": "b"}
    texts = [c.choices[0].message.content for c in client(Api.says(page)).chat.completions.list()]
    assert texts == ["The plain spoke."] * 2


def test_what_is_no_reply_passes_untouched() -> None:
    models = {"object": "list", "data": [{"id": "idiot-7b", "object": "model", "created": 1, "owned_by": "x"}]}
    assert [m.id for m in client(Api.says(models)).models.list()] == ["idiot-7b"]
    vectors = {
        "object": "list",
        "model": "e",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
    assert client(Api.says(vectors)).embeddings.create(model="e", input="idiot", encoding_format="float").data[
        0
    ].embedding == [0.5]


def test_an_error_of_the_server_passes_and_is_tried_again() -> None:
    answers = iter([httpx.Response(500, json={}), httpx.Response(200, json=completion(choice(content="Fine.")))])
    api = Api(lambda _: next(answers))
    safe = client(api)
    safe._calculate_retry_timeout = lambda *_, **__: 0.0  # type: ignore[method-assign]
    assert safe.chat.completions.create(**MODEL).choices[0].message.content == "Fine."
    refused = Api(lambda _: httpx.Response(400, json={"error": {"message": "no such model", "code": "x"}}))
    with pytest.raises(openai.BadRequestError, match="no such model"):
        client(refused).chat.completions.create(**MODEL)


def test_a_body_that_is_no_json_is_a_text() -> None:
    api = Api(lambda _: httpx.Response(200, text="The idiot spoke."))
    assert client(api).post("/chat/completions", body=MODEL, cast_to=httpx.Response).text == "The plain spoke."
    api = Api(lambda _: httpx.Response(200, json="The idiot spoke."))
    assert client(api).post("/responses", body={}, cast_to=httpx.Response).json() == "The plain spoke."


def test_what_cannot_be_judged_is_refused_before_anything_is_sent() -> None:
    api = Api.says({})
    safe = client(api)
    with pytest.raises(GuardrailError, match="threads of assistants"):
        safe.get("/threads/t1/messages", cast_to=httpx.Response)
    with pytest.raises(GuardrailError, match="starts in its middle"):
        safe.responses.retrieve("r1", stream=True, starting_after=3)
    connects: list[Callable[[], object]] = [
        lambda: safe.responses.connect(),
        lambda: safe.realtime.connect(model="fake"),
        lambda: safe.beta.realtime.connect(model="fake"),
        # Older packages have none.
        lambda: getattr(safe.beta, "responses", safe.responses).connect(),
    ]
    for connect in connects:
        with pytest.raises(GuardrailError, match="is not guarded"):
            connect()
    assert api.requests == []


def test_a_redirect_does_not_lead_round_the_guard() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/elsewhere":
            return httpx.Response(200, json=completion(choice(content="The idiot spoke.")))
        return httpx.Response(307, headers={"location": "/elsewhere"})

    inner = httpx.Client(transport=Api(answer).transport, follow_redirects=True)
    safe = guarded(OpenAI(api_key="k", base_url="http://api.test/v1", http_client=inner), guard())
    assert safe.chat.completions.create(**MODEL).choices[0].message.content == "The plain spoke."


def test_settings_of_the_users_own_http_client_still_count() -> None:
    api = Api.says(completion(choice(content="Fine.")))
    inner = httpx.Client(transport=api.transport, headers={"x-own": "1"}, params={"v": "2"}, cookies={"c": "3"})
    seen: list[int] = []
    inner.event_hooks = {"response": [lambda r: seen.append(r.status_code)]}
    safe = guarded(OpenAI(api_key="k", base_url="http://api.test/v1", http_client=inner), guard())
    safe.chat.completions.create(**MODEL)
    request = api.requests[0]
    assert (request.headers["x-own"], request.url.params["v"], request.headers["cookie"]) == ("1", "2", "c=3")
    assert seen == [200]
    safe.close()
    assert inner.is_closed


def test_azure_clients_are_guarded() -> None:
    api = Api.says(completion(choice(content="The idiot spoke.")))
    azure = openai.AzureOpenAI(
        api_key="k",
        azure_endpoint="http://azure.test",
        api_version="2024-10-21",
        http_client=httpx.Client(transport=api.transport),
    )
    safe = guarded(azure, guard())
    assert isinstance(safe, openai.AzureOpenAI)
    assert safe.chat.completions.create(**MODEL).choices[0].message.content == "The plain spoke."
    assert api.requests[0].url.path == "/openai/deployments/fake/chat/completions"


def test_something_else_than_a_client_is_refused() -> None:
    with pytest.raises(TypeError, match="not Api"):
        guarded(Api.says({}), guard())  # type: ignore[type-var]
    odd = OpenAI(api_key="k")
    odd._client = Api.says({})  # type: ignore[assignment]
    with pytest.raises(TypeError, match="http_client is a Api; give it an httpx client"):
        guarded(odd, guard())


@pytest.mark.anyio
async def test_the_async_client_gives_the_same() -> None:
    safe = aclient(Api.says(*(completion(choice(content=text)) for text in TEXTS)))
    for text in TEXTS:
        reply = await safe.chat.completions.create(**MODEL)
        assert reply.choices[0].message.content == guard().check(text).text
    api = Api.says(response(message("The idiot spoke.")))
    assert (await aclient(api).responses.create(model="m", input="i")).output_text == "The plain spoke."
    with pytest.raises(GuardrailError, match="threads of assistants"):
        await aclient(api).get("/threads/t1/messages", cast_to=httpx.Response)
    page = {"object": "list", "data": [completion(choice(content="The idiot."))], "has_more": False}
    texts = [c.choices[0].message.content async for c in aclient(Api.says(page)).chat.completions.list()]
    assert texts == ["The plain."]
    await safe.close()
    assert safe.is_closed()


def test_a_compressed_body_is_judged() -> None:
    body = gzip.compress(json.dumps(completion(choice(content="The idiot spoke."))).encode())
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    api = Api(lambda _: httpx.Response(200, headers=headers, stream=Wire([body[:9], body[9:]])))
    raw = client(api).chat.completions.with_raw_response.create(**MODEL)
    assert raw.parse().choices[0].message.content == "The plain spoke."
    assert "content-encoding" not in raw.headers


@pytest.mark.parametrize("name", ["openai", "litellm"])
def test_a_missing_package_is_named_with_its_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "litellm.exceptions", None)
    spec = importlib.util.find_spec(f"guardrail.adapters.{name}")
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=rf'needs {name}: pip install "guardrail-sdk\[{name}\]"'):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
