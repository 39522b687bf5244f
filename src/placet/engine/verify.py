"""Verify: from the bytes on a researcher's disk back to the trust root (design 4; threats 2, 3, 15).

bytes -> digest list -> manifest -> decisions -> effective policy -> policy chain -> trust root, and
receipt -> ledger -> published branch. Reads only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from placet.core import layout
from placet.core.digest import digest_chunks, sha256_hex
from placet.core.guards import guard
from placet.core.policy import MAX_POLICY
from placet.core.statement import Artifact, parse_time
from placet.core.sums import encode_sums
from placet.engine.ctrl import View
from placet.engine.published import Publication, Published
from placet.engine.transfer import run
from placet.engine.worktree import real_file, real_files, require_as_published, require_no_link
from placet.errors import Corrupt, Invalid, NotFound
from placet.ports import Progress

DataState = Literal["verified", "not-pulled", "corrupt"]
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Verified:
    """One artifact as it was published, and whether the bytes here are those.

    Attributes:
        path: In the Ctrl repository, without `.dvc`.
        approvals: Who approved it, having seen what.
        problem: What is wrong with the bytes; empty if nothing is.
    """

    path: str
    proposal: str
    sha256: str
    size: int
    files: int
    data: DataState
    problem: str
    approvals: tuple[str, ...]
    policy: int
    sequence: int
    published: str


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a verification; `ok` is the whole answer."""

    repository: str
    trust_root: str
    branch: str
    commit: str
    entries: int
    policies: int
    age_s: int
    artifacts: tuple[Verified, ...]
    alarms: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Everything that was looked at is as approved."""
        return not self.problems


def verify(
    view: View,
    *,
    tier: str,
    root: Path | None,
    targets: Sequence[str],
    now: datetime,
    jobs: int,
    progress: Progress,
    cache: Path | None = None,
) -> Report:
    """Check a published branch and, where they are on disk, the bytes.

    Args:
        view: A freshly loaded view: the chain of policies, decisions and ledger recomputed already.
        tier: The publication tier whose branch is meant.
        root: The clone's work tree, or None to look at the record only.
        targets: Proposal ids or artifact paths; none = everything that stands published.
        now: For ages.
        jobs: Files that are hashed at once.
        progress: Told of hashed files and bytes.
        cache: DVC's cache: links to its objects are files; any other link is a problem.

    Raises:
        Corrupt: the branch does not recompute.
        NotFound: kinds `no-published-branch`, `not-published`.
    """
    if tier in view.broken:
        raise view.broken[tier]
    publication = view.publications.get(tier)
    if publication is None:
        raise NotFound(f"There is no published branch of tier {tier} here.", kind="no-published-branch")
    disk = _Disk(root, cache, jobs, progress) if root is not None else None
    found = [_artifact(view, publication, path, disk) for path in _selected(publication, targets)]
    last = parse_time(publication.entries[-1].body.time)
    problems = [f"{one.path}: {one.problem}" for one in found if one.problem]
    problems += _changed_settings(view, publication, root) if root is not None else ()
    limit = view.history.policy.form.tiers[tier].max_age_days
    if limit is not None and now - last > timedelta(days=limit):
        problems.append(f"the newest entry is older than {limit} days: this may be an old state")
    return Report(
        repository=view.history.repository,
        trust_root=view.history.trust_root,
        branch=publication.branch,
        commit=publication.tip,
        entries=len(publication.entries),
        policies=len(view.history.policies),
        age_s=max(int((now - last).total_seconds()), 0),
        artifacts=tuple(found),
        alarms=tuple(alarm.text for alarm in view.alarms),
        problems=tuple(problems),
    )


def _changed_settings(view: View, publication: Publication, root: Path) -> Iterator[str]:
    """What DVC and Git would obey in the work tree, and what was not published so."""
    for path in (layout.DVC_CONFIG, layout.GITIGNORE, layout.DVC_GITIGNORE):
        try:
            require_as_published(root, path, view.repo.read(publication.blobs[path], MAX_POLICY))
        except (Corrupt, Invalid) as error:
            yield error.what


def _selected(publication: Publication, targets: Sequence[str]) -> list[str]:
    if not targets:
        return sorted(publication.current)
    out: list[str] = []
    for target in targets:
        name = target.rstrip("/").removesuffix(".dvc")
        hits = [
            path
            for path, ident in sorted(publication.current.items())
            if path.removesuffix(".dvc") == name
            or path.startswith(f"{name}/")
            or (len(target) >= 4 and ident.startswith(target))  # noqa: PLR2004 - shortest id prefix
        ]
        if not hits:
            raise NotFound(
                f"{target} is not published on {publication.branch}.",
                kind="not-published",
                mend="`placet log` shows everything that was.",
            )
        out += hits
    return list(dict.fromkeys(out))


def _artifact(view: View, publication: Publication, metafile: str, disk: _Disk | None) -> Verified:
    published = publication.publications[publication.current[metafile]]
    artifact, sha256 = _of_manifest(published, metafile)
    path = metafile.removesuffix(".dvc")
    problem = ""
    data: DataState = "not-pulled"
    if disk is not None:
        problem, data = _check_bytes(disk, metafile, artifact, sha256)
    body = published.entry.body
    numbers = {one.policy.digest: one.policy.form.number for one in view.history.policies}
    return Verified(
        path=path,
        proposal=published.case.id,
        sha256=sha256,
        size=artifact.size,
        files=artifact.files,
        data=data,
        problem=problem,
        approvals=tuple(_approvals(published)),
        policy=numbers[published.case.policy.digest],
        sequence=body.sequence,
        published=body.time,
    )


def _approvals(published: Published) -> Iterator[str]:
    for one in published.case.decisions:
        body = one.decision.body
        if body.verdict == "approve":
            yield f"{body.person} ({body.seen.level})"


def _of_manifest(published: Published, metafile: str) -> tuple[Artifact, str]:
    manifest = published.case.manifest
    for artifact, subject in zip(manifest.body.artifacts, manifest.subjects, strict=True):
        if layout.metafile(manifest.body.node or "", artifact.path) == metafile:
            return artifact, subject.value
    raise Invalid(f"The manifest of {published.case.id} has no {metafile}.", kind="manifest")


@guard(2, 3)
def _check_bytes(disk: _Disk, metafile: str, artifact: Artifact, sha256: str) -> tuple[str, DataState]:
    """What is wrong with the files of an artifact on disk, and what that makes of the data."""
    data = disk.root / metafile.removesuffix(".dvc")
    try:
        require_no_link(disk.root, metafile)
        if sha256_hex(real_file(disk.root / metafile, None).read_bytes()) != artifact.metafile:
            return "its .dvc file in the work tree is not the approved one", "corrupt"
        if not os.path.lexists(data):
            return "", "not-pulled"
        return (disk.file if artifact.dir is None else disk.directory)(data, artifact, sha256)
    except (Invalid, NotFound) as error:
        return error.what, "corrupt"


@dataclass(frozen=True, slots=True)
class _Disk:
    """The files of a work tree; what is a link to anything but an object of the cache is a problem."""

    root: Path
    cache: Path | None
    jobs: int
    progress: Progress

    def file(self, data: Path, artifact: Artifact, sha256: str) -> tuple[str, DataState]:
        """A file artifact."""
        file = real_file(data, self.cache)
        self.progress.start(f"verify {artifact.path}", 1, artifact.size)
        same = _sha256_of(file, self.progress) == sha256
        self.progress.done()
        return ("", "verified") if same else ("its bytes are not the approved ones", "corrupt")

    def directory(self, data: Path, artifact: Artifact, sha256: str) -> tuple[str, DataState]:
        """A directory artifact."""
        if data.is_symlink() or not data.is_dir():
            return "is not a directory", "corrupt"
        files = sorted(real_files(data, self.cache))
        self.progress.start(f"verify {artifact.path}", artifact.files, artifact.size)
        digests = run(lambda one: _sha256_of(one[1], self.progress), files, self.jobs)
        self.progress.done()
        found = sha256_hex(
            encode_sums((name, sha256) for (name, _), sha256 in zip(files, digests, strict=True))
        )
        if found == sha256:
            return "", "verified"
        return f"its {len(files)} files are not the {artifact.files} approved ones", "corrupt"


def _sha256_of(path: Path, progress: Progress) -> str:
    with path.open("rb") as stream:
        found = digest_chunks(iter(lambda: stream.read(_CHUNK), b""))
    progress.advance(1, found.size)
    return found.sha256
