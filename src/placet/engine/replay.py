"""What another policy would have decided about everything that was ever proposed. Reads only.

Decisions are taken as the people gave them, whatever their keys are in the candidate: the question is what
its rules, groups and limits would change. Expiry is left out on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from placet.core.assent import Outcome, judge_manifest
from placet.core.policy import Policy
from placet.engine.cases import Case, assents, standing_verdicts
from placet.engine.ctrl import View

Verdict = Literal["allowed", "missing", "refused", "returned", "rejected"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One policy's answer: `missing` approvals, or the `reasons` why no approval could mend it."""

    verdict: Verdict
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One proposal under its own policy and under the candidate.

    Attributes:
        policy: The number of the policy that it was judged by.
        landed: Is it on `main`?
        differs: Is the verdict, or the reason for it, another one?
        flips: Would something that was allowed be held back, or the other way round?
    """

    id: str
    kind: str
    by: str
    tier: str | None
    paths: tuple[str, ...]
    proposed: str
    policy: int
    landed: bool
    was: Judged
    would: Judged
    differs: bool
    flips: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """Everything proposed so far, oldest first, under a candidate; `unreadable` are proposals left out."""

    number: int
    digest: str
    proposals: tuple[Replayed, ...]
    unreadable: tuple[str, ...]

    @property
    def flips(self) -> int:
        """How many proposals would have been decided the other way round."""
        return sum(one.flips for one in self.proposals)


def replay(view: View, candidate: Policy) -> Replay:
    """Judge every proposal that landed, is open, or was closed, by a candidate."""
    cases = {**view.ended(), **view.cases()}
    found = sorted(
        (_replayed(case, candidate) for case in cases.values()), key=lambda one: (one.proposed, one.id)
    )
    return Replay(
        candidate.form.number,
        candidate.digest,
        tuple(found),
        tuple(sorted(view.closed.keys() - cases.keys())),
    )


def _replayed(case: Case, candidate: Policy) -> Replayed:
    body = case.manifest.body
    given = list(assents(case, None))
    was = _judged(case, judge_manifest(case.policy, body, given))
    would = _judged(replace(case, policy=candidate), judge_manifest(candidate, body, given))
    return Replayed(
        id=case.id,
        kind=body.kind,
        by=body.signer,
        tier=body.tier,
        paths=case.paths,
        proposed=body.time,
        policy=case.policy.form.number,
        landed=case.landed is not None,
        was=was,
        would=would,
        differs=(was.verdict, was.reasons, was.missing) != (would.verdict, would.reasons, would.missing),
        flips=(was.verdict == "allowed") != (would.verdict == "allowed"),
    )


def _judged(case: Case, found: Outcome) -> Judged:
    said = standing_verdicts(case)
    verdict: Verdict = "allowed"
    if found.reasons:
        verdict = "refused"
    elif "reject" in said:
        verdict = "rejected"
    elif "return" in said:
        verdict = "returned"
    elif found.missing:
        verdict = "missing"
    return Judged(verdict, found.rules, found.reasons, found.missing)
