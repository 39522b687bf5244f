"""Adopting what was kept elsewhere: a DVC project's history, a Git LFS repository, a folder in a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from placet import config
from placet.adapters.git_past import GitPast
from placet.adapters.lfs import LfsClone
from placet.core import layout
from placet.core.adoption import (
    FILE,
    MAX_BYTES,
    NEVER,
    PUBLISHED,
    Adopted,
    Kind,
    Version,
    encoded,
    merged,
    read_adopted,
)
from placet.core.digest import sha256_hex
from placet.core.lfs import Pointer
from placet.core.outputs import Skipped
from placet.engine import adopthistory
from placet.engine.adopt import Bringer, Brought, Foreign, Journal, Source, artifact_names
from placet.engine.adopthistory import Edition
from placet.engine.artifact import Tracked
from placet.engine.ctrl import load
from placet.engine.disk import chunks
from placet.engine.gclock import in_use
from placet.engine.push import push
from placet.engine.routes import Routes
from placet.engine.track import track
from placet.errors import Conflict, Invalid, NotFound, Refused
from placet.ports import ObjectStore
from placet.wire.ctrl import Wire, read_file, write_file

_PROBES = f"{layout.PROBE_FOLDER}"
_NOT_FETCHED = "Its object is not in the clone."


@dataclass(frozen=True, slots=True)
class Adoption:
    """What was adopted, or would be.

    Attributes:
        source: From which kind of place.
        dry: Nothing was changed.
        new: Files (of `dvc`: versions) that came, or would come.
        size: Their bytes, as far as they are known.
        present: Those that were here before.
        left: What cannot be adopted, and why.
        failed: What could not be brought this time, and why; run it again when that is mended.
        versions: The artifacts with their bytes, and whether those were ever approved.
    """

    source: Kind
    dry: bool
    new: int
    size: int
    present: int
    left: tuple[Skipped, ...]
    failed: tuple[Skipped, ...]
    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the Ctrl repository says of (path, SHA-256): what published it; the newest proposal, its state."""

    published: Mapping[tuple[str, str], str]
    proposed: Mapping[tuple[str, str], tuple[str, str]]


def adopt_dvc(wire: Wire, *, dry: bool) -> Adoption:
    """Bring every version that the project's history names into the internal tier; see `Client.adopt_dvc`."""
    _refuse_clone(wire)
    space, jobs = wire.workspace, wire.settings.jobs
    name = wire.internal_remote().lower()
    internal = wire.store(name)
    others = {one: partial(wire.store, one) for one in sorted(wire.dvc.get("remote", {})) if one != name}
    past = GitPast.open(wire.project, config.environment())
    known = _known(wire)
    with in_use(space):
        prefix = past.prefix if past is not None else ""
        found, left = adopthistory.editions(past, prefix, space.select())
        stock = adopthistory.stock(space, found, left, internal, others, jobs)
        todo, failed = stock.todo, stock.failed()
        if not dry and todo:
            routes = Routes(lambda one: wire.store(one or name), name, lambda one: one or name, tuple(others))
            failed |= adopthistory.bring(space, todo, routes, internal, wire.state, jobs, wire.progress)
        if not dry:
            _push_lists(wire, internal, stock.editions)
        before = {(one.path, one.md5): one.sha256 for one in _recorded(wire).versions}
        whole = [one for one in stock.editions if one.label not in failed]
        versions = tuple(_edition(wire, known, before, one) for one in whole)
        done = [one for one in todo if one.label not in failed]
        _record(wire, versions, dry=dry)
    return Adoption(
        source="dvc",
        dry=dry,
        new=len(done),
        size=sum(one.of.out.size or 0 for one in done),
        present=len(versions) - len(done),
        left=stock.left,
        failed=tuple(Skipped(label, why) for label, why in sorted(failed.items())),
        versions=versions,
    )


def _refuse_clone(wire: Wire) -> None:
    """Refuse the clone of a Ctrl repository, which holds what was published and nothing else.

    Raises:
        Refused: kind `governed-clone`.
    """
    if wire.is_clone:
        raise Refused(
            "This is the clone of a Ctrl repository, which nothing is adopted into.",
            kind="governed-clone",
            mend="Run it in a node's workspace: placet init makes one of a DVC project.",
        )


def adopt_lfs(wire: Wire, source: Path, folder: str, *, revision: str, each: bool, dry: bool) -> Adoption:
    """Bring the files that Git LFS keeps for a revision of a clone; see `Client.adopt_lfs`."""
    _refuse_clone(wire)
    with closing(LfsClone(wire.folder / source, config.environment())) as clone:
        commit = clone.commit(revision)
        files = _Lfs(clone, commit, wire.folder / source)
        return _adopt_files(wire, "lfs", f"commit {commit}", files, folder, each=each, dry=dry)


