"""Every object that a metafile or a `.dir` object names, read so that nothing can be missed.

Who decides what may be removed must not depend on a parser: each MD5 that stands anywhere in the bytes
counts, also in a file with merge conflicts or of a form that only another version of DVC reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from placet.core.dvcfile import Output, read_lock, read_metafile
from placet.core.metayaml import load_yaml
from placet.errors import Invalid

_MD5 = re.compile(rb"(?<![0-9A-Za-z])([0-9a-fA-F]{32})(\.dir)?(?![0-9A-Za-z])")
_SLACK = 4096
_BYTES = 16


def mentioned(data: bytes) -> Iterator[tuple[str, bool]]:
    """MD5 (lower case), and whether it is that of a `.dir` object, as often as they stand there."""
    return ((one[1].decode().lower(), one[2] is not None) for one in _MD5.finditer(data))


def claims(name: str, data: bytes, md5: str) -> bool:
    """Does this metafile have the directory `md5` as an output whose objects DVC 3 keeps in a cache?

    Not so: a dependency, an output of DVC 2 (kept elsewhere), `cache: false`, an import from another
    repository (which is imported again from there). A file that cannot be read claims all that it names.

    Args:
        name: The file's name, which says what it is.
        data: Its bytes, which name `md5`.
        md5: Of a `.dir` object.
    """
    try:
        outs = read_lock(data) if is_lock(name) else _own_outs(data)
    except Invalid:
        return True
    return any(one.is_dir and one.md5 == md5 and one.cache and not one.legacy for one in outs)


def paths_of(name: str, data: bytes, md5: str) -> list[str]:
    """The outputs, as the metafile writes them, that are the directory `md5`; none if it cannot be read."""
    try:
        outs = read_lock(data) if is_lock(name) else read_metafile(data).outs
    except Invalid:
        return []
    return [one.path for one in outs if one.md5 == md5 and one.is_dir]


def uncached(pipeline: bytes) -> tuple[set[str], set[str]]:
    """The outputs that a `dvc.yaml` declares with `cache: false`, and those that it declares otherwise.

    Only what stands there literally; a file that cannot be read declares nothing.
    """
    without: set[str] = set()
    with_cache: set[str] = set()
    try:
        tree = load_yaml(pipeline)
    except Invalid:
        return without, with_cache
    for path, options in _declared(tree):
        (without if isinstance(options, dict) and options.get("cache") is False else with_cache).add(path)
    return without, with_cache


def is_metafile(path: str) -> bool:
    """Does DVC look for hashes in a file of this path?"""
    return path.endswith(".dvc") or is_lock(path)


def is_lock(path: str) -> bool:
    """Is this a `dvc.lock`?"""
    return path.rsplit("/", 1)[-1] == "dvc.lock"


def _own_outs(data: bytes) -> tuple[Output, ...]:
    found = read_metafile(data)
    return () if found.has_deps and b"rev_lock:" in data else found.outs


def _declared(node: Any, seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - YAML
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    if isinstance(node, list):
        seen.add(id(node))
        for one in node:
            yield from _declared(one, seen)
    if not isinstance(node, dict):
        return
    seen.add(id(node))
    for key, value in node.items():
        if key in {"outs", "metrics", "plots"} and isinstance(value, list):
            for one in value:
                yield from (
                    ((str(path), more) for path, more in one.items())
                    if isinstance(one, dict)
                    else [(str(one), None)]
                )
        else:
            yield from _declared(value, seen)


class Md5Set:
    """A set of MD5s in about twice their 16 bytes, so that millions fit; made of 256 shards by first byte."""

    def __init__(self) -> None:
        self._shards = [bytearray() for _ in range(256)]
        self._limits = [_SLACK] * 256

    def add(self, md5: str) -> None:
        """Take one in (32 hex digits)."""
        data = bytes.fromhex(md5)
        shard = self._shards[data[0]]
        shard += data
        if len(shard) > self._limits[data[0]]:
            self._tighten(data[0])

    def shard(self, number: int) -> set[bytes]:
        """The MD5s that begin with this byte, as 16 bytes each."""
        data = bytes(self._shards[number])
        return {data[start : start + _BYTES] for start in range(0, len(data), _BYTES)}

    def __iter__(self) -> Iterator[str]:
        """All of them in hex, shard by shard, sorted."""
        for number in range(256):
            yield from (one.hex() for one in sorted(self.shard(number)))

    def __len__(self) -> int:
        """How many."""
        for number in range(256):
            self._tighten(number)
        return sum(map(len, self._shards)) // _BYTES

    def _tighten(self, number: int) -> None:
        self._shards[number] = bytearray(b"".join(self.shard(number)))
        self._limits[number] = 2 * len(self._shards[number]) + _SLACK
