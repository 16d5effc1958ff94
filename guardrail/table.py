"""Put results into columns: the same ones in files, in Ray and in Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from guardrail.errors import GuardrailBlocked
from guardrail.result import Action, Result
from guardrail.text.surrogates import without_surrogates
from guardrail.wire import to_json

if TYPE_CHECKING:
    from pyarrow import Schema

Row = dict[str, object]
"""The columns of one text, by name."""

# In the words of Spark's DDL.
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "action": "string",
        "flagged": "boolean",
        "text": "string",
        "labels": "array<string>",
        "scores": "string",
        "findings": "string",
        "coverage": "double",
        "reason": "string",
        "error": "string",
        "model": "string",
    }
)


class Checker(Protocol):
    """Anything that checks a text as a ``Guard`` does."""

    def check(self, text: str) -> Result:
        """Judge one text and act by the policy."""


def row_of(result: Result) -> Row:
    """Return the columns of a result; ``text`` is the safe one, ``scores`` and ``findings`` are JSON."""
    return {
        "action": str(result.action),
        "flagged": result.flagged,
        # A table holds UTF-8, which has no lone surrogates.
        "text": without_surrogates(result.text),
        "labels": sorted({str(finding.label) for finding in result.findings}),
        "scores": to_json(result.scores),
        "findings": to_json(result.findings),
        "coverage": result.coverage,
        "reason": result.reason,
        "error": result.error,
        "model": result.model,
    }


def unread_row(why: str) -> Row:
    """Return the columns of a row whose text could not be read: blocked, with nothing in place of the text."""
    return row_of(Result(Action.BLOCK, "", coverage=0.0, reason="not judged", error=why)) | {"text": None}


def checked_row(guard: Checker, text: str | None) -> Row:
    """Check one text and return its columns; None is no text and stays so.

    Raises:
        TypeError: ``text`` is neither.
        GuardrailError: the guard failed and the policy says ``"raise"``; a text that it raises for is a row.
    """
    if text is None:
        return row_of(Result(Action.ALLOW, "", reason="empty")) | {"text": None}
    try:
        return row_of(guard.check(text))
    except GuardrailBlocked as blocked:
        return row_of(blocked.result)


def columns_of(rows: Sequence[Row]) -> dict[str, list[object]]:
    """Turn rows into columns, all of ``COLUMNS`` even where there is no row."""
    return {name: [row[name] for row in rows] for name in COLUMNS}


def arrow_schema() -> Schema:
    """Return the columns as an Arrow schema; raises ``ImportError`` where pyarrow is missing."""
    import pyarrow

    kinds = {
        "string": pyarrow.string(),
        "boolean": pyarrow.bool_(),
        "double": pyarrow.float64(),
        "array<string>": pyarrow.list_(pyarrow.string()),
    }
    return pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
