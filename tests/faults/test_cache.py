"""The cache is not trusted: what is under a content address counts only once it is proven."""

from __future__ import annotations

import os

import pytest
from lab import Lab, md5_key, spoil

from placet.core.digest import digest


@pytest.fixture
def tracked(local: Lab) -> dict[str, bytes]:
    made = local.fill()
    local.placet("track", "data")
    local.placet("push")
    return made


def one_of(made: dict[str, bytes]) -> tuple[str, bytes]:
    return sorted(made.items())[3]


@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy", "reflink,copy"])
@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_a_corrupt_object_is_never_linked_into_the_workspace(local, tracked, kind, mode):
    local.configure(type=kind)
    name, data = one_of(tracked)
    victim = local.cache / md5_key(data)
    victim.chmod(mode)
    spoil(victim)
    (local.root / "data" / name).unlink()
    local.fails("checkout", code=13, kind="cache-corrupt", words="placet fetch --verify")
    assert not (local.root / "data" / name).exists()
    fetched = local.placet("fetch").json
    assert [(one["path"], one["healed_from"]) for one in fetched["faults"]] == [(f"data/{name}", "main")]
    local.placet("checkout")
    assert local.tree() == tracked
    local.require_sound()


def test_mode_0444_proves_nothing_and_its_lack_refutes_nothing(local, tracked):
    """As stock DVC, or rsync, may have left them: right bytes count whatever their mode."""
    for path in local.cache.glob("files/md5/??/*"):
        path.chmod(0o600)
    (local.root / ".dvc/tmp/placet/state.db").unlink()
    (local.root / "data" / one_of(tracked)[0]).unlink()
    assert local.placet("fetch").json["objects"] == 0
    local.placet("checkout")
    assert local.tree() == tracked
    files = [path for path in local.cache.glob("files/md5/??/*") if path.suffix != ".dir"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o444}


def test_what_we_wrote_is_not_read_again(local, tracked):
    """The state database proves it by inode, time and size: the cost stays that of a look-up."""
    for path in local.cache.glob("files/md5/??/*"):
        if path.suffix != ".dir":
            before = path.stat()
            spoil(path)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert local.placet("fetch").json["objects"] == 0
    assert len(local.placet("fetch", "--verify").json["faults"]) == len(tracked)
    local.require_sound()


def test_track_mends_a_corrupt_object_from_the_workspace(local, tracked):
    name, data = one_of(tracked)
    spoil(local.cache / md5_key(data))
    local.placet("track", "data")
    local.require_sound()
    spoil(local.cache / md5_key(data))
    os.utime(local.root / "data" / name)
    local.placet("track", "data")
    local.require_sound()
    spoil(local.cache / local.out_key("data"))
    local.placet("track", "data")
    local.require_sound()


def test_a_corrupt_object_does_not_stand_for_what_would_be_lost(local, tracked):
    """The only good copy of a changed file is in the workspace: it is not replaced."""
    name, _ = one_of(tracked)
    path, metafile = local.root / "data" / name, local.root / "data.dvc"
    old = metafile.read_bytes()
    path.write_bytes(b"newer")
    local.placet("track", "data")
    metafile.write_bytes(old)
    spoil(local.cache / md5_key(b"newer"))
    local.fails("checkout", code=12, kind="would-overwrite", words="placet track data")
    assert path.read_bytes() == b"newer"


def test_a_corrupt_object_is_not_pushed(local, tracked):
    _, data = one_of(tracked)
    victim = local.cache / md5_key(data)
    local.remote_path("main", md5_key(data)).unlink()
    before = victim.stat()
    spoil(victim)
    local.fails("push", code=13, kind="digest-mismatch")
    (local.cache / "placet" / "dirs").rename(local.cache / "placet" / "gone")
    local.fails("push", code=13, kind="cache-corrupt")
    assert not local.remote_path("main", md5_key(data)).exists()
    local.placet("track", "data")
    assert local.placet("push").json["objects"] == 1
    assert digest(local.remote_path("main", md5_key(data)).read_bytes()).size == before.st_size
    local.require_sound()
