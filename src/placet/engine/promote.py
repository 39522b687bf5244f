"""Promote: approved bytes from internal to publication storage, verified before visible (design 9).

Order (I3): data objects, digest lists, `.dir` objects, receipt and ledger entry, and last of all one
compare-and-swap of the published branch. Whatever fails, running it again ends in the same state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from placet.core import layout
from placet.core.guards import guard
from placet.core.predicates import EntryKind, Promoted, Receipt
from placet.core.statement import Signed, format_time, parse_time, subject
from placet.core.states import State
from placet.engine import promotable
from placet.engine.cases import Case
from placet.engine.contents import Contents, objects, read_contents
from placet.engine.copying import copy_artifact
from placet.engine.ctrl import View, Watch, published_line
from placet.engine.firewall import require_landed
from placet.engine.history import Alarm, History
from placet.engine.promotable import refused, unlisted
from placet.engine.published import Publication, pending_policy, publish_problem
from placet.engine.recheck import recheck
from placet.engine.record import Actor, entry_time, record
from placet.engine.retraction import actor_keys
from placet.engine.target import Target, admit_target
from placet.engine.thaw import Lookout, look_again, require_thawed
from placet.engine.twins import refuse_twins
from placet.errors import Conflict, NotFound, PlacetError, Refused
from placet.ports import Checks, Clock, ObjectStore, Progress, Repo, Signer, TrustMemory

log = logging.getLogger(__name__)

_RACES = 20
_MOVED = frozenset({"ref-moved", "not-on-line"})


@dataclass(frozen=True, slots=True)
class Promotion:
    """What became of one landed proposal: published (with its receipt), or why not."""

    id: str
    state: State
    commit: str | None
    artifacts: tuple[Promoted, ...]
    error: PlacetError | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A landed proposal that is not published yet; `seen` is another text when what decides on it changed."""

    id: str
    state: State
    seen: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for this node's promotion, and what is wrong in the Ctrl repository."""

    waiting: tuple[Waiting, ...]
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """A proposal that may be promoted now: to where, what it consists of, and what looks for a freeze.

    Attributes:
        undone: How many entries about retractions the branch had.
    """

    target: Target
    contents: Sequence[Contents]
    lookout: Lookout
    undone: int


