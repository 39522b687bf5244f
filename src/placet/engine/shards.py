"""A shard of a promotion: the data objects of some keys, copied anywhere, and recorded nowhere (design 9).

Which keys belong to a shard follows from the keys alone, so shards may run in any order, at once, again, or
not at all: a promotion of the whole proves every object, copies what is missing, and records. A shard decides
as a promotion does before it copies anything, and never writes a list (I3), so nothing that it leaves behind
can be taken for an artifact.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from placet.core.digest import sha256_hex
from placet.core.predicates import Promoted
from placet.core.states import State
from placet.engine.contents import Contents
from placet.engine.copying import require_whole
from placet.engine.promote import Promoter, Promotion, Ready
from placet.errors import Invalid, PlacetError

log = logging.getLogger(__name__)

BATCH = 500
"""Objects of one task of a cluster: some seconds of work, so that the scheduler is never what limits."""
MAX_SHARDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `of` shards, counted from 1.

    Raises:
        Invalid: kind `shard`.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of <= MAX_SHARDS:
            raise Invalid(
                f"There is no shard {self.number}/{self.of}.",
                kind="shard",
                mend=f"Shards are counted from 1: 1/8 to 8/8 of eight; at most {MAX_SHARDS}.",
            )

    def holds(self, key: str) -> bool:
        """Does this key belong to the shard? It belongs to exactly one."""
        return int(sha256_hex(key.encode())[:16], 16) % self.of == self.number - 1


def parse_shard(text: str) -> Shard:
    """`2/8` as a shard.

    Raises:
        Invalid: kind `shard`.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,6})", text, re.ASCII)
    if match is None:
        raise Invalid(f"{text[:40]!r} is not a shard.", kind="shard", mend="Give one as 1/8, up to 8/8.")
    return Shard(int(match[1]), int(match[2]))


def shards_of(objects: int) -> int:
    """How many shards make tasks of about `BATCH` objects."""
    return max(1, min(MAX_SHARDS, -(-objects // BATCH)))


@dataclass(slots=True)
class Sharding:
    """One machine's shards of the proposals that it was given, each decided anew.

    What an artifact consists of follows from its manifest, so it is read, checked again and measured once.
    """

    promoter: Promoter
    known: dict[str, Sequence[Contents]] = field(default_factory=dict)

    def run(self, ids: Sequence[str], shard: Shard) -> list[Promotion]:
        """Copy the shard of each proposal; one that fails does not keep the others from it. Idempotent.

        Raises:
            Corrupt: the Ctrl repository does not recompute, or was rolled back: nothing is copied.
            NotFound: kind `no-proposal`.
        """
        out = []
        for ident in self.promoter.wanted(ids):
            try:
                out.append(self._copy(ident, shard))
            except PlacetError as error:
                log.warning("shard %d/%d of %s: %s", shard.number, shard.of, ident, error)
                out.append(Promotion(ident, State.LANDED, None, (), error))
        return out

    def plan(self, ids: Sequence[str]) -> list[tuple[str, int]]:
        """The whole ids of what may be promoted now, and in how many shards of about `BATCH` objects.

        What may not is left out: the promotion that follows says why. Raises as `run`.
        """
        out = []
        for ident in self.promoter.wanted(ids):
            try:
                ready = self._ready(ident)
            except PlacetError as error:
                log.warning("no shards of proposal %s: %s", ident, error)
                continue
            if isinstance(ready, Ready):
                out.append((ident, shards_of(sum(len(one.items) for one in ready.contents))))
        return out

    def _copy(self, ident: str, shard: Shard) -> Promotion:
        ready = self._ready(ident)
        if isinstance(ready, Promotion):
            return ready
        found = self.promoter.copy(ready, shard.holds)
        return Promotion(ident, State.LANDED, None, found)

    def _ready(self, ident: str) -> Ready | Promotion:
        ready = self.promoter.prepare(ident, self.known.get(ident))
        if isinstance(ready, Ready) and ident not in self.known:
            for one in ready.contents:
                require_whole(self.promoter.source, one, self.promoter.jobs)
            self.known[ident] = ready.contents
        return ready


def copied(parts: Sequence[Promotion]) -> tuple[int, int]:
    """How many objects shards copied, and found."""
    artifacts: list[Promoted] = [one for part in parts for one in part.artifacts]
    return sum(one.copied for one in artifacts), sum(one.found for one in artifacts)
