"""Which commit was reviewed, by GitHub's record of a branch: its reviews themselves do not say so for good.

GitHub moves a review's `commit_id` along when the branch is pushed by force (docs/adr/0014-github.md).
Guarded here: an approval is never told with a commit that its reviewer may not have seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from placet.adapters.forge.github_answers import Activity, PullReview
from placet.core.guards import guard

_DELETION = "branch_deletion"
_KEEPS = frozenset({"push", _DELETION})
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Record:
    """What one branch was at.

    Attributes:
        tips: Each commit that it was at, with the first time.
        rewritten: When it was last made, or pushed by force: what reviews say from before is void.
    """

    tips: Mapping[str, datetime] = field(default_factory=dict)
    rewritten: datetime = _NEVER

    @classmethod
    def of(cls, found: Sequence[Activity], head: str) -> Self:
        """The record as GitHub tells it, in any order; nothing if it does not know yet of the head."""
        updates = sorted(
            (one for one in found if one.activity_type != _DELETION), key=lambda one: one.timestamp
        )
        if not updates or head not in {
            one.after for one in updates if one.timestamp == updates[-1].timestamp
        }:
            return cls()
        tips: dict[str, datetime] = {}
        for one in updates:
            tips.setdefault(one.after, one.timestamp)
        rewrites = [one.timestamp for one in updates if one.activity_type not in _KEEPS]
        return cls(tips, max(rewrites, default=_NEVER))

    @guard(10)
    def reviewed(self, review: PullReview) -> str:
        """The commit that was reviewed; empty where it cannot be told."""
        if review.commit_id is None or review.submitted_at is None:
            return ""
        if review.verdict != "approve":
            return review.commit_id
        since = self.tips.get(review.commit_id)
        seen = since is not None and since < review.submitted_at and self.rewritten < review.submitted_at
        return review.commit_id if seen else ""
