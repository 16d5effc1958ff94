"""Stand in for a provider's chat model: scripted replies, streamed in pieces of any size, with tools and usage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from guardrail.rewrite.base import RewriteRequest
from tests.fakes import plain_words

# In letters that nothing else uses: one of them is enough to tell a leak, however the text is cut.
MARKER = "\uff49\uff44\uff49\uff4f\uff54"
TEXT = f"Hello there, my friend. The {MARKER} spoke first. Was it you? All is well now, thanks."
SAFE = TEXT.replace(MARKER, "plain")
USAGE = UsageMetadata(input_tokens=7, output_tokens=5, total_tokens=12)


def plain(request: RewriteRequest) -> str:
    """Rewrite the marker as well as the words that the detector knows."""
    return plain_words(replace(request, sentence=request.sentence.replace(MARKER, "plain")))


def leaks(*objects: object) -> bool:
    """Return whether a letter of the marker is anywhere in the objects."""
    return not set(MARKER).isdisjoint(repr(objects))


class FakeChat(BaseChatModel):
    """Answer with ``replies`` in turn, by the number of answers there are; ``size`` characters a chunk."""

    replies: list[AIMessage]
    size: int = 4
    name_: str = "fake-1"
    fails_after: int | None = None

    @property
    def _llm_type(self) -> str:
        return "fake-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.name_}

    @property
    def model_name(self) -> str:
        return self.name_

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        schemas = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=schemas, tool_choice=tool_choice, **kwargs)

    def reply(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        return self.replies[sum(isinstance(message, AIMessage) for message in messages) % len(self.replies)]

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.fails_after is not None:
            raise ConnectionError("the provider is gone")
        reply = self.reply(messages, **kwargs)
        metadata = {"model_name": kwargs.get("model", self.name_), "finish_reason": "stop", **reply.response_metadata}
        message = reply.model_copy(update={"usage_metadata": USAGE, "response_metadata": metadata})
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self.reply(messages, **kwargs)
        for count, piece in enumerate(pieces(reply, self.size)):
            if count == self.fails_after:
                raise ConnectionError("the provider is gone")
            chunk = ChatGenerationChunk(message=piece)
            if run_manager is not None:
                run_manager.on_llm_new_token(str(piece.text), chunk=chunk)
            yield chunk
        metadata = {"model_name": kwargs.get("model", self.name_), "finish_reason": "stop", **reply.response_metadata}
        last = AIMessageChunk(content="", response_metadata=metadata, usage_metadata=USAGE, chunk_position="last")
        yield ChatGenerationChunk(message=last)


class ToolingChat(FakeChat):
    """Call the first tool that is bound, with arguments made from the question, and answer once it has run."""

    replies: list[AIMessage] = [AIMessage("Hello there. I am well, thanks.")]

    def reply(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        tools, choice = kwargs.get("tools"), kwargs.get("tool_choice")
        if not tools or (messages[-1].type == "tool" and choice != "any"):
            return self.replies[0]
        wanted = next((tool for tool in tools if tool["function"]["name"] == choice), tools[0])["function"]
        args = {
            name: _argument(schema, str(messages[-1].text))
            for name, schema in wanted["parameters"].get("properties", {}).items()
        }
        return AIMessage("", tool_calls=[{"name": wanted["name"], "args": args, "id": "call_1"}])


def _argument(schema: dict[str, Any], question: str) -> Any:
    if schema.get("type") == "integer":
        return int((re.findall(r"\d+", question) or ["3"])[0])
    quoted = re.search(r"'(.+?)'", question)
    return quoted.group(1) if quoted else "cats"


def pieces(reply: AIMessage, size: int) -> Iterator[AIMessageChunk]:
    """Cut a reply into chunks as providers do: text in pieces, blocks by index, arguments of tools in pieces."""
    extra: dict[str, Any] = {"id": reply.id, "response_metadata": _provider(reply)}
    for key, value in reply.additional_kwargs.items():
        for part in _cut(value, size) if isinstance(value, str) else [value]:
            yield AIMessageChunk(content="", additional_kwargs={key: part}, **extra)
    if isinstance(reply.content, str):
        for part in _cut(reply.content, size):
            yield AIMessageChunk(content=part, **extra)
    else:
        for index, block in enumerate(reply.content):
            for delta in _deltas(block, size):
                yield AIMessageChunk(content=[{**delta, "index": index}], **extra)
    for index, call in enumerate(reply.tool_calls):
        args = json.dumps(call["args"], ensure_ascii=False)
        for count, part in enumerate(_cut(args, size)):
            name, id_ = (call["name"], call["id"]) if count == 0 else (None, None)
            chunk = tool_call_chunk(name=name, id=id_, args=part, index=index)
            yield AIMessageChunk(content="", tool_call_chunks=[chunk], **extra)


def _provider(reply: AIMessage) -> dict[str, Any]:
    return {k: v for k, v in reply.response_metadata.items() if k in ("model_provider", "output_version")}


def _deltas(block: str | dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
    if isinstance(block, str):
        block = {"type": "text", "text": block}
    field = next((name for name in ("text", "reasoning", "thinking", "refusal") if name in block), None)
    if field is None:
        yield block
        return
    for part in _cut(block[field], size):
        yield {"type": block["type"], field: part}
    rest = {name: value for name, value in block.items() if name != field}
    if set(rest) != {"type"}:
        yield rest


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


class Recorder(BaseCallbackHandler):
    """Write down everything that any callback is told of a model's output."""

    run_inline = True

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        self.heard.append(f"{token!r} {chunk!r}")

    def on_stream_event(self, event: Any, **kwargs: Any) -> None:
        self.heard.append(repr(event))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.heard.append(repr(response))

    def on_llm_error(self, error: BaseException, *, response: Any = None, **kwargs: Any) -> None:
        self.heard.append(f"{error!r} {response!r}")

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.heard.append(repr(outputs))

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        self.heard.append(repr(output))
