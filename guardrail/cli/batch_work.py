"""Keep the parts of a long run in a folder beside its output, so that a killed run goes on where it ended."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import RecordBatch, Scalar, Schema, Table, parquet

from guardrail.cli.batch_read import Chunk, Reader, Unread, plain
from guardrail.errors import GuardrailError
from guardrail.result import Action
from guardrail.table import COLUMNS, Row, arrow_schema, columns_of, unread_row
from guardrail.text.surrogates import without_surrogates

ENDINGS = (".csv", ".jsonl", ".ndjson", ".parquet")
NUMBER = "row"
_UNFINISHED = ".unfinished"
_MANIFEST = "manifest.json"
_GROUP = 64
_JSON_COLUMNS = ("scores", "findings")


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to: rows in all, flagged ones, rows that could not be judged, and the rows of each action."""

    output: str
    rows: int
    _: KW_ONLY
    flagged: int
    failed: int
    actions: dict[str, int]


class Work:
    """The folder of one run: ``manifest.json`` says what was asked for, each part holds the rows of one chunk.

    A part is there whole or not at all, so a run that was killed at any point loses the chunks it was at and no more.
    """

    def __init__(self, output: Path, reader: Reader) -> None:
        if output.suffix.lower() not in ENDINGS:
            raise GuardrailError(f"{str(output)!r} cannot be written as rows; give a name in {', '.join(ENDINGS)}")
        taken = [name for name in reader.keep if name in (NUMBER, *COLUMNS)]
        if taken:
            raise GuardrailError(f"column {taken[0]!r} cannot be kept: the output has one of that name")
        self.output = output
        self.folder = output.with_name(output.name + ".parts")
        kept = zip(reader.keep, reader.kept_types, strict=True)
        self.schema: Schema = pyarrow.schema([(NUMBER, pyarrow.int64()), *kept, *arrow_schema()])

    def begin(self, settings: Mapping[str, object], *, resume: bool) -> None:
        """Make the folder, or take up the one that a run with the same settings left.

        Raises:
            GuardrailError: the output exists; or a run was interrupted and ``resume`` is false, or its settings differ.
        """
        said = json.loads(json.dumps(settings))
        found = self._manifest()
        if found is None:
            self._make()
            self._put(_MANIFEST, json.dumps(said, indent=1).encode())
            return
        remedy = f"remove {str(self.folder)!r} to begin anew"
        if not resume:
            raise GuardrailError(f"a run into {str(self.output)!r} was interrupted; go on with --resume, or {remedy}")
        for name in [*said, *found]:
            if said.get(name) != found.get(name):
                raise GuardrailError(
                    f"the interrupted run had {name} = {found.get(name)!r} and now it is {said.get(name)!r}; "
                    f"give the same again, or {remedy}"
                )

    def _make(self) -> None:
        if self.output.exists():
            raise GuardrailError(f"{str(self.output)!r} exists; remove it, or give another --output")
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise GuardrailError(
                f"{str(self.folder)!r} cannot be made: {error.strerror}; give another --output"
            ) from None
        # It will be removed in the end: nothing of anybody else's may lie in it.
        if any(not path.name.endswith(_UNFINISHED) for path in self.folder.iterdir()):
            raise GuardrailError(f"{str(self.folder)!r} holds no run; remove it, or give another --output")

    def has(self, chunk: Chunk) -> bool:
        """Tell whether a chunk is done."""
        return self._part(chunk.index).exists()

    def put(self, chunk: Chunk, rows: Sequence[Row]) -> None:
        """Write the part of a chunk; ``rows`` belong to its cells, in order."""
        verdicts = columns_of([_row(cell, row) for cell, row in zip(chunk.cells, rows, strict=True)])
        kept = [[_encodable(value) for value in column] for column in zip(*chunk.kept, strict=True)]
        numbers = list(range(chunk.first, chunk.first + len(chunk.cells)))
        arrays = [
            pyarrow.array(column, field.type)
            for column, field in zip([numbers, *kept, *verdicts.values()], self.schema, strict=True)
        ]
        sink = pyarrow.BufferOutputStream()
        parquet.write_table(Table.from_arrays(arrays, schema=self.schema), sink)
        self._put(self._part(chunk.index).name, sink.getvalue().to_pybytes())

    def leave(self) -> int:
        """Return how many parts an unfinished run has; remove its folder if it has none."""
        parts = len(list(self.folder.glob("part-*.parquet")))
        if not parts:
            shutil.rmtree(self.folder, ignore_errors=True)
        return parts

    def finish(self, chunks: int) -> Summary:
        """Join the parts of ``chunks`` chunks into the output, remove the folder and say what came out."""
        counts: Counter[str] = Counter()
        unfinished = self.folder / f"joined{self.output.suffix}"
        write = _write_parquet if self.output.suffix.lower() == ".parquet" else _write_lines
        write(unfinished, self.schema, _counted(self._batches(chunks), counts))
        with unfinished.open("rb") as file:
            # The parts go next: a power cut must not find the rows in neither place.
            os.fsync(file.fileno())
        os.replace(unfinished, self.output)
        shutil.rmtree(self.folder)
        actions = {str(action): counts[action] for action in Action if counts[action]}
        return Summary(
            str(self.output), sum(actions.values()), flagged=counts["flagged"], failed=counts["failed"], actions=actions
        )

    def _batches(self, chunks: int) -> Iterator[RecordBatch]:
        for index in range(chunks):
            yield from parquet.read_table(self._part(index)).to_batches()

    def _manifest(self) -> dict[str, object] | None:
        try:
            found: dict[str, object] = json.loads((self.folder / _MANIFEST).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise GuardrailError(f"{str(self.folder)!r} holds no run; remove it to begin anew") from None
        return found

    def _part(self, index: int) -> Path:
        return self.folder / f"part-{index:08d}.parquet"

    def _put(self, name: str, data: bytes) -> None:
        unfinished = self.folder / f"{name}.{os.getpid()}{_UNFINISHED}"
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, self.folder / name)


