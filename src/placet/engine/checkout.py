"""Checkout: make the workspace hold what its `.dvc` files say, by links or verified copies from the cache.

Everything is looked at before anything is changed: a file that nobody could bring back is never replaced or
removed without `force`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from placet.core import layout
from placet.core.digest import Digests, digest_chunks
from placet.core.dvcfile import Output, decode_dir
from placet.engine.artifact import MAX_FILES, MAX_LIST, read_dir
from placet.engine.disk import Cache, Links, chunks, disk, stamp
from placet.engine.ignore import DvcIgnore
from placet.engine.track import Found, found_file
from placet.engine.transfer import guarded, run_local
from placet.engine.workspace import Workspace, plain
from placet.errors import NotFound, Refused
from placet.ports import FileStamp, Progress, State


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """What a checkout did.

    Attributes:
        files: That were written or linked.
        present: That were right already.
        removed: That belonged to another version.
        targets: The outputs.
        skipped: Outputs that only stock DVC checks out.
    """

    files: int
    present: int
    removed: int
    targets: tuple[str, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """One file to make: its object's MD5 and where it goes."""

    path: str
    md5: str
    isexec: bool


def checkout(
    workspace: Workspace,
    targets: Iterable[str | Path],
    state: State,
    jobs: int,
    progress: Progress,
    *,
    force: bool = False,
) -> CheckedOut:
    """Bring outputs from the cache into the workspace; each file is replaced atomically. Idempotent.

    Raises:
        NotFound: kinds `not-tracked`, `not-in-cache`.
        Refused: kind `would-overwrite`: a file is neither what is wanted nor in the cache.
        Corrupt: kind `cache-corrupt`.
    """
    cache, chosen = workspace.objects, workspace.select(targets)
    steps: list[_Step] = []
    stale: list[str] = []
    present, tops = 0, []
    for path, out in plain(chosen):
        wanted = wanted_files(cache, path, out)
        here = present_files(workspace, path)
        known = digest_files(here, state, jobs)
        _refuse_loss(cache, path, wanted, known, force=force)
        stale += [_at(workspace, path, name) for name in here.keys() - wanted.keys()]
        right = {name for name, md5 in wanted.items() if name in known and known[name].md5 == md5}
        present += len(right)
        isexec = out.isexec and not out.is_dir
        steps += [
            _Step(_at(workspace, path, name), md5, isexec)
            for name, md5 in wanted.items()
            if name not in right
        ]
        tops.append(path)
    _require_objects(cache, steps)
    _remove(workspace, stale)
    _make(workspace, steps, state, jobs, progress)
    names = set(tops)
    return CheckedOut(
        files=len(steps),
        present=present,
        removed=len(stale),
        targets=tuple(tops),
        skipped=tuple(one.path for one in chosen if one.path not in names),
    )


def wanted_files(cache: Cache, path: str, out: Output) -> dict[str, str]:
    """Name within the artifact ("" for a file) -> MD5.

    Raises:
        NotFound: kind `not-in-cache`: the `.dir` object is missing.
        Invalid: kind `dir-object`.
    """
    if not out.is_dir:
        return {"": out.md5}
    data = read_dir(cache, out)
    if data is None:
        raise _missing(path, out.key)
    entries = decode_dir(data, max_entries=MAX_FILES, max_bytes=MAX_LIST)
    return {one.relpath: one.md5 for one in entries}


def present_files(workspace: Workspace, path: str) -> dict[str, Found]:
    """Name within the artifact -> file, of what is in the workspace now; nothing is refused or read."""
    top = str(workspace.data(path))
    if not os.path.isdir(top):  # noqa: PTH112 - hot path
        try:
            return {"": found_file("", top, os.stat(top))}  # noqa: PTH116 - hot path
        except FileNotFoundError:
            return {}
    out = {}
    with disk(top):
        for name, entry in DvcIgnore(workspace.root).files(top):
            with contextlib.suppress(FileNotFoundError):
                out[name] = found_file(name, entry.path, entry.stat())
    return out


def digest_files(files: Mapping[str, Found], state: State, jobs: int) -> dict[str, Digests]:
    """Name -> digests of workspace files, from the state database or by reading them."""
    stamps = [one.stamp for one in files.values()]
    known = dict(zip(files, state.get_many(stamps), strict=True))
    todo = [name for name, found in known.items() if found is None]
    fresh = run_local(lambda name: digest_chunks(guarded(chunks(files[name].path))), todo, jobs)
    known.update(zip(todo, fresh, strict=True))
    return {name: found for name, found in known.items() if found is not None}


def _refuse_loss(
    cache: Cache, path: str, wanted: Mapping[str, str], known: Mapping[str, Digests], *, force: bool
) -> None:
    if force:
        return
    for name, found in known.items():
        if wanted.get(name) != found.md5 and not cache.has(layout.data_key(found.md5), found.size):
            where = f"{path}/{name}" if name else path
            raise Refused(
                f"{where} was changed and is not in the cache; checking out would lose it.",
                kind="would-overwrite",
                mend=f"Keep it: placet track {path}. Or lose it: placet checkout --force {path}",
            )


def _require_objects(cache: Cache, steps: Sequence[_Step]) -> None:
    for one in steps:
        key = layout.data_key(one.md5)
        if not cache.has(key):
            raise _missing(one.path, key)


def _remove(workspace: Workspace, stale: Sequence[str]) -> None:
    for path in stale:
        with disk(path):
            Path(path).unlink(missing_ok=True)
        folder = Path(path).parent
        with contextlib.suppress(OSError):
            while (
                folder != workspace.root
                and not workspace.metafile(folder.relative_to(workspace.root).as_posix()).exists()
            ):
                folder.rmdir()
                folder = folder.parent


def _make(workspace: Workspace, steps: Sequence[_Step], state: State, jobs: int, progress: Progress) -> None:
    cache, links = workspace.objects, Links(workspace.link_types)
    progress.start("checkout", len(steps))

    steps = sorted(steps, key=lambda one: one.path)
    sources = []
    for one in steps:
        with disk(one.path):
            sources.append(stamp(cache.path(layout.data_key(one.md5))))
    proven = dict(zip(steps, state.get_many(sources), strict=True))

    def make(one: _Step) -> tuple[FileStamp, Digests] | None:
        source, known = cache.path(layout.data_key(one.md5)), proven[one]
        known = known if known and known.md5 == one.md5 else None
        read = links.place(source, one.path, one.md5, isexec=one.isexec, proven=known is not None)
        found = read or known
        progress.advance(1, found.size if found else 0)
        with disk(one.path):
            return (stamp(one.path), found) if found is not None else None

    rows = [row for row in run_local(make, steps, jobs) if row is not None]
    progress.done()
    state.put_many(rows)
    state.tell_dvc([(at, found.md5) for at, found in rows])


def _at(workspace: Workspace, path: str, name: str) -> str:
    top = str(workspace.data(path))
    return f"{top}/{name}" if name else top


def _missing(name: str, key: str) -> NotFound:
    return NotFound(
        f"The object of {name} is not in the cache.",
        kind="not-in-cache",
        why=f"There is no verified {key}.",
        mend="placet fetch, then check out again.",
    )
