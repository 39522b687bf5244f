"""The parts of the governed path, from settings: Ctrl repository, forge, keys, trust memory, promotion."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from placet import config
from placet.adapters.git import GitRepo
from placet.adapters.sandbox import Sandbox
from placet.adapters.trust import FileMemory
from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.dvcfile import Output, encode_metafile
from placet.core.policy import MAX_POLICY
from placet.core.predicates import DirObject
from placet.engine import pin
from placet.engine.artifact import Tracked, load_artifact
from placet.engine.checks import ArtifactFiles, FileSource
from placet.engine.clone import Clone, admit_clone, gone_policy, governed, require_known_config
from placet.engine.contents import Contents, Item
from placet.engine.ctrl import View, Watch, load
from placet.engine.disk import chunks, disk
from placet.engine.promote import Promoter
from placet.engine.propose import Candidate
from placet.engine.recheck import proven
from placet.engine.retract import Retractor
from placet.engine.shards import Sharding
from placet.engine.target import Target
from placet.engine.threads import run
from placet.engine.witness import Witness
from placet.errors import Conflict, Invalid, Refused
from placet.ports import Forge, ObjectStore, Repo, Signer
from placet.wire.data import DataWire
from placet.wire.forge import git_credential, open_forge
from placet.wire.keys import LazySigner, signer

log = logging.getLogger(__name__)


class Wire(DataWire):
    """The parts of one party of the governed path."""

    @cached_property
    def memory(self) -> FileMemory:
        """What this party verified last, outside any clone."""
        return FileMemory(self.settings.home / "trust")

    @cached_property
    def repo(self) -> GitRepo:
        """This party's own copy of the Ctrl repository."""
        url = config.require_ctrl(self.settings)
        path = self.settings.home / "ctrl" / f"{sha256_hex(url.encode())[:16]}.git"
        return self._kept(GitRepo.cache(path, url, config.environment(), git_credential(self.settings)))

    @cached_property
    def watch(self) -> Watch:
        """Looks at the Ctrl repository, one after the other, for the forge's pages."""
        return Watch()

    @cached_property
    def forge(self) -> Forge:
        """Where people see proposals. Raises as `wire.forge.open_forge`."""
        return open_forge(self.settings, self.clock, self._open)

    @cached_property
    def checks(self) -> Sandbox:
        """Where checks run, apart from keys and credentials."""
        return Sandbox(config.environment())

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
        """The signing key; opened once, so that nobody is asked twice.

        Raises:
            NotFound: kind `no-key`; and what the kinds of keys raise.
        """
        return self._signer

    @cached_property
    def _signer(self) -> Signer:
        return signer(self.settings.key)

    def reviewer_store(self, node: str | None) -> ObjectStore | None:
        """A node's internal tier, if this party has settings for reading it."""
        remote = self.settings.internal.get(node or "")
        return self.store(remote) if remote else None

    def promoter(self) -> Promoter:
        """This node's promotion; one, so that each run goes on from what the one before has verified."""
        return self._promoter

    @cached_property
    def _promoter(self) -> Promoter:
        names = {layout.DEFAULT_TIER: layout.DEFAULT_TIER, **self.settings.tiers}
        known = self.dvc.get("remote", {})
        targets = {tier: self._target(remote) for tier, remote in names.items() if remote in known}
        return Promoter(
            repo=self.repo,
            trust_root=self.trust_root(),
            memory=self.memory,
            clock=self.clock,
            signer=LazySigner(self.signer),
            node=self.settings.node or "",
            source=self.store(self.internal_remote()),
            targets=targets,
            jobs=self.settings.jobs,
            progress=self.progress,
            checks=self.checks,
        )

    @cached_property
    def retractor(self) -> Retractor:
        """This party's part in retractions, with the credentials that its settings have for them.

        Raises:
            Invalid: kind `settings`: the remote for it is the promoter's own.
        """
        names = {layout.DEFAULT_TIER: layout.DEFAULT_TIER, **self.settings.tiers}
        for tier, remote in self.settings.retraction.items():
            if remote.lower() == names.get(tier, tier).lower():
                raise Invalid(
                    f"The remote {remote} of [retraction] is the one that promotes to tier {tier}.",
                    kind="settings",
                    why="Whoever promotes must not be able to delete.",
                    mend="Make a DVC remote of its own, with a credential of its own that may delete.",
                )
        return Retractor(
            repo=self.repo,
            trust_root=self.trust_root(),
            memory=self.memory,
            clock=self.clock,
            signer=self.signer(),
            actor=self.settings.person or self.settings.node or "",
            targets={tier: self._target(remote) for tier, remote in self.settings.retraction.items()},
            jobs=self.settings.jobs,
            progress=self.progress,
        )

    @cached_property
    def witness(self) -> Witness:
        """This party's part as a witness of reviews.

        Raises:
            Invalid: kind `not-a-witness`: the settings name none.
        """
        if self.settings.witness is None:
            raise Invalid(
                "These are not a witness's settings.",
                kind="not-a-witness",
                mend='Write witness = "<name>" to placet.toml, or set PLACET_WITNESS.',
            )
        return Witness(
            repo=self.repo,
            trust_root=self.trust_root(),
            memory=self.memory,
            clock=self.clock,
            signer=self.signer(),
            name=self.settings.witness,
            forge=self.forge,
            progress=self.progress,
        )

    @cached_property
    def sharding(self) -> Sharding:
        """Shards of this node's promotions."""
        return Sharding(self.promoter())

    def clone_root(self) -> Path | None:
        """The work tree of the Ctrl repository's clone at or above the working folder, if this is one."""
        folder = self.folder.resolve()
        return next((one for one in (folder, *folder.parents) if (one / layout.POLICY).is_file()), None)

    def in_clone(self, target: str) -> str:
        """A path in the working folder (a clone, or a workspace of a node) as the Ctrl repository has it.

        Anything else stays as it is.
        """
        path = self.folder.resolve() / target.removesuffix(".dvc")
        if not (path.exists() or path.with_name(f"{path.name}.dvc").exists()):
            return target
        root, node = self.clone_root(), self.settings.node
        if root is not None and path.is_relative_to(root):
            return path.relative_to(root).as_posix()
        project = config.find_dvc(self.folder)
        if node is not None and project is not None and path.is_relative_to(project):
            return f"{layout.ARTIFACTS}{node}/{path.relative_to(project).as_posix()}"
        return target

    @cached_property
    def clone(self) -> Clone | None:
        """The clone of a Ctrl repository here, admitted as it is, offline; None if this is no such clone.

        Raises:
            Refused, Corrupt, Invalid: what lies here is not what was published.
        """
        if not self.is_clone:
            return None
        root, repo, view = self._offline
        publication, outs = admit_clone(view, repo.head(), root, self.clock.now())
        if self.memory.pinned(str(root)) is None:
            self.memory.pin(str(root), view.history.trust_root)
        made = governed(publication, view.latest(publication.tier), self.workspace, outs)
        for path, why in made.left.items():
            log.warning("%s: %s", path, why)
        return made

    @cached_property
    def _offline(self) -> tuple[Path, GitRepo, View]:
        """The clone here: its work tree, its repository, and what follows from that alone."""
        root = self.clone_root()
        if root is None:
            raise gone_policy(self.folder)
        if self.project != root:
            raise Refused(
                f"{self.project} is a DVC project within a clone of a Ctrl repository.",
                kind="governed-clone",
                mend=f"Move it out of {root}.",
            )
        repo = self._kept(GitRepo.clone(root, config.environment()))
        trust_root = self.trust_root(repo)
        return root, repo, load(repo, trust_root, self.clock.now(), self.memory, fetch=False, lagging=True)

    def admit_config(self) -> None:
        """Refuse a clone whose `.dvc/config` says anything but what its chain of policies does.

        Raises:
            Corrupt: kind `clone-changed`.
        """
        if self.is_clone:
            root, _, view = self._offline
            require_known_config(root, [one.policy for one in view.history.policies])

    def tier_store(self, tier: str, remote: str | None) -> ObjectStore:
        """A publication tier as this party reaches it.

        Raises:
            Refused: kind `not-a-tier`: another remote was named.
        """
        name = self.settings.tiers.get(tier, tier)
        if remote is not None and remote.lower() not in {name.lower(), tier}:
            raise Refused(
                f"{remote} is not the publication tier {tier}.",
                kind="not-a-tier",
                why="In a clone of a Ctrl repository only what was published is pulled.",
                mend=f"placet pull -r {name}",
            )
        return self.store(name.lower())

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

    def tracked(self, target: str | Path) -> Tracked:
        """A tracked output as the cache holds it."""
        return load_artifact(self.workspace, target, self.state, self.settings.jobs).tracked

    def objects(self, tracked: Sequence[Tracked]) -> Iterator[tuple[str, str]]:
        """Key and SHA-256 of every object of tracked artifacts, as the cache holds them."""
        for one in tracked:
            loaded = load_artifact(self.workspace, one.path, self.state, self.settings.jobs)
            yield from ((layout.data_key(known.md5), known.sha256) for _, known in loaded.files)
            yield from ((key, known.sha256) for key, known in loaded.lists)

    def artifact_files(self, tracked: Sequence[Tracked]) -> list[ArtifactFiles]:
        """The files of tracked artifacts, as the cache holds them."""
        cache, jobs = self.workspace.cache, self.settings.jobs
        out = []
        for one in tracked:
            loaded = load_artifact(self.workspace, one.path, self.state, jobs)
            files = [
                FileSource(name, digests.sha256, _reader(str(cache / layout.data_key(digests.md5))))
                for name, digests in loaded.files
            ]
            out.append(ArtifactFiles(one.path, one.digests.sha256, files))
        return out

    def _kept(self, repo: GitRepo) -> GitRepo:
        self._open.callback(repo.close)
        return repo

    def _target(self, remote: str) -> Target:
        found = self.remote(remote)
        return Target(self.store(remote), str(found.get("url", "")), found.get("endpointurl"))


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
            stream.writelines(proven(store, pair[1])())
        return folder / pair[0]

    with disk(folder):
        shutil.rmtree(partial, ignore_errors=True)
        written = run(write, wanted, jobs)
        partial.rename(folder)
    return written


def read_file(path: Path, limit: int = MAX_POLICY) -> bytes:
    """A small file that a person named.

    Raises:
        NotFound: kind `no-file`.
        Invalid: kind `too-large`: it has more than `limit` bytes.
    """
    with disk(path), path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise Invalid(f"{path} has more than {limit} bytes.", kind="too-large")
    return data


def write_file(path: Path, data: bytes) -> None:
    """A file that a person asked for, complete or not at all; one that is there is replaced."""
    partial = path.with_name(f".{path.name}.partial")
    with disk(path):
        partial.write_bytes(data)
        partial.replace(path)


def _reader(path: str) -> Any:  # noqa: ANN401 - a stream factory
    return lambda: chunks(path)
