"""Every metafile that a Git repository ever held, also where Git's own listings would hide it."""

import os
import subprocess
from pathlib import Path

import pytest

from placet.adapters.git_past import GitPast
from placet.errors import Corrupt, Invalid

ENV = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
SUFFIXES = (".dvc", "dvc.lock")


class Git:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self("init", "-q", "-b", "main")
        self("config", "user.email", "t@placet.invalid")
        self("config", "user.name", "t")

    def __call__(self, *command: str, ok: bool = True) -> str:
        done = subprocess.run(
            ["git", *command], cwd=self.root, env=ENV, text=True, capture_output=True, check=False
        )
        assert not ok or done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, **files: str | None) -> None:
        for name, text in files.items():
            path = self.root / name.replace("__", "/").replace("_dvc", ".dvc")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text) if text is not None else path.unlink()
        self("add", "-A")
        self("commit", "-q", "-m", "m", "--allow-empty")

    def held(self, *, tips: bool = False) -> dict[str, set[str]]:
        past = GitPast.open(self.root, ENV)
        files = past.files(SUFFIXES, tips=tips)
        texts = dict(past.read(one.blob for one in files))
        out: dict[str, set[str]] = {}
        for one in files:
            out.setdefault(one.path, set()).add(texts[one.blob].decode())
        return out


@pytest.fixture
def git(tmp_path):
    return Git(tmp_path / "repo")


def test_an_empty_repository_and_none(git, tmp_path):
    assert git.held() == git.held(tips=True) == {}
    assert GitPast.open(tmp_path, ENV) is None


def test_what_was_deleted_moved_and_copied(git):
    git.commit(aaa="1", d__x_dvc="1")
    git.commit(d__x_dvc="2")
    git("mv", "d", "e f\tg")
    git.commit(d__x_dvc="3")
    git.commit(d__x_dvc=None)
    assert git.held() == {"d/x.dvc": {"1", "2", "3"}, "e f\tg/x.dvc": {"2"}}
    assert git.held(tips=True) == {"e f\tg/x.dvc": {"2"}}


def test_sides_that_a_merge_threw_away_and_what_only_a_merge_has(git):
    git.commit(x_dvc="base")
    git("checkout", "-q", "-b", "side")
    git.commit(x_dvc="side")
    git("checkout", "-q", "main")
    git.commit(y="main")
    git("merge", "-q", "--no-commit", "-s", "ours", "side")
    (git.root / "x.dvc").write_text("only in the merge")
    git("commit", "-q", "-a", "-m", "m")
    git("branch", "-D", "side")
    git.commit(x_dvc="after")
    assert git.held() == {"x.dvc": {"base", "side", "only in the merge", "after"}}
    assert git.held(tips=True) == {"x.dvc": {"after"}}


def test_tips_of_all_refs(git):
    git.commit(x_dvc="0", keep_dvc="k")
    git.commit(x_dvc="1")
    git("tag", "light")
    git("tag", "-a", "-m", "m", "heavy")
    git("tag", "-a", "-m", "m", "heavier", "heavy")
    git("checkout", "-q", "--orphan", "other")
    git.commit(x_dvc="2", keep_dvc=None)
    git("update-ref", "refs/remotes/origin/away", "HEAD")
    git("checkout", "-q", "main")
    git("branch", "-D", "other")
    git.commit(x_dvc="3")
    git("update-ref", "refs/exps/deep/one", "HEAD")
    git.commit(x_dvc="4")
    assert git.held() == {"x.dvc": {"0", "1", "2", "3", "4"}, "keep.dvc": {"k"}}
    assert git.held(tips=True) == {"x.dvc": {"1", "2", "3", "4"}, "keep.dvc": {"k"}}
    kinds = GitPast.open(git.root, ENV).kinds()
    assert kinds == {
        "branches": 1, "tags": 3, "remote-tracking branches": 1, "other refs": 1, "commits": 5,
    }  # fmt: skip


