"""Every object-store adapter passes the same suite; the real server is SeaweedFS."""

import errno
import os
from pathlib import Path

import pytest

from placet.adapters.objects.local import LocalStore
from placet.adapters.objects.memory import MemoryStore
from placet.adapters.objects.open import open_store
from placet.adapters.objects.s3 import S3Store
from placet.core.digest import digest
from placet.errors import Corrupt, Invalid, NotFound, Refused, Unavailable
from placet.ports import StoreTraits
from placet.testing import twins
from placet.testing.object_store_suite import ObjectStoreContract, Stores
from placet.testing.seaweed import Seaweed
from placet.wire import data as wire

ALL = StoreTraits(part_copy_sha256=True, versions=True, verifies_sha256=True, conditional_put=True)


class TestMemory(ObjectStoreContract):
    @pytest.fixture(
        params=[ALL, StoreTraits(versions=True, conditional_put=True), StoreTraits(conditional_put=True)]
    )
    def stores(self, request):
        source = MemoryStore("source", traits=request.param)
        store = MemoryStore("target", traits=request.param)
        return Stores(
            store, source, lambda key, data: source.put(key, [data], digest(data), overwrite=True) and None
        )


class TestLocal(ObjectStoreContract):
    @pytest.fixture
    def stores(self, tmp_path):
        def write(key: str, data: bytes) -> None:
            path = tmp_path / "source" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

        return Stores(LocalStore(tmp_path / "target"), LocalStore(tmp_path / "source"), write)

    def test_objects_look_like_dvcs(self, tmp_path):
        store = LocalStore(tmp_path)
        store.put("files/md5/ab/c", [b"x"], digest(b"x"))
        (tmp_path / "files/md5/ab/.unfinished.tmp").write_bytes(b"half")
        assert (tmp_path / "files/md5/ab/c").stat().st_mode & 0o777 == 0o444
        assert [one.key for one in store.list("files/")] == ["files/md5/ab/c"]

    def test_a_key_never_leaves_the_folder(self, tmp_path):
        with pytest.raises(Refused):
            LocalStore(tmp_path).head("../outside")
        with pytest.raises(Refused):
            list(LocalStore(tmp_path).list("../"))

    def test_a_folder_is_no_object(self, tmp_path):
        store = LocalStore(tmp_path)
        store.put("files/md5/ab/c", [b"x"], digest(b"x"))
        assert store.head("files/md5") is None

    def test_a_place_that_cannot_be_looked_at_is_one_of_our_errors(self, tmp_path, monkeypatch):
        """Not only where it is written: before that it is asked whether the object is there."""

        def denied(*_args, **_options):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "stat", denied)
        with pytest.raises(Refused) as caught:
            LocalStore(tmp_path).put("key", [b"x"], digest(b"x"))
        assert caught.value.kind == "store-denied"

    def test_a_folder_that_cannot_be_listed_is_not_empty(self, tmp_path, monkeypatch):
        def scandir(path):
            raise PermissionError(errno.EACCES, "denied", str(path))

        monkeypatch.setattr(os, "scandir", scandir)
        with pytest.raises(Refused) as caught:
            list(LocalStore(tmp_path).list("files/"))
        assert caught.value.kind == "store-denied"

    def test_a_file_system_without_hard_links_does(self, tmp_path, monkeypatch):
        def link(*_):
            raise PermissionError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", link)
        store = LocalStore(tmp_path)
        assert store.put("key", [b"first"], digest(b"first")) is True
        assert store.put("key", [b"second"], digest(b"second")) is False
        assert b"".join(store.get("key")) == b"first"
        assert [path.name for path in tmp_path.iterdir()] == ["key"]


class _OnSeaweed(ObjectStoreContract):
    bucket = "target"
    traits: StoreTraits | None = None

    @pytest.fixture
    def stores(self, seaweed):
        source = wire.open_store(seaweed.remote("source"))
        found = wire.open_store(seaweed.remote(self.bucket))
        store = S3Store(found._service, found.address.prefix, self.traits)
        client = seaweed.server.client()

        def write(key: str, data: bytes) -> None:
            client.put_object(Bucket="source", Key=f"{source.address.prefix}/{key}", Body=data)

        return Stores(store, source, write)


class TestSeaweed(_OnSeaweed):
    def test_its_traits(self, stores):
        assert stores.store.traits() == StoreTraits(
            part_copy_sha256=True,
            versions=False,
            verifies_sha256=True,
            conditional_put=True,
            conditional_complete=True,
        )

    def test_probing_leaves_two_objects_at_most(self, stores):
        for _ in range(3):
            S3Store(stores.store._service, stores.store.address.prefix).traits()
        assert len(list(stores.store.list("placet/probe/"))) <= 2

    def test_an_aborted_upload_leaves_no_parts(self, stores, seaweed):
        with pytest.raises(Exception, match="broke"):
            stores.store.put("broken", _breaks(), digest(b"x" * (20 << 20)))
        listed = seaweed.server.client().list_multipart_uploads(
            Bucket="target", Prefix=f"{stores.store.address.prefix}/"
        )
        assert listed.get("Uploads", []) == []


