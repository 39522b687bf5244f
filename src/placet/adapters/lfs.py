"""The clone of a Git LFS repository as it lies here, only read: its pointers, and the objects it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from placet.adapters import git_process as process
from placet.adapters.git import GitRepo
from placet.core.lfs import MAX_POINTER, Pointer, read_pointer
from placet.errors import Invalid, NotFound

_REGULAR = ("100644", "100755")


class LfsClone:
    """One clone.

    Args:
        folder: Its work tree, or a folder in it; or a bare repository.
        environ: For Git.

    Raises:
        NotFound: kind `no-git-repository`.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = process.environment(environ)
        self._repo = GitRepo.clone(folder, environ)
        bare = self._said("--is-bare-repository") == "true"
        self._top = None if bare else Path(self._said("--show-toplevel"))
        self._objects = (folder / self._said("--git-common-dir")).resolve() / "lfs" / "objects"

    def close(self) -> None:
        """End the reading process."""
        self._repo.close()

    def commit(self, revision: str) -> str:
        """The commit that a revision means.

        Raises:
            NotFound: kind `no-commit`.
        """
        found = process.run(
            [
                "-C", str(self._folder), "rev-parse", "--verify", "-q", "--end-of-options",
                f"{revision}^{{commit}}",
            ],
            environ=self._env,
        )  # fmt: skip
        if found.returncode:
            raise NotFound(f"{revision!r} is no commit of {self._folder}.", kind="no-commit")
        return found.stdout.decode().strip()

    def pointers(self, commit: str) -> Iterator[tuple[str, Pointer | Invalid]]:
        """Path and pointer of every file that LFS keeps, or why its pointer cannot be followed."""
        for path, entry in sorted(self._repo.tree(commit).items()):
            if entry.mode not in _REGULAR or entry.size > MAX_POINTER:
                continue
            try:
                found = read_pointer(self._repo.read(entry.blob, MAX_POINTER))
            except Invalid as error:
                yield path, error
            else:
                if found is not None:
                    yield path, found

    def places(self, path: str, pointer: Pointer) -> list[Path]:
        """Where its bytes may lie: LFS's own folder, then the work tree; each must still be proven."""
        found = [self._objects / pointer.key, *([self._top / path] if self._top else [])]
        return [
            one
            for one in found
            if not one.is_symlink() and one.is_file() and one.stat().st_size == pointer.size
        ]

    def _said(self, question: str) -> str:
        found = process.run(["-C", str(self._folder), "rev-parse", question], environ=self._env)
        return process.check(found, "rev-parse").decode("utf-8", "surrogateescape").rstrip("\n")
