"""What a party remembers of a Ctrl repository, outside of every clone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a party verified last of one Ctrl repository; losing it costs rollback detection only.

    Attributes:
        main: The last tip of `main` that was accepted.
        position: How many commits are before it on its first-parent line.
        published: Branch name -> (commit, sequence and digest of its last ledger entry).
        decisions: Proposal that is not over yet -> person, or `witness:<name>` -> (number, digest) of their
            highest decision or observation.
        freezes: Digest of a freeze that nobody ended -> its scope, person, reason and time.
    """

    main: str | None = None
    position: int | None = None
    published: Mapping[str, tuple[str, int, str]] = field(default_factory=dict)
    decisions: Mapping[str, Mapping[str, tuple[int, str]]] = field(default_factory=dict)
    freezes: Mapping[str, tuple[str, str, str, str]] = field(default_factory=dict)


class TrustMemory(Protocol):
    """A party's memory outside the clone, one record a repository; writes are atomic."""

    def recall(self, repository: str) -> Remembered:
        """What was remembered; empty if nothing was."""
        ...

    def update(self, repository: str, change: Callable[[Remembered], Remembered]) -> None:
        """Replace the record by what `change` makes of it; no other process writes it in between."""
        ...
