"""A file of more than 5 GiB: no request may carry it as a whole, so all of it goes by parts (`make test-large`)."""

import hashlib
import json
import random
import shutil
import time

import pytest
from stock import S3Remote

from placet.adapters.objects.s3 import S3Store
from placet.core.digest import digest_chunks
from placet.engine.copying import copy_verified
from placet.engine.disk import chunks
from placet.engine.transfer import prove, upload
from placet.ports import StoreTraits
from placet.wire import data as wire

SIZE = (5 << 30) + 1


def make(path):
    """Sparse, but something in every part; the last byte is the one that is too many."""
    noise = random.Random(9)
    with path.open("wb") as stream:
        for start in range(0, SIZE - 4096, 8 << 20):
            stream.seek(start)
            stream.write(noise.randbytes(4096))
        stream.seek(SIZE - 1)
        stream.write(b"\x01")


def md5_of(path):
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


@pytest.mark.large
@pytest.mark.parametrize("traits", [None, StoreTraits()], ids=["part-copy", "stream"])
def test_more_than_5_gib_is_copied_between_tiers(tmp_path, seaweed, traits):
    """By the service, which is asked for ranges, and through this machine."""
    path = tmp_path / "big.bin"
    make(path)
    want = digest_chunks(chunks(str(path)))
    source, there = wire.open_store(seaweed.remote("source")), wire.open_store(seaweed.remote("target"))
    target = S3Store(there._service, there.address.prefix, traits)
    upload(source, "big", str(path), want)
    path.unlink()
    clock = time.monotonic()
    assert copy_verified(source, target, "big", want) == ("part-copy" if traits is None else "stream")
    print(f"copied: {time.monotonic() - clock:.0f} s")
    assert prove(target, "big", want)
    source.delete("big")
    target.delete("big")


@pytest.mark.large
def test_both_programs_move_more_than_5_gib(new_project, seaweed):
    project = new_project()
    remote = S3Remote(project, seaweed)
    project.dvc("config", "cache.type", "hardlink,copy")
    make(project.root / "big.bin")
    want = md5_of(project.root / "big.bin")
    clock = time.monotonic()

    def say(what):
        nonlocal clock
        print(f"{what}: {time.monotonic() - clock:.0f} s")
        clock = time.monotonic()

    project.placet("track", "big.bin")
    say("placet track")
    project.placet("push")
    say("placet push")
    project.commit()
    (size,) = remote.sizes().values()
    assert size == SIZE
    assert json.loads(project.dvc("status", "-c", "--json")) == {}
    shutil.rmtree(project.root / ".dvc" / "cache")
    (project.root / "big.bin").unlink()
    for tool in ("dvc", "placet"):
        clone = project.clone(tool)
        clock = time.monotonic()
        clone.run(tool, "pull")
        say(f"{tool} pull")
        assert (clone.root / "big.bin").stat().st_size == SIZE
        assert md5_of(clone.root / "big.bin") == want
        assert json.loads(clone.dvc("status", "--json")) == {}
        shutil.rmtree(clone.root)
