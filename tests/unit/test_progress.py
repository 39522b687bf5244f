from __future__ import annotations

import threading

from placet.adapters.objects.local import LocalStore
from placet.core.digest import digest
from placet.core.layout import data_key
from placet.engine.disk import Cache
from placet.engine.threads import guarded, run
from placet.engine.transfer import download, upload


class Counter:
    """A `Progress` that adds up."""

    def __init__(self) -> None:
        self.objects = self.size = 0
        self.steps: list[int] = []
        self._lock = threading.Lock()

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Counter:
        return self

    def advance(self, objects: int = 0, size: int = 0) -> None:
        with self._lock:
            self.objects += objects
            self.size += size
            self.steps.append(size)

    def done(self) -> None:
        pass


def test_long_objects_tell_their_bytes_as_they_move(tmp_path):
    data = bytes(range(256)) * 20_000
    want, told = digest(data), Counter()
    key = data_key(want.md5)
    (tmp_path / "file").write_bytes(data)
    store, cache = LocalStore(tmp_path / "remote"), Cache(tmp_path / "cache")
    run(lambda _: upload(store, key, str(tmp_path / "file"), want), [1], 1, told)
    assert (told.objects, told.size) == (1, len(data))
    assert len([one for one in told.steps if one]) > 3
    run(lambda md5: download(store, key, cache, md5=md5, limit=len(data)), [want.md5], 4, told)
    assert (told.objects, told.size) == (2, 2 * len(data))


def test_many_tasks_are_counted_once_each():
    told = Counter()
    run(lambda number: list(guarded([b"x" * number])), range(100), 8, told)
    assert (told.objects, told.size) == (100, sum(range(100)))


def test_streams_outside_of_a_task_tell_nobody():
    told = Counter()
    run(lambda _: None, [1], 1, told)
    list(guarded([b"x"]))
    assert told.size == 0
