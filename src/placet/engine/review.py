"""Review: signed decisions on a proposal, withdrawal, and the merge of an approved one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from placet.checks.metadata import refuse_telling, told
from placet.core import layout
from placet.core.assent import excluded, sees, signer_keys
from placet.core.guards import guard
from placet.core.policy import Policy
from placet.core.predicates import Comment, Decision, Seen, Sees, Verdict, Withdrawal
from placet.core.statement import P, Signed, format_time, subject
from placet.core.states import State
from placet.engine.cases import Case, Recorded, chains, check_comments, needs_of, outcome
from placet.engine.ctrl import View
from placet.engine.detail import able, is_closed
from placet.engine.propose import closing
from placet.errors import Conflict, Invalid, Refused
from placet.ports import RefUpdate, Signer, TreeEntry

DECIDABLE = frozenset(
    {State.PROPOSED, State.APPROVED, State.RETURNED, State.REJECTED, State.LANDED, State.QUARANTINED}
)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as it was recorded, and what is still missing for the proposal.

    Attributes:
        manifest: The digest of what was decided about.
        seen: What the decision says was seen.
    """

    id: str
    manifest: str
    person: str
    verdict: Verdict
    n: int
    digest: str
    seen: Sees
    expires: str | None
    comments: tuple[Comment, ...]
    state: State
    missing: tuple[str, ...]


def decide(
    view: View,
    case: Case,
    signer: Signer,
    *,
    person: str,
    verdict: Verdict,
    comment: str,
    seen: Seen,
    now: datetime,
    days: int | None = None,
    comments: Sequence[Comment] = (),
    shown: str | None = None,
) -> Decided:
    """Sign a decision and push it: to the proposal's branch, or to `main` if it has landed already.

    Atomic. A person's decisions form a chain; nothing is ever changed or removed.

    Raises:
        Refused: kinds `unknown-key`, `not-a-reviewer`, `own-proposal`, `not-decidable`, `not-seen`.
        Conflict: kinds `other-manifest`: not the one that was `shown`; `already-decided`: the same one of
            this person stands already.
        Invalid: kinds `no-comment`: `return` and `reject` need a reason; `comment-path`.
    """
    policy = case.policy
    check_shown(case, shown)
    _check_entitled(policy, case, signer, person)
    _check_decidable(view, case, now)
    if verdict != "approve" and not comment.strip() and not comments:
        raise Invalid(f"A decision to {verdict} needs a reason.", kind="no-comment", mend="Give it with -m.")
    check_seen(case, person, seen)
    chain = chains(case).get(person, [])
    last = chain[-1].decision if chain else None
    body = Decision(
        repository=view.history.repository,
        time=format_time(now),
        manifest=case.manifest.digest,
        person=person,
        n=len(chain) + 1,
        previous=last.digest if last else None,
        verdict=verdict,
        role=_role(policy, case, person),
        seen=seen,
        comment=comment,
        comments=tuple(comments),
        policy=policy.digest,
        expires=format_time(now + timedelta(days=days)) if days else None,
    )
    check_comments(case, body)
    if last is not None and _says_nothing_new(last.body, body, now):
        raise Conflict(
            f"{person} has already decided so: {verdict} (decision {len(chain)}). Nothing was changed.",
            kind="already-decided",
        )
    path = layout.decision_path(case.id, person, body.n)
    signed = _record(view, case, path, body, signer, now=now, message=f"{verdict} {case.id}")
    after = replace(case, decisions=[*case.decisions, Recorded(signed, path, "")])
    return Decided(
        id=case.id,
        manifest=case.manifest.digest,
        person=person,
        verdict=verdict,
        n=body.n,
        digest=signed.digest,
        seen=seen.level,
        expires=body.expires,
        comments=body.comments,
        state=view.state(after, now),
        missing=outcome(after, now).missing,
    )


