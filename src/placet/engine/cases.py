"""One proposal as Git shows it, and what follows: which decisions count, its outcome, its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from placet.core import layout, limits
from placet.core.assent import (
    Assent,
    Outcome,
    could_approve,
    excluded,
    judge_manifest,
    retract_needs,
    rule_for,
)
from placet.core.digest import sha256_hex
from placet.core.dvcfile import Output, encode_metafile
from placet.core.guards import guard
from placet.core.policy import Approvals, Policy
from placet.core.predicates import Artifact, Decision, Manifest, Sees, Verdict
from placet.core.sightings import Said, Sighting, content_digest, counted, said
from placet.core.statement import Signed, parse_time, proposal_id
from placet.core.states import Standing, State, StateFacts, derive
from placet.engine.twins import Pair, objects_of
from placet.errors import Invalid


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision whose signature held where it came in, with the blob that carries it."""

    decision: Signed[Decision]
    path: str
    blob: str


@dataclass(frozen=True, slots=True)
class Observed:
    """An observation whose signature held where it came in, with the blob that carries it."""

    sighting: Sighting
    path: str
    blob: str


@dataclass(slots=True)
class Case:
    """All that is known of one proposal.

    Attributes:
        policy: The effective policy of the proposal: before its landing commit, or now if it is open.
        landed: The landing commit, or None.
        stale: Why it is STALE, or empty.
        ended: What happened to its metafiles after landing.
        removed: The metafiles that its landing took off `main`: of a retraction, those that stood there.
        lost: Which decision this party saw before and is gone now, or empty. Nothing is allowed then.
    """

    id: str
    manifest: Signed[Manifest]
    blob: str
    policy: Policy
    landed: str | None = None
    stale: str = ""
    ended: Literal["", "superseded", "reverted"] = ""
    removed: frozenset[str] = frozenset()
    decisions: list[Recorded] = field(default_factory=list)
    observations: list[Observed] = field(default_factory=list)
    withdrawn: bool = False
    withdrawal: tuple[str, str] | None = None
    lost: str = ""

    def objects(self) -> Iterator[Pair]:
        """The objects that its manifest names, with their SHA-256."""
        return objects_of(self.manifest.subjects, self.manifest.body)

    @property
    def paths(self) -> tuple[str, ...]:
        """What the proposal is about, as people name it: its artifacts, or the policy file."""
        return tuple(one.path for one in self.manifest.body.artifacts) or (layout.POLICY,)

    def metafiles(self) -> dict[str, str]:
        """Path in the Ctrl repository -> SHA-256 of the bytes that must stand there; of a retraction none."""
        body = self.manifest.body
        if body.kind == "retract":
            return {}
        if body.kind == "policy":
            return {layout.POLICY: self.manifest.subjects[0].value}
        return {layout.metafile(body.node or "", one.path): one.metafile for one in body.artifacts}

    @property
    def content(self) -> str:
        """The digest of all that the proposal consists of, as an observation names it."""
        return content_digest({layout.manifest_path(self.id): self.manifest.digest, **self.metafiles()})

    def records(self) -> dict[str, str]:
        """Path -> blob of its decisions and observations."""
        signed = {one.path: one.blob for one in self.decisions}
        return {**signed, **{one.path: one.blob for one in self.observations}}

    def said(self) -> dict[str, Said]:
        """What people said on forges, by the word of witnesses that may count."""
        return said(self.policy, self.manifest.body, (one.sighting for one in self.observations))

    def counted_observations(self) -> list[Observed]:
        """The unbroken chains of the witnesses whose word may count, in the order of their paths."""
        known = counted(self.policy, self.manifest.body, (one.sighting for one in self.observations))
        digests = {one.digest for chain in known.values() for one in chain}
        return sorted(
            (one for one in self.observations if one.sighting.digest in digests), key=lambda one: one.path
        )

    def takes(self) -> list[tuple[str, str]]:
        """What a retraction takes back: metafile paths, each with the digest of what published it."""
        body = self.manifest.body
        found = body.artifacts if body.kind == "retract" else ()
        return [(layout.metafile(body.node or "", one.path), one.previous or "") for one in found]


@guard(34)
def chains(case: Case) -> dict[str, list[Recorded]]:
    """Each person's decisions in order, for whom they form one unbroken chain from 1 (design 4).

    A gap, a wrong `previous` or two different decisions of one number void that person's decisions.
    """
    by_person: dict[str, list[Recorded]] = {}
    for one in case.decisions:
        by_person.setdefault(one.decision.body.person, []).append(one)
    out = {}
    for person, given in sorted(by_person.items()):
        given.sort(key=lambda one: one.decision.body.n)
        before: str | None = None
        for number, one in enumerate(given, start=1):
            if (one.decision.body.n, one.decision.body.previous) != (number, before):
                break
            before = one.decision.digest
        else:
            out[person] = given
    return out


