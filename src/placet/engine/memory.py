"""What a party saw before, against what it is shown now (design 4 "Trust memory"; threats 13, 14, 15).

A branch that was rolled back, rewritten or removed ends everything; a decision that is gone ends its
proposal. What is remembered only grows, whatever the order in which processes write it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from placet.core.guards import guard
from placet.engine.cases import Case
from placet.engine.freeze import Frozen
from placet.engine.published import Publication
from placet.errors import Corrupt
from placet.ports import Remembered, Repo

Heads = Mapping[str, tuple[int, str]]
_WITNESS = "witness:"


@dataclass(frozen=True, slots=True)
class Sight:
    """What one load of the Ctrl repository found.

    Attributes:
        line: `main`'s first-parent line: commit -> position.
        publications: The published branches that recompute.
        checked: Names of the branches that must be there: the effective policy's tiers, but those that do
            not recompute (which is an alarm of its own).
        cases: Every proposal that is open or has landed.
        closed: Closed without having landed, of those that were remembered.
        lagging: It is a clone, which may be older than what is remembered, and holds no open proposals.
        freezes: Digest -> freeze, of all that stand.
        ended: Did two people end the freeze of this digest?
    """

    line: Mapping[str, int]
    publications: Collection[Publication]
    checked: Collection[str]
    cases: Mapping[str, Case]
    closed: Mapping[str, Case]
    lagging: bool = False
    freezes: Mapping[str, Frozen] = field(default_factory=dict)
    ended: Callable[[str], bool] = lambda _digest: False


@guard(13, 14, 15)
def refuse_rollback(before: Remembered, sight: Sight) -> None:
    """Does every branch still hold what was verified here before?

    Raises:
        Corrupt: kind `rolled-back`.
    """
    if before.main is not None and before.main not in sight.line:
        shorter = before.position is None or len(sight.line) <= before.position
        if not (sight.lagging and shorter):
            raise rolled_back("main", before.main)
    here = {one.branch: one.entries for one in sight.publications}
    for branch, (commit, sequence, digest) in before.published.items():
        if branch not in sight.checked:
            continue
        entries = here.get(branch, [])
        gone = sequence >= len(entries)
        if (gone and not sight.lagging) or (not gone and entries[sequence].digest != digest):
            raise rolled_back(branch, commit)


@guard(13, 15)
def refuse_old_server(repo: Repo, before: Remembered) -> None:
    """In a clone that was fetched just now: does the server show all that was seen here before?

    Raises:
        Corrupt: kind `rolled-back`.
    """
    refs = repo.refs("refs/remotes/origin/")
    known = {branch: commit for branch, (commit, _, _) in before.published.items()}
    if before.main is not None:
        known["main"] = before.main
    for branch, commit in sorted(known.items()):
        tip = refs.get(f"refs/remotes/origin/{branch}")
        if tip is not None and all(one.id != commit for one in repo.line(tip)):
            raise rolled_back(branch, commit)


@guard(13, 16)
def lost_decisions(before: Remembered, sight: Sight) -> dict[str, str]:
    """Proposals of which a decision was seen here that is there no more -> what is missing."""
    if sight.lagging:
        return {}
    out = {}
    for ident, heads in before.decisions.items():
        case = sight.cases.get(ident) or sight.closed.get(ident)
        if case is None:
            out[ident] = "Its branch, seen here before, was removed without being closed."
            continue
        if case.landed is not None and case.stale:
            continue
        held = set(_records(case))
        gone = sorted(name for name, (n, digest) in heads.items() if (name, n, digest) not in held)
        if gone:
            words = ", ".join(_named(name, heads[name][0]) for name in gone)
            out[ident] = f"It was changed after it was seen here: {words} is gone."
    return out


@guard(13, 17)
def unseen_freezes(before: Remembered, sight: Sight) -> list[Frozen]:
    """The freezes that were seen here, that nobody ended, and that are on no branch any more."""
    return [
        one
        for digest, one in kept_freezes(before).items()
        if digest not in sight.freezes and not sight.ended(digest)
    ]


def kept_freezes(latest: Remembered) -> dict[str, Frozen]:
    """Digest -> freeze, of all that are remembered."""
    return {digest: Frozen(digest, *rest) for digest, rest in sorted(latest.freezes.items())}


def advanced(latest: Remembered, sight: Sight, lost: Collection[str]) -> Remembered:
    """The memory after this sight; never less than `latest`, but for proposals that are over."""
    tip, place = max(sight.line.items(), key=lambda one: one[1])
    ahead = latest.main is None or (
        latest.main in sight.line if latest.position is None else place >= latest.position
    )
    published = dict(latest.published)
    for one in sight.publications:
        last = one.entries[-1]
        known = published.get(one.branch)
        if known is None or known[1] <= last.body.sequence:
            published[one.branch] = (one.tip, last.body.sequence, last.digest)
    return Remembered(
        main=tip if ahead else latest.main,
        position=place if ahead else latest.position,
        published=published,
        decisions=latest.decisions if sight.lagging else _decisions(latest, sight, lost),
        freezes=with_freezes(latest, sight.freezes, sight.ended).freezes,
    )


def with_freezes(
    latest: Remembered, found: Mapping[str, Frozen], ended: Callable[[str], bool] = lambda _digest: False
) -> Remembered:
    """The memory with these freezes, and without those that two people ended."""
    seen = {one.digest: (one.scope, one.person, one.reason, one.time) for one in found.values()}
    kept = {digest: row for digest, row in {**latest.freezes, **seen}.items() if not ended(digest)}
    return replace(latest, freezes=kept)


def _decisions(latest: Remembered, sight: Sight, lost: Collection[str]) -> dict[str, Heads]:
    out: dict[str, Heads] = {}
    for ident, case in sight.cases.items():
        if case.landed is None:
            heads = _heads(case)
            if heads:
                out[ident] = heads
    for ident, known in latest.decisions.items():
        over = ident in sight.closed or (ident in sight.cases and sight.cases[ident].landed is not None)
        if over and ident not in lost:
            continue
        seen = out.get(ident, {})
        newer = {person: head for person, head in seen.items() if head[0] > known.get(person, (0, ""))[0]}
        out[ident] = {**known, **newer}
    return out


def _heads(case: Case) -> Heads:
    out: dict[str, tuple[int, str]] = {}
    for name, n, digest in _records(case):
        if n > out.get(name, (0, ""))[0]:
            out[name] = (n, digest)
    return out


def _records(case: Case) -> Iterator[tuple[str, int, str]]:
    """Whose it is, its number and its digest, of each decision and each observation."""
    for one in case.decisions:
        yield one.decision.body.person, one.decision.body.n, one.decision.digest
    for other in case.observations:
        body = other.sighting.body
        yield f"{_WITNESS}{body.witness}", body.n, other.sighting.digest


def _named(name: str, number: int) -> str:
    witness = name.removeprefix(_WITNESS)
    return f"observation {number} of {witness}" if witness != name else f"decision {number} of {name}"


def rolled_back(branch: str, commit: str) -> Corrupt:
    """The refusal of a branch that no longer holds what was verified here."""
    return Corrupt(
        f"The branch {branch} was rolled back or rewritten.",
        kind="rolled-back",
        why=f"Commit {commit[:12]}, seen and verified here before, is no longer on its first-parent line.",
        mend="Do not go on. Ask the administrator of the Ctrl repository and other nodes what they see.",
    )


def lost_policy(ident: str, why: str) -> Corrupt:
    """The refusal of a repository whose policy was adopted without a decision that was seen here."""
    return Corrupt(
        f"The policy of proposal {ident[:12]} was adopted without a decision that was seen here.",
        kind="decision-lost",
        why=why,
        mend="Do not go on. Let its decisions be restored on main, as the branch had them, and try again.",
    )
