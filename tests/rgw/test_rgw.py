"""The contract of a store, and the data plane, on Ceph's gateway: a second S3 server of other make.

It drops checksum headers and knows no condition on completion, so what Placet does without them is tried for
real. Not part of `make test` (it takes a minute, and packages of Debian): `make test-rgw`.
"""

from __future__ import annotations

import itertools
import os

import pytest

from faults.lab import Lab, md5_key
from placet.adapters.objects import s3copy
from placet.adapters.objects.multipart import Upload
from placet.core.digest import digest, sha256_hex
from placet.engine.copying import copy_verified
from placet.errors import NotFound, Refused
from placet.ports import StoreTraits
from placet.testing import twins
from placet.testing.object_store_suite import ObjectStoreContract, Stores
from placet.testing.rgw import Rgw, lacking
from placet.testing.trouble import Answer, Call, CorruptBody, LoseAnswer, Reset, Rule, TroubleProxy
from placet.wire import data as wire

pytestmark = pytest.mark.rgw
_numbers = itertools.count()


@pytest.fixture(scope="session")
def rgw(tmp_path_factory):
    reason = lacking()
    if reason:
        pytest.skip(reason)
    with Rgw(tmp_path_factory.mktemp("rgw") / "ceph") as found:
        for name in ("source", "target"):
            found.client().create_bucket(Bucket=name)
        found.client().create_bucket(Bucket="versioned")
        found.client().put_bucket_versioning(
            Bucket="versioned", VersioningConfiguration={"Status": "Enabled"}
        )
        yield found


def remote(rgw: Rgw, bucket: str, endpoint: str = "") -> dict[str, str]:
    access, secret = rgw.credentials()
    return {
        "url": f"s3://{bucket}/p{next(_numbers)}",
        "endpointurl": endpoint or rgw.endpoint,
        "access_key_id": access,
        "secret_access_key": secret,
    }


class TestRgw(ObjectStoreContract):
    bucket = "target"

    @pytest.fixture
    def stores(self, rgw):
        source = wire.open_store(remote(rgw, "source"))

        def write(key: str, data: bytes) -> None:
            rgw.client().put_object(Bucket="source", Key=f"{source.address.prefix}/{key}", Body=data)

        return Stores(wire.open_store(remote(rgw, self.bucket)), source, write)

    def test_its_traits(self, stores):
        """In a bucket with versions RGW 16 passes `If-None-Match` over."""
        versioned = self.bucket == "versioned"
        assert stores.store.traits() == StoreTraits(versions=versioned, conditional_put=not versioned)

    def test_an_unfinished_upload_is_aborted(self, stores, rgw):
        def breaks():
            yield b"x" * (17 << 20)
            raise RuntimeError("it broke")

        with pytest.raises(RuntimeError):
            stores.store.put("broken", breaks(), digest(b"x" * (20 << 20)))
        listed = rgw.client().list_multipart_uploads(Bucket=self.bucket)
        assert listed.get("Uploads", []) == []


class TestRgwVersioned(TestRgw):
    bucket = "versioned"


def test_a_version_is_read_verified_and_copied(rgw):
    """The verified copy inside a service without checksums."""
    source, target = wire.open_store(remote(rgw, "versioned")), wire.open_store(remote(rgw, "target"))
    data = os.urandom(5 << 20)
    source.put("key", [data], digest(data))
    assert target.copy_from(source, "key", digest(data)) == "version-copy"
    assert b"".join(target.get("key")) == data


def test_a_version_is_copied_by_parts_and_what_was_left_is_ended(rgw, monkeypatch):
    """As above 5 GiB; a twin that replaces the newest version meanwhile is not what is copied."""
    monkeypatch.setattr(s3copy, "MAX_COPY", 5 << 20)
    monkeypatch.setattr(s3copy, "SPAN", 5 << 20)
    approved, evil = (one + bytes(6 << 20) for one in (twins.A, twins.B))
    want = digest(approved)
    with TroubleProxy(rgw.endpoint) as proxy:
        source = wire.open_store(remote(rgw, "versioned", proxy.endpoint))
        target = wire.open_store(remote(rgw, "target", proxy.endpoint))
        target.traits()
        source.put("key", [approved], want)
        Upload(*target.place("key"), {}).part(1, body=b"x", sha256=sha256_hex(b"x"))
        swap = Call(lambda _: source.put("key", [evil], digest(evil), overwrite=True))
        proxy.meet(Rule(swap, method="PUT", query="partNumber=2", times=1))
        assert copy_verified(source, target, "key", want) == "version-copy"
        assert [one.headers["x-amz-copy-source-range"] for one in proxy.asked if "partNumber" in one.query] == [
            "bytes=0-5242879", f"bytes=5242880-{want.size - 1}",
        ]  # fmt: skip
    assert b"".join(source.get("key")) == evil
    assert b"".join(target.get("key")) == approved
    assert target.sweep({"key"}) == 1
    assert target.sweep({"key"}) == 0


def test_refusals(rgw):
    with pytest.raises(NotFound) as caught:
        list(wire.open_store(remote(rgw, "no-such-bucket")).list(""))
    assert caught.value.kind == "no-bucket"
    wrong = wire.open_store({**remote(rgw, "target"), "secret_access_key": "wrong"})
    for ask in (lambda: list(wrong.list("")), lambda: wrong.head("x")):
        with pytest.raises(Refused) as denied:
            ask()
        assert "secret_access_key" in denied.value.mend


@pytest.mark.parametrize(
    "trouble", [Reset(), LoseAnswer(), Answer(503, "SlowDown"), CorruptBody(7)], ids=repr
)
def test_the_data_plane(rgw, tmp_path, trouble):
    """Every PUT meets the trouble once; what the service cannot confirm is read, and all of it comes back."""
    with TroubleProxy(rgw.endpoint) as proxy:
        lab = Lab((tmp_path / "project").resolve())
        lab.add_remote("main", remote(rgw, "target", proxy.endpoint))
        lab.add_remote("backup", remote(rgw, "target", proxy.endpoint))
        made = lab.fill(files=10)
        (lab.root / "big.bin").write_bytes(os.urandom(20 << 20))
        big = (lab.root / "big.bin").read_bytes()
        lab.placet("track", "data", "big.bin")
        proxy.meet(Rule(trouble, method="PUT", times=1, per_key=True))
        assert lab.placet("push").json["objects"] == 13
        proxy.meet()
        lab.placet("push", "-r", "backup")
        assert lab.placet("push").json["objects"] == 0
        key = md5_key(made[min(made)])
        prefix = lab.remotes["main"]["url"].removeprefix("s3://target/")
        rgw.client().put_object(Bucket="target", Key=f"{prefix}/{key}", Body=b"x")
        lab.forget("data", "big.bin")
        found = lab.placet("pull", "--verify").json["fetched"]
        assert [(one["key"], one["healed_from"]) for one in found["faults"]] == [(key, "backup")]
        assert (lab.tree(), (lab.root / "big.bin").read_bytes()) == (made, big)