class TestSeaweedVersioned(_OnSeaweed):
    bucket = "versioned"

    def test_its_traits(self, stores):
        assert stores.store.traits().versions

    def test_versioning_that_was_turned_on_after_the_first_probe_is_seen(self, seaweed):
        seaweed.server.create_bucket("versioned-later")
        remote = seaweed.remote("versioned-later", "admin")
        before = wire.open_store(remote).traits()
        assert before.conditional_put and not before.versions
        seaweed.server.client().put_bucket_versioning(
            Bucket="versioned-later", VersioningConfiguration={"Status": "Enabled"}
        )
        assert wire.open_store(remote).traits().versions


class TestSeaweedWithoutTraits(_OnSeaweed):
    """A service that can nothing of its own: every copy is streamed, every proof is read."""

    traits = StoreTraits()

    def test_no_proof_is_taken_from_the_service(self, stores):
        stores.store.put("key", [b"x"], digest(b"x"))
        assert stores.store.head("key").sha256 is None


class TestVersionCopy:
    def test_a_version_is_read_verified_and_copied(self, seaweed):
        source = wire.open_store(seaweed.remote("versioned"))
        target = S3Store(wire.open_store(seaweed.remote("target"))._service, "by-version", StoreTraits())
        data = b"v" * (5 << 20)
        source.put("key", [data], digest(data))
        assert target.copy_from(source, "key", digest(data)) == "version-copy"
        assert b"".join(target.get("key")) == data

    @pytest.mark.parametrize("moment", ["before the proof", "between proof and copy"])
    def test_a_twin_is_never_delivered(self, seaweed, moment, monkeypatch):
        """An ETag would let the twin through: it is the same for both. A version does not."""
        approved, evil = (one + bytes(5 << 20) for one in (twins.A, twins.B))
        source = wire.open_store(seaweed.remote("versioned"))
        target = S3Store(wire.open_store(seaweed.remote("target"))._service, moment, StoreTraits())
        source.put("key", [approved], digest(approved))
        swap, called = lambda: source.put("key", [evil], digest(evil), overwrite=True), []
        read = source.get

        def get(key, **options):
            yield from read(key, **options)
            called.append(swap())

        if moment == "before the proof":
            swap()
            with pytest.raises(Corrupt):
                target.copy_from(source, "key", digest(approved))
            assert target.head("key") is None
            return
        monkeypatch.setattr(source, "get", get)
        assert target.copy_from(source, "key", digest(approved)) == "version-copy"
        assert called == [True]
        assert b"".join(read("key")) == evil
        assert b"".join(target.get("key")) == approved


@pytest.mark.parametrize("traits", [None, StoreTraits()])
def test_a_source_that_the_target_cannot_read_is_streamed(seaweed, traits):
    """Separate credentials for the two tiers: no server-side way, and no failure."""
    data = os.urandom(5 << 20)
    source = wire.open_store(seaweed.remote("versioned"))
    source.put("key", [data], digest(data))
    target = S3Store(wire.open_store(seaweed.remote("target", "alone"))._service, "alone", traits)
    for key in ("key", "key"):
        assert target.copy_from(source, key, digest(data)) is None
        assert target.head(key) is None
    uploads = seaweed.server.client().list_multipart_uploads(Bucket="target", Prefix="alone/")
    assert uploads.get("Uploads", []) == []


def _breaks():
    yield b"x" * (17 << 20)
    raise RuntimeError("it broke")


DENIED = {
    "delete": lambda store, _client, _bucket, key: store.delete(key),
    "delete_version": lambda store, client, bucket, key: client.delete_object(
        Bucket=bucket, Key=f"{store.address.prefix}/{key}", VersionId=store.head(key).version
    ),
    "suspend": lambda _store, client, bucket, _key: client.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
    ),
    "lifecycle": lambda _store, client, bucket, _key: client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
        },
    ),
    "policy": lambda _store, client, bucket, _key: client.put_bucket_policy(Bucket=bucket, Policy="{}"),
    "bucket": lambda _store, client, bucket, _key: client.delete_bucket(Bucket=bucket),
}


@pytest.mark.parametrize("identity", ["promoter", "reader"])
@pytest.mark.parametrize("what", DENIED)
def test_what_is_denied_in_publication_is_tried(seaweed, identity, what):
    own = wire.open_store(seaweed.remote("versioned", prefix="denied"))
    own.put("key", [b"x"], digest(b"x"))
    store = wire.open_store(seaweed.remote("versioned", identity, prefix="denied"))
    with pytest.raises(Exception, match=r"AccessDenied|does not let"):
        DENIED[what](store, seaweed.server.client(identity), "versioned", "key")
    assert b"".join(own.get("key")) == b"x"


