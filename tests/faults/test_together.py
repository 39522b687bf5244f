"""Several processes at once on one path, one cache and one remote: each ends right, or says who was first."""

from __future__ import annotations

import pytest
from lab import Lab, md5_key

ROUNDS = 4


def all_of(lab: Lab, count: int, *argv: str) -> list[int]:
    running = [lab.start(*argv) for _ in range(count)]
    runs = [lab.end(one) for one in running]
    assert not [run.err for run in runs if "Traceback" in run.err]
    return [run.code for run in runs]


def test_many_track_the_same_path(local):
    made = local.fill(files=60)
    for _ in range(ROUNDS):
        assert all_of(local, 3, "track", "data") == [0, 0, 0]
        local.require_sound()
        first = (local.root / "data.dvc").read_bytes()
        local.placet("track", "data")
        assert (local.root / "data.dvc").read_bytes() == first
        (local.root / "data.dvc").unlink()
        for path in (local.cache / "files").rglob("*.dir"):
            path.unlink()
    local.placet("track", "data")
    assert local.placet("status").json["changes"] == []
    assert {md5_key(data) for data in made.values()} < {
        str(path.relative_to(local.cache)) for path in local.cache.glob("files/md5/??/*")
    }
    assert not list(local.cache.rglob("*.tmp"))


def test_one_tracks_what_another_one_writes(local):
    """Either the file was whole when it was read, or it is an error; never a mixture."""
    path = local.root / "x.bin"
    versions = [bytes([number]) * (3 << 20) for number in range(6)]
    path.write_bytes(versions[0])
    local.placet("track", "x.bin")
    process = local.start("track", "x.bin")
    for data in versions[1:]:
        with path.open("r+b") as stream:
            stream.write(data)
    code = local.end(process).code
    assert code in {0, 11}
    local.require_sound()
    local.placet("track", "x.bin")
    local.require_sound()
    assert local.out_key("x.bin") == md5_key(versions[-1])


@pytest.mark.parametrize("kind", ["copy", "hardlink"])
def test_many_pull_into_one_workspace(local, kind):
    local.configure(type=kind)
    made = local.fill(files=60)
    local.placet("track", "data")
    local.placet("push")
    for _ in range(ROUNDS):
        local.forget("data")
        assert set(all_of(local, 3, "pull")) == {0}
        assert local.tree() == made
        local.require_sound()
        assert not list(local.cache.rglob("*.tmp"))


def test_many_push_to_one_bucket(lab, proxy):
    made = lab.fill(files=30)
    lab.placet("track", "data")
    assert all_of(lab, 3, "push") == [0, 0, 0]
    keys = lab.require_remote_sound()
    assert {md5_key(data) for data in made.values()} | {lab.out_key("data")} == keys.keys()


def test_a_metafile_is_written_by_one_at_a_time(local):
    (local.root / "x.bin").write_bytes(b"x")
    lock = local.root / ".dvc" / "tmp" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    import zc.lockfile

    held = zc.lockfile.LockFile(str(lock))
    try:
        local.fails("track", "x.bin", code=11, kind="workspace-locked", words="run it again")
    finally:
        held.close()
    assert not (local.root / "x.bin.dvc").exists()
    local.placet("track", "x.bin")
