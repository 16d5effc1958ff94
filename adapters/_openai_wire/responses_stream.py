"""Guard a streamed response of the Responses API: what was held comes before the event that ends its text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from guardrail.adapters._openai_wire.items import Place, settled_item, settled_items, settled_part
from guardrail.adapters._openai_wire.responses import COMPLETED, INCOMPLETE, Judge, closed, named
from guardrail.adapters._openai_wire.verdicts import Json, changed
from guardrail.adapters._steps import Steps, check, feed, finish
from guardrail.doors import Streaming
from guardrail.result import Result

# The list of an item in which a text stands, and the field of the event that holds all of it in the end.
_TEXTS = {
    "response.output_text": ("content", "text"),
    "response.refusal": ("content", "refusal"),
    "response.reasoning_text": ("content", "text"),
    "response.reasoning_summary_text": ("summary", "text"),
}
_PARTS = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}
_ANNOTATED = "response.output_text.annotation"
_BEGUN = ("created", "queued", "in_progress")
_ENDED = (COMPLETED, INCOMPLETE, "failed", "cancelled")
_TOOL = re.compile(r"response\.(?:\w*_call\w*|mcp_\w+)\.\w+")
Events = list[Json]


class _Text:
    """One text that is being written; ``result`` is what became of it, once it has ended."""

    def __init__(self, guard: Streaming, template: Json) -> None:
        self.engine = guard.open_stream()
        self.template = template
        self.released = ""
        self.result: Result | None = None
        self.citations: Events = []


class ResponseStream:
    """Take the events of one streamed response and give back those that may be shown.

    Log probabilities come in the event that ends a text, and citations before it, only if the text was not changed.
    Where a text is blocked the stream ends in ``response.incomplete``. Events are numbered anew, because some are
    added. Speech and events that are not known are left out.
    """

    def __init__(self, guard: Streaming, keep: frozenset[str]) -> None:
        self._guard, self._keep = guard, keep
        self._judge = Judge(guard)
        self._texts: dict[Place, _Text] = {}
        self._number: int | None = None

    def take(self, event: Json) -> Steps[Events]:
        """Return what to send in place of ``event``."""
        stem, _, suffix = str(event.get("type")).rpartition(".")
        work = self._work(stem, suffix)
        first = event.get("sequence_number")
        if self._number is None and isinstance(first, int):
            self._number = first
        return self._numbered((yield from work(event, stem, suffix)))

    def finish(self) -> Steps[Events]:
        """Return events with what is still held: the stream ended before its texts did."""
        return self._numbered((yield from self._rests(self._texts)))

    def _work(self, stem: str, suffix: str) -> Callable[[Json, str, str], Steps[Events]]:
        if stem in _TEXTS and suffix in ("delta", "done"):
            return self._delta if suffix == "delta" else self._done
        if stem in _PARTS and suffix in ("added", "done"):
            return self._part
        if stem == _ANNOTATED:
            return self._cited
        if stem == "response.output_item" and suffix in ("added", "done"):
            return self._item
        if stem == "response" and suffix in (*_BEGUN, *_ENDED):
            return self._whole
        return self._other

    def _delta(self, event: Json, stem: str, _: str) -> Steps[Events]:
        place = _place(event, _TEXTS[stem][0])
        if place not in self._texts:
            self._texts[place] = _Text(self._guard, _bare(event))
        text = self._texts[place]
        if text.result is not None:
            return []
        released = yield from feed(text.engine, _text_in(event, "delta"))
        return _shown(text, released)

    def _done(self, event: Json, stem: str, _: str) -> Steps[Events]:
        where, name = _TEXTS[stem]
        place = _place(event, where)
        before = yield from self._rests([place])
        safe, other = yield from self._settle(place, _text_in(event, name))
        void: Json = {"logprobs": []} if other and "logprobs" in event else {}
        return [*before, {**event, **void, name: safe}]

    def _part(self, event: Json, stem: str, suffix: str) -> Steps[Events]:
        place = _place(event, _PARTS[stem])
        done = suffix == "done"
        before = (yield from self._rests([place])) if done else []
        part = yield from settled_part(event.get("part"), place, self._settle if done else _nothing)
        return [*before, {**event, "part": part}]

    def _item(self, event: Json, _: str, suffix: str) -> Steps[Events]:
        index, item = event.get("output_index"), event.get("item")
        if not isinstance(item, dict) or not isinstance(index, int):
            return []
        done = suffix == "done"
        before = (yield from self._rests([place for place in self._texts if place[0] == index])) if done else []
        safe = yield from settled_item(item, index, self._settle if done else _nothing, self._keep)
        return [*before, {**event, "item": safe}]

    def _whole(self, event: Json, _: str, suffix: str) -> Steps[Events]:
        response = event.get("response")
        if not isinstance(response, dict):
            return []
        ended = suffix in _ENDED
        before = (yield from self._rests(self._texts)) if ended else []
        if isinstance(response.get("output"), list):
            settle = self._settle if ended else _nothing
            output = yield from settled_items(response["output"], settle, self._keep)
            response = {**response, "output": output}
        verdicts = self._judge.verdicts
        if ended and suffix == COMPLETED and verdicts.blocked:
            event = {**event, "type": f"response.{INCOMPLETE}"}
        return [*before, {**event, "response": closed(response, verdicts) if ended else response}]

    def _cited(self, event: Json, _: str, __: str) -> Steps[Events]:
        yield from ()
        text = self._texts.get(_place(event, "content"))
        if text is not None and text.result is None:
            text.citations.append(event)
        return []

    def _other(self, event: Json, _: str, __: str) -> Steps[Events]:
        yield from ()
        kind = str(event.get("type"))
        return [event] if kind in self._keep or _TOOL.fullmatch(kind) else []

    def _rests(self, places: Iterable[Place]) -> Steps[Events]:
        """End the texts of these places, if there are any, and return what was held of them."""
        released: Events = []
        for place in places:
            text = self._texts.get(place)
            if text is not None and text.result is None:
                released += _shown(text, (yield from finish(text.engine)))
                text.result = text.engine.result
                assert text.result is not None
                self._judge.verdicts.add(text.result, **named(place))
                released += [] if changed(text.result) else text.citations
        return released

    def _settle(self, place: Place, said: str) -> Steps[tuple[str, bool]]:
        """Return what was released of a text that came in parts; judge one that comes whole only."""
        if place not in self._texts:
            if not said:
                return said, False
            text = self._texts[place] = _Text(self._guard, {})
            text.result = yield from check(self._guard, said)
            text.released = text.result.text
            self._judge.verdicts.add(text.result, **named(place))
        result = self._texts[place].result
        return self._texts[place].released, result is None or changed(result)

    def _numbered(self, events: Events) -> Events:
        if self._number is None:
            return events
        start, self._number = self._number, self._number + len(events)
        return [{**event, "sequence_number": number} for number, event in enumerate(events, start)]


def _shown(text: _Text, released: str) -> Events:
    text.released += released
    return [{**text.template, "delta": released}] if released else []


def _text_in(event: Json, name: str) -> str:
    text = event.get(name)
    return text if isinstance(text, str) else ""


def _bare(event: Json) -> Json:
    """Return a delta event without what was said about its text."""
    bare = {name: value for name, value in event.items() if name not in ("delta", "obfuscation")}
    return {**bare, "logprobs": []} if "logprobs" in bare else bare


def _place(event: Json, where: str) -> Place:
    index, part = event.get("output_index"), event.get(f"{where}_index")
    return index if isinstance(index, int) else 0, where, part if isinstance(part, int) else 0


def _nothing(_: Place, __: str) -> Steps[tuple[str, bool]]:
    """Settle a text that has only begun: it comes in the events that follow."""
    yield from ()
    return "", True
