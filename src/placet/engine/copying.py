"""Bring an approved artifact from the internal into a publication tier (design 9, steps 2 to 4).

Never through the local disk; nothing is visible before its SHA-256 is proven; data objects first, then the
digest list, the `.dir` object last (I3). Idempotent: what is there already counts only if it is proven.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet

from placet.core.digest import Digests, digest
from placet.core.guards import guard
from placet.core.predicates import Promoted
from placet.engine import threads, transfer
from placet.engine.contents import Contents, Item, digests_of
from placet.engine.twins import twin
from placet.errors import Conflict, Corrupt, NotFound, PlacetError
from placet.ports import CopyWay, ObjectStore, Progress

log = logging.getLogger(__name__)

_BY_PARTS = 4 << 20  # shorter objects never are uploads of parts


def copy_artifact(
    source: ObjectStore,
    target: ObjectStore,
    contents: Contents,
    jobs: int,
    progress: Progress,
    watch: Callable[[], None] = lambda: None,
    mine: Callable[[str], bool] | None = None,
) -> Promoted:
    """Bring every object of one artifact into the tier, each with its SHA-256 proven.

    `watch` is called before each object, from any thread; what it raises ends the copy. With `mine`, only the
    data objects of the keys that it is true of, never a list: a shard of the artifact, which was looked at as
    a whole before (`require_whole`).

    Raises:
        NotFound: kind `no-object`: the internal tier lacks one.
        Corrupt: kinds `digest-mismatch`, `md5-twin`.
    """
    whole = mine is None
    by_key = {item.key: item for item in contents.items if mine is None or mine(item.key)}
    here = _sizes(source, contents, by_key, jobs)
    there = transfer.sizes(target, list(by_key), jobs)
    size = sum(here[item.key] for item in contents.items if item.key in by_key)
    if whole:
        _require_size(contents, size)
    progress.start(f"promote {contents.artifact.path}", len(by_key), size)

    def move(item: Item) -> CopyWay | None:
        watch()
        want = digests_of(item, here[item.key])
        known = item.key in there and _held(target, item.key, want)
        way = None if known else copy_verified(source, target, item.key, want)
        progress.advance(1, want.size)
        return way

    ways = threads.run(move, list(by_key.values()), jobs)
    counted = Counter("found" if way is None else way for way in ways)
    for key, data in contents.lists() if whole else ():
        counted["list" if put_verified(target, key, [data], digest(data)) else "found"] += 1
    if any(size >= _BY_PARTS for size in here.values()):
        _sweep(target, by_key.keys())
    progress.done()
    found = counted.pop("found", 0)
    return Promoted(
        path=contents.artifact.path,
        objects=found + sum(counted.values()),
        size=size,
        copied=sum(counted.values()),
        found=found,
        ways=dict(sorted(counted.items())),
    )


def require_whole(source: ObjectStore, contents: Contents, jobs: int) -> None:
    """Is all of an artifact in the internal tier, and of its size? A shard alone cannot tell.

    Raises:
        NotFound: kind `no-object`.
        Corrupt: kind `digest-mismatch`.
    """
    here = _sizes(source, contents, {item.key for item in contents.items}, jobs)
    _require_size(contents, sum(here[item.key] for item in contents.items))


def _sizes(source: ObjectStore, contents: Contents, keys: Collection[str], jobs: int) -> dict[str, int]:
    """Bytes of each object, all of them there; each that a listing lacks is asked for by itself."""
    here = transfer.sizes(source, list(keys), jobs)
    missing = sorted(set(keys) - here.keys())
    for key in missing:
        info = source.head(key)
        if info is None:
            raise NotFound(
                f"Object {key} of {contents.artifact.path} is not in the internal tier"
                f" ({len(missing)} missing).",
                kind="no-object",
                mend=f"On the node: placet push {contents.artifact.path}",
            )
        here[key] = info.size
    return here


def _held(target: ObjectStore, key: str, want: Digests) -> bool:
    """Is it there and proven? False if it is not there, whatever a listing said before."""
    if transfer.prove(target, key, want):
        return True
    if target.head(key) is None:
        return False
    raise twin(key)


def copy_verified(source: ObjectStore, target: ObjectStore, key: str, want: Digests) -> CopyWay | None:
    """Copy one object so that it becomes visible only if it is exactly `want`; again once, see `twice`.

    Returns:
        The way, or None if the target held exactly these bytes already.

    Raises:
        Corrupt: kind `digest-mismatch`: the source's bytes are others; kind `md5-twin`: the target's are.
        NotFound: kind `no-object`.
        Conflict: kind `object-changed`: while it was read.
        Unavailable: kind `object-vanished`: the target said that it is there, and then that it is not.
    """
    return transfer.twice(lambda: _copy_verified(source, target, key, want))


def _copy_verified(source: ObjectStore, target: ObjectStore, key: str, want: Digests) -> CopyWay | None:
    try:
        way = target.copy_from(source, key, want, fan=threads.fan_out)
    except Conflict as error:
        if error.kind != "object-exists":
            raise
        transfer.require_proven(target, key, want)
        return None
    if way is not None:
        _require_kept(target, key, want)
        return way
    return "stream" if put_verified(target, key, source.get(key, fan=threads.fan_out), want) else None


def put_verified(target: ObjectStore, key: str, chunks: Iterable[bytes], want: Digests) -> bool:
    """Store a stream so that it becomes visible only if it is exactly `want`; False if it was there already.

    Raises:
        Corrupt: kind `digest-mismatch`: the stream is something else; kind `md5-twin`: the target is.
    """
    with threads.room(want.size), threads.reading(chunks) as stream:
        try:
            written = target.put(key, stream, want, fan=threads.fan_out)
        except Conflict as error:
            if error.kind != "object-exists":
                raise
            written = False
    if not written:
        transfer.require_proven(target, key, want)
    else:
        _require_kept(target, key, want)
    return written


def _require_kept(store: ObjectStore, key: str, want: Digests) -> None:
    """Look again at what was written where the store cannot verify it, or let it be replaced meanwhile."""
    traits = store.traits()
    if not (traits.verifies_sha256 and traits.conditional_put and traits.conditional_complete):
        transfer.require_proven(store, key, want)


def _sweep(target: ObjectStore, keys: AbstractSet[str]) -> None:
    """Abort uploads that an earlier promotion began and did not end; where that is denied they stay."""
    try:
        swept = target.sweep(keys)
    except PlacetError as error:
        log.info("unfinished uploads in %r were not looked for: %s", target, error.what)
        return
    if swept:
        log.info("aborted %d unfinished uploads in %r", swept, target)


@guard(26)
def _require_size(contents: Contents, size: int) -> None:
    """Limits were judged by what the manifest says; what it says must be so."""
    if size != contents.artifact.size:
        raise Corrupt(
            f"CORRUPT: {contents.artifact.path} has {size} bytes in the internal tier, not"
            f" {contents.artifact.size}.",
            kind="digest-mismatch",
            mend=f"Find out who changed it. On the node: placet push {contents.artifact.path}",
        )
