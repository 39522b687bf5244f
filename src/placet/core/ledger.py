"""The rules of a ledger: how one entry follows another, and what a checkpoint says of a line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from placet.core.guards import guard
from placet.core.predicates import Checkpoint, LedgerEntry
from placet.core.statement import Signed, format_time, parse_time
from placet.errors import Corrupt

MAX_AHEAD = timedelta(minutes=5)


@guard(21, 34)
def check_next(before: Signed[LedgerEntry] | None, entry: Signed[LedgerEntry], now: datetime) -> None:
    """Does `entry` follow `before` (None: is it a genesis)?

    Raises:
        Corrupt: kind `ledger`.
    """
    body = entry.body
    if before is None:
        wrong = body.sequence != 0 or body.previous is not None or body.kind != "genesis"
        problem = "does not begin with a genesis entry" if wrong else ""
    elif body.sequence != before.body.sequence + 1 or body.kind == "genesis":
        problem = f"has entry {body.sequence} after entry {before.body.sequence}"
    elif body.previous != before.digest:
        problem = f"is broken: entry {body.sequence} does not name the entry before it"
    elif (body.branch, body.repository) != (before.body.branch, before.body.repository):
        problem = f"changes its branch or repository at entry {body.sequence}"
    elif parse_time(body.time) < parse_time(before.body.time):
        problem = f"goes back in time at entry {body.sequence}"
    else:
        problem = ""
    if problem:
        raise Corrupt(f"The ledger of {body.branch} {problem}.", kind="ledger")
    require_past(entry, now)


@guard(21)
def require_past(entry: Signed[LedgerEntry], now: datetime) -> None:
    """Refuse an entry of more than five minutes from now; those before it are never later than it.

    Raises:
        Corrupt: kind `ledger`.
    """
    body = entry.body
    if parse_time(body.time) > now + MAX_AHEAD:
        raise Corrupt(
            f"The ledger of {body.branch} has entry {body.sequence} from the future ({body.time}).",
            kind="ledger",
            why=f"The clock here says {format_time(now)}; if that is wrong, set it right and run it again.",
        )


@guard(13, 14)
def holds(checkpoint: Checkpoint, entries: Sequence[Signed[LedgerEntry]]) -> bool:
    """Is the checkpoint's entry still at its place in this ledger?"""
    return (
        checkpoint.sequence < len(entries)
        and entries[checkpoint.sequence].digest == checkpoint.entry
        and entries[checkpoint.sequence].body.branch == checkpoint.branch
    )


@guard(14, 34)
def contradict(one: Checkpoint, other: Checkpoint) -> bool:
    """Do two checkpoints name different entries for one place of one ledger? Then there are two histories."""
    place = (one.repository, one.branch, one.sequence)
    return place == (other.repository, other.branch, other.sequence) and one.entry != other.entry
