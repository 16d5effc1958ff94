"""Test ``guardrail check --input``: every row of a file comes out judged, whatever its neighbours are."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from guardrail.cli.batch import _start_ray
from guardrail.cli.door import FAILED
from guardrail.errors import ModelRuntimeError
from guardrail.table import COLUMNS, checked_row
from tests.cli import no_colour, run  # noqa: F401
from tests.fakes import WordDetector
from tests.guards import failing, guard
from tests.modules import imported_anew

pytest.importorskip("pyarrow", reason="needs the [batch] extra")

import pyarrow
from pyarrow import parquet

pytestmark = pytest.mark.usefixtures("no_colour")
TEXTS = [
    "The idiot, he spoke.",
    "The meeting is at nine.",
    None,
    "",
    'A "quoted" word.\nThe chairman left.',
    "Zoë, 👍 and 你好",
]
ENDINGS = ["parquet", "jsonl", "csv"]


def write(path: Path, texts: list[Any] = TEXTS, field: str = "text", **columns: list[Any]) -> str:
    """Write a file of rows; CSV knows no null."""
    table = {field: texts, "id": list(range(len(texts))), **columns}
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.table(table), path, row_group_size=4)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(table))
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return [row | {name: json.loads(row[name]) for name in ("scores", "findings")} for row in rows]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def batch(source: str | Path, out: Path, *more: str, detector: WordDetector | None = None) -> Result:
    return run("check", "--input", str(source), "--output", str(out), *more, detector=detector)


def wanted(texts: list[Any] = TEXTS) -> Iterator[dict[str, Any]]:
    for number, text in enumerate(texts):
        row = checked_row(guard(), text)
        yield {"row": number, **row, **{name: json.loads(str(row[name])) for name in ("scores", "findings")}}


@pytest.mark.parametrize("source", ENDINGS)
@pytest.mark.parametrize("target", ENDINGS)
def test_every_row_is_what_check_says_of_its_text(tmp_path: Path, source: str, target: str) -> None:
    out = tmp_path / f"out.{target}"
    result = batch(write(tmp_path / f"in.{source}"), out)
    assert (result.exit_code, result.stderr) == (1, "")
    assert f"6 rows, 2 flagged (allow 4, rewrite 2) -> {out}\n" == result.stdout
    texts = ["" if text is None and source == "csv" else text for text in TEXTS]
    if target == "csv":
        assert [(row["row"], row["action"], row["text"]) for row in read(out)] == [
            (str(row["row"]), row["action"], row["text"] or "") for row in wanted(texts)
        ]
        assert json.loads(read(out)[0]["labels"]) == ["toxicity"]
    else:
        assert read(out) == list(wanted(texts))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"in.{source}", out.name]


def test_the_output_has_its_columns_and_none_of_the_input_unasked(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    batch(write(tmp_path / "in.jsonl", secret=["Zyxwvut"] * len(TEXTS)), out)
    assert parquet.read_schema(out).names == ["row", *COLUMNS]
    assert "idiot" not in json.dumps([row | {"scores": 0} for row in read(out)])


def test_columns_can_be_kept_with_their_types(tmp_path: Path) -> None:
    out, when = tmp_path / "out.parquet", [datetime(2026, 11, day) for day in range(1, 7)]
    source = write(tmp_path / "in.parquet", when=when)
    assert batch(source, out, "--keep", "id", "--keep", "when").exit_code == 1
    assert parquet.read_schema(out).names == ["row", "id", "when", *COLUMNS]
    assert [(row["id"], row["when"]) for row in read(out)] == list(enumerate(when))


@pytest.mark.parametrize("ending", ENDINGS)
def test_kept_values_that_python_cannot_hold_end_no_run(tmp_path: Path, ending: str) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / f"out.{ending}"
    kind = pyarrow.timestamp("us")
    far, nested = pyarrow.array([1, 2**62], kind), pyarrow.array([None, [2**62]], pyarrow.list_(kind))
    table = pyarrow.table({"text": ["Yes.", "No."], "far": far, "nested": nested})
    parquet.write_table(table, source)
    assert batch(source, out, "--keep", "far", "--keep", "nested").exit_code == 0
    if ending == "parquet":
        assert parquet.read_table(out).select(["far", "nested"]).equals(table.select(["far", "nested"]))
    else:
        assert [row["far"] for row in read(out)] == [
            "1970-01-01 00:00:00.000001",
            "<value out of range: 4611686018427387904>",
        ]
        assert read(out)[1]["nested"].endswith("out of range>")


def test_a_text_of_parquet_that_is_not_utf8_is_a_bad_row(tmp_path: Path) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.jsonl"
    offsets = pyarrow.array([0, 2, 6], pyarrow.int32()).buffers()[1]
    texts = pyarrow.Array.from_buffers(pyarrow.string(), 2, [None, offsets, pyarrow.py_buffer(b"\xff\xfeYes.")])
    parquet.write_table(pyarrow.table({"text": texts}), source)
    assert batch(source, out).exit_code == FAILED
    assert [(row["action"], row["text"], row["error"]) for row in read(out)] == [
        ("block", None, "row 1 is not UTF-8"),
        ("allow", "Yes.", None),
    ]


def test_a_line_that_is_too_long_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrail.cli.batch_read._LONGEST", 64)
    lines = [{"text": "Yes."}, {"text": "The idiot spoke. " * 20}, {"text": "No."}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert batch(tmp_path / "in.jsonl", tmp_path / "out.jsonl").exit_code == FAILED
    rows = read(tmp_path / "out.jsonl")
    assert [row["action"] for row in rows] == ["allow", "block", "allow"]
    assert rows[1]["error"] == "line 2 is no JSON object in UTF-8"


def test_columns_of_json_lines_are_kept_as_text(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", ["Yes.", "No."], tags=[["a", 1], None])
    assert batch(source, tmp_path / "out.jsonl", "--keep", "id", "--keep", "tags").exit_code == 0
    assert [(row["id"], row["tags"]) for row in read(tmp_path / "out.jsonl")] == [("0", '["a", 1]'), ("1", None)]


def test_the_texts_may_have_another_name(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", ["The idiot spoke."], field="body")
    assert batch(source, tmp_path / "out.jsonl", "--field", "body").exit_code == 1
    assert read(tmp_path / "out.jsonl")[0]["text"] == "The plain spoke."


@pytest.mark.parametrize("ending", ENDINGS)
def test_chunks_and_workers_change_nothing(tmp_path: Path, ending: str) -> None:
    texts = [TEXTS[number % len(TEXTS)] for number in range(50)]
    source, once, often = write(tmp_path / f"in.{ending}", texts), tmp_path / "once.parquet", tmp_path / "often.parquet"
    assert (
        batch(source, once).stdout.split(" ->")[0]
        == batch(source, often, "--chunk", "7", "--workers", "3").stdout.split(" ->")[0]
    )
    assert parquet.read_table(once) == parquet.read_table(often)


def test_the_summary_can_be_json(tmp_path: Path) -> None:
    result = batch(write(tmp_path / "in.csv"), tmp_path / "out.csv", "--json")
    assert json.loads(result.stdout) == {
        "output": str(tmp_path / "out.csv"),
        "rows": 6,
        "flagged": 2,
        "failed": 0,
        "actions": {"allow": 4, "rewrite": 2},
    }


def test_a_file_without_rows_gives_one_without_rows(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n\n", encoding="utf-8")
    result = batch(tmp_path / "in.jsonl", tmp_path / "out.parquet")
    assert (result.exit_code, result.stdout.split(" ->")[0]) == (0, "0 rows, 0 flagged (none)")
    assert parquet.read_table(tmp_path / "out.parquet").num_rows == 0


def test_a_policy_decides_and_a_raise_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('[policy]\naction = "raise"\nblock_message = "Withheld."\n', encoding="utf-8")
    result = batch(write(tmp_path / "in.csv"), tmp_path / "out.jsonl", "--policy", str(tmp_path / "policy.toml"))
    assert result.exit_code == 1
    assert [(row["action"], row["text"]) for row in read(tmp_path / "out.jsonl")][0] == ("raise", "Withheld.")


def test_a_text_that_cannot_be_judged_is_blocked_and_the_run_fails_in_the_end(tmp_path: Path) -> None:
    broken = failing(ModelRuntimeError("no more"))
    result = batch(write(tmp_path / "in.csv"), tmp_path / "out.jsonl", detector=broken)
    assert (result.exit_code, result.stderr) == (
        FAILED,
        "guardrail: not judged: 4 of 6 rows; their column error says why\n",
    )
    assert [row["error"] for row in read(tmp_path / "out.jsonl")].count("ModelRuntimeError: no more") == 4
    assert "idiot" not in (tmp_path / "out.jsonl").read_text(encoding="utf-8")


def test_a_bad_row_is_blocked_and_the_others_are_judged(tmp_path: Path) -> None:
    rows = [
        b'{"text": "The idiot spoke.", "id": 1}',
        b"{broken",
        b'{"text": 5, "id": 2}',
        b'{"id": 3}',
        b"[]",
        b'{"text": "\xff"}',
        b'{"text": "lone \\ud83d", "id": 4}',
        b"",
        b'{"text": "Yes."}',
    ]
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(rows))
    out = tmp_path / "out.jsonl"
    assert batch(tmp_path / "in.jsonl", out, "--keep", "id").exit_code == FAILED
    said = [(row["action"], row["id"], row["text"], row["error"]) for row in read(out)]
    assert said == [
        ("rewrite", "1", "The plain spoke.", None),
        ("block", None, None, "line 2 is no JSON object in UTF-8"),
        ("block", "2", None, "line 3 has no text in its field 'text'"),
        ("block", "3", None, "line 4 has no text in its field 'text'"),
        ("block", None, None, "line 5 is no JSON object in UTF-8"),
        ("block", None, None, "line 6 is no JSON object in UTF-8"),
        ("allow", "4", "lone \ufffd", None),
        ("allow", None, "Yes.", None),
    ]


def test_a_bad_line_of_csv_is_blocked_and_the_others_are_judged(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"\xef\xbb\xbfid,text\n1,The idiot spoke.\n2\n3,caf\xe9\n4,a,b\n\n5,Yes.\n")
    out = tmp_path / "out.jsonl"
    assert batch(tmp_path / "in.csv", out, "--keep", "id").exit_code == FAILED
    assert [(row["action"], row["id"], row["error"]) for row in read(out)] == [
        ("rewrite", "1", None),
        ("block", None, "line 3 has 1 cells for 2 columns"),
        ("block", None, "line 4 is not UTF-8"),
        ("block", None, "line 5 has 3 cells for 2 columns"),
        ("allow", "5", None),
    ]


FAULTS = {
    "no such file": ("gone.csv", None, [], "gone.csv' cannot be read: No such file or directory; give a readable file"),
    "ending": ("in.txt", b"text", [], "in.txt' cannot be read as rows; give a file that ends in .csv, .jsonl"),
    "no parquet": ("in.parquet", b"PAR1 not really", [], "in.parquet' is no Parquet file or a damaged one"),
    "column of csv": ("in.csv", b"id,body\n1,Yes.\n", [], "has no column 'text'; its columns are 'id', 'body'"),
    "field of json": ("in.jsonl", b'{"body": "Yes."}\n', [], "has no column 'text'; its columns are 'body'"),
    "kept column": ("in.csv", b"id,text\n1,Yes.\n", ["--keep", "od"], "has no column 'od'"),
    "kept name": ("in.csv", b"row,text\n1,Yes.\n", ["--keep", "row"], "column 'row' cannot be kept"),
    "empty csv": ("in.csv", b"", [], "has no column 'text'; its columns are none"),
    "no json": ("in.jsonl", b"\x89PNG\r\n\x1a\n", [], "cannot be read: line 1 is no JSON object in UTF-8"),
    "twice": ("in.csv", b"text,text\n1,Yes.\n", [], "in.csv' has 2 columns 'text'; rename all but one"),
    "no headings": ("in.csv", b"The idiot left,7\n", [], "has no column 'text'; its columns are one with blanks, '7'"),
    "open quote": ("in.csv", b'id,text\n1,Yes.\n2,"No\n' + b"3,x\n" * 9, [], "is no CSV from line"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_file_that_cannot_be_read_is_refused_and_nothing_is_left(tmp_path: Path, case: str) -> None:
    name, data, more, said = FAULTS[case]
    if data is not None:
        (tmp_path / name).write_bytes(data)
    result = batch(tmp_path / name, tmp_path / "out.jsonl", *more)
    assert result.exit_code == FAILED
    assert said in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ([name] if data is not None else [])


def test_a_column_of_numbers_is_refused(tmp_path: Path) -> None:
    result = batch(write(tmp_path / "in.parquet"), tmp_path / "out.jsonl", "--field", "id")
    assert "in.parquet' holds int64 in column 'id', not strings; name another one with --field" in result.stderr


def test_a_parquet_file_that_is_damaged_further_down_keeps_what_was_done(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    parquet.write_table(pyarrow.table({"text": ["Yes."] * 300 + ["No."] * 300}), source, row_group_size=300)
    whole = source.read_bytes()
    group = parquet.ParquetFile(source).metadata.row_group(1).column(0)
    at, size = group.dictionary_page_offset, group.total_compressed_size
    source.write_bytes(whole[:at] + b"\xff" * size + whole[at + size :])
    result = batch(source, tmp_path / "out.jsonl", "--chunk", "100")
    assert (result.exit_code, "in.parquet' is damaged behind row 256" in result.stderr) == (FAILED, True)
    assert "go on with --resume" in result.stderr
    assert len(list((tmp_path / "out.jsonl.parts").glob("part-*"))) == 2
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--input", "in.csv"], "--input and --output go together, without a text"),
        (["--output", "out.csv"], "--input and --output go together"),
        (["text", "--input", "in.csv", "--output", "out.csv"], "--input and --output go together"),
        (
            ["--detect-only", "--input", "in.csv", "--output", "out.csv"],
            'a policy with action = "flag" changes nothing',
        ),
        ([], "check takes a text, the path of a file, or - for stdin; or --input and --output"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], said: str) -> None:
    result = run("check", *arguments)
    assert (result.exit_code, said in result.stderr) == (FAILED, True)


def test_an_output_of_another_kind_is_refused(tmp_path: Path) -> None:
    result = batch(write(tmp_path / "in.csv"), tmp_path / "out.xlsx")
    assert "out.xlsx' cannot be written as rows; give a name in .csv, .jsonl, .ndjson, .parquet" in result.stderr
    result = batch(tmp_path / "in.csv", tmp_path / "gone" / "out.csv")
    assert "out.csv.parts' cannot be made: No such file or directory; give another --output" in result.stderr


def test_more_workers_than_the_policy_lets_run_are_refused(tmp_path: Path) -> None:
    result = batch(write(tmp_path / "in.csv"), tmp_path / "out.csv", "--workers", "9")
    assert "9 workers are more than policy.max_running = 4; raise it, or take fewer" in result.stderr


def test_ray_is_started_apart_unless_an_address_names_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[tuple[str, ...], Any]] = []
    ray = SimpleNamespace(
        is_initialized=lambda: False, init=lambda *at, **more: started.append((at, more.get("num_cpus")))
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    _start_ray(3)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    _start_ray(3)
    # A cluster that runs on this machine takes no num_cpus, and Ray would join it unasked.
    assert started == [(("local",), 3), ((), None)]


@pytest.mark.parametrize(("package", "options"), [("pyarrow", []), ("ray", ["--engine", "ray"])])
def test_a_missing_package_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, options: list[str]
) -> None:
    source = write(tmp_path / "in.csv")
    with imported_anew("guardrail.cli.batch_read", "guardrail.cli.batch_work"):
        monkeypatch.setitem(sys.modules, package, None)
        result = batch(source, tmp_path / "out.csv", *options)
    extra = {"pyarrow": "batch", "ray": "ray"}[package]
    assert (result.exit_code, f'pip install "guardrail-sdk[{extra}]"' in result.stderr) == (FAILED, True)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