@guard(32)
def check_shown(case: Case, manifest: str | None) -> None:
    """Is the manifest that was shown, if it is said which, the one that would be decided about?

    Raises:
        Conflict: kind `other-manifest`.
    """
    if manifest is not None and manifest.removeprefix("sha256:") != case.manifest.digest:
        raise Conflict(
            f"Proposal {case.id[:12]} is not the one that you were shown. Nothing was decided.",
            kind="other-manifest",
            why=f"Its manifest is sha256:{case.manifest.digest}, not {manifest[:80]}.",
            mend=f"Look at it again: placet show {case.id[:12]}",
        )


def withdraw(view: View, case: Case, signer: Signer, *, reason: str, now: datetime) -> str:
    """Take a proposal back, signed by the manifest's own signer. Idempotent.

    Raises:
        Refused: kinds `not-own-proposal`, `not-decidable`.
    """
    body = case.manifest.body
    if signer.public not in signer_keys(case.policy, body):
        raise Refused(f"Only {body.signer} can withdraw proposal {case.id[:12]}.", kind="not-own-proposal")
    if case.withdrawn:
        return case.id
    if view.state(case, now) in {State.PUBLISHED, State.SUPERSEDED}:
        raise Refused(
            f"Proposal {case.id[:12]} is published already.",
            kind="not-decidable",
            mend="What is published is retracted, not withdrawn.",
        )
    if is_closed(view, case):
        raise Refused(f"Proposal {case.id[:12]} was closed already.", kind="not-decidable")
    statement = Withdrawal(
        repository=view.history.repository,
        time=format_time(now),
        manifest=case.manifest.digest,
        reason=reason,
    )
    path = layout.withdrawal_path(case.id)
    _record(view, case, path, statement, signer, now=now, message=f"withdraw {case.id}")
    return case.id


def merge(view: View, case: Case, *, author: str, now: datetime) -> str:
    """Land an approved proposal on `main` by a merge commit; for plain Git, where nobody else merges.

    Atomic: `main` moves, the branch is closed, or nothing happens. Running it again finds it landed.

    Returns:
        The landing commit.

    Raises:
        Refused: kind `not-approved`, with what is missing.
        Conflict: kind `ref-moved`: `main` moved in the meantime; run it again.
    """
    if case.landed is not None:
        return case.landed
    branch = mergeable(view, case, now)
    tree = view.repo.tree(branch)
    inside = layout.folder(case.id)
    wanted = set(case.metafiles()) | (
        set(layout.POLICY_FILES) if case.manifest.body.kind == "policy" else set()
    )
    files: dict[str, bytes | TreeEntry | None] = {
        path: entry for path, entry in tree.items() if path.startswith(inside) or path in wanted
    }
    files |= dict.fromkeys(view.history.removals(case) & view.history.tree.keys())
    commit = view.repo.commit(
        view.main, files, parents=[view.main, branch], message=f"merge {case.id}", author=author, when=now
    )
    view.repo.push([RefUpdate(layout.MAIN, view.main, commit), *closing(view, case.id)])
    return commit


def mergeable(view: View, case: Case, now: datetime) -> str:
    """The tip of the branch of a proposal that may land.

    Raises:
        Refused: kind `not-approved`, with what is missing.
    """
    found = view.state(case, now)
    if found is not State.APPROVED or is_closed(view, case):
        closed = " and closed" if is_closed(view, case) else ""
        raise Refused(
            f"Proposal {case.id[:12]} is {found}{closed} and cannot be merged.",
            kind="not-approved",
            why=" ".join((*outcome(case, now).reasons, *outcome(case, now).missing)) or case.stale,
            mend=f"`placet show {case.id[:12]}` tells who can approve it.",
        )
    return view.branches[case.id]


