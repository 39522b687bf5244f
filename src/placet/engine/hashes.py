"""Hashes of workspace files: from the state database, or by reading them once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from placet.core.digest import Digests, digest_chunks
from placet.core.dvcfile import Output
from placet.engine import legacy
from placet.engine.disk import RACY_NS, chunks, stamp
from placet.engine.threads import guarded, run_local
from placet.engine.track import Found
from placet.engine.workspace import Workspace
from placet.ports import State


def digest_files(
    workspace: Workspace, files: Mapping[str, Found], state: State, jobs: int
) -> dict[str, Digests]:
    """Name -> digests of workspace files. What was read is remembered, if a later change would show."""
    stamps = [one.stamp for one in files.values()]
    known = dict(zip(files, state.get_many(stamps), strict=True))
    todo = [name for name, found in known.items() if found is None]
    if not todo:
        return {name: found for name, found in known.items() if found is not None}
    before = _now(workspace)
    read = run_local(lambda name: digest_chunks(guarded(chunks(files[name].path))), todo, jobs)
    fresh = dict(zip(todo, read, strict=True))
    same = [name for name in todo if _same(files[name]) and files[name].stamp.mtime_ns < before - RACY_NS]
    state.put_many([(files[name].stamp, fresh[name]) for name in same])
    return {name: found for name, found in {**known, **fresh}.items() if found is not None}


def _now(workspace: Workspace) -> int:
    """The file system's own time, in nanoseconds; 0 where nothing may be written."""
    temp = workspace.temps / f".{os.urandom(8).hex()}.tmp"
    try:
        temp.parent.mkdir(parents=True, exist_ok=True)
        temp.touch()
        return temp.stat().st_mtime_ns
    except OSError:
        return 0
    finally:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)


def _same(one: Found) -> bool:
    try:
        return stamp(one.path) == one.stamp
    except OSError:
        return False


def hashes_of(
    workspace: Workspace,
    out: Output,
    files: Mapping[str, Found],
    state: State,
    jobs: int,
    wanted: Mapping[str, str] | None,
) -> dict[str, str]:
    """Name -> hash of workspace files, of the kind that the output has.

    A file whose MD5 is what is wanted in DVC 2's kind is right without reading it: it holds no CRLF.
    """
    if not out.legacy:
        return {name: found.md5 for name, found in digest_files(workspace, files, state, jobs).items()}
    names = list(files)
    known = state.get_many([files[name].stamp for name in names])
    right = {
        name: found.md5
        for name, found in zip(names, known, strict=True)
        if found is not None and wanted is not None and wanted.get(name) == found.md5
    }
    todo = [name for name in names if name not in right]
    read = run_local(lambda name: legacy.digest_file(files[name].path)[1], todo, jobs)
    return right | dict(zip(todo, read, strict=True))