def adopt_bucket(wire: Wire, remote: str, folder: str, *, prefix: str, each: bool, dry: bool) -> Adoption:
    """Bring the files of a folder in a bucket; see `Client.adopt_bucket`."""
    _refuse_clone(wire)
    folder_in = prefix.strip("/")
    reason = layout.unsafe(folder_in, strict=False) if folder_in else None
    if reason is not None:
        raise Invalid(f"The prefix {prefix!r} {reason}.", kind="unsafe-path")
    inside = f"{folder_in}/" if folder_in else ""
    files = _Bucket(wire.store(remote.lower()), inside)
    origin = f"remote {remote.lower()}{f', {inside}' if inside else ''}"
    return _adopt_files(wire, "bucket", origin, files, folder, each=each, dry=dry)


def _adopt_files(
    wire: Wire, kind: Kind, origin: str, source: Source, target: str, *, each: bool, dry: bool
) -> Adoption:
    space = wire.workspace
    folder = _folder(wire, target, each=each)
    journal = (
        space.dvc_dir / "tmp" / "placet" / "adopt" / f"{sha256_hex(f'{origin} {folder}'.encode())[:16]}.jsonl"
    )
    bringer = Bringer(
        space, source, folder, artifact_names(folder, each=each), Journal(journal), wire.state,
        wire.settings.jobs, wire.progress,
    )  # fmt: skip
    with in_use(space):
        found = bringer.bring(dry=dry)
        if not each:
            _require_alone(space.root / folder, folder, found)
        tracked: Sequence[Tracked] = ()
        if not dry and found.here and (each or not found.failed):
            paths = [f"{folder}/{one}" for one in sorted(found.here)] if each else [folder]
            tracked = track(space, paths, wire.state, wire.settings.jobs, wire.progress)
            push(
                space,
                wire.store(wire.internal_remote().lower()),
                paths,
                wire.state,
                wire.settings.jobs,
                wire.progress,
            )
        known = _known(wire) if tracked else None
        versions = tuple(_version(known, kind, origin, one) for one in tracked) if known else ()
        _record(wire, versions, dry=dry)
    return Adoption(
        kind, dry, len(found.new), found.size, len(found.present), found.left, found.failed, versions
    )


def _folder(wire: Wire, target: str, *, each: bool) -> str:
    """Where it goes, relative to the project.

    Raises:
        Invalid: kind `unsafe-path`.
    """
    folder = wire.workspace.locate(target)
    reason = "is the project itself" if folder == "." else layout.forbidden_artifact(folder)
    if reason is not None and not (each and folder == "."):
        raise Invalid(f"{target} {reason}.", kind="unsafe-path", mend="Name another folder with --to.")
    return folder


def _require_alone(folder: Path, name: str, found: Brought) -> None:
    """One artifact is adopted whole, and nothing with it.

    Raises:
        Conflict: kind `folder-exists`.
    """
    expected = found.here | {one.path for one in (*found.left, *found.failed)}
    for base, _, names in os.walk(folder):
        for one in names:
            path = (Path(base) / one).relative_to(folder).as_posix()
            if path not in expected:
                raise Conflict(
                    f"{name} holds {path}, which does not come from there.",
                    kind="folder-exists",
                    mend="Name a new folder with --to, or make each file an artifact of its own: --each.",
                )


class _Lfs:
    """The files of a commit that Git LFS keeps."""

    def __init__(self, clone: LfsClone, commit: str, folder: Path) -> None:
        self._clone = clone
        self._commit = commit
        self._mend = f"git -C {folder} lfs fetch --all"

    def files(self) -> Iterator[Foreign | Skipped]:
        """All of them, by what their pointers say."""
        for path, one in self._clone.pointers(self._commit):
            if isinstance(one, Pointer):
                yield Foreign(path, one.size, one.sha256)
            else:
                yield Skipped(path, str(one))

    def lacks(self, file: Foreign) -> str:
        """Whether the clone has the object at all, and how to get it."""
        return "" if self._places(file) else f"{_NOT_FETCHED} {self._mend}"

    def read(self, file: Foreign) -> Iterable[bytes]:
        """A file's bytes, from the clone."""
        places = self._places(file)
        if not places:
            raise NotFound(_NOT_FETCHED, kind="no-object", mend=self._mend)
        return chunks(places[0])

    def _places(self, file: Foreign) -> list[Path]:
        return self._clone.places(file.path, Pointer(file.sha256 or "", file.size))


