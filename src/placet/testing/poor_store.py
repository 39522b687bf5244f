"""A store with traits taken away: what a service can do that has neither checksums nor conditional writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from placet.core.digest import Digests
from placet.ports import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits, Version


class PoorStore:
    """Passes calls on, but computes no SHA-256, keeps no versions, always replaces, copies nothing.

    Args:
        inner: A real store.
    """

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner
        self.calls: list[tuple[str, str]] = []

    def __repr__(self) -> str:
        return f"PoorStore({self._inner!r})"

    @property
    def address(self) -> StoreAddress:
        """The inner store's."""
        return self._inner.address

    def traits(self) -> StoreTraits:
        """None."""
        return StoreTraits()

    def head(self, key: str) -> ObjectInfo | None:
        """Size only."""
        self.calls.append(("head", key))
        found = self._inner.head(key)
        return ObjectInfo(key, found.size) if found else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Sizes only."""
        self.calls.append(("list", prefix))
        return (ObjectInfo(one.key, one.size) for one in self._inner.list(prefix))

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        """The newest bytes, whichever version was asked for."""
        del version
        self.calls.append(("get", key))
        return self._inner.get(key, fan=fan)

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        """Whatever is there is replaced, as by a service that does not know `If-None-Match`."""
        del overwrite
        self.calls.append(("put", key))
        return self._inner.put(key, chunks, want, overwrite=True, fan=fan)

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """No way: the caller streams."""
        del source, key, want, fan
        return None

    def versions(self, key: str) -> Sequence[Version]:
        """The object, if there is one: no versions are known of."""
        return (Version(None),) if self._inner.head(key) is not None else ()

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove the object."""
        del version
        self._inner.delete(key)

    def sweep(self, keys: AbstractSet[str]) -> int:
        """The inner store's."""
        return self._inner.sweep(keys)
