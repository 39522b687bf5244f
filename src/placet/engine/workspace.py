"""A DVC project as a workspace: which outputs it has, what a user's path means, its lock and metafiles."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zc.lockfile

from placet.core.outputs import Tracking
from placet.engine.disk import Cache, disk
from placet.engine.ignore import add_git_ignore
from placet.engine.outputs import Outputs, Resolve
from placet.errors import Conflict, Invalid, Refused

_LOCK_TRIES = 30
_LOCK_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Workspace:
    """A DVC project on this machine.

    Attributes:
        root: The project's root; absolute, links resolved.
        dvc_dir: Its `.dvc`.
        cache: The cache folder (`cache.dir`), which holds `files/md5`.
        link_types: `cache.type`, in order.
        shared: `cache.shared = group`.
        base: What relative paths of users are relative to; the root if None.
        git_tracks: Does Git track this path already? None outside of a Git repository.
        git_ignores: Does Git ignore this path already?
        git_ignored: All that Git ignores (`Outputs`).
        resolve: DVC's own resolver of computed outputs (`Outputs`).
        given: Its outputs, where they are not read from the work tree (`Outputs`).
        hardlink_lock: `core.hardlink_lock`: DVC's lock is a file that is there, not one that is locked.
    """

    root: Path
    dvc_dir: Path
    cache: Path
    link_types: tuple[str, ...] = ("reflink", "copy")
    shared: bool = False
    base: Path | None = None
    git_tracks: Callable[[Path], bool] | None = None
    git_ignores: Callable[[Path], bool] | None = None
    git_ignored: Callable[[], frozenset[str]] | None = None
    resolve: Resolve | None = None
    hardlink_lock: bool = False
    given: tuple[Tracking, ...] | None = None

    @property
    def objects(self) -> Cache:
        """The content-addressed cache."""
        return Cache(self.cache, self.shared)

    @property
    def temps(self) -> Path:
        """Where files of the workspace are made before they are moved to their place."""
        return self.dvc_dir / "tmp" / "placet" / "new"

    def locate(self, target: str | Path) -> str:
        """A user's path, of data or of a `.dvc` file, as the data's path relative to the root, posix.

        Raises:
            Invalid: kind `path-outside-workspace`.
        """
        path = Path(os.path.normpath((self.base or self.root) / target))
        real = path.parent.resolve() / path.name
        if not real.is_relative_to(self.root) or real.is_relative_to(self.dvc_dir):
            raise Invalid(
                f"{target} is not inside the workspace {self.root}.",
                kind="path-outside-workspace",
                mend="Move the data into the workspace; links to folders do not count.",
            )
        relative = real.relative_to(self.root).as_posix()
        return relative.removesuffix(".dvc") if not real.is_dir() else relative

    def data(self, path: str) -> Path:
        """Where an output's data is."""
        return self.root / path

    def metafile(self, path: str) -> Path:
        """Where an output's `.dvc` file is."""
        return self.root / f"{path}.dvc"

    def outputs(self) -> Outputs:
        """The project's outputs, as the metafiles are now."""
        return Outputs(
            self.root, self.base or self.root, self.locate, self.resolve, self.git_ignored, self.given
        )

    def select(self, targets: Iterable[str | Path] = ()) -> list[Tracking]:
        """The outputs that are meant; all if no target is named.

        Targets are those of DVC: `.dvc` files, data paths, paths inside a tracked directory, folders,
        `dvc.yaml`, stages (`train`, `sub/dvc.yaml:train`).

        Raises:
            NotFound: kind `not-tracked`.
            Invalid: kinds `path-outside-workspace`, `metafile`, `overlapping-outputs`, `computed-outputs`.
        """
        return self.outputs().select(targets)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold DVC's own repository lock, so that no `dvc` writes metafiles meanwhile.

        Raises:
            Conflict: kind `workspace-locked`, after 3 s.
        """
        path = self.dvc_dir / "tmp" / "lock"
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        free = self._hardlink(path) if self.hardlink_lock else self._lock(path).close
        try:
            yield
        finally:
            free()

    def _hardlink(self, path: Path) -> Callable[[], None]:
        from dvc.lock import HardlinkLock, LockError  # noqa: PLC0415 - slow, and seldom needed

        held = HardlinkLock(str(path), tmp_dir=str(path.parent))
        try:
            with disk(path):
                held.lock()
        except LockError as error:
            raise self._busy(path) from error
        return held.unlock  # type: ignore[no-any-return]

    def _lock(self, path: Path) -> zc.lockfile.LockFile:
        for attempt in range(_LOCK_TRIES):
            try:
                return zc.lockfile.LockFile(str(path))
            except zc.lockfile.LockError:
                time.sleep(_LOCK_WAIT_S if attempt < _LOCK_TRIES - 1 else 0)
        raise self._busy(path)

    def _busy(self, path: Path) -> Conflict:
        return Conflict(
            f"Another process works in {self.root}.",
            kind="workspace-locked",
            why=f"It holds {path}.",
            mend="Wait until it has ended, then run it again.",
        )

    def require_untracked(self, path: str) -> None:
        """Refuse a path that Git tracks.

        Raises:
            Refused: kind `tracked-by-git`.
        """
        if self.git_tracks is not None and self.git_tracks(self.data(path)):
            raise Refused(
                f"Git tracks {path} already.",
                kind="tracked-by-git",
                mend=f"git rm -r --cached {path} && git commit -m 'Stop tracking {path}'",
            )

    def require_visible(self, path: str) -> None:
        """Refuse an output whose new `.dvc` file Git would ignore, so that neither Git nor DVC would see it.

        Raises:
            Refused: kind `metafile-ignored`.
        """
        if self.git_ignores is not None and self.git_ignores(self.metafile(path)):
            raise Refused(
                f"Git ignores {path}.dvc, so nobody else would learn of {path}.",
                kind="metafile-ignored",
                mend=f"git check-ignore -v {path}.dvc names the line of .gitignore to change.",
            )

    def write_metafile(self, path: str, data: bytes, file: Path | None = None) -> None:
        """Write an output's `.gitignore` entry and its `.dvc` file; atomic; the caller holds the lock."""
        file = file or self.metafile(path)
        data_path = self.data(path)
        if self.git_tracks is not None and not (self.git_ignores and self.git_ignores(data_path)):
            add_git_ignore(data_path)
        with disk(file):
            if not file.is_file() or file.read_bytes() != data:
                temp = file.with_name(f".{os.urandom(8).hex()}.tmp")
                try:
                    temp.write_bytes(data)
                    temp.replace(file)
                finally:
                    temp.unlink(missing_ok=True)
