"""Concurrent, verified copies: the only module with threads.

Tasks are drawn from their iterable one at a time, and bodies share a budget of bytes, so memory is bounded
whatever the work. The first error, or Ctrl-C, stops the others at their next chunk; it is the one that is
raised. Why threads, with the numbers: docs/adr/0005-threads-over-obstore.md.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self, TypeVar

from placet.core import plan
from placet.core.digest import Digests, Hasher, digest_chunks, sha256_chunks
from placet.core.guards import guard
from placet.engine.disk import Cache, chunks, disk, write_all
from placet.errors import Corrupt, NotFound, PlacetError, Refused, Unavailable
from placet.ports import ObjectStore, Progress

_T = TypeVar("_T")
_R = TypeVar("_R")

WIDE = 16 << 20
_AHEAD = 4
_PARTS = 4
_BODY = 8 << 20
SHORT = 64 << 10
_BODIES = 64 << 20
_PART_END_S = 1.0
_AGAIN = frozenset({"digest-mismatch", "object-vanished", "object-changed"})
_long = threading.RLock()
_here = threading.local()


class _Stopped(BaseException):
    """Another task has failed; never leaves `run`."""


def run(
    task: Callable[[_T], _R], items: Iterable[_T], jobs: int, progress: Progress | None = None
) -> list[_R]:
    """`task` of each item, by at most `jobs` threads; results in the order of the items.

    Args:
        task: What is done.
        items: To what.
        jobs: Threads.
        progress: Told of the bytes of guarded streams as they come, and of each item that is done.

    Raises:
        The first error of a task. No task is started after it, and none still runs when it is raised.
    """
    if jobs <= 1 or (isinstance(items, Sequence) and len(items) <= 1):
        return [_told(task, item, progress) for item in items]
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
                results[number] = _told(task, item, progress)  # type: ignore[arg-type]
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


def _told(task: Callable[[_T], _R], item: _T, progress: Progress | None) -> _R:
    outer, _here.progress = getattr(_here, "progress", None), progress
    try:
        found = task(item)
    finally:
        _here.progress = outer
    if progress is not None:
        progress.advance(1)
    return found


def run_local(
    task: Callable[[_T], _R], items: Iterable[_T], jobs: int, progress: Progress | None = None
) -> list[_R]:
    """As `run`, for work on this machine's processors and disk, of which more threads make less."""
    return run(task, items, min(jobs, os.cpu_count() or 1), progress)


def fan_out(task: Callable[[_T], _R], items: Iterable[_T], /) -> Iterator[_R]:
    """A `map` that does a few things at once and gives their results in order; see `ports.Fan`.

    One object at a time in the process: long objects go one after the other, each by parts side by side, so
    memory is bounded by one object's parts (twice: where they come from and where they go to). Who stops
    reading early closes it, in the thread that began: until then no other long object is moved.
    """
    while not _long.acquire(timeout=0.1):
        checkpoint()
    waiting: deque[Future[_R]] = deque()
    pool = ThreadPoolExecutor(_PARTS, thread_name_prefix="placet-part")
    try:
        for item in items:
            if len(waiting) >= _PARTS:
                yield _result(waiting.popleft())
            waiting.append(pool.submit(task, item))
        while waiting:
            yield _result(waiting.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        wait(waiting, timeout=_PART_END_S)
        _long.release()


def _result(future: Future[_R]) -> _R:
    """A part's result; a task that was told to stop does not wait for it."""
    while not wait([future], timeout=0.1).done:
        checkpoint()
    return future.result()


class _Budget:
    """So many bytes of bodies may be in memory at once, whatever the number of jobs."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._freed = threading.Condition()

    @contextlib.contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Hold `size` bytes of it; waits while they are not there."""
        with self._freed:
            while not self._freed.wait_for(lambda: self._left >= size, timeout=0.1):
                checkpoint()
            self._left -= size
        try:
            yield
        finally:
            with self._freed:
                self._left += size
                self._freed.notify_all()


_bodies = _Budget(_BODIES)


def room(size: int) -> contextlib.AbstractContextManager[None]:
    """Room in memory for a body of so many bytes; what is short needs no leave."""
    return _bodies.take(min(size, _BODY)) if size > SHORT else contextlib.nullcontext()


def digest_wide(stream: Iterable[bytes], sink: Callable[[bytes], object] | None = None) -> Digests:
    """Both digests of a stream, each in a thread of its own once the stream turns out to be long.

    Args:
        stream: Chunks, guarded by the caller.
        sink: Gets every chunk too, in this thread.
    """
    hasher, size, wide = Hasher(), 0, None
    with ExitStack() as threads:
        for chunk in stream:
            if wide is not None:
                for one in wide:
                    one.put(chunk)
            else:
                hasher.update(chunk)
                size += len(chunk)
                if size >= WIDE:
                    wide = [threads.enter_context(_Beside(one)) for one in hasher.sinks]
            if sink is not None:
                sink(chunk)
    return hasher.digests()


class _Beside:
    """Calls a function with each chunk, in order, in a thread of its own; its error is raised at the end."""

    def __init__(self, work: Callable[[bytes], object]) -> None:
        self._work = work
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, name="placet-digest", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def put(self, chunk: bytes) -> None:
        """Hand the next chunk over; waits while too many are waiting."""
        self._room.acquire()
        self._queue.put(chunk)

    def _loop(self) -> None:
        while (chunk := self._queue.get()) is not None:
            try:
                if self._error is None:
                    self._work(chunk)
            except BaseException as error:  # noqa: BLE001 - raised again where the stream is read
                self._error = error
            finally:
                self._room.release()


def checkpoint() -> None:
    """End this task here if `run` was told to stop; called between chunks. Nothing outside a task."""
    stop: threading.Event | None = getattr(_here, "stop", None)
    if stop is not None and stop.is_set():
        raise _Stopped


def guarded(stream: Iterable[bytes]) -> Generator[bytes]:
    """The same chunks, with a checkpoint before each; the progress of `run` is told of each."""
    progress: Progress | None = getattr(_here, "progress", None)
    for chunk in stream:
        checkpoint()
        if progress is not None:
            progress.advance(0, len(chunk))
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


@contextlib.contextmanager
def reading(chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """The same chunks, guarded; closed at the end also where they were not read to theirs, see `fan_out`."""
    with closing(guarded(chunks)) as stream:
        try:
            yield stream
        finally:
            if isinstance(chunks, Generator):
                chunks.close()


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
