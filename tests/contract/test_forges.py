"""Every forge keeps the contract of the port."""

import hashlib

import pytest

from placet.testing.forge_suite import ForgeContract
from placet.testing.memory_forge import MemoryForge


class MemoryScene:
    """The forge in memory, with branches that are names and numbers."""

    def __init__(self):
        self.heads = {"refs/heads/main": "0" * 40}
        self.pushes = 0
        self.forge = MemoryForge(lambda: self.heads)
        for name in (
            "account",
            "rename",
            "review",
            "dismiss",
            "say",
            "draft",
            "land",
            "statuses",
            "asked",
            "down",
        ):
            setattr(self, name, getattr(self.forge, name))

    def me(self):
        return self.forge.account("placet")

    def push(self, branch, *, force=False):
        self.pushes += 1
        self.heads[branch] = hashlib.sha1(f"{self.pushes}{force}".encode()).hexdigest()
        return self.heads[branch]

    def nowhere(self, *, organisation):
        del organisation
        return self.forge.nowhere()

    def cut(self, branch):
        del self.heads[branch]


class TestMemoryForge(ForgeContract):
    @pytest.fixture
    def scene(self):
        return MemoryScene()


def test_accounts_of_one_forge_in_memory():
    heads = {"refs/heads/proposals/x": "1" * 40}
    landed = []
    node = MemoryForge(lambda: heads, "node", land=landed.append)
    witness = node.acting("witness")
    node.opened("x", "proposals/x", "title", "text")
    assert witness.pull("proposals/x").author == node.account("node")
    witness.comment(1, "seen")
    assert node.remarks(1)[0].account.login == "witness"
    witness.remove("node")
    assert (witness.pull("proposals/x").author.id, witness.pull("proposals/x").author.login) == (0, "ghost")
    assert witness.account("node").id == 3
    assert node.merge("proposals/x", "1" * 40)
    assert landed == ["1" * 40]
