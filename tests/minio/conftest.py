"""The tests of other folders on MinIO: the fixture `seaweed`, which gives them a server, gives them this one."""

import pytest

from buckets import IDENTITIES, Buckets
from placet.testing.minio import Minio, lacking


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory):
    reason = lacking()
    if reason:
        pytest.skip(reason)
    with Minio(tmp_path_factory.mktemp("minio"), identities=IDENTITIES) as server:
        yield Buckets(server)


@pytest.fixture(scope="session")
def minio(seaweed):
    return seaweed
