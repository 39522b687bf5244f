"""Checks read streams: what they hold does not grow with the file."""

import io
import tracemalloc

import pytest

from placet.checks import registry
from placet.checks.api import File

HEAD = b"group,n,mean,text\n"
ROW = b"north,120,54.5," + b"harmless words " * 60 + b"\n"


class Endless(io.RawIOBase):
    """A table of so many equal rows that is nowhere in memory."""

    def __init__(self, rows):
        self._size, self._at = len(HEAD) + rows * len(ROW), 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, place, whence=0):
        self._at = place + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer):
        size = max(0, min(len(buffer), self._size - self._at))
        begin = self._at - len(HEAD)
        if begin < 0:
            data = HEAD[self._at :][:size]
        else:
            data = (ROW * (size // len(ROW) + 2))[begin % len(ROW) :][:size]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def peak(check, rows):
    loaded = registry.load(check)
    options = registry.read_options(check, loaded, {})
    loaded.look(File("a.csv", 0, "", io.BufferedReader(Endless(10))), options)
    tracemalloc.start()
    found = loaded.look(File("a.csv", 0, "", io.BufferedReader(Endless(rows))), options)
    out = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.problem == ""
    return out


@pytest.mark.parametrize(
    ("check", "few", "many"),
    [
        ("counts", 6000, 15_000),
        ("formulas", 6000, 15_000),
        ("identifiers", 6000, 12_000),
        ("rows", 6000, 15_000),
        ("secrets", 500, 2000),  # reads windows of 64 KiB
        ("type", 6000, 15_000),
    ],
)
def test_memory_does_not_grow_with_the_table(check, few, many):
    assert peak(check, many) < 1.2 * peak(check, few) < 12 << 20
