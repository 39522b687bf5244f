"""A Ctrl repository in memory: the `Repo` port about a hundred times faster than Git, for generated tests.

It passes `placet.testing.repo_suite`, as Git does. All parties share one pool of objects, whose ids are
SHA-1s of their content; refs are each party's own until it fetches.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from placet.errors import Conflict, Invalid, NotFound
from placet.ports import Change, Commit, RefUpdate, TreeEntry

Tree = dict[str, TreeEntry]
Hook = Callable[["MemoryRepo", Sequence[RefUpdate]], None]


@dataclass
class MemoryServer:
    """The remote: objects, refs, and the hook that judges a push (which raises, or lets it pass)."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    commits: dict[str, tuple[Commit, Tree]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    hook: Hook | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)


class MemoryRepo:
    """One party's copy of a `MemoryServer`."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self._refs: dict[str, str] = {}

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Full ref name -> commit id."""
        return {ref: ident for ref, ident in sorted(self._refs.items()) if ref.startswith(prefix)}

    def line(self, tip: str, after: str | None = None) -> Sequence[Commit]:
        """The first-parent line up to `tip`, oldest first, beginning after `after`."""
        out: list[Commit] = []
        ident: str | None = tip
        while ident is not None and ident != after:
            commit = self._commit(ident)[0]
            out.append(commit)
            ident = commit.parents[0] if commit.parents else None
        if after is not None and ident is None:
            raise Conflict(f"{after[:12]} is not on the line of {tip[:12]}.", kind="not-on-line")
        return out[::-1]

    def tree(self, commit: str, prefix: str = "") -> dict[str, TreeEntry]:
        """Path -> entry of all files under `prefix`."""
        return {path: one for path, one in self._commit(commit)[1].items() if path.startswith(prefix)}

    def read(self, blob: str, limit: int) -> bytes:
        """A blob's bytes, at most `limit` of them."""
        data = self._server.blobs.get(blob)
        if data is None:
            raise NotFound(f"There is no blob {blob[:12]}.", kind="no-blob")
        if len(data) > limit:
            raise Invalid(f"blob {blob[:12]} has {len(data)} bytes.", kind="too-large")
        return data

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
        tree = dict(self._commit(base)[1]) if base else {}
        for path, one in changes.items():
            if one is None:
                tree.pop(path, None)
        for path, one in changes.items():
            if one is not None:
                _make_room(tree, path)
                tree[path] = (
                    one if isinstance(one, TreeEntry) else TreeEntry("100644", self._blob(one), len(one))
                )
        before = self._commit(parents[0])[1] if parents else {}
        found = [
            Change(path, tree[path].mode if path in tree else "", tree[path].blob if path in tree else "")
            for path in sorted(before.keys() | tree.keys())
            if before.get(path) != tree.get(path)
        ]
        content = repr((sorted(tree.items()), list(parents), message, author, when.isoformat()))
        ident = hashlib.sha1(content.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
        self._server.commits[ident] = (Commit(ident, tuple(parents), message, tuple(found)), tree)
        return ident

    def fetch(self) -> None:
        """Take the remote's refs."""
        with self._server.lock:
            self._refs = dict(self._server.refs)

    def push(self, updates: Sequence[RefUpdate]) -> None:
        """Move refs on the remote, all or none; asks the hook, which sees the refs as they were."""
        with self._server.lock:
            for one in updates:
                if self._server.refs.get(one.ref) != one.old and self._server.refs.get(one.ref) != one.new:
                    raise Conflict("Somebody else changed the Ctrl repository.", kind="ref-moved")
            if self._server.hook is not None:
                inside = MemoryRepo(self._server)
                inside.fetch()
                self._server.hook(inside, updates)
            self.force(updates)

    def force(self, updates: Sequence[RefUpdate]) -> None:
        """Move refs past the hook and from wherever they are: what can be done with the server's files."""
        with self._server.lock:
            for one in updates:
                for refs in (self._server.refs, self._refs):
                    if one.new is None:
                        refs.pop(one.ref, None)
                    else:
                        refs[one.ref] = one.new

    def _blob(self, data: bytes) -> str:
        ident = hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()
        self._server.blobs[ident] = data
        return ident

    def _commit(self, ident: str) -> tuple[Commit, Tree]:
        found = self._server.commits.get(ident)
        if found is None:
            raise NotFound(f"There is no commit {ident[:12]}.", kind="no-commit")
        return found


def _make_room(tree: Tree, path: str) -> None:
    """A file takes the place of a folder of its name, and a folder that of a file, as in Git's index."""
    parts = path.split("/")
    for end in range(1, len(parts)):
        tree.pop("/".join(parts[:end]), None)
    for one in [one for one in tree if one.startswith(f"{path}/")]:
        del tree[one]
