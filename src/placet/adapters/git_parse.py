"""What Git prints, and a commit object, as values."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from placet.errors import Corrupt
from placet.ports import Change, TreeEntry


def head(commit: bytes) -> tuple[tuple[str, ...], str]:
    """Parents and message of a commit object; as for Git, parents stand right behind the tree."""
    header, _, message = commit.partition(b"\n\n")
    fields = (line.partition(b" ") for line in header.split(b"\n")[1:])
    above = itertools.takewhile(lambda one: one[0] == b"parent", fields)
    parents = (value.decode("ascii", "replace") for _, _, value in above)
    return tuple(parents), message.decode("utf-8", "replace")


def tree_of(commit: bytes) -> str:
    """The tree of a commit object.

    Raises:
        Corrupt: kind `git-tree`.
    """
    found = re.match(rb"tree ([0-9a-f]{40}(?:[0-9a-f]{24})?)\n", commit)
    if found is None:
        raise Corrupt("A commit of the branch is damaged.", kind="git-tree")
    return found[1].decode()


def changes(data: bytes) -> dict[str, list[Change]]:
    """Parse `diff-tree --stdin -z`: a commit id, then pairs of a record that begins with ':' and a path."""
    out: dict[str, list[Change]] = {}
    current: list[Change] = []
    fields = iter(data.split(b"\0")[:-1])
    for field in fields:
        if not field.startswith(b":"):
            current = out.setdefault(field.decode().strip(), [])
            continue
        _, mode, _, blob, status = field.decode().split(" ")
        path = next(fields).decode("utf-8", "surrogateescape")
        deleted = status == "D"
        current.append(Change(path, "" if deleted else mode, "" if deleted else blob))
    return out


def entries(data: bytes, prefix: str) -> Iterator[tuple[str, TreeEntry]]:
    """Parse `ls-tree -r -z -l`: path and entry of all files under `prefix`.

    Raises:
        ValueError: a size is not known.
    """
    for record in data.split(b"\0")[:-1]:
        head, _, name = record.partition(b"\t")
        mode, _, blob, size = head.decode().split()
        path = name.decode("utf-8", "surrogateescape")
        if path.startswith(prefix):
            yield path, TreeEntry(mode, blob, int(size) if size != "-" else 0)


def words(said: str) -> str:
    """What the server itself said, of all that a push printed."""
    lines = (line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:"))
    return " ".join(line for line in lines if line)
