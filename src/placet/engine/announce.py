"""The pull request of a proposal, kept up to date: text, commit status, and who is asked for a review.

A convenience: a forge that fails blocks nothing and undoes nothing. What was sent already is not sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.states import State
from placet.engine.cases import Case
from placet.engine.ctrl import View
from placet.engine.detail import detail, waits_for
from placet.engine.detailviews import RemarkView
from placet.engine.diff import diff
from placet.engine.pulltext import pull_text, status_of
from placet.ports import Account, Forge, PullRequest

_REMARKS = 100
_REMARK = 4000


@dataclass(frozen=True, slots=True)
class Announced:
    """What the forge shows of a proposal.

    Attributes:
        stamp: Of text, status and head as they were sent.
        asked: The reviewers were asked; nobody is while it is a draft.
    """

    url: str | None
    stamp: str
    asked: bool


def announce(
    view: View, case: Case, forge: Forge, now: datetime, before: Announced | None = None
) -> Announced:
    """Make or update the pull request of an open proposal. Idempotent.

    Args:
        view: The Ctrl repository.
        case: One whose branch is there.
        forge: Where it is shown.
        now: For states.
        before: What is shown already: only what differs is sent.

    Raises:
        Unavailable, Refused, NotFound, Invalid: the forge's.
    """
    found = detail(view, case, now)
    head, ref = view.branches[case.id], layout.proposal_ref(case.id)
    text, (state, words) = pull_text(found, diff(view, case, None)), status_of(found)
    stamp = sha256_hex("\0".join((head, text.title, text.body, state, words)).encode())
    waits = found.state is State.PROPOSED
    if before is not None and before.stamp == stamp and (before.asked or not waits):
        return before
    url = before.url if before else None
    if before is None or before.stamp != stamp:
        url = forge.opened(case.id, ref, text.title, text.body)
        forge.status(head, state, words, url)
    return Announced(url, stamp, asked=waits and _ask(forge, case, forge.pull(ref), now))


def _ask(forge: Forge, case: Case, pull: PullRequest | None, now: datetime) -> bool:
    """Ask whoever is waited for and has said nothing on the forge yet; False while it is a draft."""
    if pull is None or pull.state != "open":
        return True
    if pull.draft:
        return False
    heard = {one.account.id for one in forge.reviews(pull.number)}
    people = (case.policy.form.people[name].forges.get(forge.name) for name in waits_for(case, now))
    wanted = sorted({one for one in people if one is not None} - heard)
    if wanted:
        forge.request(pull.number, wanted)
    return True


def remarks(case: Case, forge: Forge) -> tuple[str | None, tuple[RemarkView, ...]]:
    """The page of a proposal, and the newest of what people wrote there.

    Raises:
        Unavailable, Refused, NotFound, Invalid: the forge's.
    """
    pull = forge.pull(layout.proposal_ref(case.id))
    if pull is None:
        return None, ()
    people = {one.forges.get(forge.name): name for name, one in case.policy.form.people.items()}

    def shown(account: Account, verdict: str, text: str, time: str) -> RemarkView:
        person = people.get(account.id, "")
        return RemarkView(account.id, account.login[:100], person, verdict, text[:_REMARK], time)

    found = [
        shown(one.account, "dismissed" if one.dismissed else one.verdict or "", one.text, one.time)
        for one in forge.reviews(pull.number)
    ]
    found += [shown(one.account, "", one.text, one.time) for one in forge.remarks(pull.number)]
    said: Sequence[RemarkView] = sorted(
        (one for one in found if one.text.strip() or one.verdict), key=lambda one: one.time
    )
    return pull.url, tuple(said[-_REMARKS:])
