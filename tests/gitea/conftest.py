import pytest

from placet.testing.gitea import Gitea, lacking


@pytest.fixture(scope="session")
def gitea(tmp_path_factory):
    reason = lacking()
    if reason:
        pytest.skip(reason)
    with Gitea(tmp_path_factory.mktemp("gitea")) as server:
        print(f"Gitea {server.version()}")
        yield server


@pytest.fixture(scope="module")
def gitea_alone(tmp_path_factory):
    """A server that a test may take down."""
    reason = lacking()
    if reason:
        pytest.skip(reason)
    with Gitea(tmp_path_factory.mktemp("gitea-alone")) as server:
        yield server
