"""Status: what differs between the workspace and its `.dvc` files, or between the cache and a remote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from placet.core import layout
from placet.core.dvcfile import Output
from placet.engine.artifact import load_output
from placet.engine.checkout import digest_files, present_files, wanted_files
from placet.engine.disk import Cache
from placet.engine.push import objects_of
from placet.engine.transfer import sizes
from placet.engine.workspace import Workspace, plain
from placet.errors import NotFound
from placet.ports import ObjectStore, State

ChangeState = Literal["modified", "deleted", "not-in-cache", "new", "missing", "stock-dvc-only"]
_MAX_NAMES = 50


@dataclass(frozen=True, slots=True)
class Change:
    """One output that is not as its metafile says.

    Attributes:
        path: The output.
        state: Workspace: `modified`, `deleted`, `not-in-cache` (right, but its objects are not all there).
            Remote: `new` (to be pushed), `deleted` (to be fetched), `missing` (in neither).
            `stock-dvc-only`: not looked at.
        objects: How many files or objects are meant.
        names: The first 50 of them.
    """

    path: str
    state: ChangeState
    objects: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """All outputs that were looked at; those that are up to date only as a number."""

    unchanged: int
    changes: tuple[Change, ...]

    @property
    def clean(self) -> bool:
        """Is nothing to be done?"""
        return not self.changes


def status(
    workspace: Workspace, store: ObjectStore | None, targets: Iterable[str | Path], state: State, jobs: int
) -> Status:
    """Compare workspace and cache or, with a store, cache and remote. Changes nothing.

    Raises:
        NotFound: kind `not-tracked`.
        Invalid: kind `dir-object`.
    """
    chosen = workspace.select(targets)
    outs = plain(chosen)
    found = [
        _local(workspace, path, out, state, jobs)
        if store is None
        else _remote(workspace, store, path, out, state, jobs)
        for path, out in outs
    ]
    odd = [Change(one.path, "stock-dvc-only") for one in chosen if one.out is None]
    changes = [one for one in found if one is not None]
    return Status(len(outs) - len(changes), (*changes, *odd))


def _local(workspace: Workspace, path: str, out: Output, state: State, jobs: int) -> Change | None:
    here = present_files(workspace, path)
    if not here:
        return Change(path, "deleted")
    try:
        wanted = wanted_files(workspace.objects, path, out)
    except NotFound:
        return Change(path, "not-in-cache", 1, (out.key,))
    known = digest_files(here, state, jobs)
    differ = sorted(
        name
        for name in wanted.keys() | known.keys()
        if name not in known or wanted.get(name) != known[name].md5
    )
    if differ:
        return Change(path, "modified", len(differ), tuple(differ[:_MAX_NAMES]))
    absent = _absent(workspace.objects, wanted)
    return Change(path, "not-in-cache", len(absent), absent[:_MAX_NAMES]) if absent else None


def _remote(
    workspace: Workspace, store: ObjectStore, path: str, out: Output, state: State, jobs: int
) -> Change | None:
    cache = workspace.objects
    try:
        keys = list(objects_of(load_output(workspace, path, out, state, jobs)))
    except NotFound:
        keys = [out.key]
        if out.is_dir and cache.has(out.key):
            keys += [layout.data_key(md5) for md5 in wanted_files(cache, path, out).values()]
    there = sizes(store, keys, jobs)
    new = [key for key in keys if key not in there and cache.has(key)]
    missing = [key for key in keys if key not in there and not cache.has(key)]
    deleted = [key for key in keys if key in there and not cache.has(key)]
    return _first(path, (("missing", missing), ("new", new), ("deleted", deleted)))


def _first(path: str, kinds: Sequence[tuple[ChangeState, list[str]]]) -> Change | None:
    for kind, keys in kinds:
        if keys:
            return Change(path, kind, len(keys), tuple(keys[:_MAX_NAMES]))
    return None


def _absent(cache: Cache, wanted: Mapping[str, str]) -> tuple[str, ...]:
    keys = (layout.data_key(md5) for md5 in wanted.values())
    return tuple(sorted(key for key in keys if not cache.has(key)))
