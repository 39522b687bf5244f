"""Fetch: download into the cache what it lacks, each object verified before it has its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from placet.core import layout
from placet.core.digest import Digests
from placet.core.dvcfile import DirEntry, Output, decode_dir
from placet.core.outputs import Skipped, Tracking, may_be_absent
from placet.core.sums import encode_sums
from placet.engine import legacy
from placet.engine.artifact import MAX_FILES, MAX_LIST, known_sums, read_dir, remember_sums, require_parts
from placet.engine.disk import Cache, disk, stamp
from placet.engine.push import Moved
from placet.engine.routes import Routes, sift
from placet.engine.transfer import download, read_object, run
from placet.engine.workspace import Workspace
from placet.errors import Conflict, NotFound
from placet.ports import ObjectStore, Progress, State

_UNKNOWN = 1 << 50
_ENTRY_BYTES = 6 * layout.MAX_PATH_BYTES + 64


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch did: objects downloaded, their bytes, objects that were there; also per output.

    Attributes:
        skipped: Outputs that were left alone, and why.
    """

    objects: int
    size: int
    present: int
    targets: tuple[Moved, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One output: where it comes from; key -> hash, and SHA-256 where known, of its files; its listing."""

    of: Tracking
    store: ObjectStore
    files: Mapping[str, tuple[str, str | None]]
    entries: Sequence[DirEntry] = ()
    listing: bytes | None = None

    @property
    def out(self) -> Output:
        return self.of.out


@dataclass(frozen=True, slots=True)
class _Item:
    """One object to be had: from where, its hash, its SHA-256 where known, and its size at most.

    DVC 2 takes text with CRLF and with LF for one object, so it may be twice as long as was said.
    """

    store: ObjectStore
    md5: str
    legacy: bool
    sha256: str | None
    limit: int

    def joined(self, other: _Item) -> _Item:
        """What two outputs together know of one object."""
        return _Item(
            self.store, self.md5, self.legacy, self.sha256 or other.sha256, max(self.limit, other.limit)
        )


def fetch(
    workspace: Workspace,
    store: ObjectStore | Routes,
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
    cache, routes = workspace.objects, Routes.of(store)
    chosen, skipped = sift(workspace.select(targets), "fetch", routes.named)
    wanted = []
    for one in chosen:
        reason = _absent(cache, routes, one)
        if reason is None:
            wanted.append(_listed(cache, routes.store(one), one))
        else:
            skipped.append(Skipped(one.path, reason))
    items = _items(wanted)
    todo = [key for key in items if not cache.has(key)]
    progress.start("fetch", len(todo))

    def bring(key: str) -> Digests:
        one = items[key]
        if one.legacy:
            found = legacy.download(one.store, cache, one.md5, one.limit)
        else:
            found = download(one.store, key, cache, md5=one.md5, limit=one.limit, sha256=one.sha256)
        progress.advance(1, found.size)
        return found

    fresh = dict(zip(todo, run(bring, todo, jobs), strict=True))
    _remember(cache, state, {key: found for key, found in fresh.items() if not items[key].legacy})
    lists = sum(_finish(cache, one, fresh) for one in wanted)
    progress.done()
    return Fetched(
        objects=len(fresh) + lists,
        size=sum(one.size for one in fresh.values()),
        present=len(items) - len(fresh) + sum(one.out.is_dir for one in wanted) - lists,
        targets=tuple(_moved(one, fresh) for one in wanted),
        skipped=tuple(skipped),
    )


def listing_limit(out: Output) -> int:
    """How many bytes a directory's `.dir` object has at most, by its metafile's number of files."""
    return min((out.nfiles if out.nfiles is not None else MAX_FILES) * _ENTRY_BYTES + 2, MAX_LIST)


def _absent(cache: Cache, routes: Routes, one: Tracking) -> str | None:
    """Why an output need not be in the remote and is not; None if it shall be fetched."""
    reason = may_be_absent(one)
    if reason is None or cache.has(one.out.key):
        return None
    try:
        there = routes.store(one).head(one.out.key) is not None
    except NotFound as error:
        if error.kind != "no-remote":
            raise
        there = False
    return None if there else reason


def _listed(cache: Cache, store: ObjectStore, one: Tracking) -> _Wanted:
    out = one.out
    if not out.is_dir:
        require_parts(one, ())
        return _Wanted(one, store, {out.key: (out.md5, None)})
    data, new = read_dir(cache, out), None
    if data is None:
        data = new = read_object(store, out.key, md5=out.md5, limit=listing_limit(out))
    entries = decode_dir(data, max_entries=MAX_FILES, max_bytes=MAX_LIST)
    require_parts(one, (entry.relpath for entry in entries))
    known = None if out.legacy else known_sums(cache, out.md5, entries)
    sums = known.by_path if known else {}
    meant = [entry for entry in entries if one.means(entry.relpath)] if one.inside else entries
    files = {out.key_of(entry.md5): (entry.md5, sums.get(entry.relpath)) for entry in meant}
    return _Wanted(one, store, files, entries, new)


def _items(wanted: Sequence[_Wanted]) -> dict[str, _Item]:
    """Key -> what is known of it by all outputs that want it."""
    out: dict[str, _Item] = {}
    for one in wanted:
        size = _UNKNOWN if one.out.size is None else one.out.size * (2 if one.out.legacy else 1)
        for key, (md5, sha256) in one.files.items():
            item, known = _Item(one.store, md5, one.out.legacy, sha256, size), out.get(key)
            out[key] = item if known is None else known.joined(item)
    return out


def _finish(cache: Cache, one: _Wanted, fresh: Mapping[str, Digests]) -> bool:
    """Write the lists of a directory whose files are all there; True if its `.dir` object was new."""
    if not one.out.is_dir:
        return False
    keys = [one.out.key_of(entry.md5) for entry in one.entries]
    if all(key in fresh for key in keys):
        total = sum(fresh[key].size for key in keys)
        if not one.out.legacy and one.out.size not in {None, total}:
            raise Conflict(
                f"{one.of.path} has {total} bytes in the remote, but its metafile says {one.out.size}.",
                kind="size-mismatch",
                mend=f"Track it again, or ask who wrote {one.of.metafile}.",
            )
        if not one.out.legacy:
            sums = zip(one.entries, keys, strict=True)
            remember_sums(
                cache, one.out.md5, encode_sums((entry.relpath, fresh[key].sha256) for entry, key in sums)
            )
    if one.listing is not None:
        cache.write(one.out.key, one.listing)
    return one.listing is not None


def _remember(cache: Cache, state: State, fresh: Mapping[str, Digests]) -> None:
    rows = []
    for key, found in fresh.items():
        path = cache.path(key)
        with disk(path):
            rows.append((stamp(path), found))
    state.put_many(rows)


def _moved(one: _Wanted, fresh: Mapping[str, Digests]) -> Moved:
    new = [key for key in one.files if key in fresh]
    count = len(new) + (one.listing is not None)
    total = len(one.files) + one.out.is_dir
    return Moved(one.of.path, count, sum(fresh[key].size for key in new), total - count)
