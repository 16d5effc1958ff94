"""Guard the protocol events of one streamed message where events can be edited and none can be added."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from guardrail.adapters._steps import Steps, check, feed, finish
from guardrail.adapters.langchain.blocks import HELD, REASONING, TEXT, Block, kind_of, read, write
from guardrail.adapters.langchain.runs import Run, Slot
from guardrail.adapters.langchain.settings import Settings
from guardrail.adapters.langchain.verdict import Verdict
from guardrail.result import Result
from guardrail.stream import StreamGuard

Event = dict[str, Any]
_DELTAS = {"text-delta": TEXT, "reasoning-delta": REASONING}


class EventFilter:
    """Take the events of one message and give each back with judged text in it.

    Text that is released when no delta of its block is at hand comes with the next event of the block, at the latest
    with ``content-block-finish``, which always holds the whole text.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verdict = Verdict()
        self._run: Run | None = None
        self._stream: StreamGuard | None = None
        self._kinds: dict[int, str | None] = {}
        self._homes: dict[int, tuple[Run, Slot]] = {}
        self._results: dict[int, Result | None] = {}
        self._texts: defaultdict[int, str] = defaultdict(str)
        self._due: defaultdict[int, str] = defaultdict(str)
        self._blocked: set[str] = set()

    def take(self, event: Event) -> Steps[Event]:
        """Return the event with nothing in it that was not judged."""
        name = event.get("event")
        if name == "content-block-start":
            return (yield from self._started(event))
        if name == "content-block-delta":
            return (yield from self._grown(event))
        if name == "content-block-finish":
            return (yield from self._finished(event))
        if name == "message-finish":
            return (yield from self._ended(event))
        return event

    def _started(self, event: Event) -> Steps[Event]:
        block, index = event["content"], event["index"]
        kind = self._kinds[index] = self._judged_kind(block)
        if kind is None:
            yield from self._close()
            return event
        # What is said about the text comes again with the finished block, when it is known what still holds.
        bare = {key: value for key, value in block.items() if key not in HELD}
        yield from self._fed(kind, {**bare, "index": index})
        return {**event, "content": write(bare, "")}

    def _grown(self, event: Event) -> Steps[Event]:
        delta, index = event.get("delta") or {}, event["index"]
        name = _DELTAS.get(str(delta.get("type")), "")
        kind = self._kinds.setdefault(index, self._judged_kind({"type": name}) if name else None)
        if kind is None:
            return event
        if not name:
            # A delta of another sort may hold the block's text as well; the finished block tells what else it said.
            return {**event, "delta": {"type": "text-delta", "text": ""}}
        yield from self._fed(kind, {"type": name, name: str(delta.get(name, "")), "index": index})
        return {**event, "delta": {**delta, name: self._due.pop(index, "")}}

    def _finished(self, event: Event) -> Steps[Event]:
        block, index = event["content"], event["index"]
        kind = self._kinds[index] = self._kinds.get(index) or self._judged_kind(block)
        if kind is None:
            return event
        bare = {key: value for key, value in block.items() if key not in HELD}
        seen = self._homes[index][1] if index in self._homes else None
        missing = read(block)[seen.end - seen.start if seen else 0 :]
        yield from self._fed(kind, {**write(bare, missing), "index": index})
        if index in self._homes and self._homes[index][0] is self._run:
            yield from self._close()
        self._due.pop(index, None)
        return {**event, "content": write(bare, self._texts[index]) | self._kept(index, block)}

    def _ended(self, event: Event) -> Steps[Event]:
        yield from self._close()
        if self._verdict.empty:
            self._verdict.add(TEXT, (yield from check(self._settings.guard, "")), 0)
        said = "".join(self._texts[i] for i, kind in sorted(self._kinds.items()) if kind == TEXT)
        return {**event, "metadata": {**(event.get("metadata") or {}), **self._verdict.metadata(said)}}

    def _judged_kind(self, block: Mapping[str, Any]) -> str | None:
        kind = kind_of(block)
        return None if kind == REASONING and self._settings.reasoning == "pass" else kind

    def _fed(self, kind: str, block: Block) -> Steps[None]:
        if kind in self._blocked or (kind == REASONING and self._settings.reasoning == "drop"):
            return
        if self._run is None or self._stream is None or self._run.kind != kind:
            yield from self._close()
            self._run, self._stream = Run(kind), self._settings.guard.open_stream()
        run, stream, index = self._run, self._stream, block["index"]
        slot, _ = run.add(block)
        self._homes.setdefault(index, (run, slot))
        if read(block):
            released = yield from feed(stream, read(block))
            self._note(run.place(released, run.length - stream.held, stream.rewrites))

    def _close(self) -> Steps[None]:
        run, stream = self._run, self._stream
        if run is None or stream is None:
            return
        self._run = self._stream = None
        self._note(run.place((yield from finish(stream)), run.length, stream.rewrites))
        for slot in run.slots:
            self._results[slot.template["index"]] = stream.result
        if stream.result is not None and run.length:
            self._verdict.add(run.kind, stream.result, run.length)
            self._settings.report(stream.result)
        if stream.closed:
            self._blocked.add(run.kind)

    def _note(self, placed: Iterable[tuple[Slot, str]]) -> None:
        for slot, text in placed:
            index = slot.template["index"]
            self._texts[index] += text
            self._due[index] += text

    def _kept(self, index: int, block: Block) -> Block:
        if index not in self._homes:
            return {}
        run, slot = self._homes[index]
        slot.take({**{key: block[key] for key in HELD if key in block}, "type": "", "text": ""})
        return next(kept for own, kept in run.about(self._results.get(index)) if own is slot)
