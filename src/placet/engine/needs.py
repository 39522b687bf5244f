"""The objects that must stay: all that the roots name, and all files of every directory among them.

A directory whose `.dir` object is nowhere within reach has files that nobody can name: it is reported as
unknown, and nothing is removed while there is one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from placet.core.digest import digest
from placet.core.layout import data_key
from placet.core.mentions import Md5Set, mentioned
from placet.engine.artifact import MAX_LIST
from placet.engine.disk import Cache, disk
from placet.engine.roots import User
from placet.engine.threads import run
from placet.engine.transfer import read_object
from placet.errors import Corrupt, NotFound, PlacetError
from placet.ports import ObjectStore

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Unknown:
    """A directory whose `.dir` object is nowhere: `name` is what `--give-up` takes."""

    name: str
    path: str
    where: str


@dataclass(frozen=True, slots=True)
class Places:
    """Where `.dir` objects are looked for: caches first, then remotes by name, opened when needed."""

    caches: Sequence[Cache]
    stores: Sequence[tuple[str, Callable[[], ObjectStore]]]


@dataclass(slots=True)
class Needs:
    """What must stay.

    Attributes:
        files: MD5s of files.
        dirs: MD5s of `.dir` objects.
        lists: SHA-256 of digest lists that a manifest names.
        unknown: Directories of which only the name is known.
        notes: Remotes that were asked in vain, and why.
    """

    files: Md5Set = field(default_factory=Md5Set)
    dirs: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    unknown: list[Unknown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather(users: Sequence[User], places: Places, *, tips: bool, give_up: frozenset[str], jobs: int) -> Needs:
    """Everything that the users' roots need. Changes nothing.

    Args:
        users: All who use what is to be collected.
        places: Where `.dir` objects are looked for.
        tips: Of refs only their own commits count, not those behind them.
        give_up: MD5s of `.dir` objects that may stay unknown.
        jobs: Objects asked for at once.

    Raises:
        Corrupt: kind `git-failed`.
        Unavailable: the disk's.
    """
    needs = Needs()
    for user in users:
        for one in user.mentions(tips=tips):
            _take(needs, mentioned(one.data))
        _take(needs, ((md5, is_dir) for md5, is_dir, _, _ in user.governed.objects))
        needs.lists |= user.governed.lists
    lost = _expand(needs, places, jobs) - give_up
    needs.unknown = list(_unknown(users, lost, tips=tips)) if lost else []
    return needs


def _take(needs: Needs, found: Iterable[tuple[str, bool]]) -> None:
    for md5, is_dir in found:
        if is_dir:
            needs.dirs.add(md5)
        else:
            needs.files.add(md5)


def _expand(needs: Needs, places: Places, jobs: int) -> set[str]:
    """Take in the files of all directories; the MD5s of those that were not found."""
    missing = []
    for md5 in sorted(needs.dirs):
        data = cached_dir(places.caches, md5)
        if data is None:
            missing.append(md5)
        else:
            _take_listing(needs, data)
    for name, open_store in places.stores:
        if missing:
            try:
                missing = list(_ask(needs, open_store(), missing, jobs))
            except PlacetError as error:
                needs.notes.append(f"{name}: {error.what}")
    return set(missing)


def cached_dir(caches: Sequence[Cache], md5: str) -> bytes | None:
    """The bytes of a `.dir` object, from the first cache that has it unbroken."""
    for cache in caches:
        path = cache.path(data_key(md5, is_dir=True))
        with disk(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            data = Path(path).read_bytes()
            if digest(data).md5 == md5:
                return data
    return None


def stored_dir(store: ObjectStore, md5: str) -> bytes | None:
    """The bytes of a `.dir` object, if the store has it unbroken."""
    try:
        return read_object(store, data_key(md5, is_dir=True), md5=md5, limit=MAX_LIST)
    except (NotFound, Corrupt) as error:
        if error.kind in {"no-object", "digest-mismatch"}:
            return None
        raise


def _ask(needs: Needs, store: ObjectStore, md5s: list[str], jobs: int) -> Iterator[str]:
    """Those that a store does not have."""
    for start in range(0, len(md5s), _AT_ONCE):
        some = md5s[start : start + _AT_ONCE]
        for md5, data in zip(some, run(lambda md5: stored_dir(store, md5), some, jobs), strict=True):
            if data is None:
                yield md5
            else:
                _take_listing(needs, data)


def _take_listing(needs: Needs, data: bytes) -> None:
    for md5, is_dir in mentioned(data):
        if not is_dir:
            needs.files.add(md5)


def _unknown(users: Sequence[User], lost: set[str], *, tips: bool) -> Iterator[Unknown]:
    left = set(lost)
    for user in users:
        for md5, is_dir, own, ident in user.governed.objects:
            if is_dir and own and md5 in left:
                left.discard(md5)
                yield Unknown(f"{md5}.dir", "", f"proposal {ident[:12]}")
        for mention in user.mentions(tips=tips):
            for md5 in sorted(left & {md5 for md5, is_dir in mentioned(mention.data) if is_dir}):
                if user.needs_directory(mention, md5, tips=tips):
                    left.discard(md5)
                    yield Unknown(f"{md5}.dir", mention.path, mention.where)
