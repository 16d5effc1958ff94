"""Guard one streamed message: text is held back to the end of its sentence, all else passes in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessageChunk

from guardrail.adapters._steps import Steps, check, feed, finish
from guardrail.adapters.langchain.blocks import (
    PLAIN,
    REASONING,
    TEXT,
    Block,
    Content,
    blocks_of,
    content_of,
    joined,
    kind_of,
    kwargs_of,
    read,
    write,
)
from guardrail.adapters.langchain.runs import Run, Slot
from guardrail.adapters.langchain.settings import Settings
from guardrail.adapters.langchain.verdict import KEY, Verdict
from guardrail.stream import StreamGuard

# Translators read these off every chunk.
_PROVIDER = ("model_provider", "output_version")


class ChunkFilter:
    """Take the chunks of one message and give back those that may be shown.

    Held text is released before a tool call, an image or anything else that is no text passes. Once the policy has
    blocked, no more text of that kind comes out; tool calls and usage do.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verdict = Verdict()
        self._run: Run | None = None
        self._stream: StreamGuard | None = None
        self._blocked: set[str] = set()
        self._said: list[str] = []
        self._like: Content = ""
        self._id: str | None = None
        self._provider: dict[str, Any] = {}

    def take(self, message: AIMessageChunk) -> Steps[list[AIMessageChunk]]:
        """Take a chunk and return what may be shown now: its own rest comes last, under its own id.

        The last chunk of a message is always the one from ``end``: ``chunk_position`` is taken off.
        """
        self._remember(message)
        released: list[Block] = []
        passing: list[Block] = []
        for block in blocks_of(message.content, message.additional_kwargs):
            judged, passed = yield from self._block(block)
            # What was held goes out in front of the chunk that made it go.
            (passing or released).extend(judged)
            passing += passed
        if message.tool_call_chunks:
            (passing or released).extend((yield from self._close()))
            if released:
                return [self._made(released), *self._rest(message, passing)]
        return self._rest(message, released + passing)

    def end(self, *, complete: bool = True) -> Steps[list[AIMessageChunk]]:
        """Judge and return the rest of the text and, if the message is ``complete``, its last chunk: the verdict."""
        blocks = yield from self._close()
        if not complete:
            return [self._made(blocks)] if blocks else []
        if self._verdict.empty:
            self._verdict.add(TEXT, (yield from check(self._settings.guard, "")), 0)
        if TEXT in self._blocked and self._settings.refusal_block:
            blocks.append(refusal(self._verdict))
        last = self._made(blocks)
        metadata = {**last.response_metadata, **self._verdict.metadata("".join(self._said))}
        return [last.model_copy(update={"response_metadata": metadata, "chunk_position": "last"})]

    def _remember(self, message: AIMessageChunk) -> None:
        self._id = message.id or self._id
        self._like = message.content or self._like
        for name in _PROVIDER:
            if name in message.response_metadata:
                self._provider[name] = message.response_metadata[name]

    def _block(self, block: Block) -> Steps[tuple[list[Block], list[Block]]]:
        """Return what may be shown because of a block: judged text, and the block itself if it is none."""
        kind = kind_of(block)
        if kind == REASONING and self._settings.reasoning == "drop":
            return [], []
        if kind is None or (kind == REASONING and self._settings.reasoning == "pass"):
            return (yield from self._close()), [block]
        if kind in self._blocked or (block["type"] == PLAIN and not block["text"]):
            return [], []
        return (yield from self._fed(kind, block)), []

    def _fed(self, kind: str, block: Block) -> Steps[list[Block]]:
        out: list[Block] = []
        if self._run is None or self._stream is None or self._run.kind != kind:
            out = yield from self._close()
            self._run, self._stream = Run(kind), self._settings.guard.open_stream()
        run, stream = self._run, self._stream
        text = read(block)
        slot, bare = run.add(block)
        placed: list[tuple[Slot, str]] = []
        if text:
            released = yield from feed(stream, text)
            placed = run.place(released, run.length - stream.held, stream.rewrites)
        return out + self._shown(kind, placed, (slot, bare))

    def _close(self) -> Steps[list[Block]]:
        """End the run that is open: judge what it holds and say what is known of it now."""
        run, stream = self._run, self._stream
        if run is None or stream is None:
            return []
        self._run = self._stream = None
        placed = run.place((yield from finish(stream)), run.length, stream.rewrites)
        blocks = self._shown(run.kind, placed)
        blocks += [write(slot.template, "") | kept for slot, kept in run.about(stream.result) if kept]
        if stream.result is not None:
            self._verdict.add(run.kind, stream.result, run.length)
            self._settings.report(stream.result)
        if stream.closed:
            self._blocked.add(run.kind)
        return blocks

    def _shown(
        self, kind: str, placed: Iterable[tuple[Slot, str]], current: tuple[Slot, Block] | None = None
    ) -> list[Block]:
        """Return released text as blocks; what else ``current`` says goes along with its own text."""
        blocks: list[Block] = []
        for slot, text in placed:
            if kind == TEXT:
                self._said.append(text)
            own = current is not None and slot is current[0]
            blocks.append(write(current[1] if own and current is not None else slot.template, text))
            current = None if own else current
        if current is not None and set(current[1]) - set(current[0].template):
            blocks.append(write(current[1], ""))
        return blocks

    def _made(self, blocks: list[Block]) -> AIMessageChunk:
        blocks = joined(blocks)
        return AIMessageChunk(
            content=content_of(blocks, self._like if isinstance(self._like, str) else []),
            additional_kwargs=kwargs_of(blocks, {}),
            response_metadata=dict(self._provider),
            id=self._id,
        )

    def _rest(self, message: AIMessageChunk, blocks: list[Block]) -> list[AIMessageChunk]:
        blocks = joined(blocks)
        update = {
            "content": content_of(blocks, message.content),
            "additional_kwargs": kwargs_of(blocks, message.additional_kwargs),
            "response_metadata": without_tokens(message.response_metadata),
            "chunk_position": None,
            "id": message.id or self._id,
        }
        rest = message.model_copy(update=update)
        says = rest.content or rest.additional_kwargs or rest.tool_call_chunks or rest.usage_metadata
        return [rest] if says or set(rest.response_metadata) - set(_PROVIDER) else []


def refusal(verdict: Verdict) -> Block:
    """Return LangChain's block for a refusal; the message that stands for the text is in the text itself."""
    category = ",".join(verdict.labels(TEXT)) or "not judged"
    return {"type": "refusal", "refusal": "", "extras": {"category": category, "source": "guardrail"}}


def without_tokens(info: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return metadata without log probabilities, which spell out the text that is held, and without a guard's verdict.

    Readers put the metadata of chunks together: two verdicts of two guards would become one that is wrong.
    """
    return {key: value for key, value in (info or {}).items() if key not in ("logprobs", KEY)}
