"""Checkout: make the workspace hold what its `.dvc` files say, by links or verified copies from the cache.

Everything is looked at before anything is changed: a file that nobody could bring back is never replaced or
removed without `force`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from placet.core import layout
from placet.core.digest import Digests, digest_chunks
from placet.core.outputs import Skipped, Tracking, may_be_absent
from placet.engine import legacy
from placet.engine.artifact import require_parts, wanted_files
from placet.engine.disk import Cache, Links, chunks, disk, stamp, sweep
from placet.engine.hashes import digest_files, hashes_of
from placet.engine.ignore import DvcIgnore
from placet.engine.placed import tell_placed, unused
from placet.engine.proof import prove_cached
from placet.engine.routes import sift
from placet.engine.threads import guarded, run_local
from placet.engine.track import Found, found_file
from placet.engine.workspace import Workspace
from placet.errors import Conflict, Invalid, NotFound, Refused
from placet.ports import FileStamp, Progress, State


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """What a checkout did.

    Attributes:
        files: That were written or linked.
        present: That were right already.
        removed: That belonged to another version, or to an output that no metafile tells of any more.
        gone: Those outputs.
        targets: The outputs.
        skipped: Outputs that were left alone, and why.
    """

    files: int
    present: int
    removed: int
    targets: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """One file to make: its object, where it goes, and what was there when it was planned."""

    path: str
    key: str
    md5: str
    isexec: bool
    legacy: bool
    was: FileStamp | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done for one output: files to make, files to remove, how many are right.

    `folder` is true of a directory that holds nothing, and is to be there.
    """

    steps: tuple[_Step, ...]
    stale: tuple[Found, ...]
    present: int
    folder: bool = False


def checkout(
    workspace: Workspace,
    targets: Iterable[str | Path],
    state: State,
    jobs: int,
    progress: Progress,
    *,
    force: bool = False,
    excused: Mapping[str, str] | None = None,
) -> CheckedOut:
    """Bring outputs from the cache into the workspace; each file is replaced atomically. Idempotent.

    Of a part of a directory only the files that are meant are compared, made and removed. Without targets,
    outputs that were placed before and are in no metafile any more are removed too, as `dvc checkout` does.

    Args:
        workspace: The project.
        targets: What is meant; everything, if there are none.
        state: What was hashed, and placed, before.
        jobs: Files made at once.
        progress: Told of files.
        force: Replace and remove files that are neither wanted nor in the cache.
        excused: Path -> reason of outputs that were not fetched on purpose: no error if the cache lacks them.

    Raises:
        NotFound: kinds `not-tracked`, `not-in-cache`.
        Refused: kind `would-overwrite`: a file is neither what is wanted nor in the cache.
        Invalid: kind `link-outside-workspace`: a folder of an output is a link.
        Conflict: kind `changed-while-reading`: a file was made or changed after it was looked at.
        Corrupt: kind `cache-corrupt`.
    """
    wanted = list(targets)
    every = workspace.select(wanted)
    chosen, skipped = sift(every, "checkout")
    plans: dict[str, _Plan] = {}
    for one in chosen:
        reason = may_be_absent(one) or (excused or {}).get(one.path)
        try:
            plans[one.path] = _plan(workspace, one, state, jobs, force=force)
        except NotFound as error:
            if reason is None or error.kind != "not-in-cache":
                raise
            skipped.append(Skipped(one.path, reason))
    gone = [] if wanted else unused(workspace, {one.path for one in every}, state)
    plans |= {path: _plan_removal(workspace, path, state, jobs, force=force) for path in gone}
    steps = [step for one in plans.values() for step in one.steps]
    sweep(workspace.temps)
    for path, one_plan in plans.items():
        _remove(workspace, path, one_plan, force=force)
    _make(workspace, steps, state, jobs, progress, force=force)
    for path in gone:
        _prune(workspace, path)
    state.placed.forget(gone)
    tell_placed(
        workspace, [path for path, one in plans.items() if one.steps or one.stale or one.folder], state
    )
    return CheckedOut(
        files=len(steps),
        present=sum(one.present for one in plans.values()),
        removed=sum(len(one.stale) for one in plans.values()),
        targets=tuple(path for path in plans if path not in gone),
        skipped=tuple(skipped),
        gone=tuple(gone),
    )


