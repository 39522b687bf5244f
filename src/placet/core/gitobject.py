r"""Git's objects as values: ids, trees that share what did not change, commits.

Format: https://git-scm.com/docs/gitformat-pack and `Documentation/technical/hash-function-transition`;
the id of an object is the hash of `<type> <size>\0` and its bytes. SHA-1 ids have 40 digits, SHA-256 ids 64.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from placet.core.digest import git_hash
from placet.errors import Invalid

SHA1 = 40
_DIRECTORY = "40000"
_MODE = re.compile(r"100644|100755|120000|160000")
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file, link or submodule of a tree."""

    mode: str
    blob: str


class Tree:
    """A folder; never changed: `changed` makes another one that shares all other folders."""

    def __init__(self, entries: Mapping[str, Leaf | Tree], digits: int = SHA1) -> None:
        self._entries = entries
        self._digits = digits

    @cached_property
    def id(self) -> str:
        """The id of Git's tree object."""
        return object_id("tree", self.encode(), self._digits)

    def encode(self) -> bytes:
        """The bytes of Git's tree object."""
        return b"".join(line for _, line in sorted(self._lines()))

    def folders(self) -> Iterator[Tree]:
        """The folders right in it."""
        return (one for one in self._entries.values() if isinstance(one, Tree))

    def find(self, path: str) -> Leaf | None:
        """The file of this path."""
        found: Leaf | Tree | None = self
        for part in path.split("/"):
            found = found._entries.get(part) if isinstance(found, Tree) else None  # noqa: SLF001
        return found if isinstance(found, Leaf) else None

    def files(self, base: str = "") -> Iterator[tuple[str, Leaf]]:
        """All files with their paths."""
        for name, one in self._entries.items():
            if isinstance(one, Leaf):
                yield f"{base}{name}", one
            else:
                yield from one.files(f"{base}{name}/")

    def difference(self, after: Tree, base: str = "") -> Iterator[tuple[str, Leaf | None]]:
        """Path -> file, None = it is gone: what makes `after` of this; shared folders are not entered."""
        nothing = Tree({}, self._digits)
        for name in self._entries.keys() | after._entries.keys():
            old, new = self._entries.get(name), after._entries.get(name)
            if old is new or old == new:
                continue
            if isinstance(old, Leaf) and not isinstance(new, Leaf):
                yield f"{base}{name}", None
            elif isinstance(new, Leaf):
                yield f"{base}{name}", new
            if isinstance(old, Tree) or isinstance(new, Tree):
                before = old if isinstance(old, Tree) else nothing
                yield from before.difference(new if isinstance(new, Tree) else nothing, f"{base}{name}/")

    def changed(self, changes: Mapping[str, Leaf | None], *, strict: bool = False) -> Tree:
        """The tree with these files, None = without that file.

        Args:
            changes: By path. A file makes room for a folder of its name, and back.
            strict: Refuse what changes nothing, and files that must make room: the changes are then exactly
                the difference of the two trees.

        Raises:
            Invalid: kind `git-object`.
        """
        own: dict[str, Leaf | None] = {}
        below: dict[str, dict[str, Leaf | None]] = {}
        for path, one in changes.items():
            name, slash, rest = path.partition("/")
            if name in {"", ".", ".."} or (slash and not rest):
                raise _bad(f"{path[:80]!r} is not a path")
            if slash:
                below.setdefault(name, {})[rest] = one
            else:
                own[name] = one
        entries = dict(self._entries)
        for name in own.keys() | below.keys():
            part = below.get(name, {})
            if strict and not self._differs(name, own, part):
                raise _bad(f"{name!r} is not told as the difference that it is")
            after = self._after(name, own.get(name), part, strict=strict)
            if after is None:
                entries.pop(name, None)
            else:
                entries[name] = after
        return Tree(entries, self._digits)

    def _after(
        self, name: str, own: Leaf | None, part: Mapping[str, Leaf | None], *, strict: bool
    ) -> Leaf | Tree | None:
        if own is not None:
            if any(part.values()):
                raise _bad(f"{name!r} is a file and a folder")
            return own
        before = self._entries.get(name)
        folder = before if isinstance(before, Tree) and part else Tree({}, self._digits)
        after = folder.changed(part, strict=strict)
        return after if after._entries else None  # noqa: SLF001

    def _differs(self, name: str, own: Mapping[str, Leaf | None], part: Mapping[str, Leaf | None]) -> bool:
        """Is this how a difference of two trees tells of an entry: every file that goes or comes, once?"""
        before = self._entries.get(name)
        if isinstance(before, Tree) and name not in own:
            return True
        if isinstance(before, Tree):
            emptied = {path for path, _ in before.files()} == part.keys() and not any(part.values())
            return emptied and own[name] is not None
        if not part:
            return own[name] != before
        return name not in own if before is None else name in own and own[name] is None

    def _lines(self) -> Iterator[tuple[bytes, bytes]]:
        for name, one in self._entries.items():
            encoded = name.encode("utf-8", "surrogateescape")
            mode, ident = (one.mode, one.blob) if isinstance(one, Leaf) else (_DIRECTORY, one.id)
            order = encoded if isinstance(one, Leaf) else encoded + b"/"
            yield order, b"%b %b\0%b" % (mode.encode(), encoded, bytes.fromhex(ident))


def leaf(mode: str, blob: str) -> Leaf:
    """A file of a tree.

    Raises:
        Invalid: kind `git-object`.
    """
    if not _MODE.fullmatch(mode) or not _ID.fullmatch(blob):
        raise _bad(f"{mode[:20]!r} {blob[:80]!r} is no file")
    return Leaf(mode, blob)


def object_id(kind: str, data: bytes, digits: int = SHA1) -> str:
    """The id of an object."""
    return git_hash(b"%b %d\0" % (kind.encode(), len(data)), data, sha256=digits != SHA1)


def head(commit: bytes) -> tuple[str, tuple[str, ...], str]:
    """Tree, parents and message of a commit object; as for Git, parents stand right behind the tree.

    Raises:
        Invalid: kind `git-object`.
    """
    header, _, message = commit.partition(b"\n\n")
    lines = [line.partition(b" ") for line in header.split(b"\n")]
    parents = itertools.takewhile(lambda one: one[0] == b"parent", lines[1:])
    ids = [lines[0][2].decode("latin-1"), *(value.decode("latin-1") for _, _, value in parents)]
    if lines[0][0] != b"tree" or not all(_ID.fullmatch(one) for one in ids):
        raise _bad("it is not a commit")
    return ids[0], tuple(ids[1:]), message.decode("utf-8", "replace")


def encode_commit(tree: str, parents: Iterable[str], message: str, author: str, when: datetime) -> bytes:
    """A commit object as Placet writes them: author and committer are one, in UTC."""
    name = re.sub(r"[^A-Za-z0-9 ._-]", "", author) or "placet"
    stamp = int(when.astimezone(UTC).timestamp())
    person = f"{name} <{name.replace(' ', '-')}@placet.invalid> {stamp} +0000"
    lines = [f"tree {tree}", *(f"parent {one}" for one in parents), f"author {person}", f"committer {person}"]
    return "\n".join([*lines, "", message]).encode()


def _bad(why: str) -> Invalid:
    return Invalid(f"A Git object cannot be used: {why}.", kind="git-object")
