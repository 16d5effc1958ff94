"""Read texts row by row from Parquet, JSON lines or CSV, a batch in memory at most; a bad row is no end."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import count, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

import pyarrow
from pyarrow import parquet

from guardrail.errors import GuardrailError

if TYPE_CHECKING:
    from pyarrow import DataType, Scalar

_LONGEST = 64 * 2**20
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Unread:
    """A row whose text could not be read, and why; never what stands there."""

    why: str


Cell: TypeAlias = str | None | Unread
InputRow: TypeAlias = tuple[Cell, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that are judged and written together: the ``index``-th ones, from row ``first`` of the input on."""

    index: int
    first: int
    cells: tuple[Cell, ...]
    kept: tuple[tuple[object, ...], ...]


class Reader(ABC):
    """Give the rows of a file: the text in ``field``, and the columns named in ``keep`` as they are.

    ``done`` of ``total`` is how far it has read, in units of its own.
    """

    def __init__(self, path: Path, field: str, keep: Sequence[str]) -> None:
        self.path, self.field, self.keep = path, field, tuple(keep)
        self.total = path.stat().st_size
        self.done = 0

    @property
    def kept_types(self) -> tuple[DataType, ...]:
        """The Arrow types of the kept columns."""
        return tuple(pyarrow.string() for _ in self.keep)

    @abstractmethod
    def rows(self) -> Iterator[InputRow]:
        """Yield the rows in order; raises ``GuardrailError`` where the file cannot be read on."""

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows ``size`` at a time."""
        rows = self.rows()
        for index in count():
            some = list(islice(rows, size))
            if not some:
                return
            cells, kept = zip(*some, strict=True)
            yield Chunk(index, index * size, cells, kept)

    def _check_columns(self, there: Sequence[str]) -> None:
        for name in (self.field, *self.keep):
            if name not in there:
                raise self._error(f"has no column {name!r}; its columns are {', '.join(map(_named, there)) or 'none'}")
            if there.count(name) > 1:
                raise self._error(f"has {there.count(name)} columns {name!r}; rename all but one")

    def _error(self, why: str) -> GuardrailError:
        return GuardrailError(f"{str(self.path)!r} {why}")


class ParquetReader(Reader):
    """Read Parquet; kept columns keep their types."""

    def __init__(self, path: Path, field: str, keep: Sequence[str]) -> None:
        super().__init__(path, field, keep)
        try:
            self._file = parquet.ParquetFile(path)
        except (pyarrow.ArrowException, OSError):
            raise self._error("is no Parquet file or a damaged one") from None
        self._schema = self._file.schema_arrow
        self._check_columns(self._schema.names)
        self.total = self._file.metadata.num_rows
        kind = self._schema.field(field).type
        if not _is_text(kind):
            raise self._error(f"holds {kind} in column {field!r}, not strings; name another one with --field")

    @property
    def kept_types(self) -> tuple[DataType, ...]:
        """The Arrow types of the kept columns."""
        return tuple(self._schema.field(name).type for name in self.keep)

    def rows(self) -> Iterator[InputRow]:
        """Yield the rows in order."""
        with self._file as file:
            try:
                for batch in file.iter_batches(_BATCH, columns=list(dict.fromkeys((self.field, *self.keep)))):
                    kept = [list(map(plain, batch.column(name))) for name in self.keep]
                    for place, text in enumerate(batch.column(self.field)):
                        self.done += 1
                        yield self._cell(text), tuple(column[place] for column in kept)
            except (pyarrow.ArrowException, OSError):
                raise self._error(f"is damaged behind row {self.done}") from None

    def _cell(self, text: Scalar) -> Cell:
        try:
            cell: str | None = text.as_py()
        except UnicodeDecodeError:
            return Unread(f"row {self.done} is not UTF-8")
        return cell


class _TextReader(Reader):
    """Read a file of lines; kept columns become strings."""

    def rows(self) -> Iterator[InputRow]:
        """Yield the rows in order; what cannot be read is ``Unread`` behind the first row, and an error in it."""
        with self.path.open("rb") as file:
            for place, row in enumerate(self._rows(file)):
                if not place and isinstance(row[0], Unread):
                    raise self._error(f"cannot be read: {row[0].why}")
                self.done = file.tell()
                yield row

    @abstractmethod
    def _rows(self, file: IO[bytes]) -> Iterator[InputRow]: ...

    def _unread(self, line: int, why: str) -> InputRow:
        return Unread(f"line {line} {why}"), (None,) * len(self.keep)


class JsonLinesReader(_TextReader):
    """Read one JSON object a line; blank lines are no rows."""

    def _rows(self, file: IO[bytes]) -> Iterator[InputRow]:
        checked = False
        for number, line in enumerate(_lines(file), 1):
            if line.strip():
                data = _json_object(line)
                if data is not None and not checked:
                    checked = True
                    self._check_columns(list(data))
                yield self._row(data, number)

    def _row(self, data: Mapping[str, object] | None, number: int) -> InputRow:
        if data is None:
            return self._unread(number, "is no JSON object in UTF-8")
        kept = tuple(_as_text(data.get(name)) for name in self.keep)
        text = data.get(self.field)
        if self.field not in data or not isinstance(text, (str, type(None))):
            return Unread(f"line {number} has no text in its field {self.field!r}"), kept
        return text, kept


class CsvReader(_TextReader):
    """Read CSV whose first line names the columns."""

    def _rows(self, file: IO[bytes]) -> Iterator[InputRow]:
        # Bytes that are no UTF-8 become lone surrogates, which spoil their row alone.
        text = TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        csv.field_size_limit(_LONGEST)
        lines = csv.reader(text, strict=True)
        try:
            names = next(lines, [])
            self._check_columns(names)
            for cells in lines:
                if cells:
                    yield self._row(names, cells, lines.line_num)
        except csv.Error:
            raise self._error(f"is no CSV from line {lines.line_num} on (a quote that does not end?)") from None
        finally:
            text.detach()

    def _row(self, names: Sequence[str], cells: Sequence[str], number: int) -> InputRow:
        if len(cells) != len(names):
            return self._unread(number, f"has {len(cells)} cells for {len(names)} columns")
        if not all(map(_is_utf8, cells)):
            return self._unread(number, "is not UTF-8")
        data = dict(zip(names, cells, strict=True))
        return data[self.field], tuple(data[name] for name in self.keep)


READERS: Mapping[str, Callable[[Path, str, Sequence[str]], Reader]] = {
    ".csv": CsvReader,
    ".jsonl": JsonLinesReader,
    ".ndjson": JsonLinesReader,
    ".parquet": ParquetReader,
}


def open_rows(path: Path, field: str, keep: Sequence[str]) -> Reader:
    """Open a file of rows by the ending of its name.

    Raises:
        GuardrailError: the ending is none of ``READERS``, the file cannot be read, or it lacks a column.
    """
    if path.suffix.lower() not in READERS:
        raise GuardrailError(f"{str(path)!r} cannot be read as rows; give a file that ends in {', '.join(READERS)}")
    try:
        path.open("rb").close()
        return READERS[path.suffix.lower()](path, field, keep)
    except OSError as error:
        raise GuardrailError(f"{str(path)!r} cannot be read: {error.strerror}; give a readable file") from None


def plain(scalar: Scalar) -> object:
    """Return a value of Arrow as one of Python's; those that Python cannot hold stay: nanoseconds, the year 10,000."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return scalar


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines; of one that is too long only the beginning, which is no JSON."""
    while line := file.readline(_LONGEST):
        yield line
        while len(line) == _LONGEST and not line.endswith(b"\n"):
            line = file.readline(_LONGEST)


def _json_object(line: bytes) -> Mapping[str, object] | None:
    try:
        data: object = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _is_text(kind: DataType) -> bool:
    types = pyarrow.types
    value = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(value) or types.is_large_string(value) or types.is_null(value))


def _named(column: str) -> str:
    # The first line of a file without headings is a text.
    return "one with blanks" if len(column.split()) > 1 else repr(column)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
