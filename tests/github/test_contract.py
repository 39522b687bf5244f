"""GitHub keeps the contract of the port, with an account's token and as a GitHub App."""

import pytest

from github.scene import GitHubScene
from placet.testing.forge_suite import ForgeContract


class TestWithToken(ForgeContract):
    many = 203

    @pytest.fixture
    def scene(self):
        return GitHubScene()


class TestAsApp(ForgeContract):
    many = 103

    @pytest.fixture
    def scene(self):
        return GitHubScene(app=True)
