"""How many requests a question costs: bounded by what is asked, whatever a remote holds."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from placet.core import plan
from placet.core.digest import digest
from placet.core.layout import data_key, sums_key
from placet.engine.transfer import sizes
from placet.ports import ObjectInfo

PAGE = plan.PAGE


class Huge:
    """A remote that holds so many objects, evenly spread as MD5 spreads them, and the keys named; it counts.

    Nothing is held in memory: a listing makes its objects as it is read, a page at a time.
    """

    def __init__(self, objects: int, held: set[str], most: int) -> None:
        self.held, self.most, self.requests, self.pages = held, most, 0, 0
        self.each = objects // plan.PREFIXES

    def _ask(self) -> None:
        self.requests += 1
        assert self.requests <= self.most

    def head(self, key: str) -> ObjectInfo | None:
        self._ask()
        return ObjectInfo(key, 1) if key in self.held else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._ask()
        for number, key in enumerate(self._keys(prefix), start=1):
            if number % PAGE == 0:
                self._ask()
            yield ObjectInfo(key, 1)

    def _keys(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self.held if key.startswith(prefix))
        if not prefix.startswith(("files/md5/", "files/")):
            return
        parts = [prefix] if prefix.count("/") == 3 else [f"files/md5/{part:02x}/" for part in range(256)]
        for part in parts:
            for number in range(self.each):
                yield f"{part}z{number}"


def keys(count: int) -> list[str]:
    return [data_key(digest(str(number).encode()).md5) for number in range(count)]


@settings(max_examples=60, deadline=None)
@given(
    objects=st.one_of(st.integers(0, 2_000_000), st.sampled_from([0, 10_000_000, 100_000_000])),
    asked=st.one_of(st.integers(1, 300), st.integers(1, 3000)),
    present=st.integers(0, 100),
    lists=st.integers(0, 3),
)
def test_asking_costs_no_more_than_asking_for_each_key(objects, asked, present, lists):
    """Or one listing of each of DVC's 256 prefixes, where that is less: never the whole remote."""
    wanted = keys(asked)
    extra = [data_key(f"{number:032x}", is_dir=True) for number in range(lists)]
    extra += [sums_key(digest(str(number).encode()).sha256) for number in range(lists)]
    held = {key for number, key in enumerate(wanted) if number % 100 < present}
    store = Huge(objects, held, most=math.ceil(1.1 * (asked + len(extra))) + plan.PREFIXES + 16)
    assert sizes(store, [*wanted, *extra], jobs=1) == dict.fromkeys(held, 1)
    if asked + len(extra) <= plan.PREFIXES:
        assert store.requests <= asked + len(extra) + 1


def test_ten_files_to_a_remote_of_ten_million(lab, proxy):
    """On a real service: every request is for one of the ten, and nothing is listed."""
    lab.fill(files=10)
    lab.placet("track", "data")
    lab.bucket.put_object(Bucket="target", Key=f"{lab.prefix}/main/files/md5/00/other", Body=b"x")
    proxy.meet()
    assert lab.placet("push").json["objects"] == 12
    data = [one for one in proxy.asked if "placet/probe" not in one.key]
    listings = [one for one in data if "list-type" in one.query]
    assert len(data) <= 2 * 12 + 1
    assert len(listings) <= 1
    proxy.meet()
    assert lab.placet("push").json["objects"] == 0
    assert proxy.count("PUT", "files/") == 0
    assert not [one for one in proxy.asked if "list-type" in one.query]


def test_nothing_new_means_nothing_sent(lab, proxy):
    made = lab.fill(files=5)
    lab.placet("track", "data")
    lab.placet("push")
    name = min(made)
    (lab.root / "data" / name).write_bytes(b"changed")
    lab.placet("track", "data")
    proxy.meet()
    assert lab.placet("push").json["objects"] == 3
    assert proxy.count("PUT", "/files/|/sums/") == 3
    proxy.meet()
    lab.placet("fetch")
    assert proxy.count() == 0, "what the cache holds is not asked for"
