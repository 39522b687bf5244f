"""A stream on its way into a library that wants a file, compared with what it must be while it is read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from placet.adapters.objects.obs import bounded, mismatch
from placet.core.digest import Digests, Hasher, tee


class ProvenStream(io.RawIOBase):
    """Chunks as a file that is read once; its end is an error unless the bytes were exactly `want`.

    Attributes:
        want: What they must be.
        error: What the source raised, or the comparison: libraries wrap it.
    """

    def __init__(self, chunks: Iterable[bytes], want: Digests, key: str) -> None:
        super().__init__()
        self.want = want
        self.error: BaseException | None = None
        self._key = key
        self._hasher = Hasher()
        self._chunks = iter(tee(bounded(chunks, want.size, key), self._hasher))
        self._held = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        self._fill()
        if size is None or size < 0:
            return b"".join((self._take(len(self._held)), *self._rest()))
        return self._take(size)

    def prove(self) -> None:
        """Refuse unless exactly the wanted bytes were read.

        Raises:
            Corrupt: kind `digest-mismatch`.
        """
        self._fill()
        if self._held:
            raise mismatch(self._key)

    def _fill(self) -> None:
        try:
            while not self._held:
                self._held = next(self._chunks)
        except StopIteration:
            if self._hasher.digests() != self.want:
                self.error = mismatch(self._key)
                raise self.error from None
        except BaseException as error:
            self.error = error
            raise

    def _take(self, size: int) -> bytes:
        out, self._held = self._held[:size], self._held[size:]
        return out

    def _rest(self) -> Iterator[bytes]:
        while True:
            self._fill()
            if not self._held:
                return
            yield self._take(len(self._held))
