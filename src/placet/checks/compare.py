"""What two versions of a table have in common, and what not: columns, their kinds, rows; in bounded memory.

Rows are compared by the columns that both versions have, as sets with repetition; their order does not count.
Digests of rows wait in a nameless temporary database, never the rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from placet.checks.tables import Table, is_number, open_table, seekable
from placet.core.digest import sha256_hex
from placet.errors import Invalid, NotFound

_MAX_CELL = 200

Stream = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class ColumnDiff:
    """A column whose kind changed."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TableDiff:
    """Two versions of a table; the first is empty where there is none.

    Attributes:
        form: `csv` or `parquet`, or empty where it could not be read.
        columns: The columns of the new version with their kinds, in order.
        columns_added: Names that only the new version has.
        columns_removed: Names that only the old version has.
        kinds_changed: Columns of both, of another kind now; CSV's kinds follow from all their cells.
        rows: Their number before and after.
        rows_added: Rows of the new version that the old one lacks, by the columns of both.
        rows_removed: The reverse.
        sample_added: The first of those rows, all their cells as text, where they were asked for.
        sample_removed: The same of the old version.
        problem: Why the tables were not compared, or empty.
    """

    form: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    kinds_changed: tuple[ColumnDiff, ...] = ()
    rows: tuple[int, int] = (0, 0)
    rows_added: int = 0
    rows_removed: int = 0
    sample_added: tuple[tuple[str, ...], ...] = ()
    sample_removed: tuple[tuple[str, ...], ...] = ()
    problem: str = ""


def compare(before: Stream | None, after: Stream, *, rows: int = 0) -> TableDiff:
    """Compare two versions of a table.

    Args:
        before: The old version, or None.
        after: The new version.
        rows: How many of the rows that differ to give, of each side.

    Raises:
        Corrupt: a stream is not what its digest says; what cannot be read as a table is no error.
    """
    with ExitStack() as stack:
        try:
            new = open_table(stack.enter_context(seekable(after())))
            old = open_table(stack.enter_context(seekable(before()))) if before else None
            if old is not None and old.form != new.form:
                return TableDiff(new.form, problem=f"it was {old.form} before and is {new.form} now")
            return _compare(old, new, rows)
        except (Invalid, NotFound) as error:
            return TableDiff(problem=f"{error.what} {error.why}".strip())


@dataclass(frozen=True, slots=True)
class _Side:
    """One version: its table, the columns that rows are compared by, and how a row counts."""

    table: Table
    by: Sequence[int]
    step: Literal[1, -1]

    def keys(self, values: Sequence[Sequence[Any]]) -> Iterator[bytes]:
        chosen = [values[index] for index in self.by] or [[""] * len(values[0])]
        for row in zip(*chosen, strict=True):
            yield bytes.fromhex(sha256_hex(repr(row).encode("utf-8", "backslashreplace")))


def _compare(old: Table | None, new: Table, rows: int) -> TableDiff:
    names = [one.name for one in new.columns]
    former = [one.name for one in old.columns] if old else names
    shared = [name for name in dict.fromkeys(names) if name in former]
    after = _Side(new, [names.index(name) for name in shared], 1)
    before = _Side(old, [former.index(name) for name in shared], -1) if old else None
    with closing(_Tally()) as tally:
        count, kinds = tally.add(after)
        count_before, kinds_before = tally.add(before) if before else (0, kinds)
        added, removed = tally.differing()
        return TableDiff(
            form=new.form,
            columns=tuple((name, kinds[name]) for name in names),
            columns_added=tuple(name for name in names if name not in former),
            columns_removed=tuple(name for name in former if name not in names),
            kinds_changed=tuple(
                ColumnDiff(name, kinds_before[name], kinds[name])
                for name in shared
                if kinds_before[name] != kinds[name]
            ),
            rows=(count_before, count),
            rows_added=added,
            rows_removed=removed,
            sample_added=tuple(islice(tally.differing_rows(after), rows)),
            sample_removed=tuple(islice(tally.differing_rows(before), rows)) if before else (),
        )


class _Tally:
    """How often each row occurs in the new version, less in the old one, by the rows' digests."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.execute("PRAGMA cache_size = -8192")
        self._base.execute("CREATE TABLE tally (row BLOB PRIMARY KEY, n INTEGER) WITHOUT ROWID")

    def close(self) -> None:
        self._base.close()

    def add(self, side: _Side) -> tuple[int, dict[str, str]]:
        """Count a version's rows; returns their number and each column's kind."""
        columns = side.table.columns
        kinds = [_Kind() for _ in columns]
        count = 0
        insert = "INSERT INTO tally VALUES (?, ?) ON CONFLICT (row) DO UPDATE SET n = n + excluded.n"
        self._base.execute("BEGIN")
        for batch in side.table.batches():
            count += batch.rows
            if side.table.form == "csv":
                for kind, values in zip(kinds, batch.values, strict=True):
                    kind.take(values)
            self._base.executemany(insert, ((key, side.step) for key in side.keys(batch.values)))
        self._base.execute("COMMIT")
        told = side.table.form == "parquet"
        named = zip(columns, kinds, strict=True)
        return count, {one.name: one.kind if told else kind.name for one, kind in named}

    def differing(self) -> tuple[int, int]:
        """How many rows only the new version has, and only the old one."""
        query = "SELECT coalesce(sum(max(n, 0)), 0), coalesce(sum(max(-n, 0)), 0) FROM tally"
        added, removed = self._base.execute(query).fetchone()
        return int(added), int(removed)

    def differing_rows(self, side: _Side) -> Iterator[tuple[str, ...]]:
        """The rows that only this version has, from the first."""
        find = "UPDATE tally SET n = n - ? WHERE row = ? AND n * ? > 0 RETURNING 1"
        for batch in side.table.batches():
            cells = zip(*batch.values, strict=True)
            for key, row in zip(side.keys(batch.values), cells, strict=True):
                if self._base.execute(find, (side.step, key, side.step)).fetchall():
                    yield tuple(_text(cell) for cell in row)


class _Kind:
    """What all cells of a CSV's column have in common; empty cells say nothing."""

    def __init__(self) -> None:
        self.name = "empty"

    def take(self, values: Sequence[str]) -> None:
        if self.name == "text":
            return
        for value in values:
            if not value or self.name == "text":
                continue
            if not is_number(value):
                self.name = "text"
            elif self.name != "float":
                self.name = "int" if value.strip().lstrip("+-").isdigit() else "float"


def _text(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…"
