"""The lock between `gc` and whoever puts objects into a cache or a remote before a metafile names them.

Track, fetch and push share it; gc has it alone, in every workspace that uses what it collects. So no object
that was found present is removed before the `.dvc` file is written that needs it. Stock DVC is kept out by
its own lock, which gc holds too. The system frees both when a process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from placet.engine.disk import disk
from placet.engine.workspace import Workspace
from placet.errors import Conflict, Unavailable

_TRIES = 30
_WAIT_S = 0.1


@contextlib.contextmanager
def in_use(workspace: Workspace) -> Iterator[None]:
    """Keep gc away from what this workspace uses; many may at a time.

    Where no gc ever locked and this user cannot write, there is no lock.

    Raises:
        Conflict: kind `workspace-locked`: a gc runs, after 3 s.
        Unavailable: kind `disk-denied`: there is a lock that this user cannot read.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_lock(workspace, fcntl.LOCK_SH))
        except Unavailable as error:
            with disk(workspace.dvc_dir):
                if error.kind != "disk-denied" or _path(workspace).exists():
                    raise
        yield


@contextlib.contextmanager
def alone(workspaces: Sequence[Workspace]) -> Iterator[None]:
    """Keep everybody, Placet and stock DVC, from changing these workspaces, caches and metafiles.

    Raises:
        Conflict: kind `workspace-locked`: somebody works there, after 3 s.
        Unavailable: kind `disk-denied`: this user cannot lock one of them.
    """
    ordered = sorted({one.root: one for one in workspaces}.items())
    with contextlib.ExitStack() as held:
        for _, one in ordered:
            held.enter_context(_lock(one, fcntl.LOCK_EX))
            held.enter_context(one.lock())
        yield


@contextlib.contextmanager
def _lock(workspace: Workspace, how: int) -> Iterator[None]:
    path = _path(workspace)
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = _opened(path, shared=how == fcntl.LOCK_SH)
    try:
        for attempt in range(_TRIES):
            try:
                fcntl.flock(fd, how | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_WAIT_S if attempt < _TRIES - 1 else 0)
        else:
            busy = "Another Placet process works in" if how == fcntl.LOCK_EX else "A `placet gc` works on"
            raise Conflict(
                f"{busy} {workspace.root}.",
                kind="workspace-locked",
                why=f"It holds {path}.",
                mend="Wait until it has ended, then run it again.",
            )
        yield
    finally:
        os.close(fd)


def _path(workspace: Workspace) -> Path:
    return workspace.dvc_dir / "tmp" / "placet" / "gc.lock"


def _opened(path: Path, *, shared: bool) -> int:
    """A descriptor of the lock file; another user's can be shared by whoever can read it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        if not shared or not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
