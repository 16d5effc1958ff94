"""Guard a LiteLLM proxy: name ``guardrail.adapters.litellm.GuardrailLitellm`` in its ``config.yaml``.

.. code-block:: yaml

    guardrails:
      - guardrail_name: neutral
        litellm_params:
          guardrail: guardrail.adapters.litellm.GuardrailLitellm
          mode: post_call            # what the model says; [pre_call, post_call] judges the user's text as well
          default_on: true
          guard_config: guardrail.toml

It judges ``/chat/completions``, ``/completions`` and ``/responses``, streamed or not, and refuses what it cannot judge.
It is for the proxy: in a program of your own, as one of ``litellm.callbacks``, LiteLLM asks it for
``await acompletion(..., guardrails=[name])`` alone, and shows streams and ``completion`` unjudged whatever it says.
LiteLLM fetches a price list when it is imported, unless ``LITELLM_LOCAL_MODEL_COST_MAP=True``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Collection
from typing import Any, ClassVar, Literal, TypeVar

import anyio

from guardrail.adapters._openai_wire.body import ValueStream, guarded_value
from guardrail.adapters._steps import Steps, run_later
from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked, GuardrailError
from guardrail.load import Guard
from guardrail.result import Action

try:
    from litellm.exceptions import GuardrailRaisedException
    from litellm.integrations.custom_guardrail import CustomGuardrail
    from litellm.types.guardrails import GuardrailEventHooks
    from litellm.types.llms.openai import ResponseIncompleteEvent
except ImportError as error:
    raise ImportError(
        'guardrail.adapters.litellm needs litellm: pip install "guardrail-sdk[litellm]"', name=error.name
    ) from error
if not hasattr(CustomGuardrail, "use_native_lifecycle_hooks"):
    # Without it the proxy shows a stream first and judges it later.
    raise ImportError('this litellm is too old to guard streams: pip install "guardrail-sdk[litellm]"')

__all__ = ["GuardrailLitellm"]

Json = dict[str, Any]
T = TypeVar("T")

# Answers that hold no reply of a model.
_NO_REPLY = {
    "EmbeddingResponse",
    "HttpxBinaryResponseContent",
    "ImageResponse",
    "LiteLLMBatch",
    "LiteLLMFineTuningJob",
    "OpenAIFileObject",
    "OpenAIModerationResponse",
    "RerankResponse",
    "TranscriptionResponse",
}
_ASKED_IN = ("messages", "prompt", "input")
_CLOSE_SECONDS = 5.0
# Calls whose input no model answers in words.
_NOT_ANSWERED = ("embedding", "embeddings", "moderation", "rerank")
# The proxy looks them up in the class itself, and would leave a subclass that inherits them unguarded.
_HOOKS = (
    "apply_guardrail",
    "async_post_call_streaming_iterator_hook",
    "async_post_call_success_hook",
    "async_pre_call_hook",
)


class GuardrailLitellm(CustomGuardrail):
    """A guardrail of LiteLLM that shows judged text only, sentence by sentence where the reply is streamed.

    A blocked reply is the policy's message with ``finish_reason`` "content_filter" (of a response: ``incomplete``); a
    policy that raises, and a blocked question, end in ``GuardrailRaisedException``, status 400. Each choice and each
    response has the verdicts in its field ``guardrail``.

    Args:
        guard: judges the text; by default one of its own.
        guard_config: a TOML file to build it from instead, for a proxy.
        keep: fields, items and events that pass though they are not known, unjudged: ``["thinking_blocks"]``.
        settings: what ``CustomGuardrail`` takes: ``guardrail_name``, ``event_hook``, ``default_on`` and so on.
    """

    # The proxy's own way judges a stream in samples and lets its text out before, or drops what was mended.
    use_native_lifecycle_hooks: ClassVar[bool] = True

    def __init__(
        self,
        guard: Streaming | None = None,
        *,
        guard_config: str | None = None,
        keep: Collection[str] = (),
        **settings: Any,
    ) -> None:
        settings["supported_event_hooks"] = [GuardrailEventHooks.pre_call, GuardrailEventHooks.post_call]
        settings.setdefault("guardrail_name", "guardrail")
        super().__init__(**settings)
        self._guard = guard or (Guard.from_config(guard_config) if guard_config else Guard())
        self._keep = frozenset(keep)

    def __init_subclass__(cls, **settings: Any) -> None:
        for name in _HOOKS:
            if name not in vars(cls):
                setattr(cls, name, getattr(cls, name))
        super().__init_subclass__(**settings)

    async def apply_guardrail(
        self, inputs: Any, request_data: Json, input_type: Literal["request", "response"], logging_obj: Any = None
    ) -> Any:
        """Return LiteLLM's inputs with each of their ``texts`` judged; raises for a blocked question."""
        texts = [await self._text(text, asked=input_type == "request") for text in inputs.get("texts") or []]
        return {**inputs, "texts": texts}

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Json, call_type: str) -> Json:
        """Return the request with each text of the user judged, where the mode has ``pre_call``."""
        if call_type.removeprefix("a") in _NOT_ANSWERED:
            return data
        return {**data, **{name: await self._asked(data[name]) for name in _ASKED_IN if name in data}}

    async def async_post_call_success_hook(self, data: Json, user_api_key_dict: Any, response: Any) -> Any:
        """Return the reply with each text judged; raises for a reply of a kind that is not known."""
        if not _NO_REPLY.isdisjoint(kind.__name__ for kind in type(response).__mro__):
            return response
        value = self._value(response)
        if not isinstance(value.get("choices", value.get("output")), list):
            raise self._refused(response)
        safe = type(response)(**(await self._run(guarded_value(value, self._guard, self._keep))))
        return _with_headers(safe, response)

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: AsyncIterable[Any], request_data: Json
    ) -> AsyncGenerator[Any, None]:
        """Yield the chunks of a streamed reply with judged text only; what was held comes when it breaks off, too."""
        values = ValueStream(self._guard, self._keep)
        kinds: dict[str, Any] = {"response.incomplete": ResponseIncompleteEvent}
        source = _Source(response)
        async with source:
            async for chunk in source:
                value = self._value(chunk)
                kinds[_kind(value)] = type(chunk)
                for safe in await self._run(values.take(value)):
                    yield _like(safe, chunk, kinds)
            for safe in await self._run(values.finish()):
                yield _like(safe, source.last, kinds)
        if source.failure is not None:
            raise source.failure

    def _value(self, reply: Any) -> Json:
        dump = getattr(reply, "model_dump", None)
        if dump is None:
            raise self._refused(reply)
        value: Json = dump(mode="json")
        return value

    async def _asked(self, value: Any) -> Any:
        if isinstance(value, str):
            return await self._text(value, asked=True)
        if isinstance(value, int):
            raise self._raised(GuardrailError("a question in tokens cannot be judged; send text"))
        if isinstance(value, list):
            return [await self._asked(entry) for entry in value]
        if isinstance(value, dict) and value.get("role", "user") == "user":
            names = [name for name in ("content", "text") if isinstance(value.get(name), (str, list))]
            return {**value, **{name: await self._asked(value[name]) for name in names}}
        return value

    async def _text(self, text: str, *, asked: bool) -> str:
        try:
            result = await self._guard.acheck(text)
        except GuardrailError as error:
            raise self._raised(error) from error
        if asked and result.action is Action.BLOCK:
            raise self._raised(GuardrailBlocked(result))
        return result.text

    async def _run(self, steps: Steps[T]) -> T:
        try:
            return await run_later(steps)
        except GuardrailError as error:
            raise self._raised(error) from error

    def _refused(self, reply: Any) -> GuardrailRaisedException:
        kind = type(reply).__name__
        return self._raised(GuardrailError(f"a reply of type {kind} cannot be judged; use /chat/completions"))

    def _raised(self, error: GuardrailError) -> GuardrailRaisedException:
        blocked = isinstance(error, GuardrailBlocked)
        return GuardrailRaisedException(
            self.guardrail_name, str(error), status_code=400 if blocked else 500, blocked_content=blocked
        )


class _Source(AsyncIterator[Any]):
    """The chunks of a reply: keeps the last one, and an error for later; closes the reply in the end."""

    def __init__(self, chunks: AsyncIterable[Any]) -> None:
        self._chunks = aiter(chunks)
        self.last: Any = None
        self.failure: Exception | None = None

    async def __anext__(self) -> Any:
        try:
            self.last = await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.failure = error
            raise StopAsyncIteration from None
        return self.last

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            # A cancelled task may not wait for anything else, and a reply that costs money must not go on for that.
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await close()


def _kind(value: Json) -> str:
    return str(value.get("type", ""))


def _like(value: Json, last: Any, kinds: dict[str, Any]) -> Any:
    made = kinds.get(_kind(value), type(last))(**value)
    return _with_headers(made, last)


def _with_headers(made: Any, like: Any) -> Any:
    """Hand on what the proxy keeps beside a reply: headers, costs, the name of the deployment."""
    for name in ("_hidden_params", "_response_headers", "_response_ms"):
        if hasattr(like, name):
            setattr(made, name, getattr(like, name))
    return made
