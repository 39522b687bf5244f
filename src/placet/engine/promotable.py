"""What holds an approved proposal back at the moment of its promotion, and how that is said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from placet.core import windows
from placet.core.guards import guard
from placet.core.predicates import Promoted
from placet.engine.cases import Case, expiry, outcome
from placet.engine.ctrl import View
from placet.engine.erase import overlap
from placet.engine.history import History
from placet.engine.published import Publication, Retraction
from placet.engine.retraction import KINDS, held_back
from placet.engine.thaw import require_thawed
from placet.errors import Refused
from placet.ports import ObjectStore


@guard(33)
def undone(publication: Publication) -> int:
    """How many entries there are about retractions: with each, what was proven in the tier may be gone."""
    return sum(one.body.kind in KINDS for one in publication.entries)


@guard(33)
def require_none_held(publication: Publication, stores: Sequence[ObjectStore], keys: Sequence[str]) -> None:
    """Wait while somebody takes back an object that is needed, or a directory that nobody can read.

    Raises:
        Refused: kind `retraction-open`.
    """
    known = overlap(publication, stores, keys)
    if known is not None:
        raise _held(known)


def require_not_taken(publication: Publication, case: Case) -> None:
    """Refuse what needs an object that a retraction is about. Raises as `require_none_held`."""
    known = held_back(publication, (key for key, _ in case.objects()))
    if known is not None:
        raise _held(known)


def _held(known: Retraction) -> Refused:
    return Refused(
        f"Retraction {known.case.id[:12]} is open, and takes back objects that this needs.",
        kind="retraction-open",
        why=f"It was {known.reason}",
        mend="It stays approved; promote it, or let the agent, when the retraction is settled.",
    )


def unlisted(error: Refused, promoted: Sequence[Promoted]) -> Refused:
    """The refusal of what was copied before it was refused; that is said, as nothing shows it."""
    copied = sum(one.copied for one in promoted)
    words = f"Before that {copied} objects were copied; they stay in the tier, and nothing lists them."
    why = f"{error.why} {words}".strip() if copied else error.why
    return Refused(error.what, kind=error.kind, why=why, mend=error.mend, details=error.details)


def refused(view: View, case: Case, problem: str, now: datetime) -> Refused:
    """Why a proposal with this problem was not promoted, and what is missing."""
    require_thawed(view.history, case, problem)
    require_open(view.history, case, now, problem)
    verdict = outcome(case, now)
    drift = ("The policy files on main were changed without approval.",) if view.history.drift() else ()
    return Refused(
        f"Proposal {case.id[:12]} was not promoted: {problem}.",
        kind="not-approved",
        why=" ".join((*drift, *verdict.reasons, *verdict.missing)),
        mend=f"`placet show {case.id[:12]}` tells what is missing.",
    )


@guard(21)
def require_open(history: History, case: Case, when: datetime, problem: str | None = None) -> None:
    """At the time that the ledger will name nothing may have expired, and no window be closed.

    Raises:
        Refused: kind `window`, if that is the `problem`, or whatever the problem; `not-approved`, if the
            time of the proposal or of a decision that it needs ran out since it was decided.
    """
    if problem is None and _ran_out(case, when):
        raise Refused(
            f"Proposal {case.id[:12]} was not promoted: its time, or an approval's, has just run out.",
            kind="not-approved",
            mend=f"`placet show {case.id[:12]}` tells what is missing.",
        )
    found = windows.window_problem(history.policy, case.manifest.body, when)
    if found and problem in {None, found}:
        raise Refused(
            f"Proposal {case.id[:12]} was not promoted: {found}.",
            kind="window",
            mend="It stays approved; promote it, or let the agent, when the window ends.",
        )


def _ran_out(case: Case, when: datetime) -> bool:
    """Has the proposal expired by then, or an approval that it needs?"""
    return expiry(case) <= when or (outcome(case, None).allowed and not outcome(case, when).allowed)
