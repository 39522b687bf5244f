"""Local files: the one translation of `OSError`, the content-addressed cache, and links out of it.

Guards: what is written under an object's name was verified before (temporary file, digest, rename), and has
mode 0444, which DVC trusts. Placet does not: what is there is proven by `proof`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
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
PROTECTED = 0o444
RACY_NS = 50_000_000  # a file that is younger may change again, and have the same times after that
_FICLONE = 0x40049409
_LEFT_NS = 24 * 3600 * 10**9
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
        """Bytes of an object that is there, proven or not; None if there is none."""
        try:
            found = os.stat(self.path(key))  # noqa: PTH116 - hot path
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def has(self, key: str, size: int | None = None) -> bool:
        """Is the object there (with that size, if one is given)? It is not proven: see `proof`."""
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
            _discard(path)

    def place(self, temp: str, key: str) -> FileStamp:
        """Make a verified temporary file the object `key`; atomic. The object's stamp."""
        path = self.path(key)
        with disk(path):
            os.chmod(temp, PROTECTED)  # noqa: PTH101 - hot path
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
                    if stat.S_IMODE(found.st_mode) != PROTECTED:
                        os.fchmod(fd, PROTECTED)
                finally:
                    os.close(fd)
                os.rename(temp, path)  # noqa: PTH104 - hot path
            except BaseException:
                _discard(temp)
                raise
        return stamp(path, found)

    def set_aside(self, key: str) -> None:
        """Take what is not right from its name, to `placet/corrupt/`; nothing is lost, nothing is trusted."""
        folder = f"{self.root}/placet/corrupt"
        with disk(folder), contextlib.suppress(FileNotFoundError):
            self._folder(folder)
            name = f"{folder}/{key.replace('/', '-')}"
            free = (
                f"{name}{suffix}" for suffix in itertools.chain([""], map("-{}".format, itertools.count(2)))
            )
            os.replace(self.path(key), next(one for one in free if not os.path.lexists(one)))  # noqa: PTH105

    def _create(self, path: str) -> int:
        """A new file for writing; the folder is made if it is not there, which is rare."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, PROTECTED)
        except FileNotFoundError:
            self._folder(path[: path.rindex("/")])
            return os.open(path, flags, PROTECTED)

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
    """Brings objects from the cache to the workspace by the first of `cache.type` that works here.

    Args:
        types: `cache.type`.
        temps: Where files are made before they are moved to their place, so that a process that was killed
            leaves nothing in a tracked directory; beside their place if this is not on its file system.
    """

    def __init__(self, types: tuple[str, ...], temps: Path | None = None) -> None:
        self._types = types
        self._temps = str(temps) if temps is not None else ""
        self._failed: set[tuple[str, int]] = set()
        self._folders: dict[str, os.stat_result] = {}
        self._apart: set[int] = set()

    @property
    def shares(self) -> bool:
        """Does the first type share bytes with the cache, so that workspace files are read-only?"""
        return self._types[:1] in {("hardlink",), ("symlink",)}

    @property
    def points(self) -> bool:
        """Is the first type a symbolic link, which empty files become too?"""
        return self._types[:1] == ("symlink",)

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
            proven: The object is known to be what it must be: it is not read again.

        Returns:
            The digests, if the bytes were read to prove them; None otherwise.

        Raises:
            Corrupt: kind `cache-corrupt`.
            Unavailable: kind `no-link-type`, or the disk's.
        """
        folder = os.path.dirname(target)  # noqa: PTH120 - hot path
        with disk(target):
            device = self._folder(folder).st_dev
            temp = f"{self._base(folder, device)}/.{os.urandom(12).hex()}.tmp"
            try:
                found = self._make(source, temp, device, md5, copy_only=isexec, proven=proven)
                if isexec:
                    os.chmod(temp, stat.S_IMODE(os.stat(temp).st_mode) | stat.S_IXUSR)  # noqa: PTH101, PTH116
                os.replace(temp, target)  # noqa: PTH105 - hot path
            except BaseException as error:
                _discard(temp)
                if not isinstance(error, OSError) or error.errno != errno.EXDEV or device in self._apart:
                    raise
                self._apart.add(device)
                return self.place(source, target, md5, isexec=isexec, proven=proven)
        return found

    def _base(self, folder: str, device: int) -> str:
        """Where to make a file that is to be moved into `folder`: elsewhere, if its group stays right."""
        if not self._temps or device in self._apart:
            return folder
        here, there = self._folder(folder), self._folder(self._temps)
        group = not here.st_mode & stat.S_ISGID or here.st_gid == there.st_gid
        return self._temps if group and here.st_dev == there.st_dev else folder

    def _folder(self, folder: str) -> os.stat_result:
        """What a folder is, which is made if it is not there; looked at once."""
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - hot path
            self._folders[folder] = os.stat(folder)  # noqa: PTH116 - hot path
        return self._folders[folder]

    def _make(
        self, source: str, temp: str, device: int, md5: str, *, copy_only: bool, proven: bool
    ) -> Digests | None:
        types, found = ("copy",) if copy_only else self._types, None
        for one in types:
            if one == "copy" or (one == "hardlink" and os.stat(source).st_size == 0):  # noqa: PTH116 - hot path
                if not (proven or found):
                    return _copy(source, temp, md5)
                _copy_plain(source, temp)
                return found
            if (one, device) in self._failed:
                continue
            found = found if proven or found else _require(source, md5)
            if _link(one, source, temp):
                return found
            self._failed.add((one, device))
        raise Unavailable(
            f"None of the link types {', '.join(types)} works between the cache and {temp}.",
            kind="no-link-type",
            mend="Add copy: dvc config cache.type reflink,copy",
        )


def _discard(temp: str) -> None:
    """Remove a temporary file; what went wrong before is what is told, not that this cannot be done."""
    with contextlib.suppress(OSError):
        os.unlink(temp)  # noqa: PTH108 - hot path


def sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder of temporary files, a day after it was last written."""
    with contextlib.suppress(OSError):
        newest = max(one.stat().st_mtime_ns for one in (folder, *folder.iterdir()))
        for one in folder.iterdir():
            if newest - one.stat().st_mtime_ns > _LEFT_NS:
                one.unlink()


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


def _require(source: str, md5: str) -> Digests:
    """The digests of an object that is to be linked; a link would show whatever is there."""
    hasher = Hasher()
    for chunk in chunks(source):
        hasher.update(chunk)
    found = hasher.digests()
    if found.md5 != md5:
        raise corrupt_cache(source, md5)
    return found


def corrupt_cache(path: str, md5: str) -> Corrupt:
    """The refusal of a cache object whose bytes are not those of its name."""
    return Corrupt(
        f"CORRUPT: the cache object {path} is not what its name says.",
        kind="cache-corrupt",
        why=f"Its MD5 is not {md5}; it was not used.",
        mend="Bring it from a remote that has it right: placet fetch --verify. Or track it again.",
    )