def expiry(case: Case) -> datetime:
    """When a proposal ends: as its signer says, and never later than the effective policy lets it."""
    body, form = case.manifest.body, case.policy.form
    published = body.artifacts if body.kind == "publish" else ()
    rules = [rule_for(case.policy, body.node or "", one.path, body.tier or "") for one in published]
    days = min((rule.expires_days for rule in rules if rule), default=form.governance.expires_days)
    begin, end = parse_time(body.time), parse_time(body.expires)
    return begin + min(end - begin, timedelta(days=days))


def outcome(case: Case, when: datetime | None) -> Outcome:
    """Do the decisions that count satisfy the proposal's effective policy?

    Args:
        case: The proposal.
        when: Decisions that have expired by then do not count; None: expiry is not looked at.
    """
    found = judge_manifest(case.policy, case.manifest.body, list(assents(case, when)))
    return replace(found, allowed=False, reasons=(case.lost, *found.reasons)) if case.lost else found


def state(
    case: Case,
    when: datetime,
    *,
    drift: bool = False,
    published: Standing = "no",
) -> State:
    """The state of a proposal at a time; see `placet.core.states`."""
    verdicts = standing_verdicts(case)
    adopted_anyway = case.manifest.body.kind == "policy" and case.landed is not None
    return derive(
        StateFacts(
            landed="no" if case.landed is None else case.ended or "yes",
            published=published,
            withdrawn=case.withdrawn,
            rejected="reject" in verdicts,
            returned="return" in verdicts,
            stale=bool(case.stale),
            expired=not adopted_anyway and expiry(case) <= when,
            allowed=outcome(case, when).allowed,
            drift=drift,
        )
    )


def standing_verdicts(case: Case) -> set[Verdict]:
    """The last words of those who may judge the proposal, signed or, where that counts, on a forge."""
    signed = {person: chain[-1].decision.body.verdict for person, chain in chains(case).items()}
    told = {person: one.verdict for person, one in case.said().items()}
    return {
        verdict for words in (signed, told) for person, verdict in words.items() if may_judge(case, person)
    }


@guard(11)
def succession_problem(before: Policy, after: Policy) -> str:
    """Why `after` cannot follow `before` in the policy chain, or empty."""
    if after.form.repository != before.form.repository:
        return "it names another repository"
    if after.form.number != before.form.number + 1 or after.form.previous != before.digest:
        return f"it must be number {before.form.number + 1} with previous: {before.digest}"
    return ""


def assents(case: Case, when: datetime | None) -> Iterator[Assent]:
    """The approvals that stand: each the last word of an unbroken chain, given under the effective policy.

    What somebody said on a forge counts beside it, unless they signed anything else than an approval.
    """
    signed = chains(case)
    for person, one in case.said().items():
        own = {decision.decision.body.person for decision in case.decisions}
        agrees = person in signed and signed[person][-1].decision.body.verdict == "approve"
        if one.verdict == "approve" and (person not in own or agrees):
            yield Assent(person, "report", forge=True)
    for person, chain in signed.items():
        body = chain[-1].decision.body
        late = when is not None and body.expires is not None and parse_time(body.expires) <= when
        if body.verdict == "approve" and not late and body.policy == case.policy.digest:
            yield Assent(person, seen_level(case, body))


def attested(case: Case) -> tuple[str, ...]:
    """Whose approval stands by the word of a witness alone."""
    found = list(assents(case, None))
    signed = {one.person for one in found if not one.forge}
    return tuple(one.person for one in found if one.forge and one.person not in signed)


@guard(35)
def seen_level(case: Case, decision: Decision) -> Sees:
    """What a decision shows that its person had before them: bytes only if it names all bytes there are."""
    wanted = {one.value for one in case.manifest.subjects}
    complete = decision.seen.level == "bytes" and wanted <= set(decision.seen.digests)
    return "bytes" if complete else "report"


@guard(32)
def check_comments(case: Case, decision: Decision) -> None:
    """Is every comment about something that the proposal holds?

    Raises:
        Invalid: kind `comment-path`.
    """
    foreign = next((one.path for one in decision.comments if one.path not in case.paths), None)
    if foreign is not None:
        raise Invalid(
            f"Proposal {case.id[:12]} has no artifact {foreign!r}.",
            kind="comment-path",
            mend=f"It has: {', '.join(case.paths[:20])}.",
        )


def may_judge(case: Case, person: str) -> bool:
    """May this person's `return` or `reject` stop the proposal? Whoever could have approved it may."""
    policy, body = case.policy, case.manifest.body
    barred = excluded(policy, body)
    return any(person in could_approve(policy, need, barred) for need in needs_of(policy, body))


