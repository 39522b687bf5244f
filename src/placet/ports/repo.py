"""What Placet needs of Git: one party's copy of the Ctrl repository, and its remote."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from placet.core.limits import Bounds


@dataclass(frozen=True, slots=True)
class Change:
    """One path of a commit that differs from its first parent; `blob` is empty where it was deleted."""

    path: str
    mode: str
    blob: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit with its changes against its first parent (against nothing for a root).

    Attributes:
        id: 40 hex.
        parents: Parents' ids, in order.
        message: The whole message.
        changes: Sorted by path.
    """

    id: str
    parents: tuple[str, ...]
    message: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a tree: Git's mode (`100644`, ...), blob id, size in bytes (0 for a submodule)."""

    mode: str
    blob: str
    size: int


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """Move `ref` (full name) from `old` to `new`; None means: does not exist, must not exist."""

    ref: str
    old: str | None
    new: str | None


class Repo(Protocol):
    """One party's own bare copy of the Ctrl repository, and its remote. Plumbing only: no work tree.

    Object ids are full hex. Replace refs and grafts are off. Safe to use from several processes.
    """

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Full ref name -> commit id, as of the last `fetch` (or as they are, inside a server's hook)."""
        ...

    def line(self, tip: str, after: str | None = None) -> Sequence[Commit]:
        """The first-parent line that ends at `tip`, oldest first, beginning after `after`.

        Raises:
            NotFound: kind `no-commit`.
            Conflict: kind `not-on-line`: `after` is not on the first-parent line of `tip`.
        """
        ...

    def branch(self, tip: str, known: Container[str], bounds: Bounds) -> Sequence[Commit]:
        """Of the first-parent line that ends at `tip` the commits behind the newest one that is `known`.

        Oldest first. Whatever the branch holds, no more than the bounds is read of it.

        Raises:
            Conflict: kind `not-on-line`: no commit of the line is known.
            Invalid: kind `too-large`: more commits, changes or folders than the bounds.
            Corrupt: kind `git-tree`: a folder that names an entry twice.
            NotFound: kinds `no-commit`, `no-tree`.
        """
        ...

    def tree(self, commit: str, prefix: str = "") -> dict[str, TreeEntry]:
        """Path -> entry for all files of a commit under `prefix` (a folder path, or empty).

        Raises:
            Invalid: kind `too-large`: so many files that they are no tree of a Ctrl repository.
        """
        ...

    def find(self, commit: str, path: str) -> str | None:
        """The blob at a path of a commit, or None where there is none; much cheaper than `tree`.

        Raises:
            NotFound: kind `no-commit`.
            Invalid: kind `unsafe-path`: nothing can be at this path.
        """
        ...

    def read(self, blob: str, limit: int) -> bytes:
        """A blob's bytes.

        Raises:
            Invalid: kind `too-large`, if it has more than `limit` bytes; nothing is read then.
            NotFound: kind `no-blob`.
        """
        ...

    def raw(self, commit: str) -> bytes:
        """The bytes of a commit object; with its type and length before them, they hash to its id.

        Raises:
            NotFound: kind `no-commit`.
        """
        ...

    def commit(
        self,
        base: str | None,
        changes: Mapping[str, bytes | TreeEntry | None],
        *,
        parents: Sequence[str],
        message: str,
        author: str,
        when: datetime,
    ) -> str:
        """Write a commit: the tree of `base` (or an empty one) with `changes` (None deletes). Moves no ref.

        Args:
            author: A display name; the e-mail is `<name>@placet.invalid`.
        """
        ...

    def fetch(self, refs: Sequence[str] = ()) -> None:
        """Bring all refs and objects of the remote here, removing refs that the remote has no more.

        Args:
            refs: Only these, by their full names; a `*` at the end stands for anything. One round trip, if
                nothing is new. A clone brings all of its remote-tracking branches, whatever is asked.

        Raises:
            Unavailable: kind `ctrl-unreachable`.
        """
        ...

    def renew(self) -> bool:
        """Fetch everything again into a new copy, if this one is damaged and can be thrown away.

        Returns:
            False, and nothing is changed, if it is whole or somebody's clone.

        Raises:
            Unavailable: kinds `ctrl-unreachable`, `disk`; the damaged copy stays.
        """
        ...

    def push(self, updates: Sequence[RefUpdate]) -> None:
        """Move refs on the remote: all or none, each only if it still is at `old`.

        Raises:
            Conflict: kind `ref-moved`: some ref is no longer at `old`.
            Refused: kind `push-refused`: the server said no; its words are in `why`.
            Unavailable: kind `ctrl-unreachable`; whether it happened is unknown: fetch and look.
        """
        ...
