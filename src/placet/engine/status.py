"""Status: what differs between the workspace and its metafiles, or between the cache and a remote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from placet.core.digest import md5_hex
from placet.core.dirobject import encode_dir
from placet.core.outputs import Skipped, Tracking, unhashed
from placet.engine.artifact import require_parts, wanted_files
from placet.engine.checkout import present_files
from placet.engine.disk import Cache
from placet.engine.hashes import hashes_of
from placet.engine.routes import Routes, sift
from placet.engine.transfer import sizes
from placet.engine.workspace import Workspace
from placet.errors import NotFound
from placet.ports import ObjectStore, State

ChangeState = Literal["modified", "deleted", "not-in-cache", "new", "missing", "retracted"]
_MAX_NAMES = 50


@dataclass(frozen=True, slots=True)
class Change:
    """One output that is not as its metafile says.

    Attributes:
        path: The output.
        state: Workspace: `modified`, `deleted`, `not-in-cache` (right, but its objects are not all there).
            Remote: `new` (to be pushed), `deleted` (to be fetched), `missing` (in neither).
            In a clone of a Ctrl repository: `retracted` (not to be used any more).
        objects: How many files or objects are meant.
        names: The first 50 of them.
        reason: Why, where that is not plain from the state.
    """

    path: str
    state: ChangeState
    objects: int = 0
    names: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """All outputs that were looked at; those that are up to date only as a number.

    Attributes:
        unchanged: How many are as they should be.
        changes: The others.
        skipped: Outputs that were not looked at, and why.
    """

    unchanged: int
    changes: tuple[Change, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def clean(self) -> bool:
        """Is nothing to be done?"""
        return not self.changes


def retracted_changes(why: Mapping[str, str]) -> tuple[Change, ...]:
    """What was retracted, and is here: path -> why."""
    return tuple(Change(path, "retracted", reason=text) for path, text in sorted(why.items()))


def status(
    workspace: Workspace,
    store: ObjectStore | Routes | None,
    targets: Iterable[str | Path],
    state: State,
    jobs: int,
) -> Status:
    """Compare workspace and cache or, with a store, cache and remote. Changes nothing.

    Raises:
        NotFound: kind `not-tracked`; kind `not-in-cache`: a part of a directory whose listing is not here.
        Invalid: kind `dir-object`.
    """
    chosen = workspace.select(targets)
    if store is None:
        skipped = [Skipped(one.path, reason) for one in chosen if (reason := _not_looked_at(one))]
        looked = [one for one in chosen if not _not_looked_at(one)]
        found = [_local(workspace, one, state, jobs) for one in looked]
    else:
        routes = Routes.of(store)
        looked, skipped = sift(chosen, "compare", routes.named)
        found = [_remote(workspace, routes.store(one), one, jobs) for one in looked]
    changes = tuple(one for one in found if one is not None)
    return Status(len(looked) - len(changes), changes, tuple(skipped))


def _not_looked_at(one: Tracking) -> str | None:
    if one.outside:
        return "its path leads out of the workspace"
    if one.out.cloud and not one.out.hashed:
        return f"a version-aware remote keeps it by versions of its own; use `dvc status {one.named}`"
    if one.out.md5 and not one.out.hashed:
        return f"its hash is {one.out.hash!r}, which only DVC knows"
    return None


def _local(workspace: Workspace, one: Tracking, state: State, jobs: int) -> Change | None:
    """As DVC's `Output.status`, but of the files that are meant only."""
    path, out = one.path, one.out
    here = present_files(workspace, path)
    if one.inside:
        _require_part(workspace, one, here)
        here = {name: found for name, found in here.items() if one.means(name)}
    if not here and not (out.is_dir and not one.inside and workspace.data(path).is_dir()):
        return Change(path, "deleted")
    if not out.hashed:
        return Change(path, "modified", len(here), reason=unhashed(one))
    if not out.cache:
        return _uncached(one, hashes_of(workspace, out, here, state, jobs, None))
    try:
        wanted = wanted_files(workspace.objects, path, out)
    except NotFound:
        return Change(path, "not-in-cache", 1, (out.key,))
    wanted = {name: md5 for name, md5 in wanted.items() if one.means(name)}
    known = hashes_of(workspace, out, here, state, jobs, wanted)
    differ = sorted(name for name in wanted.keys() | known.keys() if wanted.get(name) != known.get(name))
    if differ:
        return Change(path, "modified", len(differ), tuple(differ[:_MAX_NAMES]))
    absent = _lacking(workspace.objects, {out.key_of(md5) for md5 in wanted.values()})
    return Change(path, "not-in-cache", len(absent), absent[:_MAX_NAMES]) if absent else None


def _require_part(workspace: Workspace, one: Tracking, here: Iterable[str]) -> None:
    """A part must be there, or in the listing where the cache has it."""
    try:
        listed = wanted_files(workspace.objects, one.path, one.out) if one.out.hashed else {}
    except NotFound:
        return
    require_parts(one, [*listed, *here])


def _uncached(one: Tracking, known: Mapping[str, str]) -> Change | None:
    """An output that Git keeps: there is no listing to compare with, only its hash."""
    now = md5_hex(encode_dir(known.items())) if one.out.is_dir else known.get("", "")
    return None if now == one.out.md5 else Change(one.path, "modified", len(known))


def _remote(workspace: Workspace, store: ObjectStore, one: Tracking, jobs: int) -> Change | None:
    """Data objects only: a digest list that stock DVC did not push is nothing that a user misses."""
    cache, out = workspace.objects, one.out
    keys = [] if one.inside else [out.key]
    if not out.is_dir:
        require_parts(one, ())
    elif one.inside or cache.has(out.key):
        files = wanted_files(cache, one.path, out)
        require_parts(one, files)
        keys += [out.key_of(md5) for name, md5 in files.items() if one.means(name)]
    there = sizes(store, keys, jobs)
    new = [key for key in keys if key not in there and cache.has(key)]
    missing = [key for key in keys if key not in there and not cache.has(key)]
    deleted = [key for key in keys if key in there and not cache.has(key)]
    return _first(one.path, (("missing", missing), ("new", new), ("deleted", deleted)))


def _first(path: str, kinds: Sequence[tuple[ChangeState, list[str]]]) -> Change | None:
    for kind, keys in kinds:
        if keys:
            return Change(path, kind, len(keys), tuple(keys[:_MAX_NAMES]))
    return None


def _lacking(cache: Cache, keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(key for key in keys if not cache.has(key)))
