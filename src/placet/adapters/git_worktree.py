"""What Git says of paths in somebody's work tree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from placet.adapters import git_process as process


class WorkTree:
    """What Git says of paths in somebody's work tree; outside of a Git repository nothing is tracked."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self._root = root
        self._env = process.environment(environ)

    def tracks(self, path: Path) -> bool:
        """Does Git track this path, or something below it?"""
        asked = ["-C", str(self._root), "ls-files", "-z", "--", str(path)]
        return bool(process.run(asked, environ=self._env).stdout)

    def ignores(self, path: Path) -> bool:
        """Does Git ignore this path?"""
        env = {key: value for key, value in self._env.items() if key != "GIT_LITERAL_PATHSPECS"}
        asked = ["-C", str(self._root), "check-ignore", "-q", "--stdin", "-z"]
        return process.run(asked, environ=env, data=os.fsencode(path)).returncode == 0

    def ignored(self) -> frozenset[str]:
        """All that Git ignores, relative to the root; a folder that holds nothing else as one, with `/`."""
        asked = ["-C", str(self._root), "ls-files", "-z", "-o", "-i", "--exclude-standard", "--directory"]
        found = process.run(asked, environ=self._env).stdout
        return frozenset(os.fsdecode(one) for one in found.split(b"\0") if one)
