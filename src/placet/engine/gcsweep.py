"""The sweep of `gc`: what a cache or a remote holds, and what of it nothing needs. Removes nothing.

An object is looked at only where DVC 3 or Placet would have put it, under a name that they would give it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from placet.core import layout
from placet.core.mentions import mentioned
from placet.engine.disk import Cache, disk
from placet.engine.needs import Needs
from placet.engine.threads import run
from placet.engine.transfer import sizes
from placet.ports import ObjectInfo, ObjectStore, Progress

SHARDS = 256
_MD5_BYTES = 16
_RECORD = 24
_LEFTOVER = re.compile(r".*/\.[^/]+\.tmp")
_LEFTOVER_S = 86_400.0
_TEMPORARY = "placet/tmp/"


@dataclass(frozen=True, slots=True)
class Part:
    """So many objects of so many bytes."""

    objects: int = 0
    size: int = 0

    def __add__(self, other: Part) -> Part:
        return Part(self.objects + other.objects, self.size + other.size)


class Bin(Protocol):
    """What is collected: a cache or a remote."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects below a folder, with the time at which they came there."""

    def delete(self, key: str) -> None:
        """Remove one; silent if it is not there."""


class CacheBin:
    """A local cache as a `Bin`: regular files only; links and folders are foreign."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All files of a folder; `modified_s` is when a file got its name or its bytes."""
        folder = self._cache.path(prefix)
        with disk(folder), contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                info = _info(prefix, entry)
                if info is not None:
                    yield info

    def delete(self, key: str) -> None:
        """Remove one file."""
        path = self._cache.path(key)
        with disk(path), contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - hot path

    def now_s(self) -> float:
        """The file system's own time; no clock of another machine is compared."""
        with self._cache.temp() as temp, disk(temp), open(temp, "xb") as stream:  # noqa: PTH123
            return os.fstat(stream.fileno()).st_mtime


def _info(prefix: str, entry: os.DirEntry[str]) -> ObjectInfo | None:
    with contextlib.suppress(FileNotFoundError):
        if entry.is_file(follow_symlinks=False):
            found = entry.stat(follow_symlinks=False)
            modified = max(found.st_mtime, found.st_ctime)
            return ObjectInfo(prefix + entry.name, found.st_size, modified_s=modified)
    return None


@dataclass(frozen=True, slots=True)
class Age:
    """What is too young to be removed: younger than `least_s` at `now_s`; with 0 age does not count."""

    now_s: float
    least_s: float

    def young(self, info: ObjectInfo) -> bool:
        """Is it too young, or of unknown age?"""
        if not self.least_s:
            return False
        return info.modified_s is None or info.modified_s > self.now_s - self.least_s


