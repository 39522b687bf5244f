import pytest

from agent.site import Site


@pytest.fixture
def site(seaweed, tmp_path):
    made = Site.make(seaweed, tmp_path / "site")
    yield made
    made.lab.repo.close()
