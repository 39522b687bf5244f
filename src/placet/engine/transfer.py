"""Verified transfers: what a store holds, and objects that are moved or read only as what they must be."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import TypeVar

from placet.core import plan
from placet.core.digest import Digests, digest_chunks, sha256_chunks
from placet.core.guards import guard
from placet.engine.disk import Cache, chunks, disk, write_all
from placet.engine.threads import SHORT, digest_wide, fan_out, guarded, room, run
from placet.errors import Corrupt, NotFound, PlacetError, Refused, Unavailable
from placet.ports import ObjectStore

_R = TypeVar("_R")

_AGAIN = frozenset({"digest-mismatch", "object-vanished", "object-changed"})


def sizes(store: ObjectStore, keys: Iterable[str], jobs: int) -> dict[str, int]:
    """Key -> bytes of those keys that a store holds now, asked in as few requests as is possible.

    One listing of one prefix tells how many objects the store may hold; then either all prefixes are listed
    or each key is asked for. A `.dir` object never stands for its files.
    """
    parts = plan.shards(dict.fromkeys(keys))
    asked = sum(map(len, parts.values()))
    limit = plan.listing_limit(asked)
    known: dict[str, int] = {}
    if limit:
        prefix = next(iter(parts))
        known, seen = _listed(store, prefix, set(parts[prefix]), limit)
        if seen is not None:
            del parts[prefix]
            above = plan.common_folder(parts)
            if above and plan.one_listing(seen):
                every = {key for names in parts.values() for key in names}
                return known | _listed(store, above, every, None)[0]
            wanted = {one: set(names) for one, names in parts.items()}
            for found, _ in run(lambda one: _listed(store, one, wanted[one], None), list(parts), jobs):
                known.update(found)
            return known
    names = [key for part in parts.values() for key in part if key not in known]

    def ask(key: str) -> tuple[str, int | None]:
        info = store.head(key)
        return key, info.size if info else None

    known.update((key, size) for key, size in run(ask, names, jobs) if size is not None)
    if names and not known:
        _require_bucket(store, names[0])
    return known


def _require_bucket(store: ObjectStore, key: str) -> None:
    """To a HEAD, a bucket that is not there looks like one without the object; a listing tells.

    Raises:
        NotFound: kind `no-bucket`.
    """
    with contextlib.suppress(Refused):
        next(iter(store.list(key[: key.rindex("/") + 1] if "/" in key else "")), None)


def _listed(
    store: ObjectStore, prefix: str, wanted: set[str], limit: int | None
) -> tuple[dict[str, int], int | None]:
    """What is there of `wanted`; how many objects the prefix holds, or None: too many, or no listing."""
    found: dict[str, int] = {}
    seen = 0
    try:
        for info in store.list(prefix):
            if limit is not None and seen >= limit:
                return found, None
            seen += 1
            if info.key in wanted:
                found[info.key] = info.size
    except Refused as error:
        if error.kind != "no-listing":
            raise
        return found, None
    return found, seen


@guard(2, 3)
def prove(store: ObjectStore, key: str, want: Digests) -> bool:
    """Does the store hold bytes of this SHA-256 and size under `key`?

    By the service's own SHA-256, or by reading; what is short is read at once, which costs less than to ask.
    """
    if want.size > SHORT:
        info = store.head(key)
        if info is None or info.size != want.size:
            return False
        if info.sha256 is not None:
            return info.sha256 == want.sha256
    try:
        found = sha256_chunks(guarded(store.get(key, fan=fan_out)), want.size)
    except NotFound as error:
        if error.kind == "no-object":
            return False
        raise
    return found == (want.sha256, want.size)


def require_proven(store: ObjectStore, key: str, want: Digests) -> None:
    """As `prove`, of what must be so.

    Raises:
        Corrupt: kind `md5-twin`: other bytes are there.
        Unavailable: kind `object-vanished`: nothing is there.
    """
    if not prove(store, key, want):
        if store.head(key) is None:
            raise Unavailable(
                f"Object {key} is not in the remote, though it was written, or was there.",
                kind="object-vanished",
                mend="Run it again; if that does not help, find out who deletes there.",
            )
        raise Corrupt(
            f"TWIN: object {key} of the remote holds other bytes than those that belong there.",
            kind="md5-twin",
            why="Somebody else wrote it, under the same MD5; it was left alone.",
            mend="This does not happen by chance. Stop, and find out who wrote it.",
        )


def upload(store: ObjectStore, key: str, path: str, want: Digests, *, overwrite: bool = False) -> bool:
    """Store a local file; True if it was written, False if the key existed with exactly these bytes.

    Raises:
        Corrupt: kind `digest-mismatch`: the file is not `want`; nothing is visible; kind `md5-twin`: the key
            existed with other bytes.
        NotFound: kind `no-file`.
    """
    with room(want.size):
        written = store.put(key, guarded(chunks(path)), want, overwrite=overwrite, fan=fan_out)
    if not written:
        require_proven(store, key, want)
    return written


def download(
    store: ObjectStore, key: str, cache: Cache, *, md5: str, limit: int, sha256: str | None = None
) -> Digests:
    """Bring one object into the cache, verified in flight; a wrong byte never gets its name.

    Args:
        store: Where it is.
        key: Its key, in the store and in the cache.
        cache: Where it goes.
        md5: What it must be.
        limit: Bytes that it has at most.
        sha256: What it must be too, where that is known.

    Raises:
        Corrupt: kind `digest-mismatch`.
        NotFound: kind `no-object`.
    """
    return twice(lambda: _download(store, key, cache, md5, limit, sha256))


def _download(
    store: ObjectStore, key: str, cache: Cache, md5: str, limit: int, sha256: str | None
) -> Digests:
    with closing(bounded(store.get(key, fan=fan_out), limit, key)) as stream:
        return _take(stream, key, cache, md5, sha256)


def _take(stream: Iterator[bytes], key: str, cache: Cache, md5: str, sha256: str | None) -> Digests:
    begin = list(itertools.islice(stream, 2))
    if len(begin) < 2:  # noqa: PLR2004 - the whole object is in memory
        found = digest_chunks(begin)
        _require_digests(found, key, md5, sha256)
        cache.write(key, b"".join(begin))
        return found
    with cache.temp(key) as temp:
        with disk(temp), open(temp, "xb", buffering=0) as out:  # noqa: PTH123 - hot path
            found = digest_wide(itertools.chain(begin, stream), lambda chunk: write_all(out.fileno(), chunk))
        _require_digests(found, key, md5, sha256)
        cache.place(temp, key)
    return found


@guard(3)
def _require_digests(found: Digests, key: str, md5: str, sha256: str | None) -> None:
    if found.md5 != md5 or sha256 not in {None, found.sha256}:
        raise _mismatch(key)


def read_object(store: ObjectStore, key: str, *, md5: str, limit: int) -> bytes:
    """A small object's bytes, proven by its MD5 (that is all a stock `.dvc` file says of a `.dir`).

    Raises:
        Corrupt: kind `digest-mismatch`.
        NotFound: kind `no-object`.
    """
    return twice(lambda: _read_object(store, key, md5, limit))


def _read_object(store: ObjectStore, key: str, md5: str, limit: int) -> bytes:
    data = b"".join(bounded(store.get(key), limit, key))
    if digest_chunks([data]).md5 != md5:
        raise _mismatch(key)
    return data


def twice(read: Callable[[], _R]) -> _R:
    """Do again what met wrong bytes, or an object that went or changed: others may have done it."""
    try:
        return read()
    except PlacetError as error:
        if error.kind not in _AGAIN:
            raise
        return read()


def bounded(stream: Iterable[bytes], limit: int, key: str) -> Generator[bytes]:
    """The same chunks, guarded, refused as soon as they are more than `limit` bytes."""
    size = 0
    for chunk in guarded(stream):
        size += len(chunk)
        if size > limit:
            raise _mismatch(key)
        yield chunk


def _mismatch(key: str) -> Corrupt:
    return Corrupt(
        f"CORRUPT: object {key} of the remote is not what its name says.",
        kind="digest-mismatch",
        why="Its digest differs from the expected one; it was not put into the cache.",
        mend="Take it from another remote that has it right: placet fetch --verify.",
    )
