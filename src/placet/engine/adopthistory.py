"""Adopt the history of a DVC project: every version that a commit names comes into the node's internal tier.

Nothing in Git is changed, so the history stays what it was. A version counts as adopted when every object of
it is in the internal tier; each was proven by its MD5 on the way, and has a SHA-256 from then on.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from placet.core import layout
from placet.core.dvcfile import read_lock, read_metafile
from placet.core.mentions import is_lock, is_metafile, uncached
from placet.core.outputs import Skipped, Tracking, left_alone, place, whole
from placet.engine.artifact import listed_in, listing_limit, load_output, read_dir
from placet.engine.fetch import fetch
from placet.engine.push import push
from placet.engine.routes import Routes
from placet.engine.transfer import read_object, sizes
from placet.engine.workspace import Workspace
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Partial, PlacetError
from placet.ports import ObjectStore, Past, Progress, State

_SHOWN = 12
_NO_OBJECT = layout.data_key("0" * 32)
_WRONG = "objects of it are right neither in the cache nor in any remote"


@dataclass(frozen=True, slots=True)
class Edition:
    """One version of one output.

    Attributes:
        of: The output, all of it.
        commit: A commit that holds it; empty for one that only the work tree or an index has.
        current: The work tree has it.
        keys: Its objects.
    """

    of: Tracking
    commit: str
    current: bool = False
    keys: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """A name that no other version has."""
        return f"{self.of.path} @ {self.of.out.md5[:_SHOWN]}"


@dataclass(frozen=True, slots=True)
class Stock:
    """Where the objects of the versions are.

    Attributes:
        editions: All versions whose objects are known.
        there: Keys that the internal tier holds.
        elsewhere: Keys that it lacks and the cache or another remote has.
        left: Versions that cannot be adopted, and why.
        unasked: Remotes that could not be asked, and why.
    """

    editions: tuple[Edition, ...]
    there: frozenset[str]
    elsewhere: frozenset[str]
    left: tuple[Skipped, ...]
    unasked: Mapping[str, str]

    @property
    def todo(self) -> list[Edition]:
        """The versions that the internal tier lacks objects of, and that can be had whole."""
        return [one for one in self.editions if not one.keys <= self.there and not self.lost(one)]

    def lost(self, one: Edition) -> frozenset[str]:
        """The objects of a version that are nowhere."""
        return one.keys - self.there - self.elsewhere

    def failed(self) -> dict[str, str]:
        """Label -> why, of the versions that cannot be had whole now."""
        unasked = "".join(f"; {name} could not be asked: {why}" for name, why in self.unasked.items())
        return {
            one.label: f"{len(lost)} of its objects are nowhere{_of(one)}{unasked}"
            for one in self.editions
            if (lost := self.lost(one))
        }


def editions(past: Past | None, prefix: str, now: Iterable[Tracking]) -> tuple[list[Edition], list[Skipped]]:
    """Every version of every output that the work tree or a commit names; and those that have no objects.

    Args:
        past: The Git history, if there is one.
        prefix: The project's folder in Git's work tree, empty or with a slash at its end.
        now: The outputs as the work tree has them.
    """
    found: dict[tuple[str, str], Edition] = {}
    left: dict[str, Skipped] = {}
    for edition in (*(Edition(whole(one), "", current=True) for one in now), *_past(past, prefix, left)):
        reason = _reason(edition.of)
        if reason is not None:
            left.setdefault(edition.label, Skipped(edition.label, reason))
            continue
        key = edition.of.path, edition.of.out.key
        known = found.get(key, edition)
        found[key] = replace(known, commit=known.commit or edition.commit)
    return list(found.values()), list(left.values())


def _of(one: Edition) -> str:
    return f" (commit {one.commit[:_SHOWN]})" if one.commit else ""


def _reason(one: Tracking) -> str | None:
    own = replace(one, out=replace(one.out, remote=None))
    return left_alone(own, "push") or (None if one.out.md5 else "its metafile names no hash")


def _past(past: Past | None, prefix: str, left: dict[str, Skipped]) -> Iterator[Edition]:
    if past is None:
        return
    files = past.files((".dvc", "dvc.lock", "dvc.yaml"), tips=False)
    ours = [one for one in files if one.path.startswith(prefix)]
    data = dict(past.read({one.blob for one in ours}))
    without: dict[str, set[str]] = {}
    for one in ours:
        if one.path.endswith("dvc.yaml"):
            only, also = uncached(data[one.blob])
            without.setdefault(posixpath.dirname(one.path), set()).update(only - also)
    for one in ours:
        path = one.path.removeprefix(prefix)
        if not is_metafile(path):
            continue
        try:
            for tracking in _outputs(path, data[one.blob]):
                if is_lock(path) and tracking.out.path in without.get(posixpath.dirname(one.path), ()):
                    continue
                yield Edition(tracking, one.commit)
        except Invalid as error:
            label = f"{path} @ {one.commit[:_SHOWN] or 'the index'}"
            left[label] = Skipped(label, f"it cannot be read: {error.what}")


def _outputs(path: str, data: bytes) -> Iterator[Tracking]:
    if is_lock(path):
        for out in read_lock(data):
            yield Tracking(place(path, "", out.path), path, out, shared=True)
        return
    found = read_metafile(data)
    for out in found.outs:
        yield Tracking(place(path, found.wdir, out.path), path, out, None, found.origin)


def stock(
    workspace: Workspace,
    found: Sequence[Edition],
    left: Sequence[Skipped],
    internal: ObjectStore,
    others: Mapping[str, Callable[[], ObjectStore]],
    jobs: int,
) -> Stock:
    """Where the objects of these versions are. Small reads only: the listings of directories.

    Args:
        workspace: With the cache.
        found: The versions.
        left: Those that were left out before.
        internal: The node's internal tier.
        others: The project's other remotes by name; one that cannot be asked is as one that has nothing.
        jobs: Requests at once.
    """
    opened, unasked = _opened(others)
    stores = [internal, *opened]
    known: list[Edition] = []
    out = list(left)
    for one in found:
        try:
            known.append(replace(one, keys=_keys(workspace, one, stores)))
        except (Corrupt, Invalid, NotFound) as error:
            out.append(Skipped(one.label, error.what))
    every = frozenset(key for one in known for key in one.keys)
    there = frozenset(sizes(internal, sorted(every), jobs)) if every else frozenset()
    missing = every - there
    elsewhere = {key for key in missing if workspace.objects.has(key)}
    for store in stores[1:]:
        rest = sorted(missing - elsewhere)
        elsewhere |= sizes(store, rest, jobs).keys() if rest else set()
    return Stock(tuple(known), there, frozenset(elsewhere), tuple(out), unasked)


def _opened(others: Mapping[str, Callable[[], ObjectStore]]) -> tuple[list[ObjectStore], dict[str, str]]:
    out: list[ObjectStore] = []
    unasked: dict[str, str] = {}
    for name, open_store in others.items():
        try:
            store = open_store()
            store.head(_NO_OBJECT)
        except PlacetError as error:
            unasked[name] = error.what
        else:
            out.append(store)
    return out, unasked


def _keys(workspace: Workspace, one: Edition, stores: Sequence[ObjectStore]) -> frozenset[str]:
    """The keys of a version's objects.

    Raises:
        NotFound: kind `no-object`: its listing is nowhere.
        Corrupt, Invalid: it cannot be used.
    """
    out = one.of.out
    if not out.is_dir:
        return frozenset({out.key})
    data = None
    try:
        data = read_dir(workspace.objects, out)
    except Corrupt:
        data = None  # a remote may have it right
    for store in stores if data is None else ():
        try:
            data = read_object(store, out.key, md5=out.md5, limit=listing_limit(out))
            break
        except (Corrupt, NotFound):
            continue
    if data is None:
        raise NotFound(f"No place has its listing {out.key}.", kind="no-object")
    return frozenset({out.key, *(out.key_of(entry.md5) for entry in listed_in(data))})


def bring(
    workspace: Workspace,
    todo: Sequence[Edition],
    routes: Routes,
    internal: ObjectStore,
    state: State,
    jobs: int,
    progress: Progress,
) -> dict[str, str]:
    """Fetch these versions from wherever they are right, and push them to the internal tier. Idempotent.

    Returns:
        Label -> why a version could not be had; the others are in the internal tier.
    """
    given = {one.label: _given(one) for one in todo}
    failed: dict[str, str] = {}
    try:
        fetch(_only(workspace, given.values()), routes, (), state, jobs, progress, verify=True)
    except (Conflict, Corrupt, NotFound, Partial, Invalid) as error:
        said = error.details.get("failed")
        failed = {str(label): str(why) for label, why in said.items()} if isinstance(said, dict) else {}
        failed |= {one.label: _WRONG for one in todo if not all(map(workspace.objects.has, one.keys))}
        if not failed:
            raise
    complete = [one for label, one in given.items() if label not in failed]
    if complete:
        push(_only(workspace, complete), internal, (), state, jobs, progress)
    return failed


def digests(workspace: Workspace, one: Edition, state: State, jobs: int) -> str:
    """The SHA-256 of a version that is whole in the cache, else empty; of a directory `dirHash`."""
    if one.of.out.legacy:
        return ""
    try:
        return load_output(workspace, one.of.path, one.of.out, state, jobs).tracked.digests.sha256
    except (Corrupt, Invalid, NotFound):
        return ""


def _given(one: Edition) -> Tracking:
    """The version as an output of a name of its own, which any remote may keep."""
    return replace(one.of, path=one.label, out=replace(one.of.out, remote=None), outside=False)


def _only(workspace: Workspace, given: Iterable[Tracking]) -> Workspace:
    return replace(workspace, given=tuple(given))
