"""Test LiteLLM's guardrail with the package's own replies and chunks, and with the way the proxy builds and asks it."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

# Before the import, which would fetch a price list otherwise.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm.exceptions import GuardrailRaisedException
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.llms.openai.responses.transformation import OpenAIResponsesAPIConfig
from litellm.proxy.types_utils.utils import get_instance_fn
from litellm.types.guardrails import GuardrailEventHooks, LitellmParams
from litellm.types.llms.openai import ResponsesAPIResponse
from litellm.types.utils import (
    EmbeddingResponse,
    ModelResponse,
    ModelResponseStream,
    TextCompletionResponse,
    TranscriptionResponse,
    Usage,
)

from guardrail.adapters.litellm import GuardrailLitellm
from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked
from guardrail.policy import Policy
from guardrail.result import Action
from tests.fakes import WordDetector
from tests.guards import CLEAN, SECRET, failing, guard
from tests.openai_api import (
    TOOL_CALLS,
    USAGE,
    Json,
    choice,
    chunk,
    completion,
    delta,
    message,
    responding,
    response,
    talk,
    text_of,
    written,
)
from tests.streams import chunked, fed

# LiteLLM's types are built when they are first used, and pydantic has something to say about them.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")]

TEXT = "A calm day, naïve Zoë. The idiot spoke. Dr. Smith asked why. A chairman left."
SAFE = TEXT.replace("idiot", "plain").replace("chairman", "plain")


@pytest.fixture
def anyio_backend() -> str:
    # LiteLLM knows no other.
    return "asyncio"


def hooks(with_guard: Streaming | None = None, **settings: Any) -> GuardrailLitellm:
    return GuardrailLitellm(with_guard or guard(), event_hook="post_call", default_on=True, **settings)


async def replied(reply: Any, with_guard: Streaming | None = None, **settings: Any) -> Any:
    return await hooks(with_guard, **settings).async_post_call_success_hook({}, None, reply)


class Reply:
    """A streamed reply that counts what was pulled, breaks off with ``error``, and can be closed."""

    def __init__(self, chunks: Sequence[Any], error: Exception | None = None) -> None:
        self.chunks, self.error, self.pulled, self.closed = chunks, error, 0, False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self.pulled < len(self.chunks):
            self.pulled += 1
            return self.chunks[self.pulled - 1]
        raise self.error or StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


async def streamed(chunks: Sequence[Any], with_guard: Streaming | None = None, **settings: Any) -> list[Any]:
    shown = hooks(with_guard, **settings).async_post_call_streaming_iterator_hook(None, Reply(chunks), {})
    return [value async for value in shown]


def parsed(chunks: Sequence[Json]) -> list[ModelResponseStream]:
    return [ModelResponseStream(**value) for value in chunks]


def events(values: Sequence[Json]) -> list[Any]:
    return [OpenAIResponsesAPIConfig.get_event_model_class(value["type"])(**value) for value in values]


async def test_a_reply_is_what_check_makes_of_it() -> None:
    for policy in (Policy(), Policy(action=Action.BLOCK), Policy(action=Action.FLAG), Policy(max_chars=20)):
        for text in (*CLEAN[:6], TEXT):
            reply = await replied(ModelResponse(**completion(choice(content=text))), guard(policy))
            result = guard(policy).check(text)
            assert type(reply) is ModelResponse
            assert reply.choices[0].message.content == result.text
            assert reply.choices[0].finish_reason == ("content_filter" if result.action is Action.BLOCK else "stop")
            (verdict,) = json.loads(reply.model_dump_json())["choices"][0]["guardrail"]
            assert (verdict["action"], len(verdict["findings"])) == (result.action, len(result.findings))


async def test_what_the_proxy_keeps_beside_a_reply_is_handed_on() -> None:
    calls = [{key: value for key, value in call.items() if key != "index"} for call in TOOL_CALLS]
    reply = ModelResponse(**completion(choice(content="The idiot.", tool_calls=calls)))
    reply._hidden_params = {"model_id": "m1"}
    safe = await replied(reply)
    assert safe._hidden_params == {"model_id": "m1"}
    assert safe.choices[0].message.tool_calls[0].function.arguments == '{"x": "idiot"}'
    assert (safe.id, safe.usage.total_tokens) == ("c1", USAGE["total_tokens"])


async def test_text_completions_and_responses_are_judged() -> None:
    text = {"index": 0, "text": "The idiot spoke.", "finish_reason": "stop"}
    body = await replied(TextCompletionResponse(id="c1", model="m", object="text_completion", choices=[text]))
    assert body.choices[0].text == "The plain spoke."
    whole = await replied(ResponsesAPIResponse(**response(message("The idiot spoke."))))
    assert isinstance(whole, ResponsesAPIResponse)
    assert whole.output_text == "The plain spoke."
    assert whole.model_dump()["guardrail"][0]["action"] == "rewrite"


async def test_thoughts_are_judged_and_unknown_fields_left_out_unless_kept() -> None:
    thought = [{"type": "thinking", "thinking": "idiot", "signature": "s"}]
    reply = ModelResponse(
        **completion(choice(content="Fine.", reasoning_content="A chairman asks.", thinking_blocks=thought))
    )
    safe = await replied(reply)
    assert safe.choices[0].message.reasoning_content == "A plain asks."
    assert "idiot" not in safe.model_dump_json()
    assert "idiot" in (await replied(reply, keep=["thinking_blocks"])).model_dump_json()


async def test_what_is_no_reply_passes_and_what_is_not_known_is_refused() -> None:
    for other in (EmbeddingResponse(model="e", data=[], object="list"), TranscriptionResponse(text="idiot")):
        assert await replied(other) is other
    with pytest.raises(GuardrailRaisedException, match="cannot be judged"):
        await replied(Usage())
    for strange in ({"content": [{"type": "text", "text": SECRET}]}, SECRET, b"data: idiot"):
        with pytest.raises(GuardrailRaisedException, match="cannot be judged") as caught:
            await replied(strange)
        assert caught.value.status_code == 500
        with pytest.raises(GuardrailRaisedException, match="cannot be judged") as caught:
            await streamed([strange])
        assert "Zyxwvut" not in str(caught.value)


async def test_a_policy_that_raises_and_a_guard_that_fails_say_so_in_litellms_way() -> None:
    reply = ModelResponse(**completion(choice(content=SECRET)))
    with pytest.raises(GuardrailRaisedException, match="text blocked by the policy") as caught:
        await replied(reply, guard(Policy(action=Action.RAISE)))
    assert (caught.value.status_code, caught.value.blocked_content) == (400, True)
    assert isinstance(caught.value.__cause__, GuardrailBlocked)
    broken = guard(Policy(on_error="raise"), detector=failing(RuntimeError(SECRET)))
    with pytest.raises(GuardrailRaisedException) as caught:
        await replied(reply, broken)
    assert (caught.value.status_code, caught.value.blocked_content) == (500, False)
    assert "Zyxwvut" not in str(caught.value)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_a_stream_is_what_an_engine_makes_of_it_at_every_chunking(size: int) -> None:
    said = await streamed(parsed(talk(chunked(TEXT, [size] * 100))))
    assert text_of(said) == SAFE == fed(guard(), [TEXT])[0]
    assert all(isinstance(value, ModelResponseStream) for value in said)
    ends = [c for value in said for c in value.choices if c.finish_reason]
    assert [c.finish_reason for c in ends] == ["stop"]
    assert ends[0].guardrail[0]["reason"] == guard().check(TEXT).reason
    assert said[-1].usage.total_tokens == USAGE["total_tokens"]
    assert said[0].choices[0].delta.role == "assistant"


async def test_nothing_is_shown_before_it_was_judged() -> None:
    detector = WordDetector()
    text = "A calm day. Two of them. The idiot spoke. A chairman left, and so on. Bye."
    flag = hooks(guard(Policy(action=Action.FLAG), detector=detector))
    shown = ""
    async for value in flag.async_post_call_streaming_iterator_hook(None, Reply(parsed(talk(text))), {}):
        shown += text_of([value])
        assert "".join(shown.split()) in "".join("".join(detector.pieces).split())
    assert shown == text


async def test_a_stream_with_tool_calls_choices_and_a_block() -> None:
    mixed = [
        chunk(delta(0, role="assistant", content="The idiot asks")),
        chunk(delta(1, role="assistant", content="A calm day.")),
        chunk(delta(0, tool_calls=TOOL_CALLS)),
        chunk(delta(0, "tool_calls"), delta(1, "stop")),
    ]
    said = await streamed(parsed(mixed))
    assert (text_of(said), text_of(said, 1)) == ("The plain asks", "A calm day.")
    kinds = [
        "call" if c.delta.tool_calls else "text"
        for value in said
        for c in value.choices
        if c.index == 0 and (c.delta.tool_calls or c.delta.content)
    ]
    assert kinds == ["text", "call"]
    policy = Policy(action=Action.BLOCK)
    said = await streamed(parsed(talk(["A calm day. ", "The idiot spoke. ", "More."])), guard(policy))
    assert text_of(said) == "A calm day. " + policy.block_message
    assert [c.finish_reason for value in said for c in value.choices if c.finish_reason] == ["content_filter"]


async def test_a_stream_that_breaks_off_or_is_left_is_flushed_or_closed() -> None:
    broken = Reply(parsed([chunk(delta(content="The idiot spoke"))]), RuntimeError("reset"))
    shown = ""
    with pytest.raises(RuntimeError, match="reset"):
        async for value in hooks().async_post_call_streaming_iterator_hook(None, broken, {}):
            shown += text_of([value])
    assert shown == "The plain spoke"
    assert broken.closed
    left = Reply(parsed(talk(["A calm day. "] * 50)))
    stream = hooks().async_post_call_streaming_iterator_hook(None, left, {})
    await anext(stream)
    await stream.aclose()
    assert left.closed
    assert left.pulled < 10
    with pytest.raises(GuardrailRaisedException):
        await streamed(parsed(talk(["The idiot spoke."])), guard(Policy(action=Action.RAISE)))


async def test_a_streamed_response_is_judged_event_by_event() -> None:
    said = await streamed(events(responding(written(list(chunked(TEXT, [3] * 40))))))
    deltas = "".join(event.delta for event in said if event.type == "response.output_text.delta")
    assert deltas == said[-1].response.output_text == SAFE
    policy = Policy(action=Action.BLOCK)
    blocked = await streamed(events(responding(written(["The idiot spoke."]))), guard(policy))
    assert blocked[-1].type == "response.incomplete"
    assert blocked[-1].response.incomplete_details.reason == "content_filter"


async def chunks_of(values: Sequence[Json]) -> AsyncIterator[Any]:
    for value in parsed(values):
        yield value


class Bare:
    """A reply that cannot be closed."""

    def __init__(self, values: Sequence[Json]) -> None:
        self._chunks = chunks_of(values)

    def __aiter__(self) -> Bare:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._chunks)


async def test_a_reply_that_cannot_be_closed_is_judged() -> None:
    shown = hooks().async_post_call_streaming_iterator_hook(None, Bare(talk(["The idiot spoke."])), {})
    assert text_of([value async for value in shown]) == "The plain spoke."


async def test_what_litellm_itself_streams_is_judged() -> None:
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "api_key": "k"}
    reply = await litellm.acompletion(**asked, mock_response=TEXT, stream=True)
    shown = hooks().async_post_call_streaming_iterator_hook(None, reply, {})
    assert text_of([value async for value in shown]) == SAFE


async def test_questions_are_judged_where_the_mode_says_so() -> None:
    ask = hooks().async_pre_call_hook
    parts = [{"type": "text", "text": "you idiot"}, {"type": "image_url", "image_url": {"url": "u"}}]
    told = [{"role": "system", "content": "idiot"}, {"role": "user", "content": parts}]
    done = await ask(None, None, {"messages": told, "model": "idiot"}, "acompletion")
    assert done["messages"][0] == told[0]
    assert done["messages"][1]["content"] == [{"type": "text", "text": "you plain"}, parts[1]]
    assert done["model"] == "idiot"
    assert (await ask(None, None, {"input": "A chairman left."}, "aresponses"))["input"] == "A plain left."
    assert (await ask(None, None, {"input": "A chairman left."}, "aembedding"))["input"] == "A chairman left."
    with pytest.raises(GuardrailRaisedException, match="in tokens cannot be judged"):
        await ask(None, None, {"prompt": [[1, 2]]}, "atext_completion")
    raising = hooks(guard(Policy(action=Action.RAISE)))
    with pytest.raises(GuardrailRaisedException, match="text blocked by the policy"):
        await raising.async_pre_call_hook(None, None, {"prompt": SECRET}, "atext_completion")
    strict = hooks(guard(Policy(action=Action.BLOCK)))
    with pytest.raises(GuardrailRaisedException, match="text blocked by the policy") as caught:
        await strict.async_pre_call_hook(None, None, {"prompt": SECRET}, "atext_completion")
    assert caught.value.status_code == 400
    assert "Zyxwvut" not in str(caught.value)


async def test_apply_guardrail_judges_each_text() -> None:
    inputs: Any = {"texts": ["The idiot spoke.", "Fine."], "images": ["u"]}
    apply: Callable[..., Any] = hooks().apply_guardrail
    assert await apply(inputs=inputs, request_data={}, input_type="response") == {
        "texts": ["The plain spoke.", "Fine."],
        "images": ["u"],
    }
    policy = Policy(action=Action.BLOCK)
    apply = hooks(guard(policy)).apply_guardrail
    done = await apply(inputs=inputs, request_data={}, input_type="response")
    assert done["texts"][0] == policy.block_message
    with pytest.raises(GuardrailRaisedException):
        await apply(inputs=inputs, request_data={}, input_type="request")


async def test_the_proxy_builds_it_from_its_configuration(tmp_path: Any) -> None:
    (tmp_path / "guardrail.toml").write_text('[policy]\naction = "mask"\n', encoding="utf-8")
    params = LitellmParams(
        guardrail="guardrail.adapters.litellm.GuardrailLitellm",
        mode="post_call",
        default_on=True,
        guard_config=str(tmp_path / "guardrail.toml"),
    )
    kind = get_instance_fn(params.guardrail, config_file_path=str(tmp_path / "config.yaml"))
    given = params.model_dump(exclude_none=True, exclude={"guardrail", "mode", "default_on", "stream_scope"})
    made = kind(guardrail_name="neutral", event_hook=params.mode, default_on=params.default_on, **given)
    assert isinstance(made, GuardrailLitellm)
    assert made._guard.policy.action is Action.MASK
    assert made.should_run_guardrail({}, GuardrailEventHooks.post_call)
    assert not made.should_run_guardrail({}, GuardrailEventHooks.pre_call)
    with pytest.raises(ValueError, match="not in the supported event hooks"):
        kind(guardrail_name="neutral", event_hook="during_call", **given)


async def test_a_subclass_keeps_the_hooks_where_the_proxy_looks_for_them() -> None:
    class Own(GuardrailLitellm):
        async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Json, call_type: str) -> Json:
            return {}

    for name in ("apply_guardrail", "async_post_call_streaming_iterator_hook", "async_post_call_success_hook"):
        assert name in vars(Own)
    own = Own(guard())
    shown = own.async_post_call_streaming_iterator_hook(None, Reply(parsed(talk(["The idiot spoke."]))), {})
    assert text_of([value async for value in shown]) == "The plain spoke."
    assert await own.async_pre_call_hook(None, None, {"prompt": "p"}, "acompletion") == {}


async def test_a_litellm_that_would_show_streams_first_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(CustomGuardrail, "use_native_lifecycle_hooks")
    spec = importlib.util.find_spec("guardrail.adapters.litellm")
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match="too old to guard streams"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
