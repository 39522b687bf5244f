"""The contract of `placet.ports.Repo`, executable: subclass it, and give it two copies of one remote."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from placet.core.gitobject import head, object_id
from placet.core.limits import Bounds
from placet.errors import Conflict, Invalid, NotFound
from placet.ports import RefUpdate, Repo, TreeEntry

WHEN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MAIN = "refs/heads/main"
ODD_PATHS = (
    "plain",
    "with space",
    "quote\"and'quote",
    "ünïcode/é",
    "deep/er/and/deeper",
    "tab\tand\nnewline",
)


@dataclass(frozen=True, slots=True)
class Repos:
    """Two parties' own copies of one remote."""

    mine: Repo
    yours: Repo


def write(repo: Repo, base: str | None, files: dict[str, bytes | TreeEntry | None], *parents: str) -> str:
    """A commit on `base` with further parents behind it."""
    above = [*([base] if base else []), *parents]
    return repo.commit(base, files, parents=above, message="message\n\nbody", author="node", when=WHEN)


class RepoContract:
    """Every promise of the port, on one adapter."""

    @pytest.fixture
    def repos(self) -> Repos:
        """The repositories under test."""
        raise NotImplementedError

    def test_a_commit_says_what_it_changed(self, repos: Repos) -> None:
        """Added, changed, deleted, against the first parent; a root against nothing."""
        repo = repos.mine
        root = write(repo, None, {path: path.encode() for path in ODD_PATHS})
        second = write(repo, root, {"plain": b"changed", "with space": None, "new": b"new"})
        first_commit, second_commit = repo.line(second)
        assert [first_commit.id, second_commit.id] == [root, second]
        assert [change.path for change in first_commit.changes] == sorted(ODD_PATHS)
        changed = {change.path: change.blob for change in second_commit.changes}
        assert changed.keys() == {"plain", "with space", "new"}
        assert changed["with space"] == ""
        assert repo.read(changed["plain"], 100) == b"changed"
        assert second_commit.parents == (root,)
        assert second_commit.message.strip() == "message\n\nbody"

    def test_a_merge_changes_against_its_first_parent(self, repos: Repos) -> None:
        """Ancestry is not enough: a line is the first parents only."""
        repo = repos.mine
        root = write(repo, None, {"a": b"a"})
        side = write(repo, root, {"side": b"side"})
        blob = repo.tree(side)["side"]
        merged = write(repo, root, {"side": blob}, side)
        line = repo.line(merged)
        assert [commit.id for commit in line] == [root, merged]
        assert [change.path for change in line[1].changes] == ["side"]
        assert line[1].parents == (root, side)
        with pytest.raises(Conflict) as caught:
            repo.line(merged, after=side)
        assert caught.value.kind == "not-on-line"
        assert [commit.id for commit in repo.line(merged, after=root)] == [merged]
        assert list(repo.line(merged, after=merged)) == []

    def test_a_branch_is_read_within_bounds(self, repos: Repos) -> None:
        """Its own commits only, each with what it changes; more than the bounds is not read."""
        repo = repos.mine
        root = write(repo, None, {"a": b"a", "x/y": b"1", "x/z": b"2"})
        first = write(repo, root, {"x/y": b"changed", "x/z": None, "n/e/w": b"new"})
        side = write(repo, root, {"side": b"side"})
        last = write(
            repo, first, {"x": b"a file now", "n/e": b"this too", "side": repo.tree(side)["side"]}, side
        )
        found = repo.branch(last, {root}, Bounds())
        assert found == repo.line(last, after=root)
        assert [commit.id for commit in found] == [first, last]
        assert repo.branch(last, {root, first}, Bounds()) == repo.line(last, after=first)
        assert list(repo.branch(last, {last}, Bounds())) == []
        for bounds in (Bounds(commits=1), Bounds(changes=7), Bounds(tree_bytes=400), Bounds(depth=1)):
            with pytest.raises(Invalid) as caught:
                repo.branch(last, {root}, bounds)
            assert caught.value.kind == "too-large"
        with pytest.raises(Conflict) as lost:
            repo.branch(last, {side}, Bounds())
        assert lost.value.kind == "not-on-line"

    def test_trees(self, repos: Repos) -> None:
        """All files, or those of a folder; sizes and modes."""
        repo = repos.mine
        commit = write(repo, None, {"a/b": b"12345", "a/c/d": b"", "ab": b"x"})
        assert set(repo.tree(commit)) == {"a/b", "a/c/d", "ab"}
        assert set(repo.tree(commit, "a/")) == {"a/b", "a/c/d"}
        entry = repo.tree(commit)["a/b"]
        assert (entry.mode, entry.size) == ("100644", 5)
        assert repo.tree(commit, "none/") == {}

    def test_one_file_of_a_commit_is_found_without_its_tree(self, repos: Repos) -> None:
        """Folders and what is not there are no file."""
        repo = repos.mine
        commit = write(repo, None, {"a/b": b"1", "a/with space é": b"2", "c": b"3"})
        for path, entry in repo.tree(commit).items():
            assert repo.find(commit, path) == entry.blob
        assert [repo.find(commit, one) for one in ("a", "a/x", "x y 7", "")] == [None] * 4
        with pytest.raises(NotFound):
            repo.find("0" * 40, "c")

    def test_the_bytes_of_a_commit_hash_to_its_id(self, repos: Repos) -> None:
        """Raw bytes, as Git made them; every adapter makes the same of the same."""
        repo = repos.mine
        root = write(repo, None, {"a/b": b"x", "a-b": b"y", "a.b": b"z", "a": None})
        side = write(repo, root, {"side": b"x"})
        second = write(repo, root, {"a/c": b"x"}, side)
        for commit in (root, side, second):
            assert object_id("commit", repo.raw(commit)) == commit
        assert root == "ba41e08995afb88dc6d5b12e62c122c8d8043a37"
        assert head(repo.raw(second))[1:] == ((root, side), "message\n\nbody")
        with pytest.raises(NotFound):
            repo.raw("0" * 40)

    def test_a_file_makes_room_for_a_folder_and_back(self, repos: Repos) -> None:
        """And the commit says what became of both."""
        repo = repos.mine
        root = write(repo, None, {"a": b"a", "b/c": b"c", "b/d": b"d"})
        second = write(repo, root, {"a": None, "a/x": b"x", "b/c": None, "b/d": None, "b": b"b"})
        assert set(repo.tree(second)) == {"a/x", "b"}
        assert [one.path for one in repo.line(second)[-1].changes] == ["a", "a/x", "b", "b/c", "b/d"]

    def test_reading_is_bounded(self, repos: Repos) -> None:
        """Nothing larger than the limit is read; nothing absent is invented."""
        repo = repos.mine
        blob = repo.tree(write(repo, None, {"a": b"x" * 1000}))["a"].blob
        assert len(repo.read(blob, 1000)) == 1000  # noqa: PLR2004
        with pytest.raises(Invalid) as caught:
            repo.read(blob, 999)
        assert caught.value.kind == "too-large"
        for ident in ("0" * 40, "--all", "HEAD"):
            with pytest.raises(NotFound):
                repo.read(ident, 10)
            with pytest.raises(NotFound):
                repo.line(ident)

    def test_pushes_are_seen_by_others(self, repos: Repos) -> None:
        """After a fetch, and without what the remote has no more."""
        root = write(repos.mine, None, {"a": b"a"})
        branch = "refs/heads/proposals/" + "a" * 32
        repos.mine.push([RefUpdate(MAIN, None, root), RefUpdate(branch, None, root)])
        repos.yours.fetch()
        assert repos.yours.refs() == {MAIN: root, branch: root}
        assert repos.yours.refs("refs/heads/proposals/") == {branch: root}
        repos.yours.push(
            [RefUpdate(branch, root, None), RefUpdate("refs/placet/closed/" + "a" * 32, None, root)]
        )
        repos.mine.fetch()
        assert repos.mine.refs() == {MAIN: root, "refs/placet/closed/" + "a" * 32: root}

    def test_some_refs_are_fetched_and_no_others(self, repos: Repos) -> None:
        """Also those that are gone; what was not asked for stays as it was."""
        root = write(repos.mine, None, {"a": b"a"})
        one, two, other = "refs/heads/freezes/one", "refs/heads/freezes/two", "refs/heads/proposals/x"
        repos.mine.push([RefUpdate(ref, None, root) for ref in (MAIN, one, other)])
        repos.yours.fetch()
        later = write(repos.mine, root, {"b": b"b"})
        moved = [RefUpdate(ref, root, later) for ref in (MAIN, other)]
        repos.mine.push([*moved, RefUpdate(one, root, None), RefUpdate(two, None, later)])
        repos.yours.fetch([MAIN, "refs/heads/freezes/*"])
        assert repos.yours.refs() == {MAIN: later, two: later, other: root}
        assert repos.yours.line(later)[-1].parents == (root,)

    def test_a_push_is_compare_and_swap_and_atomic(self, repos: Repos) -> None:
        """All refs move, or none."""
        root = write(repos.mine, None, {"a": b"a"})
        repos.mine.push([RefUpdate(MAIN, None, root)])
        repos.yours.fetch()
        mine = write(repos.mine, root, {"b": b"mine"})
        yours = write(repos.yours, root, {"b": b"yours"})
        repos.mine.push([RefUpdate(MAIN, root, mine)])
        other = "refs/heads/other"
        with pytest.raises(Conflict) as caught:
            repos.yours.push([RefUpdate(other, None, yours), RefUpdate(MAIN, root, yours)])
        assert caught.value.kind == "ref-moved"
        with pytest.raises(Conflict):
            repos.yours.push([RefUpdate(MAIN, None, yours)])
        repos.yours.fetch()
        assert repos.yours.refs() == {MAIN: mine}

    def test_one_of_many_racing_pushes_wins(self, repos: Repos) -> None:
        """Everybody else is told."""
        root = write(repos.mine, None, {"a": b"a"})
        repos.mine.push([RefUpdate(MAIN, None, root)])

        def race(number: int) -> str | None:
            commit = write(repos.mine, root, {"b": str(number).encode()})
            try:
                repos.mine.push([RefUpdate(MAIN, root, commit)])
            except Conflict:
                return None
            return commit

        with ThreadPoolExecutor(8) as pool:
            won = [one for one in pool.map(race, range(8)) if one]
        repos.yours.fetch()
        assert won == [repos.yours.refs()[MAIN]]

    def test_many_commits_at_once(self, repos: Repos) -> None:
        """No index is shared: every commit has its own file, and nothing else."""
        root = write(repos.mine, None, {"a": b"a"})

        def one(number: int) -> set[str]:
            return set(repos.mine.tree(write(repos.mine, root, {f"file-{number}": b"x"})))

        with ThreadPoolExecutor(8) as pool:
            for number, paths in enumerate(pool.map(one, range(24))):
                assert paths == {"a", f"file-{number}"}
