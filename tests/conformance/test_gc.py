"""`placet gc` against stock DVC's own: what it keeps, ours keeps too, and everything still works."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from pathlib import Path

import pytest
from dvc.lock import HardlinkLock
from stock import FolderStore, Project

from placet.adapters.state import StateDb
from placet.client import Client
from placet.core import layout
from placet.core.mentions import Md5Set
from placet.engine import gclock
from placet.engine.disk import Cache
from placet.engine.gc import collect_cache, collect_remote
from placet.engine.gcsweep import Age, CacheBin, sweep
from placet.engine.needs import Needs
from placet.errors import Conflict, Invalid, NotFound, PlacetError, Refused, Unavailable
from placet.ports import ObjectInfo

REMOTE = "internal-storage"


@pytest.fixture
def project(new_project, monkeypatch, tmp_path) -> Project:
    made = new_project()
    for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
        monkeypatch.setenv(name, made.env[name])
    monkeypatch.setenv("PLACET_HOME", str(tmp_path / "home"))
    owned(made)
    return made


def owned(project: Project, *more: str) -> None:
    lines = ["[gc]", f'remotes = ["{REMOTE}"]', *more]
    (project.root / "placet.toml").write_text("\n".join(lines) + "\n")


def gc(project: Project, **options):
    with Client(project.root) as client:
        return client.gc(**{"remove": True, "older_than_s": 0, **options})


def track(project: Project, path: str, text: str | dict[str, str]) -> None:
    target = project.root / path
    if isinstance(text, str):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    else:
        shutil.rmtree(target, ignore_errors=True)
        for name, one in text.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(one)
    with Client(project.root) as client:
        client.track([target])


def commit(project: Project, message: str) -> None:
    project.git("add", "-A")
    project.git("commit", "-q", "-m", message)


def keys(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def cache(project: Project) -> Path:
    return project.root / ".dvc" / "cache"


def objects(folder: Path) -> set[str]:
    return {one for one in keys(folder) if one.startswith("files/md5/")}


def branchy(project: Project) -> None:
    """Objects that only this holds: a branch, a tag, a merged side, a stash, a pipeline, the work tree."""
    track(project, "data", {"a": "one", "b": "two", "deep/c": "three"})
    track(project, "model", "first")
    (project.root / "dvc.yaml").write_text(
        "stages:\n  make:\n    cmd: mkdir -p made && echo pipeline > made/x\n    outs: [made]\n"
    )
    project.dvc("repro", "-q")
    commit(project, "one")
    project.git("tag", "v1")
    track(project, "data", {"a": "one", "b": "changed"})
    commit(project, "two")
    project.git("checkout", "-q", "-b", "side", "v1")
    track(project, "data", {"a": "only on side"})
    track(project, "model", "side model")
    commit(project, "side")
    project.git("checkout", "-q", "main")
    project.dvc("checkout", "-q", "--force")
    for number in range(2):
        track(project, "model", f"stashed {number}")
        project.git("stash", "-q")
    project.dvc("checkout", "-q", "--force")
    track(project, "junk", {"a": "junk a", "b": "one"})
    track(project, "data", {"a": "uncommitted", "b": "two"})
    with Client(project.root) as client:
        client.push()
    (project.root / "junk.dvc").unlink()


def test_what_stock_gc_keeps_we_keep(project):
    branchy(project)
    project.dvc("push", "-q", "-A")
    ours, remote = cache(project), project.remote
    for folder in (ours, remote):
        shutil.copytree(folder, folder.with_name(f"{folder.name}-before"))
    project.dvc("gc", "-A", "-w", "-c", "-r", REMOTE, "-f")
    stock = {folder: objects(folder) for folder in (ours, remote)}
    for folder in (ours, remote):
        shutil.rmtree(folder)
        shutil.copytree(folder.with_name(f"{folder.name}-before"), folder)
    before = objects(ours)
    found = gc(project)
    assert stock[ours] <= objects(ours)
    assert found.all.objects == found.directories.objects + found.files.objects + found.lists.objects
    assert (found.directories.objects, found.files.objects, found.lists.objects) == (1, 1, 2)
    assert before - objects(ours) == {one for one in found.names if one.startswith("files/")}
    found = gc(project, remote=REMOTE)
    assert stock[remote] <= objects(remote)
    assert (found.directories.objects, found.files.objects) == (1, 1)
    assert "up to date" in project.dvc("status")
    assert "in sync" in project.dvc("status", "-c")
    project.git("checkout", "-q", "--force", "side")
    for revision in ("side", "v1", "main"):
        project.git("checkout", "-q", "--force", revision)
        project.dvc("checkout", "-q", "--force")
        assert "up to date" in project.dvc("status")
        assert "in sync" in project.dvc("status", "-c")
    shutil.rmtree(ours)
    project.dvc("pull", "-q")
    for _ in range(2):
        project.git("stash", "pop", "-q")
        assert (project.root / "model.dvc").exists()
        found = gc(project)
        assert not found.all.objects
        project.git("checkout", "-q", "--force", ".")


def test_every_stash_and_the_index_hold(project):
    branchy(project)
    track(project, "model", "staged")
    project.git("add", "model.dvc")
    track(project, "model", "newest")
    found = gc(project)
    assert found.roots["stashes"] == 2
    texts = {path.read_text() for path in (cache(project) / "files").rglob("*") if path.is_file()}
    assert {"stashed 0", "stashed 1", "staged", "newest", "side model", "first"} <= texts
    assert "junk a" not in texts


def test_tips_let_the_history_go(project):
    track(project, "data", {"a": "old", "b": "same"})
    commit(project, "one")
    project.git("tag", "v0")
    track(project, "data", {"a": "middle", "b": "same"})
    commit(project, "two")
    track(project, "data", {"a": "new", "b": "same"})
    commit(project, "three")
    assert not gc(project).all.objects
    assert gc(project, tips=True).files.objects == 1
    texts = {path.read_text() for path in (cache(project) / "files").rglob("*") if path.is_file()}
    assert {"old", "new", "same"} <= texts
    assert "middle" not in texts
    project.git("checkout", "-q", "v0")
    project.dvc("checkout", "-q")
    assert (project.root / "data" / "a").read_text() == "old"


def test_a_dry_run_changes_nothing(project):
    branchy(project)

    def everything() -> dict[str, tuple[int, int]]:
        roots = (project.root, project.remote)
        paths = [path for root in roots for path in root.rglob("*") if "placet/config.json" not in str(path)]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths if path.is_file()}

    before = everything()
    found = [gc(project, remove=False), gc(project, remove=False, remote=REMOTE)]
    assert everything() == before
    for one, folder in zip(found, (cache(project), project.remote), strict=True):
        assert not one.removed
        assert one.names[0].endswith(".dir")
        assert set(one.names) <= keys(folder)
        assert one.kept.objects + one.directories.objects + one.files.objects == len(objects(folder))


def test_foreign_files_are_never_touched(project):
    track(project, "data", {"a": "one"})
    junk = "files/md5/ab/" + "c" * 30
    foreign = [
        "runs/ab/cd/ef", "ab/" + "c" * 30, "ab/" + "c" * 30 + ".dir", "files/md5/ab/notes.txt", "files/md5/README",
        "files/md5/AB/" + "c" * 30, "files/md5/ab/" + "c" * 31, "files/md5/ab/" + "c" * 30 + ".dir.unpacked/x",
        "placet/dirs/ab/" + "c" * 30 + ".dir", "placet/other",
    ]  # fmt: skip
    for folder in (cache(project), project.remote):
        for name in (*foreign, junk):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")
        (folder / "files/md5/ab" / ("d" * 30)).symlink_to("notes.txt")
    assert gc(project).names == (junk,)
    assert set(foreign) <= keys(cache(project))
    assert (cache(project) / "files/md5/ab" / ("d" * 30)).is_symlink()
    assert junk in gc(project, remote=REMOTE).names
    assert set(foreign) <= keys(project.remote)


def test_unfinished_files_go_after_a_day(project, monkeypatch):
    track(project, "data", {"a": "one"})
    names = ["files/md5/ab/.x_Y-z.tmp", "placet/tmp/.0123.tmp", "placet/sums/ab/.0.tmp"]
    for name in names:
        (cache(project) / name).parent.mkdir(parents=True, exist_ok=True)
        (cache(project) / name).touch()
    assert not gc(project).temporary.objects
    now_s = CacheBin(Cache(cache(project))).now_s()
    monkeypatch.setattr(CacheBin, "now_s", lambda self: now_s + 86_500)
    assert gc(project).temporary.objects == 3
    assert not set(names) & keys(cache(project))


def test_what_came_just_now_stays(project):
    branchy(project)
    found = gc(project, older_than_s=None)
    assert not found.all.objects
    assert found.young.objects == 2
    assert gc(project, remote=REMOTE, older_than_s=None).young.objects == 2


def test_a_young_directory_keeps_its_old_files():
    listing = b'[{"md5": "%b", "relpath": "a"}, {"md5": "%b", "relpath": "b"}]' % (b"1" * 32, b"2" * 32)

    class Stub:
        def list(self, prefix):
            every = [ObjectInfo(layout.data_key(one * 32), 1, modified_s=0) for one in "123"]
            every.append(ObjectInfo(layout.data_key("4" * 32, is_dir=True), 1, modified_s=1000))
            return (one for one in every if one.key.startswith(prefix))

    class Quiet:
        def start(self, *args):
            return self

        def advance(self, *args): ...

        def done(self): ...

    shards = sweep(Stub(), Needs(), Age(1001, 10), {"4" * 32: listing}.get, 2, Quiet())
    assert [key for one in shards for key in one.file_keys()] == [layout.data_key("3" * 32)]
    assert sum(one.parts["young"].objects for one in shards if one.parts) == 3


class Fails(FolderStore):
    """Breaks down after some removals."""

    def __init__(self, root: Path, after: int) -> None:
        super().__init__(root)
        self.left = after

    def delete(self, key: str) -> None:
        if not self.left:
            raise Unavailable("The network is gone.", kind="store-unreachable")
        self.left -= 1
        super().delete(key)


def test_a_crash_never_leaves_a_directory_without_its_files(project, tmp_path, quiet):
    for number in range(3):
        track(project, "data", {"a": f"a{number}", "b": f"b{number}"})
        with Client(project.root) as client:
            client.push()
    full, caches = tmp_path / "full", [Cache(cache(project))]
    shutil.copytree(project.remote, full)
    listings = {one: (full / one).read_text() for one in objects(full) if one.endswith(".dir")}

    def run(store: FolderStore) -> None:
        collect_remote(
            "x", store, caches, Needs(), now_s=0, least_s=0, roots={}, forget=lambda: None, remove=True, jobs=1,
            progress=quiet,
        )  # fmt: skip

    for after in itertools.count():
        folder = tmp_path / f"try-{after}"
        shutil.copytree(full, folder)
        try:
            run(Fails(folder, after))
        except Unavailable:
            left = keys(folder)
            for key in left & set(listings):
                named = {layout.data_key(one) for one in _md5s(listings[key])}
                assert named <= left
            run(FolderStore(folder))
        else:
            break
        assert not keys(folder)
    assert after == 3 + 3 + 6


def _md5s(listing: str) -> list[str]:
    return listing.split('"')[3::8]


def test_a_directory_that_is_nowhere_stops_it(project):
    track(project, "data", {"a": "one", "b": "two"})
    commit(project, "one")
    track(project, "data", {"a": "one"})
    commit(project, "two")
    track(project, "junk", "junk")
    (project.root / "junk.dvc").unlink()
    gone = next(one for one in (cache(project) / "files").rglob("*.dir") if b"two" not in one.read_bytes() and b'"b"' in one.read_bytes())  # fmt: skip
    name, aside = gone.parent.name + gone.name, project.root.parent / "aside"
    (project.remote / "files/md5" / gone.parent.name).mkdir(parents=True)
    shutil.copy(gone, project.remote / gone.relative_to(cache(project)))
    gone.rename(aside)
    before = keys(cache(project))
    with_remote = gc(project, remove=False)
    assert (with_remote.files.objects, with_remote.unknown) == (1, ())
    (project.remote / gone.relative_to(cache(project))).chmod(0o644)
    (project.remote / gone.relative_to(cache(project))).write_text("not it")
    found = gc(project, remove=False)
    assert [(one.name, one.path) for one in found.unknown] == [(name, "data.dvc")]
    assert found.unknown[0].where.startswith("commit ")
    with pytest.raises(Refused) as caught:
        gc(project)
    assert caught.value.kind == "gc-unknown"
    assert f"--give-up {name}" in caught.value.mend
    assert keys(cache(project)) == before
    assert gc(project, give_up=[name]).files.objects == 2
    assert {path.read_text() for path in (cache(project) / "files").rglob("*") if path.is_file() and path.suffix != ".dir"} == {"one"}  # fmt: skip


def test_directories_that_dvc_does_not_cache_may_be_nowhere(project):
    (project.root / "in").mkdir()
    (project.root / "in" / "x").write_text("in")
    (project.root / "dvc.yaml").write_text(
        "stages:\n  make:\n    cmd: mkdir -p made && cp in/x made/x\n    deps: [in]\n"
        "    outs:\n    - made:\n        cache: false\n"
    )
    project.dvc("repro", "-q")
    assert (project.root / "dvc.lock").read_text().count(".dir") == 2
    commit(project, "one")
    assert gc(project).unknown == ()
    text = (project.root / "dvc.yaml").read_text()
    (project.root / "dvc.yaml").write_text(text.replace("cache: false", "desc: cached"))
    commit(project, "two")
    assert [one.path for one in gc(project, remove=False).unknown] == ["dvc.lock"]


def test_a_metafile_with_conflicts_holds_what_it_names(project):
    track(project, "one", "one")
    track(project, "two", "two")
    both = "".join((project.root / f"{one}.dvc").read_text() for one in ("one", "two"))
    (project.root / "one.dvc").write_text(f"<<<<<<< HEAD\n{both}=======\n>>>>>>> side\n")
    (project.root / "two.dvc").unlink()
    assert not gc(project).all.objects


def test_other_workspaces_hold_too(project, new_project):
    other = new_project("other")
    shared = project.root.parent / "shared"
    for one in (project, other):
        one.dvc("cache", "dir", "-q", str(shared))
        one.dvc("remote", "modify", "-q", REMOTE, "url", str(project.remote))
    track(project, "mine", "mine")
    track(other, "theirs", {"a": "theirs"})
    commit(other, "one")
    track(other, "theirs", {"a": "theirs now"})
    with Client(other.root) as client:
        client.push()
    with pytest.raises(Refused) as caught:
        gc(project)
    assert caught.value.kind == "gc-shared-cache"
    owned(project, "cache = true", 'workspaces = ["../other"]')
    assert not gc(project).all.objects
    assert not gc(project, remote=REMOTE).all.objects
    owned(project, "cache = true")
    assert gc(project, remove=False).files.objects == 2
    owned(project, "cache = true", 'workspaces = ["../nowhere"]')
    with pytest.raises(NotFound) as absent:
        gc(project)
    assert absent.value.kind == "no-dvc"


def test_a_remote_is_refused_unless_its_users_are_known(project):
    track(project, "data", "x")
    (project.root / "placet.toml").unlink()
    with pytest.raises(Refused) as caught:
        gc(project, remote=REMOTE)
    assert caught.value.kind == "gc-shared-remote"
    owned(project)
    project.dvc("remote", "add", "-q", "publication-storage", str(project.remote / "published"))
    with pytest.raises(Refused) as tier:
        gc(project, remote=REMOTE)
    assert tier.value.kind == "gc-publication-tier"
    with pytest.raises(Refused) as named:
        gc(project, remote="publication-storage")
    assert named.value.kind == "gc-publication-tier"


def test_a_shallow_clone_is_refused(project, tmp_path):
    branchy(project)
    commit(project, "rest")
    project.git("clone", "-q", "--depth", "1", f"file://{project.root}", str(tmp_path / "shallow"))
    with pytest.raises(Invalid) as caught:
        gc(Project(tmp_path / "shallow", project.env))
    assert caught.value.kind == "shallow-clone"


def test_a_track_that_runs_keeps_gc_away(project, monkeypatch):
    """A file whose object is old and unneeded is tracked: gc must not remove it before the `.dvc` is there."""
    monkeypatch.setattr("placet.engine.gclock._TRIES", 2)
    track(project, "data", {"a": "again"})
    (project.root / "data.dvc").unlink()
    real, refused = StateDb.tell_dvc, []

    def late(self, *rows) -> None:
        """Between finding the objects and writing the metafile."""
        with pytest.raises(Conflict) as caught:
            gc(project)
        refused.append(caught.value.kind)
        real(self, *rows)

    monkeypatch.setattr(StateDb, "tell_dvc", late)
    with Client(project.root) as client:
        client.track([project.root / "data"])
    assert refused == ["workspace-locked"]
    assert not gc(project).all.objects


def test_gc_keeps_everybody_else_away(project, monkeypatch):
    monkeypatch.setattr("placet.engine.gclock._TRIES", 2)
    track(project, "data", {"a": "one"})
    seen: list[str] = []
    real = CacheBin.delete

    def late(self, key: str) -> None:
        with Client(project.root) as client:
            for act in (lambda: client.track([project.root / "data"]), client.push, client.fetch):
                try:
                    act()
                except PlacetError as error:
                    seen.append(error.kind)
        seen.append(project.dvc("add", "x", ok=False))
        real(self, key)

    (project.root / "x").write_text("x")
    (cache(project) / "files/md5/ab").mkdir(parents=True, exist_ok=True)
    (cache(project) / "files/md5/ab" / ("c" * 30)).write_text("junk")
    monkeypatch.setattr(CacheBin, "delete", late)
    assert gc(project).files.objects == 1
    assert seen[:3] == ["workspace-locked"] * 3
    assert "Unable to acquire lock" in seen[3]


def test_dvc_pushes_again_what_was_removed(project, monkeypatch):
    """DVC believes its index of a remote; what gc removed must be forgotten there."""
    track(project, "data", {"a": "one", "b": "two"})
    project.dvc("push", "-q")
    text = (project.root / "data.dvc").read_text()
    (project.root / "data.dvc").unlink()
    assert gc(project, remote=REMOTE).files.objects == 2
    assert not objects(project.remote)
    (project.root / "data.dvc").write_text(text)
    track(project, "single", "one")
    project.dvc("push", "-q", "single.dvc")
    assert len(objects(project.remote)) == 1
    project.dvc("push", "-q")
    assert len(objects(project.remote)) == 3


def test_an_object_of_other_mode_and_a_cache_that_is_gone(project, quiet):
    assert not gc(project).all.objects
    track(project, "data", {"a": "one"})
    for path in (cache(project) / "files").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    assert not gc(project).all.objects
    needs = Needs(files=Md5Set(), dirs=set())
    found = collect_cache(
        Cache(cache(project)), needs, now_s=0, least_s=0, roots={}, remove=True, jobs=2, progress=quiet
    )
    assert found.files.objects == found.directories.objects == 1
    assert not objects(cache(project))


def test_metafiles_beside_their_namesake_are_found(project):
    """`name.dvc` may track another path, and the folder `name` hold other metafiles."""
    track(project, "name", "data")
    text = (project.root / "name.dvc").read_text()
    (project.root / "name").rename(project.root / "real")
    (project.root / "name.dvc").write_text(text.replace("path: name", "path: real"))
    (project.root / ".gitignore").write_text("/real\n")
    (project.root / "name").mkdir()
    (project.root / "name" / "inner").write_text("inner")
    project.dvc("add", "-q", "name/inner")
    assert "up to date" in project.dvc("status")
    (project.root / "dangling.dvc").symlink_to("nowhere")
    assert not gc(project).all.objects


def test_another_nodes_directories_may_be_nowhere(project):
    """In a clone of a Ctrl repository only this node's own outputs can be wanted back from here."""
    (project.root / ".placet").mkdir()
    (project.root / ".placet" / "policy.yaml").touch()
    folder = project.root / "artifacts" / "site-b"
    folder.mkdir(parents=True)
    (folder / "x.dvc").write_text(f"outs:\n- md5: {'a' * 32}.dir\n  hash: md5\n  path: x\n")
    assert gc(project).unknown == ()
    (project.root / "placet.toml").write_text('node = "site-b"\n')
    assert [one.path for one in gc(project, remove=False).unknown] == ["artifacts/site-b/x.dvc"]


