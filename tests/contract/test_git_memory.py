"""The repository in memory passes the suite; and what it takes from a file is exactly what Git would have."""

import os

import pytest

from placet.adapters import gitmemory
from placet.adapters.git import GitRepo
from placet.adapters.git_server import init_bare
from placet.adapters.gitmemory import MemoryRepo, MemoryServer
from placet.core.gitobject import Tree, leaf
from placet.errors import Corrupt, Invalid, Refused
from placet.ports import Change, RefUpdate
from placet.testing.repo_suite import MAIN, ODD_PATHS, WHEN, RepoContract, Repos, write

ENV = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}


class TestMemory(RepoContract):
    @pytest.fixture
    def repos(self):
        server = MemoryServer()
        return Repos(MemoryRepo(server), MemoryRepo(server))


@pytest.fixture
def git(tmp_path):
    init_bare(tmp_path / "ctrl.git", default_branch="main", max_input_bytes=1 << 20, environ=ENV)
    repo = GitRepo.cache(tmp_path / "mine.git", str(tmp_path / "ctrl.git"), ENV)
    yield repo
    repo.close()


def history(repo):
    root = write(repo, None, {path: path.encode() for path in ODD_PATHS} | {"b/c": b"c", "b/d": b"d"})
    side = write(repo, root, {"side": b"s"})
    second = write(repo, root, {"plain": None, "plain/x": b"1", "deep/er/more": b"2"}, side)
    return write(repo, second, {"b/c": None, "b/d": None, "b": b"b"})


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


def test_the_same_commits_have_the_same_ids_as_with_git(git):
    assert history(git) == history(MemoryRepo(MemoryServer()))


def copied(git, tip):
    made = MemoryRepo(MemoryServer())
    for commit in git.line(tip):
        made.take(git.raw(commit.id), commit.changes)
    return made


def test_commits_of_git_are_taken_with_their_changes(git):
    tip = history(git)
    made = copied(git, tip)
    assert made.line(tip) == git.line(tip)
    assert made.tree(tip).keys() == git.tree(tip).keys()


LIES = {
    "one less": lambda changes: changes[:-1],
    "one more": lambda changes: (*changes, Change("zzz", "100644", "1" * 40)),
    "another blob": lambda changes: (Change(changes[0].path, "100644", "1" * 40), *changes[1:]),
    "another mode": lambda changes: (Change(changes[0].path, "100755", changes[0].blob), *changes[1:]),
    "another order": lambda changes: tuple(reversed(changes)),
    "one twice": lambda changes: (changes[0], *changes),
    "one that changes nothing": lambda changes: tuple(
        sorted((*changes, Change("ab", "100644", "UNCHANGED")), key=lambda one: one.path)
    ),
    "a deletion of nothing": lambda changes: (*changes, Change("zzz", "", "")),
    "too deep": lambda changes: (Change("a/" * 5000 + "a", "100644", "1" * 40), *changes),
    "no path": lambda changes: (Change("", "100644", "1" * 40), *changes),
    "no mode": lambda changes: (Change("A", "40000", "1" * 40), *changes),
}


@pytest.mark.parametrize("lie", LIES)
def test_changes_that_are_not_exactly_the_difference_are_refused(git, lie):
    root = write(git, None, {"ab": b"same", "x": b"1"})
    tip = write(git, root, {"x": b"2", "y/z": b"3"})
    made = copied(git, root)
    same = git.tree(root)["ab"].blob
    changes = tuple(
        Change(one.path, one.mode, same if one.blob == "UNCHANGED" else one.blob)
        for one in LIES[lie](git.line(tip)[-1].changes)
    )
    with pytest.raises((Corrupt, Invalid)) as caught:
        made.take(git.raw(tip), changes)
    assert caught.value.kind == "git-object"


def test_the_tree_is_what_refuses_changes_that_are_left_out(git, monkeypatch):
    root = write(git, None, {"x": b"1"})
    tip = write(git, root, {"x": b"2", "y": b"3"})
    made = copied(git, root)
    with pytest.raises(Corrupt):
        made.take(git.raw(tip), git.line(tip)[-1].changes[:1])
    monkeypatch.setattr(gitmemory, "require_tree", lambda *_: None)
    assert made.take(git.raw(tip), git.line(tip)[-1].changes[:1]) == tip


@pytest.mark.parametrize(
    "changes",
    [
        {"a": leaf("100644", "2" * 40)},
        {"b/x": leaf("100644", "2" * 40)},
        {"a": leaf("100644", "2" * 40), "a/x": None},
        {"a/x": None, "a/y": None, "a": leaf("100644", "2" * 40), "a/z": leaf("100644", "2" * 40)},
    ],
)
def test_a_folder_that_a_file_replaced_is_told_file_by_file(changes):
    """Else what reads the changes would go on with files that are not there."""
    one = leaf("100644", "1" * 40)
    before = Tree({}).changed({"a/x": one, "a/y": one, "b": one})
    with pytest.raises(Invalid):
        before.changed(changes, strict=True)
    after = before.changed({"a/x": None, "a/y": None, "a": one}, strict=True)
    assert dict(after.files()).keys() == {"a", "b"}


def test_a_repository_with_sha256_ids():
    repo = MemoryRepo(MemoryServer(digits=64))
    tip = repo.commit(None, {"a": b"x"}, parents=[], message="m", author="a", when=WHEN)
    assert len(tip) == len(repo.tree(tip)["a"].blob) == 64
    again = MemoryRepo(MemoryServer(digits=64))
    assert again.take(repo.raw(tip), repo.line(tip)[0].changes) == tip
