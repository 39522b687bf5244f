"""The data plane on a service that can nothing of its own: no checksums, no conditional writes."""

from __future__ import annotations

import os

import pytest
from lab import Lab, md5_key, spoil

from placet.adapters.objects.local import LocalStore
from placet.config import load_settings
from placet.core.digest import digest
from placet.dataplane import DataPlane
from placet.engine.copying import copy_verified
from placet.engine.transfer import prove
from placet.errors import Corrupt
from placet.testing import twins
from placet.testing.object_store_suite import ObjectStoreContract, Stores
from placet.testing.poor_store import PoorStore
from placet.wire import data as wire


class TestPoorSeaweed(ObjectStoreContract):
    @pytest.fixture
    def stores(self, seaweed):
        source, store = (PoorStore(wire.open_store(seaweed.remote(one))) for one in ("source", "target"))

        def write(key: str, data: bytes) -> None:
            seaweed.server.client().put_object(
                Bucket="source", Key=f"{source.address.prefix}/{key}", Body=data
            )

        return Stores(store, source, write)


@pytest.fixture
def plane(lab: Lab, monkeypatch):
    """The data plane whose stores have lost their traits."""
    for name, value in lab.env.items():
        monkeypatch.setenv(name, value)
    inner = wire.DataWire.store
    stores: dict[str, PoorStore] = {}

    def store(self: wire.DataWire, remote: str) -> PoorStore:
        return stores.setdefault(remote, PoorStore(inner(self, remote)))

    monkeypatch.setattr(wire.DataWire, "store", store)
    with DataPlane(lab.root, settings=load_settings(lab.root)) as found:
        found.stores = stores
        yield found


def test_all_of_it_works(lab, plane):
    made = lab.fill(files=10)
    (lab.root / "big.bin").write_bytes(os.urandom(20 << 20))
    big = (lab.root / "big.bin").read_bytes()
    plane.track(["data", "big.bin"])
    assert plane.push().objects == 13
    assert plane.push().objects == 0
    assert len(lab.require_remote_sound()) == 12
    lab.forget("data", "big.bin")
    fetched, done = plane.pull(verify=True)
    assert (fetched.faults, done.files) == ((), 11)
    assert (lab.tree(), (lab.root / "big.bin").read_bytes()) == (made, big)


def test_a_corrupt_object_is_seen_by_reading_it(lab, plane):
    made = lab.fill(files=4)
    plane.track(["data"])
    plane.push(remote="main")
    plane.push(remote="backup")
    name = min(made)
    key = md5_key(made[name])
    lab.bucket.put_object(Bucket="target", Key=f"{lab.prefix}/main/{key}", Body=b"x" * len(made[name]))
    assert not prove(plane.stores["main"], key, digest(made[name]))
    assert prove(plane.stores["backup"], key, digest(made[name]))
    lab.forget("data")
    with pytest.raises(Corrupt) as caught:
        plane.pull()
    assert caught.value.kind == "digest-mismatch"
    (fault,) = plane.pull(verify=True)[0].faults
    assert (fault.path, fault.healed_from) == (f"data/{name}", "backup")
    assert lab.tree() == made


@pytest.mark.parametrize("pad", [0, 6 << 20])
def test_a_copy_is_proven_by_the_bytes_alone(tmp_path, pad):
    """MD5 and size of both are the same: without the service's help it is read, and refused."""
    approved, evil = twins.A + bytes(pad), twins.B + bytes(pad)
    source, target = (PoorStore(LocalStore(tmp_path / one)) for one in ("source", "target"))
    key = md5_key(approved)
    source.put(key, [evil], digest(evil))
    with pytest.raises(Corrupt):
        copy_verified(source, target, key, digest(approved))
    assert target.head(key) is None
    source.put(key, [approved], digest(approved))
    assert copy_verified(source, target, key, digest(approved)) == "stream"
    path = tmp_path / "target" / key
    spoil(path)
    assert not prove(target, key, digest(approved))
