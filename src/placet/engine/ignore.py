"""`.dvcignore` and `.gitignore` as DVC reads and writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

from placet.engine.disk import disk

_ALWAYS = (".hg/", ".git/", ".git", ".dvc/")
_SPECIAL = re.compile(r"([\[\]!*#?])")


class DvcIgnore:
    """What DVC does not see in a project: its fixed patterns, then the `.dvcignore` of each folder.

    Args:
        root: The project's root.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._always = GitIgnoreSpec.from_lines(_ALWAYS)
        self._specs: dict[str, GitIgnoreSpec | None] = {}

    def ignores(self, path: str, *, is_dir: bool = False) -> bool:
        """Is this path (absolute, below the root) ignored itself? The last matching pattern decides."""
        name = path.rsplit("/", 1)[-1]
        if self._always.match_file(f"{name}/" if is_dir else name):
            return True
        folder = path
        while len(folder) > len(self._root):
            folder = folder.rsplit("/", 1)[0]
            spec = self._spec(folder)
            if spec is not None:
                relative = path[len(folder) + 1 :] + ("/" if is_dir else "")
                include = spec.check_file(relative).include
                if include is not None:
                    return include
        return False

    def walk(self, top: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """As `os.walk`, without what is ignored; folders that are links are not entered, as in DVC."""
        for base, dirs, files in os.walk(top, onerror=_raise):
            dirs[:] = sorted(one for one in dirs if not self.ignores(f"{base}/{one}", is_dir=True))
            yield base, dirs, [one for one in files if not self.ignores(f"{base}/{one}")]

    def _spec(self, folder: str) -> GitIgnoreSpec | None:
        if folder not in self._specs:
            file = Path(folder) / ".dvcignore"
            found = None
            if file.is_file():
                with disk(file):
                    found = GitIgnoreSpec.from_lines(file.read_text("utf-8").splitlines())
            self._specs[folder] = found
        return self._specs[folder]


def _raise(error: OSError) -> None:
    raise error


def add_git_ignore(data: Path) -> bool:
    """Add `/name` to the `.gitignore` beside a tracked path, as `dvc add` does; False if it is there."""
    file = data.parent / ".gitignore"
    entry = "/" + _SPECIAL.sub(r"\\\1", data.name) + "\n"
    with disk(file):
        before = file.read_text("utf-8") if file.exists() else ""
        if entry in before.splitlines(keepends=True):
            return False
        gap = "\n" if before and not before.endswith("\n") else ""
        with file.open("a", encoding="utf-8", newline="") as stream:
            stream.write(gap + entry)
    return True
