"""What a person needs to see: proposals in a list, one with everything, the ledger as a timeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from placet.core import layout
from placet.core.assent import could_approve, excluded
from placet.core.statement import Artifact, CheckResult, Provenance
from placet.core.states import State
from placet.engine.cases import Case, chains, needs_of, outcome
from placet.engine.ctrl import View


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of `placet list`."""

    id: str
    state: State
    kind: str
    by: str
    tier: str | None
    paths: tuple[str, ...]
    size: int
    files: int
    message: str
    proposed: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """One artifact of a proposal; `change` compares it with the version that landed before."""

    path: str
    kind: Literal["file", "directory"]
    size: int
    files: int
    sha256: str
    md5: str
    change: Literal["new", "changed"]
    previous: str | None


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision as a person reads it; `counts` is whether it is part of an unbroken chain."""

    person: str
    organisation: str
    verdict: str
    seen: str
    role: str
    comment: str
    time: str
    expires: str | None
    n: int
    counts: bool


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything a reviewer needs of one proposal, but the bytes."""

    id: str
    state: State
    kind: str
    by: str
    tier: str | None
    message: str
    proposed: str
    expires: str
    manifest: str
    policy: int
    rules: tuple[str, ...]
    artifacts: tuple[ArtifactView, ...]
    checks: tuple[CheckResult, ...]
    decisions: tuple[DecisionView, ...]
    missing: tuple[str, ...]
    reasons: tuple[str, ...]
    may_approve: tuple[str, ...]
    provenance: Provenance
    stale: str
    landed: str | None
    published: str | None
    sequence: int | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One entry of a ledger."""

    branch: str
    sequence: int
    kind: str
    time: str
    actor: str
    proposal: str | None
    paths: tuple[str, ...]
    message: str
    digest: str


def summaries(view: View, now: datetime, state: State | None = None) -> list[Summary]:
    """All proposals, newest first, or those in one state."""
    found = [_summary(view, case, now) for case in view.cases().values()]
    wanted = [one for one in found if state is None or one.state is state]
    return sorted(wanted, key=lambda one: (one.proposed, one.id), reverse=True)


def detail(view: View, case: Case, now: datetime) -> Detail:
    """One proposal with everything."""
    body = case.manifest.body
    verdict = outcome(case, now)
    able = {
        person
        for need in needs_of(case.policy, body)
        for person in could_approve(case.policy, need, excluded(case.policy, body))
    }
    counted = {one.path for chain in chains(case).values() for one in chain}
    publication = view.publications.get(body.tier or "")
    published = publication.publications.get(case.id) if publication else None
    return Detail(
        id=case.id,
        state=view.state(case, now),
        kind=body.kind,
        by=body.node or body.person or "",
        tier=body.tier,
        message=body.message,
        proposed=body.time,
        expires=body.expires,
        manifest=case.manifest.digest,
        policy=case.policy.form.number,
        rules=verdict.rules,
        artifacts=tuple(
            _artifact(artifact, subject.value)
            for artifact, subject in zip(body.artifacts, case.manifest.subjects, strict=False)
        ),
        checks=body.checks,
        decisions=tuple(_decisions(case, counted)),
        missing=verdict.missing,
        reasons=verdict.reasons,
        may_approve=tuple(sorted(able)),
        provenance=body.provenance,
        stale=case.stale,
        landed=case.landed,
        published=published.entry.body.time if published else None,
        sequence=published.entry.body.sequence if published else None,
    )


def timeline(view: View, tier: str | None = None) -> list[LogLine]:
    """The ledger entries of one tier, or of all, in order."""
    lines = []
    for name, publication in view.publications.items():
        if tier is not None and name != tier:
            continue
        for entry in publication.entries:
            body = entry.body
            case = view.history.cases.get(body.proposal or "")
            paths = tuple(one.path for one in case.manifest.body.artifacts) if case else ()
            message = case.manifest.body.message if case else ""
            lines.append(
                LogLine(
                    publication.branch,
                    body.sequence,
                    body.kind,
                    body.time,
                    body.actor,
                    body.proposal,
                    paths,
                    message,
                    entry.digest,
                )
            )
    return sorted(lines, key=lambda one: (one.time, one.branch, one.sequence))


def _summary(view: View, case: Case, now: datetime) -> Summary:
    body = case.manifest.body
    state = view.state(case, now)
    verdict = outcome(case, now)
    waits = state in {State.PROPOSED, State.QUARANTINED}
    return Summary(
        id=case.id,
        state=state,
        kind=body.kind,
        by=body.node or body.person or "",
        tier=body.tier,
        paths=tuple(one.path for one in body.artifacts) or (layout.POLICY,),
        size=sum(one.size for one in body.artifacts),
        files=sum(one.files for one in body.artifacts),
        message=body.message,
        proposed=body.time,
        missing=verdict.missing if waits else (),
    )


def _artifact(artifact: Artifact, sha256: str) -> ArtifactView:
    return ArtifactView(
        path=artifact.path,
        kind="directory" if artifact.dir else "file",
        size=artifact.size,
        files=artifact.files,
        sha256=sha256,
        md5=artifact.md5,
        change="new" if artifact.previous is None else "changed",
        previous=artifact.previous,
    )


def _decisions(case: Case, counted: set[str]) -> list[DecisionView]:
    out = []
    for one in sorted(case.decisions, key=lambda one: (one.decision.body.time, one.path)):
        body = one.decision.body
        person = case.policy.form.people.get(body.person)
        out.append(
            DecisionView(
                person=body.person,
                organisation=person.organisation if person else "",
                verdict=body.verdict,
                seen=body.seen.level,
                role=body.role,
                comment=body.comment,
                time=body.time,
                expires=body.expires,
                n=body.n,
                counts=one.path in counted and body.policy == case.policy.digest,
            )
        )
    return out
