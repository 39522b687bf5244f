"""The Git adapter passes the suite, by path and through a server; and what only Git has."""

import os
import subprocess

import pytest

from placet.adapters.forge.plain import PlainForge
from placet.adapters.git import GitRepo, WorkTree, init_bare, install_hook
from placet.errors import Corrupt, NotFound, Refused, Unavailable
from placet.ports import RefUpdate
from placet.testing.gitserver import GitServer
from placet.testing.repo_suite import MAIN, WHEN, RepoContract, Repos, write

ENV = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}


@pytest.fixture(params=["path", "server"])
def url(request, tmp_path):
    (tmp_path / "srv").mkdir()
    init_bare(tmp_path / "srv" / "ctrl.git", default_branch="published", max_input_bytes=1 << 20, environ=ENV)
    if request.param == "path":
        yield str(tmp_path / "srv" / "ctrl.git")
        return
    with GitServer(tmp_path / "srv") as server:
        yield server.url("ctrl.git")


@pytest.fixture
def repos(tmp_path, url):
    mine = GitRepo.cache(tmp_path / "mine.git", url, ENV)
    yours = GitRepo.cache(tmp_path / "yours.git", url, ENV)
    yield Repos(mine, yours)
    mine.close()
    yours.close()


def git(*arguments, cwd):
    env = {**ENV, "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x", "GIT_COMMITTER_NAME": "x"}
    env["GIT_COMMITTER_EMAIL"] = "x@x"
    done = subprocess.run(["git", *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class TestGit(RepoContract):
    @pytest.fixture
    def repos(self, repos):
        return repos


def test_links_submodules_and_modes_are_shown(tmp_path, repos):
    clone = tmp_path / "clone"
    git("init", "-q", str(clone), cwd=tmp_path)
    (clone / "link").symlink_to("/etc/passwd")
    (clone / "run").write_text("#!/bin/sh\n")
    (clone / "run").chmod(0o755)
    git("add", "link", "run", cwd=clone)
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub", cwd=clone)
    git("commit", "-q", "-m", "odd", cwd=clone)
    repo = GitRepo.clone(clone, ENV)
    head = git("rev-parse", "HEAD", cwd=clone)
    assert {path: one.mode for path, one in repo.tree(head).items()} == {
        "link": "120000",
        "run": "100755",
        "sub": "160000",
    }
    assert {one.path: one.mode for one in repo.line(head)[0].changes}["link"] == "120000"
    repo.close()


def test_a_hostile_message_or_path_changes_nothing(tmp_path, repos):
    message = f"x\n\n\x01{'1' * 40} \x02fake\x03:100644 100644 {'2' * 40} {'3' * 40} A"
    evil = f":000000 100644 {'0' * 40} {'1' * 40} A"
    root = repos.mine.commit(
        None, {evil: b"x", "b": b"b"}, parents=[], message=message, author="m", when=WHEN
    )
    (commit,) = repos.mine.line(root)
    assert commit.id == root
    assert {change.path for change in commit.changes} == {evil, "b"}
    assert commit.message.startswith("x\n")


def test_replace_refs_are_ignored(tmp_path, repos):
    real = write(repos.mine, None, {"a": b"real"})
    fake = write(repos.mine, None, {"a": b"fake"})
    git("--git-dir", str(tmp_path / "mine.git"), "replace", real, fake, cwd=tmp_path)
    assert repos.mine.read(repos.mine.tree(real)["a"].blob, 10) == b"real"
    assert repos.mine.read(repos.mine.line(real)[0].changes[0].blob, 10) == b"real"


def test_a_forced_remote_is_followed_exactly(tmp_path, url, repos):
    first = write(repos.mine, None, {"a": b"1"})
    repos.mine.push([RefUpdate(MAIN, None, first)])
    repos.yours.fetch()
    other = write(repos.yours, None, {"a": b"2"})
    bare = str(tmp_path / "srv" / "ctrl.git")
    git("--git-dir", bare, "fetch", "-q", "-f", str(tmp_path / "yours.git"), f"{other}:{MAIN}", cwd=tmp_path)
    repos.mine.fetch()
    assert repos.mine.refs() == {MAIN: other}


def test_the_hooks_words_arrive(tmp_path, repos):
    install_hook(tmp_path / "srv" / "ctrl.git", "#!/bin/sh\necho 'error: not today' >&2\nexit 1\n")
    commit = write(repos.mine, None, {"a": b"a"})
    with pytest.raises(Refused) as caught:
        repos.mine.push([RefUpdate(MAIN, None, commit)])
    assert caught.value.kind == "push-refused"
    assert "not today" in caught.value.why
    repos.yours.fetch()
    assert repos.yours.refs() == {}


def test_an_oversized_push_is_refused(repos):
    commit = write(repos.mine, None, {"a": os.urandom(2 << 20)})
    with pytest.raises((Refused, Unavailable)):
        repos.mine.push([RefUpdate(MAIN, None, commit)])
    repos.yours.fetch()
    assert repos.yours.refs() == {}


def test_an_unreachable_remote_and_a_spoilt_cache(tmp_path):
    repo = GitRepo.cache(tmp_path / "a.git", "git://127.0.0.1:9/none.git", ENV)
    with pytest.raises(Unavailable) as caught:
        repo.fetch()
    assert caught.value.kind == "ctrl-unreachable"
    (tmp_path / "a.git" / "HEAD").unlink()
    with pytest.raises(Corrupt) as spoilt:
        GitRepo.cache(tmp_path / "a.git", "git://127.0.0.1:9/none.git", ENV)
    assert spoilt.value.kind == "cache-corrupt"
    with pytest.raises(NotFound):
        GitRepo.clone(tmp_path, ENV)


def test_a_work_tree_tells_what_git_tracks(tmp_path):
    git("init", "-q", ".", cwd=tmp_path)
    (tmp_path / "a").write_text("a")
    (tmp_path / ".gitignore").write_text("/b\n")
    git("add", "a", cwd=tmp_path)
    tree = WorkTree(tmp_path, ENV)
    assert tree.tracks(tmp_path / "a")
    assert not tree.tracks(tmp_path / "b")
    assert tree.ignores(tmp_path / "b")
    outside = WorkTree(tmp_path.parent, ENV)
    assert not outside.tracks(tmp_path.parent / "x")


def test_plain_git_has_no_pages():
    forge = PlainForge()
    assert forge.opened("a" * 32, "refs/heads/proposals/" + "a" * 32, "title", "body") is None
    assert forge.merge("a" * 32, "refs/heads/proposals/" + "a" * 32) is False
