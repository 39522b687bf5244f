"""What was told, in a file outside any clone."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from placet.adapters import durable
from placet.errors import Conflict, Unavailable

_MAX_BYTES = 1 << 26


class FileRecord:
    """One file, readable by its owner only; each write replaces it atomically."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it alone among threads and processes; does not wait.

        Raises:
            Conflict: kind `notify-busy`: another holds it.
            Unavailable: kind `disk`.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._path.with_suffix(".lock").open("w")
        except OSError as error:
            raise self._broken(error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(
                    "Somebody else here sends messages just now.",
                    kind="notify-busy",
                    mend="Try again in a minute; an agent does.",
                ) from error
            yield

    def read(self) -> bytes | None:
        """What was written last, or None; what is too large was not written here.

        Raises:
            Unavailable: kind `disk`.
        """
        try:
            with self._path.open("rb") as stream:
                data = stream.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._broken(error) from error
        return data if len(data) <= _MAX_BYTES else None

    def write(self, data: bytes) -> None:
        """Replace it: the new record or the old one is there, never a part.

        Raises:
            Unavailable: kind `disk`.
        """
        try:
            durable.replace(self._path, data)
        except OSError as error:
            raise self._broken(error) from error

    def _broken(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"The record of what was told, {self._path}, cannot be used.",
            kind="disk",
            why=str(error.strerror),
            mend="Mend the folder. Removing the file costs repeated messages only.",
        )
