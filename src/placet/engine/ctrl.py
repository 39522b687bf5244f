"""The Ctrl repository as one party sees it now: fetched, recomputed, compared with what it remembers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from placet.core import layout
from placet.core.guards import guard
from placet.core.layout import Occupied
from placet.core.ledger import require_past
from placet.core.predicates import Id
from placet.core.states import Standing, State
from placet.engine import firewall
from placet.engine.cases import Case, state
from placet.engine.freeze import Frozen, on_branches
from placet.engine.history import Alarm, History
from placet.engine.memory import (
    Sight,
    advanced,
    lost_decisions,
    lost_policy,
    refuse_old_server,
    refuse_rollback,
    unseen_freezes,
)
from placet.engine.published import Publication, PublishedLine
from placet.engine.renew import renewing
from placet.engine.tips import main_tip, ref_tip
from placet.engine.twins import refuse_twins
from placet.errors import Conflict, Corrupt, Invalid, NotFound, PlacetError, Refused
from placet.ports import Commit, Remembered, Repo, TrustMemory


@dataclass
class View:
    """Everything that follows from one state of the Ctrl repository.

    Attributes:
        history: `main`, folded to its tip.
        publications: Tier -> its verified published branch.
        broken: Tier -> why its published branch does not recompute.
        newer: Tier -> its published branch as the server had it at the last fetch, where this clone is older.
        branches: Proposal id -> tip of its branch, for open proposals.
        open: Proposal id -> the proposal as its branch holds it.
        closed: Ids of proposals whose branch was closed.
        refused: Proposal id -> why its branch is not admitted; each is an alarm too.
        lines: Tier -> what verified its branch, for the view that continues this one.
        freezes: Digest -> freeze, of those on branches and those that were seen before.
    """

    repo: Repo
    history: History
    line: Sequence[Commit]
    publications: dict[str, Publication] = field(default_factory=dict)
    broken: dict[str, PlacetError] = field(default_factory=dict)
    newer: dict[str, Publication] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    open: dict[str, Case] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    alarms: list[Alarm] = field(default_factory=list)
    refused: dict[str, PlacetError] = field(default_factory=dict)
    lines: dict[str, tuple[PublishedLine, Publication]] = field(default_factory=dict)
    freezes: dict[str, Frozen] = field(default_factory=dict)

    @property
    def stops(self) -> Mapping[str, Frozen]:
        """The freezes that stand, wherever they were seen, by digest; `main` alone ends one."""
        ended = self.history.freezes.ended
        seen = {digest: one for digest, one in self.freezes.items() if not ended(digest)}
        return {**seen, **self.history.stops}

    @property
    def main(self) -> str:
        """The tip of `main`."""
        return self.line[-1].id

    @property
    def faults(self) -> list[PlacetError]:
        """Why published branches and proposals cannot be used."""
        return [*self.broken.values(), *self.refused.values()]

    @cached_property
    def taken(self) -> Occupied:
        """The artifact paths that stand on `main` or on a published branch."""
        return firewall.taken(self.history, self.publications.values())

    def cases(self) -> dict[str, Case]:
        """All proposals: what landed on `main`, what is open, what was closed without landing."""
        on_main = {key: case for key, case in self.history.cases.items() if case.landed is not None}
        return {**self.open, **on_main}

    def objects(self) -> dict[str, str]:
        """Key -> SHA-256 of every object that a manifest here names: landed, open, or closed."""
        out = dict(self.history.objects)
        for case in self.open.values():
            out.update(case.objects())
        for ident in filter(layout.is_id, self.closed.keys() - self.cases().keys()):
            out.update(self.history.closed_objects(ident, self.closed[ident]))
        return {**out, **self.history.objects}

    def known(self, ident: str) -> Case | None:
        """The proposal of exactly this id, closed ones included."""
        case = self.cases().get(ident)
        if case is None and ident in self.closed:
            case = firewall.admit(self.history, ident, self.closed[ident])
        return case

    def ended(self, prefix: str = "") -> dict[str, Case]:
        """The proposals whose branch was closed without landing; what is not one is left out."""
        out = {}
        for ident, commit in self.closed.items():
            landed = self.history.cases.get(ident)
            if ident.startswith(prefix) and ident not in self.branches and not (landed and landed.landed):
                try:
                    out[ident] = firewall.admit(self.history, ident, commit)
                except firewall.NOT_ADMITTED:
                    continue
        return out

    def state(self, case: Case, now: datetime) -> State:
        """The state of one proposal now."""
        publication = self.publications.get(case.manifest.body.tier or "")
        standing: Standing
        if case.manifest.body.kind == "policy":
            standing = self.history.standing(case.id)
        else:
            standing = publication.standing(case.id) if publication else "no"
        return state(case, now, drift=self.history.drift(), published=standing)

    def latest(self, tier: str) -> Publication | None:
        """A published branch as it was at the last fetch: what was taken back since then counts."""
        return self.newer.get(tier, self.publications.get(tier))

    def unconfirmed(self, case: Case) -> bool:
        """Is it an emergency retraction that waits for a second person?"""
        publication = self.publications.get(case.manifest.body.tier or "")
        known = publication.retractions.get(case.id) if publication else None
        return known is not None and known.deadline is not None

    def find(self, prefix: str) -> Case:
        """The proposal whose id begins so, closed ones included.

        Raises:
            NotFound: kind `no-proposal`.
            Refused: kind `proposal-refused`: its branch carries what no proposal may carry.
            Conflict: kind `ambiguous-id`.
        """
        everything = {**self.ended(prefix), **self.cases()} if prefix else {}
        found = {key: case for key, case in everything.items() if key.startswith(prefix)}
        refused = [key for key in self.refused if prefix and key.startswith(prefix)]
        if refused and not found:
            raise Refused(
                f"Proposal {refused[0][:12]} is refused: {self.refused[refused[0]].what}",
                kind="proposal-refused",
                why="Nobody is shown a branch that carries anything but its proposal.",
                mend="Ask who pushed to its branch. The node may propose it again.",
            )
        if not found:
            raise NotFound(
                f"There is no proposal {prefix!r}.",
                kind="no-proposal",
                mend="`placet list` shows all of them.",
            )
        if len(found) > 1:
            raise Conflict(
                f"{prefix!r} is not one proposal but {len(found)}.",
                kind="ambiguous-id",
                mend=f"Give more digits: {', '.join(sorted(found)[:5])}",
            )
        return next(iter(found.values()))


@renewing
def load(
    repo: Repo,
    trust_root: str,
    now: datetime,
    memory: TrustMemory | None = None,
    *,
    fetch: bool = True,
    lagging: bool = False,
    fresh: bool = False,
    tiers: Sequence[str] | None = None,
    before: View | None = None,
) -> View:
    """Fetch (unless told not to), recompute everything, and compare with what was remembered.

    Idempotent; writes nothing but the fetched objects and the trust memory.

    Args:
        repo: The party's own copy.
        trust_root: The pinned digest of policy 0.
        now: For expiry and entries from the future.
        memory: What was verified before.
        fetch: Bring the copy up to date first.
        lagging: The copy is a clone that may be older than what is remembered; a fork is still found, once
            the copy is as long as what is remembered.
        tiers: Whose published branches are looked at; None = all of the effective policy.
        fresh: The clone's remote-tracking branches were fetched just now, and must not be older.
        before: What this process computed of the same copy before, used up by this: commits that it holds
            are not read again where the branches only grew. The answer is the same without it.

    Raises:
        Unavailable: kind `ctrl-unreachable`.
        Corrupt: kinds `trust-root`, `root-commit`, `rolled-back`, `decision-lost`.
    """
    if fetch:
        repo.fetch()
    view = _folded(repo, trust_root, now, before)
    for tier in view.history.policy.form.tiers if tiers is None else tiers:
        _load_published(view, tier, now)
    for ref, commit in sorted(repo.refs(layout.PROPOSAL_BRANCHES).items()):
        _load_open(view, ref.removeprefix(layout.PROPOSAL_BRANCHES), commit)
    prefix = layout.CLOSED_REFS
    view.closed = {ref.removeprefix(prefix): commit for ref, commit in repo.refs(prefix).items()}
    _drop_twins(view)
    view.freezes, odd = on_branches(repo, view.history)
    view.alarms += [Alarm(commit, text) for commit, text in odd]
    view.alarms += view.history.alarms
    view.alarms += firewall.foreign(view.history)
    if memory is not None:
        _compare(view, memory, lagging=lagging, fresh=fresh)
    return view


class Watch:
    """One party's looks at one copy, one after the other: each computes only what came since the last."""

    def __init__(self) -> None:
        self._view: View | None = None

    def load(self, repo: Repo, trust_root: str, now: datetime, memory: TrustMemory) -> View:
        """As `load`. The view of the look before must not be used any more."""
        before, self._view = self._view, None
        self._view = load(repo, trust_root, now, memory, before=before)
        return self._view