@dataclass(frozen=True, slots=True)
class Promoter:
    """One node's promotion: its keys, its stores, its copy of the Ctrl repository."""

    repo: Repo
    trust_root: str
    memory: TrustMemory
    clock: Clock
    signer: Signer
    node: str
    source: ObjectStore
    targets: Mapping[str, Target]
    jobs: int
    progress: Progress
    checks: Checks
    watch: Watch = field(default_factory=Watch, init=False)

    def run(self, ids: Sequence[str] = ()) -> list[Promotion]:
        """Promote the given landed proposals, or all of this node's that wait.

        One failing proposal does not keep the others from being promoted. Idempotent.

        Raises:
            Corrupt: the Ctrl repository does not recompute, or was rolled back: nothing is promoted.
            Refused: kind `not-a-node`: the effective policy does not know the key.
            NotFound: kind `no-proposal`.
        """
        view = self._begin()
        cases = [view.find(ident) for ident in ids] if ids else self._waiting(view)
        out = []
        for case in cases:
            try:
                out.append(self._promote(case.id))
            except PlacetError as error:
                log.info("proposal %s: %s", case.id, error)
                out.append(Promotion(case.id, view.state(case, self.clock.now()), None, (), error))
        return out

    def backlog(self) -> Backlog:
        """What `run` would promote now; follows policies, and copies nothing.

        Raises:
            Corrupt, Refused: as `run`.
        """
        view = self._begin()
        now = self.clock.now()
        waiting = (Waiting(case.id, view.state(case, now), _seen(view, case)) for case in self._waiting(view))
        return Backlog(tuple(waiting), tuple(view.alarms))

    def _begin(self) -> View:
        view = self._load()
        _require_key(view.history, self.node, self.signer)
        self._follow_policies(view)
        return view

    def _load(self) -> View:
        view = self.watch.load(self.repo, self.trust_root, self.clock.now(), self.memory)
        for tier, error in view.broken.items():
            log.error("tier %s: %s", tier, error)
            raise error
        for alarm in view.alarms:
            log.warning("alarm at %s: %s", alarm.commit[:12] or "-", alarm.text)
        return view

    def _waiting(self, view: View) -> list[Case]:
        now = self.clock.now()
        done = {ident for one in view.publications.values() for ident in one.publications}
        own = (
            case
            for case in view.history.cases.values()
            if (case.manifest.body.kind, case.manifest.body.node) == ("publish", self.node)
            and not case.ended
            and case.id not in done
        )
        return [case for case in own if view.state(case, now) in {State.LANDED, State.QUARANTINED}]

    def _follow_policies(self, view: View) -> None:
        """Add the `policy` entries that the published branches still lack."""
        for tier in view.history.policy.form.tiers:
            for _ in range(_RACES):
                known = view.publications.get(tier)
                if known is None or pending_policy(view.history, known) is None:
                    break
                if not follow_policies(
                    self.repo, view, tier, Actor(self.node, self.signer), self.clock.now()
                ):
                    break
                view = self._load()

    def prepare(self, ident: str, known: Sequence[Contents] | None = None) -> Ready | Promotion:
        """All that is decided before anything is copied; what became of the proposal if it is published.

        Args:
            ident: The proposal's id.
            known: What it consists of, where this promoter read it, and checked it again, before.

        Raises:
            Refused, Corrupt, NotFound, Invalid: it may not be promoted.
        """
        view = self._load()
        case, tier = self._decide(view, ident)
        if tier is None:
            standing = view.state(case, self.clock.now())
            return Promotion(ident, standing, None, ())
        target = self.target(view, tier)
        contents = known or read_contents(self.source, case.manifest)
        refuse_twins(view.objects(), objects(contents))
        if known is None:
            recheck(case, self.source, contents, self.checks, self.jobs, self.progress)
        publication = view.publications[tier]
        stores = (self.source, target.store)
        promotable.require_none_held(
            publication, stores, [item.key for one in contents for item in one.items]
        )
        look = partial(look_again, self.repo, view.history, self.memory, case)
        return Ready(target, contents, Lookout(self.clock, look), promotable.undone(publication))

    def copy(self, ready: Ready, mine: Callable[[str], bool] | None = None) -> tuple[Promoted, ...]:
        """Bring the objects of what is ready into its tier, or a shard of them (as `copy_artifact`)."""
        store, jobs, lookout = ready.target.store, self.jobs, ready.lookout
        return tuple(
            copy_artifact(self.source, store, one, jobs, self.progress, lookout, mine)
            for one in ready.contents
        )

    def wanted(self, ids: Sequence[str]) -> list[str]:
        """The whole ids of the proposals that begin so; of none, those that wait here. Raises as `run`."""
        view = self._load()
        return [case.id for case in ([view.find(one) for one in ids] if ids else self._waiting(view))]

    def _promote(self, ident: str) -> Promotion:
        ready = self.prepare(ident)
        if isinstance(ready, Promotion):
            return ready
        promoted = self.copy(ready)
        for _ in range(_RACES):
            try:
                view = self._load()
                case, tier = self._decide(view, ident)
                if tier is None:
                    break
                publication = view.publications[tier]
                if promotable.undone(publication) != ready.undone:
                    again = self.prepare(ident, ready.contents)
                    if isinstance(again, Promotion):
                        break
                    ready, promoted = again, self.copy(again)
                    continue
                receipt = self._receipt(view, case, tier, promoted)
                commit = self._record(view.history, publication, case, kind="publish", receipt=receipt)
            except Conflict as error:
                if error.kind not in _MOVED:
                    raise
                log.info("somebody else changed the Ctrl repository; trying again")
                continue
            except Refused as error:
                raise unlisted(error, promoted) from error
            return Promotion(ident, State.PUBLISHED, commit, promoted)
        else:
            raise Conflict(
                f"The published branch kept moving while {ident[:12]} was promoted.",
                kind="ref-moved",
                mend="Run it again.",
            )
        return Promotion(ident, State.PUBLISHED, None, promoted)

    def _decide(self, view: View, ident: str) -> tuple[Case, str | None]:
        """The case and the tier to publish it to; None if it is published already (design 9, step 1)."""
        case = view.history.cases.get(ident)
        if case is None or case.landed is None:
            raise Refused(
                f"Proposal {ident[:12]} has not landed on main.",
                kind="not-landed",
                mend=f"Approve it, then: placet merge {ident[:12]}",
            )
        body = case.manifest.body
        if body.kind != "publish" or body.node != self.node or body.tier is None:
            raise Refused(
                f"Proposal {ident[:12]} is not node {self.node}'s to promote.", kind="not-own-proposal"
            )
        publication = view.publications.get(body.tier)
        if publication is None:
            raise NotFound(
                f"Tier {body.tier} has no published branch yet.",
                kind="no-published-branch",
                mend=f"An administrator runs: placet init --ctrl --tier {body.tier}",
            )
        if ident in publication.publications:
            return case, None
        now = self.clock.now()
        promotable.require_not_taken(publication, case)
        problem = publish_problem(view.history, publication, case, now)
        if problem:
            raise refused(view, case, problem, now)
        require_thawed(view, case)
        require_landed(view.history, case, publication)
        return case, body.tier

    def target(self, view: View, tier: str) -> Target:
        """Where this node publishes to a tier of the effective policy.

        Raises:
            NotFound: kind `no-remote`.
            Refused: kind `tier-mismatch`.
        """
        target = self.targets.get(tier)
        if target is None:
            raise NotFound(
                f"This node has no remote for tier {tier}.",
                kind="no-remote",
                mend=f'Name the DVC remote in placet.toml: [tiers] {tier} = "<remote>"',
            )
        admit_target(target, tier, view.history.policy.form.tiers[tier], self.source)
        return target

    def _receipt(self, view: View, case: Case, tier: str, promoted: tuple[Promoted, ...]) -> Signed[Receipt]:
        body = Receipt(
            repository=view.history.repository,
            time=format_time(self.clock.now()),
            manifest=case.manifest.digest,
            judged=view.main,
            node=self.node,
            tier=tier,
            artifacts=promoted,
        )
        about = subject(layout.manifest_path(case.id), case.manifest.digest)
        return Signed.make((about,), body, (self.signer.public, self.signer.sign))

    def _record(
        self,
        history: History,
        publication: Publication,
        case: Case,
        *,
        kind: EntryKind,
        receipt: Signed[Receipt] | None,
    ) -> str:
        """Write the ledger entry and move the published branch, in one commit and one push."""
        _require_key(history, self.node, self.signer)
        now = self.clock.now()
        if kind == "publish":
            promotable.require_open(history, case, parse_time(entry_time(publication, now)))

        def last() -> None:
            if kind == "publish":
                look_again(self.repo, history, self.memory, case)

        return record(
            self.repo,
            history,
            publication,
            case,
            kind=kind,
            receipt=receipt,
            actor=Actor(self.node, self.signer),
            now=now,
            last=last,
        )


