"""Say in a message's metadata what the guard found and did, without any text, so that every door can read it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from guardrail.adapters.langchain.blocks import TEXT
from guardrail.policy import SEVERITY
from guardrail.result import Action, Result

KEY = "guardrail"


class Verdict:
    """Collect the results of one message: of its text, of its reasoning, of the values in its data."""

    def __init__(self) -> None:
        self._results: list[tuple[str, int, Result]] = []
        self._lengths: dict[str, int] = {}

    def add(self, kind: str, result: Result, length: int) -> None:
        """Add the result of a text of ``length`` characters; offsets count on from the text of its kind before it."""
        at = self._lengths.get(kind, 0)
        self._lengths[kind] = at + length
        self._results.append((kind, at, result))

    @property
    def empty(self) -> bool:
        """Whether nothing was judged."""
        return not self._results

    def worst(self, kind: str | None = None) -> Result | None:
        """Return the result with the most severe action, the first of several."""
        results = [result for name, _, result in self._results if kind in (None, name)]
        return max(results, key=lambda result: SEVERITY[result.action], default=None)

    def labels(self, kind: str) -> list[str]:
        """Return the labels found in texts of one kind, sorted."""
        return sorted({str(f.label) for name, _, result in self._results if name == kind for f in result.findings})

    def metadata(self, text: str) -> dict[str, Any]:
        """Return the verdict as plain values; ``text`` is what the message says in the end, kept as a hash."""
        return {
            KEY: {
                **_summary(self._results),
                "findings": [found for name, at, r in self._results if name == TEXT for found in _findings(r, at)],
                "rewrites": [done for name, at, r in self._results if name == TEXT for done in _rewrites(r, at)],
                "beside": [
                    {"kind": name, **_summary([(name, at, r)]), "findings": _findings(r, at)}
                    for name, at, r in self._results
                    if name != TEXT and r.action is not Action.ALLOW
                ],
                "text_sha256": digest(text),
            }
        }


def digest(text: str) -> str:
    """Return the hash by which a verdict knows its text again."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def verdict_of(message: BaseMessage) -> Mapping[str, Any] | None:
    """Return the verdict that a message carries; None where it has none or its text is not the judged one."""
    found = message.response_metadata.get(KEY)
    if isinstance(found, Mapping) and found.get("text_sha256") == digest(str(message.text)):
        return found
    return None


def _summary(results: Sequence[tuple[str, int, Result]]) -> dict[str, Any]:
    worst = max((result for _, _, result in results), key=lambda result: SEVERITY[result.action])
    return {
        "action": str(worst.action),
        "flagged": any(result.flagged for _, _, result in results),
        "reason": worst.reason,
        "coverage": min(result.coverage for _, _, result in results),
        "error": next((result.error for _, _, result in results if result.error), None),
        "model": worst.model,
    }


def _findings(result: Result, at: int) -> list[dict[str, Any]]:
    return [
        {
            "label": str(f.label),
            "score": f.score,
            "start": at + f.start,
            "end": at + f.end,
            "groups": list(f.groups),
            "source": f.source,
        }
        for f in result.findings
    ]


def _rewrites(result: Result, at: int) -> list[dict[str, Any]]:
    return [{"start": at + r.start, "end": at + r.end, "masked": r.masked} for r in result.rewrites]