def published_line(view: View, tier: str, now: datetime) -> tuple[PublishedLine, Publication]:
    """A fresh verification of one published branch, stopped at its last judged commit.

    Raises:
        NotFound: kind `no-published-branch`.
        Corrupt: the branch does not recompute.
    """
    ref = layout.published_ref(tier)
    tip = ref_tip(view.repo, ref)
    if tip is None:
        raise NotFound(
            f"There is no branch {layout.published_name(tier)} for tier {tier}.",
            kind="no-published-branch",
            mend="Whoever may change the policy begins it: placet init --ctrl --tier",
        )
    history = History(view.repo, view.history.trust_root, view.history)
    line = PublishedLine(history, view.line, tier, now)
    return line, line.verify(view.repo.line(tip))


def _folded(repo: Repo, trust_root: str, now: datetime, before: View | None) -> View:
    """`main`, folded to its tip; on from `before`, if that is a part of it."""
    tip = main_tip(repo)
    if before is not None and (before.repo, before.history.trust_root) == (repo, trust_root):
        with contextlib.suppress(Conflict):
            more = repo.line(tip, before.main) if tip != before.main else []
            before.history.advance(more)
            for line, _ in before.lines.values():
                line.lengthen(more, now)
            for case in before.history.cases.values():
                case.lost = ""
            return View(repo, before.history, [*before.line, *more], lines=before.lines)
    view = View(repo, History(repo, trust_root), repo.line(tip))
    view.history.advance(view.line)
    return view