def test_old_versions_are_hidden_from_readers(seaweed):
    """A retracted object's bytes are not to be had by its version id; the promoter may prove them."""
    own = wire.open_store(seaweed.remote("versioned", prefix="hidden"))
    own.put("key", [b"x"], digest(b"x"))
    version = own.head("key").version
    reader = wire.open_store(seaweed.remote("versioned", "reader", prefix="hidden"))
    promoter = wire.open_store(seaweed.remote("versioned", "promoter", prefix="hidden"))
    assert b"".join(promoter.get("key", version=version)) == b"x"
    assert b"".join(reader.get("key")) == b"x"
    with pytest.raises(Refused):
        list(reader.get("key", version=version))


def test_a_reader_shows_no_traits_and_writes_nothing(seaweed):
    reader = wire.open_store(seaweed.remote("versioned", "reader"))
    assert reader.traits() == StoreTraits()
    assert list(reader.list("")) == []


def test_a_server_started_again_in_its_folder_keeps_its_objects(tmp_path):
    with Seaweed(tmp_path / "server") as server:
        server.create_bucket("kept")
        server.client().put_object(Bucket="kept", Key="key", Body=b"x")
    with server:
        assert server.client().get_object(Bucket="kept", Key="key")["Body"].read() == b"x"


def test_wrong_credentials_missing_bucket_and_dead_endpoint(seaweed):
    remote = seaweed.remote("source")
    with pytest.raises(Refused) as denied:
        list(wire.open_store({**remote, "secret_access_key": "wrong"}).list(""))
    assert denied.value.kind == "store-denied"
    admin = seaweed.remote("no-such-bucket", "admin")
    with pytest.raises(NotFound) as missing:
        list(wire.open_store(admin).list(""))
    assert missing.value.kind == "no-bucket"
    with pytest.raises(Unavailable) as dead:
        wire.open_store({**remote, "endpointurl": "http://127.0.0.1:9"}).head("x")
    assert dead.value.kind == "store-unreachable"


def test_options_that_cannot_be_honoured_are_refused(seaweed):
    remote = seaweed.remote("source")
    for endpoint in ("127.0.0.1:9000", "https://host/some/path", "ftp://host"):
        with pytest.raises(Invalid, match="no endpoint"):
            wire.open_store({**remote, "endpointurl": endpoint})
    with pytest.raises(Invalid, match="no endpoint") as shown:
        wire.open_store({**remote, "endpointurl": "https://me:hush@host"})
    assert "hush" not in str(shown.value)
    with pytest.raises(Invalid, match="Version-aware"):
        wire.open_store({**remote, "version_aware": True})


def test_credentials_come_from_where_aws_tools_look(tmp_path, seaweed):
    access, secret = seaweed.server.credentials("writer")
    file = tmp_path / "credentials"
    file.write_text(f"[lab]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n")
    remote = {"url": "s3://source/x", "endpointurl": seaweed.server.endpoint}
    named = wire.open_store({**remote, "profile": "lab", "credentialpath": str(file)})
    assert named.head("none") is None
    with pytest.raises(NotFound) as caught:
        open_store(remote, environ={"HOME": str(tmp_path)}, now=wire.SystemClock().now)
    assert caught.value.kind == "no-credentials"


def test_variables_come_before_the_default_profile_and_after_a_named_one(tmp_path):
    """As in AWS's tools; a profile that is not there is never replaced by somebody else's keys."""
    (tmp_path / ".aws").mkdir()
    file = tmp_path / ".aws/credentials"
    file.write_text("[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n")
    environ = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "VARIABLE", "AWS_SECRET_ACCESS_KEY": "s"}

    def key(**options):
        remote = {"url": "s3://source/x", "endpointurl": "http://127.0.0.1:9", **options}
        return open_store(remote, environ=environ, now=wire.SystemClock().now)._service.credentials.access_key

    assert key() == "VARIABLE"
    assert key(profile="default") == "FILE"
    assert key(access_key_id="OWN", secret_access_key="s") == "OWN"
    with pytest.raises(NotFound):
        key(profile="typo")
    del environ["AWS_ACCESS_KEY_ID"]
    assert key() == "FILE"
    file.write_text("no section\n")
    with pytest.raises(Invalid, match="no AWS configuration"):
        key()


def test_a_relative_local_remote_is_relative_to_dvcs_folder(tmp_path):
    store = wire.open_store({"url": "../remote"}, root=tmp_path / ".dvc")
    assert Path(store.address.prefix).name == "remote"
