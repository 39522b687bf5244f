"""A store whose bytes are read no faster than was asked for.

No library is used for the twenty lines of the bucket: pyrate-limiter keeps an entry for each unit that
passes (here: each byte), aiolimiter and others serve event loops only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from placet.core.digest import Digests
from placet.engine.threads import checkpoint
from placet.ports import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits, Version

_STEP_S = 0.1
_BURST_S = 1.0


class Rate:
    """So many bytes a second, for all threads together; what was not used is kept for one second.

    Args:
        per_s: Bytes a second, at least 1.
        now: Seconds, by a clock that never goes back.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        per_s: int,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_s = per_s
        self._now = now
        self._sleep = sleep
        self._lock = threading.Lock()
        self._due = now() - _BURST_S

    def take(self, size: int) -> None:
        """Let so many bytes pass, when it is their turn; a task that was told to stop does not wait."""
        with self._lock:
            due = self._due = max(self._due, self._now() - _BURST_S) + size / self._per_s
        while (left := due - self._now()) > 0:
            checkpoint()
            self._sleep(min(left, _STEP_S))


class Limited:
    """The same store, read at a rate. Copies inside a service are not offered: they pass no rate."""

    def __init__(self, inner: ObjectStore, rate: Rate) -> None:
        self._inner = inner
        self._rate = rate

    @property
    def address(self) -> StoreAddress:
        """The inner one's."""
        return self._inner.address

    def traits(self) -> StoreTraits:
        """The inner one's."""
        return self._inner.traits()

    def head(self, key: str) -> ObjectInfo | None:
        """One object's facts."""
        return self._inner.head(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts so."""
        return self._inner.list(prefix)

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        """The bytes, when it is their turn."""
        for chunk in self._inner.get(key, version=version, fan=fan):
            self._rate.take(len(chunk))
            yield chunk

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        """Store a stream, as fast as it comes."""
        return self._inner.put(key, chunks, want, overwrite=overwrite, fan=fan)

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """None: the caller streams, at the source's rate."""
        del source, key, want, fan
        return None

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove the object, or one version of it."""
        self._inner.delete(key, version=version)

    def versions(self, key: str) -> Sequence[Version]:
        """The inner one's."""
        return self._inner.versions(key)

    def sweep(self, keys: AbstractSet[str]) -> int:
        """The inner one's."""
        return self._inner.sweep(keys)
