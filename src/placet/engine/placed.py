"""Outputs that were placed in the workspace, and belong to no metafile any more: those of another Git branch.

`dvc checkout` without targets removes such outputs if they are as they were placed, and tells of each that it
places (dvc/repo/checkout.py, dvc_data/hashfile/utils.py). So does Placet, for its own and for DVC's.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence

from placet.core import layout
from placet.core.digest import md5_hex
from placet.core.outputs import leads_out
from placet.engine.disk import disk, stamp
from placet.engine.ignore import DvcIgnore
from placet.engine.workspace import Workspace
from placet.errors import NotFound
from placet.ports import FileStamp, Placed, State


def tell_placed(
    workspace: Workspace,
    paths: Iterable[str],
    state: State,
    known: Mapping[str, Sequence[FileStamp]] | None = None,
) -> None:
    """Remember these outputs as they are now.

    Args:
        workspace: The project.
        paths: The outputs.
        state: Where it is remembered.
        known: Output -> the stamps of all its files, of those that need not be looked at again.
    """
    rows = [_look(workspace, path, (known or {}).get(path)) for path in paths]
    state.placed.tell([one for one in rows if one is not None])


def unused(workspace: Workspace, used: Collection[str], state: State) -> list[str]:
    """The outputs that were placed, are unchanged since, in no metafile, and not Git's; nothing is removed.

    Args:
        workspace: The project.
        used: All outputs of its metafiles.
        state: Where DVC and Placet remember what they placed.
    """

    def look(path: str) -> Placed | None:
        mine = any(layout.at_or_below(one, path) or layout.at_or_below(path, one) for one in used)
        return None if mine or not _inside(workspace, path) else _look(workspace, path)

    git_tracks = workspace.git_tracks or (lambda _: False)
    return [path for path in state.placed.find(look) if not git_tracks(workspace.data(path))]


def _inside(workspace: Workspace, path: str) -> bool:
    """Is this below the project, on no way through a link, and nothing of Git's or DVC's?"""
    top = workspace.data(path)
    linked = top.is_symlink() and top.is_dir()
    return not leads_out(path) and not linked and top.parent.resolve() == top.parent


def _look(workspace: Workspace, path: str, known: Sequence[FileStamp] | None = None) -> Placed | None:
    top = str(workspace.data(path))
    try:
        with disk(top):
            inode = os.lstat(top).st_ino
            found = os.stat(top)  # noqa: PTH116 - as its neighbours
            if not stat.S_ISDIR(found.st_mode):
                return Placed(path, inode, str(round(found.st_mtime * 1_000_000_000)))
            stamps = known if known is not None else _stamps(workspace, top)
    except NotFound:
        return None
    times = {one.path: one.mtime for one in stamps}
    return Placed(path, inode, md5_hex(json.dumps(times, sort_keys=True).encode()))


def _stamps(workspace: Workspace, top: str) -> list[FileStamp]:
    out = []
    for _, entry in DvcIgnore(workspace.root).files(top):
        with contextlib.suppress(FileNotFoundError):
            out.append(stamp(entry.path, entry.stat()))
    return out
