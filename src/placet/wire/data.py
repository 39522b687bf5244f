"""The parts of the data plane: DVC project, state databases, stores; each opened when needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from placet import config
from placet.core import layout
from placet.engine.routes import Routes
from placet.engine.workspace import Workspace
from placet.errors import Invalid, NotFound, Refused
from placet.ports import ObjectStore, Progress

if TYPE_CHECKING:
    from placet.adapters.state import StateDb
    from placet.config import Settings
    from placet.core.pipeline import StageOutput

_STORES = frozenset({"s3", "gs", "azure", "", "file", "local"})
_SERVER_JOBS = 16  # what a file server of one machine bears


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)


class Silent:
    """Progress that nobody looks at."""

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Self:
        """Nothing."""
        return self

    def advance(self, objects: int = 0, size: int = 0) -> None:
        """Nothing."""

    def done(self) -> None:
        """Nothing."""


class DataWire:
    """The parts that move and hash bytes, opened lazily and closed together."""

    def __init__(self, settings: Settings, folder: Path, progress: Progress | None) -> None:
        self.settings = settings
        self.folder = folder
        self.progress: Progress = progress or Silent()
        self.clock = SystemClock()
        self._open = ExitStack()
        self._stores: dict[str, ObjectStore] = {}

    def close(self) -> None:
        """Close everything that was opened."""
        self._open.close()

    @cached_property
    def project(self) -> Path:
        """The DVC project's root.

        Raises:
            NotFound: kind `no-dvc`.
        """
        found = config.find_dvc(self.folder)
        if found is None:
            raise NotFound(
                f"There is no DVC project at or above {self.folder}.",
                kind="no-dvc",
                mend="Run `dvc init` first (outside of Git: `dvc init --no-scm`).",
            )
        return found

    @cached_property
    def is_clone(self) -> bool:
        """Is this the clone of a Ctrl repository: by its policy, or by a pin of this place?"""
        folder = self.folder.resolve()
        if any((one / layout.POLICY).exists() for one in (folder, *folder.parents)):
            return True
        project = config.find_dvc(self.folder)
        if project is None:
            return False
        from placet.adapters.trust import FileMemory

        return FileMemory(self.settings.home / "trust").pinned(str(project)) is not None

    @cached_property
    def dvc(self) -> dict[str, Any]:
        """DVC's configuration of the project, from all its levels."""
        return config.dvc_config(self.project)

    @cached_property
    def workspace(self) -> Workspace:
        """The DVC project, as the data plane sees it."""
        cache = self.dvc.get("cache", {})
        from placet.adapters.git_worktree import WorkTree

        git = WorkTree(self.project, config.environment())
        types = cache.get("type") or ["reflink", "copy"]
        return Workspace(
            root=self.project,
            dvc_dir=self.project / ".dvc",
            base=self.folder.resolve(),
            cache=self.project / ".dvc" / Path(cache.get("dir") or "cache"),
            link_types=tuple(types if isinstance(types, list) else str(types).split(",")),
            shared=cache.get("shared") == "group",
            git_tracks=git.tracks,
            git_ignores=git.ignores,
            git_ignored=git.ignored,
            resolve=self._computed,
            hardlink_lock=bool(self.dvc.get("core", {}).get("hardlink_lock")),
        )

    def _computed(self, file: Path) -> Sequence[StageOutput]:
        from placet.adapters.pipeline import resolve

        return resolve(self.project, file)

    @cached_property
    def state(self) -> StateDb:
        """The databases of what was hashed before: ours and DVC's."""
        from placet.adapters.state import StateDb, dvc_hashes

        dvc_dir = self.project / ".dvc"
        hashes = dvc_hashes(config.site_cache(self.dvc), self.project, dvc_dir / "tmp")
        state = StateDb(dvc_dir / "tmp" / "placet" / "state.db", hashes)
        self._open.callback(state.close)
        return state

    def store(self, remote: str) -> ObjectStore:
        """A DVC remote by name.

        Raises:
            NotFound: kind `no-remote`.
            Refused: kind `governed-clone`.
        """
        if remote not in self._stores:
            self.admit_config()
            self._stores[remote] = open_store(self.remote(remote), root=self.project / ".dvc")
        return self._stores[remote]

    def admit_config(self) -> None:
        """Refuse remotes that a clone of a Ctrl repository names: `placet.wire.ctrl` can admit them.

        Raises:
            Refused: kind `governed-clone`.
        """
        if self.is_clone:
            raise Refused(
                "This is the clone of a Ctrl repository, whose files are not believed as they are.",
                kind="governed-clone",
                mend="Use placet.Client, or the command line.",
            )

    def routes(self, remote: str | None, usual: Callable[[], str], *, others: bool = False) -> Routes:
        """The stores of one command: of the remote that was named, or each output's own, else the usual.

        With `others` all remotes of the project may be asked in turn.
        """

        def label(name: str | None) -> str:
            return (name or remote or usual()).lower()

        names = tuple(self.dvc.get("remote", {})) if others else ()
        return Routes(lambda name: self.store(label(name)), remote, label, names)

    def internal_remote(self) -> str:
        """The name of the remote that is this node's internal tier."""
        own = self.settings.internal.get(self.settings.node or "")
        return own or self.default_remote()

    def default_remote(self) -> str:
        """DVC's default remote.

        Raises:
            NotFound: kind `no-remote`.
        """
        name = self.dvc.get("core", {}).get("remote") or self.settings.internal.get(self.settings.node or "")
        if not name:
            raise NotFound(
                "No remote was named, and there is no default.",
                kind="no-remote",
                mend="Give -r REMOTE, or set `internal` in placet.toml.",
            )
        return str(name)

    def remote(self, name: str) -> dict[str, Any]:
        """The options of a DVC remote.

        One whose URL is `remote://OTHER/PATH` has the other's options too, as DVC resolves it
        (dvc/fs/__init__.py, `_resolve_remote_refs`).

        Raises:
            NotFound: kind `no-remote`.
            Invalid: kind `remote-option`: remotes that refer to each other in a circle.
        """
        found = self._options(name)
        seen = [name]
        while (place := urlsplit(str(found.get("url", "")))).scheme == "remote":
            other = place.netloc.lower()
            if other in seen:
                raise Invalid(f"The remotes {' and '.join(seen)} refer to each other.", kind="remote-option")
            seen.append(other)
            base = self._options(other)
            found = {**base, **found, "url": f"{base.get('url', '')}/{place.path.lstrip('/')}"}
        return found

    def jobs(self, remote: str | None, usual: Callable[[], str]) -> int:
        """Objects moved at once: as this party has set it, else as the command's remote says by `jobs`."""
        own = self.settings
        if own.jobs_given:
            return own.jobs
        try:
            options = self.remote((remote or usual()).lower())
        except NotFound:  # each output may have a remote of its own; who lacks one says so
            return own.jobs
        by_server = urlsplit(str(options.get("url", ""))).scheme not in _STORES
        usually = min(own.jobs, _SERVER_JOBS) if by_server else own.jobs
        return min(int(options.get("jobs") or usually), config.MAX_JOBS)

    def _options(self, name: str) -> dict[str, Any]:
        known = self.dvc.get("remote", {})
        if name not in known:
            raise NotFound(
                f"There is no remote {name!r}.",
                kind="no-remote",
                why=f"DVC's configuration has: {', '.join(sorted(known)) or 'none'}.",
                mend=f"dvc remote add {name} s3://BUCKET/PREFIX",
            )
        return dict(known[name])


def open_store(remote: Mapping[str, Any], *, root: Path | None = None) -> ObjectStore:
    """The object store of a DVC remote's options."""
    from placet.adapters.objects import open as objects

    return objects.open_store(remote, environ=config.environment(), now=SystemClock().now, root=root)
