from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

import pytest

from placet.core.digest import Digests, digest
from placet.core.layout import data_key
from placet.engine import threads, transfer
from placet.engine.copying import copy_verified
from placet.engine.disk import Cache
from placet.engine.threads import checkpoint, guarded, run
from placet.engine.transfer import download, prove, read_object, sizes, upload
from placet.errors import Conflict, Corrupt, NotFound, Unavailable
from placet.ports import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits

DATA = b"some bytes" * 1000
WANT = digest(DATA)
KEY = data_key(WANT.md5)


class DictStore:
    """An honest store in memory, with switches for what a server may do."""

    def __init__(self, objects: dict[str, bytes] | None = None, *, computes: bool = False) -> None:
        self.objects = dict(objects or {})
        self.computes = computes
        self.way: CopyWay | None = None
        self.calls: list[str] = []

    @property
    def address(self) -> StoreAddress:
        return StoreAddress("memory:1", "", "")

    def traits(self) -> StoreTraits:
        return StoreTraits()

    def head(self, key: str) -> ObjectInfo | None:
        self.calls.append("head")
        data = self.objects.get(key)
        if data is None:
            return None
        return ObjectInfo(key, len(data), digest(data).sha256 if self.computes else None)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.calls.append("list")
        for key, data in list(self.objects.items()):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(data))

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        self.calls.append("get")
        if key not in self.objects:
            raise NotFound(f"There is no {key}.", kind="no-object")
        data = self.objects[key]
        return iter([data[at : at + 999] for at in range(0, len(data), 999)])

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        self.calls.append("put")
        if key in self.objects and not overwrite:
            return False
        data = b"".join(chunks)
        if digest(data) != want:
            raise Corrupt(f"{key} differs.", kind="digest-mismatch")
        self.objects[key] = data
        return True

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        self.calls.append("copy_from")
        if self.way is not None:
            if key in self.objects:
                raise Conflict(f"{key} is there.", kind="object-exists")
            self.put(key, source.get(key), want)
        return self.way

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def sweep(self, keys: AbstractSet[str]) -> int:
        return 0


def test_bodies_of_many_jobs_share_one_budget(tmp_path):
    size, held, most = 8 << 20, 0, 0
    lock = threading.Lock()
    path = tmp_path / "body"
    path.write_bytes(bytes(size))
    want = digest(bytes(size))

    class Greedy(DictStore):
        def put(self, key: str, chunks: Iterable[bytes], want: Digests, **_: object) -> bool:
            nonlocal held, most
            with lock:
                held += want.size
                most = max(most, held)
            together.wait(0.2)
            with lock:
                held -= want.size
            return True

    together = threading.Event()
    assert all(run(lambda key: upload(Greedy(), key, str(path), want), list("abcdefghijklmnop"), 16))
    assert size < most <= 64 << 20


def test_run_keeps_the_order():
    assert run(lambda number: number * 2, range(1000), 8) == list(range(0, 2000, 2))
    assert run(lambda number: number, [], 8) == []
    assert run(lambda number: number, iter([1]), 8) == [1]


def test_run_uses_its_threads_at_the_same_time():
    meet = threading.Barrier(4, timeout=20)
    assert len(run(lambda _: meet.wait(), range(4), 4)) == 4


def test_run_draws_items_only_as_they_are_needed():
    drawn, done = [], []

    def items() -> Iterator[int]:
        for number in range(200):
            drawn.append(number)
            assert len(drawn) - len(done) <= 4
            yield number

    run(done.append, items(), 4)
    assert len(done) == 200


def test_the_first_error_stops_the_others():
    started = []
    waiting = threading.Event()

    def task(number: int) -> None:
        started.append(number)
        if number == 0:
            assert waiting.wait(20)
            raise Unavailable("The server is gone.", kind="store-unreachable")
        waiting.set()
        while True:
            checkpoint()

    with pytest.raises(Unavailable, match="gone"):
        run(task, range(1000), 3)
    assert len(started) <= 3
    assert not [one for one in threading.enumerate() if one.name.startswith("placet")]