def _row(cell: object, row: Row) -> Row:
    return unread_row(cell.why) if isinstance(cell, Unread) else row


def _encodable(value: object) -> object:
    return without_surrogates(value) if isinstance(value, str) else value


def _counted(batches: Iterator[RecordBatch], counts: Counter[str]) -> Iterator[RecordBatch]:
    for batch in batches:
        counts.update(batch.column("action").to_pylist())
        counts["flagged"] += sum(batch.column("flagged").to_pylist())
        counts["failed"] += sum(error is not None for error in batch.column("error").to_pylist())
        yield batch


def _write_parquet(path: Path, schema: Schema, batches: Iterator[RecordBatch]) -> None:
    # The rows of a part are few for a row group, which readers load as a whole.
    with parquet.ParquetWriter(path, schema) as writer:
        while some := list(islice(batches, _GROUP)):
            writer.write_table(Table.from_batches(some, schema))


def _write_lines(path: Path, schema: Schema, batches: Iterator[RecordBatch]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        as_csv = path.suffix.lower() == ".csv"
        table = csv.DictWriter(file, schema.names, lineterminator="\n")
        if as_csv:
            table.writeheader()
        for batch in batches:
            for cells in zip(*batch.columns, strict=True):
                row = {name: _told(plain(cell)) for name, cell in zip(schema.names, cells, strict=True)}
                if as_csv:
                    table.writerow(row | {"labels": json.dumps(row["labels"])})
                else:
                    data = row | {name: json.loads(row[name]) for name in _JSON_COLUMNS}
                    file.write(json.dumps(data, ensure_ascii=False, default=str) + "\n")


def _told(value: Any) -> Any:
    if not isinstance(value, Scalar):
        return value
    try:
        return value.cast(pyarrow.string()).as_py()
    except pyarrow.ArrowException:
        return f"<{value.type} out of range>"
