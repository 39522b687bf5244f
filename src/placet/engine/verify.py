"""Verify: from the bytes on a researcher's disk back to the trust root (design 4; threats 2, 3, 15).

bytes -> digest list -> manifest -> decisions -> effective policy -> policy chain -> trust root, and
receipt -> ledger -> published branch. The record was recomputed when the view was loaded, or loading
failed; here it is told, and the bytes are read. Reads only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from placet.core import layout
from placet.core.guards import guard
from placet.core.policy import MAX_POLICY
from placet.core.predicates import Artifact
from placet.core.statement import parse_time
from placet.engine.ctrl import View
from placet.engine.descent import marks
from placet.engine.observed import FORGE, approvals
from placet.engine.published import Publication, Published
from placet.engine.rehash import DataState, Reading, check_data, metafile_problem, strays
from placet.engine.takenback import left_over, taken_back
from placet.engine.worktree import require_as_published
from placet.errors import Corrupt, Invalid, NotFound
from placet.ports import Progress

Pin = Literal["settings", "first-use", "none"]
Look = Callable[[str, Artifact, str], tuple[str, DataState]]
_SHORTEST_ID = 4


@dataclass(frozen=True, slots=True)
class Verified:
    """One artifact as it was published, and whether the bytes here are those.

    Attributes:
        path: In the Ctrl repository, without `.dvc`.
        approvals: Who approved it, having seen what; on a forge, by whose word.
        observations: The digests of the witnesses' observations that count.
        problem: What is wrong with the bytes; empty if nothing is.
    """

    path: str
    proposal: str
    manifest: str
    sha256: str
    size: int
    files: int
    directory: bool
    data: DataState
    problem: str
    node: str
    approvals: tuple[str, ...]
    decisions: tuple[str, ...]
    policy: int
    receipt: str
    sequence: int
    published: str
    observations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the walk, in words; `ok` is None for one that was not gone."""

    name: str
    ok: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a verification.

    Attributes:
        ok: The whole answer: everything that was looked at is as approved.
        steps: The walk, from the bytes to the trust root and to the published branch.
        newest: Time of the newest entry; `age_s` is how long ago that was.
        max_age_days: Above which age verification fails, where policy sets it.
        strays: Data under `artifacts/` that belongs to nothing published.
        limits: What this cannot show, in sentences.
        freezes: The freezes that stand: nothing in their scope is published now.
        warnings: What was made from something that was retracted since; it is what was approved all the same.
    """

    ok: bool
    repository: str
    tier: str
    trust_root: str
    pinned: Pin
    branch: str
    commit: str
    entries: int
    policies: int
    newest: str
    age_s: int
    max_age_days: int | None
    artifacts: tuple[Verified, ...]
    steps: tuple[Step, ...]
    strays: tuple[str, ...]
    alarms: tuple[str, ...]
    problems: tuple[str, ...]
    limits: tuple[str, ...] = ()
    freezes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def verify(
    view: View,
    *,
    tier: str,
    root: Path | None,
    targets: Sequence[str],
    now: datetime,
    jobs: int,
    progress: Progress,
    pinned: Pin = "settings",
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
        pinned: Where the trust root comes from.
        cache: DVC's cache: links to its objects are files; any other link is a problem.

    Raises:
        Corrupt: the branch does not recompute.
        NotFound: kinds `no-published-branch`, `not-published`.
    """
    publication = publication_of(view, tier)
    latest = view.latest(tier) or publication
    how = Reading(jobs, progress, cache)

    def look(metafile: str, artifact: Artifact, sha256: str) -> tuple[str, DataState]:
        return _check_bytes(root, metafile, artifact, sha256, how)

    found = [
        _artifact(view, publication, latest, path, ident, look)
        for path, ident in _selected(publication, latest, targets)
    ]
    foreign, data = _strays(view, publication, root) if root is not None and not targets else ([], [])
    problems = [f"{one.path}: {one.problem}" for one in found if one.problem]
    left = left_over(publication, latest, root) if root is not None and not targets else {}
    problems += [f"{path}: {why}" for path, why in left.items()]
    foreign = [path for path in foreign if path.removesuffix(".dvc") not in left]
    problems += _changed_settings(view, publication, root) if root is not None else ()
    problems += [f"{path}: nobody published this .dvc file" for path in foreign]
    return report(
        view, publication, found, problems, now=now, pinned=pinned, strays=data, looked=root is not None
    )