@dataclass(slots=True)
class Shard:
    """What one of the 256 folders holds; files that go are packed (MD5, size), so that millions fit.

    Attributes:
        number: The first byte of the hashes.
        dirs: Keys of `.dir` objects that go.
        files: Files that go.
        lists: Keys of digest lists and pointers that go.
        leftovers: Keys of unfinished files that go.
        young_dirs: MD5s of `.dir` objects that nothing needs, but too young to go.
        parts: Kind -> how many there are; files that go are counted in `files`.
    """

    number: int
    dirs: list[str] = field(default_factory=list)
    files: bytearray = field(default_factory=bytearray)
    lists: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    young_dirs: list[str] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)

    def count(self, kind: str, size: int) -> None:
        """One more of a kind."""
        self.parts[kind] = self.parts.get(kind, Part()) + Part(1, size)

    def add_file(self, md5: bytes, size: int) -> None:
        """A file that goes."""
        self.files += md5 + size.to_bytes(_RECORD - _MD5_BYTES, "big")

    def each_file(self) -> Iterator[tuple[bytes, int]]:
        """MD5 and size of each file that goes."""
        for start in range(0, len(self.files), _RECORD):
            record = bytes(self.files[start : start + _RECORD])
            yield record[:_MD5_BYTES], int.from_bytes(record[_MD5_BYTES:], "big")

    def file_part(self) -> Part:
        """How many files go."""
        return Part(len(self.files) // _RECORD, sum(size for _, size in self.each_file()))

    def file_keys(self) -> Iterator[str]:
        """Keys of the files that go."""
        return (layout.data_key(md5.hex()) for md5, _ in self.each_file())

    def spare(self, md5s: set[bytes]) -> None:
        """Let these files stay, as if they were young themselves."""
        before = list(self.each_file())
        self.files = bytearray()
        for md5, size in before:
            if md5 in md5s:
                self.count("young", size)
            else:
                self.add_file(md5, size)


def sweep(
    this: Bin,
    needs: Needs,
    age: Age,
    read_dir: Callable[[str], bytes | None],
    jobs: int,
    progress: Progress,
) -> list[Shard]:
    """All DVC 3 objects of a cache or remote, told apart; folder by folder, side by side.

    Args:
        this: What is swept.
        needs: What stays.
        age: What is too young to go.
        read_dir: The bytes of a `.dir` object of `this`, by MD5, or None if it cannot be read as one.
        jobs: Folders at once.
        progress: Told of each folder.
    """
    progress.start("list", SHARDS)

    def look(number: int) -> Shard:
        found = Shard(number)
        needed = needs.files.shard(number)
        for info in this.list(layout.data_folder(number)):
            _sort(found, info, needs.dirs, needed, age)
        progress.advance(1)
        return found

    out = run(look, range(SHARDS), jobs)
    progress.done()
    _spare_files_of_young(out, read_dir)
    return out


def _sort(found: Shard, info: ObjectInfo, dirs: set[str], files: set[bytes], age: Age) -> None:
    parsed = layout.hash_of(info.key)
    if parsed is None:
        return
    md5, is_dir = parsed
    if md5 in dirs if is_dir else bytes.fromhex(md5) in files:
        found.count("kept", info.size)
    elif age.young(info):
        found.count("young", info.size)
        if is_dir:
            found.young_dirs.append(md5)
    elif is_dir:
        found.count("directories", info.size)
        found.dirs.append(info.key)
    else:
        found.add_file(bytes.fromhex(md5), info.size)


def _spare_files_of_young(shards: Sequence[Shard], read_dir: Callable[[str], bytes | None]) -> None:
    """A `.dir` object that stays keeps its files, however old they are."""
    spared: dict[int, set[bytes]] = {}
    for md5 in (md5 for one in shards for md5 in one.young_dirs):
        for name, _ in mentioned(read_dir(md5) or b""):
            data = bytes.fromhex(name)
            spared.setdefault(data[0], set()).add(data)
    for number, md5s in spared.items():
        shards[number].spare(md5s)


def add_lists(cache: Cache, needs: Needs, age: Age, shards: Sequence[Shard]) -> None:
    """A cache's pointers of directories that nothing needs, and digest lists that no other pointer names."""
    this = CacheBin(cache)
    needed = set(needs.lists)
    stay = needs.dirs.union(*(one.young_dirs for one in shards))
    for one in shards:
        for info in this.list(layout.pointers_folder(one.number)):
            parsed = layout.hash_of(info.key)
            if parsed is not None and (parsed[0] in stay or age.young(info)):
                needed.add(_pointed(cache, info.key))
            elif parsed is not None:
                one.count("lists", info.size)
                one.lists.append(info.key)
    for one in shards:
        for info in this.list(layout.sums_folder(one.number)):
            parsed = layout.hash_of(info.key)
            if parsed is not None and parsed[0] not in needed and not age.young(info):
                one.count("lists", info.size)
                one.lists.append(info.key)


def add_known_lists(
    store: ObjectStore, caches: Sequence[Cache], needs: Needs, shards: Sequence[Shard], jobs: int
) -> None:
    """A remote's digest lists of directories that nothing needs, where a cache's pointer tells which."""
    stay = needs.dirs.union(*(one.young_dirs for one in shards))
    needed, unneeded = set(needs.lists), set[str]()
    for cache in caches:
        for number in range(SHARDS):
            for info in CacheBin(cache).list(layout.pointers_folder(number)):
                parsed = layout.hash_of(info.key)
                if parsed is not None:
                    (needed if parsed[0] in stay else unneeded).add(_pointed(cache, info.key))
    keys = sorted(layout.sums_key(one) for one in unneeded - needed if layout.is_sha256(one))
    for key, size in sizes(store, keys, jobs).items():
        shards[0].count("lists", size)
        shards[0].lists.append(key)


def _pointed(cache: Cache, pointer: str) -> str:
    """The SHA-256 that a pointer holds; something else if it holds none."""
    return (cache.read(pointer, 64) or b"").decode("latin-1")


def add_leftovers(cache: Cache, now_s: float, shards: Sequence[Shard]) -> None:
    """A cache's unfinished files, of Placet and of DVC, that nobody has written to for a day."""
    this, age = CacheBin(cache), Age(now_s, _LEFTOVER_S)
    makers = (layout.data_folder, layout.sums_folder, layout.pointers_folder)
    folders = [make(number) for number in range(SHARDS) for make in makers]
    for info in (info for folder in (*folders, _TEMPORARY) for info in this.list(folder)):
        if _LEFTOVER.fullmatch(info.key) and not age.young(info):
            shards[0].count("temporary", info.size)
            shards[0].leftovers.append(info.key)
