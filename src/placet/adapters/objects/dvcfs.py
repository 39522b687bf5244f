"""Any other remote of DVC's through DVC's own filesystem classes: SSH, WebDAV, HDFS, OSS, Google Drive, HTTP.

Slower than obstore, and complete: what DVC can reach, Placet can. Nothing that these servers say is taken
as proof; an object gets its name only after its bytes were verified and the server has all of them.
"""

from __future__ import annotations

import posixpath
import secrets
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

from placet.adapters.objects.local import safe_key
from placet.adapters.objects.obs import CHUNK
from placet.adapters.objects.options import missing_extra, require_known
from placet.adapters.objects.proven import ProvenStream
from placet.core.digest import Digests
from placet.errors import Invalid, NotFound, PlacetError, Refused, Unavailable
from placet.ports import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits, Version

if TYPE_CHECKING:
    from dvc.fs import FileSystem

# Where a file can be given its name after it was written; elsewhere an upload itself shows all or nothing.
_RENAMES = frozenset({"ssh", "webdav", "webdavs", "hdfs", "webhdfs"})
_WEBDAV = frozenset({"webdav", "webdavs"})
_MOVES = 3
_READ_ONLY = frozenset({"http", "https"})
_EXTRAS = {"webdavs": "webdav"}
# EOFError: a password is asked for, and nobody is there.
_DENIED = ("PermissionDenied", "PermissionError", "AuthError", "AuthenticationError", "Forbidden", "EOFError")


