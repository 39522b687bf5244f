"""What a proposal would hear from the policy, before anybody signs or sends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from placet.core.assent import judge_manifest
from placet.core.predicates import CheckResult
from placet.core.provenance import Provenance
from placet.engine.ctrl import View
from placet.engine.propose import Candidate, draft


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the policy says of outputs that somebody might propose.

    Attributes:
        policy: Its number.
        rules: Which of its rules hold.
        checks: What the checks found that they ask for.
        reasons: Why it would not be allowed, whoever approves; failed checks are among them.
        missing: Whose approvals it would need.
    """

    policy: int
    rules: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    reasons: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Could it be proposed?"""
        return not self.reasons


def rehearse(
    view: View,
    candidates: Sequence[Candidate],
    checks: Sequence[CheckResult],
    *,
    node: str,
    tier: str,
    now: datetime,
) -> Rehearsed:
    """Judge what is not proposed yet by the policy that holds now, as a proposal would be."""
    policy = view.history.policy
    _, body = draft(
        view, candidates, node=node, tier=tier, message="", checks=checks, provenance=Provenance(), now=now
    )
    found = judge_manifest(policy, body, ())
    return Rehearsed(policy.form.number, found.rules, tuple(checks), found.reasons, found.missing)
