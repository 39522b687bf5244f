"""`.dvcignore` and `.gitignore` as DVC reads and writes them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from placet.engine.disk import disk

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_ALWAYS_DIRS = frozenset({".hg", ".git", ".dvc"})
_ALWAYS_FILES = frozenset({".git"})
_SPECIAL = re.compile(r"([\[\]!*#?])")


class DvcIgnore:
    """What DVC does not see in a project: its fixed patterns, then the `.dvcignore` of each folder.

    Args:
        root: The project's root.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._specs: dict[str, GitIgnoreSpec | None] = {}
        self._holding: dict[str, list[str]] = {}

    def ignores(self, path: str, *, is_dir: bool = False) -> bool:
        """Is this path (absolute, below the root) ignored itself? The last matching pattern decides."""
        folder, _, name = path.rpartition("/")
        if name in (_ALWAYS_DIRS if is_dir else _ALWAYS_FILES):
            return True
        for holder in self._holders(folder):
            spec = self._spec(holder)
            if spec is not None:
                relative = path[len(holder) + 1 :] + ("/" if is_dir else "")
                include = spec.check_file(relative).include
                if include is not None:
                    return include
        return False

    def walk(self, top: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """As `os.walk`, without what is ignored; folders that are links are not entered, as in DVC."""
        for base, dirs, files in os.walk(top, onerror=_raise):
            dirs[:] = sorted(one for one in dirs if not self.ignores(f"{base}/{one}", is_dir=True))
            yield base, dirs, [one for one in files if not self.ignores(f"{base}/{one}")]

    def files(self, top: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Path relative to `top`, and entry, of each file below it that is not ignored; in any order."""
        folders = [""]
        while folders:
            inner = folders.pop()
            base = f"{top}/{inner}".rstrip("/")
            plain = not self._holders(base)
            with os.scandir(base) as entries:
                for entry in entries:
                    is_dir = entry.is_dir()
                    if entry.name in (_ALWAYS_DIRS if is_dir else _ALWAYS_FILES):
                        continue
                    if not plain and self.ignores(f"{base}/{entry.name}", is_dir=is_dir):
                        continue
                    if not is_dir:
                        yield inner + entry.name, entry
                    elif not entry.is_symlink():
                        folders.append(f"{inner}{entry.name}/")

    def _holders(self, folder: str) -> list[str]:
        """The folders from this one up to the root that have a `.dvcignore`."""
        if folder not in self._holding:
            above = self._holders(folder.rpartition("/")[0]) if len(folder) > len(self._root) else []
            own = [folder] if len(folder) >= len(self._root) and self._spec(folder) is not None else []
            self._holding[folder] = own + above
        return self._holding[folder]

    def _spec(self, folder: str) -> GitIgnoreSpec | None:
        """The patterns of a folder's `.dvcignore`, or None if it has none."""
        if folder not in self._specs:
            file = Path(folder) / ".dvcignore"
            lines: list[str] = []
            with disk(file), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                lines = file.read_text("utf-8", "surrogateescape").splitlines()
            self._specs[folder] = _patterns(lines)
        return self._specs[folder]


def _patterns(lines: list[str]) -> GitIgnoreSpec | None:
    if not any(line.strip() and not line.startswith("#") for line in lines):
        return None
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - most projects have no pattern

    return GitIgnoreSpec.from_lines(lines)


def _raise(error: OSError) -> None:
    raise error


def add_git_ignore(data: Path) -> bool:
    """Add `/name` to the `.gitignore` beside a tracked path, as `dvc add` does; False if it is there."""
    file = data.parent / ".gitignore"
    entry = "/" + _SPECIAL.sub(r"\\\1", data.name) + "\n"
    with disk(file):
        before = file.read_text("utf-8", "surrogateescape") if file.exists() else ""
        if entry in before.splitlines(keepends=True):
            return False
        gap = "\n" if before and not before.endswith("\n") else ""
        with file.open("a", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(gap + entry)
    return True