class DvcFsStore:
    """Objects as files below the URL of a DVC remote, by DVC's class for its scheme.

    Args:
        remote: The remote's options, merged; DVC's own schema judges them.
    """

    def __init__(self, remote: Mapping[str, Any]) -> None:
        require_known(remote, set(remote))
        self._remote = dict(remote)
        self._lock = threading.Lock()
        self._folders: set[str] = set()
        self._opened: tuple[FileSystem, str] | None = None
        place = urlsplit(str(remote["url"]))
        self._scheme = place.scheme
        host = place.netloc.rpartition("@")[2]
        self.address = StoreAddress(f"dvc:{place.scheme}://{host}", "", place.path.strip("/"))

    def __repr__(self) -> str:
        return f"DvcFsStore({self.address.service}/{self.address.prefix})"

    def traits(self) -> StoreTraits:
        """None: these servers verify nothing, and not all of them can refuse to replace."""
        return StoreTraits()

    def head(self, key: str) -> ObjectInfo | None:
        """One object's facts."""
        fs, path = self._place(key)
        try:
            found = fs.info(path)
        except Exception as error:
            failed = self._translate(error, key)
            if isinstance(failed, NotFound):
                return None
            raise failed from error
        return self._info(key, found) if found.get("type") == "file" else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts so, folder by folder; unfinished uploads are none.

        Raises:
            Refused: kind `no-listing`: a web server has none.
        """
        if self._scheme in _READ_ONLY:
            raise Refused(f"{self.address.service} is a web server: it has no listing.", kind="no-listing")
        folders = [prefix.rpartition("/")[0]]
        while folders:
            folder = folders.pop()
            for name, found in self._entries(folder):
                key = f"{folder}/{name}" if folder else name
                if found.get("type") == "directory":
                    if prefix.startswith(f"{key}/") or key.startswith(prefix):
                        folders.append(key)
                elif key.startswith(prefix) and not _unfinished(name):
                    yield self._info(key, found)

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        """The bytes, in chunks of 1 MiB."""
        del version, fan
        fs, path = self._place(key)
        try:
            with fs.open(path, "rb") as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except GeneratorExit:
            raise
        except Exception as error:
            raise self._translate(error, key) from error

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        """Store a stream, visible only if it is exactly `want`."""
        del fan
        if self._scheme in _READ_ONLY:
            raise Refused(
                f"Placet only reads from {self.address.service}.",
                kind="remote-read-only",
                why="A web server does not say whether it stored the bytes it was sent.",
                mend="Push to a remote of another kind, or use `dvc push` for this one.",
            )
        if not overwrite and self.head(key) is not None:
            return False
        stream = ProvenStream(chunks, want, key)
        try:
            if self._scheme in _RENAMES:
                self._put_renamed(key, stream)
            else:
                self._put_whole(key, stream)
        except Exception as error:
            if stream.error is not None:
                raise stream.error from None
            failed = self._translate(error, key)
            raise self._no_root() if isinstance(failed, NotFound) else failed from error
        return True

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """No verified way: the caller streams."""
        del source, key, want, fan
        return None

    def versions(self, key: str) -> Sequence[Version]:
        """The object, if there is one."""
        return (Version(None),) if self.head(key) is not None else ()

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove the object."""
        del version
        fs, path = self._place(key)
        try:
            fs.rm_file(path)
        except Exception as error:
            failed = self._translate(error, key)
            if not isinstance(failed, NotFound):
                raise failed from error

    def sweep(self, keys: AbstractSet[str]) -> int:
        """None: DVC's classes do not say."""
        del keys
        return 0

    def _put_renamed(self, key: str, stream: ProvenStream) -> None:
        fs, path = self._place(key)
        folder = posixpath.dirname(path)
        temp = posixpath.join(folder, f".{secrets.token_hex(16)}.tmp")
        try:
            self._make(fs, folder)
            if self._scheme in _WEBDAV:
                # fsspec's face of it lists whole trees before each upload, and copies where it should move.
                fs.fs.client.upload_fileobj(stream, temp, overwrite=True, size=stream.want.size)
            else:
                fs.put_file(cast("BinaryIO", stream), temp, size=stream.want.size)
            stream.prove()
            self._confirm(fs, temp, key, stream.want.size)
            self._move(fs, temp, path)
        except BaseException:
            self._folders.discard(folder)
            with suppress(Exception):
                fs.rm_file(temp)
            raise

    def _move(self, fs: FileSystem, temp: str, path: str) -> None:
        """Give an upload its name; servers may stumble while another writer does the same, so tried again."""
        if self._scheme not in _WEBDAV:
            fs.fs.mv(temp, path)
            return
        for attempt in range(_MOVES):
            try:
                fs.fs.client.move(temp, path, overwrite=True)
            except Exception:
                if attempt == _MOVES - 1 or not fs.exists(temp):
                    raise
            else:
                return

    def _put_whole(self, key: str, stream: ProvenStream) -> None:
        """Verified on this machine first: what is uploaded is visible at once."""
        fs, path = self._place(key)
        with tempfile.TemporaryFile() as spool:
            while chunk := stream.read(CHUNK):
                spool.write(chunk)
            stream.prove()
            spool.seek(0)
            self._make(fs, posixpath.dirname(path))
            fs.put_file(cast("BinaryIO", spool), path, size=stream.want.size)
        self._confirm(fs, path, key, stream.want.size)

    def _make(self, fs: FileSystem, folder: str) -> None:
        """A folder, with those above it; asked for once."""
        if folder in self._folders:
            return
        if self._scheme in _WEBDAV:
            _make_collection(fs.fs.client, folder)
        else:
            fs.makedirs(folder)
        self._folders.add(folder)

    def _confirm(self, fs: FileSystem, path: str, key: str, size: int) -> None:
        """What the server did not store whole is not taken for stored."""
        found = fs.info(path).get("size")
        if found != size:
            raise Unavailable(
                f"{self.address.service} stored {found} of the {size} bytes of {key}.", kind="store-answer"
            )

    def _entries(self, folder: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        fs, path = self._place(folder)
        try:
            found = fs.ls(path, detail=True)
        except Exception as error:
            failed = self._translate(error, folder)
            if isinstance(failed, NotFound):
                return
            raise failed from error
        for one in found:
            name = str(one["name"]).strip("/")
            if name != path.strip("/"):  # S3 has folders that are objects
                yield posixpath.basename(name), one

    def _info(self, key: str, found: Mapping[str, Any]) -> ObjectInfo:
        size = found.get("size")
        if size is None:
            raise Unavailable(f"{self.address.service} does not say how long {key} is.", kind="store-answer")
        return ObjectInfo(key, int(size), modified_s=_modified(found))

    def _place(self, key: str) -> tuple[FileSystem, str]:
        """DVC's filesystem, connected when it is first used, and the object's path in it."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
        fs, root = self._opened
        fs.fs.invalidate_cache()  # some keep listings, and would show what was there a minute ago
        return fs, posixpath.join(root, safe_key(key)) if key else root

    def _open(self) -> tuple[FileSystem, str]:
        from dvc.config import ConfigError
        from dvc.fs import RemoteMissingDepsError, get_cloud_fs

        extra = _EXTRAS.get(self._scheme, self._scheme)
        try:
            kind, options, path = get_cloud_fs(None, **self._remote)
            fs = kind(**options)
        except (ImportError, RemoteMissingDepsError) as error:
            raise missing_extra(f"{self._scheme}:// remotes need a package of DVC's.", extra) from error
        except ConfigError as error:
            raise Invalid(
                "DVC does not accept this remote.", kind="remote-option", why=str(error)[:300]
            ) from error
        try:
            fs.fs  # noqa: B018 - connects
        except Exception as error:
            raise self._translate(error, self.address.prefix) from error
        if self._scheme in _WEBDAV | _READ_ONLY:
            weakref.finalize(self, _hang_up, fs.fs)
        return fs, path

    def _no_root(self) -> NotFound:
        return NotFound(
            f"There is no folder /{self.address.prefix} at {self.address.service}, and it cannot be made.",
            kind="no-bucket",
            mend="Make it, or mend the `url` of the DVC remote.",
        )

    def _translate(self, error: Exception, key: str) -> PlacetError:
        if isinstance(error, PlacetError):
            return error
        if self._scheme in _READ_ONLY and isinstance(error.__cause__, Exception):
            return self._translate(error.__cause__, key)  # fsspec takes every failure for an absent file
        names = {kind.__name__ for kind in type(error).__mro__}
        said = " ".join(str(error).split())[:300]
        status = getattr(getattr(error, "response", None), "status_code", getattr(error, "status", None))
        if isinstance(error, (FileNotFoundError, NotADirectoryError)) or status == 404:  # noqa: PLR2004
            return NotFound(f"There is no object {key}.", kind="no-object")
        if "InvalidURL" in names:
            return Refused(f"{key!r} cannot be used as a key here.", kind="unsafe-key", why=said)
        if names.intersection(_DENIED) or status in {401, 403}:
            return Refused(
                f"{self.address.service} does not let this user use {key or 'it'}.",
                kind="store-denied",
                why=said,
                mend="Check the user, password or key of the DVC remote, and what they may do.",
            )
        return Unavailable(
            f"{self.address.service} does not answer as it should for {key or 'its root'}.",
            kind="store-unreachable" if isinstance(error, OSError) else "store-answer",
            why=f"{type(error).__name__}: {said}",
            mend="Check the DVC remote and the network, then run it again.",
        )


def _hang_up(fs: Any) -> None:  # noqa: ANN401 - webdav4's or fsspec's
    """Close what these leave open until the interpreter finds it."""
    from fsspec.asyn import sync

    if hasattr(fs, "client"):
        fs.client.http.close()
    elif fs._session is not None:  # noqa: SLF001
        with suppress(Exception):
            sync(fs.loop, fs._session.close, timeout=5)  # noqa: SLF001


def _make_collection(client: Any, path: str) -> None:  # noqa: ANN401 - of webdav4, an extra
    from webdav4.client import ResourceAlreadyExists, ResourceConflict

    try:
        client.mkdir(path)
    except ResourceAlreadyExists:
        return
    except ResourceConflict as error:
        if not path.strip("/"):
            raise FileNotFoundError(path) from error
        _make_collection(client, posixpath.dirname(path))
        with suppress(ResourceAlreadyExists):
            client.mkdir(path)


def _modified(found: Mapping[str, Any]) -> float | None:
    """Seconds since 1970, where the server says them; each of fsspec's classes in a field of its own."""
    for name in ("mtime", "modified", "LastModified", "last_modified"):
        value = found.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    return None


def _unfinished(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")