@pytest.mark.parametrize("tips", [False, True])
def test_stashes_indexes_and_other_work_trees(git, tmp_path, tips):
    git.commit(x_dvc="0")
    for number in (1, 2):
        (git.root / "x.dvc").write_text(f"index {number}")
        git("add", "x.dvc")
        (git.root / "x.dvc").write_text(f"stash {number}")
        (git.root / "new.dvc").write_text(f"untracked {number}")
        git("stash", "-q", "-u")
    git("worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    (tmp_path / "tree" / "x.dvc").write_text("detached")
    git("-C", str(tmp_path / "tree"), "commit", "-q", "-a", "-m", "m")
    (tmp_path / "tree" / "x.dvc").write_text("its index")
    git("-C", str(tmp_path / "tree"), "add", "-A")
    (git.root / "x.dvc").write_text("our index")
    git("add", "-A")
    held = git.held(tips=tips)
    assert held["new.dvc"] == {"untracked 1", "untracked 2"}
    assert held["x.dvc"] == {
        "0", "index 1", "index 2", "stash 1", "stash 2", "detached", "its index", "our index",
    }  # fmt: skip


def test_a_conflict_in_the_index(git):
    git.commit(x_dvc="base")
    git("checkout", "-q", "-b", "side")
    git.commit(x_dvc="theirs")
    git("checkout", "-q", "main")
    git.commit(x_dvc="ours")
    git("merge", "-q", "side", ok=False)
    assert git.held()["x.dvc"] == {"base", "theirs", "ours"}


def test_a_project_below_the_top(git):
    git.commit(sub__x_dvc="1", y_dvc="2")
    (git.root / "sub" / "x.dvc").write_text("3")
    git("add", "-A")
    past = GitPast.open(git.root / "sub", ENV)
    assert {one.path for one in past.files(SUFFIXES, tips=False)} == {"sub/x.dvc", "y.dvc"}


def test_lock_files_at_any_depth(git):
    git.commit(**{"dvc.lock": "1", "a__b__dvc.lock": "2", "dvc.yaml": "3", "links_dvc": "4"})
    (git.root / "other.dvc").symlink_to("links.dvc")
    git.commit()
    assert git.held() == {"dvc.lock": {"1"}, "a/b/dvc.lock": {"2"}, "links.dvc": {"4"}}


def test_what_cannot_be_read_whole(git, tmp_path):
    git.commit(x_dvc="1")
    git.commit(x_dvc="2")
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{git.root}", str(tmp_path / "s")], env=ENV, check=True
    )
    with pytest.raises(Invalid) as shallow:
        GitPast.open(tmp_path / "s", ENV)
    assert shallow.value.kind == "shallow-clone"
    blob = git("rev-parse", "HEAD~1:x.dvc").strip()
    (git.root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Corrupt) as lost:
        git.held()
    assert lost.value.kind == "git-failed"
    tree = git("rev-parse", "HEAD~1^{tree}").strip()
    (git.root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(Corrupt):
        git.held()


def test_many_blobs_come_in_batches(git, monkeypatch):
    monkeypatch.setattr("placet.adapters.git_past._BATCH_BYTES", 10)
    git.commit(**{f"f{number}_dvc": "x" * number for number in range(12)})
    assert {len(next(iter(one))) for one in git.held().values()} == set(range(12))


def test_a_repository_that_cannot_be_reached(git, tmp_path):
    git.commit(x_dvc="1")
    git("worktree", "add", "-q", str(tmp_path / "tree"))
    git.root.rename(tmp_path / "moved")
    with pytest.raises(Corrupt) as caught:
        GitPast.open(tmp_path / "tree", ENV)
    assert caught.value.kind == "git-failed"


def test_the_index_of_a_submodule(git, tmp_path):
    git.commit(x_dvc="0")
    whole = Git(tmp_path / "whole")
    whole("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(git.root), "sub")
    sub = whole.root / "sub"
    (sub / "x.dvc").write_text("its index")
    whole("-C", "sub", "add", "x.dvc")
    past = GitPast.open(sub, ENV)
    texts = dict(past.read(one.blob for one in past.files(SUFFIXES, tips=True)))
    assert set(texts.values()) == {b"0", b"its index"}
    whole("-C", "sub", "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    assert past.folders() == [sub, tmp_path / "tree"]
    assert set(GitPast.open(tmp_path / "tree", ENV).folders()) == {sub, tmp_path / "tree"}


def test_a_work_tree_that_is_not_here_now(git, tmp_path):
    git.commit(d__x_dvc="0")
    tree = tmp_path / "tree"
    git("worktree", "add", "-q", "--detach", str(tree))
    (tree / "d" / "x.dvc").write_text("its index")
    git("-C", str(tree), "add", "-A")
    git("worktree", "lock", str(tree))
    past = GitPast.open(git.root / "d", ENV)
    assert past.folders() == [git.root / "d", tree / "d"]
    tree.rename(tmp_path / "unplugged")
    assert git.held()["d/x.dvc"] == {"0", "its index"}
    assert past.folders() == [git.root / "d"]


@pytest.mark.parametrize("tips", [False, True])
@pytest.mark.parametrize("ref", ["refs/exps/stash", "refs/exps/celery/stash", "refs/exps/celery/failed"])
def test_queued_experiments(git, tips, ref):
    git.commit(x_dvc="0")
    for number in (1, 2):
        (git.root / "x.dvc").write_text(f"queued {number}")
        git("update-ref", "--create-reflog", ref, git("stash", "create").strip())
    git("checkout", "-q", "--force", ".")
    assert git.held(tips=tips)["x.dvc"] == {"0", "queued 1", "queued 2"}
    assert GitPast.open(git.root, ENV).kinds()["stashes"] == 2


@pytest.mark.parametrize("how", ["--merge", "--apply"])
def test_what_a_rebase_has_put_aside(git, how):
    git.commit(x_dvc="base", y="base")
    git("checkout", "-q", "-b", "side")
    git.commit(y="side")
    git("checkout", "-q", "main")
    git.commit(y="main")
    (git.root / "x.dvc").write_text("put aside")
    git("rebase", "-q", how, "--autostash", "side", ok=False)
    assert (git.root / "x.dvc").read_text() == "base"
    assert git.held()["x.dvc"] == git.held(tips=True)["x.dvc"] == {"base", "put aside"}


def test_what_a_merge_has_put_aside(git):
    git.commit(x_dvc="base", y="base")
    git("checkout", "-q", "-b", "side")
    git.commit(y="side")
    git("checkout", "-q", "main")
    git.commit(y="main")
    (git.root / "x.dvc").write_text("put aside")
    git("merge", "-q", "--autostash", "side", ok=False)
    assert (git.root / "x.dvc").read_text() == "base"
    assert git.held()["x.dvc"] == {"base", "put aside"}
