"""The Gitea adapter on Gitea itself. Not part of `make test` (Go must build it first): `make test-gitea`."""

import pytest

from gitea.scene import GiteaScene
from placet.testing.forge_suite import ForgeContract

pytestmark = pytest.mark.gitea


@pytest.fixture(scope="module")
def shared(gitea, tmp_path_factory):
    made = GiteaScene(gitea, tmp_path_factory.mktemp("scene"))
    yield made
    made.http.close()


class TestGitea(ForgeContract):
    @pytest.fixture
    def scene(self, shared):
        return shared


@pytest.fixture
def scene(gitea, tmp_path):
    made = GiteaScene(gitea, tmp_path)
    yield made
    made.http.close()