def _plan(workspace: Workspace, one: Tracking, state: State, jobs: int, *, force: bool) -> _Plan:
    cache, out = workspace.objects, one.out
    wanted = wanted_files(cache, one.path, out)
    here = present_files(workspace, one.path)
    if one.inside:
        require_parts(one, [*wanted, *here])
        wanted = {name: md5 for name, md5 in wanted.items() if one.means(name)}
        here = {name: found for name, found in here.items() if one.means(name)}
    known = hashes_of(workspace, out, here, state, jobs, wanted)
    isexec = out.isexec and not out.is_dir
    right = {name for name, md5 in wanted.items() if known.get(name) == md5}
    if isexec and cache.has(out.key):
        right = {name for name in right if here[name].isexec}
    was = {name: found.stamp for name, found in here.items()}
    steps = tuple(
        _Step(_at(workspace, one.path, name), out.key_of(md5), md5, isexec, out.legacy, was.get(name))
        for name, md5 in wanted.items()
        if name not in right
    )
    stale = tuple(found for name, found in here.items() if name not in wanted)
    top = str(workspace.data(one.path))
    folder = out.is_dir and not wanted and not one.inside and not os.path.isdir(top)  # noqa: PTH112
    _require_own([*(step.path for step in steps), *([f"{top}/"] if folder else [])], stale)
    _require_objects(cache, steps)
    if not force:
        going = {name: md5 for name, md5 in known.items() if wanted.get(name) != md5}
        _refuse_loss(cache, one.path, going, state, jobs, legacy=out.legacy)
    empty = folder or (out.is_dir and not wanted and not one.inside and bool(stale))
    return _Plan(steps, stale, len(right), empty)


def _plan_removal(workspace: Workspace, path: str, state: State, jobs: int, *, force: bool) -> _Plan:
    here = present_files(workspace, path)
    if not force:
        known = digest_files(workspace, here, state, jobs)
        going = {name: found.md5 for name, found in known.items()}
        _refuse_loss(workspace.objects, path, going, state, jobs)
    return _Plan((), tuple(here.values()), 0)


def _require_own(making: Sequence[str], stale: Sequence[Found]) -> None:
    """Refuse a way through a link: what is behind it is not this output's. A link to a file may be stale."""
    going = [one.path for one in stale]
    for folder in {os.path.dirname(path) for path in (*making, *going)}:  # noqa: PTH120 - hot path
        real = os.path.realpath(folder)
        if real != folder and not any(layout.at_or_below(folder, one) for one in going):
            raise Invalid(
                f"{folder} leads through a link, to {real}; nothing is written or removed there.",
                kind="link-outside-workspace",
                mend="Remove the link, and check out again; or have a folder in its place.",
            )


def _make_way(path: str, was: FileStamp | None, *, force: bool) -> None:
    """Refuse to replace or remove a file that was not there, or was another, when all was looked at.

    An empty folder is removed.
    """
    with disk(path):
        try:
            found = os.stat(path)  # noqa: PTH116 - hot path
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISDIR(found.st_mode) and not os.path.islink(path) and (force or was is None):  # noqa: PTH114
            os.rmdir(path)  # noqa: PTH106 - as its neighbours
            return
    if force or (was is not None and stamp(path, found) == was):
        return
    raise Conflict(
        f"{path} is in the way: it was made or changed since the files were looked at.",
        kind="changed-while-reading",
        why="Or it is nothing that DVC sees: named in .dvcignore, no regular file, or a link to a folder.",
        mend="Move it away, and check out again. Or lose it: placet checkout --force",
    )


def present_files(workspace: Workspace, path: str) -> dict[str, Found]:
    """Name within the artifact -> file, of what is in the workspace now; nothing is read.

    Within a directory what is no regular file is passed over.
    """
    top = str(workspace.data(path))
    out = {}
    with disk(top):
        if not os.path.isdir(top):  # noqa: PTH112 - hot path
            return _present_file(top)
        for name, entry in DvcIgnore(workspace.root).files(top):
            with contextlib.suppress(FileNotFoundError):
                info = entry.stat()
                if stat.S_ISREG(info.st_mode):
                    out[name] = found_file(name, entry.path, info)
    return out


