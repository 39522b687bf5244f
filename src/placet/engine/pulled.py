"""A proposal as a pull request's CI is asked about it: this branch, at this commit, and is it approved?"""

from __future__ import annotations

from datetime import datetime

from placet.core import layout
from placet.core.states import State
from placet.engine.cases import Case, outcome
from placet.engine.ctrl import View
from placet.errors import Conflict, Invalid, Refused

_PREFIX = "proposals/"
_ASSENTED = frozenset({State.APPROVED, State.LANDED, State.PUBLISHED})


def find_at(view: View, branch: str, commit: str) -> Case:
    """The proposal of exactly this branch, if it is at this commit: nothing else must get its answer.

    Args:
        view: The Ctrl repository now.
        branch: `proposals/<id>`, or the whole id.
        commit: The commit that somebody else, a forge, says the branch is at.

    Raises:
        Invalid: kind `proposal-id`: no proposal's branch; what lands by another one is not promoted.
        NotFound, Refused: as `View.find`.
        Conflict: kind `branch-moved`.
    """
    ident = branch.removeprefix(_PREFIX)
    if not layout.is_id(ident):
        raise Invalid(
            f"{branch!a} is no proposal's branch.",
            kind="proposal-id",
            why="Only proposals and freezes land on main; whatever else is merged there publishes nothing.",
            mend="Propose it: placet propose, or placet policy propose.",
        )
    case = view.find(ident)
    here = view.branches.get(case.id)
    if here != commit:
        raise Conflict(
            f"Proposal {case.id[:12]} is not at {commit[:12]} here.",
            kind="branch-moved",
            why=f"Its branch is at {here[:12]}." if here else "It is not open.",
            mend="Look at the run for its newest commit.",
        )
    return case


def require_assent(view: View, case: Case, now: datetime) -> None:
    """Refuse a proposal that is not approved, or was and cannot be published any more.

    Raises:
        Refused: kind `not-approved`, with what is missing.
    """
    state = view.state(case, now)
    if state not in _ASSENTED:
        verdict = outcome(case, now)
        raise Refused(
            f"Proposal {case.id[:12]} is {state}.",
            kind="not-approved",
            why=" ".join((*verdict.reasons, *verdict.missing)) or case.stale,
            mend=f"`placet show {case.id[:12]}` tells who can approve it.",
        )
