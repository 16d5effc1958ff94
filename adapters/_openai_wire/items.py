"""Walk through what a response of the Responses API holds, and put judged text in the place of each text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from guardrail.adapters._openai_wire.verdicts import Json, picked
from guardrail.adapters._steps import Steps

# Where a text stands: the item, the list in it, the part of that list.
Place = tuple[int, str, int]
# Answers with the judged text of a place, and whether it is another one than came in.
Settle = Callable[[Place, str], Steps[tuple[str, bool]]]

LISTS = ("summary", "content")
_TEXT_IN = {
    "output_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
    "summary_text": "text",
    "text": "text",
}
# What a tool says or is told is no reply: it passes, as tool calls do everywhere.
TOOL = re.compile(
    r"\w*_call|\w*_call_output|mcp_\w+|program|program_output|additional_tools|tool_search_output|compaction|item_reference"
)
_ITEM = frozenset({"type", "id", "status"})


def settled_items(items: list[Any], settle: Settle, keep: frozenset[str], first: int = 0) -> Steps[list[Any]]:
    """Return the items with each text settled; ``first`` is the index of the first item."""
    safe = []
    for index, item in enumerate(items, first):
        safe.append((yield from settled_item(item, index, settle, keep)) if isinstance(item, dict) else {})
    return safe


def settled_item(item: Json, index: int, settle: Settle, keep: frozenset[str]) -> Steps[Json]:
    """Return a message or a reasoning with its texts settled, and a tool's item as it is.

    Of an item of a type that is not known, and not in ``keep``, only the type and the id are left: its place counts.
    """
    kind = str(item.get("type", "message"))
    if kind in keep or TOOL.fullmatch(kind) or (kind == "message" and item.get("role", "assistant") != "assistant"):
        return item
    if kind not in ("message", "reasoning"):
        return picked(item, _ITEM)
    safe = dict(item)
    for name in LISTS:
        parts = item.get(name)
        if isinstance(parts, list):
            safe[name] = yield from _settled_parts(parts, index, name, settle)
        elif isinstance(parts, str):
            safe[name], _ = yield from settle((index, name, 0), parts)
    return safe


def _settled_parts(parts: list[Any], index: int, name: str, settle: Settle) -> Steps[list[Json]]:
    safe = []
    for at, part in enumerate(parts):
        safe.append((yield from settled_part(part, (index, name, at), settle)))
    return safe


def settled_part(part: Any, place: Place, settle: Settle) -> Steps[Json]:
    """Return a part of an item with its text settled; of a part that is not known only the type is left."""
    if not isinstance(part, dict):
        return {}
    name = _TEXT_IN.get(str(part.get("type")))
    if name is None:
        return picked(part, frozenset({"type"}))
    text = part.get(name)
    safe, changed = yield from settle(place, text if isinstance(text, str) else "")
    void: Json = {other: [] for other in ("annotations", "logprobs") if changed and part.get(other)}
    return {**part, **void, name: safe}
