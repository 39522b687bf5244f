"""What a retraction does to the objects of a tier: hide them, erase every version, or bring them back.

Order: the `.dir` object of a directory is hidden first, so that nobody takes the directory for whole; it is
erased last, because it alone says which objects the others are: whoever dies in between finds them again.
Only versions that were seen while the retraction was open are erased, by their ids; what comes later under
the same key is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.dirobject import decode_dir
from placet.core.guards import guard
from placet.core.predicates import Erased
from placet.engine import threads, transfer
from placet.engine.contents import Item, digests_of, read_artifact, require_listable
from placet.engine.publication import Edition, Publication, Retraction
from placet.errors import Conflict, Corrupt, NotFound, Refused
from placet.ports import ObjectStore, Progress, Version

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Objects:
    """The keys of one artifact; `files` is None if nothing here says any more which they are."""

    version: Edition
    dir: str | None
    sums: str | None
    files: frozenset[str] | None

    @property
    def all(self) -> frozenset[str]:
        """All keys that are known."""
        return frozenset(key for key in (self.dir, self.sums) if key) | (self.files or frozenset())

    @property
    def count(self) -> int:
        """How many objects there are, or were at most."""
        return len(self.all) if self.files is not None else self.version.artifact.files + 2


@dataclass(frozen=True, slots=True)
class Plan:
    """The objects of what was taken back, and those of them that must stay as they are."""

    objects: tuple[Objects, ...]
    kept: frozenset[str]

    def going(self) -> Iterator[str]:
        """What is hidden or erased: `.dir` objects, digest lists, files."""
        groups = ([one.dir for one in self.objects], [one.sums for one in self.objects])
        files = sorted({key for one in self.objects for key in one.files or ()})
        for key in dict.fromkeys([*(key for group in groups for key in group if key), *files]):
            if key not in self.kept:
                yield key


def objects_of(stores: Sequence[ObjectStore], version: Edition) -> Objects:
    """Which objects an artifact has, by its `.dir` object, also where that is hidden.

    Raises:
        Corrupt: kind `digest-mismatch`: none of its versions is what was approved.
    """
    artifact = version.artifact
    key = layout.data_key(artifact.md5, is_dir=artifact.dir is not None)
    if artifact.dir is None:
        return Objects(version, None, None, frozenset({key}))
    require_listable(artifact)
    listing = next((data for store in stores if (data := _read(store, key, version)) is not None), None)
    files = None
    if listing is not None:
        entries = decode_dir(listing, max_entries=artifact.files, max_bytes=len(listing))
        files = frozenset(layout.data_key(one.md5) for one in entries)
    return Objects(version, key, layout.sums_key(version.sha256), files)


def plan(
    store: ObjectStore, publication: Publication, known: Retraction, jobs: int, *, erasing: bool
) -> Plan:
    """What an open retraction hides or erases.

    Args:
        store: The tier, as the retraction credential reaches it.
        publication: The published branch at its tip.
        known: The retraction.
        jobs: Objects that are read at once.
        erasing: Also what other emergencies hide stays, for it may come back.

    Raises:
        Refused: kind `retract-unknown`: it cannot be known what must stay, or what must go.
    """
    found = tuple(threads.run(lambda one: objects_of([store], one), known.taken, jobs))
    for one in found:
        _require_known(store, one)
    mine = frozenset(key for one in found for key in one.all)
    others = list(publication.kept())
    if erasing:
        others += _may_return(publication, known)
    kept: set[str] = set()
    for some in threads.run(lambda one: _needed(store, one) & mine, others, jobs):
        kept |= some
    return Plan(found, frozenset(kept))


def hide(store: ObjectStore, keys: Iterable[str], jobs: int, *, emergency: bool) -> None:
    """Put a marker over objects, where the store keeps what is below it. Idempotent.

    Raises:
        Refused: kind `no-versions`, in an emergency: here nothing can be hidden so that it comes back.
    """

    def one(key: str) -> None:
        found = store.versions(key)
        if not found or found[0].marker:
            return
        if found[0].id in {None, "null"}:
            if emergency:
                raise _not_versioned(key)
            return
        store.delete(key)

    for group in _in_order(keys):
        threads.run(one, group, jobs)


def erase(
    store: ObjectStore, found: Plan, jobs: int, progress: Progress, still_open: Callable[[], bool]
) -> tuple[Erased, ...]:
    """Remove every version of the objects that must go, and prove that nothing is left. Idempotent.

    Raises:
        Conflict: kind `retract-changed`: somebody else settled it, or keeps writing these objects.
        Refused: the store's.
    """
    keys = list(found.going())
    hide(store, filter(_is_dir, keys), jobs, emergency=False)
    removed: dict[str, int] = {}
    progress.start("erase", len(keys))
    for _ in range(_ROUNDS):
        listed = dict(zip(keys, threads.run(store.versions, keys, jobs), strict=True))
        if not any(listed.values()):
            progress.done()
            return tuple(_erased(one, found.kept, removed) for one in found.objects)
        if not still_open():
            break
        for group in _in_order(keys)[::-1]:
            pairs = [(key, listed[key]) for key in group]
            for key, number in threads.run(lambda pair: _remove(store, *pair), pairs, jobs):
                removed[key] = removed.get(key, 0) + number
                progress.advance(1)
    raise Conflict(
        "The retraction was settled by somebody else, or its objects keep coming back.",
        kind="retract-changed",
        mend="Run it again; if it stays so, find out who writes to the tier.",
    )


def restore(store: ObjectStore, found: Plan, hidden_elsewhere: frozenset[str], jobs: int) -> None:
    """Take the markers away again, and prove every object. Idempotent.

    Raises:
        Corrupt: kind `digest-mismatch`: something is there, but not what was published.
        NotFound: kind `no-object`: something is gone for good.
    """

    def one(key: str) -> None:
        for version in store.versions(key):
            if not version.marker:
                return
            store.delete(key, version=version.id)

    back = [key for key in found.going() if key not in hidden_elsewhere]
    threads.run(one, back[::-1], jobs)
    for objects in found.objects:
        if objects.all & hidden_elsewhere:
            continue
        version = objects.version
        items = read_artifact(store, version.artifact, version.sha256).items
        threads.run(lambda item: _prove(store, item), items, jobs)


def overlap(
    publication: Publication, stores: Sequence[ObjectStore], keys: Iterable[str]
) -> Retraction | None:
    """The open retraction that takes back one of these objects, or of which that cannot be known.

    Args:
        publication: The branch that something is to be published on.
        stores: Where the `.dir` objects of what was taken back may still be read.
        keys: The objects that it needs.
    """
    wanted = set(keys)
    for known in publication.retractions.values():
        if not known.open:
            continue
        for version in known.taken:
            files = objects_of(stores, version).files
            if files is None or not wanted.isdisjoint(files):
                return known
    return None


def _read(store: ObjectStore, key: str, version: Edition) -> bytes | None:
    """The `.dir` object that was approved, or None if no version of it is here."""
    wanted = version.artifact.dir
    assert wanted is not None  # noqa: S101 - asked of directories only
    found: list[str | None] = [None]
    try:
        found += [one.id for one in store.versions(key) if not one.marker and one.id not in {None, "null"}]
    except Refused:  # a credential that may not list versions sees what is not hidden
        found = [None]
    seen = False
    for ident in found:
        try:
            data = b"".join(transfer.bounded(store.get(key, version=ident), wanted.size, key))
        except NotFound:
            continue
        except Corrupt:
            seen = True
            continue
        if sha256_hex(data) == wanted.sha256:
            return data
        seen = True
    if seen:
        raise Corrupt(
            f"CORRUPT: object {key} is not what was approved.",
            kind="digest-mismatch",
            mend="Nothing was erased by its word. Put the right one back, and run it again.",
        )
    return None


@guard(33)
def _require_known(store: ObjectStore, objects: Objects) -> None:
    """If a directory's `.dir` object is gone, all of it must be: it is the last that is erased."""
    if objects.files is None and objects.sums is not None and store.versions(objects.sums):
        raise Refused(
            f"Nobody can tell any more which objects {objects.version.artifact.path} has.",
            kind="retract-unknown",
            why=f"Its object {objects.dir} is gone, though it is the last that a retraction erases.",
            mend="On its node: dvc push it to the tier again, then run this again.",
        )


