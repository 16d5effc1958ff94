"""Guard one whole message: each run of text blocks is one text to the guard, all other parts stay as they are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, message_chunk_to_message

from guardrail.adapters._steps import Steps, check
from guardrail.adapters.langchain.blocks import (
    HELD,
    REASONING,
    TEXT,
    Block,
    blocks_of,
    content_of,
    kind_of,
    kwargs_of,
    read,
    write,
)
from guardrail.adapters.langchain.chunks import refusal, without_tokens
from guardrail.adapters.langchain.runs import Run, Slot
from guardrail.adapters.langchain.settings import Settings
from guardrail.adapters.langchain.values import Values
from guardrail.adapters.langchain.verdict import Verdict
from guardrail.result import Action, Result


@dataclass(slots=True)
class _Part:
    """Blocks that follow each other: a run of text with its result, or one block that passes."""

    blocks: list[Block]
    run: Run | None = None
    result: Result | None = None
    slots: list[Slot] = field(default_factory=list)

    @property
    def stays(self) -> bool:
        return self.result is None or self.result.action in (Action.ALLOW, Action.FLAG)

    @property
    def withheld(self) -> bool:
        # Data is never withheld as a whole: its values are, and its rewrite says so.
        return self.result is not None and self.result.action is Action.BLOCK and not self.result.rewrites

    @property
    def says(self) -> bool:
        return self.run is not None and self.run.kind == TEXT


def guarded(message: AIMessage, settings: Settings) -> Steps[AIMessage]:
    """Return the message with its texts judged and its verdict in ``response_metadata``.

    Text that may stay is the same byte for byte. Where the policy blocks, its message is all the text there is. Raises
    as ``Guard.check`` does.
    """
    verdict = Verdict()
    whole = message_chunk_to_message(message)
    assert isinstance(whole, AIMessage)
    parts = _parts(whole, settings)
    for part in parts:
        yield from _judge(part, settings, verdict)
    blocked = next((part for part in parts if part.says and part.withheld), None)
    blocks = [block for part in parts for block in _safe(part, blocked)]
    if blocked is not None and settings.refusal_block:
        blocks.append(refusal(verdict))
    safe = whole
    if blocks != blocks_of(whole.content, whole.additional_kwargs):
        safe = _with(whole, blocks, settings)
    if settings.data:
        safe = yield from _data(safe, Values(settings, verdict))
    if verdict.empty:
        verdict.add(TEXT, (yield from check(settings.guard, "")), 0)
    metadata = {**safe.response_metadata, **verdict.metadata(str(safe.text))}
    return safe.model_copy(update={"response_metadata": metadata})


def _parts(message: AIMessage, settings: Settings) -> list[_Part]:
    parts: list[_Part] = []
    for block in blocks_of(message.content, message.additional_kwargs):
        kind = kind_of(block)
        if kind == REASONING and settings.reasoning == "drop":
            continue
        if kind is None or (kind == REASONING and settings.reasoning == "pass"):
            parts.append(_Part([block]))
            continue
        run = parts[-1].run if parts else None
        if run is None or run.kind != kind:
            run = Run(kind)
            parts.append(_Part([], run))
        parts[-1].blocks.append(block)
        parts[-1].slots.append(run.add(block, fresh=True)[0])
    return parts


def _judge(part: _Part, settings: Settings, verdict: Verdict) -> Steps[None]:
    text = "".join(map(read, part.blocks))
    if part.run is None or not text:
        return
    if settings.data and part.says:
        part.result = yield from Values(settings, verdict).json(text)
    if part.result is None:
        part.result = yield from check(settings.guard, text)
        settings.report(part.result)
    verdict.add(part.run.kind, part.result, len(text))


def _safe(part: _Part, blocked: _Part | None) -> list[Block]:
    """Return what becomes of a part's blocks; where the message is blocked, one text stands for all its texts."""
    if part.says and blocked not in (None, part):
        return []
    if part.run is None or part.result is None or part.stays:
        return part.blocks
    if part.withheld:
        return [write(part.slots[0].template, part.result.text)]
    return _rewritten(part, part.run, part.result)


def _rewritten(part: _Part, run: Run, result: Result) -> list[Block]:
    texts: dict[int, str] = defaultdict(str)
    for slot, text in run.place(result.text, run.length, result.rewrites):
        texts[id(slot)] += text
    blocks = []
    for block, (slot, kept) in zip(part.blocks, run.about(result), strict=True):
        bare = {key: value for key, value in block.items() if key not in HELD}
        # A block that a rewrite has emptied would be refused by the provider that gets it back.
        if texts[id(slot)] or not read(block):
            blocks.append(write(bare, texts[id(slot)]) | kept)
    return blocks


def _with(message: AIMessage, blocks: list[Block], settings: Settings) -> AIMessage:
    # ``parsed`` holds the text once more, as an object.
    stale = () if settings.data else ("parsed",)
    kwargs = {key: value for key, value in message.additional_kwargs.items() if key not in stale}
    update = {
        "content": content_of(blocks, message.content),
        "additional_kwargs": kwargs_of(blocks, kwargs),
        "response_metadata": without_tokens(message.response_metadata),
    }
    return message.model_copy(update=update)


def _data(message: AIMessage, values: Values) -> Steps[AIMessage]:
    message = yield from values.calls(message)
    parsed: Any = message.additional_kwargs.get("parsed")
    if parsed is None:
        return message
    kwargs = {**message.additional_kwargs, "parsed": (yield from values.guarded(parsed))}
    return message.model_copy(update={"additional_kwargs": kwargs})
