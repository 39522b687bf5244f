"""Retract: take back what was published, governed, and erase it (design 4).

A retraction is a proposal like any other: signed, decided where the policy asks for more than one person,
landed on `main`. Then it is carried out: ledger entry first, objects after it, entry `erased` last. What is
due follows from Git alone, so whoever may and has the retraction credential can go on at any point.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from placet.core import layout
from placet.core.predicates import EntryKind, Erased, Erasure
from placet.core.statement import Signed, format_time, parse_time, subject
from placet.core.states import State
from placet.engine import erase
from placet.engine.cases import Case, outcome
from placet.engine.ctrl import View, Watch
from placet.engine.promote import follow_policies
from placet.engine.publication import Publication, Retraction
from placet.engine.record import Actor, entry_time, record
from placet.engine.retraction import due, problem, retractor_keys
from placet.engine.target import Target, admit_target
from placet.errors import Conflict, PlacetError, Refused
from placet.ports import Clock, ObjectStore, Progress, Repo, Signer, TrustMemory

log = logging.getLogger(__name__)

_RACES = 20
Stage = Literal["proposed", "landed", "recorded", "hidden", "erased", "restored"]


@dataclass(frozen=True, slots=True)
class Retracted:
    """How far a retraction has come.

    Attributes:
        id: Of the retraction's own proposal.
        stage: `proposed` (approvals are missing), `landed`, `recorded` (nobody is given it any more),
            `hidden` (an emergency that waits for a second person), `erased`, `restored`.
        waits: What has to happen next, and who can do it; empty if nothing has to.
        until: When an emergency ends that nobody confirms.
        erased: What became of the objects, an artifact each, once they are erased.
    """

    id: str
    state: State
    stage: Stage
    paths: tuple[str, ...]
    tier: str
    reason: str
    waits: str = ""
    until: str | None = None
    erased: tuple[Erased, ...] = ()
    error: PlacetError | None = None

    @property
    def done(self) -> bool:
        """Is nothing left to be done?"""
        return self.stage in {"erased", "restored"}


@dataclass(frozen=True, slots=True)
class Retractor:
    """Whoever carries out retractions: a node for its own, or a person whom the policy lets.

    Attributes:
        actor: The name of the node or person, as ledger entries have it.
        targets: Tier -> the tier as the retraction credential reaches it; that of nobody else.
    """

    repo: Repo
    trust_root: str
    memory: TrustMemory
    clock: Clock
    signer: Signer
    actor: str
    targets: Mapping[str, Target]
    jobs: int
    progress: Progress
    watch: Watch = field(default_factory=Watch, init=False)
    _erased: dict[str, tuple[Erased, ...]] = field(default_factory=dict, init=False)

    def run(self, ids: Sequence[str] = ()) -> list[Retracted]:
        """Carry on with the given retractions, or with all that this party may. Idempotent.

        One failing retraction does not keep the others waiting: its error is in its result.

        Raises:
            Corrupt: the Ctrl repository does not recompute, or was rolled back.
        """
        view = self._load()
        found = [case for case in view.history.cases.values() if self._mine(view, case, ids)]
        return [self._try(case.id) for case in found]

    def _load(self) -> View:
        view = self.watch.load(self.repo, self.trust_root, self.clock.now(), self.memory)
        for error in view.broken.values():
            raise error
        return view

    def _mine(self, view: View, case: Case, ids: Sequence[str]) -> bool:
        """Has it landed, is it not settled, and may this party go on with it?"""
        body = case.manifest.body
        publication = view.publications.get(body.tier or "")
        if body.kind != "retract" or case.landed is None or publication is None:
            return False
        known = publication.retractions.get(case.id)
        if ids:
            return case.id in ids
        if known is None and view.state(case, self.clock.now()) is not State.LANDED:
            return False
        may = self.signer.public in retractor_keys(view.history.policy, case, self.actor)
        return may and (known is None or known.open)

    def _try(self, ident: str) -> Retracted:
        try:
            return self._carry_on(ident)
        except PlacetError as error:
            log.warning("retraction %s does not go on: %s", ident, error)
            view = self._load()
            return replace(status(view, view.find(ident), self.clock.now()), error=error)

    def _carry_on(self, ident: str) -> Retracted:
        """One step after the other, each decided from what Git holds then."""
        for _ in range(_RACES):
            view = self._load()
            case = view.find(ident)
            tier = case.manifest.body.tier or ""
            if view.publications[tier].policy != view.history.policy.digest:
                follow_policies(self.repo, view, tier, Actor(self.actor, self.signer), self.clock.now())
                continue
            try:
                done = self._step(view, case, tier)
            except Conflict as error:
                if error.kind not in {"ref-moved", "retract-changed"}:
                    raise
                log.info("somebody else was faster with retraction %s; looking again", ident)
                continue
            if done is not None:
                return done
        raise Conflict(
            f"The published branch kept moving while {ident[:12]} was retracted.",
            kind="ref-moved",
            mend="Run it again.",
        )

    def _step(self, view: View, case: Case, tier: str) -> Retracted | None:
        """Do what is due; None if something was done, and there may be more."""
        publication, now = view.publications[tier], self.clock.now()
        known = publication.retractions.get(case.id)
        if known is not None and not known.open:
            return replace(status(view, case, now), erased=self._erased.get(case.id, ()))
        kind = "retract" if known is None else due(known, case, now)
        if known is None or kind == "retract":
            self._record(view, case, tier, "retract")
            return None
        store = self._store(view, tier)
        if store is None:
            return status(view, case, now)
        found = erase.plan(store, publication, known, self.jobs, erasing=kind == "erased")
        if kind is None:
            erase.hide(store, found.going(), self.jobs, emergency=True)
            return replace(status(view, case, now), stage="hidden")
        if kind == "restored":
            erase.restore(store, found, self._hidden(store, publication, known), self.jobs)
            self._record(view, case, tier, "restored")
            return None

        def still_open() -> bool:
            again = self._load().publications[tier].retractions.get(case.id)
            return again is not None and again.open and again.confirmed

        erased = erase.erase(store, found, self.jobs, self.progress, still_open)
        view = self._load()
        self._record(view, view.find(case.id), tier, "erased", erased)
        self._erased[case.id] = erased
        return None

    def _hidden(self, store: ObjectStore, publication: Publication, known: Retraction) -> frozenset[str]:
        """What other retractions still hide."""
        others = [one for one in publication.retractions.values() if one.open and one is not known]
        editions = [edition for one in others for edition in one.taken]
        return frozenset(key for one in editions for key in erase.objects_of([store], one).all)

    def _store(self, view: View, tier: str) -> ObjectStore | None:
        target = self.targets.get(tier)
        if target is None:
            return None
        admit_target(target, tier, view.history.policy.form.tiers[tier], None)
        return target.store

    def _record(
        self, view: View, case: Case, tier: str, kind: EntryKind, erased: tuple[Erased, ...] = ()
    ) -> None:
        publication, now = view.publications[tier], self.clock.now()
        _require_retractor(view, case, self.actor, self.signer)
        when = parse_time(entry_time(publication, now))
        found = problem(view.history, publication, case, kind, when)
        if found:
            raise Refused(
                f"Retraction {case.id[:12]} does not go on: {found}.",
                kind="not-approved",
                why=" ".join((*outcome(case, now).reasons, *outcome(case, now).missing)),
                mend=f"`placet show {case.id[:12]}` tells what is missing.",
            )
        receipt = self._receipt(view, case, tier, erased) if kind == "erased" else None
        actor = Actor(self.actor, self.signer)
        record(self.repo, view.history, publication, case, kind=kind, receipt=receipt, actor=actor, now=now)

    def _receipt(self, view: View, case: Case, tier: str, erased: tuple[Erased, ...]) -> Signed[Erasure]:
        body = Erasure(
            repository=view.history.repository,
            time=format_time(self.clock.now()),
            manifest=case.manifest.digest,
            judged=view.main,
            actor=self.actor,
            tier=tier,
            artifacts=erased,
        )
        about = subject(layout.manifest_path(case.id), case.manifest.digest)
        return Signed.make((about,), body, (self.signer.public, self.signer.sign))


def status(view: View, case: Case, now: datetime) -> Retracted:
    """How far a retraction has come, from Git alone."""
    body = case.manifest.body
    publication = view.publications.get(body.tier or "")
    known = publication.retractions.get(case.id) if publication else None
    made = Retracted(
        id=case.id,
        state=view.state(case, now),
        stage="proposed" if case.landed is None else "landed",
        paths=case.paths,
        tier=body.tier or "",
        reason=body.message,
    )
    if known is None:
        return replace(made, waits=" ".join(outcome(case, now).missing))
    if known.settled is not None:
        return replace(made, stage="restored" if known.restored else "erased")
    until = known.deadline
    words = f"Whoever has the retraction credential of tier {body.tier} erases it: placet retract"
    if until is not None:
        words = f"A second person confirms it: placet approve {case.id[:12]}"
    return replace(made, stage="recorded", waits=words, until=format_time(until) if until else None)


def _require_retractor(view: View, case: Case, actor: str, signer: Signer) -> None:
    if signer.public not in retractor_keys(view.history.policy, case, actor):
        raise Refused(
            f"The effective policy does not let {actor} retract {case.id[:12]}, or not with this key.",
            kind="not-a-retractor",
            mend="governance.retract in the policy names the groups that may; the owning node may record it.",
        )
