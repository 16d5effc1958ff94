"""Guard streamed chat completions and text completions: text waits for its sentence, all else passes in its order."""

from __future__ import annotations

from typing import Any

from guardrail.adapters._openai_wire.chat import (
    BLOCKED,
    CHOICE,
    LEGACY,
    MESSAGE,
    REPEATED,
    REPLY,
    TEXTS,
    text_of,
)
from guardrail.adapters._openai_wire.verdicts import Json, Verdicts, picked
from guardrail.adapters._steps import Steps, feed, finish
from guardrail.doors import Streaming
from guardrail.result import Action
from guardrail.stream import StreamGuard

_CALLS = ("tool_calls", "function_call")
_THOUGHTS = ("reasoning", "reasoning_content")
Piece = tuple[str, str]


class ChatStream:
    """Take the chunks of one streamed completion and give back those that may be shown.

    Each field of each choice is a text of its own. Held text comes in added chunks: before a tool call, before the
    answer that follows a reasoning, before ``finish_reason``. What comes of a text after a tool call is one more text,
    held until ``finish_reason`` whatever comes between: else a model that changes to and fro would have its words
    judged one by one. Log probabilities and citations come with ``finish_reason``, only if nothing was changed.
    """

    def __init__(self, guard: Streaming, keep: frozenset[str]) -> None:
        self._guard, self._keep = guard, keep
        self._choices: dict[Any, _Choice] = {}
        self._repeated: Json = {}

    def take(self, chunk: Json) -> Steps[list[Json]]:
        """Return what to send in place of ``chunk``: released text first, then what else it holds, perhaps nothing."""
        # Nothing else goes into a chunk that is added.
        self._repeated = picked(chunk, REPEATED)
        released: list[Json] = []
        rests: list[Json] = []
        vacuous: list[Json] = []
        for choice in filter(_is_object, chunk["choices"]):
            index = choice.get("index")
            if index not in self._choices:
                self._choices[index] = _Choice(self._guard, self._keep)
            pieces, rest = yield from self._choices[index].take(choice)
            released += [self._added(piece) for piece in pieces]
            (rests if _says_something(rest) else vacuous).append(rest)
        own = picked(chunk, REPLY | self._keep)
        other = any(value for name, value in own.items() if name not in REPEATED)
        if rests or other or not chunk["choices"]:
            released.append({**own, "choices": rests or vacuous})
        return released

    def finish(self) -> Steps[list[Json]]:
        """Return chunks with what is still held: the stream ended before its choices did."""
        released: list[Json] = []
        for index, state in self._choices.items():
            released += [self._added(piece) for piece in (yield from state.last(index))]
        return released

    def _added(self, choice: Json) -> Json:
        return {**self._repeated, "choices": [choice]}


class _Choice:
    """One choice: the text that is being written, and what waits for its verdict."""

    def __init__(self, guard: Streaming, keep: frozenset[str]) -> None:
        self._guard, self._keep = guard, keep
        self._verdicts = Verdicts()
        self._engines: dict[str, StreamGuard] = {}
        self._cut: set[str] = set()
        self._blocked: set[str] = set()
        self._logprobs: list[Json] = []
        self._citations: list[Any] = []
        self._legacy = False
        self._over = False

    def take(self, choice: Json) -> Steps[tuple[list[Json], Json]]:
        """Return choices with the text that may be shown, and the rest of this one."""
        self._legacy = LEGACY in choice and "delta" not in choice
        said = choice.get("delta")
        delta: Json = said if isinstance(said, dict) else {}
        rest = picked(choice, CHOICE | self._keep)
        own = {**picked(delta, MESSAGE | self._keep), **{name: "" for name in TEXTS if delta.get(name) == ""}}
        pieces = yield from self._texts({**delta, LEGACY: choice.get(LEGACY)})
        self._hold(choice, delta)
        if choice.get("finish_reason"):
            pieces += yield from self._flush(list(self._engines))
        elif any(own.get(name) for name in _CALLS):
            pieces += yield from self._flush_once(list(self._engines))
        if choice.get("finish_reason"):
            self._end(rest, own)
        shown = [self._shown(piece, choice.get("index")) for piece in pieces]
        if shown and "role" in own and not self._legacy:
            shown[0]["delta"] = {"role": own.pop("role"), **shown[0]["delta"]}
        return shown, {**rest, LEGACY: ""} if self._legacy else {**rest, "delta": own}

    def last(self, index: Any) -> Steps[list[Json]]:
        """Return choices with what is still held, as ``take`` does."""
        shown = [self._shown(piece, index) for piece in (yield from self._flush(list(self._engines)))]
        if self._verdicts.blocked and not self._over:
            self._over = True
            end: Json = {"index": index, "finish_reason": BLOCKED}
            shown.append(self._verdicts.put({**end, LEGACY: ""} if self._legacy else {**end, "delta": {}}))
        return shown

    def _texts(self, holder: Json) -> Steps[list[Piece]]:
        pieces: list[Piece] = []
        for name in (*TEXTS, LEGACY):
            text = text_of(holder.get(name))
            if text:
                pieces += yield from self._text(name, text)
        return pieces

    def _text(self, name: str, text: str) -> Steps[list[Piece]]:
        thought = name in _THOUGHTS
        pieces = yield from self._flush_once([other for other in self._engines if (other in _THOUGHTS) != thought])
        if name in self._blocked:
            return pieces
        if name not in self._engines:
            self._engines[name] = self._guard.open_stream()
        released = yield from feed(self._engines[name], text)
        return [*pieces, (name, released)] if released else pieces

    def _flush_once(self, names: list[str]) -> Steps[list[Piece]]:
        fresh = [name for name in names if name not in self._cut]
        self._cut.update(fresh)
        return (yield from self._flush(fresh))

    def _flush(self, names: list[str]) -> Steps[list[Piece]]:
        pieces: list[Piece] = []
        for name in names:
            engine = self._engines.pop(name)
            released = yield from finish(engine)
            assert engine.result is not None
            self._verdicts.add(engine.result, field=name)
            if engine.result.action is Action.BLOCK:
                self._blocked.add(name)
            pieces += [(name, released)] if released else []
        return pieces

    def _hold(self, choice: Json, delta: Json) -> None:
        if isinstance(choice.get("logprobs"), dict):
            self._logprobs.append(choice["logprobs"])
        if isinstance(delta.get("annotations"), list):
            self._citations += delta["annotations"]

    def _end(self, rest: Json, own: Json) -> None:
        self._over = True
        if self._logprobs:
            rest["logprobs"] = None if self._verdicts.changed else _joined(self._logprobs)
        if self._citations and not self._verdicts.changed:
            own["annotations"] = self._citations
        if self._verdicts.blocked:
            rest["finish_reason"] = BLOCKED
        rest |= self._verdicts.put({})

    def _shown(self, piece: Piece, index: Any) -> Json:
        name, text = piece
        text_at: Json = {LEGACY: text} if name == LEGACY else {"delta": {name: text}}
        return {"index": index, **text_at, "finish_reason": None}


def _joined(parts: list[Json]) -> Json:
    whole: Json = {}
    for part in parts:
        for name, values in part.items():
            whole[name] = [*(whole.get(name) or []), *values] if isinstance(values, list) else whole.get(name)
    return whole


def _says_something(choice: Json) -> bool:
    delta = choice.get("delta") or {}
    others = (value for name, value in choice.items() if name not in ("index", "delta"))
    return any(delta.values()) or any(others) or "" in delta.values()


def _is_object(value: object) -> bool:
    return isinstance(value, dict)
