"""A Ctrl repository in memory, without Git: for the proof in one file, and for tests that need no disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from placet.adapters.git_walk import Walk, too_large
from placet.core.gitobject import SHA1, Leaf, Tree, encode_commit, head, leaf, object_id
from placet.core.guards import guard
from placet.core.limits import Bounds
from placet.errors import Conflict, Corrupt, Invalid, NotFound
from placet.ports import Change, Commit, RefUpdate, TreeEntry

_DEPTH = 200


Hook = Callable[["MemoryRepo", Sequence[RefUpdate]], None]


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes
    commit: Commit
    tree: Tree


@dataclass(slots=True)
class MemoryServer:
    """Objects and refs that several `MemoryRepo` share, as parties share a server; `hook` judges a push."""

    digits: int = SHA1
    blobs: dict[str, bytes] = field(default_factory=dict)
    commits: dict[str, _Kept] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    hook: Hook | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)


class MemoryRepo:
    """One party's copy: its own refs as of the last `fetch`, the server's objects. Safe for threads."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self._refs = dict(server.refs)

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Full ref name -> commit id."""
        return {ref: ident for ref, ident in sorted(self._refs.items()) if ref.startswith(prefix)}

    def line(self, tip: str, after: str | None = None) -> Sequence[Commit]:
        """The first-parent line up to `tip`, oldest first, beginning after `after`."""
        found: list[Commit] = []
        at: str | None = tip
        while at is not None and at != after:
            commit = self._kept(at).commit
            found.append(commit)
            at = commit.parents[0] if commit.parents else None
        if at != after:
            raise Conflict(
                f"Commit {(after or '')[:12]} is not on the first-parent line of {tip[:12]}.",
                kind="not-on-line",
            )
        return found[::-1]

    def branch(self, tip: str, known: Container[str], bounds: Bounds) -> Sequence[Commit]:
        """A branch's own commits, oldest first; what is in memory is walked on the same budget."""
        found: list[_Kept] = []
        kept = self._kept(tip)
        while kept.commit.id not in known:
            if len(found) == bounds.commits:
                raise too_large(f"has more than {bounds.commits} commits of its own")
            if not kept.commit.parents:
                raise Conflict(
                    f"The branch that ends at {tip[:12]} does not begin on main.", kind="not-on-line"
                )
            found.append(kept)
            kept = self._kept(kept.commit.parents[0])
        trees = _Trees([kept.tree, *(one.tree for one in found)])
        walk, before = Walk(trees.read, bounds), kept.tree.id
        for one in reversed(found):
            walk.changes(before, one.tree.id)
            before = one.tree.id
        return [one.commit for one in reversed(found)]

    def tree(self, commit: str, prefix: str = "") -> dict[str, TreeEntry]:
        """Path -> entry of all files under `prefix`; what is not here has the size 0."""
        blobs = self._server.blobs
        return {
            path: TreeEntry(one.mode, one.blob, len(blobs.get(one.blob, b"")))
            for path, one in self._kept(commit).tree.files()
            if path.startswith(prefix)
        }

    def find(self, commit: str, path: str) -> str | None:
        """The blob at a path of a commit."""
        found = self._kept(commit).tree.find(path)
        return found.blob if found is not None and found.blob in self._server.blobs else None

    def read(self, blob: str, limit: int) -> bytes:
        """A blob's bytes, at most `limit` of them."""
        data = self._server.blobs.get(blob)
        if data is None:
            raise NotFound(f"There is no blob {blob[:12]}.", kind="no-blob")
        if len(data) > limit:
            raise Invalid(
                f"blob {blob[:12]} has {len(data)} bytes; at most {limit} are read.", kind="too-large"
            )
        return data

    def raw(self, commit: str) -> bytes:
        """The bytes of a commit object."""
        return self._kept(commit).data

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
        """Write a commit; moves no ref."""
        before = self._kept(base).tree if base else Tree({}, self._server.digits)
        tree = before.changed({path: self._leaf(one) for path, one in changes.items()})
        above = self._kept(parents[0]).tree if parents else Tree({}, self._server.digits)
        data = encode_commit(tree.id, parents, message, author, when)
        return self._keep(data, parents, message, _difference(above, tree), tree)

    def take(self, data: bytes, changes: Sequence[Change]) -> str:
        """Keep a foreign commit object whose first parent is here, with its changes against that.

        Raises:
            Corrupt: kind `git-object`: these are not exactly the changes that make the commit's tree.
        """
        tree_id, parents, message = head(data)
        above = self._kept(parents[0]).tree if parents else Tree({}, self._server.digits)
        paths = [one.path for one in changes]
        if paths != sorted(set(paths)) or any(path.count("/") > _DEPTH for path in paths):
            raise _corrupt(data, "its changes are not in order, or too deep")
        wanted = {one.path: leaf(one.mode, one.blob) if one.blob else None for one in changes}
        tree = above.changed(wanted, strict=True)
        require_tree(tree, tree_id, data)
        return self._keep(data, parents, message, tuple(changes), tree)

    def blob(self, data: bytes) -> str:
        """Keep a blob; its id."""
        ident = object_id("blob", data, self._server.digits)
        self._server.blobs[ident] = data
        return ident

    def fetch(self, refs: Sequence[str] = ()) -> None:
        """See the server's refs, or only some."""
        with self._server.lock:
            here, there = self._refs, self._server.refs
            kept = {ref: ident for ref, ident in here.items() if refs and not _named(ref, refs)}
            self._refs = kept | {ref: ident for ref, ident in there.items() if not refs or _named(ref, refs)}

    def renew(self) -> bool:
        """Nothing here can be damaged."""
        return False

    def push(self, updates: Sequence[RefUpdate]) -> None:
        """Move refs on the server, all or none, each only from where it is said to be."""
        server = self._server
        with server.lock:
            for one in updates:
                if one.new is not None:
                    self._kept(one.new)
                if server.refs.get(one.ref) not in {one.old, one.new}:
                    raise Conflict(
                        "Somebody else changed the Ctrl repository at the same time.",
                        kind="ref-moved",
                        mend="Run the same command again.",
                    )
            if server.hook is not None:
                server.hook(MemoryRepo(server), updates)
            self.force(updates)

    def force(self, updates: Sequence[RefUpdate]) -> None:
        """Move refs past the hook, from wherever they are: what can be done with the server's files."""
        with self._server.lock:
            for refs in (self._server.refs, self._refs):
                for one in updates:
                    if one.new is None:
                        refs.pop(one.ref, None)
                    else:
                        refs[one.ref] = one.new

    def _kept(self, commit: str) -> _Kept:
        found = self._server.commits.get(commit)
        if found is None:
            raise NotFound(f"There is no commit {commit[:12]}.", kind="no-commit")
        return found

    def _keep(
        self, data: bytes, parents: Sequence[str], message: str, changes: tuple[Change, ...], tree: Tree
    ) -> str:
        ident = object_id("commit", data, self._server.digits)
        self._server.commits[ident] = _Kept(data, Commit(ident, tuple(parents), message, changes), tree)
        return ident

    def _leaf(self, one: bytes | TreeEntry | None) -> Leaf | None:
        if isinstance(one, bytes):
            return Leaf("100644", self.blob(one))
        return leaf(one.mode, one.blob) if one is not None else None


