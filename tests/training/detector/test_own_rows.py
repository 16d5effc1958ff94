"""Check that a user's rows are read with what they say, that no text is on both sides, and that faults are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import ConfigError
from guardrail.training.data.schema import LABELS, known
from guardrail.training.detector.own_rows import OwnRows, read_own_rows

pytestmark = pytest.mark.training

SECRET = "Zyxwvut"


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def some(bad: int, good: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"text": f"{SECRET} is bad {i}", "labels": ["toxicity"]} for i in range(bad)]
    return rows + [{"text": f"{SECRET} is good {i}", "labels": []} for i in range(good)]


def read(tmp_path: Path, rows: list[dict[str, Any]], seed: int = 1) -> OwnRows:
    return read_own_rows(write(tmp_path / "my.jsonl", *rows), seed)


@pytest.mark.parametrize(("bad", "good", "held"), [(50, 50, 10), (30, 200, 23), (2, 38, 5), (250, 250, 50)])
def test_a_tenth_of_each_kind_is_held_out(tmp_path: Path, bad: int, good: int, held: int) -> None:
    own = read(tmp_path, some(bad, good))
    assert len(own.held_out) == held
    assert len(own.train) == bad + good - held
    for part in (own.train, own.held_out):
        assert {row.positive for row in part} == {True, False}
    assert not {row.text for row in own.train} & {row.text for row in own.held_out}


def test_labels_named_are_present_and_the_others_absent(tmp_path: Path) -> None:
    own = read(tmp_path, some(30, 30))
    for row in (*own.train, *own.held_out):
        assert row.labels == known(LABELS, ["toxicity"] if "bad" in row.text else [])
        assert (row.groups, row.spans, row.weight) == ({}, None, 1.0)


def test_groups_and_spans_are_taken_where_they_are_given(tmp_path: Path) -> None:
    rows = some(30, 30)
    for row in rows:
        row |= {"groups": ["gender"], "spans": [[0, 7]] if row["labels"] else []}
    own = read(tmp_path, rows)
    for made in (*own.train, *own.held_out):
        assert made.groups["gender"] == 1 and made.groups["race"] == 0
        assert made.spans == (((0, 7),) if made.positive else ())


def test_equal_texts_count_once_and_the_last_row_holds(tmp_path: Path) -> None:
    rows = [*some(30, 30), {"text": f"  {SECRET.upper()} is  BAD 3 ", "labels": []}]
    own = read(tmp_path, rows)
    every = (*own.train, *own.held_out)
    assert len(every) == 60
    assert sum(row.positive for row in every) == 29


def test_the_seed_draws_the_tenth(tmp_path: Path) -> None:
    rows = some(50, 50)
    assert read(tmp_path, rows, 1) == read(tmp_path, rows, 1)
    assert read(tmp_path, rows, 1).held_out != read(tmp_path, rows, 2).held_out


def test_an_authored_file_can_be_given_as_it_is() -> None:
    from guardrail.training.data.authored import FOLDER

    own = read_own_rows(FOLDER / "heldout.jsonl", 1)
    assert len(own.train) > 9 * len(own.held_out) * 0.9
    assert any(row.spans for row in own.train)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (some(19, 20), "holds 19 different texts with a label and 20 without; fine-tuning needs 40 texts"),
        (some(60, 0), "60 different texts with a label and 0 without"),
        (some(1, 60), "1 different texts with a label and 60 without"),
        ([], "my.jsonl holds no rows"),
        ([*some(1, 0), {"text": SECRET, "label": 1}], "row 2 has no labels; write which labels"),
        ([{"text": SECRET}], "my.jsonl:1 has labels of another form"),
        ([{"text": SECRET, "labels": ["sexism"]}], "my.jsonl:1: labels must be of stereotype, "),
        ([{"text": " ", "labels": []}], "my.jsonl:1 is no JSON object with a text"),
        ([{"text": SECRET, "labels": [], "spans": [[5, 99]]}], "my.jsonl:1: spans must be"),
    ],
)
def test_faulty_rows_are_named_without_their_text(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, rows)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_own_rows(tmp_path / "gone.jsonl", 1)