def _record(
    view: View, case: Case, path: str, body: P, signer: Signer, *, now: datetime, message: str
) -> Signed[P]:
    refuse_telling(told(body))
    about = subject(layout.manifest_path(case.id), case.manifest.digest)
    signed = Signed.make((about,), body, (signer.public, signer.sign))
    landed = case.landed is not None
    ref = layout.MAIN if landed else layout.proposal_ref(case.id)
    base = view.main if landed else view.branches[case.id]
    commit = view.repo.commit(
        base,
        {path: signed.envelope.to_bytes()},
        parents=[base],
        message=message,
        author=getattr(body, "person", None) or case.manifest.body.signer,
        when=now,
    )
    view.repo.push([RefUpdate(ref, base, commit)])
    return signed


def _check_decidable(view: View, case: Case, now: datetime) -> None:
    found = view.state(case, now)
    closed = is_closed(view, case)
    if (found in DECIDABLE and not closed) or view.unconfirmed(case):
        return
    why = "It was closed; another proposal may follow it." if closed else ""
    raise Refused(
        f"Proposal {case.id[:12]} is {found}; nothing can be decided about it.",
        kind="not-decidable",
        why=f"It is so because {case.stale}." if found is State.STALE and case.stale else why,
        mend=f"`placet show {case.id[:12]}` tells what follows it, or the node proposes it again.",
    )


def _says_nothing_new(last: Decision, new: Decision, now: datetime) -> bool:
    """The same verdict still stands, with the same words and no other end."""
    same = (last.verdict, last.policy) == (new.verdict, new.policy) and not _expired(last, now)
    if new.verdict == "approve":
        return same and new.seen == last.seen and new.expires is None and last.expires is None
    return same and (new.comment, new.comments) == (last.comment, last.comments)


def _check_entitled(policy: Policy, case: Case, signer: Signer, person: str) -> None:
    if signer.public not in policy.person_keys(person):
        raise Refused(
            f"The effective policy does not know this key as a key of {person}.",
            kind="unknown-key",
            why=f"The key is {signer.public}.",
            mend="Ask for a policy change that adds it, or use the key that the policy has.",
        )
    body = case.manifest.body
    if person in excluded(policy, body):
        raise Refused(
            f"{person} may not decide about proposal {case.id[:12]}: it is their own.", kind="own-proposal"
        )
    people = able(case)
    if person not in people:
        raise Refused(
            f"No rule counts a decision of {person} about proposal {case.id[:12]}.",
            kind="not-a-reviewer",
            why=f"The rules ask for: {', '.join(people) or 'nobody'}.",
        )


@guard(35)
def check_seen(case: Case, person: str, seen: Seen) -> None:
    """Does a decision name exactly what this person had before them, as far as policy shows it to them?

    Raises:
        Refused: kind `not-seen`.
    """
    if seen.level == "bytes" and sees(case.policy, person) != "bytes":
        raise Refused(
            f"The policy does not show bytes to {person}.", kind="not-seen", mend="Decide on the report."
        )
    if seen != (seen_bytes(case) if seen.level == "bytes" else seen_report(case)):
        raise Refused(
            f"The decision names other digests than those of proposal {case.id[:12]}.", kind="not-seen"
        )


def _role(policy: Policy, case: Case, person: str) -> str:
    groups = [group for need in needs_of(policy, case.manifest.body) for group in need.groups]
    return next(group for group in groups if person in policy.form.groups[group].members)


def _expired(body: Decision, now: datetime) -> bool:
    return body.expires is not None and body.expires <= format_time(now)


def seen_report(case: Case) -> Seen:
    """What somebody saw who read the node's check results only, or the policy that is proposed."""
    body = case.manifest.body
    if body.kind == "policy":
        return Seen(level="report", digests=tuple(one.value for one in case.manifest.subjects))
    return Seen(level="report", digests=tuple(sorted({one.digest for one in body.checks})))


def seen_bytes(case: Case) -> Seen:
    """What somebody saw who had all bytes, proven equal to the manifest's digests."""
    return Seen(level="bytes", digests=tuple(sorted({one.value for one in case.manifest.subjects})))
