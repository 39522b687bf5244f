"""An object store in memory, for unit tests; honest about the traits that it is given."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from placet.core.digest import Digests, digest
from placet.errors import Conflict, Corrupt, NotFound
from placet.ports import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits, Version


class MemoryStore:
    """A dictionary with versions; stores of one `service` copy between each other as a service does."""

    def __init__(self, bucket: str, *, service: str = "memory:1", traits: StoreTraits | None = None) -> None:
        self.address = StoreAddress(service, bucket, "")
        self._traits = traits or StoreTraits()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._objects: dict[str, dict[str, bytes | None]] = {}

    def traits(self) -> StoreTraits:
        """Those given."""
        return self._traits

    def head(self, key: str) -> ObjectInfo | None:
        """One object's facts; the SHA-256 only if the service verifies it."""
        with self._lock:
            versions = self._objects.get(key)
            version, data = list(versions.items())[-1] if versions else ("", None)
            if data is None:
                return None
        sha256 = digest(data).sha256 if self._traits.verifies_sha256 else None
        return ObjectInfo(key, len(data), sha256, version if self._traits.versions else None)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts so."""
        with self._lock:
            newest = [(key, list(one.values())[-1]) for key, one in self._objects.items() if one]
        found = [(key, len(data)) for key, data in newest if data is not None]
        return (ObjectInfo(key, size) for key, size in found if key.startswith(prefix))

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        """The bytes, in chunks of 64 KiB."""
        del fan
        data = self._read(key, version)
        return (data[start : start + 65536] for start in range(0, len(data), 65536))

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        """Store a stream, visible only if it is exactly `want`."""
        del fan
        data = b"".join(chunks)
        if digest(data) != want:
            raise Corrupt(f"CORRUPT: the bytes for {key} are not what they must be.", kind="digest-mismatch")
        return self._write(key, data, overwrite=overwrite)

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """As a service with these traits does it."""
        del fan
        if not isinstance(source, MemoryStore) or source.address.service != self.address.service:
            return None
        if not (self._traits.part_copy_sha256 or source.traits().versions):
            return None
        data = b"".join(source.get(key))
        if digest(data) != want:
            raise Corrupt(f"CORRUPT: the bytes for {key} are not what they must be.", kind="digest-mismatch")
        if not self._write(key, data, overwrite=False):
            raise Conflict(f"Object {key} exists already.", kind="object-exists")
        return "part-copy" if self._traits.part_copy_sha256 else "version-copy"

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove one version; or hide the object where versions are kept, else remove it."""
        with self._lock:
            versions = self._objects.get(key)
            if versions is None:
                return
            if version is not None:
                versions.pop(version, None)
            elif self._traits.versions:
                versions[f"v{next(self._numbers)}"] = None
            else:
                versions.clear()
            if not versions:
                del self._objects[key]

    def versions(self, key: str) -> Sequence[Version]:
        """All versions and markers of one key."""
        with self._lock:
            found = list(self._objects.get(key, {}).items())[::-1]
        named = self._traits.versions
        return [Version(name if named else None, marker=data is None) for name, data in found]

    def sweep(self, keys: AbstractSet[str]) -> int:
        """None: there are none."""
        del keys
        return 0

    def _write(self, key: str, data: bytes, *, overwrite: bool) -> bool:
        with self._lock:
            before = list(self._objects.get(key, {}).values())
            if before and before[-1] is not None and not overwrite:
                return False
            versions = self._objects.setdefault(key, {}) if self._traits.versions else {}
            versions[f"v{next(self._numbers)}"] = data
            self._objects[key] = versions
            return True

    def _read(self, key: str, version: str | None) -> bytes:
        with self._lock:
            versions = self._objects.get(key) or {}
            name = version or next(reversed(versions), "")
            data = versions.get(name)
            if data is None:
                raise NotFound(f"There is no object {key}.", kind="no-object")
            return data
