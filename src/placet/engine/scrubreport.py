"""What a scrub says: each object that is not as it should be, and the whole in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from placet.core import layout
from placet.core.states import State
from placet.engine.inventory import Extra, Wanted
from placet.engine.scrubproof import How, Proof, Trouble
from placet.engine.scrubwant import Owner

TROUBLES: tuple[Trouble, ...] = ("missing", "corrupt", "twin", "unreadable", "unexpected", "foreign")
WAYS: tuple[How, ...] = ("read", "service", "listed")
YOUNG_S = 86_400.0
_NAMED = 1000
_WAITING = frozenset({State.LANDED, State.APPROVED})


@dataclass(frozen=True, slots=True)
class Found:
    """One object that is not as it should be.

    Attributes:
        key: In the tier.
        size: Bytes in the tier; 0 if it is not there.
        age_s: Seconds since it came, by the store's clock; None where that is not known.
        artifact: The artifact that it belongs to, in the Ctrl repository; empty if to none that is known.
        proposal: Its proposal's id, or empty.
        state: The proposal's state, or empty.
        serious: The tier is not sound because of it.
        repaired: It was wrong, and is right now.
        why: What is known besides, and why it was not repaired.
    """

    key: str
    trouble: Trouble
    size: int
    age_s: int | None
    artifact: str
    proposal: str
    state: str
    serious: bool
    repaired: bool
    why: str


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What a scrub found.

    Attributes:
        ok: All that was published is there, as far as was looked, and nothing else that is not explained.
        store: Where the tier is.
        commit: The tip of the published branch that it was compared with.
        read: Every object was read.
        listed: The store can list; else nothing is known of what is there besides.
        resumed: It went on with a scrub that `began` earlier.
        artifacts: Artifacts that were published and not retracted.
        objects: Objects that they consist of.
        size: Bytes of those that are there.
        proven: How -> objects: `read`, by the `service`'s own SHA-256, or no more than `listed`.
        counts: Trouble -> objects; `repaired` and `serious` of all of them.
        findings: Of each trouble the first thousand.
        untold: Directories whose files cannot be told, for want of their lists.
    """

    ok: bool
    tier: str
    store: str
    commit: str
    read: bool
    listed: bool
    resumed: bool
    began: str
    ended: str
    artifacts: int
    objects: int
    size: int
    proven: dict[str, int]
    counts: dict[str, int]
    findings: tuple[Found, ...]
    untold: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """13: something is wrong; 3: something could not be read, run it again; else 0."""
        if not self.ok:
            return 13
        return 3 if self.counts["unreadable"] else 0


@dataclass
class Tally:
    """Findings as they come: all counted, some named."""

    now_s: float
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Found] = field(default_factory=list)

    def add(self, found: Found) -> None:
        """One more."""
        self.counts[found.trouble] += 1
        self.counts["repaired"] += found.repaired
        self.counts["serious"] += found.serious
        if self.counts[found.trouble] <= _NAMED:
            self.findings.append(found)

    def lost(self, one: Wanted, owner: Owner, proof: Proof, why: str | None) -> None:
        """A published object that is not right; `why` it was not repaired, empty if it was."""
        trouble = proof.trouble or "missing"
        repaired = why == ""
        self.add(
            Found(
                key=one.key,
                trouble=trouble,
                size=one.there or 0,
                age_s=self._age(one.modified),
                artifact=owner.path,
                proposal=owner.proposal,
                state=str(owner.state),
                serious=trouble != "unreadable" and not repaired,
                repaired=repaired,
                why=" ".join(text for text in (proof.why, why or "") if text),
            )
        )

    def unneeded(self, one: Extra, owner: Owner | None) -> None:
        """An object that nothing published needs; one that was retracted is never too young."""
        age = self._age(one.modified)
        own = layout.hash_of(one.key) is not None
        retracted = owner is not None and owner.state is State.RETRACTED
        young = age is not None and age < YOUNG_S and not retracted
        waits = owner is not None and owner.state in _WAITING
        self.add(
            Found(
                key=one.key,
                trouble="unexpected" if own else "foreign",
                size=one.size,
                age_s=age,
                artifact=owner.path if owner else "",
                proposal=owner.proposal if owner else "",
                state=str(owner.state) if owner else "",
                serious=not (young or waits),
                repaired=False,
                why="",
            )
        )

    def _age(self, modified: float | None) -> int | None:
        return None if modified is None else max(int(self.now_s - modified), 0)
