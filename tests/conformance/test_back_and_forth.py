"""What one of `dvc` and `placet` began the other continues: real commands, on a folder and on a real S3 server."""

import json
import os
import random
import shutil

import pytest
from stock import fill

TRACK = {"dvc": "add", "placet": "track"}
PAIRS = [("dvc", "placet"), ("placet", "dvc"), ("placet", "placet")]
CELLS = [(where, "dvc", *pair) for where in ("local", "s3") for pair in PAIRS]
OLD = [("s3", "dvc-old", *PAIRS[0]), ("local", "dvc-old", *PAIRS[1])]
WHERE = [("local", "dvc"), ("s3", "dvc"), ("s3", "dvc-old")]
OUTPUTS = ("out/data", "out/model.bin", "out/run me.sh", "empty")


def make(project):
    """Every kind of output; the model is long enough to go by parts."""
    fill(project.root / "out" / "data")
    (project.root / "out" / "model.bin").write_bytes(random.Random(1).randbytes(9_500_000))
    (project.root / "out" / "run me.sh").write_text("#!/bin/sh\n")
    (project.root / "out" / "run me.sh").chmod(0o755)
    (project.root / "empty").touch()


def change(project):
    """New, changed, renamed and deleted files."""
    data = project.root / "out" / "data"
    (data / "b.csv").unlink()
    (data / "b.csv").write_text("a,b\n3,4\n")
    (data / "new" / "er").mkdir(parents=True)
    (data / "new" / "er" / "x").write_text("x")
    (data / "sub" / "é ü.bin").rename(data / "sub" / "moved.bin")
    (data / "sub" / "same.csv").unlink()
    (project.root / "empty").write_text("not any more")


def files(project):
    """Bytes, and whether the owner may execute it where DVC keeps that: of files that are outputs themselves."""
    out = {}
    for path in project.root.rglob("*"):
        name = path.relative_to(project.root).as_posix()
        if path.is_file() and not name.startswith((".git/", ".dvc/")):
            exe = os.access(path, os.X_OK) and not name.startswith("out/data/")
            out[name] = (exe, path.read_bytes())
    return out


def agree(project):
    """Both programs find nothing to do, here and at the remote; the remote holds exactly what is there."""
    assert json.loads(project.dvc("status", "--json")) == {}
    assert json.loads(project.dvc("status", "-c", "--json")) == {}
    assert json.loads(project.placet("status", "--json"))["changes"] == []
    assert json.loads(project.placet("status", "--json", "-r", "internal-storage"))["changes"] == []


@pytest.mark.parametrize(("remote_of", "version", "one", "other"), CELLS + OLD, indirect=["remote_of"])
def test_one_goes_on_where_the_other_stopped(new_project, remote_of, version, one, other):
    mine = new_project("mine", version)
    remote = remote_of(mine)
    make(mine)
    mine.run(one, TRACK[one], *OUTPUTS)
    mine.run(one, "push")
    mine.commit()
    agree(mine)
    assert len(remote.objects()) == 7

    yours = mine.clone("yours")
    yours.run(other, "pull")
    assert files(yours) == files(mine)
    agree(yours)
    change(yours)
    yours.run(other, TRACK[other], *OUTPUTS)
    yours.run(other, "push")
    yours.commit()
    agree(yours)

    mine.git("pull", "-q", str(yours.root), "main")
    mine.run(one, "fetch")
    mine.run(one, "checkout")
    assert files(mine) == files(yours)
    agree(mine)
    for project in (mine, yours):
        before = remote.objects()
        for tool in (one, other):
            project.run(tool, TRACK[tool], *OUTPUTS)
            project.run(tool, "push")
        assert project.git("status", "--porcelain") == ""
        assert remote.objects() == before

    mine.dvc("gc", "-w", "-c", "-f")
    assert len(remote.objects()) == 10
    agree(mine)
    agree(yours)
    shutil.rmtree(mine.root / ".dvc" / "cache")
    mine.run(other, "pull")
    agree(mine)


@pytest.mark.parametrize(("remote_of", "version"), WHERE, indirect=["remote_of"])
def test_a_push_that_was_cut_off_is_completed(new_project, remote_of, version):
    """Of a directory whose `.dir` object is there stock DVC believes that all is there; Placet looks."""
    mine = new_project("mine", version)
    remote = remote_of(mine)
    make(mine)
    mine.dvc("add", "-q", *OUTPUTS)
    mine.dvc("push", "-q")
    mine.commit()
    whole = remote.objects()
    for key in [key for key in whole if not key.endswith(".dir")][::2]:
        remote.delete(key)
    mine.placet("push")
    assert remote.objects() == whole
    yours = mine.clone("yours")
    yours.dvc("pull", "-q")
    assert files(yours) == files(mine)
    agree(yours)


@pytest.mark.parametrize(("remote_of", "version"), WHERE, indirect=["remote_of"])
@pytest.mark.parametrize("tool", TRACK)
def test_status_after_the_other_hashes_nothing(new_project, remote_of, version, tool):
    """Bytes are changed behind the stamps: only who reads files again could tell."""
    mine = new_project("mine", version)
    remote_of(mine)
    make(mine)
    mine.run("placet", "track", *OUTPUTS)
    mine.run("placet", "push")
    mine.commit()
    falsify(mine)
    assert json.loads(mine.dvc("status", "--json")) == {}
    yours = mine.clone("yours")
    yours.run(tool, "pull")
    age(yours)  # for our state database forgets what changed just now
    yours.dvc("status")
    yours.placet("status")
    falsify(yours)
    assert json.loads(yours.dvc("status", "--json")) == {}
    assert json.loads(yours.placet("status", "--json"))["changes"] == []


def age(project):
    for path in (project.root / "out").rglob("*"):
        if path.is_file():
            os.utime(path, ns=(10**18, 10**18))


def falsify(project):
    for name in ("out/data/sub/é ü.bin", "out/data/b.csv", "out/model.bin"):
        path = project.root / name
        found = path.stat()
        with path.open("r+b") as stream:
            stream.write(b"\xfe\xfe")
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
