"""What a tier must hold and what it holds, side by side, for any number of objects in bounded memory.

A private SQLite file without a name keeps both, and goes with the process. Memory: SQLite's cache, 64 MiB at
most; disk: some 200 bytes an object. One thread uses it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from placet.ports import ObjectInfo

_CACHE_KIB = 64 << 10
_PAGE = 1000
_MOST = (1 << 63) - 1
_TABLES = """
PRAGMA journal_mode = OFF;
CREATE TABLE found (key TEXT PRIMARY KEY, size INTEGER NOT NULL, modified REAL) WITHOUT ROWID;
CREATE TABLE known (key TEXT PRIMARY KEY, owner INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE part (key TEXT NOT NULL);
CREATE TABLE wanted (
    key TEXT NOT NULL, sha256 BLOB NOT NULL, size INTEGER, since REAL NOT NULL, owner INTEGER NOT NULL,
    suspect INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (key, sha256)) WITHOUT ROWID;
"""
_WANT = """
INSERT INTO wanted (key, sha256, size, since, owner, suspect) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET size = coalesce(size, excluded.size), since = min(since, excluded.since),
    suspect = max(suspect, excluded.suspect)
"""
_ROW = "SELECT w.key, w.sha256, w.size, w.since, w.owner, w.suspect, f.size, f.modified FROM wanted w"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object that must be there, and what a listing says of it.

    Attributes:
        key: In the tier.
        sha256: Hex; what its bytes must be.
        size: Bytes that it must have; None where nobody signed that for this object alone.
        since: When it was published first, in seconds since 1970.
        owner: Number of the artifact that needs it.
        suspect: Something about it is not as it was published.
        there: Bytes that it has; None if it is not there.
        modified: When it came, by the store's clock; None if that is not known.
    """

    key: str
    sha256: str
    size: int | None
    since: float
    owner: int
    suspect: bool
    there: int | None
    modified: float | None


@dataclass(frozen=True, slots=True)
class Extra:
    """An object that nothing published needs; `owner` is the number of what explains it, if anything does."""

    key: str
    size: int
    modified: float | None
    owner: int | None


class Inventory:
    """Both sides, and their differences."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(f"PRAGMA cache_size = -{_CACHE_KIB};{_TABLES}")

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop all of it."""
        self._db.close()

    def saw(self, infos: Iterable[ObjectInfo]) -> None:
        """Take what the tier holds, as a listing says; an odd name or size hides no other object."""
        rows = ((_writable(one.key), min(one.size, _MOST), one.modified_s) for one in infos)
        self._all("INSERT OR REPLACE INTO found VALUES (?, ?, ?)", rows)

    def want(
        self,
        objects: Iterable[tuple[str, str, int | None]],
        *,
        since: float,
        owner: int,
        suspect: bool = False,
    ) -> None:
        """Take objects (key, SHA-256, size) that must be there; of two owners the first one counts."""
        rows = ((key, bytes.fromhex(sha256), size, since, owner, suspect) for key, sha256, size in objects)
        self._all(_WANT, rows)

    def adds_up(self, keys: Iterable[str], size: int) -> bool:
        """Have these objects, each as often as it is named, so many bytes? True if one is absent."""
        self._all("INSERT INTO part VALUES (?)", ((key,) for key in keys))
        sql = "SELECT count(*), count(f.size), sum(f.size) FROM part LEFT JOIN found f USING (key)"
        asked, there, total = self._db.execute(sql).fetchone()
        self._db.execute("DELETE FROM part")
        return bool(there < asked or (total or 0) == size)

    def explain(self, keys: Iterable[str], owner: int) -> None:
        """Tell why objects may be there that nothing published needs."""
        self._all("INSERT OR IGNORE INTO known VALUES (?, ?)", ((key, owner) for key in keys))

    def totals(self) -> tuple[int, int]:
        """How many objects must be there, and the bytes of those that are."""
        sql = "SELECT count(*), coalesce(sum(f.size), 0) FROM wanted LEFT JOIN found f USING (key)"
        objects, size = self._db.execute(sql).fetchone()
        return int(objects), int(size)

    def missing(self) -> Iterator[Wanted]:
        """What must be there and is not, by key."""
        sql = f"{_ROW} LEFT JOIN found f USING (key) WHERE f.key IS NULL"
        return self._pages(sql, ("", b""))

    def present(self, after: tuple[str, str]) -> Iterator[Wanted]:
        """What must be there and is, by key and SHA-256, behind this one."""
        return self._pages(f"{_ROW} JOIN found f USING (key) WHERE 1", (after[0], bytes.fromhex(after[1])))

    def one(self, key: str) -> list[Wanted]:
        """What must be, and is, under one key."""
        sql = f"{_ROW} JOIN found f USING (key) WHERE w.key = ?"
        with closing(self._db.execute(sql, (key,))) as rows:
            return [_wanted(row) for row in rows]

    def unneeded(self) -> Iterator[Extra]:
        """What is there and need not be, by key."""
        sql = (
            "SELECT f.key, f.size, f.modified, k.owner FROM found f LEFT JOIN known k USING (key)"
            " WHERE NOT EXISTS (SELECT 1 FROM wanted w WHERE w.key = f.key) AND f.key > ?"
            " ORDER BY f.key LIMIT ?"
        )
        last = ""
        while rows := self._db.execute(sql, (last, _PAGE)).fetchall():
            yield from (Extra(*row) for row in rows)
            last = rows[-1][0]

    def _pages(self, sql: str, after: tuple[str, bytes]) -> Iterator[Wanted]:
        """Page by page, so that the tables may change in between."""
        paged = f"{sql} AND (w.key, w.sha256) > (?, ?) ORDER BY w.key, w.sha256 LIMIT ?"
        while rows := self._db.execute(paged, (*after, _PAGE)).fetchall():
            yield from (_wanted(row) for row in rows)
            after = (rows[-1][0], rows[-1][1])

    def _all(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._db.execute("BEGIN")
        try:
            self._db.executemany(sql, rows)
        finally:
            self._db.execute("COMMIT")


def _writable(key: str) -> str:
    """The key; what is no text in it (a folder's file may be called so) as an escape."""
    return key.encode("utf-8", "backslashreplace").decode()


def _wanted(row: tuple[str, bytes, int | None, float, int, int, int | None, float | None]) -> Wanted:
    key, sha256, size, since, owner, suspect, there, modified = row
    return Wanted(key, sha256.hex(), size, since, owner, bool(suspect), there, modified)