def _verified(view: View, tier: str, now: datetime) -> tuple[PublishedLine, Publication]:
    """As `published_line`; on from what was verified before, as long as nothing is wrong with it."""
    known = view.lines.pop(tier, None)
    tip = ref_tip(view.repo, layout.published_ref(tier))
    if known is not None and tip is not None:
        line, publication = known
        with contextlib.suppress(Conflict, Corrupt, Invalid, NotFound):
            require_past(publication.entries[-1], now)
            for commit in view.repo.line(tip, publication.tip) if tip != publication.tip else ():
                line.follow(publication, commit)
            return known
    return published_line(view, tier, now)


def _load_published(view: View, tier: str, now: datetime) -> None:
    try:
        view.lines[tier] = _verified(view, tier, now)
        view.publications[tier] = view.lines[tier][1]
        _follow_fetched(view, tier, view.lines[tier][0])
    except NotFound as error:
        view.alarms.append(Alarm("", str(error)))
    except (Conflict, Corrupt, Invalid) as error:
        view.broken[tier] = error
        view.alarms.append(Alarm("", str(error)))


@guard(33)
def _follow_fetched(view: View, tier: str, line: PublishedLine) -> None:
    """Go on to what the server had at the last fetch, where the clone's own branch is older."""
    here = view.publications[tier]
    fetched = ref_tip(view.repo, layout.published_ref(tier), remote_first=True)
    own = ref_tip(view.repo, layout.published_ref(tier))
    if fetched is None or own is None or fetched == own:
        return
    if any(one.id == fetched for one in view.repo.line(own)):
        return
    publication = here.copy()
    for commit in view.repo.line(fetched, here.tip):
        line.follow(publication, commit)
    view.newer[tier] = publication


def _load_open(view: View, proposal: Id, commit: str) -> None:
    landed = view.history.cases.get(proposal)
    if landed is not None and landed.landed is not None:
        return
    try:
        view.open[proposal] = firewall.admit(view.history, proposal, commit, view.taken)
        view.branches[proposal] = commit
    except firewall.NOT_ADMITTED as error:
        _refuse(view, proposal, commit, error)


def _refuse(view: View, proposal: str, commit: str, error: PlacetError) -> None:
    shown = ascii(proposal)[1:-1]
    view.refused[shown] = error
    view.alarms.append(Alarm(commit, f"branch proposals/{shown} is refused: {error}"))


def _drop_twins(view: View) -> None:
    """Two open proposals with one MD5 for two contents: neither is one; nobody can tell which came first."""
    known: dict[str, tuple[str, str]] = {}
    bad: dict[str, Corrupt] = {}
    for ident, case in view.open.items():
        for key, sha256 in case.objects():
            other, before = known.setdefault(key, (ident, sha256))
            try:
                refuse_twins({key: before}, [(key, sha256)])
            except Corrupt as error:
                bad[ident] = bad[other] = error
    for ident, why in sorted(bad.items()):
        _refuse(view, ident, view.branches.pop(ident), why)
        del view.open[ident]


@guard(13, 15)
def _compare(view: View, memory: TrustMemory, *, lagging: bool, fresh: bool) -> None:
    """Refuse what is less than was seen before; remember what is more."""
    repository = view.history.repository
    before = memory.recall(repository)
    if fresh and lagging:
        refuse_old_server(view.repo, before)
    tiers = view.history.policy.form.tiers
    sight = Sight(
        line=view.history.positions,
        publications=view.publications.values(),
        checked={layout.published_name(tier) for tier in tiers if tier not in view.broken},
        cases=view.cases(),
        closed=dict(_closed(view, before)),
        lagging=lagging,
        freezes=view.stops,
        ended=view.history.freezes.ended,
    )
    refuse_rollback(before, sight)
    for one in unseen_freezes(before, sight):
        view.freezes[one.digest] = one
        if not lagging:
            view.alarms.append(Alarm("", f"The branch of a freeze was removed; it counts here: {one}"))
    lost = lost_decisions(before, sight)
    for ident, text in sorted(lost.items()):
        view.alarms.append(Alarm(view.branches.get(ident, ""), f"proposal {ident}: {text}"))
        if ident in sight.cases:
            sight.cases[ident].lost = text
        if view.history.standing(ident) != "no":
            raise lost_policy(ident, text)
    memory.update(repository, lambda latest: advanced(latest, sight, lost))


def _closed(view: View, before: Remembered) -> Iterator[tuple[str, Case]]:
    """Proposals that were remembered and are closed now without having landed."""
    for ident in before.decisions.keys() & view.closed.keys() - view.cases().keys():
        try:
            yield ident, firewall.admit(view.history, ident, view.closed[ident])
        except firewall.NOT_ADMITTED as error:
            view.alarms.append(Alarm(view.closed[ident], f"closed proposal {ident} cannot be read: {error}"))
