"""The Git adapter passes the suite, by path and through a server; and what only Git has."""

import os
import signal
import subprocess
import sys

import pytest

from placet.adapters.forge.plain import PlainForge
from placet.adapters.git import GitRepo
from placet.adapters.git_server import init_bare, install_hook
from placet.adapters.git_worktree import WorkTree
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Refused, Unavailable
from placet.ports import RefUpdate, TreeEntry
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


def test_grafts_are_ignored_and_a_shallow_line_is_refused(tmp_path, url, repos):
    root = write(repos.mine, None, {"a": b"1"})
    second = write(repos.mine, root, {"a": b"2"})
    repos.mine.push([RefUpdate(MAIN, None, second)])
    (tmp_path / "mine.git" / "info" / "grafts").write_text(f"{second}\n")
    assert [one.id for one in repos.mine.line(second)] == [root, second]
    git("clone", "-q", "--depth=1", "-b", "main", f"file://{tmp_path}/srv/ctrl.git", "short", cwd=tmp_path)
    short = GitRepo.clone(tmp_path / "short", ENV)
    with pytest.raises(Invalid) as caught:
        short.line(second)
    assert caught.value.kind == "shallow-clone"
    short.close()


def test_only_the_parents_that_git_follows_count(tmp_path, repos):
    root = write(repos.mine, None, {"a": b"1"})
    other = write(repos.mine, None, {"b": b"1"})
    bare = ("--git-dir", str(tmp_path / "mine.git"))
    text = git(*bare, "cat-file", "commit", write(repos.mine, root, {"a": b"2"}), cwd=tmp_path)
    (tmp_path / "forged").write_text(text.replace("\n\n", f"\nparent {other}\n\n", 1))
    forged = git(
        *bare, "hash-object", "--literally", "-w", "-t", "commit", str(tmp_path / "forged"), cwd=tmp_path
    )
    assert repos.mine.line(forged)[-1].parents == (root,)


