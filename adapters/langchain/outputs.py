"""Take apart and put together what LangChain wraps around messages: generations, chunks, results."""

from __future__ import annotations

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from guardrail.adapters._steps import Steps
from guardrail.adapters.langchain.chunks import without_tokens
from guardrail.adapters.langchain.messages import guarded
from guardrail.adapters.langchain.settings import Settings


def judged(result: ChatResult, settings: Settings) -> Steps[ChatResult]:
    """Return a model's result with every message in it judged."""
    generations = []
    for generation in result.generations:
        message = generation.message
        if not isinstance(message, AIMessage):
            raise TypeError(f"a chat model must answer with an AIMessage, not {type(message).__name__}")
        safe = yield from guarded(message, settings)
        info = generation.generation_info
        if str(safe.text) != str(message.text):
            info = without_tokens(info)
        generations.append(ChatGeneration(message=safe, generation_info=info or None))
    return ChatResult(generations=generations, llm_output=result.llm_output)


def message_of(chunk: ChatGenerationChunk) -> AIMessageChunk:
    """Return a chunk's message, or refuse one that nobody could judge."""
    if not isinstance(chunk.message, AIMessageChunk):
        raise TypeError(f"a chat model must stream AIMessageChunk, not {type(chunk.message).__name__}")
    return chunk.message


def with_info(chunk: ChatGenerationChunk, messages: list[AIMessageChunk]) -> list[ChatGenerationChunk]:
    """Wrap what a chunk has become; the last one carries its generation info, an empty one if there is no other."""
    info = without_tokens(chunk.generation_info)
    if info and not messages:
        messages = [AIMessageChunk(content="", id=chunk.message.id)]
    wrapped = [ChatGenerationChunk(message=message) for message in messages]
    if info:
        wrapped[-1] = wrapped[-1].model_copy(update={"generation_info": info})
    return wrapped


def one_chunk(result: ChatResult) -> ChatGenerationChunk:
    """Return a whole result as the only chunk of a stream."""
    generation = result.generations[0]
    message = generation.message
    assert isinstance(message, AIMessage)
    chunk = AIMessageChunk(
        content=message.content,
        additional_kwargs=message.additional_kwargs,
        response_metadata={**(result.llm_output or {}), **message.response_metadata},
        tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls,
        usage_metadata=message.usage_metadata,
        id=message.id,
        name=message.name,
        chunk_position="last",
    )
    return ChatGenerationChunk(message=chunk, generation_info=generation.generation_info)


def close(source: object) -> None:
    """Close a generator, or an iterator that has a way to be closed."""
    closing = getattr(source, "close", None)
    if closing is not None:
        closing()


async def aclose(source: object) -> None:
    """Close an async generator, or an iterator that has a way to be closed."""
    closing = getattr(source, "aclose", None)
    if closing is not None:
        await closing()
