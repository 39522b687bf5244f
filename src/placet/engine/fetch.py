"""Fetch: download into the cache what it lacks, each object verified before it has its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from placet.core.digest import Digests, digest_chunks
from placet.core.dirobject import DirEntry
from placet.core.dvcfile import Output
from placet.core.outputs import Skipped, Tracking, may_be_absent
from placet.core.sums import encode_sums
from placet.engine import legacy
from placet.engine.artifact import (
    known_sums,
    listed_in,
    listing_limit,
    read_dir,
    remember_sums,
    require_parts,
)
from placet.engine.disk import Cache, disk, stamp
from placet.engine.heal import Fault, Sources
from placet.engine.proof import prove_cached
from placet.engine.push import Moved
from placet.engine.routes import Routes, sift
from placet.engine.threads import run
from placet.engine.transfer import bounded, download, read_object
from placet.engine.workspace import Workspace
from placet.errors import Conflict, Corrupt, NotFound, Partial, PlacetError
from placet.ports import ObjectStore, Progress, State

_UNKNOWN = 1 << 50
_SHOWN = 10
_OF_ONE = frozenset({"digest-mismatch", "no-object", "size-mismatch"})


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch did: objects downloaded, their bytes, objects that were there; also per output.

    Attributes:
        skipped: Outputs that were left alone, and why.
        faults: Objects that the cache or a remote had wrong; all of them were fetched right.
    """

    objects: int
    size: int
    present: int
    targets: tuple[Moved, ...]
    skipped: tuple[Skipped, ...]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One output: key -> path within it, hash, and SHA-256 where known, of its files; its listing."""

    of: Tracking
    files: Mapping[str, tuple[str, str, str | None]]
    entries: Sequence[DirEntry] = ()
    listing: bytes | None = None

    @property
    def out(self) -> Output:
        return self.of.out

    def name(self, relpath: str) -> str:
        """A file of it, for a person."""
        return f"{self.of.path}/{relpath}" if relpath else self.of.path


@dataclass(frozen=True, slots=True)
class _Item:
    """One object to be had: of which output, its file and hash, its SHA-256 where known, its size at most.

    DVC 2 takes text with CRLF and with LF for one object, so it may be twice as long as was said.
    """

    of: Tracking
    name: str
    md5: str
    legacy: bool
    sha256: str | None
    limit: int

    def joined(self, other: _Item) -> _Item:
        """What two outputs together know of one object."""
        known, limit = self.sha256 or other.sha256, max(self.limit, other.limit)
        return _Item(self.of, self.name, self.md5, self.legacy, known, limit)

    def proven_by(self, known: Digests | None) -> bool:
        """Are these its digests?"""
        return known is not None and self.sha256 in {None, known.sha256}


class _Failures:
    """What could not be had, by output and by object, while the rest is fetched. Safe for many threads."""

    def __init__(self) -> None:
        self.outputs: dict[str, PlacetError] = {}
        self._objects: dict[str, PlacetError] = {}

    def of(self, path: str) -> AbstractContextManager[None]:
        """Keep what is wrong with an output."""
        return self._kept(self.outputs, path)

    def of_key(self, key: str) -> AbstractContextManager[None]:
        """Keep what is wrong with an object."""
        return self._kept(self._objects, key)

    def require(self, keys: Iterable[str]) -> None:
        """Raise what is wrong with one of these objects."""
        for error in filter(None, map(self._objects.get, keys)):
            raise error

    def require_none(self, *, partly: bool) -> None:
        """Raise what is wrong: a corrupt object first, else `Partial` if other outputs are whole."""
        corrupt = [error for error in self.outputs.values() if isinstance(error, Corrupt)]
        first = next(iter([*corrupt, *self.outputs.values()]), None)
        if first is None:
            return
        failed = {path: error.what for path, error in self.outputs.items()}
        if corrupt or not partly:
            first.details["failed"] = failed
            raise first
        raise Partial(
            f"Not all was fetched: {', '.join(list(self.outputs)[:_SHOWN])} failed; the rest is here.",
            kind=first.kind,
            why=first.what if not first.why else f"{first.what} {first.why}",
            mend=first.mend,
            details={"failed": failed},
        )

    @staticmethod
    @contextmanager
    def _kept(where: dict[str, PlacetError], name: str) -> Iterator[None]:
        try:
            yield
        except (Corrupt, NotFound, Conflict) as error:
            if error.kind not in _OF_ONE:
                raise
            where.setdefault(name, error)


def fetch(
    workspace: Workspace,
    store: ObjectStore | Routes,
    targets: Iterable[str | Path],
    state: State,
    jobs: int,
    progress: Progress,
    *,
    verify: bool = False,
    proven: Mapping[str, str] | None = None,
) -> Fetched:
    """Make the cache hold the outputs; idempotent, and each object is there wholly or not at all.

    MD5 and size are always verified, SHA-256 too where the cache has the artifact's digest list. Files come
    before their `.dir` object; the digest list of a directory that was fetched whole is kept. An object of
    the cache that is not what its name says is fetched again.

    Args:
        workspace: What is tracked, and the cache.
        store: The remote, or several in order.
        targets: What is meant; all if none is named.
        state: What is known of the cache's objects.
        jobs: Objects moved at once.
        progress: Told of each object.
        verify: Read every object of the cache again, whatever is known of it.
        proven: Key -> SHA-256 of objects for which it is known by another way than a digest list.

    Raises:
        NotFound: kinds `not-tracked`, `no-object`.
        Corrupt: kind `digest-mismatch`; kind `not-healed`: several remotes were asked; what they have right
            was fetched, and what is right nowhere was moved from its name to `placet/corrupt/`.
        Partial: kind of the first failure: some outputs could not be fetched, none of them for a corrupt
            object; the others are whole in the cache.
        Conflict: kind `size-mismatch`: a metafile's size is not its data's.
        Invalid: kind `dir-object`: a listing that no careful writer makes.
    """
    cache, routes = workspace.objects, Routes.of(store)
    sources = Sources(routes, heal=verify)
    chosen, skipped = sift(workspace.select(targets), "fetch", routes.named)
    wanted: list[_Wanted] = []
    failures = _Failures()
    for one in chosen:
        reason = _absent(cache, routes, one)
        if reason is not None:
            skipped.append(Skipped(one.path, reason))
            continue
        with failures.of(one.path):
            listed = _listed(cache, sources, one)
            wanted += [listed] if listed is not None else []
    items = {key: _expected(one, (proven or {}).get(key)) for key, one in _items(wanted).items()}
    here, corrupt = _prove(cache, items, state, jobs, reread=verify)
    todo = [key for key, one in items.items() if not one.proven_by(here.get(key))]
    progress.start("fetch", len(todo), _left(wanted, here))

    brought: dict[str, Digests | None] = {}

    def bring(key: str) -> None:
        one = items[key]

        def read(store: ObjectStore) -> Digests:
            if one.legacy:
                return legacy.download(store, cache, one.md5, one.limit)
            try:
                return download(store, key, cache, md5=one.md5, limit=one.limit, sha256=one.sha256)
            except Corrupt:
                _require_size(store, key, one)
                raise

        with failures.of_key(key):
            brought[key] = take(key, one, read)

    def take(key: str, one: _Item, read: Callable[[ObjectStore], Digests]) -> Digests | None:
        found = sources.take(one.of, one.name, key, read, rotten=key in here or key in corrupt)
        if found is None:
            cache.set_aside(key)
        return found

    run(bring, todo, jobs, progress)
    fresh = {key: found for key, found in brought.items() if found is not None}
    _remember(cache, state, {key: found for key, found in fresh.items() if not items[key].legacy})
    lists = 0
    for whole in wanted:
        with failures.of(whole.of.path):
            failures.require(whole.files)
            lists += _finish(cache, whole, fresh)
    progress.done()
    sources.require_whole()
    failures.require_none(partly=len(failures.outputs) < len(chosen))
    return Fetched(
        objects=len(fresh) + lists,
        size=sum(one.size for one in fresh.values()),
        present=len(items) - len(fresh) + sum(one.out.is_dir for one in wanted) - lists,
        targets=tuple(_moved(one, fresh) for one in wanted),
        skipped=tuple(skipped),
        faults=tuple(sorted(sources.faults, key=lambda one: (one.path, one.key))),
    )


def _require_size(store: ObjectStore, key: str, one: _Item) -> None:
    """Tell an object that is longer than its metafile says from one that is not what its name says.

    Raises:
        Conflict: kind `size-mismatch`.
    """
    info = store.head(key)
    if info is None or info.size <= one.limit:
        return
    if digest_chunks(bounded(store.get(key), info.size, key)).md5 == one.md5:
        raise _wrong_size(one.of, f"{one.name} has {info.size}")


def _wrong_size(one: Tracking, said: str) -> Conflict:
    return Conflict(
        f"{said} bytes in the remote, but {one.metafile} says {one.out.size}.",
        kind="size-mismatch",
        mend=f"Track it again, or ask who wrote {one.metafile}.",
    )


def _left(wanted: Sequence[_Wanted], here: Mapping[str, Digests]) -> int | None:
    """About how many bytes the cache lacks, as far as metafiles say: they know whole outputs only."""
    if any(one.out.size is None or one.of.inside for one in wanted):
        return None
    there = sum(known.size for key, known in here.items())
    return max(sum(one.out.size or 0 for one in wanted) - there, 0)


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


def _prove(
    cache: Cache, items: Mapping[str, _Item], state: State, jobs: int, *, reread: bool
) -> tuple[dict[str, Digests], set[str]]:
    """Key -> digests of the objects that the cache has right, and the keys of those that it has wrong."""
    good: dict[str, Digests] = {}
    corrupt: set[str] = set()
    for kind in (False, True):
        keys = {one.md5: key for key, one in items.items() if one.legacy == kind}
        found = prove_cached(cache, keys, state, jobs, legacy=kind, reread=reread)
        good |= {keys[md5]: known for md5, known in found.good.items()}
        corrupt |= {keys[md5] for md5 in found.corrupt}
    return good, corrupt


def _listed(cache: Cache, sources: Sources, one: Tracking) -> _Wanted | None:
    """What an output consists of; None if no remote has its `.dir` object right."""
    out = one.out
    if not out.is_dir:
        require_parts(one, ())
        return _Wanted(one, {out.key: ("", out.md5, None)})
    data, new, rotten = None, None, False
    try:
        data = read_dir(cache, out)
    except Corrupt:
        rotten = True
    if data is None:
        limit = listing_limit(out)
        data = new = sources.take(
            one,
            one.path,
            out.key,
            lambda store: read_object(store, out.key, md5=out.md5, limit=limit),
            rotten=rotten,
        )
    if data is None:
        cache.set_aside(out.key)
        return None
    entries = listed_in(data)
    require_parts(one, (entry.relpath for entry in entries))
    known = None if out.legacy else known_sums(cache, out.md5, entries)
    sums = known.by_path if known else {}
    meant = [entry for entry in entries if one.means(entry.relpath)] if one.inside else entries
    files = {out.key_of(entry.md5): (entry.relpath, entry.md5, sums.get(entry.relpath)) for entry in meant}
    return _Wanted(one, files, entries, new)


def _items(wanted: Sequence[_Wanted]) -> dict[str, _Item]:
    """Key -> what is known of it by all outputs that want it."""
    out: dict[str, _Item] = {}
    for one in wanted:
        size = _UNKNOWN if one.out.size is None else one.out.size * (2 if one.out.legacy else 1)
        for key, (relpath, md5, sha256) in one.files.items():
            item = _Item(one.of, one.name(relpath), md5, one.out.legacy, sha256, size)
            known = out.get(key)
            out[key] = item if known is None else known.joined(item)
    return out


def _expected(one: _Item, sha256: str | None) -> _Item:
    return one if sha256 is None else replace(one, sha256=sha256)


def _finish(cache: Cache, one: _Wanted, fresh: Mapping[str, Digests]) -> bool:
    """Write the lists of a directory whose files are all there; True if its `.dir` object was new."""
    if not one.out.is_dir:
        return False
    keys = [one.out.key_of(entry.md5) for entry in one.entries]
    if all(key in fresh for key in keys):
        total = sum(fresh[key].size for key in keys)
        if not one.out.legacy and one.out.size not in {None, total}:
            raise _wrong_size(one.of, f"{one.of.path} has {total}")
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
