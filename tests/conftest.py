import pytest

from buckets import IDENTITIES, Buckets
from placet.testing.seaweed import Seaweed


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory):
    with Seaweed(tmp_path_factory.mktemp("seaweed"), identities=IDENTITIES) as server:
        yield Buckets(server)
