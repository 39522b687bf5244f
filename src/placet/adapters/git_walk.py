"""What the commits of a hostile branch change, found object by object within bounds.

`git diff-tree` and `git ls-tree -r` expand a tree before anybody can say stop, and some kilobytes of trees
that name each other expand without end. Here folders that are the same on both sides are never opened, and
each object is asked for its size first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from placet.core.limits import Bounds
from placet.errors import Corrupt, Invalid
from placet.ports import Change

_TREE = "040000"
_RAW_ID = {40: 20, 64: 32}

Read = Callable[[str, int], bytes]
_Entries = dict[str, tuple[str, str]]


class Walk:
    """The changes of commits, one after the other, on one budget.

    Args:
        read: The bytes of a tree object by id, at most so many.
        bounds: What is read at most.
    """

    def __init__(self, read: Read, bounds: Bounds) -> None:
        self._read = read
        self._bounds = bounds
        self._bytes = bounds.tree_bytes
        self._changes = bounds.changes

    def changes(self, before: str | None, after: str) -> tuple[Change, ...]:
        """What differs between two trees (None: an empty one), sorted by path.

        Raises:
            Invalid: kind `too-large`: more than the bounds.
            Corrupt: kind `git-tree`: a tree that names an entry twice, or is none.
        """
        return tuple(sorted(self._between("", before, after), key=lambda one: one.path))

    def _between(self, folder: str, before: str | None, after: str | None) -> Iterator[Change]:
        if folder.count("/") > self._bounds.depth:
            raise too_large(f"nests folders deeper than {self._bounds.depth}")
        old, new = self._entries(before), self._entries(after)
        for name in old.keys() | new.keys():
            if old.get(name) != new.get(name):
                yield from self._entry(f"{folder}{name}", old.get(name), new.get(name))

    def _entry(self, path: str, old: tuple[str, str] | None, new: tuple[str, str] | None) -> Iterator[Change]:
        was, now = (one[1] if one and one[0] == _TREE else None for one in (old, new))
        if was is not None or now is not None:
            yield from self._between(f"{path}/", was, now)
        if new is not None and now is None:
            yield self._counted(Change(path, *new))
        elif old is not None and was is None:
            yield self._counted(Change(path, "", ""))

    def _counted(self, change: Change) -> Change:
        self._changes -= 1
        if self._changes < 0:
            raise too_large(f"changes more than {self._bounds.changes} paths")
        return change

    def _entries(self, tree: str | None) -> _Entries:
        """Name -> (mode, id) of one tree object."""
        if tree is None:
            return {}
        try:
            data = self._read(tree, self._bytes)
        except Invalid as error:
            raise too_large(f"has more than {self._bounds.tree_bytes} bytes of folders to be read") from error
        self._bytes -= len(data) + len(tree)
        return _parsed(data, _RAW_ID[len(tree)])


def too_large(why: str) -> Invalid:
    """The refusal to read a branch to its end."""
    return Invalid(f"The branch {why}; it is not read any further.", kind="too-large")


def _parsed(data: bytes, width: int) -> _Entries:
    """A tree object: mode, space, name, NUL, raw id, again and again (git-scm.com, Git Objects)."""
    out: _Entries = {}
    at = 0
    while at < len(data):
        end = data.find(b"\0", at)
        mode, space, name = data[at:end].partition(b" ")
        ident = data[end + 1 : end + 1 + width]
        path = name.decode("utf-8", "surrogateescape")
        if end < 0 or not space or not name or b"/" in name or len(ident) != width or path in out:
            raise Corrupt("A folder of the branch is damaged, or names an entry twice.", kind="git-tree")
        out[path] = (mode.decode("latin-1").zfill(6), ident.hex())
        at = end + 1 + width
    return out
