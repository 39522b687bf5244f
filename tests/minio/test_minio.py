"""MinIO itself: the contract of a store, refusals by role, promotion, scrub, and the decision with stock tools.

Most of it are the tests of other folders with another server behind the same fixture. Not part of `make test`
(it needs a `minio` program, which PyPI does not have): `make test-minio`.
"""

import json
import os
from base64 import b64decode

import pytest
from botocore.exceptions import ClientError

import placet.demo.world as stage
from contract import test_object_stores as stores_tests
from e2e import test_decision as decision
from governance import test_scrub_real as scrub_tests
from placet.core import layout
from placet.core.digest import digest
from placet.demo import cast
from placet.engine import transfer
from placet.engine.copying import copy_verified
from placet.errors import Refused
from placet.ports import StoreTraits
from placet.testing.minio import Minio, _statement
from placet.wire.data import open_store

pytestmark = pytest.mark.minio


class TestMinio(stores_tests._OnSeaweed):
    def test_its_traits(self, stores):
        """No way (a): it takes no part by UploadPartCopy into an upload with SHA-256 checksums."""
        assert stores.store.traits() == StoreTraits(
            part_copy_sha256=False,
            versions=self.bucket == "versioned",
            verifies_sha256=True,
            conditional_put=True,
            conditional_complete=True,
        )


class TestMinioVersioned(TestMinio):
    bucket = "versioned"


class TestMinioWithoutTraits(stores_tests.TestSeaweedWithoutTraits):
    pass


TestVersionCopy = stores_tests.TestVersionCopy
test_a_source_that_the_target_cannot_read_is_streamed = (
    stores_tests.test_a_source_that_the_target_cannot_read_is_streamed
)
test_what_is_denied_in_publication_is_tried = stores_tests.test_what_is_denied_in_publication_is_tried
test_old_versions_are_hidden_from_readers = stores_tests.test_old_versions_are_hidden_from_readers
test_a_reader_shows_no_traits_and_writes_nothing = (
    stores_tests.test_a_reader_shows_no_traits_and_writes_nothing
)


def test_a_bucket_policy_binds_nobody_with_a_credential(minio):
    """Whatever its principals: only users' own policies count, and none of them for the root user."""
    client, (access, _) = minio.server.client(), minio.server.credentials("writer")
    names = ["*", access, f"arn:aws:iam:::user/{access}", f"arn:aws:iam::000000000000:user/{access}"]
    for name in names:
        statement = {
            "Effect": "Deny",
            "Principal": {"AWS": [name]},
            "Action": ["s3:PutObject"],
            "Resource": ["arn:aws:s3:::target/*"],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        client.put_bucket_policy(Bucket="target", Policy=policy)
        minio.server.client("writer").put_object(Bucket="target", Key="policy", Body=b"x")
    client.delete_bucket_policy(Bucket="target")


def test_how_it_copies(minio):
    """What decides the ways of promotion: see docs/reference/remotes.md."""
    client, body = minio.server.client(), b"x" * (5 << 20)
    source = {"Bucket": "source", "Key": "how"}
    client.put_object(**source, Body=body)
    upload = client.create_multipart_upload(Bucket="target", Key="how", ChecksumAlgorithm="SHA256")
    with pytest.raises(ClientError, match="checksum missing"):
        client.upload_part_copy(
            Bucket="target", Key="how", UploadId=upload["UploadId"], PartNumber=1, CopySource=source
        )
    client.abort_multipart_upload(Bucket="target", Key="how", UploadId=upload["UploadId"])
    client.put_object(Bucket="target", Key="how", Body=b"there before")
    client.copy_object(
        Bucket="target", Key="how", CopySource=source, IfNoneMatch="*", ChecksumAlgorithm="SHA256"
    )
    found = client.head_object(Bucket="target", Key="how", ChecksumMode="ENABLED")
    assert found["ContentLength"] == len(body), "a condition on the destination of CopyObject is passed over"
    assert b64decode(found["ChecksumSHA256"]).hex() == digest(body).sha256


@pytest.mark.parametrize("versions", [True, False])
def test_roles_from_internal_to_publication_and_out_of_it(minio, versions):
    """Node, promoter, researcher, retraction, each with its own credential; way (b) where the source has versions."""
    server, body = minio.server, os.urandom(5 << 20)
    state = "Enabled" if versions else "Suspended"
    server.client().put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": state})
    key = layout.data_key(digest(body).md5)
    remotes = {"node": minio.remote("source"), "retraction": minio.remote("versioned", "alone")}
    remotes["promoter"] = minio.remote("versioned", "promoter")
    prefix = remotes["promoter"]["url"].rpartition("/")[2]
    internal = minio.remote("source", "promoter", remotes["node"]["url"].rpartition("/")[2])
    node, target = open_store(remotes["node"]), open_store(remotes["promoter"])
    assert node.put(key, [body], digest(body))
    way = copy_verified(open_store(internal), target, key, digest(body))
    assert way == ("version-copy" if versions else "stream")
    reader = open_store(minio.remote("versioned", "reader", prefix))
    assert transfer.prove(reader, key, digest(body))
    for denied in (lambda: reader.put("x", [b"x"], digest(b"x")), lambda: target.delete(key)):
        with pytest.raises(Refused):
            denied()
    allowed = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions", "s3:GetObject"]
    if versions:
        server.attach("alone", "retract", [_statement("Allow", allowed, "versioned")])
    retraction, place = server.client("alone"), {"Bucket": "versioned", "Key": f"{prefix}/{key}"}
    found = retraction.list_object_versions(Bucket="versioned", Prefix=place["Key"])["Versions"]
    for one in found:
        retraction.delete_object(**place, VersionId=one["VersionId"])
    left = server.client().list_object_versions(Bucket="versioned", Prefix=place["Key"])
    assert (len(found), "Versions" in left, "DeleteMarkers" in left) == (1, False, False)
    assert reader.head(key) is None


def test_a_key_may_be_the_folder_of_another(minio):
    client = minio.server.client()
    for key in ("folder", "folder/key"):
        client.put_object(Bucket="target", Key=key, Body=key.encode())
    assert client.get_object(Bucket="target", Key="folder")["Body"].read() == b"folder"
    assert client.get_object(Bucket="target", Key="folder/key")["Body"].read() == b"folder/key"


place, scrub = scrub_tests.place, scrub_tests.scrub
test_real_damage_is_found_repaired_and_explained = (
    scrub_tests.test_real_damage_is_found_repaired_and_explained
)
test_a_researcher_scrubs_from_a_clone = scrub_tests.test_a_researcher_scrubs_from_a_clone


@pytest.fixture(scope="module")
def world(tmp_path_factory, minio):
    """The demo's stage, with MinIO for its store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "Seaweed", Minio)
        with stage.World.start(stage.fresh_folder(tmp_path_factory.mktemp("world") / "stack")) as made:
            cast.make_keys(made)
            cast.begin(made)
            cast.settle(made)
            yield made


test_the_decision_works_verbatim_with_stock_tools = decision.test_the_decision_works_verbatim_with_stock_tools
