"""Concurrent, verified copies: the only module with threads.

Tasks are drawn from their iterable one at a time, so memory is bounded by the jobs, never by the work. The
first error, or Ctrl-C, stops the others at their next chunk; it is the one that is raised.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from placet.core import plan
from placet.core.digest import Digests, Hasher, digest_chunks, tee
from placet.engine.disk import Cache, chunks, disk
from placet.errors import Conflict, Corrupt, NotFound
from placet.ports import CopyWay, ObjectStore

_T = TypeVar("_T")
_R = TypeVar("_R")

_here = threading.local()


class _Stopped(BaseException):
    """Another task has failed; never leaves `run`."""


def run(task: Callable[[_T], _R], items: Iterable[_T], jobs: int) -> list[_R]:
    """`task` of each item, by at most `jobs` threads; results in the order of the items.

    Raises:
        The first error of a task. No task is started after it, and none still runs when it is raised.
    """
    if jobs <= 1 or (isinstance(items, Sequence) and len(items) <= 1):
        return [task(item) for item in items]
    source = enumerate(items)
    results: dict[int, _R] = {}
    lock, stop = threading.Lock(), threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        _here.stop = stop
        while not stop.is_set():
            try:
                with lock:
                    number, item = next(source, (-1, None))
                if number < 0:
                    return
                results[number] = task(item)  # type: ignore[arg-type]
            except _Stopped:
                return
            except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
                errors.append(error)
                stop.set()

    workers = min(jobs, len(items)) if isinstance(items, Sequence) else jobs
    with ThreadPoolExecutor(workers, thread_name_prefix="placet") as pool:
        try:
            wait([pool.submit(work) for _ in range(workers)])
        except BaseException:
            stop.set()
            raise
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(results))]


def checkpoint() -> None:
    """End this task here if `run` was told to stop; called between chunks. Nothing outside a task."""
    stop: threading.Event | None = getattr(_here, "stop", None)
    if stop is not None and stop.is_set():
        raise _Stopped


def guarded(stream: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks, with a checkpoint before each."""
    for chunk in stream:
        checkpoint()
        yield chunk


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
        known, whole = _listed(store, prefix, set(parts[prefix]), limit)
        if whole:
            del parts[prefix]
            wanted = {one: set(names) for one, names in parts.items()}
            for found, _ in run(lambda one: _listed(store, one, wanted[one], None), list(parts), jobs):
                known.update(found)
            return known
    names = [key for part in parts.values() for key in part if key not in known]

    def ask(key: str) -> tuple[str, int | None]:
        info = store.head(key)
        return key, info.size if info else None

    known.update((key, size) for key, size in run(ask, names, jobs) if size is not None)
    return known


def _listed(
    store: ObjectStore, prefix: str, wanted: set[str], limit: int | None
) -> tuple[dict[str, int], bool]:
    """What is there of `wanted`, and whether the listing was read to its end (within `limit` objects)."""
    found: dict[str, int] = {}
    for number, info in enumerate(store.list(prefix)):
        if limit is not None and number >= limit:
            return found, False
        if info.key in wanted:
            found[info.key] = info.size
    return found, True


def prove(store: ObjectStore, key: str, want: Digests) -> bool:
    """Does the store hold exactly these bytes under `key`? By the service's own SHA-256, or by reading."""
    info = store.head(key)
    if info is None or info.size != want.size:
        return False
    if info.sha256 is not None:
        return info.sha256 == want.sha256
    try:
        return digest_chunks(guarded(store.get(key))) == want
    except NotFound as error:
        if error.kind == "no-object":
            return False
        raise


def copy_verified(source: ObjectStore, target: ObjectStore, key: str, want: Digests) -> CopyWay | None:
    """Copy one object so that it becomes visible only if it is exactly `want`.

    Returns:
        The way, or None if the target held exactly these bytes already.

    Raises:
        Corrupt: kind `digest-mismatch`: the source's bytes are others; kind `md5-twin`: the target's are.
        NotFound: kind `no-object`.
    """
    try:
        way = target.copy_from(source, key, want)
    except Conflict as error:
        if error.kind != "object-exists":
            raise
        _require(target, key, want)
        return None
    if way is not None:
        return way
    if target.put(key, guarded(source.get(key)), want):
        return "stream"
    _require(target, key, want)
    return None


def _require(store: ObjectStore, key: str, want: Digests) -> None:
    if not prove(store, key, want):
        raise Corrupt(
            f"TWIN: object {key} holds other bytes than those that were approved.",
            kind="md5-twin",
            why="It was there before, under the same MD5, and was left alone.",
            mend="This does not happen by chance. Stop, and find out who wrote it.",
        )


def upload(store: ObjectStore, key: str, path: str, want: Digests, *, overwrite: bool = False) -> bool:
    """Store a local file; True if it was written, False if the key existed and was left alone.

    Raises:
        Corrupt: kind `digest-mismatch`: the file is not `want`; nothing is visible.
        NotFound: kind `no-file`.
    """
    return store.put(key, guarded(chunks(path)), want, overwrite=overwrite)


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
    hasher = Hasher()
    with cache.temp(key) as temp:
        stream = bounded(store.get(key), limit, key)
        with disk(temp), open(temp, "xb") as out:  # noqa: PTH123 - hot path
            out.writelines(tee(stream, hasher))
        found = hasher.digests()
        if found.md5 != md5 or sha256 not in {None, found.sha256}:
            raise _mismatch(key)
        cache.place(temp, key)
    return found


def read_object(store: ObjectStore, key: str, *, md5: str, limit: int) -> bytes:
    """A small object's bytes, proven by its MD5 (that is all a stock `.dvc` file says of a `.dir`).

    Raises:
        Corrupt: kind `digest-mismatch`.
        NotFound: kind `no-object`.
    """
    data = b"".join(bounded(store.get(key), limit, key))
    if digest_chunks([data]).md5 != md5:
        raise _mismatch(key)
    return data


def bounded(stream: Iterable[bytes], limit: int, key: str) -> Iterator[bytes]:
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
        mend="Push it again from where it was made, or find out who changed it.",
    )
