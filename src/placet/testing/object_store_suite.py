"""The contract of `placet.ports.ObjectStore`, executable: subclass it, give it stores, run it with pytest.

class TestMine(ObjectStoreContract):
    @pytest.fixture
    def stores(self):
        return Stores(store=..., other=..., write=..., forget=...)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from placet.core.digest import Digests, digest
from placet.errors import Conflict, Corrupt, NotFound
from placet.ports import ObjectStore
from placet.testing import twins

ODD_KEYS = (
    "files/md5/ab/cdef",
    "files/md5/ab/cdef.dir",
    "with space/and+plus",
    "percent/100%",
    "unicode/é/ü",
    "nfd/e\u0301",
    "question?&=#",
    "~tilde'(quote)*!",
    "long/" + "x" * 200,
)


@dataclass(frozen=True, slots=True)
class Stores:
    """What the suite needs of an adapter's test.

    Attributes:
        store: An empty store that may be written.
        source: Another store of the same service, from which `store` may copy.
        write: Writes raw bytes to a key of `source` behind the adapter's back.
    """

    store: ObjectStore
    source: ObjectStore
    write: Callable[[str, bytes], None]


def chunked(data: bytes, size: int = 65_536) -> Iterator[bytes]:
    """A stream of the data."""
    return (data[start : start + size] for start in range(0, len(data), size))


def _read(store: ObjectStore, key: str) -> bytes:
    return b"".join(store.get(key))


class ObjectStoreContract:
    """Every promise of the port, on one adapter."""

    @pytest.fixture
    def stores(self) -> Stores:
        """The stores of the adapter under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_what_is_put_is_got(self, stores: Stores, key: str) -> None:
        """Put, head, get and list agree, for odd keys too."""
        data = key.encode() * 3
        assert stores.store.put(key, chunked(data, 7), digest(data)) is True
        info = stores.store.head(key)
        assert info is not None
        assert info.size == len(data)
        assert info.sha256 in {None, digest(data).sha256}
        assert _read(stores.store, key) == data
        assert [one.key for one in stores.store.list(key[:4])] == [key]

    @pytest.mark.parametrize("size", [0, 1, 8 << 20, (8 << 20) + 1, (33 << 20) + 5])
    def test_every_size(self, stores: Stores, size: int) -> None:
        """Empty, small, and by parts."""
        data = os.urandom(size)
        assert stores.store.put("some/size", chunked(data, 1 << 20), digest(data))
        assert _read(stores.store, "some/size") == data

    @pytest.mark.parametrize("size", [100, 20 << 20])
    @pytest.mark.parametrize("wrong", ["sha256", "md5", "longer", "shorter"])
    def test_nothing_is_visible_of_other_bytes(self, stores: Stores, size: int, wrong: str) -> None:
        """A stream that is not what was wanted leaves nothing, by any difference."""
        data = os.urandom(size)
        want = digest(data)
        other = {
            "sha256": Digests(want.md5, "0" * 64, size),
            "md5": Digests("0" * 32, want.sha256, size),
            "longer": Digests(want.md5, want.sha256, size - 1),
            "shorter": Digests(want.md5, want.sha256, size + 1),
        }[wrong]
        with pytest.raises(Corrupt):
            stores.store.put("some/key", chunked(data, 1 << 20), other)
        assert stores.store.head("some/key") is None
        assert list(stores.store.list("some/")) == []

    def test_a_twin_is_not_taken_for_the_approved_bytes(self, stores: Stores) -> None:
        """The same MD5 and size, another SHA-256."""
        assert digest(twins.A).md5 == digest(twins.B).md5
        assert digest(twins.A).sha256 != digest(twins.B).sha256
        with pytest.raises(Corrupt):
            stores.store.put("twin", [twins.B], digest(twins.A))
        assert stores.store.head("twin") is None

    def test_nothing_is_replaced_unless_asked(self, stores: Stores) -> None:
        """The second put of a key leaves the first, where the service can refuse."""
        store = stores.store
        assert store.put("key", [b"first"], digest(b"first"))
        if store.traits().conditional_put:
            assert store.put("key", [b"second"], digest(b"second")) is False
            assert _read(store, "key") == b"first"
        assert store.put("key", [b"third"], digest(b"third"), overwrite=True)
        assert _read(store, "key") == b"third"

    def test_a_stream_that_breaks_leaves_nothing(self, stores: Stores) -> None:
        """The source's own error comes through."""

        def broken() -> Iterator[bytes]:
            yield b"x" * (17 << 20)
            raise Corrupt("the source broke", kind="test")

        with pytest.raises(Corrupt, match="the source broke"):
            stores.store.put("broken", broken(), Digests("0" * 32, "0" * 64, 30 << 20))
        assert stores.store.head("broken") is None

    def test_what_is_not_there(self, stores: Stores) -> None:
        """Absent keys are None, or NotFound; deleting them is silent."""
        assert stores.store.head("none") is None
        with pytest.raises(NotFound) as caught:
            _read(stores.store, "none")
        assert caught.value.kind == "no-object"
        assert list(stores.store.list("none/")) == []
        stores.store.delete("none")

    def test_deletion(self, stores: Stores) -> None:
        """A deleted object is gone from every view."""
        stores.store.put("key", [b"x"], digest(b"x"))
        stores.store.delete("key")
        assert stores.store.head("key") is None
        assert list(stores.store.list("")) == []

    def test_versions_are_the_newest_first_and_of_one_key(self, stores: Stores) -> None:
        """Each can be read where they are kept; else there is the object alone, whatever was there before."""
        store, contents = stores.store, (b"first", b"second!")
        assert list(store.versions("key")) == []
        for data in contents:
            store.put("key", [data], digest(data), overwrite=True)
            store.put("key.dir", [data], digest(data), overwrite=True)
        found = store.versions("key")
        assert not any(one.marker for one in found)
        if not store.traits().versions:
            assert [one.id for one in found] in ([None], ["null"])
            assert _read(store, "key") == b"second!"
            return
        assert [b"".join(store.get("key", version=one.id)) for one in found] == [*contents[::-1]]

    def test_deletion_of_versions(self, stores: Stores) -> None:
        """Hidden by a marker that can be taken away where versions are kept; gone for good by their ids."""
        store = stores.store
        for data in (b"first", b"second!"):
            store.put("key", [data], digest(data), overwrite=True)
            store.put("key.dir", [data], digest(data), overwrite=True)
        store.delete("key")
        assert store.head("key") is None
        found = store.versions("key")
        assert [one.marker for one in found] == ([True, False, False] if store.traits().versions else [])
        if found:
            store.delete("key", version=found[0].id)
            assert _read(store, "key") == b"second!"
        for one in store.versions("key"):
            for _ in range(2):
                store.delete("key", version=one.id)
        assert list(store.versions("key")) == []
        assert store.head("key") is None
        assert _read(store, "key.dir") == b"second!"

    def test_long_listings_are_whole(self, stores: Stores) -> None:
        """More than one page, exactly once each; a prefix is a prefix of the key, not a folder."""
        keys = {f"many/{number:04}" for number in range(1100)}
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda key: stores.store.put(key, [b"x"], digest(b"x")), keys))
        found = [one.key for one in stores.store.list("many/")]
        assert len(found) == len(keys)
        assert set(found) == keys
        assert {one.key for one in stores.store.list("many/00")} == {key for key in keys if key[5:7] == "00"}

    @pytest.mark.parametrize("size", [100, 6 << 20])
    def test_copies_are_verified_before_they_are_visible(self, stores: Stores, size: int) -> None:
        """`copy_from` copies exactly the wanted bytes, or says that it cannot."""
        data = os.urandom(size)
        stores.write("copied", data)
        way = stores.store.copy_from(stores.source, "copied", digest(data))
        if way is None:
            assert stores.store.head("copied") is None
            return
        assert _read(stores.store, "copied") == data
        with pytest.raises(Conflict) as caught:
            stores.store.copy_from(stores.source, "copied", digest(data))
        assert caught.value.kind == "object-exists"

    @pytest.mark.parametrize("pad", [0, 6 << 20])
    def test_a_swapped_source_is_not_copied(self, stores: Stores, pad: int) -> None:
        """The source holds the approved bytes' MD5 twin: nothing becomes visible."""
        approved, evil = twins.A + bytes(pad), twins.B + bytes(pad)
        assert digest(approved).md5 == digest(evil).md5
        stores.write("swapped", evil)
        try:
            way = stores.store.copy_from(stores.source, "swapped", digest(approved))
        except Corrupt:
            way = None
        assert way is None
        assert stores.store.head("swapped") is None

    def test_a_sweep_takes_no_object(self, stores: Stores) -> None:
        """Whatever uploads it ends, objects stay; it may be done again."""
        store = stores.store
        store.put("kept", [b"x"], digest(b"x"))
        for _ in range(2):
            assert store.sweep({"kept", "none"}) == 0
        assert _read(store, "kept") == b"x"

    def test_two_writers_at_once(self, stores: Stores) -> None:
        """One of them wins, or both wrote the same; the object is whole."""
        data = os.urandom(100_000)
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda _: stores.store.put("race", chunked(data), digest(data)), range(8)))
        if stores.store.traits().conditional_put:
            assert won.count(True) == 1
        assert _read(stores.store, "race") == data

    def test_an_address_shows_no_secret(self, stores: Stores) -> None:
        """Neither address nor repr hold a credential."""
        text = f"{stores.store!r} {stores.store.address!r}"
        assert "secret" not in text.lower()
