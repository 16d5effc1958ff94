"""Say on the wire what became of each text, without any text that was rejected."""

from __future__ import annotations

from typing import Any

from guardrail.result import Action, Result
from guardrail.wire import jsonable

Json = dict[str, Any]

# The field that this package adds: a list with one verdict per judged text.
FIELD = "guardrail"
_AS_IT_IS = (Action.ALLOW, Action.FLAG)


class Verdicts:
    """Collect the results of the texts that belong together: those of a choice, or of a response."""

    def __init__(self) -> None:
        self._entries: list[Json] = []
        self.changed = False
        self.blocked = False

    def add(self, result: Result, **place: object) -> None:
        """Add what became of the text that stands at ``place``."""
        self._entries.append({**place, **verdict(result)})
        self.changed = self.changed or changed(result)
        self.blocked = self.blocked or result.action is Action.BLOCK

    def put(self, holder: Json) -> Json:
        """Return ``holder`` with the verdicts; unchanged if no text was judged."""
        return {**holder, FIELD: list(self._entries)} if self._entries else holder


def verdict(result: Result) -> Json:
    """Return a result as JSON, its text aside: that stands in the message itself."""
    value = jsonable(result)
    assert isinstance(value, dict)
    del value["text"]
    return value


def changed(result: Result) -> bool:
    """Whether the text is another one now, so that what was said about it (log probabilities, citations) is void."""
    return result.action not in _AS_IT_IS


def picked(holder: Json, names: frozenset[str]) -> Json:
    """Return the fields that are known to hold no text, or that the caller lets pass: no other may leak one."""
    return {name: value for name, value in holder.items() if name in names}
