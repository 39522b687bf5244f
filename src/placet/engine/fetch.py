"""Fetch: download into the cache what it lacks, each object verified before it has its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from placet.core import layout
from placet.core.digest import Digests
from placet.core.dvcfile import DirEntry, Output, decode_dir
from placet.core.sums import encode_sums
from placet.engine.artifact import MAX_FILES, MAX_LIST, known_sums, read_dir, remember_sums
from placet.engine.disk import Cache, disk, stamp
from placet.engine.push import Moved
from placet.engine.transfer import download, read_object, run
from placet.engine.workspace import Workspace, plain
from placet.errors import Conflict
from placet.ports import ObjectStore, Progress, State

_UNKNOWN = 1 << 50
_ENTRY_BYTES = 6 * layout.MAX_PATH_BYTES + 64


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch did: objects downloaded, their bytes, objects that were there; also per output.

    Attributes:
        skipped: Outputs that only stock DVC fetches.
    """

    objects: int
    size: int
    present: int
    targets: tuple[Moved, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    path: str
    out: Output
    files: Mapping[str, str | None]
    entries: Sequence[DirEntry] = ()
    listing: bytes | None = None


def fetch(
    workspace: Workspace,
    store: ObjectStore,
    targets: Iterable[str | Path],
    state: State,
    jobs: int,
    progress: Progress,
) -> Fetched:
    """Make the cache hold the outputs; idempotent, and each object is there wholly or not at all.

    MD5 and size are always verified, SHA-256 too where the cache has the artifact's digest list. Files come
    before their `.dir` object; the digest list of a directory that was fetched whole is kept.

    Raises:
        NotFound: kinds `not-tracked`, `no-object`.
        Corrupt: kind `digest-mismatch`; kind `cache-corrupt`.
        Invalid: kind `dir-object`: a listing that no careful writer makes.
    """
    cache, chosen = workspace.objects, workspace.select(targets)
    wanted = [_listed(cache, store, path, out) for path, out in plain(chosen)]
    limits: dict[str, int] = {}
    sha256s: dict[str, str | None] = {}
    for one in wanted:
        for md5, sha256 in one.files.items():
            limits[md5] = max(limits.get(md5, 0), one.out.size if one.out.size is not None else _UNKNOWN)
            if sha256s.get(md5) is None:
                sha256s[md5] = sha256
    todo = [md5 for md5 in limits if not cache.has(layout.data_key(md5))]
    progress.start("fetch", len(todo))

    def bring(md5: str) -> Digests:
        key = layout.data_key(md5)
        found = download(store, key, cache, md5=md5, limit=limits[md5], sha256=sha256s[md5])
        progress.advance(1, found.size)
        return found

    fresh = dict(zip(todo, run(bring, todo, jobs), strict=True))
    _remember(cache, state, fresh)
    lists = sum(_finish(cache, one, fresh) for one in wanted)
    progress.done()
    moved = tuple(_moved(one, fresh) for one in wanted)
    names = {one.path for one in wanted}
    return Fetched(
        objects=len(fresh) + lists,
        size=sum(one.size for one in fresh.values()),
        present=len(limits) - len(fresh) + sum(one.out.is_dir for one in wanted) - lists,
        targets=moved,
        skipped=tuple(one.path for one in chosen if one.path not in names),
    )


def listing_limit(out: Output) -> int:
    """How many bytes a directory's `.dir` object has at most, by its metafile's number of files."""
    return min((out.nfiles if out.nfiles is not None else MAX_FILES) * _ENTRY_BYTES + 2, MAX_LIST)


def _listed(cache: Cache, store: ObjectStore, path: str, out: Output) -> _Wanted:
    if not out.is_dir:
        return _Wanted(path, out, {out.md5: None})
    data, new = read_dir(cache, out), None
    if data is None:
        data = new = read_object(store, out.key, md5=out.md5, limit=listing_limit(out))
    entries = decode_dir(data, max_entries=MAX_FILES, max_bytes=MAX_LIST)
    known = known_sums(cache, out.md5, entries)
    sums = known.by_path if known else {}
    return _Wanted(path, out, {one.md5: sums.get(one.relpath) for one in entries}, entries, new)


def _finish(cache: Cache, one: _Wanted, fresh: Mapping[str, Digests]) -> bool:
    """Write the lists of a directory whose files are all there; True if its `.dir` object was new."""
    if not one.out.is_dir:
        return False
    if all(entry.md5 in fresh for entry in one.entries):
        total = sum(fresh[entry.md5].size for entry in one.entries)
        if one.out.size not in {None, total}:
            raise Conflict(
                f"{one.path} has {total} bytes in the remote, but its metafile says {one.out.size}.",
                kind="size-mismatch",
                mend=f"Track it again, or ask who wrote {one.path}.dvc.",
            )
        remember_sums(
            cache,
            one.out.md5,
            encode_sums((entry.relpath, fresh[entry.md5].sha256) for entry in one.entries),
        )
    if one.listing is not None:
        cache.write(one.out.key, one.listing)
    return one.listing is not None


def _remember(cache: Cache, state: State, fresh: Mapping[str, Digests]) -> None:
    rows = []
    for md5, found in fresh.items():
        path = cache.path(layout.data_key(md5))
        with disk(path):
            rows.append((stamp(path), found))
    state.put_many(rows)


def _moved(one: _Wanted, fresh: Mapping[str, Digests]) -> Moved:
    new = [md5 for md5 in one.files if md5 in fresh]
    count = len(new) + (one.listing is not None)
    total = len(one.files) + one.out.is_dir
    return Moved(one.path, count, sum(fresh[md5].size for md5 in new), total - count)
