"""The data plane for Python programs: what `placet track`, `push`, `pull` do, without governance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar

from placet.config import Settings, load_settings
from placet.errors import Corrupt, NotFound, Partial
from placet.wire.data import DataWire

if TYPE_CHECKING:
    from placet.core.outputs import Tracking
    from placet.engine.checkout import CheckedOut
    from placet.engine.copyout import Held, Part
    from placet.engine.fetch import Fetched
    from placet.engine.push import Pushed
    from placet.engine.status import Status
    from placet.engine.track import Tracked
    from placet.ports import Progress


_P = ParamSpec("_P")
_R = TypeVar("_R")


def _in_use(
    method: Callable[Concatenate[DataPlane, _P], _R],
) -> Callable[Concatenate[DataPlane, _P], _R]:
    """A step that puts objects somewhere before a metafile names them: `gc` is kept away meanwhile."""

    @wraps(method)
    def step(self: DataPlane, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        from placet.engine.gclock import in_use

        with in_use(self._wire.workspace):
            return method(self, *args, **kwargs)

    return step


class DataPlane:
    """One DVC project, moved and hashed by Placet.

    Args:
        path: Where to look for `placet.toml` and the DVC project; the working directory by default.
        progress: Told of long steps; nothing is printed by default.
        settings: Instead of `placet.toml`.
        jobs: Objects moved at once, instead of the settings' `jobs`.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        progress: Progress | None = None,
        settings: Settings | None = None,
        jobs: int | None = None,
    ) -> None:
        start = Path(path) if path is not None else None
        self.settings = settings or load_settings(start)
        if jobs is not None:
            self.settings = replace(self.settings, jobs=jobs, jobs_given=True)
        self._wire = self._parts(start or Path.cwd(), progress)

    @property
    def progress(self) -> Progress:
        """Who is told of long steps."""
        return self._wire.progress

    def _parts(self, folder: Path, progress: Progress | None) -> DataWire:
        return DataWire(self.settings, folder, progress)

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened."""
        self.close()

    def close(self) -> None:
        """Close processes and databases; may be called twice."""
        self._wire.close()

    @property
    def in_clone(self) -> bool:
        """Is this the clone of a Ctrl repository?"""
        return self._wire.is_clone

    def internal_remote(self) -> str:
        """The DVC remote that is this node's internal tier."""
        return self._wire.internal_remote()

    @_in_use
    def track(self, paths: Iterable[str | Path]) -> Sequence[Tracked]:
        """As `dvc add`, with SHA-256 beside MD5. Idempotent; each `.dvc` file is replaced atomically."""
        from placet.engine.track import track

        return track(
            self._wire.workspace,
            [str(path) for path in paths],
            self._wire.state,
            self.settings.jobs,
            self._wire.progress,
        )

    def prove(self, target: str | Path) -> Tracked:
        """What is tracked at a path, once every byte there has been read and found to be that.

        Raises:
            NotFound: kind `not-tracked`; kind `not-in-cache`: it cannot be known what its bytes should be.
            Corrupt: kind `changed-output`: other bytes lie there; kind `cache-corrupt`.
        """
        from placet.engine.artifact import load_artifact
        from placet.engine.unchanged import require_unchanged

        workspace, jobs = self._wire.workspace, self.settings.jobs
        tracked = load_artifact(workspace, target, self._wire.state, jobs).tracked
        require_unchanged(workspace, tracked, jobs, self._wire.progress)
        return tracked

    def status(
        self, targets: Iterable[str | Path] = (), *, remote: str | None = None, cloud: bool = False
    ) -> Status:
        """What differs between workspace and cache or, with a remote, between cache and remote.

        Args:
            targets: As in DVC; none means all.
            remote: Compare with this remote.
            cloud: Compare with each output's own remote, else DVC's default one.
        """
        from placet.engine.status import status

        usual = self._wire.default_remote
        routes = self._wire.routes(remote, usual) if remote or cloud else None
        jobs = self._wire.jobs(remote, usual) if remote or cloud else self.settings.jobs
        return status(self._wire.workspace, routes, [str(one) for one in targets], self._wire.state, jobs)

    def outputs(self, targets: Iterable[str | Path] = ()) -> Sequence[Tracking]:
        """The tracked outputs that are meant, by targets as in DVC; none means all."""
        return self._wire.workspace.select([str(one) for one in targets])

    def held(self, output: Tracking) -> Held:
        """A whole output, file by file with its digests; what the cache lacks of it is fetched first."""
        from placet.engine.copyout import held

        def look() -> Held:
            return held(self._wire.workspace, output.path, self._wire.state, self.settings.jobs)

        return self._or_fetched(output, look)

    def copy_out(self, part: Part, to: Path) -> None:
        """Copy one file of an output that is `held`; it has its name only once its SHA-256 is proven."""
        from placet.engine.copyout import copy_out

        copy_out(self._wire.workspace.objects, part, to)

    def _or_fetched(self, output: Tracking, look: Callable[[], Held]) -> Held:
        try:
            return look()
        except NotFound as error:
            if error.kind != "not-in-cache":
                raise
        self.fetch([self._wire.project / output.path])
        return look()

    @_in_use
    def push(self, targets: Iterable[str | Path] = (), *, remote: str | None = None) -> Pushed:
        """Upload what a remote lacks: files, then digest lists, then `.dir` objects."""
        from placet.engine.push import push

        return push(
            self._wire.workspace,
            self._wire.routes(remote, self._wire.internal_remote),
            [str(one) for one in targets],
            self._wire.state,
            self._wire.jobs(remote, self._wire.internal_remote),
            self._wire.progress,
        )

    @_in_use
    def fetch(
        self, targets: Iterable[str | Path] = (), *, remote: str | None = None, verify: bool = False
    ) -> Fetched:
        """Download into the cache what it lacks, every object verified before it is there.

        With `verify` every object of the cache is read again, and what the remote has wrong comes from
        another one of the project that has it right.
        """
        from placet.engine.fetch import fetch

        DataWire.admit_config(self._wire)
        return fetch(
            self._wire.workspace,
            self._wire.routes(remote, self._wire.default_remote, others=verify),
            [str(one) for one in targets],
            self._wire.state,
            self._wire.jobs(remote, self._wire.default_remote),
            self._wire.progress,
            verify=verify,
        )

    def checkout(self, targets: Iterable[str | Path] = (), *, force: bool = False) -> CheckedOut:
        """Make the workspace hold what its metafiles say, from the cache."""
        return self._checkout(targets, {}, force=force)

    def pull(
        self,
        targets: Iterable[str | Path] = (),
        *,
        remote: str | None = None,
        force: bool = False,
        verify: bool = False,
    ) -> tuple[Fetched, CheckedOut]:
        """Fetch, then check out; what was not fetched on purpose need not be in the cache.

        Raises:
            Partial, Corrupt: some outputs could not be fetched; the others are in the workspace.
        """
        wanted = list(targets)
        try:
            fetched = self.fetch(wanted, remote=remote, verify=verify)
        except (Corrupt, Partial) as error:
            failed = error.details.get("failed")
            if isinstance(failed, dict):
                self._checkout(wanted, failed, force=force)
            raise
        excused = {one.path: one.reason for one in fetched.skipped}
        return fetched, self._checkout(wanted, excused, force=force)

    def _checkout(
        self, targets: Iterable[str | Path], excused: Mapping[str, str], *, force: bool
    ) -> CheckedOut:
        from placet.engine.checkout import checkout

        DataWire.admit_config(self._wire)
        return checkout(
            self._wire.workspace,
            [str(one) for one in targets],
            self._wire.state,
            self.settings.jobs,
            self._wire.progress,
            force=force,
            excused=excused,
        )