def test_a_workspace_that_cannot_be_written_needs_no_lock(project, monkeypatch):
    def denied(workspace, how):
        raise Unavailable("Read-only.", kind="disk-denied")

    monkeypatch.setattr(gclock, "_lock", denied)
    with gclock.in_use(project.workspace()):
        pass
    with pytest.raises(Unavailable), gclock.alone([project.workspace()]):
        pass


def test_a_history_that_is_gone_is_not_taken_for_none(project):
    track(project, "data", "x")
    commit(project, "one")
    (project.root / ".git").rename(project.root / "git")
    with pytest.raises(Invalid) as caught:
        gc(project)
    assert caught.value.kind == "no-git-repository"
    project.dvc("config", "core.no_scm", "true")
    assert not gc(project).all.objects


def test_uncommitted_metafiles_of_linked_work_trees_hold(project, monkeypatch):
    monkeypatch.setattr("placet.engine.gclock._TRIES", 2)
    project.dvc("cache", "dir", "-q", "--local", str(cache(project)))
    commit(project, "one")
    tree = Project(project.root.parent / "tree", project.env)
    project.git("worktree", "add", "-q", "--detach", str(tree.root))
    shutil.copy(project.root / ".dvc" / "config.local", tree.root / ".dvc")
    track(tree, "data", {"a": "theirs"})
    assert not gc(project).all.objects
    with gclock.in_use(tree.workspace()), pytest.raises(Conflict):
        gc(project)
    (tree.root / "data.dvc").unlink()
    assert gc(project).files.objects == 1


