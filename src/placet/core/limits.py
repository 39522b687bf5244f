"""How much of what is foreign is read at most: the one place of these numbers (`docs/reference/formats.md`).

Whatever is larger is refused before it is read or parsed, and named. They are no settings.
"""

from __future__ import annotations

from dataclasses import dataclass

POLICY_BYTES = 1 << 18
METAFILE_BYTES = 1 << 16
PAYLOAD_BYTES = 1 << 20
ENVELOPE_BYTES = 2 * PAYLOAD_BYTES
FREEZE_BYTES = 1 << 15
FREEZES_EACH = 20

PATH_BYTES = 1024
NAME_BYTES = 255
PATH_DEPTH = 64

DIR_FILES = 1_000_000
DIR_BYTES = 1 << 28
SUMS_BYTES = 1 << 28

BRANCH_COMMITS = 1000
BRANCH_CHANGES = 5000
BRANCH_TREE_BYTES = 1 << 25
LISTING_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a branch is read at most.

    Attributes:
        commits: Commits that are its own.
        changes: Paths that they change, all together.
        tree_bytes: Bytes of tree objects that are read to find them.
        depth: Folders above a file, those of the Ctrl repository's own layout included.
    """

    commits: int = BRANCH_COMMITS
    changes: int = BRANCH_CHANGES
    tree_bytes: int = BRANCH_TREE_BYTES
    depth: int = PATH_DEPTH + 4
