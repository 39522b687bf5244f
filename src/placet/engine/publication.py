"""What a published branch holds up to a verified commit: publications, retractions, the tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from placet.core import layout
from placet.core.layout import Occupied
from placet.core.predicates import Artifact, LedgerEntry, Receipt
from placet.core.statement import Signed, parse_time
from placet.core.states import Standing
from placet.engine.cases import Case


@dataclass(frozen=True, slots=True)
class Published:
    """One publication of the ledger that can be shown to a person; `blobs` are its metafiles'."""

    case: Case
    entry: Signed[LedgerEntry]
    receipt: Signed[Receipt]
    blobs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edition:
    """One artifact as one proposal published it.

    Attributes:
        proposal: Which published it.
        metafile: Its path in the Ctrl repository.
        blob: Of the metafile.
    """

    proposal: str
    metafile: str
    artifact: Artifact
    sha256: str
    blob: str


@dataclass(frozen=True, slots=True)
class Retraction:
    """What became of one retraction on a published branch.

    Attributes:
        entry: The first `retract` entry: from here on nobody is given what was taken back.
        taken: What was taken back.
        removed: The metafiles that were removed for it, with their blobs: those that still stood.
        confirmed: Nothing is restored any more: no emergency, or confirmed by a second person.
        settled: The entry `erased` or `restored`, once there is one.
    """

    case: Case
    entry: Signed[LedgerEntry]
    taken: tuple[Edition, ...]
    removed: Mapping[str, str]
    confirmed: bool
    settled: Signed[LedgerEntry] | None = None

    @property
    def open(self) -> bool:
        """Is it neither erased nor restored?"""
        return self.settled is None

    @property
    def restored(self) -> bool:
        """Did nobody confirm it in time, so that it is as if it had not been?"""
        return self.settled is not None and self.settled.body.kind == "restored"

    @property
    def deadline(self) -> datetime | None:
        """Until when a second person can confirm an emergency; None if nobody needs to."""
        if self.confirmed or self.settled is not None:
            return None
        hours = self.case.policy.form.governance.retraction.emergency_hours
        return parse_time(self.entry.body.time) + timedelta(hours=hours)

    @property
    def reason(self) -> str:
        """Why, and by whom, in one sentence that a person reads."""
        body = self.case.manifest.body
        return f"retracted by {body.signer} at {self.entry.body.time}: {body.message.strip()}"


@dataclass(slots=True)
class Publication:
    """A published branch up to a verified commit.

    Attributes:
        tip: The last commit that was verified.
        judged: The judged commit of the last entry (the root commit after genesis).
        blobs: The whole tree, path -> blob.
        current: Metafile path -> id of the proposal whose version stands there.
        occupied: The artifacts of `current`.
        retractions: Id of the retraction's proposal -> what became of it.
    """

    tier: str
    tip: str
    judged: str
    policy: str
    blobs: dict[str, str]
    entries: list[Signed[LedgerEntry]] = field(default_factory=list)
    publications: dict[str, Published] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    occupied: Occupied = field(default_factory=Occupied)
    retractions: dict[str, Retraction] = field(default_factory=dict)

    def stand(self, case: Case) -> None:
        """From now on this case's version stands at its paths."""
        for path in case.metafiles():
            self._stand(path, case.id)

    def stand_again(self, edition: Edition) -> None:
        """One artifact stands at its path again."""
        self._stand(edition.metafile, edition.proposal)

    def _stand(self, path: str, proposal: str) -> None:
        self.current[path] = proposal
        self.occupied.add(path.removesuffix(".dvc"))

    @property
    def branch(self) -> str:
        """The branch's short name."""
        return layout.published_name(self.tier)

    def copy(self) -> Publication:
        """The same, to be continued apart from this one."""
        return replace(
            self,
            blobs=dict(self.blobs),
            occupied=Occupied(path.removesuffix(".dvc") for path in self.current),
            entries=list(self.entries),
            publications=dict(self.publications),
            current=dict(self.current),
            retractions=dict(self.retractions),
        )

    def standing(self, proposal: str) -> Standing:
        """Is the proposal published here, does its version still stand, was it taken back?"""
        retraction = self.retractions.get(proposal)
        if retraction is not None:
            return "restored" if retraction.restored else "yes"
        found = self.publications.get(proposal)
        if found is None:
            return "no"
        left = [path for path in found.case.metafiles() if self.retracted(proposal, path) is None]
        if not left:
            return "retracted"
        return "yes" if all(self.current.get(path) == proposal for path in left) else "superseded"

    def retracted(self, proposal: str, metafile: str) -> Retraction | None:
        """The retraction of one artifact of a publication, if it stands."""
        found = (one for each, one in self.gone() if (each.proposal, each.metafile) == (proposal, metafile))
        return next(found, None)

    def editions(self, proposal: str) -> Iterator[Edition]:
        """The artifacts of one publication."""
        found = self.publications[proposal]
        body = found.case.manifest.body
        for artifact, subject in zip(body.artifacts, found.case.manifest.subjects, strict=True):
            path = layout.metafile(body.node or "", artifact.path)
            yield Edition(proposal, path, artifact, subject.value, found.blobs.get(path, ""))

    def gone(self) -> Iterator[tuple[Edition, Retraction]]:
        """Everything that was taken back and stays so."""
        for one in self.retractions.values():
            if not one.restored:
                yield from ((each, one) for each in one.taken)

    def kept(self) -> Iterator[Edition]:
        """Everything ever published here that was not taken back: its objects must stay (I3)."""
        gone = {(each.proposal, each.metafile) for each, _ in self.gone()}
        for proposal in self.publications:
            yield from (one for one in self.editions(proposal) if (proposal, one.metafile) not in gone)