def test_interrupt_stops_the_tasks(monkeypatch):
    begun = threading.Event()

    def task(_: int) -> None:
        begun.set()
        while True:
            checkpoint()

    def interrupted(_: object) -> None:
        assert begun.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr("placet.engine.threads.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(task, range(100), 2)
    assert not [one for one in threading.enumerate() if one.name.startswith("placet")]


def test_an_error_of_the_items_is_raised():
    def items() -> Iterator[int]:
        yield 1
        raise Unavailable("no more", kind="store-unreachable")

    with pytest.raises(Unavailable):
        run(lambda number: number, items(), 3)


def test_checkpoint_outside_of_a_task_does_nothing():
    checkpoint()
    assert list(guarded([b"a"])) == [b"a"]


def keys(count: int) -> list[str]:
    return [data_key(digest(str(number).encode()).md5) for number in range(count)]


def test_sizes_of_few_keys_by_head():
    store = DictStore(dict.fromkeys(keys(5), b"x"))
    assert sizes(store, [*keys(7), *keys(7)], 4) == dict.fromkeys(keys(5), 1)
    assert store.calls == ["head"] * 7


def test_sizes_of_many_keys_by_listing():
    store = DictStore(dict.fromkeys(keys(3000), b"xy"))
    wanted = keys(4000)
    assert sizes(store, wanted, 4) == dict.fromkeys(keys(3000), 2)
    assert set(store.calls) == {"list"}
    assert len(store.calls) <= 256


def test_sizes_in_a_huge_store_by_head():
    wanted = keys(600)
    first = wanted[0][: len("files/md5/00/")]
    store = DictStore({f"{first}{number:030}": b"x" for number in range(5000)})
    store.objects |= dict.fromkeys(wanted[::2], b"x")
    assert sizes(store, wanted, 4) == dict.fromkeys(wanted[::2], 1)
    assert store.calls.count("list") == 1
    assert store.calls.count("head") > 500


@pytest.mark.parametrize("computes", [True, False])
def test_prove(computes):
    twin = b"X" + DATA[1:]
    assert prove(DictStore({KEY: DATA}, computes=computes), KEY, WANT)
    assert not prove(DictStore({KEY: twin}, computes=computes), KEY, WANT)
    assert not prove(DictStore({KEY: DATA + b"x"}, computes=computes), KEY, WANT)
    assert not prove(DictStore(computes=computes), KEY, WANT)


def test_prove_reads_what_is_short_and_what_the_service_does_not_know():
    long = DATA * (1 + (64 << 10) // len(DATA))
    for data, computes, calls in (
        (long, True, ["head"]),
        (long, False, ["head", "get"]),
        (DATA, True, ["get"]),
    ):
        store = DictStore({KEY: data}, computes=computes)
        assert prove(store, KEY, digest(data))
        assert store.calls == calls


def test_prove_stops_reading_what_is_too_long():
    class Endless(DictStore):
        def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
            yield DATA
            yield DATA
            raise AssertionError("it was read on")

    assert not prove(Endless({KEY: DATA}), KEY, WANT)


@pytest.mark.parametrize("way", [None, "part-copy"])
def test_copy_verified(way):
    source, target = DictStore({KEY: DATA}), DictStore()
    target.way = way
    assert copy_verified(source, target, KEY, WANT) == (way or "stream")
    assert target.objects == {KEY: DATA}
    assert copy_verified(source, target, KEY, WANT) is None


@pytest.mark.parametrize("way", [None, "version-copy"])
def test_copy_refuses_other_bytes(way):
    source, target = DictStore({KEY: b"X" + DATA[1:]}), DictStore()
    target.way = way
    with pytest.raises(Corrupt):
        copy_verified(source, target, KEY, WANT)
    assert not target.objects
    target.objects[KEY] = b"X" + DATA[1:]
    with pytest.raises(Corrupt) as caught:
        copy_verified(DictStore({KEY: DATA}), target, KEY, WANT)
    assert caught.value.kind == "md5-twin"


def test_upload_and_download(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(DATA)
    store, cache = DictStore(), Cache(tmp_path / "cache")
    assert upload(store, KEY, str(file), WANT)
    assert not upload(store, KEY, str(file), WANT)
    assert download(store, KEY, cache, md5=WANT.md5, limit=len(DATA)) == WANT
    assert cache.size(KEY) == len(DATA)
    assert read_object(store, KEY, md5=WANT.md5, limit=len(DATA)) == DATA
    with pytest.raises(NotFound):
        upload(store, "x", str(tmp_path / "absent"), WANT)


@pytest.mark.parametrize(
    ("data", "sha256", "limit"),
    [(DATA[:-1], None, 99_999), (DATA, "0" * 64, 99_999), (DATA, None, 9_999), (DATA + b"x", None, 99_999)],
)
def test_download_never_leaves_a_wrong_byte(tmp_path, data, sha256, limit):
    cache = Cache(tmp_path / "cache")
    with pytest.raises(Corrupt) as caught:
        download(DictStore({KEY: data}), KEY, cache, md5=WANT.md5, limit=limit, sha256=sha256)
    assert caught.value.kind == "digest-mismatch"
    assert not [path for path in cache.root.rglob("*") if path.is_file()]


def test_a_shared_cache_has_folders_for_the_group(tmp_path):
    cache = Cache(tmp_path, shared=True)
    cache.write(KEY, DATA)
    assert cache.has(KEY, len(DATA))
    assert (tmp_path / KEY).parent.stat().st_mode & 0o7777 == 0o2775


def test_a_full_disk_says_so(tmp_path, monkeypatch):
    cache = Cache(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / KEY))

    monkeypatch.setattr("os.rename", full)
    with pytest.raises(Unavailable) as caught:
        cache.write(KEY, DATA)
    assert caught.value.kind == "disk-full"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


class ByParts(DictStore):
    """A source whose long objects come by parts, or a target that has no room after the first chunk."""

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        yield from fan(bytes, [b"some", b"more"])

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        next(iter(chunks))
        raise Unavailable("There is no room.", kind="store-full")


@pytest.mark.parametrize("what", ["copy", "download"])
def test_a_long_object_that_failed_half_way_lets_others_go_on(tmp_path, monkeypatch, what):
    """Also in other threads, and while its error is still looked at."""
    store = ByParts()
    kept: list[BaseException] = []

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def work() -> None:
        try:
            if what == "copy":
                copy_verified(store, store, KEY, WANT)
            else:
                download(store, KEY, Cache(tmp_path), md5=WANT.md5, limit=100)
        except (Unavailable, OSError, Corrupt) as error:
            kept.append(error)

    monkeypatch.setattr(transfer, "write_all", full)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert kept
    assert threads._long.acquire(timeout=10), "it is held for ever"
    threads._long.release()
