"""Files of a work tree that is not trusted: what is really there, and what leads elsewhere.

Only a regular file counts as one, or a link to an object of DVC's cache, which is how `cache.type = symlink`
places files. Nothing else is followed, opened or waited for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from placet.core.guards import guard
from placet.engine.disk import disk
from placet.errors import Corrupt, Invalid


@guard(5)
def require_no_link(root: Path, path: str) -> None:
    """Refuse a path of the work tree that a link leads away, on its way to the last part.

    Raises:
        Invalid: kind `link-outside-workspace`.
    """
    at = root
    for part in path.split("/")[:-1]:
        at /= part
        if at.is_symlink():
            raise _leads_away(at)


def real_file(path: Path, cache: Path | None) -> Path:
    """The file itself, links to objects of the cache followed.

    Raises:
        NotFound: kind `no-file`.
        Invalid: kind `link-outside-workspace`: a link to anything else, or no regular file.
    """
    with disk(path):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            target = Path(os.path.realpath(path))
            require_object(path, target, cache)
            mode = target.lstat().st_mode
            path = target
    if not stat.S_ISREG(mode):
        raise Invalid(f"{path} is not a regular file.", kind="link-outside-workspace")
    return path


@guard(5)
def require_object(link: Path, target: Path, cache: Path | None) -> None:
    """Refuse a link that does not lead to an object of the cache.

    Raises:
        Invalid: kind `link-outside-workspace`.
    """
    objects = Path(os.path.realpath(cache)) / "files" / "md5" if cache is not None else None
    if objects is None or not target.is_relative_to(objects):
        raise _leads_away(link)


def real_files(folder: Path, cache: Path | None) -> Iterator[tuple[str, Path]]:
    """Path within a folder, and file, of all that it holds; in any order.

    Raises:
        Invalid: kind `link-outside-workspace`: a link to a folder, or as `real_file`.
    """
    with disk(folder):
        for base, dirs, names in os.walk(folder, onerror=_raise):
            for name in dirs:
                if os.path.islink(f"{base}/{name}"):  # noqa: PTH114 - hot path
                    raise _leads_away(Path(base) / name)
            for name in names:
                found = Path(base) / name
                yield found.relative_to(folder).as_posix(), real_file(found, cache)


@guard(6, 7, 8)
def require_as_published(root: Path, path: str, wanted: bytes) -> None:
    """Refuse a file of the work tree that DVC or Git would obey, and that is not the published one.

    Raises:
        Corrupt: kind `clone-changed`.
        Invalid: kind `link-outside-workspace`.
    """
    require_no_link(root, path)
    file = root / path
    with disk(file):
        if file.is_symlink() or not file.is_file():
            raise changed(f"{path} in the work tree is missing, or no regular file.")
        with file.open("rb") as stream:
            data = stream.read(len(wanted) + 1)
    if data != wanted:
        raise changed(f"{path} in the work tree is not as it was published.")


def changed(what: str) -> Corrupt:
    """The refusal of a clone that holds something else than what was published."""
    return Corrupt(
        what,
        kind="clone-changed",
        why="Nothing that lies in a clone is believed unless it was published so.",
        mend="`git status` and `git log -3` show who changed it; a fresh clone has what was published.",
    )


def _leads_away(link: Path) -> Invalid:
    return Invalid(
        f"{link} is a link that leads away; nothing is read or written there.",
        kind="link-outside-workspace",
        mend="Remove the link, and pull again.",
    )


def _raise(error: OSError) -> None:
    raise error
