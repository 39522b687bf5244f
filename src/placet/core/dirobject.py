"""DVC's `.dir` objects as values, to the byte what DVC 3 writes (facts: design 6.1, 8).

`decode_dir` is strict: what it reads may come from a tier and is hostile.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from placet.core import layout, limits
from placet.errors import Invalid

_MD5 = re.compile(r"[0-9a-f]{32}")
_ENTRY = re.compile(rb'\{"md5": "([0-9a-f]{32})", "relpath": "((?:[ !#-\[\]-~]|\\[ -~])*)"\}(, |\])')


@dataclass(frozen=True, slots=True)
class DirEntry:
    """One file of a directory artifact."""

    relpath: str
    md5: str


def encode_dir(entries: Iterable[tuple[str, str]]) -> bytes:
    """The `.dir` object of (relpath, md5) pairs, to the byte what DVC writes."""
    listing = [{"md5": md5, "relpath": relpath} for relpath, md5 in sorted(entries)]
    return json.dumps(listing).encode("utf-8")


def decode_dir(data: bytes, *, max_entries: int, max_bytes: int, strict: bool = True) -> tuple[DirEntry, ...]:
    """The files of a `.dir` object, in its order; only what `encode_dir` writes, with safe paths, passes.

    Args:
        data: Its bytes.
        max_entries: Files at most.
        max_bytes: Bytes at most.
        strict: As of `layout.forbidden_in_directory`; False for what only this workspace is to hold.

    Raises:
        Invalid: kind `dir-object`.
    """
    if len(data) > max_bytes:
        raise _bad_dir(f"it has more than {max_bytes} bytes")
    entries = tuple(itertools.islice(_entries(data, strict=strict), max_entries + 1))
    if len(entries) > max_entries:
        raise _bad_dir(f"it is not a list of at most {max_entries} entries")
    pair = layout.clash(one.relpath for one in entries)
    if pair is not None:
        raise _bad_dir(f"{pair[0]!r} and {pair[1]!r} clash")
    return entries


def _entries(data: bytes, *, strict: bool) -> Iterator[DirEntry]:
    """The entries, read one after the other: a listing of millions is never held as a tree of JSON."""
    at, last, plain = 1, None, data != b"[]"
    if data[:1] != b"[":
        raise _odd_dir(data)
    while plain:
        found = _ENTRY.match(data, at)
        relpath = _relpath(found[2]) if found and len(found[2]) <= 6 * limits.PATH_BYTES else None
        if found is None or relpath is None or (last is not None and relpath < last):
            raise _odd_dir(data)
        reason = layout.forbidden_in_directory(relpath, strict=strict)
        if reason is not None:
            raise _bad_dir(f"the path {relpath!r} {reason}")
        yield DirEntry(relpath, found[1].decode("ascii"))
        at, last, plain = found.end(), relpath, found[3] == b", "
    if at != len(data) - (data == b"[]"):
        raise _odd_dir(data)


def _relpath(raw: bytes) -> str | None:
    """A path as `json.dumps` writes it; None for any other spelling."""
    if b"\\" not in raw:
        return raw.decode("ascii")
    try:
        path = json.loads(b'"' + raw + b'"')
    except ValueError:
        return None
    return path if json.dumps(path)[1:-1].encode() == raw else None


def _odd_dir(data: bytes) -> Invalid:
    """The refusal of bytes that DVC does not write; of a short listing with the reason."""
    listing: object = None
    if len(data) <= limits.METAFILE_BYTES:
        try:
            listing = json.loads(data)
        except (ValueError, RecursionError):
            return _bad_dir("it is not JSON")
    if not isinstance(listing, list):
        return _bad_dir("it is not a list as DVC writes it")
    if any(not isinstance(one, dict) or one.keys() != {"md5", "relpath"} for one in listing):
        return _bad_dir("an entry has other keys than md5 and relpath")
    if any(not isinstance(one["relpath"], str) or not _MD5.fullmatch(str(one["md5"])) for one in listing):
        return _bad_dir("an entry has no path or no MD5")
    return _bad_dir("its bytes are not what DVC writes for these entries")


def _bad_dir(why: str) -> Invalid:
    return Invalid(f"A .dir object cannot be used: {why}.", kind="dir-object")
