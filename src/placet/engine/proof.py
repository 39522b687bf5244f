"""Which objects of the cache are what their names say: known from the state database, or read now.

A file that is there proves nothing, whatever its mode: DVC trusts 0444, and hands out what rotted or was
edited through a hard link. What Placet wrote or read once is known by its stamp, and is not read again.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from placet.core import layout
from placet.core.digest import Digests, digest_chunks, digest_legacy
from placet.engine.disk import PROTECTED, Cache, chunks, disk, stamp
from placet.engine.threads import guarded, run_local
from placet.ports import FileStamp, State


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found of the objects asked for; those that are not there are in neither.

    Attributes:
        good: MD5 (or DVC 2's hash) -> digests.
        corrupt: MD5s under whose name other bytes are.
    """

    good: Mapping[str, Digests]
    corrupt: frozenset[str]


def prove_cached(
    cache: Cache,
    md5s: Iterable[str],
    state: State,
    jobs: int,
    *,
    legacy: bool = False,
    reread: bool = False,
) -> Proof:
    """Which of these objects the cache holds, and whether they are right. What was read is remembered.

    Args:
        cache: Where they are.
        md5s: Which.
        state: Asked first, told afterwards.
        jobs: Files that are read at once.
        legacy: These are hashes of DVC 2, which differ from the MD5 for text with CRLF: that is read always.
        reread: Do not ask the state database.

    Raises:
        Unavailable: the disk's.
    """
    key_of = layout.legacy_key if legacy else layout.data_key
    stamps = _stamps(cache, {md5: cache.path(key_of(md5)) for md5 in md5s})
    known = [None] * len(stamps) if reread else state.get_many(list(stamps.values()))
    good = {md5: one for md5, one in zip(stamps, known, strict=True) if one is not None and one.md5 == md5}
    todo = [md5 for md5 in stamps if md5 not in good]
    read = run_local(lambda md5: _digest(stamps[md5].path, legacy=legacy), todo, jobs)
    fresh = {md5: found for md5, (found, name) in zip(todo, read, strict=True) if name == md5}
    for md5 in fresh:
        _protect(stamps[md5].path)
    state.put_many([(stamps[md5], found) for md5, found in fresh.items()])
    return Proof({**good, **fresh}, frozenset(todo) - fresh.keys())


def _digest(path: str, *, legacy: bool) -> tuple[Digests, str]:
    """An object's digests, and the hash that is its name."""
    if legacy:
        return digest_legacy(guarded(chunks(path)))
    found = digest_chunks(guarded(chunks(path)))
    return found, found.md5


def _stamps(cache: Cache, paths: Mapping[str, str]) -> dict[str, FileStamp]:
    found = {}
    with disk(cache.root):
        for md5, path in paths.items():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                info = os.stat(path)  # noqa: PTH116 - hot path
                if stat.S_ISREG(info.st_mode):
                    found[md5] = stamp(path, info)
    return found


def _protect(path: str) -> None:
    """Read-only, as DVC leaves what it verified; another user's file in a shared cache stays as it is."""
    with contextlib.suppress(OSError):
        if stat.S_IMODE(os.stat(path).st_mode) != PROTECTED:  # noqa: PTH116
            os.chmod(path, PROTECTED)  # noqa: PTH101
