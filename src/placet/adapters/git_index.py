"""What the next commit will hold: Git's index, in whatever repository and index the user commits from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from placet.adapters import git_process as process
from placet.core.staged import Staged
from placet.errors import NotFound

_INDEX = "GIT_INDEX_FILE"


class Index:
    """The index of the work tree that a folder is in.

    Args:
        folder: Where the user is; names that they give are relative to it.
        environ: The environment. `git commit PATH` has an index of its own, and names it there.

    Raises:
        NotFound: kind `no-git-repository`.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = process.environment(environ)
        if environ.get(_INDEX):
            self._env[_INDEX] = os.path.abspath(folder / environ[_INDEX])  # noqa: PTH100 - links stay
        found = process.run(["-C", str(folder), "rev-parse", "--show-toplevel"], environ=self._env)
        if found.returncode:
            raise NotFound(f"{folder} is in no work tree of Git.", kind="no-git-repository")
        self.root = Path(os.fsdecode(found.stdout.removesuffix(b"\n")))
        where = self._git("rev-parse", "--absolute-git-dir").removesuffix(b"\n")
        self._reader = process.Reader(Path(os.fsdecode(where)), self._env)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def changed(self) -> Sequence[Staged]:
        """The files that the next commit adds or changes."""
        # Whatever the user's settings leave out of a diff.
        how = ("--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--ignore-submodules=none")
        raw = self._git("diff", *how, "--diff-filter=AMT")
        fields = raw.split(b"\0")
        pairs = zip(fields[::2], fields[1::2], strict=False)
        return self._sized((path, *_raw(entry)) for entry, path in pairs)

    def named(self, names: Iterable[str]) -> Sequence[Staged]:
        """The files of these names, as the index holds them; what it does not hold is left out."""
        base = os.path.realpath(self._folder)
        wanted = [os.path.relpath(os.path.join(base, name), self.root) for name in names]  # noqa: PTH118
        inside = [name for name in wanted if name.split("/")[0] != ".."]
        if not inside:
            return ()
        found = self._git("ls-files", "-s", "-z", "--", *inside).split(b"\0")
        entries = (one.partition(b"\t") for one in found if one)
        return self._sized((path, *_listed(entry)) for entry, _, path in entries)

    def read(self, one: Staged, limit: int) -> bytes:
        """A file's content.

        Raises:
            Invalid: kind `too-large`.
        """
        return self._reader.read("blob", one.blob, limit)

    def _sized(self, entries: Iterable[tuple[bytes, str, str]]) -> Sequence[Staged]:
        known = [(os.fsdecode(path), mode, blob) for path, mode, blob in entries]
        asked = "".join(f"{blob}\n" for _, _, blob in known).encode()
        done = process.run(
            ["-C", str(self.root), "cat-file", "--batch-check=%(objectsize)"], environ=self._env, data=asked
        )
        lines = process.check(done, "cat-file").split(b"\n")
        sizes = (int(one) if one.isdigit() else 0 for one in lines)  # a submodule's commit is not here
        return [Staged(*one, size) for one, size in zip(known, sizes, strict=False)]

    def _git(self, *arguments: str) -> bytes:
        done = process.run(["-C", str(self.root), *arguments], environ=self._env)
        return process.check(done, arguments[0])


def _raw(entry: bytes) -> tuple[str, str]:
    """Mode and blob of `:<old mode> <mode> <old blob> <blob> <status>`."""
    _, mode, _, blob, *_ = entry.decode("ascii").split(" ")
    return mode, blob


def _listed(entry: bytes) -> tuple[str, str]:
    """Mode and blob of `<mode> <blob> <stage>`."""
    mode, blob, *_ = entry.decode("ascii").split(" ")
    return mode, blob