def publication_of(view: View, tier: str) -> Publication:
    """The verified published branch of a tier.

    Raises:
        Corrupt: it does not recompute.
        NotFound: kind `no-published-branch`.
    """
    if tier in view.broken:
        raise view.broken[tier]
    publication = view.publications.get(tier)
    if publication is None:
        raise NotFound(f"There is no published branch of tier {tier} here.", kind="no-published-branch")
    return publication


def report(
    view: View,
    publication: Publication,
    found: Sequence[Verified],
    problems: Sequence[str],
    *,
    now: datetime,
    pinned: Pin,
    strays: Sequence[str] = (),
    looked: bool = True,
    limits: Sequence[str] = (),
) -> Report:
    """The report about these artifacts, with the walk in steps and the age of what was seen."""
    newest = publication.entries[-1].body.time
    age = now - parse_time(newest)
    limit = view.history.policy.form.tiers[publication.tier].max_age_days
    wrong = (*problems, *too_old(age, limit))
    return Report(
        ok=not wrong,
        repository=view.history.repository,
        tier=publication.tier,
        trust_root=view.history.trust_root,
        pinned=pinned,
        branch=publication.branch,
        commit=publication.tip,
        entries=len(publication.entries),
        policies=len(view.history.policies),
        newest=newest,
        age_s=max(int(age.total_seconds()), 0),
        max_age_days=limit,
        artifacts=tuple(found),
        steps=tuple(_steps(view, publication, found, pinned, looked=looked)),
        strays=tuple(strays),
        alarms=tuple(alarm.text for alarm in view.alarms),
        problems=wrong,
        limits=tuple(limits),
        freezes=tuple(sorted(map(str, view.stops.values()))),
        warnings=tuple(marks(view, ((one.path, one.proposal) for one in found))),
    )


@guard(15)
def too_old(age: timedelta, limit: int | None) -> list[str]:
    """The problem with a record whose newest entry is older than policy lets it be, if there is one."""
    if limit is None or age <= timedelta(days=limit):
        return []
    return [f"the newest entry is older than {limit} days: this may be an old state"]


def _steps(
    view: View, publication: Publication, found: Sequence[Verified], pinned: Pin, *, looked: bool
) -> Iterator[Step]:
    counts = {name: sum(one.data == name for one in found) for name in ("verified", "not-pulled", "corrupt")}
    folders = sum(one.directory and one.data == "verified" for one in found)
    read = counts["verified"] + counts["corrupt"] > 0
    words = (
        f"{counts['verified']} verified, {counts['not-pulled']} not pulled, {counts['corrupt']} WRONG"
        if looked
        else f"not looked at ({len(found)} artifacts)"
    )
    yield Step("bytes", not counts["corrupt"] if looked and read else None, words)
    yield Step("digest lists", True if folders else None, f"{folders} directories, file by file")
    nodes = sorted({one.node for one in found})
    manifests = {one.manifest for one in found}
    yield Step("manifests", True, f"{len(manifests)}, signed by {_names(nodes)}")
    decisions = {digest for one in found for digest in one.decisions}
    people = sorted({name.partition(" ")[0] for one in found for name in one.approvals})
    yield Step("decisions", True, f"{len(decisions)}; approved by {_names(people)}")
    sightings = {digest for one in found for digest in one.observations}
    told = sorted({name.partition(" ")[0] for one in found for name in one.approvals if FORGE in name})
    if sightings:
        words = f"{len(sightings)} observations; forge-attested, not signed: {_names(told)}"
        yield Step("forge", True, words)
    numbers = sorted({one.policy for one in found})
    yield Step("effective policy", True, f"number {_names(map(str, numbers))} allows them")
    last = view.history.policy.form.number
    yield Step("policy chain", True, f"0 to {last}, each approved under the one before")
    origin = {"settings": "pinned", "first-use": "taken at first use", "none": "NOT PINNED"}[pinned]
    yield Step("trust root", pinned != "none", f"{origin}, sha256:{view.history.trust_root}")
    receipts = {one.receipt for one in found}
    yield Step("receipts", True, f"{len(receipts)}, signed by {_names(nodes)}")
    entry = publication.entries[-1].body
    words = f"{entry.sequence + 1} ledger entries, each naming the one before; last by {entry.actor}"
    yield Step("ledger", True, words)
    words = f"{publication.branch} at {publication.tip[:12]}, recomputed commit by commit"
    yield Step("published branch", True, words)


def _names(names: Iterator[str] | Sequence[str] | map[str]) -> str:
    return ", ".join(names) or "nobody"


def _changed_settings(view: View, publication: Publication, root: Path) -> Iterator[str]:
    """What DVC and Git would obey in the work tree, and what was not published so."""
    for path in (layout.DVC_CONFIG, layout.GITIGNORE, layout.DVC_GITIGNORE):
        try:
            require_as_published(root, path, view.repo.read(publication.blobs[path], MAX_POLICY))
        except (Corrupt, Invalid) as error:
            yield error.what


