"""Push: upload what a remote lacks. All files, then the digest lists, then the `.dir` objects (I3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from placet.core import plan
from placet.core.digest import Digests
from placet.core.outputs import Skipped, Tracking
from placet.engine.artifact import listing_limit
from placet.engine.parts import Part, load_part
from placet.engine.routes import Routes, sift
from placet.engine.threads import run
from placet.engine.transfer import sizes, upload
from placet.engine.workspace import Workspace
from placet.errors import NotFound, Partial, PlacetError
from placet.ports import ObjectStore, Progress, State

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Moved:
    """One output's part: objects that were moved, their bytes, and objects that were there before."""

    path: str
    objects: int
    size: int
    present: int


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did; an object that two outputs share is counted with each, but moved once.

    Attributes:
        objects: That were uploaded.
        size: Their bytes.
        present: That the remote held already.
        targets: The same for each output.
        skipped: Outputs that were left alone, and why.
    """

    objects: int
    size: int
    present: int
    targets: tuple[Moved, ...]
    skipped: tuple[Skipped, ...]


def push(
    workspace: Workspace,
    store: ObjectStore | Routes,
    targets: Iterable[str | Path],
    state: State,
    jobs: int,
    progress: Progress,
) -> Pushed:
    """Make the remotes hold the outputs; idempotent. A `.dir` object there never stands for its files.

    What the cache lacks and the remote holds is no error. What neither has is told of after all else went up.

    Of a part of a directory the files are pushed; its `.dir` object only if the remote holds all the others
    too, so that nobody finds a `.dir` whose files are missing.

    Raises:
        NotFound: kinds `not-tracked`, `not-in-cache`.
        Partial: kind `not-in-cache`: other outputs are in the remote now.
        Corrupt: kind `digest-mismatch`: a cache object is not what it should be; it was not uploaded; kind
            `md5-twin`: the remote got other bytes under the same name meanwhile.
        Unavailable: the store's, the disk's.
    """
    routes = Routes.of(store)
    chosen, skipped = sift(workspace.select(targets), "push", routes.named)

    def part(one: Tracking, goal: ObjectStore) -> Part:
        return load_part(workspace, one, state, jobs, goal, listing_limit(one.out))

    by_store: dict[int, tuple[ObjectStore, list[Part]]] = {}
    for one in chosen:
        goal = routes.store(one)
        by_store.setdefault(id(goal), (goal, []))[1].append(part(one, goal))
    objects = size = present = 0
    moved: list[Moved] = []
    lost: dict[str, list[str]] = {}
    for goal, parts in by_store.values():
        every, missing, there = _push(workspace, goal, parts, jobs, progress)
        lost |= {one.path: sorted(one.absent.keys() - there) for one in parts if one.absent.keys() - there}
        objects += len(missing)
        size += sum(every[key].size for key in missing)
        present += len(every) - len(missing)
        moved += [_moved(one, every, missing) for one in parts]
    if lost:
        raise _lost(lost, partly=len(lost) < len(chosen))
    return Pushed(objects, size, present, tuple(moved), tuple(skipped))


def _lost(lost: Mapping[str, Sequence[str]], *, partly: bool) -> PlacetError:
    names = ", ".join(lost) if len(lost) <= _SHOWN else f"{', '.join(list(lost)[:_SHOWN])} and others"
    kind: type[PlacetError] = Partial if partly else NotFound
    return kind(
        f"Objects of {names} are neither in the cache nor in the remote.",
        kind="not-in-cache",
        why=f"There is no {next(iter(lost.values()))[0]}; what is in the cache was pushed.",
        mend=f"placet fetch {next(iter(lost))} from a remote that has it, or track it again.",
        details={"lacking": {path: list(keys) for path, keys in lost.items()}},
    )


def _push(
    workspace: Workspace, store: ObjectStore, parts: Sequence[Part], jobs: int, progress: Progress
) -> tuple[dict[str, Digests], set[str], AbstractSet[str]]:
    """All objects that the store holds now, those of them that it lacked before, and what it held before."""
    asked = {key: known for one in parts for key, known in (*one.files.items(), *one.lists)}
    others = {key for one in parts for key in (*one.others, *one.absent)}
    present = sizes(store, [*asked, *(others - asked.keys())], jobs)
    waves = _waves(parts, asked.keys() | present.keys())
    every = {key: known for wave in waves for key, known in wave.items()}
    missing = set(plan.missing({key: known.size for key, known in every.items()}, present))
    progress.start("push", len(missing), sum(every[key].size for key in missing))

    def send(item: tuple[str, Digests]) -> None:
        key, known = item
        upload(store, key, workspace.objects.path(key), known, overwrite=key in present)

    for wave in waves:
        run(send, [(key, known) for key, known in wave.items() if key in missing], jobs, progress)
    progress.done()
    return every, missing, asked.keys() | present.keys()


def _waves(parts: Sequence[Part], there: AbstractSet[str]) -> tuple[dict[str, Digests], ...]:
    """Files, digest lists, `.dir` objects: each wave is complete before the next begins."""
    files = {key: known for one in parts for key, known in one.files.items()}
    lists = [one.lists for one in parts if one.lists and one.others | one.absent.keys() <= there]
    return files, {key: known for one in lists for key, known in one[:-1]}, dict(one[-1] for one in lists)


def _moved(part: Part, every: dict[str, Digests], missing: set[str]) -> Moved:
    own = {key for key in (*part.files, *(key for key, _ in part.lists)) if key in every}
    moved = own & missing
    return Moved(part.path, len(moved), sum(every[key].size for key in moved), len(own) - len(moved))
