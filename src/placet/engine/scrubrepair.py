"""Bring back what a publication tier lost from this node's internal tier; every byte proven, as in promotion.

Nothing is deleted. A wrong object is replaced only if the store lets this credential do it; in a versioned
bucket the wrong version stays behind the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from placet.core import layout
from placet.core.digest import Digests, digest
from placet.engine import threads
from placet.engine.contents import read_object
from placet.engine.copying import copy_verified
from placet.engine.inventory import Wanted
from placet.engine.scrubproof import read_digests, wrong_bytes
from placet.engine.scrubwant import Owner
from placet.errors import Corrupt, NotFound, PlacetError, Refused, Unavailable
from placet.ports import ObjectStore, Progress

_LISTS = 1 << 28


@dataclass(frozen=True, slots=True)
class Repairer:
    """What may be brought back, and how.

    Attributes:
        source: The node's internal tier.
        target: The publication tier, with a credential that may write.
        node: Whose artifacts are repaired.
        standing: The ids of the proposals that are published now, read anew: what was retracted meanwhile
            must not come back.
        jobs: Objects at once.
        progress: Told of what is read and brought.
    """

    source: ObjectStore
    target: ObjectStore
    node: str
    standing: Callable[[], Container[str]]
    jobs: int
    progress: Progress

    def repair(self, lost: Sequence[tuple[Wanted, Owner]]) -> list[str]:
        """Why each of these was not repaired; empty for what is right now. Files first, `.dir` last (I3)."""
        why: dict[tuple[str, str], str] = {}
        standing = self.standing()
        for rank in range(3):
            some = [pair for pair in lost if _rank(pair[0].key) == rank]
            texts = threads.run(lambda pair: self._one(*pair, standing), some, self.jobs, self.progress)
            why.update({(one.key, one.sha256): text for (one, _), text in zip(some, texts, strict=True)})
        return [why[one.key, one.sha256] for one, _ in lost]

    def _one(self, one: Wanted, owner: Owner, standing: Container[str]) -> str:
        if owner.node != self.node:
            return f"It is node {owner.node}'s: repair it there."
        if owner.proposal not in standing:
            return "It was retracted meanwhile."
        try:
            self._bring(one)
            if wrong_bytes(read_digests(self.target, one.key), one) is not None:
                return "It is still wrong after it was written."
        except NotFound as error:
            if error.kind != "no-object":
                raise
            return "The internal tier lacks it: push it from where it was made."
        except Corrupt as error:
            return error.what
        except Refused as error:
            return f"{error.what} {self._remedy(one)}"
        except Unavailable as error:
            if error.kind == "stopped":
                raise
            return f"{error.what} Run it again."
        return ""

    def _bring(self, one: Wanted) -> None:
        if _rank(one.key):
            data = read_object(self.source, one.key, one.sha256, one.size or _LISTS)
            self.target.put(one.key, [data], digest(data), overwrite=one.there is not None)
            return
        info = self.source.head(one.key)
        if info is None:
            raise NotFound(f"There is no object {one.key}.", kind="no-object")
        want = Digests((layout.hash_of(one.key) or ("", False))[0], one.sha256, info.size)
        if one.there is None:
            copy_verified(self.source, self.target, one.key, want)
        else:
            stream = threads.guarded(self.source.get(one.key))
            self.target.put(one.key, stream, want, overwrite=True)

    def _remedy(self, one: Wanted) -> str:
        """What an administrator does where this credential may not replace."""
        try:
            info = self.target.head(one.key)
        except PlacetError:
            info = None
        version = f" (version {info.version})" if info is not None and info.version else ""
        return f"Have the object{version} removed with the retraction credential, then repair again."


def _rank(key: str) -> int:
    """In which order objects are written: files, digest lists, `.dir` objects."""
    name = layout.hash_of(key)
    if name is not None and name[1]:
        return 2
    return int(key == layout.sums_key(name[0])) if name is not None and layout.is_sha256(name[0]) else 0
