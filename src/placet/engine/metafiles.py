"""What tracking writes last: the `.dir` object of a directory, and the metafile that tells of an output."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from placet.core import layout
from placet.core.digest import Digests, digest
from placet.core.dirobject import encode_dir
from placet.core.dvcfile import Output, update_metafile
from placet.core.outputs import Tracking
from placet.engine.artifact import Loaded, Tracked, assemble, wanted_files
from placet.engine.disk import Cache, disk
from placet.engine.proof import prove_cached
from placet.engine.workspace import Workspace
from placet.errors import Conflict, Invalid, NotFound
from placet.ports import State


def directory(cache: Cache, path: str, files: Sequence[tuple[str, Digests]]) -> Loaded:
    """A directory of these files, sorted by path; its `.dir` object is in the cache then.

    Raises:
        Invalid: kind `unsafe-path`.
    """
    listing = _listing(path, [(name, known.md5) for name, known in files])
    loaded = assemble(cache, path, listing, files)
    _keep(cache, loaded.tracked.digests.md5, listing)
    return loaded


def _listing(path: str, files: Sequence[tuple[str, str]]) -> bytes:
    pair = layout.clash(name for name, _ in files)
    if pair is not None:
        raise Invalid(
            f"{path}: the names {pair[0]!r} and {pair[1]!r} are one on some machines.",
            kind="unsafe-path",
            mend="Rename one of them.",
        )
    return encode_dir(files)


def _keep(cache: Cache, md5: str, listing: bytes) -> None:
    key = layout.data_key(md5, is_dir=True)
    if cache.read(key, len(listing)) != listing:
        cache.write(key, listing)


def update_part(
    workspace: Workspace, path: str, files: Sequence[tuple[str, Digests]], state: State, jobs: int
) -> Tracked:
    """Put one path's files into the listing of the tracked directory around it, or take them out.

    The cache need not have the directory's other files; the digest list is made later then.
    The size is written as `dvc add` does: not at all where files were replaced or taken out.

    Args:
        workspace: The project; its lock is held meanwhile.
        path: The path inside the directory.
        files: What is there now: (path below it, or empty if it is a file; digests).
        state: What was hashed before.
        jobs: Files hashed at once.

    Raises:
        NotFound: kind `no-file`: nothing is there, and nothing was; kind `not-in-cache`: the listing.
        Invalid: kind `unsafe-path`.
        Conflict: kinds `changed-while-reading`, `workspace-locked`.
    """
    with workspace.lock():
        owner = workspace.outputs().owner(path)
        if owner is None or not owner.inside:
            raise Conflict(
                f"The directory around {path} is not tracked any more.",
                kind="changed-while-reading",
                mend="Run it again.",
            )
        (part,) = owner.inside
        new = [(f"{part}/{name}" if name else part, found) for name, found in files]
        _require_names(owner.path, [name for name, _ in new])
        before = wanted_files(workspace.objects, owner.path, owner.out)
        kept = {name: md5 for name, md5 in before.items() if not _replaced(name, part)}
        replaced = len(kept) < len(before)
        if not new and not replaced:
            raise NotFound(f"There is no file {path}, and there was none.", kind="no-file")
        tracked = _directory_of(workspace.objects, owner, kept, new, state, jobs)
        size = owner.out.size
        if tracked.digests.md5 != owner.out.md5:
            size = size + sum(found.size for _, found in new) if size and not replaced else None
        write_metafile(workspace, tracked, owner, size)
    return tracked


def _directory_of(
    cache: Cache,
    owner: Tracking,
    kept: Mapping[str, str],
    new: Sequence[tuple[str, Digests]],
    state: State,
    jobs: int,
) -> Tracked:
    """The directory of kept files (path -> MD5), which the cache may lack, and of new ones."""
    proof = prove_cached(cache, dict.fromkeys(kept.values()), state, jobs)
    here = [(name, proof.good[md5]) for name, md5 in kept.items() if md5 in proof.good]
    files = sorted([*here, *new], key=lambda one: one[0])
    if len(here) == len(kept):
        return directory(cache, owner.path, files).tracked
    listing = _listing(owner.path, sorted([*kept.items(), *((name, found.md5) for name, found in new)]))
    of_dir = digest(listing)
    _keep(cache, of_dir.md5, listing)
    return Tracked(
        path=owner.path,
        metafile=f"{owner.path}.dvc",
        is_dir=True,
        digests=Digests(of_dir.md5, "", sum(found.size for _, found in files)),
        nfiles=len(kept) + len(new),
        dir_size=of_dir.size,
        dir_sha256=of_dir.sha256,
    )


def _replaced(name: str, part: str) -> bool:
    """Is this file at or below the part, or where the part has a folder now?"""
    return layout.at_or_below(name, part) or layout.at_or_below(part, name)


def _require_names(path: str, names: Sequence[str]) -> None:
    for name in names:
        reason = layout.forbidden_in_directory(name, strict=False)
        if reason is not None:
            raise Invalid(
                f"{path}/{name} cannot be part of a tracked directory: it {reason}.",
                kind="unsafe-path",
                mend="Rename it, move it away, or name it in .dvcignore.",
            )


def write_metafile(
    workspace: Workspace, one: Tracked, owner: Tracking | None, size: int | None, *, isexec: bool = False
) -> None:
    """Write an output's `.dvc` file, where it is, under the path it has there; the caller holds the lock."""
    name = owner.out.path if owner is not None else one.path.rsplit("/", 1)[-1]
    out = Output(name, one.digests.md5, size, one.nfiles, one.is_dir, isexec)
    file = workspace.root / (owner.metafile if owner is not None else one.metafile)
    old = None
    with contextlib.suppress(NotFound), disk(file):
        old = file.read_bytes()
    workspace.write_metafile(one.path, update_metafile(old, out), file)
