"""Guard data: judge the strings inside a parsed value one by one, and leave its shape alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage
from pydantic import BaseModel

from guardrail.adapters._steps import Steps, check
from guardrail.adapters.langchain.blocks import Block
from guardrail.adapters.langchain.settings import Settings
from guardrail.adapters.langchain.verdict import Verdict
from guardrail.result import Result, Rewrite
from guardrail.rewrite.refine import sha256_of

VALUE = "value"
Calls = dict[str, dict[str, Any]]

_FENCE = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)
# How providers repeat a tool call among the content, and under which name its arguments.
_REPEATS = {"tool_use": "input", "tool_call": "args", "function_call": "arguments"}


class Values:
    """Judge the strings of values and remember the verdicts."""

    def __init__(self, settings: Settings, verdict: Verdict) -> None:
        self._settings, self._verdict = settings, verdict

    def guarded(self, value: Any) -> Steps[Any]:
        """Return the value with every string in it judged: also keys that hold white space, which no schema has.

        A pydantic object comes back as one of its class.

        Raises:
            ValueError: what the guard made of a pydantic object does not fit its class.
        """
        if isinstance(value, str):
            return (yield from self._text(value))
        if isinstance(value, BaseModel):
            plain = value.model_dump()
            safe = yield from self.guarded(plain)
            return value if safe == plain else type(value).model_validate(safe)
        if isinstance(value, Mapping):
            return (yield from self._mapping(value))
        if isinstance(value, (list, tuple)):
            items = []
            for item in value:
                items.append((yield from self.guarded(item)))
            return items if isinstance(value, list) else tuple(items)
        return value

    def json(self, text: str) -> Steps[Result | None]:
        """Judge a text that is JSON by its values; None where it is none and has to be judged as it stands."""
        try:
            value = _parsed(text)
        except ValueError:
            return None
        if not isinstance(value, (dict, list)):
            return None
        seen = Verdict()
        safe = yield from Values(self._settings, seen).guarded(value)
        worst = seen.worst() or (yield from check(self._settings.guard, ""))
        if safe == value:
            return replace(worst, text=text, findings=(), rewrites=())
        said = json.dumps(safe, ensure_ascii=False)
        change = Rewrite(0, len(text), original_sha256=sha256_of(text), replacement=said, rounds=0, similarity=0.0)
        return replace(worst, text=said, findings=(), rewrites=(change,))

    def calls(self, message: AIMessage) -> Steps[AIMessage]:
        """Judge the arguments of the calls that are data, everywhere that the message repeats them."""
        safe: Calls = {}
        calls = []
        for call in message.tool_calls:
            args = yield from self._arguments(call["name"], call["args"])
            if args != call["args"]:
                safe[str(call["id"])] = args
            calls.append({**call, "args": args})
        broken = []
        for unread in message.invalid_tool_calls:
            broken.append({**unread, "args": (yield from self._arguments(str(unread["name"]), unread["args"]))})
        if broken == message.invalid_tool_calls and not safe:
            return message
        update: dict[str, Any] = {"tool_calls": calls, "invalid_tool_calls": broken}
        if isinstance(message.content, list):
            gone = {str(call["id"]) for call in broken}
            update["content"] = [_repeated(block, safe) for block in message.content if _call_of(block) not in gone]
        # What a provider said of a call in its own words; ``tool_calls`` says the same in LangChain's.
        update["additional_kwargs"] = {
            key: value for key, value in message.additional_kwargs.items() if key not in ("tool_calls", "function_call")
        }
        return message.model_copy(update=update)

    def _arguments(self, name: str, args: Any) -> Steps[Any]:
        return args if name in self._settings.tools else (yield from self.guarded(args))

    def _text(self, text: str) -> Steps[str]:
        if not text.strip():
            return text
        result = yield from check(self._settings.guard, text)
        self._verdict.add(VALUE, result, len(text))
        self._settings.report(result)
        return result.text

    def _mapping(self, value: Mapping[Any, Any]) -> Steps[dict[Any, Any]]:
        safe = {}
        for key, item in value.items():
            name = (yield from self._text(key)) if isinstance(key, str) and any(map(str.isspace, key)) else key
            safe[name] = yield from self.guarded(item)
        return safe


def _parsed(text: str) -> object:
    """Parse a text that is JSON and nothing else; a name that occurs twice would hide what stands under the first."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name occurs twice")
        return dict(pairs)

    fenced = _FENCE.fullmatch(text)
    return json.loads(fenced.group(1) if fenced else text, object_pairs_hook=once)


def _call_of(block: str | Block) -> str | None:
    if isinstance(block, str) or block.get("type") not in _REPEATS:
        return None
    return str(block.get("call_id") or block.get("id"))


def _repeated(block: str | Block, safe: Calls) -> str | Block:
    args = safe.get(_call_of(block) or "")
    if isinstance(block, str) or args is None:
        return block
    key = _REPEATS[str(block["type"])]
    kept = {name: value for name, value in block.items() if name != "partial_json"}
    return {**kept, key: json.dumps(args, ensure_ascii=False) if key == "arguments" else args}
