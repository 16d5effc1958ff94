"""Guard whole responses of the Responses API, and lists of their items."""

from __future__ import annotations

from typing import Any

from guardrail.adapters._openai_wire.items import Place, settled_item, settled_items
from guardrail.adapters._openai_wire.verdicts import Json, Verdicts, changed
from guardrail.adapters._steps import Steps, check
from guardrail.doors import Streaming

BLOCKED = {"reason": "content_filter"}
COMPLETED, INCOMPLETE = "completed", "incomplete"


class Judge:
    """Settle each text by ``check``, and remember the verdicts."""

    def __init__(self, guard: Streaming) -> None:
        self._guard = guard
        self.verdicts = Verdicts()

    def settle(self, place: Place, text: str) -> Steps[tuple[str, bool]]:
        """Return the safe text of a place, and whether it is another one than came in."""
        if not text:
            return text, False
        result = yield from check(self._guard, text)
        self.verdicts.add(result, **named(place))
        return result.text, changed(result)


def guarded_response(body: Json, guard: Streaming, keep: frozenset[str]) -> Steps[Json]:
    """Return a ``response`` with every text judged: messages, refusals, reasoning and its summary.

    Where a text is blocked it is the policy's message, and the response is ``incomplete`` because of
    "content_filter"; tool calls stay. The response gets the field ``guardrail``.
    """
    judge = Judge(guard)
    output = yield from settled_items(body["output"], judge.settle, keep)
    return closed({**body, "output": output}, judge.verdicts)


def guarded_items(body: Json, guard: Streaming, keep: frozenset[str]) -> Steps[Json]:
    """Return a list of items (of a conversation, of an input) with every text of the assistant judged."""
    data = yield from settled_items(body["data"], Judge(guard).settle, keep)
    return {**body, "data": data}


def guarded_item(body: Json, guard: Streaming, keep: frozenset[str]) -> Steps[Json]:
    """Return one item with every text judged."""
    return (yield from settled_item(body, 0, Judge(guard).settle, keep))


def closed(response: Json, verdicts: Verdicts) -> Json:
    """Return a response that is at its end with its verdicts, and with the reason if it was blocked."""
    if "output_text" in response:
        # Of the package and not of the API; made anew, because it repeats the texts.
        response = {**response, "output_text": "".join(_texts(response["output"]))}
    if verdicts.blocked and response.get("status", COMPLETED) in (COMPLETED, INCOMPLETE):
        response = {**response, "status": INCOMPLETE, "incomplete_details": BLOCKED}
    return verdicts.put(response)


def named(place: Place) -> dict[str, Any]:
    """Return the place of a text as the events of a stream name it."""
    item, name, part = place
    return {"output_index": item, f"{name}_index": part}


def _texts(output: list[Json]) -> list[str]:
    parts = [part for item in output for part in item.get("content") or [] if isinstance(part, dict)]
    return [part["text"] for part in parts if part.get("type") == "output_text"]
