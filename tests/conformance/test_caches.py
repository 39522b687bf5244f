"""`cache.type`, `cache.dir`, `cache.shared`: as stock DVC treats them, also when both use one cache at once."""

import hashlib
import json
import os
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from stock import Project, S3Remote, fill

TRACK = {"dvc": "add", "placet": "track"}


def modes(folder):
    """Path -> mode of every folder and object of a cache, apart from what is ours alone."""
    out = {}
    for path in (folder / "files").rglob("*"):
        out[path.relative_to(folder).as_posix()] = oct(path.stat().st_mode)
    return out


def kinds(project, cache):
    """How each file of the output is connected with its object."""
    inodes = {path.stat().st_ino for path in (cache / "files").rglob("*") if path.is_file()}
    out = {}
    for path in (project.root / "data").rglob("*"):
        if path.is_file():
            link = "symlink" if path.is_symlink() else "hardlink" if path.stat().st_ino in inodes else "copy"
            out[path.relative_to(project.root).as_posix()] = (link, oct(path.stat().st_mode & 0o700))
    return out


@pytest.mark.parametrize(
    "kind", ["copy", "hardlink", "symlink", "reflink,copy", "hardlink,symlink", "reflink,hardlink,copy"]
)
def test_pull_links_as_dvc_does(new_project, kind):
    first = new_project("first")
    fill(first.root / "data")
    first.dvc("add", "-q", "data")
    first.dvc("push", "-q")
    first.dvc("config", "cache.type", kind)
    first.commit()
    found = {}
    for tool in TRACK:
        clone = first.clone(tool)
        clone.run(tool, "pull", "-q")
        found[tool] = kinds(clone, clone.root / ".dvc" / "cache")
        assert json.loads(clone.dvc("status", "--json")) == {}
        assert json.loads(clone.placet("status", "--json"))["changes"] == []
    assert found["placet"] == found["dvc"]
    assert len(found["placet"]) == 7


@pytest.mark.parametrize("where", ["inside", "../outside", "absolute"])
@pytest.mark.parametrize("shared", [False, True])
def test_both_find_one_cache_with_the_same_modes(new_project, tmp_path, where, shared):
    left = {}
    for tool, other in (("dvc", "placet"), ("placet", "dvc")):
        project = new_project(f"project-{tool}")
        cache = tmp_path / f"cache-{tool}" if where == "absolute" else project.root / f"{where}-{tool}"
        project.dvc("cache", "dir", "-q", str(cache) if where == "absolute" else f"{where}-{tool}")
        if shared:
            project.dvc("config", "cache.shared", "group")
        fill(project.root / "data")
        project.run(tool, TRACK[tool], "-q", "data")
        left[tool] = modes(cache)
        assert not (project.root / ".dvc" / "cache" / "files").exists()
        assert len([mode for mode in left[tool].values() if mode == "0o100444"]) == 6
        shutil.rmtree(project.root / "data")
        project.run(other, "checkout", "-q")
        assert json.loads(project.dvc("status", "--json")) == {}
        project.run(other, "push", "-q")
        shutil.rmtree(cache)
        project.run(other, "fetch", "-q")
        assert modes(cache) == left[tool]
    assert left["placet"] == left["dvc"]
    assert any(mode == "0o42775" for mode in left["dvc"].values()) is shared


def test_one_cache_for_many_at_the_same_time(new_project, seaweed, tmp_path):
    """Workspaces with overlapping data track, push, lose and pull it all at once, each by either program."""
    cache = tmp_path / "cache"
    projects = [new_project(f"project{number}") for number in range(4)]
    S3Remote(projects[0], seaweed)
    projects[0].dvc("cache", "dir", "-q", str(cache))
    for number, project in enumerate(projects):
        for name in ("config", "config.local"):
            (project.root / ".dvc" / name).write_bytes((projects[0].root / ".dvc" / name).read_bytes())
        project.dvc("config", "--local", "cache.type", ["copy", "hardlink"][number % 2])

    def work(number: int, turn: int) -> None:
        project, tool = projects[number], ("dvc", "placet")[(number + turn) % 2]
        top = project.root / "data"
        shutil.rmtree(top, ignore_errors=True)
        data = content(turn, number)
        for name, body in data.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(body)
        project.run(tool, TRACK[tool], "-q", "data")
        project.run(tool, "push", "-q")
        shutil.rmtree(top)
        project.run(tool, "pull", "-q")
        assert {
            path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()
        } == data

    for turn in range(3):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4), [turn] * 4))
    objects = [path for path in (cache / "files").rglob("*") if path.is_file()]
    assert (
        len(objects)
        == len({name for turn in range(3) for one in range(4) for name in hashes(content(turn, one))}) + 12
    )
    for path in objects:
        name = path.parent.name + path.name.removesuffix(".dir")
        assert hashlib.md5(path.read_bytes()).hexdigest() == name
        assert path.stat().st_mode & 0o777 == 0o444
    assert not list(cache.rglob("*.tmp"))


