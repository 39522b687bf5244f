"""Files of a party's own are replaced whole, and what fails leaves nothing beside them."""

import errno
import os

import pytest

from placet.adapters.keys import write_secret
from placet.adapters.told import FileRecord
from placet.adapters.trust import FileMemory
from placet.errors import Unavailable

WRITERS = {
    "what was told": lambda file: FileRecord(file).write(b"new"),
    "a secret": lambda file: write_secret(file, b"new"),
    "pins": lambda file: FileMemory(file.parent).pin("place", "root"),
}


@pytest.fixture(params=WRITERS)
def write(request):
    return WRITERS[request.param]


def test_it_is_whole_and_its_owners_only(write, tmp_path):
    file = tmp_path / "pins.json"
    write(file)
    assert file.read_bytes().startswith((b"new", b"{"))
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.stat().st_ino
    write(file)
    assert file.stat().st_ino != before, "replaced, not written over"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_leaves_the_old_file_and_nothing_else(write, step, tmp_path, monkeypatch):
    file = tmp_path / "pins.json"
    file.write_bytes(b"{}")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(Unavailable) as caught:
        write(file)
    assert caught.value.kind in {"disk", "trust-memory"}
    assert "No space left" in str(caught.value)
    assert {one.name for one in tmp_path.iterdir()} - {"lock"} == {"pins.json"}
    assert file.read_bytes() == b"{}"
