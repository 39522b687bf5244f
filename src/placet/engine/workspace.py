"""A DVC project as a workspace: which outputs it has, what a user's path means, its lock and metafiles."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import zc.lockfile

from placet.core.dvcfile import Output, read_metafile
from placet.engine.disk import Cache, disk
from placet.engine.ignore import DvcIgnore, add_git_ignore
from placet.errors import Conflict, Invalid, NotFound, Refused

_MD5 = re.compile(r"[0-9a-f]{32}")
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
    """

    root: Path
    dvc_dir: Path
    cache: Path
    link_types: tuple[str, ...] = ("reflink", "copy")
    shared: bool = False
    base: Path | None = None
    git_tracks: Callable[[Path], bool] | None = None
    git_ignores: Callable[[Path], bool] | None = None

    @property
    def objects(self) -> Cache:
        """The content-addressed cache."""
        return Cache(self.cache, self.shared)

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

    def select(self, targets: Iterable[str | Path] = ()) -> list[Tracking]:
        """The tracked outputs that are meant: by data path, `.dvc` file, or folder; all if none is named.

        Raises:
            NotFound: kind `not-tracked`.
            Invalid: kinds `path-outside-workspace`, `metafile`.
        """
        found: dict[str, Tracking] = {}
        for target in list(targets) or [self.root]:
            path = self.locate(target)
            here = [path] if self.metafile(path).is_file() else list(self._below(path))
            if not here and path != ".":
                raise NotFound(
                    f"{path} is not tracked: there is no {path}.dvc.",
                    kind="not-tracked",
                    mend=f"placet track {path}",
                )
            found.update((one, self._tracking(one)) for one in here if one not in found)
        return list(found.values())

    def _below(self, folder: str) -> Iterator[str]:
        top = self.root / folder
        if not top.is_dir():
            return
        ignore = DvcIgnore(self.root)
        with disk(top):
            for base, dirs, files in ignore.walk(str(top)):
                names = {one[:-4] for one in files if one.endswith(".dvc") and one != ".dvc"}
                dirs[:] = [one for one in dirs if one not in names]
                for name in sorted(names):
                    yield (Path(base) / name).relative_to(self.root).as_posix()

    def _tracking(self, path: str) -> Tracking:
        file = self.metafile(path)
        with disk(file):
            data = file.read_bytes()
        try:
            found = read_metafile(data)
        except Invalid as error:
            raise Invalid(f"{file}: {error.what}", kind=error.kind, mend="See `dvc status`.") from error
        if len(found.outs) != 1 or found.wdir != "." or found.outs[0].path != file.name[:-4]:
            return Tracking(path, None)
        out = found.outs[0]
        stock_only = found.has_deps or out.legacy or not out.cache or not _MD5.fullmatch(out.md5)
        return Tracking(path, None if stock_only else out)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold DVC's own repository lock, so that no `dvc` writes metafiles meanwhile.

        Raises:
            Conflict: kind `workspace-locked`, after 3 s.
        """
        path = self.dvc_dir / "tmp" / "lock"
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        held = self._lock(path)
        try:
            yield
        finally:
            held.close()

    def _lock(self, path: Path) -> zc.lockfile.LockFile:
        for attempt in range(_LOCK_TRIES):
            try:
                return zc.lockfile.LockFile(str(path))
            except zc.lockfile.LockError:
                time.sleep(_LOCK_WAIT_S if attempt < _LOCK_TRIES - 1 else 0)
        raise Conflict(
            f"Another process works in {self.root}.",
            kind="workspace-locked",
            why=f"It holds {path}.",
            mend="Wait until it has ended, then run it again.",
        )

    def check_trackable(self, path: str) -> None:
        """Refuse a path that Git tracks, or that lies in another output or around one.

        Raises:
            Refused: kind `tracked-by-git`.
            Invalid: kind `overlapping-outputs`.
        """
        parts = path.split("/")
        for end in range(1, len(parts)):
            outer = "/".join(parts[:end])
            if self.metafile(outer).is_file():
                raise Invalid(
                    f"{path} lies inside {outer}, which is tracked as a whole.",
                    kind="overlapping-outputs",
                    mend=f"placet track {outer}",
                )
        if self.git_tracks is not None and self.git_tracks(self.data(path)):
            raise Refused(
                f"Git tracks {path} already.",
                kind="tracked-by-git",
                mend=f"git rm -r --cached {path} && git commit -m 'Stop tracking {path}'",
            )

    def write_metafile(self, path: str, data: bytes) -> None:
        """Write an output's `.dvc` file and its `.gitignore` entry; atomic; the caller holds the lock."""
        file = self.metafile(path)
        with disk(file):
            if not file.is_file() or file.read_bytes() != data:
                temp = file.with_name(f".{os.urandom(8).hex()}.tmp")
                try:
                    temp.write_bytes(data)
                    temp.replace(file)
                finally:
                    temp.unlink(missing_ok=True)
        data_path = self.data(path)
        if self.git_tracks is not None and not (self.git_ignores and self.git_ignores(data_path)):
            add_git_ignore(data_path)


@dataclass(frozen=True, slots=True)
class Tracking:
    """An output of the workspace; `out` is None where only stock DVC can handle it (import, legacy, ...)."""

    path: str
    out: Output | None


def plain(trackings: Sequence[Tracking]) -> list[tuple[str, Output]]:
    """Those outputs that Placet moves: one plain DVC 3 output a metafile, kept in the cache."""
    return [(one.path, one.out) for one in trackings if one.out is not None]
