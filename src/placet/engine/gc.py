"""gc: remove from a cache or a remote what nothing needs.

Order: `.dir` objects, then digest lists and pointers, then files, each kind wholly before the next; so a
crash leaves no `.dir` object whose files are gone, and running it again ends in the same state. What is not
one of DVC 3's objects or ours (run cache, objects of DVC 2, foreign files) is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from placet.engine.disk import Cache
from placet.engine.gcsweep import (
    Age,
    Bin,
    CacheBin,
    Part,
    Shard,
    add_known_lists,
    add_leftovers,
    add_lists,
    sweep,
)
from placet.engine.needs import Needs, Unknown, cached_dir, stored_dir
from placet.engine.threads import run
from placet.errors import Refused
from placet.ports import ObjectStore, Progress

MAX_NAMES = 10_000
_SHOWN = 100
_FEW = 5
_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Collected:
    """What gc removed, or would remove.

    Attributes:
        where: `cache`, or the name of a remote.
        removed: False for a dry run.
        directories: `.dir` objects that nothing needs.
        lists: Digest lists and their pointers.
        files: Files.
        temporary: Unfinished files, older than a day.
        kept: Objects that something needs.
        young: Objects that nothing needs, but too young to tell.
        names: Keys of what is removed, `.dir` objects first; the first 10,000.
        roots: What keeps objects, in words -> how many of them.
        unknown: Directories whose files nobody can name; nothing is removed while there is one.
        notes: Remotes that were asked for these in vain.
    """

    where: str
    removed: bool
    directories: Part
    lists: Part
    files: Part
    temporary: Part
    kept: Part
    young: Part
    names: tuple[str, ...]
    roots: Mapping[str, int]
    unknown: tuple[Unknown, ...]
    notes: tuple[str, ...]

    @property
    def all(self) -> Part:
        """Everything that is removed."""
        return self.directories + self.lists + self.files + self.temporary


def collect_cache(
    cache: Cache,
    needs: Needs,
    *,
    now_s: float,
    least_s: float,
    roots: Mapping[str, int],
    remove: bool,
    jobs: int,
    progress: Progress,
) -> Collected:
    """Remove from a local cache what nothing needs, or say what would be removed; idempotent.

    Args:
        cache: What is collected.
        needs: What must stay.
        now_s: The time, for a dry run; the file system's own is taken where something is removed.
        least_s: Seconds since an object came, below which it stays.
        roots: What the needs come from, for the answer.
        remove: False: change nothing. True: the caller holds the lock of `gclock.alone`.
        jobs: Objects at once.
        progress: Told of it.

    Raises:
        Refused: kind `gc-unknown`: something is needed that nobody can name.
        Unavailable: the disk's.
    """
    if remove:
        _refuse_unknown(needs)
    this = CacheBin(cache)
    age = Age(this.now_s() if remove else now_s, least_s)
    found = sweep(this, needs, age, lambda md5: cached_dir([cache], md5), jobs, progress)
    add_lists(cache, needs, age, found)
    add_leftovers(cache, age.now_s, found)
    return _finish("cache", this, found, needs, roots, remove=remove, jobs=jobs, progress=progress)


def collect_remote(
    name: str,
    store: ObjectStore,
    caches: Sequence[Cache],
    needs: Needs,
    *,
    now_s: float,
    least_s: float,
    roots: Mapping[str, int],
    forget: Callable[[], None],
    remove: bool,
    jobs: int,
    progress: Progress,
) -> Collected:
    """As `collect_cache`, for a remote.

    A digest list goes with its `.dir` object, where the pointer in one of the `caches` tells which it is.

    Args:
        name: Of the remote.
        store: What is collected.
        caches: Those of all users.
        needs: What must stay.
        now_s: The time.
        least_s: Seconds since an object came, below which it stays.
        roots: What the needs come from, for the answer.
        forget: Makes DVC forget what it believes to be in its remotes; called before anything is removed.
        remove: False: change nothing.
        jobs: Objects at once.
        progress: Told of it.
    """
    if remove:
        _refuse_unknown(needs)
    found = sweep(store, needs, Age(now_s, least_s), lambda md5: stored_dir(store, md5), jobs, progress)
    add_known_lists(store, caches, needs, found, jobs)
    if remove:
        forget()
    return _finish(name, store, found, needs, roots, remove=remove, jobs=jobs, progress=progress)


def _refuse_unknown(needs: Needs) -> None:
    if not needs.unknown:
        return
    shown = ", ".join(
        f"{one.name} ({one.path or 'an artifact'}, {one.where})" for one in needs.unknown[:_FEW]
    )
    more = f" and {len(needs.unknown) - _FEW} more" if len(needs.unknown) > _FEW else ""
    names = " ".join(f"--give-up {one.name}" for one in needs.unknown[:_SHOWN])
    raise Refused(
        f"{len(needs.unknown)} directories are needed whose .dir object is nowhere; nothing was removed.",
        kind="gc-unknown",
        why=" ".join([f"Which files they have is not known: {shown}{more}.", *needs.notes]),
        mend=f"Fetch them from wherever they are or, if they are lost for good: {names}",
    )


def _finish(
    where: str,
    this: Bin,
    found: list[Shard],
    needs: Needs,
    roots: Mapping[str, int],
    *,
    remove: bool,
    jobs: int,
    progress: Progress,
) -> Collected:
    def kind(name: str) -> Part:
        return sum((one.parts.get(name, Part()) for one in found), Part())

    phases: tuple[Callable[[Shard], Iterable[str]], ...] = (
        lambda one: one.dirs,
        lambda one: one.lists,
        Shard.file_keys,
        lambda one: one.leftovers,
    )
    every = (key for phase in phases for one in found for key in phase(one))
    names = tuple(key for key, _ in zip(every, range(MAX_NAMES), strict=False))
    out = Collected(
        where=where,
        removed=remove,
        directories=kind("directories"),
        lists=kind("lists"),
        files=sum((one.file_part() for one in found), Part()),
        temporary=kind("temporary"),
        kept=kind("kept"),
        young=kind("young"),
        names=names,
        roots=roots,
        unknown=tuple(needs.unknown),
        notes=tuple(needs.notes),
    )
    if remove:
        progress.start("remove", out.all.objects)
        for phase in phases:
            _remove(this, (key for one in found for key in phase(one)), jobs, progress)
        progress.done()
    return out


def _remove(this: Bin, keys: Iterator[str], jobs: int, progress: Progress) -> None:
    """Remove all of these before returning."""

    def delete(key: str) -> None:
        this.delete(key)
        progress.advance(1)

    while batch := [key for key, _ in zip(keys, range(_BATCH), strict=False)]:
        run(delete, batch, jobs)
