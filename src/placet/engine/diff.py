"""What a proposal changes against the version that is published: artifacts, files, rows."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from placet.checks.compare import TableDiff, compare
from placet.core import layout
from placet.core.policy import MAX_POLICY
from placet.core.predicates import Artifact, CheckResult
from placet.engine.cases import Case
from placet.engine.contents import Contents, Item, read_contents
from placet.engine.ctrl import View
from placet.ports import ObjectStore

MAX_NAMES = 50
MAX_TABLES = 20
_TABLES = frozenset({"csv", "tsv", "parquet"})

Change = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file of an artifact; `path` is empty for a file artifact. Sizes in bytes."""

    path: str
    change: Change
    size: tuple[int | None, int | None]
    sha256: tuple[str | None, str | None]
    table: TableDiff | None


@dataclass(frozen=True, slots=True)
class FactDiff:
    """A number that a check counted, before and now."""

    check: str
    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class ArtifactDiff:
    """One artifact against its published version.

    Attributes:
        published: The proposal that published the version compared with, or None.
        listed: False where this party may not read the lists of files: totals and facts are compared then.
        entries: The files that differ; at most 50 of each change.
        counts: How many were added, changed and removed; never cut.
        tables_left: How many tables were not looked into, after 20.
        facts: What the checks counted.
    """

    path: str
    change: Literal["new", "changed", "same"]
    published: str | None
    size: tuple[int, int]
    files: tuple[int, int]
    sha256: tuple[str | None, str]
    listed: bool
    entries: tuple[FileDiff, ...]
    counts: tuple[int, int, int]
    tables_left: int
    facts: tuple[FactDiff, ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """All artifacts of a proposal against what is published; of a policy, the lines that differ."""

    id: str
    manifest: str
    on: Literal["bytes", "report"]
    artifacts: tuple[ArtifactDiff, ...]
    policy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bytes:
    """A tier whose bytes this party may read, and the way to read one object, proven."""

    store: ObjectStore
    read: Callable[[Item], Iterable[bytes]]
    rows: int = 0


def diff(view: View, case: Case, source: Bytes | None) -> Diff:
    """Compare with what stands published in the proposal's tier.

    Args:
        view: The Ctrl repository.
        case: The proposal.
        source: The node's internal tier, where this party may read it; both versions are there.

    Raises:
        Corrupt: bytes of the tier are not what a manifest says.
    """
    digest = case.manifest.digest
    if case.manifest.body.kind == "policy":
        return Diff(case.id, digest, "bytes", (), tuple(_policy(view, case)))
    new = _listed(source, case)
    publication = view.publications.get(case.manifest.body.tier or "")
    out = []
    for artifact, subject in zip(case.manifest.body.artifacts, case.manifest.subjects, strict=False):
        metafile = layout.metafile(case.manifest.body.node or "", artifact.path)
        ident = publication.current.get(metafile) if publication else None
        before = view.history.cases.get(ident) if ident else None
        old = _listed(source, before).get(artifact.path)
        out.append(_artifact(case, artifact, subject.value, before, (old, new.get(artifact.path)), source))
    return Diff(case.id, digest, "bytes" if source else "report", tuple(out))


def _listed(source: Bytes | None, case: Case | None) -> dict[str, Contents]:
    if source is None or case is None:
        return {}
    return {one.artifact.path: one for one in read_contents(source.store, case.manifest)}


def _artifact(
    case: Case,
    artifact: Artifact,
    sha256: str,
    before: Case | None,
    listed: tuple[Contents | None, Contents | None],
    source: Bytes | None,
) -> ArtifactDiff:
    known = _artifact_of(before, artifact.path)
    change: Literal["new", "changed", "same"] = "new"
    if known is not None:
        change = "same" if known[1] == sha256 else "changed"
    found = _changes(*listed)
    shown = [one for kind in found.values() for one in kind[:MAX_NAMES]]
    tables = [one for one in shown if source and _is_table(artifact.path, one)][:MAX_TABLES]
    all_tables = sum(_is_table(artifact.path, one) for kind in found.values() for one in kind)
    return ArtifactDiff(
        path=artifact.path,
        change=change,
        published=before.id if before else None,
        size=(known[0].size if known else 0, artifact.size),
        files=(known[0].files if known else 0, artifact.files),
        sha256=(known[1] if known else None, sha256),
        listed=listed[1] is not None,
        entries=tuple(_file(source, pair, table=pair in tables) for pair in shown) if source else (),
        counts=(len(found["added"]), len(found["changed"]), len(found["removed"])),
        tables_left=all_tables - len(tables),
        facts=tuple(_facts(_results(before, artifact.path), _results(case, artifact.path))),
    )


_Pair = tuple[Item | None, Item | None]


def _changes(old: Contents | None, new: Contents | None) -> dict[Change, list[_Pair]]:
    before = {item.path: item for item in old.items} if old else {}
    after = {item.path: item for item in new.items} if new else {}
    both = sorted(before.keys() & after.keys())
    return {
        "changed": [(before[one], after[one]) for one in both if before[one].sha256 != after[one].sha256],
        "added": [(None, after[one]) for one in sorted(after.keys() - before.keys())],
        "removed": [(before[one], None) for one in sorted(before.keys() - after.keys())] if new else [],
    }


def _is_table(artifact: str, pair: _Pair) -> bool:
    item = pair[1]
    return item is not None and (item.path or artifact).rpartition(".")[2].lower() in _TABLES


def _file(source: Bytes, pair: _Pair, *, table: bool) -> FileDiff:
    old, new = pair
    change: Change = "removed"
    if new is not None:
        change = "changed" if old else "added"
    found = None
    if table and new is not None:
        before = (lambda: source.read(old)) if old else None
        found = compare(before, lambda: source.read(new), rows=source.rows)
    return FileDiff(
        path=(new or old or _NONE).path,
        change=change,
        size=(_size(source, old), _size(source, new)),
        sha256=(old.sha256 if old else None, new.sha256 if new else None),
        table=found,
    )


_NONE = Item("", "", "", "")


def _size(source: Bytes, item: Item | None) -> int | None:
    found = source.store.head(item.key) if item else None
    return found.size if found else None


def _artifact_of(case: Case | None, path: str) -> tuple[Artifact, str] | None:
    if case is None:
        return None
    pairs = zip(case.manifest.body.artifacts, case.manifest.subjects, strict=True)
    return next(((one, subject.value) for one, subject in pairs if one.path == path), None)


def _results(case: Case | None, path: str) -> dict[str, CheckResult]:
    checks = case.manifest.body.checks if case else ()
    return {one.check: one for one in checks if one.path == path}


def _facts(before: Mapping[str, CheckResult], after: Mapping[str, CheckResult]) -> Iterator[FactDiff]:
    for check, result in sorted(after.items()):
        former = before[check].facts if check in before else {}
        for name in sorted({*former, *result.facts}):
            yield FactDiff(check, name, former.get(name), result.facts.get(name))


def _policy(view: View, case: Case) -> Iterator[str]:
    commit = case.landed or view.branches.get(case.id) or view.closed[case.id]
    entry = view.repo.tree(commit)[layout.POLICY]
    new = view.repo.read(entry.blob, MAX_POLICY).decode("utf-8", "backslashreplace").splitlines()
    old = case.policy.data.decode().splitlines()
    yield from difflib.unified_diff(old, new, "effective", "proposed", lineterm="")
