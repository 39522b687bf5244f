"""Track: bring outputs into the cache, as `dvc add` does, reading every byte once for both digests.

Order: objects, digest list, `.dir` object, and last the `.dvc` file. Running it again, or after a crash,
ends in the same state.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from placet.core import layout
from placet.core.digest import Digests, digest
from placet.core.outputs import Tracking, require_updatable
from placet.engine.artifact import Loaded, Tracked
from placet.engine.disk import CHUNK, RACY_NS, Cache, Links, chunks, disk, reflink, stamp, write_all
from placet.engine.ignore import DvcIgnore
from placet.engine.metafiles import directory, update_part, write_metafile
from placet.engine.outputs import Outputs
from placet.engine.placed import tell_placed
from placet.engine.proof import prove_cached
from placet.engine.threads import digest_wide, guarded, run_local
from placet.engine.workspace import Workspace
from placet.errors import Conflict, Corrupt, Invalid
from placet.ports import FileStamp, Progress, State

__all__ = ["Found", "Tracked", "found_file", "scan", "track"]


@dataclass(frozen=True, slots=True)
class Found:
    """One file of the workspace: its path within the artifact, where it is, its stamp and mode.

    `linked` is true of a link to it, and of a file that has other names.
    """

    name: str
    stamp: FileStamp
    isexec: bool
    linked: bool = False

    @property
    def path(self) -> str:
        """Absolute."""
        return self.stamp.path


@dataclass(frozen=True, slots=True)
class _Target:
    """One thing to track: where its files are now, and the output that it belongs to, if there is one."""

    path: str
    owner: Tracking | None
    is_dir: bool
    files: list[Found]


def track(
    workspace: Workspace, paths: Iterable[str | Path], state: State, jobs: int, progress: Progress
) -> list[Tracked]:
    """Track files and directories; unchanged files are not read. Idempotent.

    A path inside a tracked directory updates that directory's metafile, by that path alone; if nothing is
    at the path any more, it is taken out of the directory. As `dvc add`.

    Raises:
        NotFound: kind `no-file`; kind `not-in-cache`: the rest of the directory is not known.
        Invalid: kinds `path-outside-workspace`, `overlapping-outputs`, `unsafe-path`,
            `link-outside-workspace`, `not-a-file`, `not-added`, `legacy-output`.
        Refused: kinds `tracked-by-git`, `pipeline-output`, `metafile-ignored`.
        Conflict: kind `changed-while-reading`; kind `workspace-locked`.
        Corrupt: kind `md5-twin`.
        Unavailable: kind `disk-full` and others of the disk.
    """
    outputs = workspace.outputs()
    names = dict.fromkeys(workspace.locate(path) for path in paths)
    targets = [_target(workspace, outputs, path) for path in names]
    every = [one for target in targets for one in target.files]
    progress.start("track", len(every), sum(one.stamp.size for one in every))
    known, stamps = _ingest(workspace, every, state, jobs, progress)
    out: list[Tracked] = []
    placed: dict[str, list[FileStamp]] = {}
    parts = []
    for target in targets:
        if target.owner is not None and target.owner.inside:
            part = [(one.name, known[one.path]) for one in target.files]
            out.append(update_part(workspace, target.path, part, state, jobs))
            parts.append(out[-1].path)
            continue
        loaded = _assemble(workspace.objects, target.path, target.is_dir, target.files, known)
        isexec = not target.is_dir and target.files[0].isexec
        with workspace.lock():
            size = loaded.tracked.digests.size
            write_metafile(workspace, loaded.tracked, target.owner, size, isexec=isexec)
        out.append(loaded.tracked)
        placed[target.path] = [stamps[one.path] for one in target.files]
    tell_placed(workspace, [*placed, *parts], state, placed)
    progress.done()
    return out


def _target(workspace: Workspace, outputs: Outputs, path: str) -> _Target:
    layout.require_safe(path, "an output", strict=False)
    owner = outputs.owner(path)
    if owner is None:
        workspace.require_visible(path)
    else:
        require_updatable(owner)
    below = outputs.below(path)
    if below:
        raise Invalid(
            f"{path} contains {below[0].path}, which is tracked by {below[0].named}.",
            kind="overlapping-outputs",
            mend=f"dvc remove {below[0].named}, then track {path}.",
        )
    workspace.require_untracked(path)
    if owner is not None and owner.inside and not os.path.lexists(workspace.data(path)):
        return _Target(path, owner, is_dir=False, files=[])
    is_dir, files = scan(workspace, path)
    return _Target(path, owner, is_dir, files)


def scan(workspace: Workspace, path: str) -> tuple[bool, list[Found]]:
    """Whether an output's data is a directory, and its files, sorted by path; nothing is read.

    Links to files are followed as DVC does, but only into the workspace or the cache; links to folders are
    not entered, as in DVC.
    """
    top = str(workspace.data(path))
    with disk(top):
        info = os.stat(top)  # noqa: PTH116 - hot path
        if not stat.S_ISDIR(info.st_mode):
            if os.path.islink(top):  # noqa: PTH114 - hot path
                _require_inside(workspace, top)
            return False, [found_file("", top, info, is_link=os.path.islink(top))]  # noqa: PTH114 - hot path
        if os.path.islink(top):  # noqa: PTH114 - hot path
            raise Invalid(
                f"{path} is a link to a folder.",
                kind="link-outside-workspace",
                mend="Move the folder into the workspace instead.",
            )
        files = []
        ignore = DvcIgnore(workspace.root)
        for relative, entry in ignore.files(top):
            reason = layout.forbidden_in_directory(relative, strict=False)
            if reason is not None:
                raise Invalid(
                    f"{path}/{relative} cannot be part of a tracked directory: it {reason}.",
                    kind="unsafe-path",
                    mend="Rename it, move it away, or name it in .dvcignore.",
                )
            is_link = entry.is_symlink()
            if is_link:
                _require_inside(workspace, entry.path)
            files.append(found_file(relative, entry.path, entry.stat(), is_link=is_link))
    return True, sorted(files, key=lambda one: one.name)


def _require_inside(workspace: Workspace, path: str) -> None:
    real = Path(path).resolve()
    if not (real.is_relative_to(workspace.root) or real.is_relative_to(workspace.cache.resolve())):
        raise Invalid(
            f"{path} is a link to {real}, outside of the workspace.",
            kind="link-outside-workspace",
            mend="Copy the file into the workspace instead.",
        )


def found_file(name: str, path: str, info: os.stat_result, *, is_link: bool = False) -> Found:
    """One file as it is in the workspace.

    Raises:
        Invalid: kind `not-a-file`.
    """
    if not stat.S_ISREG(info.st_mode):
        raise Invalid(f"{path} is not a regular file.", kind="not-a-file", mend="Move it away.")
    return Found(name, stamp(path, info), bool(info.st_mode & stat.S_IXUSR), is_link or info.st_nlink > 1)


def _ingest(
    workspace: Workspace, files: Sequence[Found], state: State, jobs: int, progress: Progress
) -> tuple[dict[str, Digests], dict[str, FileStamp]]:
    """Path -> digests, with every file's object in the cache; and path -> stamp, as each is then."""
    cache, links = workspace.objects, Links(workspace.link_types, workspace.temps)
    before = _now(cache)
    stamped = state.get_many([one.stamp for one in files])
    held = prove_cached(cache, {known.md5 for known in stamped if known is not None}, state, jobs).good
    found: dict[str, Digests] = {}
    todo = []
    for one, known in zip(files, stamped, strict=True):
        if known is not None and held.get(known.md5) == known:
            found[one.path] = known
            progress.advance(1, known.size)
        else:
            todo.append(one)

    def read(one: Found) -> tuple[Digests, FileStamp | None]:
        known = _read(cache, links, one)
        if one.stamp.size <= CHUNK:
            progress.advance(0, one.stamp.size)
        return known

    done = run_local(read, todo, jobs, progress)
    fresh = {one.path: known for one, (known, _) in zip(todo, done, strict=True)}
    made = {known.md5: at for known, at in done if at is not None}
    proof = prove_cached(cache, {known.md5 for known in fresh.values()} - made.keys(), state, jobs)
    for one in todo:
        if fresh[one.path].md5 in proof.corrupt:
            _read(cache, links, one, replace=True)
    _refuse_twins([*held.values(), *proof.good.values()], fresh)
    found.update(fresh)
    new: list[tuple[FileStamp, Digests]] = []
    old: list[tuple[FileStamp, Digests]] = []
    for one in files:
        known = found[one.path]
        now = _relink(cache, links, one, known)
        (old if now is one.stamp and one.path not in fresh else new).append((now, known))
    _remember(cache, state, new, made, before)
    state.tell_dvc([(one, known.md5) for one, known in new], [(one, known.md5) for one, known in old])
    return found, {one.path: one for one, _ in (*old, *new)}