def _named(ref: str, patterns: Sequence[str]) -> bool:
    return any(ref.startswith(one[:-1]) if one.endswith("*") else ref == one for one in patterns)


@guard(13)
def require_tree(tree: Tree, wanted: str, commit: bytes) -> None:
    """Refuse changes that do not make the tree that a commit object names.

    Raises:
        Corrupt: kind `git-object`.
    """
    if tree.id != wanted:
        raise _corrupt(commit, "its changes do not make its tree")


def _difference(before: Tree, after: Tree) -> tuple[Change, ...]:
    changes = before.difference(after)
    made = (Change(path, one.mode, one.blob) if one else Change(path, "", "") for path, one in changes)
    return tuple(sorted(made, key=lambda one: one.path))


class _Trees:
    """Tree objects by id: those given, and the folders of what was read."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self._trees = {one.id: one for one in trees}

    def read(self, ident: str, limit: int) -> bytes:
        """The bytes of one, at most `limit` of them."""
        tree = self._trees[ident]
        data = tree.encode()
        if len(data) > limit:
            raise Invalid(f"tree {ident[:12]} has {len(data)} bytes.", kind="too-large")
        self._trees.update((one.id, one) for one in tree.folders())
        return data


def _corrupt(data: bytes, why: str) -> Corrupt:
    return Corrupt(f"Commit {object_id('commit', data)[:12]} cannot be used: {why}.", kind="git-object")