def test_a_linked_work_tree_with_a_cache_of_its_own(project):
    commit(project, "one")
    tree = Project(project.root.parent / "tree", project.env)
    project.git("worktree", "add", "-q", "--detach", str(tree.root))
    track(tree, "data", {"a": "theirs"})
    found = gc(project)
    assert (found.unknown, found.all.objects) == ((), 0)
    assert len(objects(cache(tree))) == 2
    with Client(tree.root) as client:
        client.push()
    project.git("worktree", "add", "-q", "--detach", str(tree.root.with_name("fresh")))
    assert not gc(project, remote=REMOTE).all.objects
    (tree.root / "data.dvc").unlink()
    assert gc(project, remote=REMOTE).files.objects == 1


def test_an_experiment_that_runs_aside_holds(project):
    """`dvc exp run --temp` writes `dvc.lock` into a clone before there is any commit of it."""
    commit(project, "one")
    track(project, "data", {"a": "made"})
    clone = project.root / ".dvc" / "tmp" / "exps" / "standalone" / "tmpx"
    project.git("clone", "-q", str(project.root), str(clone))
    (project.root / "data.dvc").rename(clone / "data.dvc")
    assert not gc(project).all.objects
    shutil.rmtree(clone)
    assert gc(project).files.objects == 1


def test_a_hardlink_lock_is_dvcs_own(project):
    project.dvc("config", "core.hardlink_lock", "true")
    (project.root / ".dvc" / "tmp" / "lock").unlink(missing_ok=True)
    (project.root / "x").write_text("x")
    track(project, "data", "y")
    with Client(project.root) as client, client._wire.workspace.lock():
        assert "Unable to acquire lock" in project.dvc("add", "x", ok=False)
    project.dvc("add", "x")
    held = HardlinkLock(
        str(project.root / ".dvc" / "tmp" / "lock"), tmp_dir=str(project.root / ".dvc" / "tmp")
    )
    with held, pytest.raises(Conflict) as caught:
        gc(project)
    assert caught.value.kind == "workspace-locked"
    assert not gc(project).all.objects