def _selected(publication: Publication, latest: Publication, targets: Sequence[str]) -> list[tuple[str, str]]:
    """Metafile and proposal of what is meant; what an id names even if it stands no more."""
    if not targets:
        return sorted(publication.current.items())
    out: list[tuple[str, str]] = []
    for target in targets:
        hits = _hits(publication, target) or _gone(latest, target)
        if not hits:
            raise NotFound(
                f"{target} is not published on {publication.branch}.",
                kind="not-published",
                mend="`placet log` shows everything that was.",
            )
        out += hits
    return list(dict.fromkeys(out))


def _hits(publication: Publication, target: str) -> list[tuple[str, str]]:
    name = target.rstrip("/").removesuffix(".dvc")
    hits = [
        (path, ident)
        for path, ident in sorted(publication.current.items())
        if layout.at_or_below(path.removesuffix(".dvc"), name)
    ]
    if hits or len(target) < _SHORTEST_ID:
        return hits
    named = (one for ident, one in publication.publications.items() if ident.startswith(target))
    return [(path, one.case.id) for one in named for path in sorted(one.case.metafiles())]


def _gone(latest: Publication, target: str) -> list[tuple[str, str]]:
    """What was retracted at or below a path."""
    name = target.rstrip("/").removesuffix(".dvc")
    return [
        (edition.metafile, edition.proposal)
        for edition, _ in latest.gone()
        if layout.at_or_below(edition.metafile.removesuffix(".dvc"), name)
    ]


def artifact_of(published: Published, metafile: str) -> tuple[Artifact, str]:
    """An artifact of a publication, and its SHA-256.

    Raises:
        Invalid: kind `manifest`.
    """
    manifest = published.case.manifest
    for artifact, subject in zip(manifest.body.artifacts, manifest.subjects, strict=True):
        if layout.metafile(manifest.body.node or "", artifact.path) == metafile:
            return artifact, subject.value
    raise Invalid(f"The manifest of {published.case.id} has no {metafile}.", kind="manifest")


def _artifact(
    view: View, publication: Publication, latest: Publication, metafile: str, ident: str, look: Look
) -> Verified:
    published = publication.publications.get(ident) or latest.publications[ident]
    artifact, sha256 = artifact_of(published, metafile)
    problem = taken_back(latest, ident, metafile)
    data: DataState = "retracted" if problem else "superseded"
    if not problem and publication.current.get(metafile) == ident:
        problem, data = look(metafile, artifact, sha256)
    return verified(view, published, artifact, sha256, data=data, problem=problem)


def verified(
    view: View, published: Published, artifact: Artifact, sha256: str, *, data: DataState, problem: str
) -> Verified:
    """What is told of one artifact."""
    body, case = published.entry.body, published.case
    numbers = {one.policy.digest: one.policy.form.number for one in view.history.policies}
    node = case.manifest.body.node or ""
    return Verified(
        path=layout.metafile(node, artifact.path).removesuffix(".dvc"),
        proposal=case.id,
        manifest=case.manifest.digest,
        sha256=sha256,
        size=artifact.size,
        files=artifact.files,
        directory=artifact.dir is not None,
        data=data,
        problem=problem,
        node=node,
        approvals=tuple(approvals(case)),
        decisions=body.decisions,
        policy=numbers[case.policy.digest],
        receipt=published.receipt.digest,
        sequence=body.sequence,
        published=body.time,
        observations=body.observations,
    )


@guard(2, 3)
def _check_bytes(
    root: Path | None, metafile: str, artifact: Artifact, sha256: str, how: Reading
) -> tuple[str, DataState]:
    """What is wrong with the files in a work tree, and what that makes of the data."""
    if root is None:
        return "", "not-pulled"
    problem = metafile_problem(root, metafile, artifact.metafile)
    if problem:
        return problem, "corrupt"
    data = root / metafile.removesuffix(".dvc")
    if not os.path.lexists(data):
        return "", "not-pulled"
    problem = check_data(data, artifact, sha256, how)
    return problem, "corrupt" if problem else "verified"


def _strays(view: View, publication: Publication, root: Path) -> tuple[list[str], list[str]]:
    """Metafiles that neither this branch nor `main` has so, and data of nothing published."""
    metafiles, data = strays(root, publication.current)
    on_main = view.history.tree
    foreign = [
        path
        for path in metafiles
        if path not in on_main or metafile_problem(root, path, view.history.sha256_at(path) or "")
    ]
    return foreign, data