def needs_of(policy: Policy, body: Manifest) -> list[Approvals]:
    """Every requirement that the policy has for this manifest."""
    if body.kind == "policy":
        return list(policy.form.governance.policy)
    if body.kind == "retract":
        return list(retract_needs(policy, body, confirm=True))
    rules = (rule_for(policy, body.node or "", one.path, body.tier or "") for one in body.artifacts)
    return list(dict.fromkeys(need for rule in rules if rule for need in rule.approvals))


def check_manifest(proposal: str, manifest: Signed[Manifest], repository: str) -> None:
    """Is this a manifest of this repository, with the id that follows from its content?

    Raises:
        Invalid: kind `manifest`.
    """
    body = manifest.body
    problem = ""
    if body.repository != repository:
        problem = "belongs to another repository"
    elif proposal_id(manifest.subjects, body) != proposal:
        problem = "does not have the id that follows from its content"
    elif body.kind == "publish":
        problem = _publish_problem(manifest)
    elif body.kind == "policy":
        names = [one.name for one in manifest.subjects]
        wrong = names != [layout.POLICY] or body.artifacts or not body.person or body.node or body.tier
        problem = "is a policy proposal with something else in it" if wrong else ""
    else:
        problem = _retract_problem(manifest)
    if not problem and body.emergency and body.kind != "retract":
        problem = "is an emergency, but no retraction"
    if problem:
        raise Invalid(f"The manifest of proposal {proposal} {problem}.", kind="manifest")


@guard(33)
def require_published(
    proposal: str, manifest: Signed[Manifest], landed: Callable[[str], Case | None]
) -> None:
    """A retraction takes back exactly what landed: artifacts of other manifests, of its node and tier.

    Raises:
        Invalid: kind `retract-subject`.
    """
    body = manifest.body
    for one in zip(manifest.subjects, body.artifacts, strict=False) if body.kind == "retract" else ():
        case = landed(one[1].previous or "")
        named = case.manifest if case else manifest
        of = (named.body.kind, named.body.node, named.body.tier)
        found = zip(named.subjects, named.body.artifacts, strict=False)
        if of != ("publish", body.node, body.tier) or one not in (
            (subject, msgspec.structs.replace(artifact, previous=one[1].previous))
            for subject, artifact in found
        ):
            raise Invalid(
                f"Proposal {proposal} retracts {one[1].path}, which {one[1].previous} did not land.",
                kind="retract-subject",
            )


def canonical_metafile(artifact: Artifact) -> bytes:
    """The only `.dvc` file that may stand for an artifact: no remote, no options, no dependency (I6)."""
    is_dir = artifact.dir is not None
    return encode_metafile(
        Output(
            path=artifact.path.rsplit("/", 1)[-1],
            md5=artifact.md5,
            size=artifact.size,
            nfiles=artifact.files if is_dir else None,
            is_dir=is_dir,
        )
    )


@guard(26)
def listable(artifact: Artifact) -> bool:
    """Are the lists of a directory small enough to be read at all? (A file has none.)"""
    if artifact.dir is None:
        return True
    longest = artifact.files * (6 * limits.PATH_BYTES + 64) + 2
    return artifact.files <= limits.DIR_FILES and artifact.dir.size <= min(longest, limits.DIR_BYTES)


@guard(33)
def _retract_problem(manifest: Signed[Manifest]) -> str:
    body = manifest.body
    if not body.node or not body.tier or not body.artifacts or body.checks:
        return "must name a node, a tier and at least one artifact, and no check"
    if len(body.artifacts) != len(manifest.subjects) or not body.message.strip():
        return "must have one subject an artifact, and a reason"
    named = [(one.path, one.previous) for one in body.artifacts]
    if len(set(named)) != len(named) or not all(previous for _, previous in named):
        return "must name each artifact once, with the manifest that published it"
    return ""


@guard(4, 6, 17, 36)
def _publish_problem(manifest: Signed[Manifest]) -> str:
    body = manifest.body
    if not body.node or body.person or not body.tier or not body.artifacts:
        return "must name a node, a tier and at least one artifact, and no person"
    if len(body.artifacts) != len(manifest.subjects):
        return "must have one subject an artifact"
    for subject, artifact in zip(manifest.subjects, body.artifacts, strict=True):
        reason = layout.forbidden_artifact(artifact.path)
        if reason:
            return f"has the path {artifact.path!r}, which {reason}"
        if not listable(artifact):
            return f"has a directory {artifact.path} of more files or longer lists than are read"
        kind = "dirHash" if artifact.dir else "sha256"
        if subject.name != f"{layout.ARTIFACTS}{body.node}/{artifact.path}" or kind not in subject.digest:
            return f"has a subject that is not its artifact {artifact.path}"
        if artifact.dir is None and artifact.files != 1:
            return f"counts {artifact.files} files in the file {artifact.path}"
        if artifact.metafile != sha256_hex(canonical_metafile(artifact)):
            return f"names another .dvc file for {artifact.path} than the canonical one"
    if layout.clash(artifact.path for artifact in body.artifacts):
        return "has two artifacts of which one contains the other"
    return ""
