"""Local files: the one translation of `OSError`, the content-addressed cache, and links out of it.

Guards: an object has mode 0444 only after its bytes were verified, and nothing else ever stands under its
name (temporary file, digest, rename). DVC trusts 0444 without hashing, and so does Placet.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from placet.core.digest import Digests, Hasher
from placet.errors import Corrupt, NotFound, PlacetError, Unavailable
from placet.ports import FileStamp

CHUNK = 1 << 20
_PROTECTED = 0o444
_FICLONE = 0x40049409
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextlib.contextmanager
def disk(path: str | Path) -> Iterator[None]:
    """Turn every `OSError` within into one of ours that names `path`.

    Raises:
        NotFound: kind `no-file`.
        Unavailable: kinds `disk-full`, `disk-denied`, `disk-error`.
    """
    try:
        yield
    except OSError as error:
        raise _translate(error, path) from error


def _translate(error: OSError, path: str | Path) -> PlacetError:
    name = error.filename if isinstance(error.filename, str) else str(path)
    if error.errno in _FULL:
        return Unavailable(
            f"The disk is full at {name}.",
            kind="disk-full",
            mend="Make room, then run it again; nothing half-written was left.",
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFound(f"There is no file {name}.", kind="no-file")
    kind = "disk-denied" if error.errno in _DENIED else "disk-error"
    return Unavailable(f"{name} cannot be used: {error.strerror}.", kind=kind)


def stamp(path: str, found: os.stat_result | None = None) -> FileStamp:
    """The stamp of a file, links followed."""
    info = found or os.stat(path)  # noqa: PTH116 - hot path
    return FileStamp(path, info.st_ino, info.st_mtime_ns, info.st_size)


def chunks(path: str | Path) -> Iterator[bytes]:
    """A file's bytes in bounded chunks."""
    with disk(path), open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - hot path
        while chunk := stream.read(CHUNK):
            yield chunk


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all bytes to an open file."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@dataclass(frozen=True, slots=True)
class Cache:
    """DVC's cache folder, `files/md5/...`, with our digest lists beside it under `placet/`.

    Attributes:
        root: The cache folder.
        shared: `cache.shared = group`: folders are group-writable with the group inherited.
    """

    root: Path
    shared: bool = False

    def path(self, key: str) -> str:
        """Where an object is, or would be."""
        return f"{self.root}/{key}"

    def size(self, key: str) -> int | None:
        """Bytes of a verified object, or None if there is none."""
        try:
            found = os.stat(self.path(key))  # noqa: PTH116 - hot path
        except (FileNotFoundError, NotADirectoryError):
            return None
        trusted = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == _PROTECTED
        return found.st_size if trusted else None

    def has(self, key: str, size: int | None = None) -> bool:
        """Is the verified object there (with that size, if one is given)?"""
        found = self.size(key)
        return found is not None and size in {None, found}

    def read(self, key: str, limit: int) -> bytes | None:
        """A small object's bytes, or None if it is not there or has more than `limit` bytes."""
        size = self.size(key)
        if size is None or size > limit:
            return None
        with disk(self.path(key)):
            return Path(self.path(key)).read_bytes()

    @contextlib.contextmanager
    def temp(self, key: str | None = None) -> Iterator[str]:
        """A name for a new file on the cache's file system; what is there at the end is removed.

        Where the object's key is known the file is beside it, as DVC's are, so that threads rarely meet in
        one folder.
        """
        folder = f"{self.root}/placet/tmp" if key is None else self._parent(key)
        with disk(folder):
            self._folder(folder)
        path = f"{folder}/.{os.urandom(12).hex()}.tmp"
        try:
            yield path
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - hot path

    def place(self, temp: str, key: str) -> FileStamp:
        """Make a verified temporary file the object `key`; atomic. The object's stamp."""
        path = self.path(key)
        with disk(path):
            os.chmod(temp, _PROTECTED)  # noqa: PTH101 - hot path
            found = stamp(path, os.stat(temp))  # noqa: PTH116 - hot path
            self._folder(self._parent(key))
            os.replace(temp, path)  # noqa: PTH105 - hot path
        return found

    def write(self, key: str, data: bytes) -> FileStamp:
        """Store bytes that were verified; atomic. The object's stamp."""
        path = self.path(key)
        temp = f"{path[: path.rindex('/')]}/.{os.urandom(12).hex()}.tmp"
        with disk(path):
            try:
                fd = self._create(temp)
                try:
                    write_all(fd, data)
                    found = os.fstat(fd)
                    if stat.S_IMODE(found.st_mode) != _PROTECTED:
                        os.fchmod(fd, _PROTECTED)
                finally:
                    os.close(fd)
                os.rename(temp, path)  # noqa: PTH104 - hot path
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temp)  # noqa: PTH108 - hot path
                raise
        return stamp(path, found)

    def _create(self, path: str) -> int:
        """A new file for writing; the folder is made if it is not there, which is rare."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, _PROTECTED)
        except FileNotFoundError:
            self._folder(path[: path.rindex("/")])
            return os.open(path, flags, _PROTECTED)

    def _parent(self, key: str) -> str:
        path = self.path(key)
        return path[: path.rindex("/")]

    def _folder(self, path: str) -> None:
        if os.path.isdir(path):  # noqa: PTH112 - hot path
            return
        parent = path[: path.rindex("/")]
        if parent and parent != path:
            self._folder(parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)  # noqa: PTH102 - hot path
            if self.shared:
                os.chmod(path, 0o2775)  # noqa: PTH101, S103 - as DVC does for `cache.shared = group`


class Links:
    """Brings objects from the cache to the workspace by the first of `cache.type` that works here."""

    def __init__(self, types: tuple[str, ...]) -> None:
        self._types = types
        self._failed: set[tuple[str, int]] = set()
        self._devices: dict[str, int] = {}

    @property
    def shares(self) -> bool:
        """Does the first type share bytes with the cache, so that workspace files are read-only?"""
        return self._types[:1] in {("hardlink",), ("symlink",)}

    @property
    def clones(self) -> bool:
        """May bytes be cloned into the cache, by `cache.type`?"""
        return "reflink" in self._types

    def place(
        self, source: str, target: str, md5: str, *, isexec: bool = False, proven: bool = False
    ) -> Digests | None:
        """Make `target` the object `source`, replacing what is there; atomic.

        An executable file is always a copy, since the mode of a link is the object's.

        Args:
            source: The object's path.
            target: The file's.
            md5: What the object must be.
            isexec: Give the file its owner's execute bit.
            proven: The object is known to be what it must be: a copy is not hashed again.

        Returns:
            The digests, if the bytes were read on the way (a copy is verified); None otherwise.

        Raises:
            Corrupt: kind `cache-corrupt`.
            Unavailable: kind `no-link-type`, or the disk's.
        """
        folder, name = os.path.split(target)
        temp = f"{folder}/.{name[:64]}.{os.urandom(8).hex()}.tmp"
        with disk(target):
            device = self._device(folder)
            try:
                found = self._make(source, temp, device, md5, copy_only=isexec, proven=proven)
                if isexec:
                    os.chmod(temp, stat.S_IMODE(os.stat(temp).st_mode) | stat.S_IXUSR)  # noqa: PTH101, PTH116
                os.replace(temp, target)  # noqa: PTH105 - hot path
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temp)  # noqa: PTH108 - hot path
                raise
        return found

    def _device(self, folder: str) -> int:
        """The device of a folder, which is made if it is not there; looked at once."""
        if folder not in self._devices:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - hot path
            self._devices[folder] = os.stat(folder).st_dev  # noqa: PTH116 - hot path
        return self._devices[folder]

    def _make(
        self, source: str, temp: str, device: int, md5: str, *, copy_only: bool, proven: bool
    ) -> Digests | None:
        types = ("copy",) if copy_only else self._types
        for one in types:
            if one == "copy" or (one == "hardlink" and os.stat(source).st_size == 0):  # noqa: PTH116 - hot path
                if not proven:
                    return _copy(source, temp, md5)
                _copy_plain(source, temp)
                return None
            if (one, device) in self._failed:
                continue
            if _link(one, source, temp):
                return None
            self._failed.add((one, device))
        raise Unavailable(
            f"None of the link types {', '.join(types)} works between the cache and {temp}.",
            kind="no-link-type",
            mend="Add copy: dvc config cache.type reflink,copy",
        )


def _copy_plain(source: str, temp: str) -> None:
    """Copy within the kernel where the file is long; the bytes are known."""
    one = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        two = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            data = os.read(one, CHUNK)
            write_all(two, data)
            if len(data) == CHUNK:
                while os.sendfile(two, one, None, 1 << 30):
                    pass
        finally:
            os.close(two)
    finally:
        os.close(one)


def reflink(source: str, target: str) -> bool:
    """Clone a file's extents into a new file; False (and no file) where the file system cannot."""
    if sys.platform != "linux":
        return False
    with open(source, "rb") as one, open(target, "xb") as two:  # noqa: PTH123 - hot path
        try:
            fcntl.ioctl(two.fileno(), _FICLONE, one.fileno())
        except OSError as error:
            os.unlink(target)  # noqa: PTH108 - hot path
            if error.errno in _FULL:
                raise
            return False
    return True


def _link(kind: str, source: str, temp: str) -> bool:
    if kind == "reflink":
        return reflink(source, temp)
    try:
        if kind == "hardlink":
            os.link(source, temp)
        else:
            os.symlink(source, temp)  # noqa: PTH211 - hot path
    except OSError as error:
        if error.errno in _FULL:
            raise
        return False
    return True


def _copy(source: str, temp: str, md5: str) -> Digests:
    hasher = Hasher()
    with open(temp, "xb", buffering=0) as out:  # noqa: PTH123 - hot path
        for chunk in chunks(source):
            hasher.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[out.write(view) :]
    found = hasher.digests()
    if found.md5 != md5:
        raise corrupt_cache(source, md5)
    return found


def corrupt_cache(path: str, md5: str) -> Corrupt:
    """The refusal of a cache object whose bytes are not those of its name."""
    return Corrupt(
        f"CORRUPT: the cache object {path} is not what its name says.",
        kind="cache-corrupt",
        why=f"Its MD5 is not {md5}.",
        mend=f"Remove it (rm -f {path}), then fetch or track it again.",
    )
