"""The digest list of a directory artifact: what `sha256sum -c` reads, and what in-toto's `dirHash` hashes.

One line `<sha256>  <path>` a file, sorted by path as UTF-8 bytes, LF after every line (design 6.2).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from placet.core.digest import sha256_hex
from placet.core.dirobject import DirEntry
from placet.errors import Invalid

_LINE = re.compile(r"([0-9a-f]{64})  ([^\n\r\\]+)")


@dataclass(frozen=True, slots=True)
class SumEntry:
    """One file of a digest list."""

    path: str
    sha256: str


def encode_sums(entries: Iterable[tuple[str, str]]) -> bytes:
    """The digest list of (path, SHA-256) pairs.

    Raises:
        Invalid: kind `digest-list`: a path is not UTF-8, comes twice, or holds a newline, CR or backslash.
    """
    lines = []
    for path, sha256 in entries:
        if not path or path.startswith("./") or any(char in path for char in "\n\r\\"):
            raise _invalid(f"the path {path!r} cannot be written into it")
        try:
            lines.append((path.encode("utf-8"), sha256.encode("ascii")))
        except UnicodeEncodeError as error:
            raise _invalid(f"the path {path!r} is not valid UTF-8") from error
    lines.sort()
    if len({path for path, _ in lines}) != len(lines):
        raise _invalid("a path comes twice")
    return b"".join(b"%b  %b\n" % (sha256, path) for path, sha256 in lines)


def decode_sums(data: bytes, *, max_entries: int, max_bytes: int) -> tuple[SumEntry, ...]:
    """The files of a digest list; only what `encode_sums` writes passes.

    Raises:
        Invalid: kind `digest-list`.
    """
    if len(data) > max_bytes or data.count(b"\n") > max_entries:
        raise _invalid(f"it has more than {max_entries} lines or {max_bytes} bytes")
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise _invalid("it is not valid UTF-8") from error
    found = [match for line in lines[:-1] if (match := _LINE.fullmatch(line)) and line[66:68] != "./"]
    paths = [one[2].encode() for one in found]
    ordered = all(map(operator.lt, paths, paths[1:]))
    if len(found) != len(lines) - 1 or lines[-1] or not ordered:
        raise _invalid("its bytes are not sorted lines `<sha256>  <path>`")
    return tuple(SumEntry(one[2], one[1]) for one in found)


def dir_hash(entries: Iterable[tuple[str, str]]) -> str:
    """in-toto's `dirHash` of (path, SHA-256) pairs: the SHA-256 of the digest list."""
    return sha256_hex(encode_sums(entries))


def check_same_paths(listing: Sequence[DirEntry], sums: Sequence[SumEntry]) -> None:
    """Refuse a `.dir` object and a digest list that do not name exactly the same files.

    Raises:
        Invalid: kind `digest-list`.
    """
    ours, theirs = {one.relpath for one in listing}, {one.path for one in sums}
    odd = sorted(ours ^ theirs)
    if odd or len(listing) != len(sums):
        raise _invalid(f"it and the .dir object do not name the same files ({(odd or ['?'])[0]!r})")


def _invalid(why: str) -> Invalid:
    return Invalid(f"A digest list cannot be used: {why}.", kind="digest-list")