def content(turn, number):
    """Half of it is the same in every workspace, and none of it in the next turn."""
    common = {f"common/{one}": random.Random(1000 * turn + one).randbytes(20_000) for one in range(20)}
    own = {f"own/{one}": random.Random(f"{turn} {number} {one}").randbytes(20_000) for one in range(20)}
    return {**common, **own, "large": random.Random(turn).randbytes(2_500_000)}


def hashes(data):
    return {hashlib.md5(body).hexdigest() for body in data.values()}


@pytest.fixture
def reflinks(tmp_path):
    """A folder on a file system that clones files: this one, or an XFS image where one may be mounted."""
    folder = tmp_path / "clones"
    folder.mkdir()
    if _clones(folder):
        yield folder
        return
    image, mkfs = tmp_path / "xfs.img", shutil.which("mkfs.xfs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if mkfs is None or os.geteuid() != 0:
        pytest.skip(
            "no reflinks here: run it in a folder on btrfs or XFS (--basetemp), or as root with xfsprogs"
        )
    with image.open("wb") as stream:
        stream.truncate(400 << 20)
    subprocess.run([mkfs, "-q", "-m", "reflink=1", str(image)], check=True)
    if subprocess.run(
        ["mount", "-o", "loop", str(image), str(folder)], check=False, capture_output=True
    ).returncode:
        pytest.skip("no reflinks here, and no loop device can be mounted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _clones(folder):
    (folder / "one").write_bytes(b"x" * 4096)
    done = subprocess.run(
        ["cp", "--reflink=always", str(folder / "one"), str(folder / "two")], check=False, capture_output=True
    )
    return done.returncode == 0


def free(folder):
    os.sync()
    found = os.statvfs(folder)
    return found.f_bfree * found.f_frsize


@pytest.mark.parametrize("tool", TRACK)
def test_reflinks_share_their_blocks(project, reflinks, tool):
    moved = Project(reflinks / "project", project.env)
    shutil.copytree(project.root, moved.root)
    size = 40 << 20
    (moved.root / "big").write_bytes(random.Random(5).randbytes(size))
    before = free(reflinks)
    moved.run(tool, TRACK[tool], "-q", "big")
    tracked = free(reflinks)
    (moved.root / "big").unlink()
    moved.run(tool, "checkout", "-q")
    assert abs(before - tracked) < (size // 4 if tool == "placet" else size * 2)
    assert abs(tracked - free(reflinks)) < size // 4
    assert (moved.root / "big").stat().st_mode & 0o777 == 0o644
    with (moved.root / "big").open("r+b") as stream:
        stream.write(b"mine")
    assert json.loads(moved.dvc("status", "--json")) != {}
    (key,) = [path for path in (moved.root / ".dvc" / "cache" / "files").rglob("*/*/*") if path.is_file()]
    assert hashlib.md5(key.read_bytes()).hexdigest() == key.parent.name + key.name


@pytest.mark.parametrize(
    ("before", "after"),
    [("symlink", "hardlink"), ("hardlink", "symlink"), ("symlink", "copy"), ("hardlink", "copy")],
)
def test_tracking_again_links_anew_as_dvc_does(new_project, before, after):
    found = {}
    for tool, command in TRACK.items():
        project = new_project(tool)
        (project.root / "data").mkdir()
        for name in ("one", "two", "empty"):
            (project.root / "data" / name).write_text("" if name == "empty" else name)
        project.dvc("config", "cache.type", before)
        project.dvc("add", "-q", "data")
        project.dvc("config", "cache.type", after)
        project.run(tool, command, "-q", "data")
        found[tool] = kinds(project, project.root / ".dvc" / "cache")
        assert json.loads(project.dvc("status", "--json")) == {}
    assert found["placet"] == found["dvc"]
    assert found["dvc"]["data/one"][0] == after
