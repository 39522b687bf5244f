"""What is kept of local files that were read before: caches, which cost time only when they are lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from placet.core.digest import Digests


@dataclass(frozen=True, slots=True)
class FileStamp:
    """A local file as `stat` showed it, links followed; the same stamp means: not changed since.

    Attributes:
        path: Absolute.
        inode: Of the file that holds the bytes.
        mtime_ns: Nanoseconds since the epoch.
        size: Bytes.
    """

    path: str
    inode: int
    mtime_ns: int
    size: int

    @property
    def mtime(self) -> float:
        """Seconds since the epoch, to the bit what `os.stat` makes of them, and DVC keeps."""
        seconds, rest = divmod(self.mtime_ns, 10**9)
        return seconds + 1e-9 * rest


@dataclass(frozen=True, slots=True)
class Placed:
    """An output as it was placed in the workspace, as DVC tells whether it changed since.

    Attributes:
        path: Relative to the project, posix.
        inode: Of the file or folder itself.
        times: Of a file its mtime in nanoseconds, of a directory a digest of all its files' mtimes.
    """

    path: str
    inode: int
    times: str


class PlacedOutputs(Protocol):
    """DVC's list of outputs that were placed in the workspace. A cache; never raises, as `State`."""

    def tell(self, rows: Sequence[Placed]) -> None:
        """Remember that these outputs were placed."""
        ...

    def find(self, look: Callable[[str], Placed | None]) -> list[str]:
        """The outputs that were placed and that are exactly so now, as `look` finds them."""
        ...

    def forget(self, paths: Sequence[str]) -> None:
        """These outputs are not there any more."""
        ...


class State(Protocol):
    """What is known of local files from hashing them before. A cache: losing it costs time only.

    Safe for many threads and processes; never raises for a database that is locked, full or broken.
    """

    @property
    def placed(self) -> PlacedOutputs:
        """Which outputs DVC or Placet placed."""
        ...

    def get_many(self, files: Sequence[FileStamp]) -> list[Digests | None]:
        """The digests of each file, or None where its stamp is not known."""
        ...

    def put_many(self, rows: Sequence[tuple[FileStamp, Digests]]) -> None:
        """Remember digests of files that were read; all or none."""
        ...

    def tell_dvc(
        self, rows: Sequence[tuple[FileStamp, str]], told: Sequence[tuple[FileStamp, str]] = ()
    ) -> None:
        """Tell DVC's own state database the MD5 of files, so that `dvc status` hashes nothing.

        Those `told` before are told again only where DVC has lost its database.
        """
        ...
