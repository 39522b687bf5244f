"""Can distinct people fill these requirements? (I9: one person fills one place of one requirement.)

A single requirement is decided by counting. Requirements that share people are decided by search over
choices that differ in what counts: organisation, sight of the bytes, membership.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from placet.core.policyform import Approvals


@dataclass(frozen=True, slots=True, order=True)
class Voter:
    """A person who approves, or could: what of them counts."""

    name: str
    organisation: str
    saw_bytes: bool


@dataclass(frozen=True, slots=True)
class Seats:
    """One requirement, and who may fill it."""

    need: Approvals
    voters: frozenset[Voter]


def fills(seats: Sequence[Seats]) -> bool:
    """Can every requirement be filled, nobody taking two places?"""
    return all(_fills(group) for group in _apart(list(seats)))


def _apart(seats: list[Seats]) -> Iterator[list[Seats]]:
    """Groups of requirements that share nobody with one another; they can be decided alone."""
    while seats:
        group = [seats.pop()]
        people = set(group[0].voters)
        while near := [one for one in seats if not people.isdisjoint(one.voters)]:
            group += near
            people.update(*(one.voters for one in near))
            seats = [one for one in seats if one not in near]
        yield group


def _fills(seats: Sequence[Seats]) -> bool:
    if not all(_alone(one) for one in seats):
        return False
    if len(seats) <= 1:
        return True
    first, *rest = sorted(seats, key=lambda one: (len(one.voters), one.need.count))
    return any(
        _fills([Seats(one.need, one.voters - chosen) for one in rest]) for chosen in _choices(first, rest)
    )


def _alone(seats: Seats) -> bool:
    """Can this requirement be filled if nobody else needs these people?"""
    need, voters = seats.need, seats.voters
    seeing = [one for one in voters if one.saw_bytes]
    if len(voters) < need.count or len(seeing) < need.bytes:
        return False
    with_bytes = min(need.bytes, len({one.organisation for one in seeing}))
    others = len({one.organisation for one in voters}) - with_bytes
    return with_bytes + min(need.count - need.bytes, others) >= need.organisations


def _choices(seats: Seats, rest: Sequence[Seats]) -> Iterator[frozenset[Voter]]:
    """Every way to fill a requirement, one of those that make no difference to the rest."""
    alike: dict[tuple[object, ...], list[Voter]] = {}
    for one in sorted(seats.voters):
        kind = (one.organisation, one.saw_bytes, *(one in other.voters for other in rest))
        alike.setdefault(kind, []).append(one)
    for chosen in _take(list(alike.values()), seats.need.count):
        if _alone(Seats(seats.need, frozenset(chosen))):
            yield frozenset(chosen)


def _take(kinds: Sequence[Sequence[Voter]], count: int) -> Iterator[list[Voter]]:
    if count == 0:
        yield []
    elif kinds and sum(map(len, kinds)) >= count:
        for number in range(min(len(kinds[0]), count) + 1):
            for others in _take(kinds[1:], count - number):
                yield [*kinds[0][:number], *others]
