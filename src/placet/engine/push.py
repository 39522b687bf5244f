"""Push: upload what a remote lacks. All files, then the digest lists, then the `.dir` objects (I3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from placet.core import plan
from placet.core.digest import Digests
from placet.core.layout import data_key
from placet.engine.artifact import Loaded, load_output
from placet.engine.transfer import run, sizes, upload
from placet.engine.workspace import Workspace, plain
from placet.ports import ObjectStore, Progress, State


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
        skipped: Outputs that only stock DVC pushes, or nobody (`push: false`).
    """

    objects: int
    size: int
    present: int
    targets: tuple[Moved, ...]
    skipped: tuple[str, ...]


def push(
    workspace: Workspace,
    store: ObjectStore,
    targets: Iterable[str | Path],
    state: State,
    jobs: int,
    progress: Progress,
) -> Pushed:
    """Make a remote hold the outputs; idempotent. A `.dir` object there never stands for its files.

    Raises:
        NotFound: kinds `not-tracked`, `not-in-cache`.
        Corrupt: kind `digest-mismatch`: a cache object is not what it should be; it was not uploaded.
        Unavailable: the store's, the disk's.
    """
    chosen = workspace.select(targets)
    wanted = [(path, out) for path, out in plain(chosen) if out.push]
    loaded = [load_output(workspace, path, out, state, jobs) for path, out in wanted]
    waves = _waves(loaded)
    every = {key: known for wave in waves for key, known in wave.items()}
    present = sizes(store, every, jobs)
    missing = set(plan.missing({key: known.size for key, known in every.items()}, present))
    progress.start("push", len(missing), sum(every[key].size for key in missing))

    def send(item: tuple[str, Digests]) -> None:
        key, known = item
        upload(store, key, workspace.objects.path(key), known, overwrite=key in present)
        progress.advance(1, known.size)

    for wave in waves:
        run(send, [(key, known) for key, known in wave.items() if key in missing], jobs)
    progress.done()
    names = {path for path, _ in wanted}
    return Pushed(
        objects=len(missing),
        size=sum(every[key].size for key in missing),
        present=len(every) - len(missing),
        targets=tuple(_moved(one, missing) for one in loaded),
        skipped=tuple(one.path for one in chosen if one.path not in names),
    )


def objects_of(loaded: Loaded) -> dict[str, Digests]:
    """Key -> digests of all objects of an artifact, in the order in which they may become visible."""
    return {data_key(known.md5): known for _, known in loaded.files} | dict(loaded.lists)


def _waves(loaded: list[Loaded]) -> tuple[dict[str, Digests], ...]:
    """Files, digest lists, `.dir` objects: each wave is complete before the next begins."""
    files = {data_key(known.md5): known for one in loaded for _, known in one.files}
    lists = [one.lists for one in loaded if one.lists]
    return files, dict(sums for sums, _ in lists), dict(listing for _, listing in lists)


def _moved(loaded: Loaded, missing: set[str]) -> Moved:
    own = objects_of(loaded)
    moved = own.keys() & missing
    return Moved(loaded.tracked.path, len(moved), sum(own[key].size for key in moved), len(own) - len(moved))
