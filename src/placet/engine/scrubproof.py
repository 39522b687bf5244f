"""Is an object of a tier what it must be? By reading it, by the service's own SHA-256, or by a listing.

A listing proves nothing about bytes: it tells that the object is there, how long it is, and whether it came
after it was published. Whatever is odd is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from placet.core import layout
from placet.core.digest import Digests, digest_chunks
from placet.core.guards import guard
from placet.engine.inventory import Wanted
from placet.engine.threads import guarded
from placet.errors import NotFound, Refused, Unavailable
from placet.ports import ObjectStore

Trouble = Literal["missing", "corrupt", "twin", "unreadable", "unexpected", "foreign"]
How = Literal["read", "service", "listed"]
_SKEW_S = 300.0


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found out about one object: how it was proven, or what is wrong with it."""

    how: How | None
    trouble: Trouble | None = None
    why: str = ""
    error: Unavailable | Refused | None = None


@dataclass(frozen=True, slots=True)
class Prover:
    """Looks at objects of one tier.

    Attributes:
        store: The tier.
        read: Read every object, and believe nothing that the service says.
        service: The service keeps SHA-256 that it verified itself.
    """

    store: ObjectStore
    read: bool
    service: bool

    def prove(self, one: Wanted, most: int) -> Proof:
        """Look at one object that a listing showed.

        Args:
            one: What it must be.
            most: Bytes that it has at most.

        Raises:
            Unavailable: kind `stopped`: who shows the progress wants no more.
        """
        try:
            return self._prove(one, most)
        except NotFound as error:
            if error.kind != "no-object":
                raise
            return Proof(None, "missing")
        except (Unavailable, Refused) as error:
            if error.kind == "stopped":
                raise
            return Proof(None, "unreadable", error.what, error)

    def _prove(self, one: Wanted, most: int) -> Proof:
        size = one.there or 0
        if size > most or one.size not in {None, size}:
            return Proof(None, "corrupt", f"It has {size} bytes.")
        odd = one.suspect or (one.modified is not None and one.modified > one.since + _SKEW_S)
        if not self.read:
            known = self._kept(one.key) if self.service else None
            if known == one.sha256:
                return Proof("service")
            if known is None and not odd:
                return Proof("listed")
        return self._read(one)

    def _kept(self, key: str) -> str | None:
        """The SHA-256 that the service keeps."""
        info = self.store.head(key)
        if info is None:
            raise NotFound(f"There is no object {key}.", kind="no-object")
        return info.sha256

    def _read(self, one: Wanted) -> Proof:
        """Read it; a second time if it comes out wrong, for the network may have done that."""
        for _ in range(2):
            wrong = wrong_bytes(read_digests(self.store, one.key), one)
            if wrong is None:
                return Proof("read")
        return Proof(None, wrong, "Its SHA-256 is another.")


def read_digests(store: ObjectStore, key: str) -> Digests:
    """What the bytes under a key are."""
    return digest_chunks(guarded(store.get(key)))


@guard(2, 3, 25)
def wrong_bytes(found: Digests, one: Wanted) -> Trouble | None:
    """What is wrong with these bytes, if they are not those that were approved."""
    if found.sha256 == one.sha256:
        return None
    name = layout.hash_of(one.key)
    return "twin" if name is not None and name[0] == found.md5 else "corrupt"
