"""The only place that picks adapters: settings in, ready parts out, each opened when it is first needed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from placet import config
from placet.adapters import keys
from placet.adapters.forge.plain import PlainForge
from placet.adapters.git import GitRepo, WorkTree, init_bare, install_hook
from placet.adapters.state import StateDb, dvc_hashes
from placet.adapters.trust import FileMemory
from placet.config import Settings
from placet.core import layout
from placet.core.digest import Hasher, sha256_hex, tee
from placet.core.dvcfile import Output, encode_metafile
from placet.core.policy import parse_policy
from placet.core.statement import DirObject
from placet.engine import begin, doctor, gate, pin
from placet.engine.artifact import Tracked, load_artifact
from placet.engine.checks import ArtifactFiles, FileSource
from placet.engine.contents import Contents, Item
from placet.engine.ctrl import load
from placet.engine.disk import chunks, disk
from placet.engine.doctor import Finding, guarded
from placet.engine.promote import Promoter, Target
from placet.engine.propose import Candidate
from placet.engine.transfer import run
from placet.engine.workspace import Workspace
from placet.errors import Conflict, Corrupt, Invalid, NotFound, PlacetError
from placet.ports import Forge, ObjectStore, Progress, RefUpdate, Repo, Signer

__all__ = ["Silent", "SystemClock", "Wire", "open_store"]

_MAX_PUSH = 64 << 20


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


class Wire:
    """The parts of one party, opened lazily and closed together."""

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
                mend="Run `dvc init` first, then `placet init`.",
            )
        return found

    @cached_property
    def _dvc(self) -> dict[str, Any]:
        return config.dvc_config(self.project)

    @cached_property
    def workspace(self) -> Workspace:
        """The DVC project, as the data plane sees it."""
        cache = self._dvc.get("cache", {})
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
        )

    @cached_property
    def state(self) -> StateDb:
        """The databases of what was hashed before: ours and DVC's."""
        dvc_dir = self.project / ".dvc"
        hashes = dvc_hashes(config.site_cache(), self.project, dvc_dir / "tmp")
        state = StateDb(dvc_dir / "tmp" / "placet" / "state.db", hashes)
        self._open.callback(state.close)
        return state

    @cached_property
    def memory(self) -> FileMemory:
        """What this party verified last, outside any clone."""
        return FileMemory(self.settings.home / "trust")

    @cached_property
    def repo(self) -> GitRepo:
        """This party's own copy of the Ctrl repository."""
        url = config.require_ctrl(self.settings)
        path = self.settings.home / "ctrl" / f"{sha256_hex(url.encode())[:16]}.git"
        return self._kept(GitRepo.cache(path, url, config.environment()))

    @cached_property
    def forge(self) -> Forge:
        """Where people see proposals.

        Raises:
            Invalid: kind `settings`: a forge that this version does not have.
        """
        if self.settings.forge != "git":
            raise Invalid(
                f"There is no forge {self.settings.forge!r}.", kind="settings", mend='Known: forge = "git".'
            )
        return PlainForge()

    def trust_root(self, repo: Repo | None = None) -> str:
        """The pinned digest of policy 0; recorded, and said loudly, if there is no pin yet."""
        if self.settings.trust_root is not None:
            return self.settings.trust_root
        here = repo or self.repo
        if repo is None:
            self.repo.fetch()
        place = str(self.clone_root() or "") if repo else config.require_ctrl(self.settings)
        known = self.memory.pinned(place)
        if known is None:
            known = pin.first_policy(here)
            pin.warn_first_use(place, known)
            self.memory.pin(place, known)
        return known

    def signer(self) -> Signer:
        """The signing key.

        Raises:
            NotFound: kind `no-key`.
        """
        if self.settings.key is None:
            raise NotFound(
                "No signing key is set.",
                kind="no-key",
                mend='Make one with `placet keygen FILE`, and write key = "FILE" to placet.toml.',
            )
        return keys.load(self.settings.key, config.passphrase())

    def store(self, remote: str) -> ObjectStore:
        """A DVC remote by name.

        Raises:
            NotFound: kind `no-remote`.
        """
        if remote not in self._stores:
            self._stores[remote] = open_store(self._remote(remote), root=self.project / ".dvc")
        return self._stores[remote]

    def internal_remote(self) -> str:
        """The name of the remote that is this node's internal tier."""
        own = self.settings.internal.get(self.settings.node or "")
        return own or self.default_remote()

    def default_remote(self) -> str:
        """DVC's default remote.

        Raises:
            NotFound: kind `no-remote`.
        """
        name = self._dvc.get("core", {}).get("remote") or self.settings.internal.get(self.settings.node or "")
        if not name:
            raise NotFound(
                "No remote was named, and there is no default.",
                kind="no-remote",
                mend="Give -r REMOTE, or set `internal` in placet.toml.",
            )
        return str(name)

    def reviewer_store(self, node: str | None) -> ObjectStore | None:
        """A node's internal tier, if this party has settings for reading it."""
        remote = self.settings.internal.get(node or "")
        return self.store(remote) if remote else None

    def promoter(self) -> Promoter:
        """This node's promotion."""
        names = {layout.DEFAULT_TIER: layout.DEFAULT_TIER, **self.settings.tiers}
        known = self._dvc.get("remote", {})
        targets = {tier: self._target(remote) for tier, remote in names.items() if remote in known}
        return Promoter(
            repo=self.repo,
            trust_root=self.trust_root(),
            memory=self.memory,
            clock=self.clock,
            signer=self.signer(),
            node=self.settings.node or "",
            source=self.store(self.internal_remote()),
            targets=targets,
            jobs=self.settings.jobs,
            progress=self.progress,
        )

    def doctor(self) -> list[Finding]:
        """What works here and what does not."""
        return [*self._doctor_settings(), *self._doctor_ctrl(), *self._doctor_stores()]

    def _doctor_settings(self) -> Iterator[Finding]:
        for name in ("git", "dvc", "python"):
            yield Finding(name, "ok", config.tool_version(name))
        settings = self.settings
        who = settings.node or settings.person
        yield Finding("settings", "ok" if who else "warn", f"{who or 'nobody'}, {settings.root}")
        yield (
            guarded("key", lambda: self.signer().public)
            if settings.key
            else Finding("key", "warn", "none set")
        )
        pinned = settings.trust_root is not None
        text = f"sha256:{settings.trust_root}" if pinned else "not pinned: the first use will be recorded"
        yield Finding("trust root", "ok" if pinned else "warn", text, "Write trust_root to placet.toml.")

    def _doctor_ctrl(self) -> Iterator[Finding]:
        if self.settings.ctrl is None:
            yield Finding("Ctrl repository", "warn", "none set", 'Write ctrl = "URL" to placet.toml.')
            return
        try:
            view = load(self.repo, self.trust_root(), self.clock.now(), self.memory)
            yield from doctor.check_view(view, self.settings.node, self.settings.person, self._public_key())
        except PlacetError as error:
            yield Finding("Ctrl repository", "fail", error.what, f"{error.why} {error.mend}".strip())

    def _doctor_stores(self) -> Iterator[Finding]:
        if config.find_dvc(self.folder) is None:
            yield Finding("DVC project", "warn", "none here", "`dvc init` makes one.")
            return
        publication = {layout.DEFAULT_TIER, *self.settings.tiers.values()}
        for name in self._dvc.get("remote", {}):
            try:
                yield from doctor.check_store(name, self.store(name), public=name in publication)
            except PlacetError as error:
                yield Finding(f"remote {name}", "fail", error.what, f"{error.why} {error.mend}".strip())

    def _public_key(self) -> str | None:
        try:
            return self.signer().public
        except PlacetError:
            return None

    def clone_root(self) -> Path | None:
        """The work tree of the Ctrl repository's clone at or above the working folder, if this is one."""
        folder = self.folder.resolve()
        return next((one for one in (folder, *folder.parents) if (one / layout.POLICY).is_file()), None)

    def clone_repo(self, *, fetch: bool) -> GitRepo:
        """The clone here, or this party's own copy where this is no clone."""
        root = self.clone_root()
        if root is None:
            if fetch:
                self.repo.fetch()
            return self.repo
        repo = self._kept(GitRepo.clone(root, config.environment()))
        if fetch:
            repo.fetch()
        return repo

    def artifact_files(self, tracked: Sequence[Tracked]) -> list[ArtifactFiles]:
        """The files of tracked artifacts, as the cache holds them."""
        cache, jobs = self.workspace.cache, self.settings.jobs
        out = []
        for one in tracked:
            loaded = load_artifact(self.workspace, one.path, self.state, jobs)
            files = [
                FileSource(name, _reader(str(cache / layout.data_key(digests.md5))))
                for name, digests in loaded.files
            ]
            out.append(ArtifactFiles(one.path, one.digests.sha256, files))
        return out

    def _kept(self, repo: GitRepo) -> GitRepo:
        self._open.callback(repo.close)
        return repo

    def _remote(self, name: str) -> dict[str, Any]:
        known = self._dvc.get("remote", {})
        if name not in known:
            raise NotFound(
                f"There is no remote {name!r}.",
                kind="no-remote",
                why=f"DVC's configuration has: {', '.join(sorted(known)) or 'none'}.",
                mend=f"dvc remote add {name} s3://BUCKET/PREFIX",
            )
        return dict(known[name])

    def _target(self, remote: str) -> Target:
        found = self._remote(remote)
        return Target(self.store(remote), str(found.get("url", "")), found.get("endpointurl"))


