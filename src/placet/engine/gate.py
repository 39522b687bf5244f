"""The gate of the plain forge: judges a push by its content, never by its pusher (design 4, 6.1).

Runs inside the server's `pre-receive` hook, on the repository as it is plus the pushed objects. What it
lets pass is exactly what agents and `verify` would accept; whoever reaches the repository by its path
bypasses it, and is found by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from placet.core import layout, windows
from placet.core.assent import judge_manifest, witnesses
from placet.core.guards import guard
from placet.core.ledger import MAX_AHEAD
from placet.core.statement import parse_time
from placet.core.states import ENDED, State
from placet.engine import firewall
from placet.engine.cases import Case, expiry, state
from placet.engine.ctrl import View, load, published_line
from placet.engine.detail import able
from placet.engine.freeze import frozen
from placet.engine.gatefreeze import judge_branch, judge_on_main
from placet.engine.history import History
from placet.engine.published import PublishedLine
from placet.engine.retraction import actor_keys
from placet.engine.twins import refuse_twins
from placet.errors import Conflict, PlacetError, Refused
from placet.ports import Change, Commit, RefUpdate, Repo


def judge_push(repo: Repo, trust_root: str, updates: Sequence[RefUpdate], now: datetime) -> None:
    """Let a push pass, or say why not. Reads only.

    Raises:
        Refused: kind `push-refused`; nothing of the push may be taken then.
    """
    view = load(repo, trust_root, now, fetch=False)
    for update in sorted(updates, key=lambda one: one.ref != layout.MAIN):  # what lands is closed with it
        try:
            _judge(view, update, updates, now)
        except PlacetError as error:
            if error.kind == "push-refused":
                raise
            raise refuse(update.ref, str(error)) from error


def refuse(ref: str, why: str) -> Refused:
    """The refusal of a push, in the words that its pusher will see."""
    return Refused(f"The push to {ref.removeprefix('refs/heads/')} is refused.", kind="push-refused", why=why)


def _judge(view: View, update: RefUpdate, updates: Sequence[RefUpdate], now: datetime) -> None:
    ref = update.ref
    _require_something(update)
    if ref == layout.MAIN:
        _judge_main(view, update, now)
    elif ref.startswith(layout.published_ref(layout.DEFAULT_TIER)):
        _judge_published(view, update, now)
    elif ref.startswith(layout.PROPOSAL_BRANCHES):
        _judge_proposal(view, update, updates, now)
    elif ref.startswith(layout.CLOSED_REFS):
        _judge_closed(view, update, updates, now)
    elif ref.startswith(layout.FREEZE_BRANCHES):
        judge_branch(view, update, now)
    else:
        raise refuse(ref, "A Ctrl repository has no such branch or tag.")


@guard(13, 34)
def _require_something(update: RefUpdate) -> None:
    """Git takes an update from nothing to nothing for the removal of whatever the ref holds."""
    if update.old is None and update.new is None:
        raise refuse(update.ref, "It names neither what is there nor what shall be.")


def _judge_main(view: View, update: RefUpdate, now: datetime) -> None:
    if update.new is None or update.old != view.main:
        raise refuse(update.ref, "main is never removed or replaced.")
    history = view.history
    for commit in _continued(view.repo, update):
        if not commit.changes:
            raise refuse(update.ref, f"Commit {commit.id[:12]} changes nothing.")
        alarms = len(history.alarms)
        history.advance([commit])
        if len(history.alarms) > alarms:
            raise refuse(update.ref, "; ".join(alarm.text for alarm in history.alarms[alarms:]))
        for change in commit.changes:
            if change.path.startswith(layout.FREEZES):
                explained = judge_on_main(view, change, now)
            else:
                explained = _explained(history, commit, change, now)
            if not explained:
                raise refuse(update.ref, f"{change.path} does not follow from an approved proposal.")
        for case in (one for one in history.cases.values() if one.landed == commit.id):
            _require_all_decisions(view, update.ref, case)
            firewall.require_free(case, firewall.taken(history, view.publications.values()))


@guard(10, 34)
def _require_all_decisions(view: View, ref: str, case: Case) -> None:
    """Whoever lands a proposal leaves out nothing that its branch holds: no objection, no withdrawal."""
    if case.id in view.closed or case.id in view.refused:
        raise refuse(ref, f"Proposal {case.id} was closed, or its branch is refused.")
    branch = view.open.get(case.id)
    if branch is None:
        return
    wanted = [*branch.records().items(), *([branch.withdrawal] if branch.withdrawal else [])]
    for path, blob in wanted:
        if view.history.tree.get(path, ("", ""))[1] != blob:
            raise refuse(ref, f"It leaves out {path}, which the proposal's branch holds.")


@guard(13)
def _continued(repo: Repo, update: RefUpdate) -> Sequence[Commit]:
    try:
        return repo.branch(update.new or "", {update.old or ""}, firewall.BOUNDS)
    except Conflict as error:
        raise refuse(update.ref, "The old tip is not on the first-parent line of the new one.") from error


@guard(5, 7, 9, 11)
def _explained(history: History, commit: Commit, change: Change, now: datetime) -> bool:
    """Does this change of `main` follow from a proposal that is valid at this commit?"""
    if not change.blob:
        landed = (case for case in history.cases.values() if case.landed == commit.id)
        return any(change.path in case.removed and _valid(history, case, now) for case in landed)
    if change.mode != "100644":
        return False
    if change.path in layout.POLICY_FILES:
        return history.policies[-1].commit == commit.id and _valid(history, history.policies[-1].case, now)
    found = layout.proposal_of(change.path)
    if found is not None:
        case = history.cases.get(found[0])
        if case is None or not _record_of(case, change):
            return False
        return case.landed not in {None, commit.id} or _valid(history, case, now)
    landed = (case for case in history.cases.values() if case.landed == commit.id)
    return any(change.path in case.metafiles() and _valid(history, case, now) for case in landed)


@guard(9, 10, 12)
def _valid(history: History, case: Case | None, now: datetime) -> bool:
    if case is None or (case.manifest.body.kind == "policy" and _late(case, now)):
        return False
    return state(case, now, drift=history.drift()) is State.LANDED


@guard(21)
def _late(case: Case, now: datetime) -> bool:
    """Has a proposal of the next policy expired? Here only a clock decides it: the chain has none."""
    return expiry(case) <= now


def _record_of(case: Case, change: Change) -> bool:
    records = {**case.records(), layout.manifest_path(case.id): case.blob}
    return records.get(change.path) == change.blob or (change.path, change.blob) == case.withdrawal


@guard(9, 17, 21)
def _judge_published(view: View, update: RefUpdate, now: datetime) -> None:
    named = [tier for tier in view.history.policy.form.tiers if layout.published_ref(tier) == update.ref]
    if not named or update.new is None:
        raise refuse(update.ref, "It is the branch of no tier, or it would be removed.")
    if update.old is None:
        line = PublishedLine(History(view.repo, view.history.trust_root), view.line, named[0], now)
        root = view.line[0]
        line.verify([root, *view.repo.branch(update.new, {root.id}, firewall.BOUNDS)])
        return
    line, publication = published_line(view, named[0], now)
    if publication.tip != update.old:
        raise refuse(update.ref, "It is not at the commit that the push expects.")
    for commit in _continued(view.repo, update):
        line.follow(publication, commit)
        entry = publication.entries[-1].body
        keys = actor_keys(view.history.policy, entry.actor)
        if not publication.entries[-1].envelope.signed_by(keys):
            raise refuse(update.ref, f"{entry.actor} may no longer sign: its key was revoked on main.")
        case = view.history.cases[entry.proposal or ""]
        if entry.kind == "publish" and state(case, now, drift=view.history.drift()) is not State.LANDED:
            raise refuse(update.ref, f"Proposal {case.id} can no longer be published: see main.")
        held = windows.window_problem(view.history.policy, case.manifest.body, now)
        if entry.kind == "publish" and held:
            raise refuse(update.ref, f"By the clock here, {held}.")
        stopped = frozen(view, case.manifest.body, named[0])
        if entry.kind == "publish" and stopped:
            raise refuse(update.ref, f"By what is here now, {stopped}.")


def _judge_proposal(view: View, update: RefUpdate, updates: Sequence[RefUpdate], now: datetime) -> None:
    ident = update.ref.removeprefix(layout.PROPOSAL_BRANCHES)
    if update.new is None:
        kept = RefUpdate(layout.closed_ref(ident), None, update.old)
        if kept not in updates:
            raise refuse(update.ref, "A proposal's branch is only closed, in a push that keeps its commits.")
        return
    known = view.history.cases.get(ident)
    if known is not None and known.landed is not None:
        raise refuse(update.ref, "The proposal has landed; decisions are added on main now.")
    if update.old is not None:
        _continued(view.repo, update)
    case = firewall.admit(view.history, ident, update.new, view.taken)
    _require_purpose(view, update, case)
    if update.old is None:
        refuse_twins(view.objects(), case.objects())
        verdict = judge_manifest(view.history.policy, case.manifest.body, ())
        if case.stale or verdict.reasons or ident in view.closed:
            raise refuse(update.ref, " ".join((case.stale, *verdict.reasons)) or "It was closed before.")
        if parse_time(case.manifest.body.time) > now + MAX_AHEAD:
            raise refuse(update.ref, f"It is from the future ({case.manifest.body.time}).")


@guard(26)
def _require_purpose(view: View, update: RefUpdate, case: Case) -> None:
    """A branch has room for so many commits and changes: a stranger must not be able to use it up."""
    if not all(one.changes for one in firewall.own_commits(view.history, update.new or "")):
        raise refuse(update.ref, "A commit of it changes nothing.")
    idle = sorted({one.decision.body.person for one in case.decisions} - set(able(case)))
    if idle:
        raise refuse(update.ref, f"No rule counts a decision of {idle[0]} about it.")
    heard = witnesses(case.policy, case.manifest.body)
    unheard = sorted({one.sighting.body.witness for one in case.observations} - heard)
    if unheard:
        raise refuse(update.ref, f"No rule counts an observation of {unheard[0]} about it.")


@guard(34)
def _judge_closed(view: View, update: RefUpdate, updates: Sequence[RefUpdate], now: datetime) -> None:
    ident = update.ref.removeprefix(layout.CLOSED_REFS)
    ref = layout.proposal_ref(ident)
    if update.old is not None or RefUpdate(ref, update.new, None) not in updates:
        raise refuse(update.ref, "It only takes the last commit of the branch that the same push removes.")
    if view.repo.refs(ref).get(ref) != update.new:
        raise refuse(update.ref, "It is not the last commit of the proposal's branch.")
    case, on_main = view.open.get(ident), view.history.cases.get(ident)
    landed = on_main is not None and on_main.landed is not None
    if case is not None and not landed and view.state(case, now) not in ENDED:
        raise refuse(update.ref, "The proposal has neither landed nor ended; whoever signed it withdraws it.")
