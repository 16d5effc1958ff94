"""Guard a chat model: whatever LangChain does with it, only judged text comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from guardrail import __version__
from guardrail.adapters._steps import run_later, run_now
from guardrail.adapters.langchain.blocks import Reasoning
from guardrail.adapters.langchain.chunks import ChunkFilter
from guardrail.adapters.langchain.outputs import aclose, close, judged, message_of, one_chunk, with_info
from guardrail.adapters.langchain.rebind import rebound
from guardrail.adapters.langchain.settings import REFUSALS_KNOWN, Audit, Settings
from guardrail.adapters.langchain.unheard import unheard
from guardrail.adapters.langchain.verdict import digest
from guardrail.doors import Streaming

Tool = dict[str, Any] | type | Callable[..., Any] | BaseTool


class GuardedChatModel(BaseChatModel):
    """A chat model whose replies are judged before anybody sees them, whole or streamed.

    Tool calls, usage, ids and blocks that are no text stay as they are; the verdict is in
    ``response_metadata["guardrail"]``. Where the policy blocks, the reply is read to its end for its tool calls and
    usage. Callbacks and the cache of ``inner`` are not used: give them to this model. Log probabilities are taken off
    streamed chunks, because they spell out text that is still held.
    """

    inner: BaseChatModel
    """The model to guard."""
    guard: Streaming = Field(repr=False, exclude=True)
    """What judges its replies."""
    reasoning: Reasoning = "guard"
    """Judge reasoning as text, pass it on unjudged, or drop it. A provider may refuse reasoning that was rewritten."""
    refusal_block: bool = REFUSALS_KNOWN
    """Add LangChain's refusal block where the policy blocked; from langchain-core 1.7.5 on unless told otherwise."""
    audit: Audit | None = Field(default=None, repr=False, exclude=True)
    """Gets the ``Result`` of every text."""
    data: bool = False
    """Replies are data: judge the strings in them; they come whole. ``with_structured_output`` sets it."""
    tools: frozenset[str] = frozenset()
    """Tools that act: their arguments are no data and stay as they are."""

    def model_post_init(self, context: Any, /) -> None:
        """Take over from the inner model what langchain reads off a model itself."""
        super().model_post_init(context)
        if "disable_streaming" not in self.model_fields_set:
            self.disable_streaming = self.inner.disable_streaming
        self.rate_limiter = self.rate_limiter or self.inner.rate_limiter
        self.output_version = self.output_version or self.inner.output_version
        if getattr(self, "profile", None) is None and hasattr(self.inner, "profile"):
            self.profile = self.inner.profile

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**self.inner._identifying_params, "guardrail": self._policy_name()}

    @property
    def model_name(self) -> str:
        """Return the inner model's name: langchain tells by it what a model can do."""
        names = (getattr(self.inner, name, None) for name in ("model_name", "model", "model_id"))
        return next((name for name in names if isinstance(name, str)), "")

    def bind_tools(
        self, tools: Sequence[Tool], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools as the inner model does."""
        return rebound(self.inner.bind_tools(tools, tool_choice=tool_choice, **kwargs), self._over)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Ask for data as the inner model does; every string in it is judged.

        Raises:
            NotImplementedError: the inner model cannot, or hides itself in what it makes.
        """
        chain = self.inner.with_structured_output(schema, include_raw=include_raw, **kwargs)
        return rebound(chain, lambda model: self._over(model).model_copy(update={"data": True}))

    def get_num_tokens(self, text: str) -> int:
        """Count tokens as the inner model does."""
        return self.inner.get_num_tokens(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> int:
        """Count tokens as the inner model does."""
        return self.inner.get_num_tokens_from_messages(messages, *args, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Never with the run manager: the inner model would report its raw tokens to it.
        with unheard():
            result = self.inner._generate(messages, stop=stop, **kwargs)
        with self._settings.reporting():
            return run_now(judged(result, self._settings))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with unheard():
            result = await self.inner._agenerate(messages, stop=stop, **kwargs)
        with self._settings.reporting():
            return await run_later(judged(result, self._settings))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if self._comes_whole(async_api=False, **kwargs):
            yield one_chunk(self._generate(messages, stop, **kwargs))
            return
        screen, failure = ChunkFilter(self._settings), None
        source = self.inner._stream(messages, stop=stop, **kwargs)
        try:
            while failure is None:
                try:
                    with unheard():
                        chunk = next(source)
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                else:
                    yield from self._shown(screen, chunk)
            with self._settings.reporting():
                rest = run_now(screen.end(complete=failure is None))
            yield from (ChatGenerationChunk(message=message) for message in rest)
            if failure is not None:
                raise failure
        finally:
            close(source)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        if self._comes_whole(async_api=True, **kwargs):
            yield one_chunk(await self._agenerate(messages, stop, **kwargs))
            return
        screen, failure = ChunkFilter(self._settings), None
        source = self.inner._astream(messages, stop=stop, **kwargs)
        try:
            while failure is None:
                try:
                    with unheard():
                        chunk = await anext(source)
                except StopAsyncIteration:
                    break
                except Exception as error:
                    failure = error
                else:
                    for shown in await self._ashown(screen, chunk):
                        yield shown
            with self._settings.reporting():
                rest = await run_later(screen.end(complete=failure is None))
            for message in rest:
                yield ChatGenerationChunk(message=message)
            if failure is not None:
                raise failure
        finally:
            await aclose(source)

    def _shown(self, screen: ChunkFilter, chunk: ChatGenerationChunk) -> list[ChatGenerationChunk]:
        with self._settings.reporting():
            return with_info(chunk, run_now(screen.take(message_of(chunk))))

    async def _ashown(self, screen: ChunkFilter, chunk: ChatGenerationChunk) -> list[ChatGenerationChunk]:
        with self._settings.reporting():
            return with_info(chunk, await run_later(screen.take(message_of(chunk))))

    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        if self.disable_streaming is True or (self.disable_streaming == "tool_calling" and kwargs.get("tools")):
            return False
        return self.inner._should_stream(async_api=async_api, run_manager=run_manager, **kwargs)

    def _comes_whole(self, *, async_api: bool, **kwargs: Any) -> bool:
        # Data is judged by its values, which are there when it is whole.
        return self.data or not self._should_stream(async_api=async_api, **{**kwargs, "stream": True})

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop=stop, **kwargs)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # A cache must not give this model what it was given by the inner one, or under another policy.
        return f"{self.inner._get_llm_string(stop=stop, **kwargs)}---guardrail:{self._policy_name()}:{self.data}"

    def _policy_name(self) -> str:
        return digest(f"{__version__} {self.guard.check('').model} {self.reasoning} {self.guard.policy}")[:16]

    def _over(self, model: BaseChatModel) -> GuardedChatModel:
        return self.model_copy(update={"inner": model})

    @property
    def _settings(self) -> Settings:
        return Settings(self.guard, self.reasoning, self.refusal_block, self.audit, self.data, self.tools)