class _Bucket:
    """The objects below a prefix of a remote."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def files(self) -> Iterator[Foreign | Skipped]:
        """All of them.

        Raises:
            Invalid: kind `dvc-remote`: DVC keeps its objects there.
        """
        for one in self._store.list(self._prefix):
            path = one.key.removeprefix(self._prefix)
            if path.startswith(("files/md5/", "placet/")):
                if one.key.startswith(_PROBES):
                    continue
                raise Invalid(
                    f"There is a DVC remote: {one.key} is an object of one.",
                    kind="dvc-remote",
                    mend="Adopt the project that uses it, in its folder: placet adopt dvc",
                )
            if path and not path.endswith("/"):
                mark = "" if one.modified_s is None else f"{one.modified_s:.3f}"
                yield Foreign(path, one.size, one.sha256, mark)

    def lacks(self, file: Foreign) -> str:
        """Nothing: it was just listed."""
        return ""

    def read(self, file: Foreign) -> Iterable[bytes]:
        """An object's bytes, of the version that is there now."""
        key = f"{self._prefix}{file.path}"
        info = self._store.head(key)
        if info is None:
            raise NotFound(f"There is no object {key} any more.", kind="no-object")
        return self._store.get(key, version=info.version)


def _push_lists(wire: Wire, internal: ObjectStore, editions: Iterable[Edition]) -> None:
    """Have the digest lists of what the work tree has in the internal tier too: proposals need them."""
    space = wire.workspace
    paths = [
        one.of.path
        for one in editions
        if one.current and not one.of.out.legacy and all(map(space.objects.has, one.keys))
    ]
    if paths:
        push(space, internal, paths, wire.state, wire.settings.jobs, wire.progress)


def _known(wire: Wire) -> _Known:
    """What was published and proposed of this node; nothing where there is no Ctrl repository yet."""
    node = wire.settings.node
    if wire.settings.ctrl is None or node is None:
        return _Known({}, {})
    now = wire.clock.now()
    view = load(wire.repo, wire.trust_root(), now, wire.memory)
    prefix = layout.metafile(node, "")[: -len(".dvc")]
    published = {
        (one.metafile.removeprefix(prefix).removesuffix(".dvc"), one.sha256): one.proposal
        for publication in view.publications.values()
        for one in publication.kept()
        if one.metafile.startswith(prefix)
    }
    proposed = {
        (artifact.path, subject.value): (case.id, view.state(case, now).value)
        for case in sorted(view.cases().values(), key=lambda one: one.manifest.body.time)
        if case.manifest.body.node == node
        for artifact, subject in zip(case.manifest.body.artifacts, case.manifest.subjects, strict=False)
    }
    return _Known(published, proposed)


def _edition(wire: Wire, known: _Known, before: Mapping[tuple[str, str], str], one: Edition) -> Version:
    out = one.of.out
    md5 = out.md5 + (".dir" if out.is_dir else "")
    sha256 = adopthistory.digests(wire.workspace, one, wire.state, wire.settings.jobs)
    return _stands(
        known,
        Version(
            path=one.of.path,
            source="dvc",
            origin=f"commit {one.commit}" if one.commit else "work tree",
            md5=md5,
            sha256=sha256 or before.get((one.of.path, md5), ""),
            size=out.size,
            files=out.nfiles if out.is_dir else 1,
        ),
    )


def _version(known: _Known, kind: Kind, origin: str, one: Tracked) -> Version:
    return _stands(
        known,
        Version(
            path=one.path,
            source=kind,
            origin=origin,
            md5=one.digests.md5 + (".dir" if one.is_dir else ""),
            sha256=one.digests.sha256,
            size=one.digests.size,
            files=one.nfiles or 1,
        ),
    )


def _stands(known: _Known, one: Version) -> Version:
    key = one.path, one.sha256
    ident, state = known.proposed.get(key, ("", "")) if one.sha256 else ("", "")
    by = known.published.get(key, "") if one.sha256 else ""
    standing = PUBLISHED if by else NEVER
    return msgspec.structs.replace(one, standing=standing, proposal=by or ident, state=state)


def _record(wire: Wire, versions: Sequence[Version], *, dry: bool) -> None:
    """Write down what was adopted, beside `.dvc`; the same again changes nothing."""
    if dry or not versions:
        return
    before = _recorded(wire)
    after = merged(before, versions)
    if after != before:
        write_file(wire.project / FILE, encoded(after))


def _recorded(wire: Wire) -> Adopted:
    path = wire.project / FILE
    return read_adopted(read_file(path, MAX_BYTES) if path.exists() else None)