def _seen(view: View, case: Case) -> str:
    drift = "drift" if view.history.drift() else ""
    stops = ",".join(sorted(view.stops))
    records = len(case.decisions) + len(case.observations)
    return f"{view.history.policy.digest} {records} {case.lost} {case.ended} {drift} {stops}"


def follow_policies(repo: Repo, view: View, tier: str, actor: Actor, now: datetime) -> bool:
    """Add the next `policy` entry that a published branch lacks; False if it lacks none.

    Raises:
        Conflict: kind `ref-moved`.
    """
    if tier not in view.publications:
        return False
    line, publication = published_line(view, tier, now)
    pending = pending_policy(view.history, publication)
    if pending is None or pending.case is None:
        return False
    line.take(pending.commit)
    _require_key(line.history, actor.name, actor.signer)
    case = line.history.cases[pending.case.id]
    record(repo, line.history, publication, case, kind="policy", receipt=None, actor=actor, now=now)
    return True


@guard(17)
def _require_key(history: History, node: str, signer: Signer) -> None:
    """An entry of a key that was revoked would make the branch invalid for everybody."""
    if signer.public not in actor_keys(history.policy, node):
        raise Refused(
            f"The effective policy does not know this key as a key of node {node}.",
            kind="not-a-node",
            mend=f"Name the new one in placet.toml, or ask for a policy change that adds {signer.public}",
        )
