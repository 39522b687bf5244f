"""One proposal with everything that a reviewer needs of it but the bytes; who could decide, and did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from placet.core.assent import could_approve, excluded, forge_suffices, sees
from placet.core.envelope import MAX_ENVELOPE
from placet.core.explain import need_text
from placet.core.policy import Policy
from placet.core.predicates import Artifact, CheckResult, Decision, Withdrawal
from placet.core.provenance import Provenance
from placet.core.statement import format_time, parse, parse_time
from placet.core.states import State
from placet.engine.cases import Case, chains, expiry, needs_of, outcome, seen_level
from placet.engine.ctrl import View
from placet.engine.descent import warnings
from placet.engine.detailviews import (
    ArtifactView,
    DecisionView,
    Link,
    ObservationView,
    RemarkView,
    Reviewer,
    observations,
)
from placet.engine.freeze import frozen
from placet.engine.observed import told_by

WAITING = frozenset({State.PROPOSED, State.QUARANTINED})
_TIMED = WAITING | {State.APPROVED, State.LANDED}
_MAX_LINKS = 50
_LANDED = {
    "publish": "It is on main; the agent of {} has not published it yet.",
    "policy": "It is on main.",
    "retract": "It is on main; whoever may retract records it: placet retract",
}


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything a reviewer needs of one proposal, but the bytes.

    Attributes:
        at: The time of the answer; states depend on it.
        because: Why it is in its state, one sentence each.
        until: When time alone ends this state, or None.
        manifest: The digest that an approval approves.
        follows: What this one continues, the nearest first.
        followed_by: What continues this one.
        closed: Its branch was closed; nothing more is decided about it.
        warnings: What was retracted of all that it was made from, one sentence each.
        observations: What witnesses say that they saw on a forge.
        remarks: What people wrote there.
        url: Its page there.
    """

    id: str
    at: str
    state: State
    because: tuple[str, ...]
    until: str | None
    kind: str
    by: str
    organisation: str
    project: str
    tier: str | None
    message: str
    proposed: str
    expires: str
    manifest: str
    policy: int
    policy_digest: str
    rules: tuple[str, ...]
    needs: tuple[str, ...]
    artifacts: tuple[ArtifactView, ...]
    checks: tuple[CheckResult, ...]
    decisions: tuple[DecisionView, ...]
    missing: tuple[str, ...]
    reasons: tuple[str, ...]
    may_approve: tuple[str, ...]
    reviewers: tuple[Reviewer, ...]
    provenance: Provenance
    stale: str
    follows: tuple[Link, ...]
    followed_by: tuple[Link, ...]
    closed: bool
    landed: str | None
    published: str | None
    sequence: int | None
    warnings: tuple[str, ...]
    observations: tuple[ObservationView, ...] = ()
    remarks: tuple[RemarkView, ...] = ()
    url: str | None = None


def detail(view: View, case: Case, now: datetime) -> Detail:
    """One proposal with everything."""
    body = case.manifest.body
    verdict = outcome(case, now)
    state = view.state(case, now)
    publication = view.publications.get(body.tier or "")
    published = publication.publications.get(case.id) if publication else None
    back, on = _links(view, case, now)
    people, nodes = case.policy.form.people, case.policy.form.nodes
    owner = people.get(body.person or "") or nodes.get(body.node or "")
    return Detail(
        id=case.id,
        at=format_time(now),
        state=state,
        because=tuple(_because(view, case, state, now)),
        until=_until(case, now) if state in _TIMED else None,
        kind=body.kind,
        by=body.signer,
        organisation=owner.organisation if owner else "",
        project=body.project,
        tier=body.tier,
        message=body.message,
        proposed=body.time,
        expires=format_time(expiry(case)),
        manifest=case.manifest.digest,
        policy=case.policy.form.number,
        policy_digest=case.policy.digest,
        rules=verdict.rules,
        needs=tuple(need_text(need) for need in needs_of(case.policy, body)),
        artifacts=tuple(
            _artifact(artifact, subject.value)
            for artifact, subject in zip(body.artifacts, case.manifest.subjects, strict=False)
        ),
        checks=body.checks,
        decisions=tuple(_decisions(case, now)),
        missing=verdict.missing,
        reasons=verdict.reasons,
        may_approve=able(case),
        reviewers=tuple(reviewers(case, now)),
        provenance=body.provenance,
        stale=case.stale,
        follows=back,
        followed_by=on,
        closed=is_closed(view, case),
        landed=case.landed,
        published=published.entry.body.time if published else None,
        sequence=published.entry.body.sequence if published else None,
        warnings=warnings(view, case),
        observations=tuple(observations(case)),
    )


def is_closed(view: View, case: Case) -> bool:
    """Was its branch closed without landing?"""
    return case.landed is None and case.id not in view.branches


def stopped(view: View, case: Case, state: State) -> str:
    """Which freeze stops the publication of a proposal that has not ended, or empty."""
    body = case.manifest.body
    return frozen(view, body, body.tier or "") if state in _TIMED else ""


def able(case: Case) -> tuple[str, ...]:
    """Everybody whose approval could count for this proposal."""
    body = case.manifest.body
    barred = excluded(case.policy, body)
    needs = needs_of(case.policy, body)
    return tuple(sorted({one for need in needs for one in could_approve(case.policy, need, barred)}))


def waits_for(case: Case, now: datetime) -> tuple[str, ...]:
    """Who could still help it by an approval: they may, and have no decision that stands."""
    told = forge_suffices(case.policy, case.manifest.body)
    return tuple(one.person for one in reviewers(case, now) if not one.standing and not (told and one.told))


