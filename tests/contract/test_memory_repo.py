"""The repository in memory keeps every promise of the port, so that what generated tests find holds of Git."""

import pytest

from placet.errors import Refused
from placet.ports import RefUpdate
from placet.testing.memory_repo import MemoryRepo, MemoryServer
from placet.testing.repo_suite import MAIN, RepoContract, Repos, write


class TestMemory(RepoContract):
    @pytest.fixture
    def repos(self):
        server = MemoryServer()
        return Repos(MemoryRepo(server), MemoryRepo(server))


def test_the_hook_judges_what_is_pushed_and_not_what_is_forced():
    def never(repo, updates):
        assert repo.refs() == {}
        raise Refused("no", kind="push-refused")

    repo = MemoryRepo(MemoryServer(hook=never))
    update = RefUpdate(MAIN, None, write(repo, None, {"a": b"a"}))
    with pytest.raises(Refused):
        repo.push([update])
    assert repo.refs() == {}
    repo.force([update])
    assert set(repo.refs()) == {MAIN}


def test_a_folder_may_take_the_place_of_a_file_and_back():
    repo = MemoryRepo(MemoryServer())
    root = write(repo, None, {"a": b"1"})
    below = write(repo, root, {"a/b": b"2"})
    assert set(repo.tree(below)) == {"a/b"}
    assert set(repo.tree(write(repo, below, {"a": b"3"}))) == {"a"}