@guard(33)
def _needed(store: ObjectStore, version: Edition) -> frozenset[str]:
    """The objects of something that stays published; if that cannot be known, nothing is erased."""
    found = objects_of([store], version)
    if found.files is None:
        raise Refused(
            f"It cannot be known which objects {version.artifact.path} needs, which stays published.",
            kind="retract-unknown",
            why=f"Its object {found.dir} is not in the tier.",
            mend="Repair the tier first: placet scrub --repair. Nothing was erased.",
        )
    return found.all


def _may_return(publication: Publication, known: Retraction) -> Iterator[Edition]:
    for one in publication.retractions.values():
        if one.open and not one.confirmed and one.case.id != known.case.id:
            yield from one.taken


def _in_order(keys: Iterable[str]) -> list[list[str]]:
    """`.dir` objects, digest lists, files; each group ends before the next begins."""
    groups: list[list[str]] = [[], [], []]
    for key in keys:
        groups[0 if _is_dir(key) else 1 if key.startswith("placet/") else 2].append(key)
    return groups


def _is_dir(key: str) -> bool:
    return key.endswith(".dir")


def _remove(store: ObjectStore, key: str, versions: Sequence[Version]) -> tuple[str, int]:
    for one in versions:
        store.delete(key, version=one.id)
    return key, sum(not one.marker for one in versions)


def _erased(objects: Objects, kept: frozenset[str], removed: Mapping[str, int]) -> Erased:
    return Erased(
        path=objects.version.artifact.path,
        objects=objects.count,
        kept=len(objects.all & kept),
        versions=sum(removed.get(key, 0) for key in objects.all),
    )


@guard(24, 33)
def _prove(store: ObjectStore, item: Item) -> None:
    """What comes back must be there, and be what was approved."""
    info = store.head(item.key)
    if info is None:
        raise NotFound(
            f"Object {item.key} is gone: the retraction cannot be undone.",
            kind="no-object",
            mend="Let a second person confirm it, or put the object back and run it again.",
        )
    if not transfer.prove(store, item.key, digests_of(item, info.size)):
        raise Corrupt(f"CORRUPT: object {item.key} is not what was approved.", kind="digest-mismatch")


def _not_versioned(key: str) -> Refused:
    return Refused(
        f"The store keeps no versions of {key}: what is hidden there would be gone.",
        kind="no-versions",
        why="An emergency retraction must be undone if nobody confirms it.",
        mend="Let a second person confirm it; then it is erased for good.",
    )
