"""Zip files without surprises, and decompression that ends at a limit."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from placet.errors import Invalid

MAX_ENTRIES = 10_000
_BLOCK = 1 << 18
_END = 22
_IN_MEMORY = 4 << 20
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error, ValueError)


def bad(why: str) -> Invalid:
    """The error of an archive that is not opened."""
    return Invalid("An archive cannot be opened safely.", kind="archive", why=why)


def problem(stream: IO[bytes]) -> str:
    """Why a zip is not one that every program reads alike; empty if it is."""
    try:
        entries(stream)
    except Invalid as error:
        return error.why
    return ""


def names(stream: IO[bytes]) -> frozenset[str]:
    """The names in a zip."""
    return frozenset(one.filename for one in entries(stream))


def entries(stream: IO[bytes]) -> list[zipfile.ZipInfo]:
    """The entries of a zip that begins at its first byte, ends with its last, and names nothing twice.

    Raises:
        Invalid: kind `archive`.
    """
    stream.seek(0)
    if stream.read(4) not in {b"PK\x03\x04", b"PK\x05\x06"}:
        raise bad("something precedes the zip")
    stream.seek(max(0, stream.seek(0, io.SEEK_END) - _END))
    if stream.read(4) != b"PK\x05\x06":
        raise bad("something follows the zip, or it is cut")
    try:
        with zipfile.ZipFile(stream) as file:
            found, comment, start = file.infolist(), file.comment, file.start_dir
    except _BROKEN:
        raise bad("the zip's directory is damaged") from None
    if comment:
        raise bad("a comment follows the zip")
    if len(found) > MAX_ENTRIES:
        raise bad(f"the zip has more than {MAX_ENTRIES} entries")
    if len({one.filename for one in found}) != len(found):
        raise bad("the zip has two entries of one name")
    if any(one.flag_bits & 1 for one in found):
        raise bad("the zip has encrypted entries")
    if found and (min(one.header_offset for one in found) != 0 or _gap(found, start)):
        raise bad("the zip hides bytes between its entries")
    return found


def _gap(found: list[zipfile.ZipInfo], start: int) -> bool:
    """Do entries overlap, or is there more between them than a header and its names can take?"""
    ordered = sorted(found, key=lambda one: one.header_offset)
    ends = [one.header_offset for one in ordered[1:]] + [start]
    slack = 30 + 2 * 65_535 + 24
    return any(
        not 30 + one.compress_size <= end - one.header_offset <= one.compress_size + slack
        for one, end in zip(ordered, ends, strict=True)
    )


@contextmanager
def opened(stream: IO[bytes], info: zipfile.ZipInfo, limit: int) -> Iterator[IO[bytes]]:
    """One entry as a seekable file, of at most `limit` bytes whatever its header says."""
    try:
        with zipfile.ZipFile(stream) as file, file.open(info) as member, bounded(member, limit) as out:
            yield out
    except _BROKEN as error:
        if isinstance(error, Invalid):
            raise
        raise bad("an entry of the zip is damaged") from None


@contextmanager
def bounded(source: IO[bytes], limit: int) -> Iterator[IO[bytes]]:
    """A decompressing stream as a seekable file.

    Raises:
        Invalid: kind `archive`: more than `limit` bytes, or damaged.
    """
    size = 0
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as out:
        try:
            while block := source.read(_BLOCK):
                size += len(block)
                if size > limit:
                    raise bad(f"it unpacks to more than {limit} bytes")
                out.write(block)
        except (*_BROKEN, lzma.LZMAError):
            raise bad("its compressed data are damaged") from None
        out.seek(0)
        yield out


@contextmanager
def inflated(stream: IO[bytes], limit: int) -> Iterator[IO[bytes] | None]:
    """A gzip, zlib, bzip2 or xz stream decompressed, told by its first bytes; None if it is none of these."""
    stream.seek(0)
    head = stream.read(6)
    stream.seek(0)
    source: IO[bytes]
    if head.startswith(b"\x1f\x8b"):
        source = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]
    elif head.startswith(b"BZh"):
        source = _Joined(stream, bz2.BZ2Decompressor)  # type: ignore[assignment]
    elif head.startswith((b"\xfd7zXZ\x00", b"\x5d\x00\x00")):
        source = _Joined(stream, lzma.LZMADecompressor)  # type: ignore[assignment]
    elif head[:2] in {b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"}:
        source = _Zlib(stream)  # type: ignore[assignment]
    else:
        yield None
        return
    with bounded(source, limit) as out:
        yield out


class _Zlib:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._decoder = stream, zlib.decompressobj()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        out = b""
        while not out and not self._decoder.eof:
            block = self._decoder.unconsumed_tail or self._stream.read(_BLOCK)
            if not block:
                raise EOFError
            out = self._decoder.decompress(block, size)
        if not out and (self._decoder.unused_data or self._stream.read(1)):
            raise ValueError
        return out


class _Joined:
    """Streams of one kind, one after the other, and nothing else; Python's own files ignore what follows."""

    def __init__(self, stream: IO[bytes], make: Callable[[], Any]) -> None:
        self._stream, self._make = stream, make
        self._decoder = make()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        out = b""
        while not out:
            block = b""
            if self._decoder.eof:
                block = self._decoder.unused_data or self._stream.read(_BLOCK)
                if not block:
                    break
                self._decoder = self._make()
            elif self._decoder.needs_input and not (block := self._stream.read(_BLOCK)):
                raise EOFError
            out = self._decoder.decompress(block, size)
        return out
