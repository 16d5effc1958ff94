"""Know where a content block keeps its text: every shape that providers give it, read and written in one way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

Block = dict[str, Any]
Content = str | list[str | Block]
Reasoning = Literal["guard", "pass", "drop"]

# Types that no provider has: a bare string, and a text that lies in ``additional_kwargs``.
PLAIN = ""
KWARG = "additional_kwargs"

TEXT, REASONING, REFUSAL = "text", "reasoning", "refusal"
_KINDS = {
    PLAIN: TEXT,
    TEXT: TEXT,
    REFUSAL: REFUSAL,
    REASONING: REASONING,
    "thinking": REASONING,
    "reasoning_content": REASONING,
}
_KWARGS = {"reasoning_content": REASONING, "reasoning": REASONING, "refusal": REFUSAL}
# What is said about a text and may be wrong once the text is another: kept until that is known.
HELD = ("annotations", "citations", "extras", "signature")


def kind_of(block: Mapping[str, Any]) -> str | None:
    """Return what a block's text is to its reader, the same for all shapes; None where it has no text to judge."""
    if block.get("type") == KWARG:
        return _KWARGS[block["key"]]
    known = _KINDS.get(str(block.get("type", "?")))
    # A shape that is not known but says "text" is judged as well.
    return known or (str(block.get("type")) if isinstance(block.get("text"), str) else None)


def root_of(block: Mapping[str, Any]) -> str:
    """Return the key under which the text lies."""
    type_ = block.get("type")
    if type_ == KWARG:
        return "value"
    if type_ == REASONING:
        return "summary" if isinstance(block.get("summary"), list) else REASONING
    return str(type_) if type_ in (REFUSAL, "thinking", "reasoning_content") else TEXT


def read(block: Mapping[str, Any]) -> str:
    """Return a block's text; parts of a summary are put together."""
    return _read(block.get(root_of(block)))


def write(block: Mapping[str, Any], text: str) -> Block:
    """Return the block with another text in the same place."""
    root = root_of(block)
    return {**block, root: _written(block.get(root), text)}


def _read(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_read, value))
    if isinstance(value, Mapping):
        return _read(value.get("text", value.get("summary")))
    return ""


def _written(value: object, text: str) -> object:
    if isinstance(value, list):
        return [_written(value[0] if value else {"type": "summary_text", "text": ""}, text)]
    if isinstance(value, Mapping):
        key = "text" if "text" in value or "summary" not in value else "summary"
        return {**value, key: _written(value.get(key), text)}
    return text


def blocks_of(content: object, kwargs: Mapping[str, Any]) -> list[Block]:
    """Return a message's blocks in order: the texts of ``additional_kwargs`` first, then those of the content."""
    aside = [{"type": KWARG, "key": key, "value": kwargs[key]} for key in _KWARGS if kwargs.get(key)]
    parts = [content] if isinstance(content, str) else content if isinstance(content, list) else []
    return aside + [{"type": PLAIN, "text": part} if isinstance(part, str) else part for part in parts]


def joined(blocks: Iterable[Block]) -> list[Block]:
    """Put pieces of one block together that follow each other: readers merge chunks and never the parts of one."""
    whole: list[Block] = []
    for block in blocks:
        before = whole[-1] if whole else {}
        if before and kind_of(block) is not None and name_of(before) == name_of(block):
            whole[-1] = write(before | block, read(before) + read(block))
        else:
            whole.append(block)
    return whole


def name_of(block: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what tells a block of a message from another one."""
    return block.get("type"), block.get("index"), block.get("key")


def content_of(blocks: Iterable[Block], like: object) -> Content:
    """Put blocks together to a content of the same shape as ``like``; a ``str`` stays one if it can."""
    parts = [block for block in blocks if block.get("type") != KWARG]
    if not isinstance(like, str):
        return [block["text"] if block["type"] == PLAIN else block for block in parts]
    if all(block["type"] == PLAIN for block in parts):
        return "".join(block["text"] for block in parts)
    return [{**block, "type": TEXT} if block["type"] == PLAIN else block for block in parts]


def kwargs_of(blocks: Iterable[Block], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``additional_kwargs`` with the texts of the blocks in the place of its own."""
    merged = {key: value for key, value in kwargs.items() if not (key in _KWARGS and value)}
    texts: dict[str, Block] = {}
    for block in blocks:
        if block.get("type") == KWARG:
            before = read(texts[block["key"]]) if block["key"] in texts else ""
            texts[block["key"]] = write(block, before + read(block))
    return merged | {key: block["value"] for key, block in texts.items()}
