"""Test the columns that files, Ray and Spark hold."""

from __future__ import annotations

import json

import pytest

from guardrail.errors import ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action, Label
from guardrail.table import COLUMNS, checked_row, columns_of, unread_row
from tests.guards import SECRET, failing, guard


def test_a_row_holds_the_result() -> None:
    text = f"{SECRET} The chairman spoke."
    row, result = checked_row(guard(), text), guard().check(text)
    assert list(row) == list(COLUMNS)
    assert (row["action"], row["flagged"], row["text"]) == ("rewrite", True, result.text)
    assert row["labels"] == ["gendered_term", "toxicity"]
    assert json.loads(str(row["scores"])) == {str(label): score for label, score in result.scores.items()}
    [first, _] = json.loads(str(row["findings"]))
    assert text[first["start"] : first["end"]] == "idiot"
    assert (row["coverage"], row["reason"]) == (1.0, result.reason)
    assert (row["error"], row["model"]) == (None, "words@1")


def test_no_text_is_no_verdict_and_stays_so() -> None:
    row = checked_row(guard(), None)
    assert (row["action"], row["flagged"], row["text"], row["reason"]) == ("allow", False, None, "empty")


@pytest.mark.parametrize("action", ["block", "raise"])
def test_what_is_withheld_is_a_row_like_any_other(action: str) -> None:
    row = checked_row(guard(Policy(action=Action(action), block_message="Withheld.")), SECRET)
    assert (row["action"], row["text"], row["labels"]) == (action, "Withheld.", [Label.TOXICITY])


def test_a_failure_ends_as_the_policy_says() -> None:
    row = checked_row(guard(detector=failing(ModelRuntimeError("no more"))), SECRET)
    assert (row["action"], row["error"], row["coverage"]) == ("block", "ModelRuntimeError: no more", 0.0)
    assert "Zyxwvut" not in str(row)
    with pytest.raises(ModelRuntimeError):
        checked_row(guard(Policy(on_error="raise"), detector=failing(ModelRuntimeError("no more"))), SECRET)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="text must be a str, not int"):
        checked_row(guard(), 3)  # type: ignore[arg-type]


def test_a_lone_surrogate_is_replaced_because_tables_are_utf8() -> None:
    row = checked_row(guard(), "fine \ud83d")
    assert row["text"] == "fine \ufffd"
    str(row).encode()


def test_a_row_that_could_not_be_read_is_blocked_without_text() -> None:
    row = unread_row("line 3 is no text")
    assert list(row) == list(COLUMNS)
    assert (row["action"], row["text"], row["error"]) == ("block", None, "line 3 is no text")


def test_columns_are_complete_even_without_rows() -> None:
    assert columns_of([]) == {name: [] for name in COLUMNS}
    assert columns_of([unread_row("a"), unread_row("b")])["error"] == ["a", "b"]


def test_the_columns_have_their_types_in_arrow() -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the [batch] extra")
    from guardrail.table import arrow_schema

    rows = [checked_row(guard(), text) for text in (SECRET, None, "Yes.")]
    table = pyarrow.table(columns_of(rows), schema=arrow_schema())
    assert table.to_pylist() == rows
    assert table.schema.field("labels").type == pyarrow.list_(pyarrow.string())