def _remember(
    cache: Cache,
    state: State,
    new: Sequence[tuple[FileStamp, Digests]],
    made: Mapping[str, FileStamp],
    before: int,
) -> None:
    """Keep digests of files and of their objects; not of files so young that a change would not show."""
    objects = []
    for _, known in new:
        at = made.get(known.md5)
        if at is None:
            with disk(cache.root):
                at = stamp(cache.path(layout.data_key(known.md5)))
        objects.append((at, known))
    state.put_many([*(row for row in new if row[0].mtime_ns < before - RACY_NS), *objects])


def _refuse_twins(held: Iterable[Digests], fresh: Mapping[str, Digests]) -> None:
    """Refuse a file whose MD5 is that of other bytes, tracked now or before: DVC would mix them up."""
    by_md5 = {known.md5: known.sha256 for known in held}
    for path, known in fresh.items():
        if by_md5.setdefault(known.md5, known.sha256) != known.sha256:
            raise Corrupt(
                f"TWIN: {path} has the MD5 {known.md5} of other bytes.",
                kind="md5-twin",
                why="DVC keeps objects by MD5, and would take one for the other.",
                mend="This does not happen by chance. Find out who made the file, and remove it.",
            )


def _now(cache: Cache) -> int:
    """The file system's own time, in nanoseconds; no clock of another machine is compared."""
    with cache.temp() as temp, disk(temp):
        Path(temp).touch()
        return os.stat(temp).st_mtime_ns  # noqa: PTH116 - hot path


