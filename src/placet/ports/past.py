"""What Placet needs of the Git history around a DVC project that was there before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PastFile:
    """A file of a Git commit, or of an index (where `commit` is empty); `path` is from Git's top folder."""

    path: str
    blob: str
    commit: str = ""


class Past(Protocol):
    """The Git history around somebody's DVC project. Raises `Corrupt` for what cannot be read whole."""

    def kinds(self) -> Mapping[str, int]:
        """What holds commits, in words -> how many of them; and `commits`."""

    def files(self, suffixes: Sequence[str], *, tips: bool) -> Sequence[PastFile]:
        """Every (path, blob) whose path ends so: in any commit, or in the newest ones; and in an index."""

    def read(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Blob id and bytes, of each."""
