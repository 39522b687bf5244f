"""What of an output a cache or a remote has to hold, as keys and digests: all, or the part that is meant."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from placet.core import layout
from placet.core.digest import Digests, digest
from placet.core.dirobject import DirEntry
from placet.core.outputs import Tracking
from placet.engine.artifact import known_sums, listed_in, load_output, read_dir, require_parts
from placet.engine.disk import Cache, corrupt_cache
from placet.engine.proof import prove_cached
from placet.engine.transfer import read_object
from placet.engine.workspace import Workspace
from placet.errors import NotFound
from placet.ports import ObjectStore, State


@dataclass(frozen=True, slots=True)
class Part:
    """The objects of one output that are meant.

    Attributes:
        path: The output.
        files: Key -> digests of files that the cache has.
        lists: The same of what may become visible only after all files: digest list, then `.dir`.
        others: Keys of files that are not meant; the lists need them too.
        absent: Key -> name of what is meant and not in the cache; the lists need the files among it.
    """

    path: str
    files: dict[str, Digests]
    lists: tuple[tuple[str, Digests], ...] = ()
    others: frozenset[str] = frozenset()
    absent: Mapping[str, str] = field(default_factory=dict)


def load_part(
    workspace: Workspace, one: Tracking, state: State, jobs: int, store: ObjectStore, limit: int
) -> Part:
    """The objects of an output in the cache, and the keys of those that it lacks.

    Args:
        workspace: The project.
        one: The output.
        state: What was hashed before.
        jobs: Files hashed at once.
        store: Where the listing of a directory is read that was never fetched.
        limit: Bytes of a listing at most.

    Raises:
        NotFound: kind `not-tracked`: the directory has no such part.
        Invalid: kind `dir-object`.
        Corrupt: kind `cache-corrupt`.
    """
    cache, out = workspace.objects, one.out
    if not one.inside and not out.legacy:
        with contextlib.suppress(NotFound):
            loaded = load_output(workspace, one.path, out, state, jobs)
            files = {layout.data_key(known.md5): known for _, known in loaded.files}
            return Part(one.path, files, loaded.lists)
    listing = read_dir(cache, out) if out.is_dir else None
    data, absent = listing, {}
    if out.is_dir and data is None:
        absent[out.key] = one.path
        try:
            data = read_object(store, out.key, md5=out.md5, limit=limit)
        except NotFound:
            return Part(one.path, {}, absent=absent)
    every = {"": out.md5} if data is None else {entry.relpath: entry.md5 for entry in listed_in(data)}
    require_parts(one, every)
    meant = {md5: f"{one.path}/{name}".rstrip("/") for name, md5 in every.items() if one.means(name)}
    known = _known(cache, meant, state, jobs, legacy=out.legacy)
    absent |= {out.key_of(md5): name for md5, name in meant.items() if md5 not in known}
    return Part(
        one.path,
        {out.key_of(md5): found for md5, found in known.items()},
        _lists(cache, one, every, listing) if listing is not None else (),
        frozenset(out.key_of(md5) for md5 in every.values() if md5 not in meant),
        absent,
    )


def _known(
    cache: Cache, meant: Mapping[str, str], state: State, jobs: int, *, legacy: bool
) -> Mapping[str, Digests]:
    key_of = layout.legacy_key if legacy else layout.data_key
    found = prove_cached(cache, meant, state, jobs, legacy=legacy)
    for md5 in found.corrupt:
        raise corrupt_cache(cache.path(key_of(md5)), md5)
    return found.good


def _lists(
    cache: Cache, one: Tracking, every: Mapping[str, str], listing: bytes
) -> tuple[tuple[str, Digests], ...]:
    own = (one.out.key, digest(listing))
    if one.out.legacy:
        return (own,)
    entries = [DirEntry(name, md5) for name, md5 in every.items()]
    sums = known_sums(cache, one.out.md5, entries)
    return (own,) if sums is None else ((layout.sums_key(sums.digests.sha256), sums.digests), own)