def test_another_users_lock_is_shared(project, monkeypatch):
    """The file is 0644 and another's: it opens for reading only; an unreadable one stops the command."""
    monkeypatch.setattr("placet.engine.gclock._TRIES", 2)
    space, real = project.workspace(), os.open
    denied = {os.O_RDWR}

    def opened(path, flags, *mode, **more):
        if str(path).endswith("gc.lock") and flags & os.O_ACCMODE in denied:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, flags, *mode, **more)

    with gclock.alone([space]):
        monkeypatch.setattr(os, "open", opened)
        with pytest.raises(Conflict), gclock.in_use(space):
            pass
    with gclock.in_use(space):
        monkeypatch.setattr(os, "open", real)
        with pytest.raises(Conflict), gclock.alone([space]):
            pass
    monkeypatch.setattr(os, "open", opened)
    denied.add(os.O_RDONLY)
    with pytest.raises(Unavailable), gclock.in_use(space):
        pass


def test_what_was_proposed_is_read_under_the_lock(project, monkeypatch):
    """Else a proposal that comes between reading and locking would not count."""
    seen: list[str] = []

    def refuse(*_) -> None:
        with pytest.raises(Conflict), gclock.in_use(project.workspace()):
            pass
        seen.append("locked")

    monkeypatch.setattr("placet.engine.gclock._TRIES", 2)
    monkeypatch.setattr("placet.wire.gc._refuse", refuse)
    gc(project)
    assert seen == ["locked"]
