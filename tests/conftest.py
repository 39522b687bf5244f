import os

import pytest

from buckets import IDENTITIES, Buckets
from placet.testing.seaweed import Seaweed


def pytest_xdist_auto_num_workers():
    """One more than there are cores, as a third of the time tests wait for servers and processes."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory):
    with Seaweed(tmp_path_factory.mktemp("seaweed"), identities=IDENTITIES) as server:
        yield Buckets(server)
