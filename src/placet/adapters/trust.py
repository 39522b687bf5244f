"""Trust memory in files, outside any clone: what was verified last, and first-use pins."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from placet.adapters import durable
from placet.core.formed import formed
from placet.errors import Unavailable
from placet.ports import Remembered


class FileMemory:
    """One JSON file a Ctrl repository under a folder; each write replaces the file atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, repository: str) -> Remembered:
        """What was remembered; empty if nothing was.

        Raises:
            Unavailable: kind `trust-memory`: the file is there but cannot be read. It is not taken for
                empty: that would switch rollback detection off.
        """
        path = self._folder / f"{repository}.json"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return Remembered()
        except OSError as error:
            raise _broken(path, error) from error
        try:
            return msgspec.json.decode(data, type=Remembered)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _broken(path, error) from error

    def update(self, repository: str, change: Callable[[Remembered], Remembered]) -> None:
        """Replace the record by what `change` makes of it, alone among threads and processes."""
        with self._alone():
            before = self.recall(repository)
            after = change(before)
            if after != before:
                _replace(self._folder / f"{repository}.json", msgspec.json.encode(after))

    def pinned(self, place: str) -> str | None:
        """The trust root that was recorded at the first use of a place, if one was."""
        path = self._folder / "pins.json"
        try:
            return self._pins(path).get(place)
        except FileNotFoundError:
            return None

    def pin(self, place: str, trust_root: str) -> None:
        """Record the trust root of a place at its first use."""
        path = self._folder / "pins.json"
        with self._alone():
            try:
                pins = self._pins(path)
            except FileNotFoundError:
                pins = {}
            _replace(path, json.dumps({**pins, place: trust_root}, indent=1).encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        path = self._folder / "lock"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = path.open("w")
        except OSError as error:
            raise _broken(path, error) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _pins(self, path: Path) -> dict[str, str]:
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _broken(path, error) from error


def _replace(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(path, data)
    except OSError as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> Unavailable:
    return Unavailable(
        f"The trust memory {path} cannot be used.",
        kind="trust-memory",
        why=str(error),
        mend="Mend or restore the file. Removing it loses the memory of what was verified before.",
    )


formed(Remembered)