def _present_file(top: str) -> dict[str, Found]:
    try:
        return {"": found_file("", top, os.stat(top))}  # noqa: PTH116 - hot path
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return {}
        raise


def _refuse_loss(
    cache: Cache, path: str, going: Mapping[str, str], state: State, jobs: int, *, legacy: bool = False
) -> None:
    """Refuse to replace or remove what is in no object of the cache that is proven."""
    kept = prove_cached(cache, set(going.values()), state, jobs, legacy=legacy).good if going else {}
    for name, md5 in going.items():
        if md5 not in kept:
            where = f"{path}/{name}" if name else path
            raise Refused(
                f"{where} is not what its metafile says, and not in the cache; checking out would lose it.",
                kind="would-overwrite",
                mend=f"Keep it: placet track {path}. Or lose it: placet checkout --force {path}",
            )


def _require_objects(cache: Cache, steps: Sequence[_Step]) -> None:
    for one in steps:
        if not cache.has(one.key):
            raise _missing(one.path, one.key)


def _remove(workspace: Workspace, path: str, plan: _Plan, *, force: bool) -> None:
    """Remove files of an output, and the folders within it that hold nothing any more."""
    top = workspace.data(path)
    for one in plan.stale:
        file = Path(one.path)
        _make_way(one.path, one.stamp, force=force)
        with disk(file):
            file.unlink(missing_ok=True)
        folder = file.parent
        with contextlib.suppress(OSError):
            while folder.is_relative_to(top):
                folder.rmdir()
                folder = folder.parent
    if plan.folder:
        with disk(top):
            top.mkdir(parents=True, exist_ok=True)


def _prune(workspace: Workspace, path: str) -> None:
    """Remove the folders that hold nothing at all, of an output that is removed."""
    top = workspace.data(path)
    for base, _, _ in os.walk(top, topdown=False) if not top.is_symlink() else ():
        with contextlib.suppress(OSError):
            os.rmdir(base)  # noqa: PTH106 - as its neighbours


def _make(
    workspace: Workspace,
    steps: Sequence[_Step],
    state: State,
    jobs: int,
    progress: Progress,
    *,
    force: bool,
) -> None:
    cache, links = workspace.objects, Links(workspace.link_types, workspace.temps)
    progress.start("checkout", len(steps))

    steps = sorted(steps, key=lambda one: one.path)
    sources = []
    for one in steps:
        with disk(one.path):
            sources.append(stamp(cache.path(one.key)))
    proven = dict(zip(steps, state.get_many(sources), strict=True))

    def make(one: _Step) -> tuple[FileStamp, Digests] | None:
        known = legacy.verified(cache, one.md5) if one.legacy else proven[one]
        known = known if known and (one.legacy or known.md5 == one.md5) else None
        try:
            _make_way(one.path, one.was, force=force)
        except Conflict:
            found = _made_meanwhile(one)
            if found is None:
                raise
            progress.advance(1, found.size)
            return stamp(one.path), found
        read = links.place(
            cache.path(one.key), one.path, one.md5, isexec=one.isexec, proven=known is not None
        )
        found = read or known
        progress.advance(1, found.size if found else 0)
        with disk(one.path):
            return (stamp(one.path), found) if found is not None else None

    made = [(one, row) for one, row in zip(steps, run_local(make, steps, jobs), strict=True) if row]
    progress.done()
    state.put_many([row for _, row in made])
    state.tell_dvc([(at, found.md5) for one, (at, found) in made if not one.legacy])


def _made_meanwhile(one: _Step) -> Digests | None:
    """The digests of a file that another process has made as it is wanted; None if it is another file."""
    if one.legacy or one.isexec or not os.path.isfile(one.path):  # noqa: PTH113 - as its neighbours
        return None
    found = digest_chunks(guarded(chunks(one.path)))
    return found if found.md5 == one.md5 else None


def _at(workspace: Workspace, path: str, name: str) -> str:
    top = str(workspace.data(path))
    return f"{top}/{name}" if name else top


def _missing(name: str, key: str) -> NotFound:
    return NotFound(
        f"The object of {name} is not in the cache.",
        kind="not-in-cache",
        why=f"There is no {key}.",
        mend="placet fetch, then check out again.",
    )
