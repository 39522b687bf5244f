"""What Git prints, and a commit object, as values; of another form: `Corrupt`, kind `cache-corrupt`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from placet.adapters import git_process as process
from placet.errors import Corrupt
from placet.ports import Change, TreeEntry

_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_RECORD = re.compile(r":[0-7]{6} ([0-7]{6}) [0-9a-f]{40,64} ([0-9a-f]{40,64}) ([A-Z][0-9]*)")
_ENTRY = re.compile(r"([0-7]{6}) [a-z]+ ([0-9a-f]{40,64}) +([0-9]{1,18}|-)")


def head(commit: bytes) -> tuple[tuple[str, ...], str]:
    """Parents and message of a commit object; as for Git, parents stand right behind the tree."""
    header, _, message = commit.partition(b"\n\n")
    fields = (line.partition(b" ") for line in header.split(b"\n")[1:])
    parents = itertools.takewhile(lambda one: one[0] == b"parent", fields)
    found = tuple(value.decode("latin-1") for _, _, value in parents)
    if not all(map(_ID.fullmatch, found)):
        raise _odd("a commit")
    return found, message.decode("utf-8", "replace")


def tree_of(commit: bytes) -> str:
    """The tree of a commit object."""
    found = re.match(rb"tree ([0-9a-f]{40}(?:[0-9a-f]{24})?)\n", commit)
    if found is None:
        raise _odd("a commit")
    return found[1].decode()


def changes(data: bytes) -> dict[str, list[Change]]:
    """Parse `diff-tree --stdin -z`: a commit id, then pairs of a record that begins with ':' and a path."""
    out: dict[str, list[Change]] = {}
    current: list[Change] = []
    fields = iter(data.split(b"\0")[:-1])
    for field in fields:
        if not field.startswith(b":"):
            current = out.setdefault(field.decode("latin-1").strip(), [])
            continue
        record, path = _RECORD.fullmatch(field.decode("latin-1")), next(fields, None)
        if record is None or path is None:
            raise _odd("what a commit changes")
        deleted = record[3] == "D"
        name = path.decode("utf-8", "surrogateescape")
        current.append(Change(name, "" if deleted else record[1], "" if deleted else record[2]))
    return out


def entries(data: bytes, prefix: str) -> Iterator[tuple[str, TreeEntry]]:
    """Parse `ls-tree -r -z -l`: path and entry of all files under `prefix`."""
    for record in data.split(b"\0")[:-1]:
        facts, _, name = record.partition(b"\t")
        found = _ENTRY.fullmatch(facts.decode("latin-1"))
        if found is None:
            raise _odd("the files of a commit")
        path = name.decode("utf-8", "surrogateescape")
        if path.startswith(prefix):
            yield path, TreeEntry(found[1], found[2], int(found[3]) if found[3] != "-" else 0)


def _odd(what: str) -> Corrupt:
    return process.broken(None, f"Git's answer about {what} cannot be read.")


def words(said: str) -> str:
    """What the server itself said, of all that a push printed."""
    lines = (line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:"))
    return " ".join(line for line in lines if line)
