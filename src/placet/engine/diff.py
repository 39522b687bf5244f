"""What a proposal changes against the version that is published: artifact by artifact, file by file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from placet.core import layout
from placet.core.statement import Artifact
from placet.engine.cases import Case
from placet.engine.contents import Contents, read_contents
from placet.engine.ctrl import View
from placet.ports import ObjectStore

MAX_NAMES = 50


@dataclass(frozen=True, slots=True)
class ArtifactDiff:
    """One artifact against its published version; names are cut after 50, counts are not.

    Attributes:
        listed: False where this party may not read the lists of files: only totals are compared then.
    """

    path: str
    change: Literal["new", "changed", "same"]
    size: tuple[int, int]
    files: tuple[int, int]
    sha256: tuple[str | None, str]
    listed: bool
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    counts: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Diff:
    """All artifacts of a proposal against what is published."""

    id: str
    artifacts: tuple[ArtifactDiff, ...]


def diff(view: View, case: Case, store: ObjectStore | None) -> Diff:
    """Compare with what stands published in the proposal's tier.

    Args:
        view: The Ctrl repository.
        case: The proposal.
        store: The node's internal tier, where this party may read it; both versions are there.
    """
    new = _listed(store, case)
    publication = view.publications.get(case.manifest.body.tier or "")
    out = []
    for artifact, subject in zip(case.manifest.body.artifacts, case.manifest.subjects, strict=False):
        metafile = layout.metafile(case.manifest.body.node or "", artifact.path)
        ident = publication.current.get(metafile) if publication else None
        before = view.history.cases.get(ident) if ident else None
        old = (
            {one.artifact.path: one for one in read_contents(store, before.manifest)}
            if store and before
            else {}
        )
        known = _artifact_of(before, artifact.path)
        out.append(_compare(artifact, subject.value, known, old.get(artifact.path), new.get(artifact.path)))
    return Diff(case.id, tuple(out))


def _listed(store: ObjectStore | None, case: Case | None) -> dict[str, Contents]:
    if store is None or case is None:
        return {}
    return {one.artifact.path: one for one in read_contents(store, case.manifest)}


def _artifact_of(case: Case | None, path: str) -> tuple[Artifact, str] | None:
    if case is None:
        return None
    pairs = zip(case.manifest.body.artifacts, case.manifest.subjects, strict=True)
    return next(((one, subject.value) for one, subject in pairs if one.path == path), None)


def _compare(
    artifact: Artifact,
    sha256: str,
    known: tuple[Artifact, str] | None,
    old: Contents | None,
    new: Contents | None,
) -> ArtifactDiff:
    before = {item.path: item.sha256 for item in old.items} if old else {}
    after = {item.path: item.sha256 for item in new.items} if new else {}
    added = sorted(after.keys() - before.keys())
    removed = sorted(before.keys() - after.keys())
    changed = sorted(path for path in after.keys() & before.keys() if after[path] != before[path])
    change: Literal["new", "changed", "same"] = "new"
    if known is not None:
        change = "same" if known[1] == sha256 else "changed"
    return ArtifactDiff(
        path=artifact.path,
        change=change,
        size=(known[0].size if known else 0, artifact.size),
        files=(known[0].files if known else 0, artifact.files),
        sha256=(known[1] if known else None, sha256),
        listed=new is not None,
        added=tuple(added[:MAX_NAMES]),
        changed=tuple(changed[:MAX_NAMES]),
        removed=tuple(removed[:MAX_NAMES]),
        counts=(len(added), len(changed), len(removed)),
    )
