"""The states of a proposal as one table, and the one pure function that derives a state (design 7).

Nothing stores a state. The diagram in `docs/reference/states.md` is generated from `TRANSITIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class State(StrEnum):
    """Where a proposal stands."""

    DRAFT = "DRAFT"
    PROPOSED = "PROPOSED"
    RETURNED = "RETURNED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"
    STALE = "STALE"
    APPROVED = "APPROVED"
    LANDED = "LANDED"
    QUARANTINED = "QUARANTINED"
    PUBLISHED = "PUBLISHED"
    SUPERSEDED = "SUPERSEDED"
    RETRACTED = "RETRACTED"


ENDED = frozenset(
    {State.RETURNED, State.STALE, State.EXPIRED, State.WITHDRAWN, State.SUPERSEDED, State.REJECTED}
)
"""In these another proposal may follow, and the branch of this one may be closed."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One arrow: who may cause it, and which record it leaves in Git."""

    source: State
    target: State
    by: str
    record: str


_S = State
TRANSITIONS: tuple[Transition, ...] = (
    Transition(_S.DRAFT, _S.PROPOSED, "node or person", "branch with the signed manifest"),
    Transition(_S.PROPOSED, _S.APPROVED, "reviewers", "decisions (observations) that satisfy the policy"),
    Transition(_S.PROPOSED, _S.RETURNED, "reviewer", "decision `return`"),
    Transition(_S.PROPOSED, _S.REJECTED, "reviewer", "decision `reject`"),
    Transition(_S.PROPOSED, _S.WITHDRAWN, "signer", "withdrawal"),
    Transition(_S.PROPOSED, _S.EXPIRED, "time", "the manifest's expiry"),
    Transition(_S.PROPOSED, _S.STALE, "another landing", "new policy, or new `previous` of a path"),
    Transition(_S.APPROVED, _S.RETURNED, "reviewer", "decision `return`"),
    Transition(_S.APPROVED, _S.REJECTED, "reviewer", "decision `reject`"),
    Transition(_S.APPROVED, _S.STALE, "another landing", "new policy, or new `previous` of a path"),
    Transition(_S.APPROVED, _S.EXPIRED, "time", "the manifest's or a decision's expiry"),
    Transition(_S.APPROVED, _S.WITHDRAWN, "signer", "withdrawal"),
    Transition(_S.APPROVED, _S.LANDED, "whoever merges", "commit on `main` with the complete proposal"),
    Transition(_S.PROPOSED, _S.QUARANTINED, "a bypass of the gate", "commit on `main`, approvals missing"),
    Transition(_S.LANDED, _S.PUBLISHED, "the node's agent", "receipt and ledger entry `publish`"),
    Transition(_S.LANDED, _S.QUARANTINED, "policy drift", "policy files on `main` that nobody approved"),
    Transition(_S.LANDED, _S.EXPIRED, "time", "the manifest's expiry"),
    Transition(_S.LANDED, _S.WITHDRAWN, "signer, or a revert", "withdrawal, or metafiles gone from `main`"),
    Transition(_S.LANDED, _S.SUPERSEDED, "a later landing of the path", "its metafile on `main`"),
    Transition(_S.QUARANTINED, _S.LANDED, "reviewers", "valid decisions added on `main`"),
    Transition(_S.QUARANTINED, _S.WITHDRAWN, "a revert", "metafiles gone from `main`"),
    Transition(_S.PUBLISHED, _S.SUPERSEDED, "a later publication of the path", "ledger entry `publish`"),
    Transition(_S.PUBLISHED, _S.RETRACTED, "the node, or who may retract", "ledger entry `retract`"),
    Transition(_S.SUPERSEDED, _S.RETRACTED, "the node, or who may retract", "ledger entry `retract`"),
    Transition(_S.RETRACTED, _S.PUBLISHED, "nobody confirms an emergency", "ledger entry `restored`"),
    Transition(_S.RETRACTED, _S.SUPERSEDED, "nobody confirms an emergency", "ledger entry `restored`"),
    Transition(_S.PUBLISHED, _S.WITHDRAWN, "nobody confirms an emergency", "ledger entry `restored`"),
)  # fmt: skip


Standing = Literal["no", "yes", "superseded", "retracted", "restored"]
"""What a published branch makes of a proposal; `restored`: a retraction that nobody confirmed in time."""


@dataclass(frozen=True, slots=True)
class StateFacts:
    """What Git and the clock say of one proposal; `derive` needs nothing else."""

    landed: Literal["no", "yes", "superseded", "reverted"] = "no"
    published: Standing = "no"
    withdrawn: bool = False
    rejected: bool = False
    returned: bool = False
    stale: bool = False
    expired: bool = False
    allowed: bool = False
    drift: bool = False


_PUBLISHED = {
    "yes": State.PUBLISHED,
    "superseded": State.SUPERSEDED,
    "retracted": State.RETRACTED,
    "restored": State.WITHDRAWN,
}


def derive(facts: StateFacts) -> State:
    """The state that follows; total over all facts."""
    if facts.published != "no":
        return _PUBLISHED[facts.published]
    if facts.landed == "no":
        return _open(facts)
    if facts.landed == "superseded":
        return State.SUPERSEDED
    if facts.landed == "reverted" or facts.withdrawn:
        return State.WITHDRAWN
    if facts.stale:
        return State.STALE
    if facts.expired:
        return State.EXPIRED
    blocked = facts.rejected or facts.returned or facts.drift or not facts.allowed
    return State.QUARANTINED if blocked else State.LANDED


def _open(facts: StateFacts) -> State:
    for fact, state in (
        (facts.withdrawn, State.WITHDRAWN),
        (facts.rejected, State.REJECTED),
        (facts.returned, State.RETURNED),
        (facts.stale, State.STALE),
        (facts.expired, State.EXPIRED),
        (facts.allowed, State.APPROVED),
    ):
        if fact:
            return state
    return State.PROPOSED


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> DRAFT"]
    lines += [f"    {one.source} --> {one.target}: {one.by}" for one in TRANSITIONS]
    return "\n".join(lines) + "\n"