def test_a_repository_cannot_hide_its_submodules(tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    git("init", "-q", str(clone), cwd=tmp_path)
    (clone / ".gitmodules").write_text('[submodule "s"]\n\tpath = s\n\turl = ./s\n\tignore = all\n')
    git("add", ".gitmodules", cwd=clone)
    for digit in "12":
        git("update-index", "--add", "--cacheinfo", f"160000,{digit * 40},s", cwd=clone)
        git("commit", "-q", "-m", digit, cwd=clone)
    monkeypatch.chdir(clone)
    repo = GitRepo.clone(clone, ENV)
    last = repo.line(git("rev-parse", "HEAD", cwd=clone))[-1]
    assert [(one.path, one.mode, one.blob) for one in last.changes] == [("s", "160000", "2" * 40)]
    repo.close()


def test_odd_names_of_refs_and_files_are_kept(tmp_path, repos):
    commit = write(repos.mine, None, {"a": b"1", os.fsdecode(b"\xff\xfe"): b"2"})
    assert set(repos.mine.tree(commit)) == {"a", os.fsdecode(b"\xff\xfe")}
    ref = "refs/heads/line\u2028\x85break"
    git("--git-dir", str(tmp_path / "mine.git"), "update-ref", ref, commit, cwd=tmp_path)
    assert repos.mine.refs() == {ref: commit}


@pytest.mark.parametrize(
    "change",
    [
        {"a\0b": b""},
        {"": b""},
        {"a": TreeEntry("040000", "1" * 40, 0)},
        {"a": TreeEntry("100644 x", "1" * 40, 0)},
    ],
)
def test_what_is_no_file_is_not_written(repos, change):
    with pytest.raises(Invalid) as caught:
        write(repos.mine, None, change)
    assert caught.value.kind == "unsafe-path"


def test_a_folder_may_take_the_place_of_a_file(repos):
    root = write(repos.mine, None, {"a": b"1"})
    assert set(repos.mine.tree(write(repos.mine, root, {"a/b": b"2", "a": None}))) == {"a/b"}


def test_only_commits_have_lines(repos):
    entry = repos.mine.tree(write(repos.mine, None, {"a": b"1"}))["a"]
    for ident in (entry.blob, "1" * 40):
        with pytest.raises(NotFound) as caught:
            repos.mine.line(ident)
        assert caught.value.kind == "no-commit"


_COMMITS = """
import os, sys
from pathlib import Path
from placet.adapters.git import GitRepo
from placet.ports import RefUpdate
from placet.testing.repo_suite import write
path, url, root, number = sys.argv[1:]
repo = GitRepo.cache(Path(path), url, os.environ)
repo.fetch()
commit = write(repo, root, {number: number.encode()})
repo.push([RefUpdate(f"refs/heads/proposals/{number}", None, commit)])
repo.close()
"""


@pytest.mark.parametrize("url", ["path"], indirect=True)
def test_many_processes_share_a_cache(tmp_path, url, repos):
    root = write(repos.mine, None, {"a": b"1"})
    repos.mine.push([RefUpdate(MAIN, None, root)])
    asked = [
        [sys.executable, "-c", _COMMITS, str(tmp_path / "new.git"), url, root, str(n)] for n in range(20)
    ]
    running = [subprocess.Popen(one, env=ENV, stderr=subprocess.PIPE, text=True) for one in asked]
    assert [(one.communicate()[1], one.returncode) for one in running] == [("", 0)] * 20
    repos.mine.fetch()
    proposals = repos.mine.refs("refs/heads/proposals/")
    for number in range(20):
        commit = proposals[f"refs/heads/proposals/{number}"]
        assert set(repos.mine.tree(commit)) == {"a", str(number)}


def test_a_push_can_be_repeated(repos):
    root = write(repos.mine, None, {"a": b"1"})
    branch = "refs/heads/other"
    for _ in range(2):
        repos.mine.push([RefUpdate(MAIN, None, root), RefUpdate(branch, None, root)])
    repos.mine.push([RefUpdate(branch, root, None)])
    repos.mine.push([])
    with pytest.raises(Conflict) as caught:
        repos.yours.push([RefUpdate(branch, root, None)])
    assert caught.value.kind == "ref-moved"
    with pytest.raises(NotFound):
        repos.mine.push([RefUpdate(branch, None, "1" * 40)])
    repos.yours.fetch()
    assert repos.yours.refs() == {MAIN: root}


def test_a_users_settings_push_nothing_else(tmp_path, url):
    (tmp_path / "config").write_text(
        "[push]\n\tfollowTags = true\n\tpushOption = x\n[fetch]\n\tfsckObjects = false\n[commit]\n\tgpgSign = true\n"
    )
    repo = GitRepo.cache(tmp_path / "own.git", url, {**ENV, "GIT_CONFIG_GLOBAL": str(tmp_path / "config")})
    root = write(repo, None, {"a": b"1"})
    git("--git-dir", str(tmp_path / "own.git"), "tag", "-a", "-m", "x", "v1", root, cwd=tmp_path)
    repo.push([RefUpdate(MAIN, None, root)])
    seen = git(
        "--git-dir", str(tmp_path / "srv" / "ctrl.git"), "for-each-ref", "--format=%(refname)", cwd=tmp_path
    )
    assert seen == MAIN
    repo.close()


def test_a_foreign_environment_changes_nothing(tmp_path, repos):
    root = write(repos.mine, None, {"a": b"1"})
    hostile = {
        "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere/index", "GIT_OBJECT_DIRECTORY": "/nowhere/objects",
        "GIT_WORK_TREE": "/nowhere", "GIT_NAMESPACE": "x", "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.bare", "GIT_CONFIG_VALUE_0": "nonsense", "GIT_EXTERNAL_DIFF": "/bin/false",
    }  # fmt: skip
    repo = GitRepo.cache(tmp_path / "mine.git", "none", {**ENV, **hostile})
    assert set(repo.tree(write(repo, root, {"b": b"2"}))) == {"a", "b"}
    repo.close()


def test_a_reader_that_was_killed_is_started_again(repos):
    blob = repos.mine.tree(write(repos.mine, None, {"a": b"1"}))["a"].blob
    assert repos.mine.read(blob, 1) == b"1"
    for one in repos.mine._reader._open.values():
        one.send_signal(signal.SIGKILL)
        one.wait()
    assert repos.mine.read(blob, 1) == b"1"


def test_damaged_objects_name_the_folder_to_remove(tmp_path, repos):
    commit = write(repos.mine, None, {"a": os.urandom(5000)})
    blob = repos.mine.tree(commit)["a"].blob
    for ident, use in (
        (blob, lambda: repos.mine.read(blob, 5000)),
        (commit, lambda: repos.mine.tree(commit)),
    ):
        file = tmp_path / "mine.git" / "objects" / ident[:2] / ident[2:]
        good = file.read_bytes()
        file.chmod(0o644)
        file.write_bytes(good[: len(good) // 2])
        with pytest.raises(Corrupt) as caught:
            use()
        assert caught.value.kind == "cache-corrupt"
        assert str(tmp_path / "mine.git") in caught.value.mend
        file.write_bytes(good)
        use()


def test_what_a_server_sends_is_checked(tmp_path, url, repos):
    bare = ("--git-dir", str(tmp_path / "srv" / "ctrl.git"))
    (tmp_path / "bad").write_bytes(b"160000 .git\0" + b"\1" * 20)
    tree = git(*bare, "hash-object", "--literally", "-w", "-t", "tree", str(tmp_path / "bad"), cwd=tmp_path)
    commit = git(*bare, "commit-tree", "-m", "x", tree, cwd=tmp_path)
    git(*bare, "update-ref", MAIN, commit, cwd=tmp_path)
    with pytest.raises(Corrupt) as caught:
        repos.mine.fetch()
    assert caught.value.kind == "cache-corrupt"
    assert repos.mine.refs() == {}


def test_a_password_in_the_url_is_not_shown(tmp_path):
    repo = GitRepo.cache(tmp_path / "a.git", "http://user:secret@127.0.0.1:9/403.git", ENV)
    with pytest.raises(Unavailable) as caught:
        repo.fetch()
    assert caught.value.kind == "ctrl-unreachable"
    assert "127.0.0.1:9/403.git" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_pushed_commit_is_seen_inside_the_hook_only(tmp_path, url, repos):
    bare = tmp_path / "srv" / "ctrl.git"
    script = (
        f"#!{sys.executable}\nimport os, sys\nfrom pathlib import Path\nfrom placet.adapters.git import GitRepo\n"
        f"sys.path[:] = {sys.path!r}\nold, new, ref = sys.stdin.read().split()\n"
        "repo = GitRepo.server(Path.cwd(), os.environ)\n"
        "print(sorted(repo.tree(new)), len(repo.line(new)), repo.refs(), file=sys.stderr)\nrepo.close()\nsys.exit(1)\n"
    )
    install_hook(bare, script)
    commit = write(repos.mine, None, {"a": b"1", "b": b"2"})
    with pytest.raises(Refused) as caught:
        repos.mine.push([RefUpdate(MAIN, None, commit)])
    assert "['a', 'b'] 1 {}" in caught.value.why
    server = GitRepo.server(bare, ENV)
    with pytest.raises(NotFound):
        server.tree(commit)
    server.close()


def test_an_installed_repository_is_made_again_without_harm(tmp_path):
    for branch in ("published", "published"):
        init_bare(tmp_path / "x.git", default_branch=branch, max_input_bytes=1 << 20, environ=ENV)
        install_hook(tmp_path / "x.git", "#!/bin/sh\n")
    assert git("symbolic-ref", "HEAD", cwd=tmp_path / "x.git") == "refs/heads/published"
    assert (tmp_path / "x.git" / "hooks" / "pre-receive").stat().st_mode & 0o777 == 0o755
    assert [one.name for one in (tmp_path / "x.git" / "hooks").glob(".*")] == []


def test_without_git_one_is_told_so(tmp_path):
    with pytest.raises(NotFound) as caught:
        GitRepo.cache(tmp_path / "a.git", "none", {**ENV, "PATH": str(tmp_path)})
    assert caught.value.kind == "no-git"


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
    GitRepo.cache(tmp_path / "a.git", "git://127.0.0.1:9/none.git", ENV)
    assert (tmp_path / "a.git" / "HEAD").exists()
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
    assert forge.merge("refs/heads/proposals/" + "a" * 32, "b" * 40) is False


def test_heads_are_those_of_the_server_now_and_nothing_is_fetched(tmp_path, repos):
    one = write(repos.mine, None, {"a": b"1"})
    repos.mine.push([RefUpdate(MAIN, None, one), RefUpdate("refs/placet/closed/x", None, one)])
    assert repos.yours.heads() == {MAIN: one}
    assert repos.yours.refs() == {}
    with pytest.raises(NotFound):
        repos.yours.raw(one)
    nowhere = GitRepo.cache(tmp_path / "nowhere.git", str(tmp_path / "no.git"), ENV)
    with pytest.raises(Unavailable) as caught:
        nowhere.heads()
    assert caught.value.kind == "ctrl-unreachable"
