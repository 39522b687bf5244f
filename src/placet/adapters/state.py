"""State of local files: our SQLite database, and DVC's own, which is told so that `dvc status` stays fast.

Both are caches. Whatever goes wrong with them is logged and costs a second reading of the file, never more.
Layout of DVC's rows: dvc_data/hashfile/state.py and cache.py.
"""

from __future__ import annotations

import getpass
import logging
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from placet.adapters.dvcplaced import PlacedDb, make_database
from placet.core.digest import Digests, md5_hex
from placet.errors import Unavailable
from placet.ports import FileStamp

log = logging.getLogger(__name__)

_TIMEOUT_S = 30.0
_BATCH = 900
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_VERSION = 1
_DVC_MAJOR = 3
_INDEX = re.compile(r"[0-9a-f]{64}")
_INODE_MASK = (1 << 63) - 1
_SCHEMA = """CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,
    md5 BLOB NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID"""
_UPSERT = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)"
_DVC_UPSERT = """INSERT INTO Cache (
    key, raw, store_time, expire_time, access_time, tag, mode, filename, value
    ) VALUES (?, 1, 0, null, 0, null, 1, null, ?)
    ON CONFLICT (key, raw) DO UPDATE SET value = excluded.value"""


class StateDb:
    """The `State` port over SQLite.

    Args:
        path: Our database; made with its folder if it is not there.
        dvc: The folder of DVC's state database (`dvc_hashes`), or None to leave DVC alone.
    """

    def __init__(self, path: Path, dvc: Path | None = None) -> None:
        self._path = path
        self._dvc = dvc
        self.placed = PlacedDb(dvc.parents[1] / "links" if dvc is not None else None)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._unusable = False

    def get_many(self, files: Sequence[FileStamp]) -> list[Digests | None]:
        """The digests of each file, or None where its stamp is not known."""
        rows: dict[bytes, tuple[int, int, int, object, object]] = {}

        def look(connection: sqlite3.Connection) -> None:
            for start in range(0, len(files), _BATCH):
                keys = [_key(one.path) for one in files[start : start + _BATCH]]
                marks = ",".join("?" * len(keys))
                sql = f"SELECT path, inode, mtime_ns, size, md5, sha256 FROM files WHERE path IN ({marks})"  # noqa: S608
                rows.update((row[0], row[1:]) for row in connection.execute(sql, keys))

        self._try(look)
        return [_match(one, rows.get(_key(one.path))) for one in files]

    def put_many(self, rows: Sequence[tuple[FileStamp, Digests]]) -> None:
        """Remember digests of files that were read; all or none."""
        values = [
            (
                _key(stamp.path),
                stamp.inode & _INODE_MASK,
                stamp.mtime_ns,
                stamp.size,
                bytes.fromhex(known.md5),
                bytes.fromhex(known.sha256),
            )
            for stamp, known in rows
            if stamp.size == known.size
        ]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(_UPSERT, values)

        if values:
            self._try(write)

    def tell_dvc(
        self, rows: Sequence[tuple[FileStamp, str]], told: Sequence[tuple[FileStamp, str]] = ()
    ) -> None:
        """Upsert rows in DVC's own state database, which is made as DVC makes it if it is not there."""
        if self._dvc is None:
            return
        try:
            database = self._dvc / "cache.db"
            lost = not database.is_file()
            values = [(stamp.path, _dvc_row(stamp, md5)) for stamp, md5 in (*rows, *(told if lost else ()))]
            if not values:
                return
            if lost:
                make_database(self._dvc, self._dvc.parents[3])
            with closing(sqlite3.connect(database, timeout=_TIMEOUT_S)) as connection, connection:
                connection.executemany(_DVC_UPSERT, values)
        except (sqlite3.Error, OSError, UnicodeError) as error:
            log.warning("DVC's state database %s was not updated: %s", self._dvc, error)

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        with self._lock:
            self._drop()

    def _try(self, work: Callable[[sqlite3.Connection], None]) -> None:
        with self._lock:
            for attempt in (1, 2):
                if self._unusable:
                    return
                try:
                    work(self._open())
                except (sqlite3.OperationalError, OSError) as error:
                    log.warning("the state database %s was not used: %s", self._path, error)
                    self._drop()
                    self._unusable = True
                except sqlite3.DatabaseError as error:
                    log.warning("the state database %s is broken (%s); making a new one", self._path, error)
                    self._drop()
                    if attempt == 1:
                        self._remove()
                else:
                    return

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=_TIMEOUT_S, check_same_thread=False)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _prepare(connection: sqlite3.Connection) -> None:
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in {0, _VERSION}:
        raise sqlite3.DatabaseError(f"version {version} is unknown")
    connection.execute(_SCHEMA)
    connection.execute(f"PRAGMA user_version={_VERSION}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn write-ahead logging on; SQLite's busy timeout does not cover this one step."""
    deadline = time.monotonic() + _TIMEOUT_S
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def dvc_hashes(site_cache: Path, root: Path, tmp: Path) -> Path | None:
    """The folder of DVC's state database for a project, as DVC 3 derives it (dvc/repo/__init__.py).

    None where its place cannot be told because the disk takes no file.

    Args:
        site_cache: DVC's site cache folder.
        root: The project's root, links resolved.
        tmp: Its `.dvc/tmp`; the file `btime` is made there if it is missing, as DVC does.
    """
    btime = tmp / "btime"
    try:
        tmp.mkdir(parents=True, exist_ok=True)
        if not btime.exists():
            btime.touch()
        born = btime.stat().st_mtime
    except OSError as error:
        log.warning("DVC's state database was not found: %s", error)
        return None
    parts = (str(root), None, born, getpass.getuser(), _DVC_MAJOR, 0)
    return site_cache / "repo" / md5_hex(str(parts).encode()) / "hashes" / "local"


def forget_remotes(hashes: Path) -> None:
    """Make DVC forget which objects it believes to be in its remotes (dvc_data/hashfile/db/index.py).

    Else it would not upload again what was removed there.

    Args:
        hashes: The folder of DVC's state database (`dvc_hashes`).

    Raises:
        Unavailable: kind `disk-denied`: it cannot be removed, so nothing may be removed from a remote.
    """
    folder = hashes.parents[1] / "index"
    try:
        for one in folder.iterdir() if folder.is_dir() else ():
            if _INDEX.fullmatch(one.name):
                shutil.rmtree(one)
    except OSError as error:
        raise Unavailable(
            f"DVC's index {folder} of what is in its remotes cannot be removed: {error.strerror}.",
            kind="disk-denied",
        ) from error


def _dvc_row(stamp: FileStamp, md5: str) -> str:
    token = md5_hex(str(([stamp.inode, stamp.mtime, stamp.size],)).encode())
    return f'{{"version":1,"checksum":"{int(token, 16)}","size":{stamp.size},"hash_info":{{"md5":"{md5}"}}}}'


def _key(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _match(stamp: FileStamp, row: tuple[int, int, int, object, object] | None) -> Digests | None:
    if row is None or row[:3] != (stamp.inode & _INODE_MASK, stamp.mtime_ns, stamp.size):
        return None
    md5, sha256 = row[3:]
    if not isinstance(md5, bytes) or not isinstance(sha256, bytes) or (len(md5), len(sha256)) != (16, 32):
        return None  # SQLite keeps any type in any column
    return Digests(md5.hex(), sha256.hex(), stamp.size)