def _read(
    cache: Cache, links: Links, one: Found, *, replace: bool = False
) -> tuple[Digests, FileStamp | None]:
    """Read a file once, and leave its object in the cache; that object's stamp, if it was written now.

    One that is there is not proven; with `replace` it is written anyway.
    """
    if one.stamp.size <= CHUNK:
        data = _read_small(one)
        known = digest(data)
        key = layout.data_key(known.md5)
        there = not replace and cache.has(key, known.size)
        return known, None if there else cache.write(key, data)
    with cache.temp() as temp:
        cloned = links.clones and _clone(one.path, temp)
        known = digest_wide(guarded(chunks(temp))) if cloned else _copy(one, temp)
        _require_unchanged(one, known)
        key = layout.data_key(known.md5)
        there = not replace and cache.has(key, known.size)
        return known, None if there else cache.place(temp, key)


def _clone(path: str, temp: str) -> bool:
    with disk(path):
        return reflink(path, temp)


def _read_small(one: Found) -> bytes:
    """A small file's bytes, read at once and unchanged."""
    with disk(one.path):
        fd = os.open(one.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(fd, one.stamp.size + 1)
            while len(data) < one.stamp.size and (more := os.read(fd, one.stamp.size + 1 - len(data))):
                data += more
            same = stamp(one.path, os.fstat(fd)) == one.stamp
        finally:
            os.close(fd)
    if not same or len(data) != one.stamp.size:
        raise _changed(one)
    return data


def _stream(one: Found) -> Iterator[bytes]:
    """A file's bytes, as many as it had when it was found: one that grows all the time has an end too."""
    left = one.stamp.size
    for chunk in chunks(one.path):
        left -= len(chunk)
        if left < 0:
            raise _changed(one)
        yield chunk


def _copy(one: Found, temp: str) -> Digests:
    with disk(temp), open(temp, "xb", buffering=0) as out:  # noqa: PTH123 - hot path
        return digest_wide(guarded(_stream(one)), lambda chunk: write_all(out.fileno(), chunk))


def _require_unchanged(one: Found, known: Digests) -> None:
    with disk(one.path):
        same = stamp(one.path) == one.stamp
    if not same or known.size != one.stamp.size:
        raise _changed(one)


def _changed(one: Found) -> Conflict:
    return Conflict(
        f"{one.path} changed while it was read.",
        kind="changed-while-reading",
        mend="Let the job that writes it end, then track it again.",
    )


def _relink(cache: Cache, links: Links, one: Found, known: Digests) -> FileStamp:
    """Make the workspace file what `cache.type` asks for, as `dvc add` does; its stamp then.

    So a link inside a tracked directory becomes a file of its own where the cache is copied from.
    """
    source = cache.path(layout.data_key(known.md5))
    if _fits(links, source, one, known):
        return one.stamp
    with disk(one.path):
        if not os.path.islink(one.path) and stamp(one.path) != one.stamp:  # noqa: PTH114 - hot path
            raise _changed(one)
    links.place(source, one.path, known.md5, isexec=one.isexec and not one.name)
    with disk(one.path):
        return stamp(one.path)


def _fits(links: Links, source: str, one: Found, known: Digests) -> bool:
    """Is the workspace file connected with its object as `cache.type` says, or is nothing to connect?"""
    if one.isexec and links.shares:
        return True
    if not links.shares or (known.size == 0 and not links.points):
        return not one.linked
    with disk(one.path):
        return (
            os.path.samefile(source, one.path)  # noqa: PTH121 - hot path
            and os.path.islink(one.path) == links.points  # noqa: PTH114 - hot path
        )


def _assemble(
    cache: Cache, path: str, is_dir: bool, files: Sequence[Found], known: dict[str, Digests]
) -> Loaded:
    if not is_dir:
        digests = known[files[0].path]
        return Loaded(Tracked(path, f"{path}.dvc", is_dir=False, digests=digests), (("", digests),))
    return directory(cache, path, [(one.name, known[one.path]) for one in files])