def reviewers(case: Case, now: datetime) -> list[Reviewer]:
    """Everybody whose approval could count, and what they have said so far."""
    policy, given, told = case.policy, chains(case), case.said()
    groups = {name for need in needs_of(policy, case.manifest.body) for name in need.groups}
    out = []
    for name in able(case):
        person = policy.form.people[name]
        last = given[name][-1].decision.body if name in given else None
        out.append(
            Reviewer(
                person=name,
                name=person.name,
                organisation=person.organisation,
                groups=tuple(sorted(one for one in groups if name in policy.form.groups[one].members)),
                sees=sees(policy, name),
                forges=person.forges,
                verdict=last.verdict if last else "",
                seen=seen_level(case, last) if last else "",
                standing=last is not None and last.policy == policy.digest and not _late(last, now),
                told=told[name].verdict if name in told else "",
            )
        )
    return out


def _because(view: View, case: Case, state: State, now: datetime) -> Iterator[str]:
    body = case.manifest.body
    verdict = outcome(case, now)
    if state in WAITING:
        yield from (*verdict.reasons, *verdict.missing)
        if state is State.QUARANTINED and view.history.drift():
            yield "The policy files on main are not those that were approved."
        yield from _words(view, case)
    elif state in {State.RETURNED, State.REJECTED, State.WITHDRAWN}:
        yield from _words(view, case)
    elif state is State.APPROVED:
        yield "Every approval that the policy asks for is there; it can be merged."
    elif state is State.STALE:
        yield f"It is stale: {case.stale}."
    elif state is State.EXPIRED:
        yield f"The proposal expired at {format_time(expiry(case))}."
    elif state is State.LANDED:
        yield _LANDED[body.kind].format(body.node)
    elif state is State.SUPERSEDED:
        yield "A later version took its place."
    held = stopped(view, case, state)
    if held:
        yield f"Until two people end the freeze it is not published: {held}."
    yield from _taken_back(view, case)


def _taken_back(view: View, case: Case) -> Iterator[str]:
    """Which of its artifacts were retracted, and why; of a retraction how far it is."""
    publication = view.publications.get(case.manifest.body.tier or "")
    if publication is None:
        return
    own = publication.retractions.get(case.id)
    if own is not None:
        until = f"; it comes back at {format_time(own.deadline)} unless confirmed" if own.deadline else ""
        settled = own.settled.body.kind if own.settled else "not erased yet"
        yield f"It takes back {', '.join(case.paths)}: {settled}{until}."
    for path in sorted(case.metafiles()) if case.id in publication.publications else ():
        known = publication.retracted(case.id, path)
        if known is not None:
            yield f"{path.removesuffix('.dvc')} was {known.reason}"


def _words(view: View, case: Case) -> Iterator[str]:
    """With which words a proposal was returned, rejected or taken back."""
    if case.withdrawal is not None:
        data = view.repo.read(case.withdrawal[1], MAX_ENVELOPE)
        reason = parse(data, Withdrawal).body.reason
        yield f"{case.manifest.body.signer} took it back: {reason or 'no reason'}"
    elif case.ended == "reverted":
        yield "Its files were taken off main before it was published."
    for person, chain in chains(case).items():
        last = chain[-1].decision.body
        if person in able(case) and last.verdict != "approve":
            yield f"{person}, {last.verdict}: {last.comment or 'see the comments'}"
            yield from (f"{person}, on {one.path}: {one.text}" for one in last.comments)
    for person, said in case.said().items():
        if person in able(case) and said.verdict != "approve":
            yield f"{person}, {said.verdict}: on the forge, {told_by(said)}"


def _until(case: Case, now: datetime) -> str | None:
    """When the proposal, or an approval that it needs, expires first."""
    last = (chain[-1].decision.body for chain in chains(case).values())
    ends = [one.expires for one in last if one.expires is not None and not _late(one, now)]
    if outcome(case, now).allowed:
        ends = [one for one in ends if not outcome(case, parse_time(one)).allowed]
    else:
        ends = []
    return min(one for one in (*ends, format_time(expiry(case))))


def _links(view: View, case: Case, now: datetime) -> tuple[tuple[Link, ...], tuple[Link, ...]]:
    everything = {**view.ended(), **view.cases()}
    by_digest = {one.manifest.digest: one for one in everything.values()}
    back: list[Case] = []
    before = by_digest.get(case.manifest.body.follows or "")
    while before is not None and before not in back and len(back) < _MAX_LINKS:
        back.append(before)
        before = by_digest.get(before.manifest.body.follows or "")
    after = [one for one in everything.values() if one.manifest.body.follows == case.manifest.digest]
    return tuple(_link(view, one, now) for one in back), tuple(_link(view, one, now) for one in after)


def _link(view: View, case: Case, now: datetime) -> Link:
    words = tuple(_words(view, case))
    body = case.manifest.body
    return Link(case.id, view.state(case, now), body.time, case.manifest.digest, words)


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


def _decisions(case: Case, now: datetime) -> Iterator[DecisionView]:
    counted = {one.path for chain in chains(case).values() for one in chain}
    for one in sorted(case.decisions, key=lambda one: (one.decision.body.time, one.path)):
        body = one.decision.body
        yield DecisionView(
            person=body.person,
            organisation=_organisation(case.policy, body.person),
            verdict=body.verdict,
            seen=seen_level(case, body),
            digests=len(body.seen.digests),
            role=body.role,
            comment=body.comment,
            comments=body.comments,
            time=body.time,
            expires=body.expires,
            n=body.n,
            digest=one.decision.digest,
            counts=one.path in counted and body.policy == case.policy.digest,
            expired=_late(body, now),
        )


def _organisation(policy: Policy, person: str) -> str:
    known = policy.form.people.get(person)
    return known.organisation if known else ""


def _late(decision: Decision, now: datetime) -> bool:
    return decision.expires is not None and decision.expires <= format_time(now)
