"""Tables as streams: CSV of whatever separator, Parquet; columns, row counts, batches of bounded size.

One reader for the checks and for `placet diff`. What is read is hostile: a table that cannot be read whole,
the same way by everybody, is an error, never a guess. No error holds an excerpt of the data.
"""

from __future__ import annotations

import codecs
import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, Literal

from placet.errors import Invalid, NotFound

MAX_COLUMNS = 10_000
MAX_ROW = 4 << 20
SEPARATORS = ",;\t|"
_SAMPLE = 1 << 16
_BLOCK = 1 << 18
_BATCH_CELLS = 50_000
_BATCH_TEXT = 2 << 20
_IN_MEMORY = 4 << 20
_PARQUET = b"PAR1"

Kind = Literal["text", "int", "float", "bool", "time", "binary", "other"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `name` is what the header says, or its number from 1 where there is no header."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows, column by column: `values[c][r]`. CSV gives texts, Parquet Python values and None.

    Attributes:
        first: The number of the first row here, from 1, the header not counted.
    """

    first: int
    values: Sequence[Sequence[Any]]

    @property
    def rows(self) -> int:
        """How many rows are here."""
        return len(self.values[0]) if self.values else 0


class Table:
    """A table of a seekable stream, which stays open while the table is used.

    Attributes:
        form: What it is.
        columns: In order.
        header: False if a CSV begins with data: then the columns have numbers for names.
        separator: Of a CSV; empty for others.
    """

    separator = ""

    def __init__(self, form: Literal["csv", "parquet"], columns: Sequence[Column], *, header: bool) -> None:
        self.form = form
        self.columns = tuple(columns)
        self.header = header

    def batches(self) -> Iterator[Batch]:
        """All rows from the first, in batches of bounded size; each call begins anew.

        Raises:
            Invalid: kind `table`: it cannot be read to its end.
        """
        raise NotImplementedError

    def count(self) -> int:
        """The number of rows; reads a CSV to its end."""
        return sum(batch.rows for batch in self.batches())


@contextmanager
def seekable(chunks: Iterable[bytes]) -> Iterator[IO[bytes]]:
    """A stream's bytes as a seekable file: in memory up to 4 MiB, else in a nameless temporary file."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        for chunk in chunks:
            file.write(chunk)
        file.seek(0)
        yield file


def open_table(stream: IO[bytes], *, least_columns: int = 1) -> Table:
    """The table that a stream holds, told by its content.

    Args:
        stream: Seekable; read from its beginning.
        least_columns: Of a CSV; 2 tells a table from a plain text.

    Raises:
        Invalid: kind `table`: it holds no table that can be read.
        NotFound: kind `no-library`: Parquet needs `placet[parquet]`.
    """
    stream.seek(0)
    if stream.read(4) == _PARQUET:
        return _Parquet(stream)
    return _Csv(stream, least_columns)


def lines(stream: IO[bytes]) -> Iterator[str]:
    """The lines of a UTF-8 text with their ends; CR, LF and CRLF end a line.

    Raises:
        Invalid: kind `table`: not UTF-8, a NUL, or a line of more than 4 MiB.
    """
    stream.seek(0)
    decode = codecs.getincrementaldecoder("utf-8-sig")("strict")
    newlines = io.IncrementalNewlineDecoder(decode, translate=True)
    rest = ""
    while True:
        block = stream.read(_BLOCK)
        try:
            rest += newlines.decode(block, final=not block)
        except UnicodeDecodeError:
            raise unreadable("it is not UTF-8") from None
        if "\x00" in rest:
            raise unreadable("it holds a NUL")
        *whole, rest = rest.split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(rest) > MAX_ROW:
            raise unreadable(f"a line is longer than {MAX_ROW} characters")
        if not block:
            break
    if rest:
        yield rest


def unreadable(why: str) -> Invalid:
    """The error of a table that cannot be read."""
    return Invalid("It cannot be read as a table.", kind="table", why=f"{why[0].upper()}{why[1:]}.")


def is_number(text: str) -> bool:
    """Is a cell's text a number, with a point or a comma for its fraction?"""
    try:
        float(text.replace(",", ".", 1))
    except ValueError:
        return False
    return True


class _Csv(Table):
    def __init__(self, stream: IO[bytes], least_columns: int) -> None:
        self._stream = stream
        self.separator = _separator(_sample(stream))
        first = next(self._records(), None)
        if first is None:
            raise unreadable("it is empty")
        if first[0].casefold().startswith("sep="):
            raise unreadable("its first row tells a spreadsheet another separator")
        if len(first) < least_columns:
            raise unreadable("it has one column only")
        header = _is_header(first)
        names = first if header else [str(number) for number in range(1, len(first) + 1)]
        super().__init__("csv", [Column(name, "text") for name in names], header=header)

    def batches(self) -> Iterator[Batch]:
        records = self._records()
        if self.header:
            next(records, None)
        width, first = len(self.columns), 1
        rows: list[list[str]] = []
        cells = text = 0
        for row in records:
            if len(row) != width:
                raise unreadable(f"row {first + len(rows)} has another number of cells than the first")
            rows.append(row)
            cells += width
            text += sum(map(len, row))
            if cells >= _BATCH_CELLS or text >= _BATCH_TEXT:
                yield Batch(first, list(zip(*rows, strict=True)))
                first, rows, cells, text = first + len(rows), [], 0, 0
        if rows:
            yield Batch(first, list(zip(*rows, strict=True)))

    def _records(self) -> Iterator[list[str]]:
        fed = 0

        def feed() -> Iterator[str]:
            nonlocal fed
            for line in lines(self._stream):
                fed += len(line)
                if fed > MAX_ROW:
                    raise unreadable(f"a row is longer than {MAX_ROW} characters")
                yield line

        try:
            for row in csv.reader(feed(), delimiter=self.separator, strict=True):
                fed = 0
                if len(row) > MAX_COLUMNS:
                    raise unreadable(f"it has more than {MAX_COLUMNS} columns")
                if row:
                    yield row
        except csv.Error:
            raise unreadable("a quote is not closed, or a cell is larger than 128 KiB") from None


class _Parquet(Table):
    def __init__(self, stream: IO[bytes]) -> None:
        self._arrow, parquet = _arrow()
        try:
            self._file = parquet.ParquetFile(stream, pre_buffer=False, memory_map=False)
            schema = self._file.schema_arrow
        except (self._arrow.ArrowException, OSError, ValueError, UnicodeDecodeError):
            raise unreadable("its Parquet footer is damaged") from None
        if len(schema) > MAX_COLUMNS:
            raise unreadable(f"it has more than {MAX_COLUMNS} columns")
        columns = [Column(field.name, _kind(self._arrow, field.type)) for field in schema]
        super().__init__("parquet", columns, header=True)

    def count(self) -> int:
        return int(self._file.metadata.num_rows)

    def batches(self) -> Iterator[Batch]:
        size = max(1, _BATCH_CELLS // max(1, len(self.columns)))
        first = 1
        try:
            for found in self._file.iter_batches(batch_size=size, use_threads=False):
                yield Batch(first, [column.to_pylist() for column in found.columns])
                first += found.num_rows
        except (self._arrow.ArrowException, OSError, ValueError, OverflowError):
            raise unreadable("a page of the Parquet file is damaged") from None
        if first - 1 != self.count():
            raise unreadable("its Parquet footer promises another number of rows")


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise NotFound(
            "Parquet cannot be read here.", kind="no-library", mend="pip install '/path/to/placet[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet


def _kind(arrow: Any, type_: Any) -> Kind:  # noqa: ANN401 - pyarrow has no types
    types = arrow.types
    if types.is_dictionary(type_):
        type_ = type_.value_type
    tests: tuple[tuple[Kind, Any], ...] = (
        ("bool", types.is_boolean),
        ("int", types.is_integer),
        ("float", lambda one: types.is_floating(one) or types.is_decimal(one)),
        ("time", types.is_temporal),
        ("text", types.is_null),
        ("text", lambda one: types.is_string(one) or types.is_large_string(one) or types.is_string_view(one)),
        ("binary", lambda one: types.is_binary(one) or types.is_large_binary(one)),
    )
    return next((kind for kind, test in tests if test(type_)), "other")


def _sample(stream: IO[bytes]) -> list[str]:
    """The first whole lines."""
    out, size = [], 0
    for line in islice(lines(stream), 200):
        out.append(line)
        size += len(line)
        if size > _SAMPLE:
            break
    return out


def _separator(sample: Sequence[str]) -> str:
    """The separator by which all rows of the sample have one width, the widest; else the first row's most."""

    def width(separator: str) -> int:
        try:
            widths = {len(row) for row in csv.reader(sample, delimiter=separator) if row}
        except csv.Error:
            return 0
        return widths.pop() if len(widths) == 1 else 0

    best = max(SEPARATORS, key=width)
    return best if width(best) > 1 else max(SEPARATORS, key="".join(sample[:1]).count)


def _is_header(row: Sequence[str]) -> bool:
    return len(set(row)) == len(row) and not any(is_number(cell) for cell in row)
