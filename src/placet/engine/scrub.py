"""Scrub: a publication tier against everything that is published there, both ways (threats 25, 28).

Everything published must be there, be what was approved, and be all that is there. Reads only, but for
`--repair`; nothing is ever deleted. Interrupted, it goes on where it was.

Memory is bounded whatever the tier holds: the two sides lie in a file (`inventory`), lists are read a few
directories at a time (about 1 kB for each of their files), and at most a thousand findings of each kind are
named.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from placet.core import layout, limits
from placet.core.guards import guard
from placet.core.statement import format_time
from placet.engine import threads, transfer
from placet.engine.ctrl import View
from placet.engine.inventory import Extra, Inventory, Wanted
from placet.engine.published import Publication
from placet.engine.scrubmark import Mark, MarkFile
from placet.engine.scrubproof import Proof, Prover
from placet.engine.scrubrepair import Repairer
from placet.engine.scrubreport import TROUBLES, WAYS, Scrubbed, Tally
from placet.engine.scrubwant import Owner, explain, explained, published, want
from placet.errors import Partial, Refused
from placet.ports import ObjectInfo, ObjectStore, Progress

_BATCH = 256
_BATCH_BYTES = 4 << 30
_REPAIRED = 256
_PROBE_BYTES = 64
_BEGIN = ("", "")


@dataclass
class Scrub:
    """One scrub of one tier.

    Attributes:
        view: Freshly loaded.
        store: The tier.
        others: Where lists may be too that the tier has lost.
        clock: The time.
        mark: How far an earlier one came.
        standing: Ids of what is published now, asked anew.
        repairer: Repairs, if that is wanted.
    """

    view: View
    publication: Publication
    store: ObjectStore
    others: Sequence[ObjectStore]
    clock: Callable[[], datetime]
    jobs: int
    progress: Progress
    mark: MarkFile
    standing: Callable[[], Container[str]]
    node: str | None = None
    read: bool = False
    repairer: Repairer | None = None

    def run(self) -> Scrubbed:
        """Compare; see `Scrubbed`.

        Raises:
            Partial: kind `scrub-unfinished`: the store stopped answering; run it again to go on.
            Refused: kind `store-denied`: this credential may not read the tier.
        """
        now = self.clock()
        owners = published(self.view, self.publication, now, self.node)
        places = (self.store, *self.others)
        tally = Tally(now.timestamp())
        with Inventory() as inventory:
            listed = self._list(inventory)
            untold = want(inventory, owners, places, self.jobs)
            if not listed:
                self._ask(inventory)
            before = self._before()
            proven = self._prove(inventory, owners, tally, before)
            self._missing(inventory, owners, tally)
            self._extra(inventory, owners, places, tally)
            objects, size = inventory.totals()
        self.mark.clear()
        return Scrubbed(
            ok=tally.counts["serious"] == 0,
            tier=self.publication.tier,
            store=f"{self.store.address.service} {self.store.address.bucket}/{self.store.address.prefix}",
            commit=self.publication.tip,
            read=self.read,
            listed=listed,
            resumed=before.after != _BEGIN,
            began=before.began,
            ended=format_time(self.clock()),
            artifacts=len(owners),
            objects=objects,
            size=size,
            proven={way: proven[way] for way in WAYS},
            counts={name: tally.counts[name] for name in (*TROUBLES, "repaired", "serious")},
            findings=tuple(tally.findings),
            untold=tuple(dict.fromkeys(one.path for one in untold)),
        )

    def _list(self, inventory: Inventory) -> bool:
        """Take the listing of the whole tier; False if the store has none."""
        self.progress.start("list")
        try:
            inventory.saw(_told(self.store.list(""), self.progress))
        except Refused as error:
            if error.kind != "no-listing":
                raise
            return False
        finally:
            self.progress.done()
        return True

    def _ask(self, inventory: Inventory) -> None:
        """Where there is no listing, ask for each object that must be there."""
        for group in _groups(inventory.missing()):
            sizes = transfer.sizes(self.store, [one.key for one in group], self.jobs)
            inventory.saw(ObjectInfo(key, size) for key, size in sizes.items())

    def _before(self) -> Mark:
        """Where to begin: behind what an earlier scrub has proven of this branch, in this way."""
        found = self.mark.load()
        if found is not None and found.read == self.read:
            line = {commit.id for commit in self.view.repo.line(self.publication.tip)}
            if found.tip in line:
                return found
        return Mark(self.publication.tip, self.read, _BEGIN, {}, (), format_time(self.clock()))

    def _prove(
        self, inventory: Inventory, owners: Sequence[Owner], tally: Tally, before: Mark
    ) -> Counter[str]:
        """Look at all that is there and must be, in the order of keys, marking how far that came."""
        proven, bad = Counter(before.proven), list[str]()
        service = not self.read and self.store.traits().verifies_sha256
        prover = Prover(self.store, self.read, service)
        objects, size = inventory.totals()
        self.progress.start("scrub", objects, size if self.read else None)
        again = [one for key in before.bad for one in inventory.one(key)]
        after = before.after
        for group in itertools.chain([again] if again else (), _groups(inventory.present(after))):
            found = threads.run(
                lambda one: prover.prove(one, _most(one, owners[one.owner])),
                group,
                self.jobs,
                self.progress,
            )
            self._require_answers(found)
            wrong = [(one, proof) for one, proof in zip(group, found, strict=True) if proof.trouble]
            proven.update(proof.how for proof in found if proof.how)
            bad += [one.key for one, _ in wrong]
            self._settle(wrong, owners, tally)
            if group is not again:
                after = (group[-1].key, group[-1].sha256)
            self.mark.save(
                Mark(self.publication.tip, self.read, after, dict(proven), tuple(bad), before.began)
            )
        self.progress.done()
        return proven

    def _require_answers(self, found: Sequence[Proof]) -> None:
        """One object that cannot be read is a finding; if no object can, the store is away."""
        errors = [proof.error for proof in found if proof.error is not None]
        if errors and len(errors) == len(found):
            if isinstance(errors[0], Refused):
                raise errors[0]
            raise Partial(
                f"The scrub of tier {self.publication.tier} is not finished: {errors[0].what}",
                kind="scrub-unfinished",
                why=errors[0].why,
                mend="Run it again: it goes on where it was.",
            )

    def _settle(self, wrong: Sequence[tuple[Wanted, Proof]], owners: Sequence[Owner], tally: Tally) -> None:
        """Repair what is wrong, if that is wanted, and count it."""
        for start in range(0, len(wrong), _REPAIRED):
            some = wrong[start : start + _REPAIRED]
            texts: Sequence[str | None] = [None] * len(some)
            if self.repairer is not None:
                texts = self.repairer.repair([(one, owners[one.owner]) for one, _ in some])
            for (one, proof), text in zip(some, texts, strict=True):
                tally.lost(one, owners[one.owner], proof, text)

    def _missing(self, inventory: Inventory, owners: Sequence[Owner], tally: Tally) -> None:
        """What must be there and is not; less what was retracted while this went on."""
        standing: Container[str] | None = None
        for group in _groups(missing(inventory)):
            standing = self.standing() if standing is None else standing
            left = [(one, Proof(None, "missing")) for one in group if owners[one.owner].proposal in standing]
            self._settle(left, owners, tally)

    def _extra(
        self, inventory: Inventory, owners: Sequence[Owner], places: Sequence[ObjectStore], tally: Tally
    ) -> None:
        """What is there and need not be, with the proposal that explains it where one does."""
        if next(unneeded(inventory), None) is None:
            return
        others = explained(self.view, self.publication.tier, self.clock(), owners)
        explain(inventory, others, places, self.jobs)
        for one in unneeded(inventory):
            tally.unneeded(one, others[one.owner] if one.owner is not None else None)


@guard(25)
def missing(inventory: Inventory) -> Iterator[Wanted]:
    """Published objects that are not in the tier."""
    return inventory.missing()


@guard(28)
def unneeded(inventory: Inventory) -> Iterator[Extra]:
    """Objects in the tier that nothing published needs, but for Placet's own few, short probes."""
    for one in inventory.unneeded():
        if not (one.key in layout.PROBES and one.size <= _PROBE_BYTES):
            yield one


def _most(one: Wanted, owner: Owner) -> int:
    """How many bytes an object has at most: a file of a directory no more than all of them."""
    if one.size is not None:
        return one.size
    return limits.SUMS_BYTES if one.key == layout.sums_key(one.sha256) else owner.artifact.size


def _told(infos: Iterable[ObjectInfo], progress: Progress) -> Iterator[ObjectInfo]:
    for one in infos:
        progress.advance(1)
        yield one


def _groups(objects: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    """So many at once that losing a group's work costs little."""
    group: list[Wanted] = []
    size = 0
    for one in objects:
        group.append(one)
        size += one.there or 0
        if len(group) >= _BATCH or size >= _BATCH_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
