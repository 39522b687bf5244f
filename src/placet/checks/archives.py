"""`archives`: zip, tar, gzip, bzip2, xz opened within limits; with it all other checks look inside too."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import IO

from placet.checks import zips
from placet.checks.api import Check, File, Finding, Options
from placet.core import layout
from placet.core.guards import guard
from placet.errors import Invalid

_PARTS = frozenset({"zip", "tar", "tgz", "gz", "bz2", "xz"})
_ZIPS_OF_THEIR_OWN = frozenset({"xlsx", "xlsm", "npz", "pt", "pth", "ckpt", "bin", "joblib", "pkl", "pickle"})
_MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
_SMALL = 1 << 20


class ArchiveOptions(Options, frozen=True, kw_only=True):
    """Limits: members, unpacked bytes of all, unpacked to packed bytes, archives in archives."""

    entries: int = 1000
    bytes: int = 1 << 30
    ratio: int = 200
    depth: int = 1


class Archives(Check):
    """Every archive unpacks to safe names, within the limits."""

    api = 1
    tool = "placet; Python's zipfile, tarfile, zlib"
    Options = ArchiveOptions

    def look(self, file: File, options: ArchiveOptions) -> Finding:
        """Unpack all of it, keeping nothing."""
        if not is_archive(file):
            return Finding()
        count = size = 0
        try:
            for member in members(file, options):
                count += 1
                size += member.size
        except Invalid as error:
            return Finding(error.why)
        return Finding("", {"archives": 1, "members": count, "unpacked": size})


def is_archive(file: File) -> bool:
    """Is it one, by suffix or by content, and no format that is a zip by the way?"""
    file.stream.seek(0)
    head = file.stream.read(265)
    file.stream.seek(0)
    if file.suffix in _ZIPS_OF_THEIR_OWN:
        return False
    return file.suffix in _PARTS or head.startswith(_MAGICS) or head[257:262] == b"ustar"


def members(file: File, options: ArchiveOptions, depth: int = 1) -> Generator[File]:
    """The regular files in an archive, one after the other, archives in it opened too.

    Raises:
        Invalid: kind `archive`: beyond a limit, damaged, a name or a kind of entry that is not safe.
    """
    if depth > options.depth:
        raise zips.bad(f"archives are nested deeper than {options.depth}")
    total = 0
    names: list[str] = []
    for count, (name, size, stream) in enumerate(_entries(file, options), start=1):
        total += size
        _require_within(count, total, file, options)
        names.append(_safe(name))
        member = File(name, size, "", stream)
        yield member
        if is_archive(member):
            yield from members(member, options, depth + 1)
    if layout.clash(names):
        raise zips.bad("two of its names clash")


@guard(26, 31)
def _require_within(count: int, total: int, file: File, options: ArchiveOptions) -> None:
    if count > options.entries:
        raise zips.bad(f"it has more than {options.entries} members")
    if total > options.bytes or (total > _SMALL and total > options.ratio * file.size):
        raise zips.bad("it unpacks to more than the rule allows")


def _entries(file: File, options: ArchiveOptions) -> Iterator[tuple[str, int, IO[bytes]]]:
    stream = file.stream
    stream.seek(0)
    if stream.read(2) == b"PK":
        yield from _zip(stream, options)
        return
    with _unpacked(stream, options) as (inner, packed):
        inner.seek(257)
        if inner.read(5) == b"ustar":
            yield from _tar(inner)
        elif packed:
            inner.seek(0, 2)
            size = inner.tell()
            inner.seek(0)
            yield file.name.rpartition(".")[0] or "member", size, inner
        else:
            raise zips.bad("it is no archive that is known here")


@contextmanager
def _unpacked(stream: IO[bytes], options: ArchiveOptions) -> Iterator[tuple[IO[bytes], bool]]:
    with zips.inflated(stream, options.bytes) as inner:
        yield (inner or stream), inner is not None


def _zip(stream: IO[bytes], options: ArchiveOptions) -> Iterator[tuple[str, int, IO[bytes]]]:
    for info in zips.entries(stream):
        mode = info.external_attr >> 16
        if mode & 0o170000 not in {0, 0o100000, 0o040000}:
            raise zips.bad("it holds a link or a device")
        if info.is_dir():
            _safe(info.filename.rstrip("/"))
            continue
        with zips.opened(stream, info, options.bytes) as member:
            yield info.filename, info.file_size, member


def _tar(stream: IO[bytes]) -> Iterator[tuple[str, int, IO[bytes]]]:
    end = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    try:
        with tarfile.open(fileobj=stream, mode="r:", errorlevel=2, ignore_zeros=False) as file:
            for info in file:
                if info.isdir():
                    _safe(info.name.removeprefix("./") or "d")
                    continue
                member = file.extractfile(info) if info.isreg() and not info.issparse() else None
                if member is None:
                    raise zips.bad("it holds a link or a device")
                if info.offset_data + info.size > end:
                    raise zips.bad("it is cut")
                yield info.name.removeprefix("./"), info.size, member
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        raise zips.bad("it is damaged") from error


@guard(4, 31)
def _safe(name: str) -> str:
    problem = layout.unsafe(name)
    if problem:
        raise zips.bad("a name in it is not safe")
    return name