def open_store(remote: Mapping[str, Any], *, root: Path | None = None) -> ObjectStore:
    """The object store of a DVC remote's options."""
    from placet.adapters.objects import open as objects  # noqa: PLC0415 - 50 ms, not needed by every command

    return objects.open_store(remote, environ=config.environment(), now=SystemClock().now, root=root)


def candidate(tracked: Tracked) -> Candidate:
    """A tracked artifact as it is proposed, with its canonical metafile."""
    out = Output(
        path=tracked.path.rsplit("/", 1)[-1],
        md5=tracked.digests.md5,
        size=tracked.digests.size,
        nfiles=tracked.nfiles,
        is_dir=tracked.is_dir,
    )
    listing = None
    if tracked.dir_sha256 is not None and tracked.dir_size is not None:
        listing = DirObject(sha256=tracked.dir_sha256, size=tracked.dir_size)
    return Candidate(
        path=tracked.path,
        md5=tracked.digests.md5,
        sha256=tracked.digests.sha256,
        size=tracked.digests.size,
        files=tracked.nfiles or 1,
        metafile=encode_metafile(out),
        dir=listing,
    )


def remote_files(store: ObjectStore, contents: Sequence[Contents]) -> list[ArtifactFiles]:
    """The files of a proposal, as a tier holds them; a stream of other bytes than the manifest's fails."""
    return [
        ArtifactFiles(
            one.artifact.path,
            one.sha256,
            [FileSource(item.path, _proven(store, item)) for item in one.items],
        )
        for one in contents
    ]


