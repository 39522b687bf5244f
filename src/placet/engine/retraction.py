"""Retraction on a published branch: what may be recorded, by whom, and what tree follows (design 4, 6.1).

One retraction is a line of entries: `retract` (nobody is given it from here on); of an emergency a second
`retract` once another person has confirmed it; then `erased` with its receipt, or `restored`. All follows
from Git and the times of entries; what is done to the objects is `placet.engine.retract`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from placet.core import layout
from placet.core.assent import confirmed
from placet.core.guards import guard
from placet.core.layout import Occupied
from placet.core.policy import Policy
from placet.core.predicates import EntryKind, Erasure, LedgerEntry
from placet.core.statement import Signed
from placet.core.states import State
from placet.engine.cases import Case, assents, standing_verdicts, state
from placet.engine.history import History
from placet.engine.publication import Edition, Publication, Retraction

KINDS: frozenset[EntryKind] = frozenset({"retract", "erased", "restored"})


def actor_keys(policy: Policy, actor: str) -> tuple[str, ...]:
    """The keys of whoever may sign a ledger entry in this name: a node, or a person who may retract."""
    people = policy.person_keys(actor) if actor in policy.retractors() else ()
    return (*policy.node_keys(actor), *people)


@guard(17, 33)
def retractor_keys(policy: Policy, case: Case, actor: str) -> tuple[str, ...]:
    """The keys of whoever may record a retraction: the owning node, or a person whom the policy lets."""
    own = policy.node_keys(actor) if actor == case.manifest.body.node else ()
    people = policy.person_keys(actor) if actor in policy.retractors() else ()
    return (*own, *people)


def problem(history: History, publication: Publication, case: Case, kind: EntryKind, when: datetime) -> str:
    """Why this entry about a retraction may not come next at `history`'s tip, or empty (I7)."""
    body = case.manifest.body
    if body.kind != "retract" or body.tier != publication.tier:
        return f"it is no retraction for tier {publication.tier}"
    if publication.policy != history.policy.digest:
        return "the branch has no entry for the effective policy yet"
    known = publication.retractions.get(case.id)
    if kind == "retract" and known is None:
        return _retract_problem(history, publication, case, when)
    if kind == "retract" and known is not None:
        return _confirm_problem(known, case)
    if known is None or not known.open:
        return "no such retraction is open"
    if kind == "erased":
        return "" if known.confirmed else "no second person has confirmed it"
    return _restore_problem(known, case, when)


@guard(9, 10, 12, 17, 33)
def _retract_problem(history: History, publication: Publication, case: Case, when: datetime) -> str:
    found = state(case, when, drift=history.drift())
    if found is not State.LANDED:
        return f"it is {found}"
    known = {(one.case.manifest.digest, path) for one in publication.publications.values()
             for path in one.case.metafiles()}  # fmt: skip
    missing = next((path for path, digest in case.takes() if (digest, path) not in known), None)
    if missing is not None:
        return f"{missing} is not published here so"
    gone = any(publication.retracted(one.proposal, one.metafile) for one in taken(publication, case))
    return "it was retracted already" if gone else ""


@guard(12, 19, 33)
def _confirm_problem(known: Retraction, case: Case) -> str:
    """An emergency becomes a retraction for good once a second person has approved it."""
    if not known.open or known.confirmed:
        return "it is recorded already"
    return "" if is_confirmed(case) else "no second person has confirmed it"


@guard(21, 33)
def _restore_problem(known: Retraction, case: Case, when: datetime) -> str:
    """Only an emergency that nobody confirmed until its time was over is undone."""
    if known.deadline is None or is_confirmed(case):
        return "it is for good"
    return "" if known.deadline <= when else "a second person can still confirm it"


def is_confirmed(case: Case) -> bool:
    """Do the decisions on an emergency let it become one for good? Nobody who may judge it objects."""
    objected = standing_verdicts(case) & {"return", "reject"}
    return not objected and not case.lost and confirmed(case.policy, case.manifest.body, assents(case, None))


