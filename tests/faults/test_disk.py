"""A disk that takes no more: a clear error, nothing half-written under a name, and the same command goes on."""

from __future__ import annotations

import resource
import shutil
import subprocess

import pytest
from lab import Lab

WITHIN = (
    "unshare", "--map-root-user", "--mount", "--", "sh", "-c",
    'mkdir -p "$1" && mount -t tmpfs -o size="$2" placet "$1" || exit 99; shift 2; eval "$1"; shift; exec "$@"',
    "sh",
)  # fmt: skip
SMALL = 1 << 20


def small_disk(path: object, size: str, first: str = ":") -> list[str]:
    """Runs a command where `path` is a disk of this size, which nobody else sees; after `first`."""
    return [*WITHIN, str(path), size, first]


def can_mount(tmp_path: object) -> bool:
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run([*small_disk(tmp_path, "64k"), "true"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def made(local: Lab) -> dict[str, bytes]:
    made = local.fill(files=6, size=300_000)
    (local.root / "big.bin").write_bytes(bytes(3 << 20))
    return made


@pytest.fixture
def mounts(tmp_path_factory):
    if not can_mount(tmp_path_factory.mktemp("mount")):
        pytest.skip("this machine lets no user make a mount of their own; test_a_file_size_limit covers it")


def require_nothing_half(lab: Lab) -> None:
    lab.require_sound()
    assert not list(lab.cache.rglob("*.tmp"))
    assert not list(lab.root.glob(".dvc/tmp/placet/new/*"))


def test_a_file_size_limit(local, made):
    """What every user can have: the kernel refuses to write on (EFBIG), at track, push, fetch and checkout."""
    limits = {resource.RLIMIT_FSIZE: SMALL}
    local.fails("track", "data", "big.bin", code=1, kind="disk-error", limits=limits)
    require_nothing_half(local)
    assert not (local.root / "big.bin.dvc").exists()
    local.placet("track", "data", "big.bin")
    local.fails("push", code=1, kind="store-unreachable", limits=limits)
    local.require_sound()
    local.placet("push")
    local.forget("data", "big.bin")
    local.fails("fetch", code=1, kind="disk-error", limits=limits)
    require_nothing_half(local)
    local.placet("fetch")
    local.fails("checkout", code=1, kind="disk-error", limits=limits)
    require_nothing_half(local)
    assert not (local.root / "big.bin").exists()
    local.placet("checkout")
    assert local.tree() == made


def test_a_full_cache(local, made, mounts):
    disk = small_disk(local.cache, "1m")
    local.fails("track", "data", code=1, kind="disk-full", words="Make room", before=disk)
    assert not (local.root / "data.dvc").exists()
    local.placet("track", "data")
    local.placet("push")
    local.forget()
    local.fails("fetch", code=1, kind="disk-full", before=disk)
    local.placet("fetch")
    local.require_sound()


def test_a_full_workspace(local, made, mounts):
    local.placet("track", "data")
    shutil.rmtree(local.root / "data")
    local.fails(
        "checkout", code=1, kind="disk-full", words="Make room", before=small_disk(local.root / "data", "1m")
    )
    local.placet("checkout")
    assert local.tree() == made
    require_nothing_half(local)


def test_a_full_remote(local, made, mounts):
    local.placet("track", "data")
    local.fails("push", code=1, kind="disk-full", before=small_disk(local.remotes["main"]["url"], "1m"))
    local.placet("push")
    local.require_sound()


def test_a_disk_that_is_full_to_the_last_byte(local, made, mounts):
    """Neither databases nor memos can be written: that costs time, and nothing else."""
    local.placet("track", "data")
    full = small_disk(local.root / ".dvc" / "tmp", "64k", f"dd if=/dev/zero of={local.root}/.dvc/tmp/x bs=4k")
    shutil.rmtree(local.root / "data")
    run = local.placet("checkout", before=[*full[:-1], f"{full[-1]} 2>/dev/null"])
    assert run.err.count("was not used") == 1
    assert local.tree() == made


def test_a_cache_that_cannot_be_written(local, made, mounts):
    """Read-only, as a shared cache of a cluster may be."""
    local.placet("track", "data")
    local.placet("push")
    shutil.rmtree(local.root / "data")
    read_only = [*small_disk(local.home / "unused", "64k", f"mount --bind -o ro {local.cache} {local.cache}")]
    local.placet("checkout", before=read_only)
    assert local.tree() == made
    (local.root / "new.bin").write_bytes(b"new")
    local.fails("track", "new.bin", code=1, kind="disk-denied", before=read_only)
    assert not (local.root / "new.bin.dvc").exists()
