"""What of an output a cache or a remote has to hold, as keys and digests: all, or the part that is meant."""

from __future__ import annotations

from dataclasses import dataclass

from placet.core import layout
from placet.core.digest import Digests, digest
from placet.core.dvcfile import DirEntry
from placet.core.outputs import Tracking
from placet.engine import legacy
from placet.engine.artifact import (
    digests_of,
    known_sums,
    load_output,
    not_in_cache,
    read_dir,
    require_parts,
    wanted_files,
)
from placet.engine.workspace import Workspace
from placet.ports import State


@dataclass(frozen=True, slots=True)
class Part:
    """The objects of one output that are meant.

    Attributes:
        path: The output.
        files: Key -> digests of files.
        lists: The same of what may become visible only after all files: digest list, then `.dir`.
        others: Keys of files that are not meant; the lists need them too.
    """

    path: str
    files: dict[str, Digests]
    lists: tuple[tuple[str, Digests], ...] = ()
    others: frozenset[str] = frozenset()


def load_part(workspace: Workspace, one: Tracking, state: State, jobs: int) -> Part:
    """The objects of an output in the cache.

    Raises:
        NotFound: kind `not-in-cache`; kind `not-tracked`: the directory has no such part.
        Invalid: kind `dir-object`.
        Corrupt: kind `cache-corrupt`.
    """
    cache, out = workspace.objects, one.out
    if not one.inside and not out.legacy:
        loaded = load_output(workspace, one.path, out, state, jobs)
        files = {layout.data_key(known.md5): known for _, known in loaded.files}
        return Part(one.path, files, loaded.lists)
    every = wanted_files(cache, one.path, out)
    require_parts(one, every)
    meant = {md5: f"{one.path}/{name}".rstrip("/") for name, md5 in every.items() if one.means(name)}
    known = legacy.digests_of(cache, meant, jobs) if out.legacy else digests_of(cache, meant, state, jobs)
    return Part(
        one.path,
        {out.key_of(md5): found for md5, found in known.items()},
        _lists(workspace, one, every) if out.is_dir else (),
        frozenset(out.key_of(md5) for md5 in every.values() if md5 not in meant),
    )


def _lists(workspace: Workspace, one: Tracking, every: dict[str, str]) -> tuple[tuple[str, Digests], ...]:
    listing = read_dir(workspace.objects, one.out)
    if listing is None:
        raise not_in_cache(one.path, one.out.key)
    own = (one.out.key, digest(listing))
    if one.out.legacy:
        return (own,)
    entries = [DirEntry(name, md5) for name, md5 in every.items()]
    sums = known_sums(workspace.objects, one.out.md5, entries)
    return (own,) if sums is None else ((layout.sums_key(sums.digests.sha256), sums.digests), own)