def taken(publication: Publication, case: Case) -> tuple[Edition, ...]:
    """What a retraction takes back of a published branch."""
    wanted = {(digest, path) for path, digest in case.takes()}
    named = {digest for digest, _ in wanted}
    return tuple(
        one
        for ident, published in publication.publications.items()
        if published.case.manifest.digest in named
        for one in publication.editions(ident)
        if (published.case.manifest.digest, one.metafile) in wanted
    )


def follow(publication: Publication, case: Case, entry: Signed[LedgerEntry]) -> None:
    """Take a valid entry about a retraction into the publication; its tree is taken already."""
    known = publication.retractions.get(case.id)
    if known is None:
        gone = taken(publication, case)
        removed = {one.metafile: one.blob for one in gone
                   if publication.current.get(one.metafile) == one.proposal}  # fmt: skip
        for path in removed:
            del publication.current[path]
            publication.occupied.discard(path.removesuffix(".dvc"))
        final = not case.manifest.body.emergency
        publication.retractions[case.id] = Retraction(case, entry, gone, removed, confirmed=final)
    elif entry.body.kind == "retract":
        publication.retractions[case.id] = replace(known, confirmed=True)
    else:
        if entry.body.kind == "restored":
            back = _coming_back(publication, known)
            for one in known.taken:
                if one.metafile in back:
                    publication.stand_again(one)
        publication.retractions[case.id] = replace(known, settled=entry)


def change_tree(publication: Publication, case: Case, kind: EntryKind, blobs: dict[str, str]) -> None:
    """The metafiles that an entry about a retraction removes, or brings back."""
    known = publication.retractions.get(case.id)
    if kind == "retract" and known is None:
        for one in taken(publication, case):
            if publication.current.get(one.metafile) == one.proposal:
                blobs[one.metafile] = ""
    elif kind == "restored" and known is not None:
        blobs.update({path: known.removed[path] for path in _coming_back(publication, known)})


def _coming_back(publication: Publication, known: Retraction) -> list[str]:
    """The metafiles that stand again after an emergency: those whose place nobody took in the meantime."""
    free = Occupied(path.removesuffix(".dvc") for path in publication.current)
    out: list[str] = []
    for path in sorted(known.removed):
        data = path.removesuffix(".dvc")
        if path not in publication.current and free.clash(data) is None:
            free.add(data)
            out.append(path)
    return out


@guard(33)
def accounts(receipt: Erasure, case: Case) -> bool:
    """Does a receipt of erasure account for every artifact that was taken back?"""
    wanted = [one.path for one in case.manifest.body.artifacts]
    counted = all(one.kept <= one.objects and one.objects > 0 for one in receipt.artifacts)
    return counted and [one.path for one in receipt.artifacts] == wanted


@guard(33)
def held_back(publication: Publication, keys: Iterable[str]) -> Retraction | None:
    """The open retraction that takes back one of these objects: nothing that needs it is published now."""
    wanted = set(keys)
    for one in publication.retractions.values():
        if one.open and any(key in wanted for each in one.taken for key in own_keys(each)):
            return one
    return None


def own_keys(version: Edition) -> tuple[str, ...]:
    """The objects of an artifact that Git alone names: the file, or `.dir` object and digest list."""
    is_dir = version.artifact.dir is not None
    key = layout.data_key(version.artifact.md5, is_dir=is_dir)
    return (key, layout.sums_key(version.sha256)) if is_dir else (key,)


def due(known: Retraction, case: Case, when: datetime) -> EntryKind | None:
    """What comes next of an open retraction: `retract` (confirm), `erased`, `restored`; None: wait.

    Args:
        known: The retraction, as its branch has it.
        case: The same as `main` has it now: with all decisions on it.
        when: The time.
    """
    if known.confirmed:
        return "erased"
    if is_confirmed(case):
        return "retract"
    return "restored" if known.deadline is not None and known.deadline <= when else None
