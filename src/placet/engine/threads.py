"""Work side by side: the only module with threads.

Tasks are drawn from their iterable one at a time, and bodies share a budget of bytes, so memory is bounded
whatever the work. The first error, or Ctrl-C, stops the others at their next chunk; it is the one that is
raised. Why threads, with the numbers: docs/adr/0005-threads-over-obstore.md.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self, TypeVar

from placet.core.digest import Digests, Hasher
from placet.ports import Progress

_T = TypeVar("_T")
_R = TypeVar("_R")

WIDE = 16 << 20
_AHEAD = 4
_PARTS = 4
_BODY = 8 << 20
SHORT = 64 << 10
_BODIES = 64 << 20
_PART_END_S = 1.0
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


@contextlib.contextmanager
def reading(chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """The same chunks, guarded; closed at the end also where they were not read to theirs, see `fan_out`."""
    with closing(guarded(chunks)) as stream:
        try:
            yield stream
        finally:
            if isinstance(chunks, Generator):
                chunks.close()