def write_proposal(store: ObjectStore, contents: Sequence[Contents], folder: Path, jobs: int) -> list[Path]:
    """Write a proposal's files below a new folder, each proven; the folder appears complete or not at all."""
    if folder.exists():
        raise Conflict(f"{folder} exists already.", kind="folder-exists", mend="Name a new folder.")
    partial = folder.with_name(f".{folder.name}.partial")
    wanted = [(Path(one.artifact.path) / item.path, item) for one in contents for item in one.items]

    def write(pair: tuple[Path, Item]) -> Path:
        path = partial / pair[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.writelines(_proven(store, pair[1])())
        return folder / pair[0]

    with disk(folder):
        shutil.rmtree(partial, ignore_errors=True)
        written = run(write, wanted, jobs)
        partial.rename(folder)
    return written


def read_file(path: Path) -> bytes:
    """A small file that a person named.

    Raises:
        NotFound: kind `no-file`.
    """
    with disk(path):
        return path.read_bytes()


def generate_key(file: Path, passphrase: bytes | None) -> str:
    """Make a key file; returns the public key as policy writes it."""
    return keys.generate(file, passphrase).public


def init_workspace(folder: Path) -> Path:
    """Write a `placet.toml` to fill in beside `.dvc`; keeps one that is there."""
    root = config.find_dvc(folder)
    if root is None:
        raise NotFound(
            f"There is no DVC project at or above {folder.resolve()}.",
            kind="no-dvc",
            mend="Run `dvc init` first.",
        )
    path = root / config.SETTINGS
    if not path.exists():
        with disk(path):
            path.write_text(config.TEMPLATE, encoding="utf-8")
    return path


def init_ctrl(path: Path, policy_file: Path, key: Path) -> dict[str, str]:
    """Make an empty (or no) bare Git repository a Ctrl repository with the gate installed.

    Returns:
        `trust_root`, `repository`, `path`, and the `policy` as it was begun with.

    Raises:
        Conflict: kind `not-empty`: the repository has branches already.
        Invalid: kind `policy`.
        Refused: kind `not-a-governor`.
    """
    policy = parse_policy(config.complete_policy(read_file(policy_file)))
    signer = keys.load(key, config.passphrase())
    default = layout.published_name(next(iter(policy.form.tiers)))
    init_bare(path, default_branch=default, max_input_bytes=_MAX_PUSH, environ=config.environment())
    with ExitStack() as stack:
        work = path.resolve().with_name(f".{path.name}.begin")
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        repo = GitRepo.cache(work, str(path.resolve()), config.environment())
        stack.callback(repo.close)
        repo.fetch()
        if repo.refs():
            raise Conflict(
                f"{path} is not empty.",
                kind="not-empty",
                mend="Name a new folder or an empty bare repository.",
            )
        trust_root = begin.begin(repo, policy, signer, SystemClock().now())
    install_hook(path, _HOOK.format(python=sys.executable, trust_root=trust_root))
    return {
        "trust_root": trust_root,
        "repository": policy.form.repository,
        "path": str(path.resolve()),
        "policy": policy.data.decode(),
    }


_HOOK = """#!/bin/sh
# Installed by Placet: judges every push by its content. A push by the repository's path passes it too, but
# whoever can write these files can go around it: agents and `placet verify` refuse the result all the same.
exec '{python}' -P -m placet hook pre-receive --trust-root {trust_root}
"""


def judge_push(lines: str, trust_root: str) -> None:
    """The hook: judge the updates that Git names on standard input.

    Raises:
        Refused: kind `push-refused`.
    """
    repo = GitRepo.server(Path.cwd(), config.environment())
    updates = [_update(line) for line in lines.splitlines()]
    try:
        gate.judge_push(repo, trust_root, updates, SystemClock().now())
    finally:
        repo.close()


def _update(line: str) -> RefUpdate:
    old, new, ref = line.split(" ", 2)
    return RefUpdate(ref, None if set(old) == {"0"} else old, None if set(new) == {"0"} else new)


def _reader(path: str) -> Any:  # noqa: ANN401 - a stream factory
    return lambda: chunks(path)


def _proven(store: ObjectStore, item: Item) -> Any:  # noqa: ANN401 - a stream factory
    def read() -> Iterator[bytes]:
        hasher = Hasher()
        yield from tee(store.get(item.key), hasher)
        if hasher.digests().sha256 != item.sha256:
            raise Corrupt(
                f"CORRUPT: {item.path or item.key} in the internal tier is not what the manifest says.",
                kind="digest-mismatch",
                mend="Do not approve. Ask the node who changed it.",
            )

    return read
