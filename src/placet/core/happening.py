"""What happened in a Ctrl repository, or to an agent, that somebody may want to be told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "proposed", "returned", "rejected", "withdrawn", "expired", "stale", "approved", "quarantined",
    "published", "retracted", "restored", "frozen", "thawed", "alarm", "failing", "recovered",
]  # fmt: skip

KINDS: Mapping[Kind, str] = {
    "proposed": "a proposal waits for decisions, for the first time or again",
    "returned": "a reviewer returned it",
    "rejected": "a reviewer rejected it",
    "withdrawn": "its signer took it back, or it was taken off `main` before it was published",
    "expired": "its time, or an approval's, is over",
    "stale": "the policy, or what it replaces, is not what it was",
    "approved": "every approval is there; it can be merged, or was",
    "quarantined": "it is on `main` without valid approvals",
    "published": "it is on the published branch; of a policy: it holds",
    "retracted": "what was published is taken back",
    "restored": "a retraction was not confirmed in time",
    "frozen": "somebody stopped publications",
    "thawed": "two people ended that",
    "alarm": "something is in the Ctrl repository that should not be there",
    "failing": "the agent cannot do its work",
    "recovered": "it can again",
}
LOUD: frozenset[Kind] = frozenset({"quarantined", "frozen", "alarm", "failing", "retracted"})


@dataclass(frozen=True, slots=True)
class Happening:
    """One of them. Foreign texts in `text` are harmless wherever it is shown; nothing holds data.

    Attributes:
        proposal: The proposal's id, or empty.
        subject: What it is about, for people: artifacts, a freeze's scope, an agent's job.
        who: By whom it came about: nodes and people.
        concerns: The people whom it concerns: who can act on it, who runs the node, who decided before.
        rules: Of the policy that the proposal is judged by.
        text: All of it, in a sentence or two.
    """

    kind: Kind
    subject: str
    text: str
    proposal: str = ""
    node: str = ""
    tier: str = ""
    paths: tuple[str, ...] = ()
    who: tuple[str, ...] = ()
    concerns: frozenset[str] = frozenset()
    rules: tuple[str, ...] = ()
