from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from stock import FolderStore, Project, fill

from placet.core import layout
from placet.core.dvcfile import encode_metafile, parse_canonical, read_metafile
from placet.engine.artifact import load_artifact
from placet.engine.checkout import checkout
from placet.engine.disk import chunks
from placet.engine.fetch import fetch
from placet.engine.push import push
from placet.engine.status import status
from placet.engine.track import track
from placet.errors import Conflict, Corrupt, Invalid, NotFound, PlacetError, Refused

JOBS = 4


def tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def objects(cache: Path) -> dict[str, bytes]:
    return tree(cache / "files")


def make(project: Project) -> list[str]:
    out = project.root / "out"
    out.mkdir()
    fill(out / "data")
    (out / "model.pkl").write_bytes(os.urandom(3_000_000))
    (out / "empty.txt").touch()
    (out / "odd [x] !name#.txt").write_text("odd")
    script = out / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return [f"out/{path.name}" for path in sorted(out.iterdir())]


def backdate(root: Path) -> None:
    """Make files old enough for our state database, which forgets those that changed just now."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, ns=(10**18, 10**18 + 123_456_789))


def test_track_is_dvc_add_to_the_byte(new_project, quiet):
    ours, theirs = new_project("ours"), new_project("theirs")
    paths = make(ours)
    shutil.copytree(ours.root / "out", theirs.root / "out", symlinks=True)
    theirs.dvc("add", "-q", *paths)
    tracked = track(ours.workspace(), paths, ours.state(), JOBS, quiet)
    assert [one.path for one in tracked] == paths
    for path in paths:
        name = f"{path}.dvc"
        assert (ours.root / name).read_bytes() == (theirs.root / name).read_bytes()
    ignored = (ours.root / "out" / ".gitignore").read_text().splitlines()
    assert sorted(ignored) == sorted((theirs.root / "out" / ".gitignore").read_text().splitlines())
    assert objects(ours.root / ".dvc" / "cache") == objects(theirs.root / ".dvc" / "cache")
    for path in (ours.root / ".dvc" / "cache" / "files").rglob("*"):
        assert path.is_dir() or path.stat().st_mode & 0o777 == 0o444
    for project in (ours, theirs):
        link = project.root / "out" / "data" / "link.csv"
        assert not link.is_symlink()
        assert link.read_text() == "a,b\n1,2\n"
    assert "up to date" in ours.dvc("status")
    assert ours.git("status", "--porcelain", "-uall").count("out/") == len(paths) + 1
    assert not list((ours.root / ".dvc" / "cache").rglob("*.tmp"))


def test_canonical_metafile_is_what_dvc_adds(project, quiet):
    paths = [path for path in make(project) if not path.endswith(".sh")]
    project.dvc("add", "-q", *paths)
    for path in paths:
        data = (project.root / f"{path}.dvc").read_bytes()
        if layout.unsafe(Path(path).name) is None:
            assert encode_metafile(parse_canonical(data)) == data


def test_dvc_status_hashes_nothing_after_track(project, quiet):
    paths = make(project)
    track(project.workspace(), paths, project.state(), JOBS, quiet)
    for path in (project.root / "out").rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix not in {".dvc", ""}:
            _falsify(path)
    assert "up to date" in project.dvc("status")


def _falsify(path: Path) -> None:
    """Change bytes behind the stamp: only who reads the file again can notice."""
    found = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"\xfe" * min(found.st_size, 4))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_unchanged_files_are_not_read_again(project, quiet):
    paths = make(project)
    backdate(project.root / "out")
    first = track(project.workspace(), paths, project.state(), JOBS, quiet)
    _falsify(project.root / "out" / "model.pkl")
    _falsify(project.root / "out" / "data" / "sub" / "é ü.bin")
    before = {path: (project.root / f"{path}.dvc").stat().st_mtime_ns for path in paths}
    assert track(project.workspace(), paths, project.state(), JOBS, quiet) == first
    assert before == {path: (project.root / f"{path}.dvc").stat().st_mtime_ns for path in paths}
    (project.root / "out" / "model.pkl").write_bytes(b"new")
    assert track(project.workspace(), paths, project.state(), JOBS, quiet) != first


def test_a_file_that_changed_just_now_is_read_again(project, quiet):
    path = project.root / "x.bin"
    path.write_bytes(b"one")
    (first,) = track(project.workspace(), ["x.bin"], project.state(), JOBS, quiet)
    _falsify(path)
    (second,) = track(project.workspace(), ["x.bin"], project.state(), JOBS, quiet)
    assert second.digests.sha256 != first.digests.sha256


def test_pushed_by_us_pulled_by_dvc(project, quiet):
    paths = make(project)
    want = tree(project.root / "out")
    track(project.workspace(), paths, project.state(), JOBS, quiet)
    store = FolderStore(project.remote)
    pushed = push(project.workspace(), store, [], project.state(), JOBS, quiet)
    assert pushed.objects == len([1 for kind, _ in store.calls if kind == "put"]) > 0
    keys = [key for kind, key in store.calls if kind == "put"]
    assert keys[-1].endswith(".dir")
    assert keys[-2].startswith("placet/sums/")
    shutil.rmtree(project.root / ".dvc" / "cache")
    for path in paths:
        target = project.root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    project.dvc("pull", "-r", "internal-storage")
    assert want.items() <= tree(project.root / "out").items()
    assert "up to date" in project.dvc("status")
    assert "in sync" in project.dvc("status", "-c")
    again = push(project.workspace(), store, [], project.state(), JOBS, quiet)
    assert (again.objects, again.size) == (0, 0)
    assert again.present == pushed.objects


def test_pushed_by_dvc_pulled_by_us(project, quiet):
    paths = make(project)
    want = tree(project.root / "out")
    project.dvc("add", "-q", *paths)
    project.dvc("push", "-q")
    loaded = load_artifact(project.workspace(), "out/data", project.state(), JOBS)
    shutil.rmtree(project.root / ".dvc" / "cache")
    shutil.rmtree(project.root / "out" / "data")
    (project.root / "out" / "run.sh").unlink()
    (project.root / "out" / "model.pkl").unlink()
    store = FolderStore(project.remote)
    fetched = fetch(project.workspace(), store, [], project.state(), JOBS, quiet)
    assert fetched.objects == len(objects(project.remote))
    done = checkout(project.workspace(), [], project.state(), JOBS, quiet)
    assert done.files == len([name for name in want if name.startswith("data/")]) + 2
    got = tree(project.root / "out")
    assert {name: got.get(name) for name in want} == want
    assert os.access(project.root / "out" / "run.sh", os.X_OK)
    assert "up to date" in project.dvc("status")
    assert load_artifact(project.workspace(), "out/data", project.state(), JOBS) == loaded
    assert fetch(project.workspace(), store, [], project.state(), JOBS, quiet).objects == 0
    assert checkout(project.workspace(), [], project.state(), JOBS, quiet).files == 0


def test_status_after_checkout_hashes_nothing(project, quiet):
    make(project)
    project.dvc("add", "-q", "out/data")
    project.dvc("push", "-q")
    shutil.rmtree(project.root / ".dvc" / "cache")
    shutil.rmtree(project.root / "out" / "data")
    fetch(project.workspace(), FolderStore(project.remote), ["out"], project.state(), JOBS, quiet)
    checkout(project.workspace(), ["out/data.dvc"], project.state(), JOBS, quiet)
    _falsify(project.root / "out" / "data" / "b.csv")
    assert "up to date" in project.dvc("status")


@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy"])
def test_link_types(project, quiet, kind):
    project.dvc("config", "cache.type", kind)
    paths = ["out/data", "out/model.pkl"]
    make(project)
    track(project.workspace(kind), paths, project.state(), JOBS, quiet)
    model = project.root / "out" / "model.pkl"
    out = read_metafile((project.root / "out" / "model.pkl.dvc").read_bytes()).outs[0]
    cached = project.root / ".dvc" / "cache" / out.key
    assert (model.stat().st_ino == cached.stat().st_ino) == (kind != "copy")
    assert model.is_symlink() == (kind == "symlink")
    assert "up to date" in project.dvc("status")
    assert status(project.workspace(kind), None, [], project.state(), JOBS).clean
    first = track(project.workspace(kind), paths, project.state(), JOBS, quiet)
    model.unlink()
    assert checkout(project.workspace(kind), [], project.state(), JOBS, quiet).files == 1
    assert (model.stat().st_ino == cached.stat().st_ino) == (kind != "copy")
    assert track(project.workspace(kind), paths, project.state(), JOBS, quiet) == first
    assert "up to date" in project.dvc("status")


def test_retrack_keeps_comments_and_meta_as_dvc_does(new_project, quiet):
    ours, theirs = new_project("ours"), new_project("theirs")
    for project in (ours, theirs):
        data = project.root / "d"
        data.mkdir()
        (data / "a").write_text("1")
        project.dvc("add", "-q", "d")
        file = project.root / "d.dvc"
        text = file.read_text().replace("  size: 1\n", "  size: 1 # bytes\n")
        file.write_text(
            "# head\n"
            + text
            + "  desc: what it is\n  labels: [x,   y]\n  meta:\n    owner: me\nmeta:\n  a: 1\n"
        )
        (data / "b").write_text("2")
    theirs.dvc("add", "-q", "d")
    track(ours.workspace(), ["d"], ours.state(), JOBS, quiet)
    assert (ours.root / "d.dvc").read_bytes() == (theirs.root / "d.dvc").read_bytes()
    before = (ours.root / "d.dvc").read_bytes()
    track(ours.workspace(), ["d"], ours.state(), JOBS, quiet)
    assert (ours.root / "d.dvc").read_bytes() == before


def test_dir_at_the_remote_never_stands_for_its_files(project, quiet):
    make(project)
    track(project.workspace(), ["out/data"], project.state(), JOBS, quiet)
    store = FolderStore(project.remote)
    push(project.workspace(), store, ["out/data"], project.state(), JOBS, quiet)
    victim = next(
        path for path in (project.remote / "files").rglob("*") if path.is_file() and path.suffix == ""
    )
    victim.unlink()
    change = status(project.workspace(), store, [], project.state(), JOBS).changes
    assert [(one.path, one.state, one.objects) for one in change] == [("out/data", "new", 1)]
    assert push(project.workspace(), store, ["out/data"], project.state(), JOBS, quiet).objects == 1
    assert victim.exists()


def test_a_corrupt_remote_object_never_enters_the_cache(project, quiet):
    make(project)
    project.dvc("add", "-q", "out/data", "out/model.pkl")
    project.dvc("push", "-q")
    out = read_metafile((project.root / "out" / "model.pkl.dvc").read_bytes()).outs[0]
    cache = project.root / ".dvc" / "cache"
    shutil.rmtree(cache)
    victim = project.remote / out.key
    victim.chmod(0o644)
    good = victim.read_bytes()
    for bad in (b"x" + good[1:], good[:-1], good + b"x"):
        victim.write_bytes(bad)
        with pytest.raises(Corrupt) as caught:
            fetch(project.workspace(), FolderStore(project.remote), [], project.state(), JOBS, quiet)
        assert caught.value.kind == "digest-mismatch"
        assert not (cache / out.key).exists()
        assert not list(cache.rglob("*.tmp"))


def test_a_corrupt_cache_object_is_not_pushed_or_checked_out(project, quiet):
    make(project)
    track(project.workspace(), ["out/model.pkl"], project.state(), JOBS, quiet)
    cached = next((project.root / ".dvc" / "cache" / "files").rglob("*/*/*"))
    cached.chmod(0o644)
    cached.write_bytes(b"x" * cached.stat().st_size)
    cached.chmod(0o444)
    store = FolderStore(project.remote)
    with pytest.raises(Corrupt):
        push(project.workspace(), store, [], project.state(), JOBS, quiet)
    assert not project.remote.exists() or not objects(project.remote)
    (project.root / "out" / "model.pkl").unlink()
    with pytest.raises(Corrupt) as caught:
        checkout(project.workspace("copy"), [], project.state(), JOBS, quiet)
    assert caught.value.kind == "cache-corrupt"
    assert not (project.root / "out" / "model.pkl").exists()


def test_checkout_keeps_what_nobody_else_has(project, quiet):
    make(project)
    track(project.workspace(), ["out/data"], project.state(), JOBS, quiet)
    extra = project.root / "out" / "data" / "notes.txt"
    extra.write_text("mine")
    (project.root / "out" / "data" / "b.csv").unlink()
    with pytest.raises(Refused) as caught:
        checkout(project.workspace(), [], project.state(), JOBS, quiet)
    assert caught.value.kind == "would-overwrite"
    assert extra.exists()
    assert not (project.root / "out" / "data" / "b.csv").exists()
    found = status(project.workspace(), None, [], project.state(), JOBS)
    assert found.changes[0].names == ("b.csv", "notes.txt")
    done = checkout(project.workspace(), [], project.state(), JOBS, quiet, force=True)
    assert (done.files, done.removed) == (1, 1)
    assert "up to date" in project.dvc("status")


def test_switching_versions_moves_only_what_differs(project, quiet):
    make(project)
    track(project.workspace(), ["out/data"], project.state(), JOBS, quiet)
    old = (project.root / "out" / "data.dvc").read_bytes()
    (project.root / "out" / "data" / "b.csv").write_text("changed")
    (project.root / "out" / "data" / "sub" / "deep" / "\U0001d518.txt").unlink()
    track(project.workspace(), ["out/data"], project.state(), JOBS, quiet)
    (project.root / "out" / "data.dvc").write_bytes(old)
    done = checkout(project.workspace(), [], project.state(), JOBS, quiet)
    assert (done.files, done.removed) == (2, 0)
    assert "up to date" in project.dvc("status")


def test_dvcignore_is_dvcs(new_project, quiet):
    ours, theirs = new_project("ours"), new_project("theirs")
    for project in (ours, theirs):
        (project.root / ".dvcignore").write_text("*.log\n!keep.log\n/d/skip/\n__pycache__/\n")
        for name in ("d/a.log", "d/keep.log", "d/skip/x", "d/s/__pycache__/y", "d/s/skip/z", "d/.git", "d/t"):
            path = project.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    theirs.dvc("add", "-q", "d")
    track(ours.workspace(), ["d"], ours.state(), JOBS, quiet)
    assert (ours.root / "d.dvc").read_bytes() == (theirs.root / "d.dvc").read_bytes()


def test_an_empty_directory_is_dvcs(new_project, quiet):
    """Made, emptied, and made again by checkout, by either program."""
    ours, theirs = new_project("ours"), new_project("theirs")
    for project in (ours, theirs):
        (project.root / "nothing" / "deep").mkdir(parents=True)
    theirs.dvc("add", "-q", "nothing")
    track(ours.workspace(), ["nothing"], ours.state(), JOBS, quiet)
    assert (ours.root / "nothing.dvc").read_bytes() == (theirs.root / "nothing.dvc").read_bytes()
    assert "up to date" in ours.dvc("status")
    (ours.root / "nothing" / "deep").rmdir()
    (ours.root / "nothing").rmdir()
    (theirs.root / "nothing" / "new").write_text("n")
    for project in (ours, theirs):
        assert "up to date" not in project.placet("status")
        project.placet("checkout", "--force")
        assert not list((project.root / "nothing").rglob("new"))
        assert (project.root / "nothing").is_dir()
        assert "up to date" in project.placet("status")
        assert "up to date" in project.dvc("status")


def test_refusals(project, quiet, tmp_path):
    def kind(*paths: str) -> tuple[type[PlacetError], str]:
        with pytest.raises(PlacetError) as caught:
            track(project.workspace(), paths, project.state(), JOBS, quiet)
        return type(caught.value), caught.value.kind

    root = project.root
    assert kind("absent") == (NotFound, "no-file")
    assert kind("../x") == (Invalid, "path-outside-workspace")
    assert kind(".dvc/config") == (Invalid, "path-outside-workspace")
    (tmp_path / "secret").write_text("s")
    (root / "away").symlink_to(tmp_path / "secret")
    assert kind("away") == (Invalid, "link-outside-workspace")
    (root / "d").mkdir()
    (root / "d" / "away").symlink_to(tmp_path / "secret")
    assert kind("d") == (Invalid, "link-outside-workspace")
    (root / "d" / "away").unlink()
    (root / "d" / "x.dvc").touch()
    assert kind("d") == (Invalid, "unsafe-path")
    (root / "d" / "x.dvc").rename(root / "d" / "x")
    track(project.workspace(), ["d"], project.state(), JOBS, quiet)
    assert kind("d/y") == (NotFound, "no-file")
    os.mkfifo(root / "pipe")
    assert kind("pipe") == (Invalid, "not-a-file")
    (root / "in-git").write_text("x")
    project.git("add", "in-git")
    assert kind("in-git") == (Refused, "tracked-by-git")
    assert not (root / "in-git.dvc").exists()


def test_twins_are_refused(project, quiet):
    """The public MD5 collision of Wang and others: two files that DVC takes for one."""
    base = bytes.fromhex(
        "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a"
        "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
        "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
    )
    flipped = bytearray(base)
    for at in (19, 45, 59, 83, 109, 123):
        flipped[at] ^= 0x80
    one, two = project.root / "one", project.root / "two"
    one.write_bytes(base)
    two.write_bytes(flipped)
    track(project.workspace(), ["one"], project.state(), JOBS, quiet)
    for targets in (["two"], ["one", "two"]):
        with pytest.raises(Corrupt) as caught:
            track(project.workspace(), targets, project.state(), JOBS, quiet)
        assert caught.value.kind == "md5-twin"
    assert not (project.root / "two.dvc").exists()


def test_a_file_that_changes_while_it_is_read(project, quiet, monkeypatch):
    path = project.root / "busy"
    path.write_bytes(b"x" * 3_000_000)

    def busy(name: str) -> Iterator[bytes]:
        for chunk in chunks(name):
            if name == str(path):
                with path.open("ab") as stream:
                    stream.write(b"more")
            yield chunk

    monkeypatch.setattr("placet.engine.track.chunks", busy)
    with pytest.raises(Conflict) as caught:
        track(project.workspace("copy"), ["busy"], project.state(), JOBS, quiet)
    assert caught.value.kind == "changed-while-reading"
    assert not objects(project.root / ".dvc" / "cache")
    assert not (project.root / "busy.dvc").exists()


def test_the_lock_is_dvcs(project, quiet, monkeypatch):
    monkeypatch.setattr("placet.engine.workspace._LOCK_TRIES", 1)
    (project.root / "x").write_text("x")
    with project.workspace().lock():
        assert "Unable to acquire lock" in project.dvc("add", "x", ok=False)
        with pytest.raises(Conflict) as caught:
            track(project.workspace(), ["x"], project.state(), JOBS, quiet)
    assert caught.value.kind == "workspace-locked"
    track(project.workspace(), ["x"], project.state(), JOBS, quiet)


def test_stock_gc_leaves_a_working_project(project, quiet):
    make(project)
    track(project.workspace(), ["out/data"], project.state(), JOBS, quiet)
    push(project.workspace(), FolderStore(project.remote), [], project.state(), JOBS, quiet)
    project.dvc("gc", "-w", "-c", "-f", "-r", "internal-storage")
    assert "up to date" in project.dvc("status")
    store = FolderStore(project.remote)
    assert status(project.workspace(), store, [], project.state(), JOBS).clean
