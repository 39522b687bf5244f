"""A local folder as an object store: DVC's "local path" remote. Writes by temporary file and rename."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from placet.core.digest import Digests, Hasher, tee
from placet.errors import Corrupt, NotFound, PlacetError, Refused, Unavailable
from placet.ports import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits, Version

_CHUNK = 1 << 20
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


class LocalStore:
    """Objects as files below a folder, mode 0444 as DVC writes them.

    Args:
        root: The folder; made when something is put.
        shared: The option `shared = group`: new folders are group-writable, with the group inherited.
    """

    def __init__(self, root: Path, *, shared: bool = False) -> None:
        self._root = root.absolute()
        self._shared = shared
        self.address = StoreAddress("file:", "", str(self._root))

    def traits(self) -> StoreTraits:
        """A folder verifies nothing by itself; `put` never replaces unless told to."""
        return StoreTraits(conditional_put=True)

    def head(self, key: str) -> ObjectInfo | None:
        """One object's facts."""
        found = self._info(key)
        return ObjectInfo(key, found.size) if found else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts so; unfinished temporary files are none."""
        for base, _, names in os.walk(self._path(prefix.rpartition("/")[0]), onerror=_unless_absent):
            for name in names:
                key = (Path(base) / name).relative_to(self._root).as_posix()
                unfinished = name.startswith(".") and name.endswith(".tmp")
                found = self._info(key) if key.startswith(prefix) and not unfinished else None
                if found is not None:
                    yield found

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        """The bytes, in chunks of 1 MiB."""
        del version, fan
        try:
            with self._path(key).open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise _translate(error, key) from error

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        """Store a stream, visible only if it is exactly `want`."""
        del fan
        path = self._path(key)
        if not overwrite and self._info(key) is not None:
            return False
        temp = path.with_name(f".{os.urandom(16).hex()}.tmp")
        hasher = Hasher()
        try:
            self._make(path.parent)
            with temp.open("xb") as stream:
                stream.writelines(tee(chunks, hasher))
            if hasher.digests() != want:
                raise Corrupt(
                    f"CORRUPT: the bytes for {key} are not what they must be.",
                    kind="digest-mismatch",
                    mend="Nothing became visible. Push them again from where they were made.",
                )
            temp.chmod(0o444)
            return self._place(temp, path, overwrite=overwrite)
        except OSError as error:
            raise _translate(error, key) from error
        finally:
            with contextlib.suppress(OSError):
                temp.unlink(missing_ok=True)

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """Folders have no service that could verify: the caller streams."""
        del source, key, want, fan
        return None

    def versions(self, key: str) -> Sequence[Version]:
        """The object, if there is one."""
        return (Version(None),) if self.head(key) is not None else ()

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove the object."""
        del version
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise _translate(error, key) from error

    def sweep(self, keys: AbstractSet[str]) -> int:
        """None: unfinished files are no objects."""
        del keys
        return 0

    def _info(self, key: str) -> ObjectInfo | None:
        """Facts with the time at which the file got its name, or was last written."""
        try:
            found = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _translate(error, key) from error
        modified = max(found.st_mtime, found.st_ctime)
        return ObjectInfo(key, found.st_size, modified_s=modified) if stat.S_ISREG(found.st_mode) else None

    def _make(self, folder: Path) -> None:
        if not self._shared:
            folder.mkdir(parents=True, exist_ok=True)
            return
        if not folder.is_dir():
            self._make(folder.parent)
            with suppress(FileExistsError):
                folder.mkdir()
                folder.chmod(0o2775)

    def _place(self, temp: Path, path: Path, *, overwrite: bool) -> bool:
        if overwrite:
            temp.replace(path)
            return True
        try:
            os.link(temp, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if path.exists():
                return False
            temp.replace(path)
        return True

    def _path(self, key: str) -> Path:
        return self._root / safe_key(key)


def safe_key(key: str) -> str:
    """The key, if it stays below the folder that it is joined to.

    Raises:
        Refused: kind `unsafe-key`.
    """
    if key.startswith("/") or ".." in key.split("/"):
        raise Refused(f"{key!r} is no key.", kind="unsafe-key")
    return key


def _unless_absent(error: OSError) -> None:
    """A folder that cannot be listed is an error, never an empty one; one that is not there is empty."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise _translate(error, str(error.filename)) from error


def _translate(error: OSError, key: str) -> PlacetError:
    if isinstance(error, FileNotFoundError):
        return NotFound(f"There is no object {key}.", kind="no-object")
    if isinstance(error, PermissionError):
        return Refused(f"The folder does not let this user use {key}.", kind="store-denied", why=str(error))
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Unavailable(f"The disk is full; {key} was not written.", kind="disk-full", mend="Free space.")
    return Unavailable(f"{key} cannot be read or written: {error.strerror}.", kind="store-unreachable")
