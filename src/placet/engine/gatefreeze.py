"""The gate's part about freezes: what it takes, on a branch of its own or on `main`, judged by content."""

from __future__ import annotations

from datetime import datetime

from placet.core import layout
from placet.core.guards import guard
from placet.core.ledger import MAX_AHEAD
from placet.core.limits import FREEZES_EACH, Bounds
from placet.core.scope import parse_scope
from placet.core.statement import parse_time
from placet.engine.ctrl import View
from placet.engine.firewall import require_plain
from placet.engine.freeze import Frozen, read_branch
from placet.errors import Refused
from placet.ports import Change, RefUpdate

_BOUNDS = Bounds(commits=1, changes=1)


@guard(13, 17)
def judge_branch(view: View, update: RefUpdate, now: datetime) -> None:
    """A branch `freezes/<id>`: made once, with one signed freeze and nothing else; gone when two ended it.

    Raises:
        Refused: kind `freeze-refused`.
        Invalid, Corrupt, Conflict, NotFound: it does not hold a freeze that counts.
    """
    ident = update.ref.removeprefix(layout.FREEZE_BRANCHES)
    freezes = view.history.freezes
    ended = any(layout.freeze_id(one) == ident and freezes.ended(one) for one in freezes.lifted)
    if update.new is None:
        if not ended:
            raise _refused("Its branch is removed only when main holds what two people signed to end it.")
        return
    if update.old is not None or ended:
        raise _refused("A freeze is never changed, and one that was ended does not come back.")
    path = layout.freeze_path(ident)
    commits = view.repo.branch(update.new, view.history.positions, _BOUNDS)
    changes = [change for commit in commits for change in commit.changes]
    if [one.path for one in changes] != [path] and (changes or path not in freezes.files):
        raise _refused("Its branch adds the file of the freeze to main, in one commit, and nothing else.")
    for change in changes:
        require_plain(change)
    made = read_branch(view.repo, view.history, ident, update.new)
    require_fair(view, made, now)
    view.freezes[made.digest] = made


def judge_on_main(view: View, change: Change, now: datetime) -> bool:
    """A freeze or unfreeze on `main`, which `view.history` took in already: may it stand there?

    Raises:
        Refused: kind `freeze-refused`.
        Invalid: kind `freeze-scope`.
    """
    freezes = view.history.freezes
    blob, digest, people = freezes.files.get(change.path, ("", "", frozenset()))
    if blob != change.blob:
        return False
    if digest in freezes.made and layout.freeze_path(layout.freeze_id(digest)) == change.path:
        require_fair(view, freezes.made[digest], now)
    else:
        _require_new(view, change.path, digest, people)
    return True


@guard(21, 26)
def require_fair(view: View, one: Frozen, now: datetime) -> None:
    """A freeze that says what it stops, is not from the future, and is not one of too many of its person.

    Raises:
        Refused: kind `freeze-refused`.
        Invalid: kind `freeze-scope`.
    """
    parse_scope(one.scope)
    if parse_time(one.time) > now + MAX_AHEAD:
        raise _refused(f"It is from the future ({one.time}).")
    others = {digest for digest, other in view.stops.items() if other.person == one.person} - {one.digest}
    if len(others) >= FREEZES_EACH:
        raise _refused(f"{one.person} has {len(others)} freezes that stand; more are not taken.")


@guard(26)
def _require_new(view: View, path: str, digest: str, people: frozenset[str]) -> None:
    """An unfreeze by somebody who had not signed one, and not one of too many of what nobody knows."""
    freezes = view.history.freezes
    beside = {path, layout.freeze_path(layout.freeze_id(digest))}
    rows = (row for other, row in freezes.files.items() if other not in beside and row[1] == digest)
    if people <= {one for _, _, said in rows for one in said}:
        raise _refused("Whoever signed this had signed the end of that freeze before.")
    unknown = {about for about, by in freezes.lifted.items() if about not in freezes.made and by & people}
    if len(unknown) > FREEZES_EACH:
        raise _refused("It ends a freeze that is not on main, as too many before it did.")


def _refused(why: str) -> Refused:
    return Refused(why, kind="freeze-refused")
