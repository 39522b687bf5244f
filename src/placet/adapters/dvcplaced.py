"""DVC's list of outputs that were placed in the workspace (its `links` database); how its databases are made.

Rows: dvc_data/hashfile/state.py (`set_link`). Their values are pickles, perhaps of another user's making;
they are compared with a pickle of what is expected, and never loaded.
"""

from __future__ import annotations

import logging
import pickle
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from placet.ports import Placed

log = logging.getLogger(__name__)

_TIMEOUT_S = 30.0
_UPSERT = """INSERT INTO Cache (
    key, raw, store_time, expire_time, access_time, tag, mode, filename, value
    ) VALUES (?, 1, 0, null, 0, null, 4, null, ?)
    ON CONFLICT (key, raw) DO UPDATE SET mode = 4, filename = null, value = excluded.value"""


class PlacedDb:
    """The `PlacedOutputs` port over DVC's database.

    Args:
        folder: Where it is, or None to leave DVC alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def tell(self, rows: Sequence[Placed]) -> None:
        """Remember that these outputs were placed; the database is made if it is not there."""
        told = dict(self._rows()) if rows else {}
        values = [(one.path, value) for one in rows if told.get(one.path) != (value := _value(one))]
        if values:
            self._change(_UPSERT, values, make=True)

    def find(self, look: Callable[[str], Placed | None]) -> list[str]:
        """The outputs that were placed and that are exactly so now, as `look` finds them."""
        found = ((path, value, look(path)) for path, value in self._rows())
        return sorted(path for path, value, now in found if now is not None and _value(now) == value)

    def forget(self, paths: Sequence[str]) -> None:
        """These outputs are not there any more."""
        if paths:
            self._change("DELETE FROM Cache WHERE key = ? AND raw = 1", [(path,) for path in paths])

    def _rows(self) -> list[tuple[str, bytes]]:
        if self._folder is None or not (self._folder / "cache.db").is_file():
            return []
        try:
            with closing(self._connect()) as connection:
                rows = connection.execute("SELECT key, value FROM Cache WHERE raw = 1").fetchall()
        except (sqlite3.Error, OSError) as error:
            log.warning("DVC's database %s was not read: %s", self._folder, error)
            return []
        return [(path, value) for path, value in rows if isinstance(path, str)]

    def _change(self, sql: str, values: Sequence[tuple[object, ...]], *, make: bool = False) -> None:
        if self._folder is None:
            return
        try:
            if make and not (self._folder / "cache.db").is_file():
                make_database(self._folder, self._folder.parents[2])
            with closing(self._connect()) as connection, connection:
                connection.executemany(sql, values)
        except (sqlite3.Error, OSError, UnicodeError) as error:
            log.warning("DVC's database %s was not updated: %s", self._folder, error)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._folder}/cache.db", timeout=_TIMEOUT_S)


def _value(one: Placed) -> bytes:
    return pickle.dumps((one.inode, one.times), protocol=4)


def make_database(folder: Path, site: Path) -> None:
    """Make one of DVC's databases (`diskcache`) as DVC makes it.

    Args:
        folder: Where.
        site: DVC's site cache, which other users may share.
    """
    with _shared_folders(site, site / "repo"):
        folder.mkdir(parents=True, exist_ok=True)
    import diskcache  # noqa: PLC0415 - DVC's own; loaded once in a project's life

    try:
        diskcache.Cache(str(folder), timeout=60, disk_pickle_protocol=4, cull_limit=0).close()
    except diskcache.Timeout as error:
        raise sqlite3.OperationalError("DVC's database is locked") from error


@contextmanager
def _shared_folders(*folders: Path) -> Iterator[None]:
    """As DVC, leave the site cache itself open for other users, if it is we who make it."""
    new = [folder for folder in folders if not folder.exists()]
    yield
    for folder in new:
        folder.chmod(0o777)
