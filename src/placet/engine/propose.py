"""Propose: sign a manifest of tracked artifacts, or of the next policy, and push its branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from placet.checks.metadata import refuse_telling, told
from placet.core import layout
from placet.core.assent import judge_manifest, rule_for
from placet.core.digest import sha256_hex
from placet.core.guards import guard
from placet.core.lint import locked
from placet.core.policy import Policy, parse_policy
from placet.core.predicates import Artifact, CheckResult, DirObject, Manifest
from placet.core.provenance import Provenance
from placet.core.statement import Signed, Subject, format_time, proposal_id, subject
from placet.core.states import ENDED, State
from placet.engine.cases import Case, succession_problem
from placet.engine.ctrl import View
from placet.engine.twins import objects_of, refuse_twins
from placet.errors import Conflict, Refused
from placet.ports import RefUpdate, Signer


@dataclass(frozen=True, slots=True)
class Candidate:
    """One tracked output as it is to be proposed.

    Attributes:
        path: Relative to the workspace.
        sha256: Of the file, or the `dirHash` of the directory.
        metafile: The canonical `.dvc` bytes of the Ctrl repository.
        dir: The `.dir` object of a directory.
    """

    path: str
    md5: str
    sha256: str
    size: int
    files: int
    metafile: bytes
    dir: DirObject | None = None


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal as `propose` leaves it; `created` is false if it was there already.

    Attributes:
        url: Its page on the forge, if that has any.
        unannounced: Why the forge does not show it yet; the proposal is made all the same.
    """

    id: str
    case_state: State
    created: bool
    branch: str
    url: str | None = None
    unannounced: str = ""


def propose(
    view: View,
    candidates: Sequence[Candidate],
    signer: Signer,
    *,
    node: str,
    tier: str,
    message: str,
    checks: Sequence[CheckResult],
    provenance: Provenance,
    now: datetime,
) -> Proposed:
    """Sign and push a `publish` proposal. Proposing the same content again finds the open one.

    Atomic: one push makes the branch, or nothing.

    Raises:
        Refused: kinds `not-a-node`, `policy`: the policy would never allow it, whoever approves.
        Corrupt: kind `md5-twin`: an MD5 would stand for two contents, here or with any other proposal.
        Conflict: kind `path-clash`: an artifact equals, contains or clashes with another one.
    """
    policy = view.history.policy
    if signer.public not in policy.node_keys(node):
        raise Refused(
            f"The policy does not know this key as a key of node {node}.",
            kind="not-a-node",
            mend=f"Ask for a policy change that adds {signer.public}",
        )
    subjects, body = draft(
        view, candidates, node=node, tier=tier, message=message, checks=checks, provenance=provenance, now=now
    )
    standing = _standing(view, subjects, tier, now)
    if standing is not None:
        return standing
    refuse_twins(view.objects(), objects_of(subjects, body))
    refuse_hopeless(view, body)
    metafiles = {layout.metafile(node, one.path): one.metafile for one in candidates}
    _refuse_clash(view, metafiles)
    return push_proposal(view, subjects, body, files=metafiles, signer=signer, now=now)


def draft(
    view: View,
    candidates: Sequence[Candidate],
    *,
    node: str,
    tier: str,
    message: str,
    checks: Sequence[CheckResult],
    provenance: Provenance,
    now: datetime,
) -> tuple[tuple[Subject, ...], Manifest]:
    """The manifest of a `publish` proposal under the policy that holds now, with its subjects; not signed."""
    policy = view.history.policy
    candidates = sorted(candidates, key=lambda one: one.path)
    subjects = tuple(
        subject(f"{layout.ARTIFACTS}{node}/{one.path}", one.sha256, directory=one.dir is not None)
        for one in candidates
    )
    body = Manifest(
        repository=view.history.repository,
        time=format_time(now),
        kind="publish",
        node=node,
        person=None,
        project=policy.form.project,
        tier=tier,
        artifacts=tuple(_artifact(view, node, one) for one in candidates),
        policy=policy.digest,
        follows=None,
        checks=tuple(checks),
        provenance=provenance,
        message=message,
        expires=format_time(now + timedelta(days=_expires_days(policy, node, candidates, tier))),
    )
    return subjects, body


def propose_policy(
    view: View, data: bytes, signer: Signer, *, person: str, message: str, now: datetime
) -> Proposed:
    """Sign and push a proposal of kind `policy`: the next policy and the files that follow from it.

    Raises:
        Invalid: kind `policy`: the file is malformed.
        Refused: kinds `not-a-person`, `policy`, `policy-locked`.
    """
    before = view.history.policy
    after = parse_policy(data)
    if signer.public not in before.person_keys(person):
        raise Refused(
            f"The policy does not know this key as a key of {person}.",
            kind="not-a-person",
            mend="Check `person` and `key` in placet.toml.",
        )
    problem = succession_problem(before, after)
    if problem:
        raise Refused("This policy cannot follow the effective one.", kind="policy", why=f"{problem}.")
    _require_open(after)
    subjects = (subject(layout.POLICY, after.digest),)
    body = Manifest(
        repository=view.history.repository,
        time=format_time(now),
        kind="policy",
        node=None,
        person=person,
        project=before.form.project,
        tier=None,
        artifacts=(),
        policy=before.digest,
        follows=None,
        checks=(),
        provenance=Provenance(),
        message=message,
        expires=format_time(now + timedelta(days=before.form.governance.expires_days)),
    )
    return push_proposal(view, subjects, body, files=after.derived(), signer=signer, now=now)


@guard(12)
def _require_open(after: Policy) -> None:
    """A policy that nobody could change any more is never meant."""
    if locked(after):
        raise Refused(
            "Nobody could change this policy any more, so it is not proposed.",
            kind="policy-locked",
            why="Without its proposer, too few people are left for governance.policy.",
            mend="Name more people there, or ask for fewer approvals.",
        )


def _standing(view: View, subjects: tuple[Subject, ...], tier: str, now: datetime) -> Proposed | None:
    """The landed proposal of exactly this content, while nothing newer took its place."""
    for case in view.history.cases.values():
        body = case.manifest.body
        same = (case.manifest.subjects, body.tier, body.kind) == (subjects, tier, "publish")
        if same and case.landed is not None and not case.ended:
            found = view.state(case, now)
            if found in {State.LANDED, State.PUBLISHED, State.QUARANTINED}:
                return Proposed(case.id, found, created=False, branch=layout.proposal_ref(case.id))
    return None


def _artifact(view: View, node: str, one: Candidate) -> Artifact:
    return Artifact(
        path=layout.require_safe(one.path, "an artifact"),
        md5=one.md5,
        size=one.size,
        files=one.files,
        metafile=sha256_hex(one.metafile),
        dir=one.dir,
        previous=view.history.last_landed.get(layout.metafile(node, one.path)),
    )


def _expires_days(policy: Policy, node: str, candidates: Sequence[Candidate], tier: str) -> int:
    rules = (rule_for(policy, node, one.path, tier) for one in candidates)
    return min((rule.expires_days for rule in rules if rule), default=1)


def refuse_hopeless(view: View, body: Manifest) -> None:
    """Refuse what the policy would never allow.

    Raises:
        Refused: kind `policy`.
    """
    verdict = judge_manifest(view.history.policy, body, ())
    if verdict.reasons:
        raise Refused(
            "The policy does not allow this proposal, whoever approves it.",
            kind="policy",
            why=" ".join(f"{reason.rstrip('.')}." for reason in verdict.reasons),
            mend="`placet policy explain PATH` shows the rule.",
        )


def _refuse_clash(view: View, metafiles: Mapping[str, bytes]) -> None:
    standing = {path for path in view.history.tree if path.startswith(layout.ARTIFACTS)}
    standing |= {path for one in view.publications.values() for path in one.current}
    names = [path.removesuffix(".dvc") for path in standing | set(metafiles)]
    pair = layout.clash(names)
    if pair:
        raise Conflict(
            f"{pair[0]} and {pair[1]} clash: one equals or contains the other.",
            kind="path-clash",
            why="A nested pair of outputs breaks every stock `dvc pull`.",
            mend="Choose another path.",
        )


def push_proposal(
    view: View,
    subjects: tuple[Subject, ...],
    body: Manifest,
    *,
    files: Mapping[str, bytes | None],
    signer: Signer,
    now: datetime,
) -> Proposed:
    """Sign a manifest and push its branch, with what it closes. Idempotent, atomic.

    Args:
        view: The Ctrl repository.
        subjects: What the manifest is about.
        body: The manifest, but for what it follows.
        files: Path -> what its landing puts there on `main`; None takes it away.
        signer: The proposer's key.
        now: For what has ended.
    """
    refuse_telling({**told(body), **_policy_text(files)})
    twin = _open_twin(view, subjects, body, now)
    if twin is not None:
        found = view.state(twin, now)
        return Proposed(twin.id, found, created=False, branch=layout.proposal_ref(twin.id))
    body, older = _continue(view, subjects, body, now)
    ident = proposal_id(subjects, body)
    manifest = Signed.make(subjects, body, (signer.public, signer.sign))
    commit = view.repo.commit(
        view.main,
        {**files, layout.manifest_path(ident): manifest.envelope.to_bytes()},
        parents=[view.main],
        message=f"propose {ident}\n\n{body.message}",
        author=body.signer,
        when=now,
    )
    updates = [RefUpdate(layout.proposal_ref(ident), None, commit)]
    updates += [update for one in older for update in closing(view, one.id)]
    view.repo.push(updates)
    return Proposed(ident, State.PROPOSED, created=True, branch=layout.proposal_ref(ident))


def _policy_text(files: Mapping[str, bytes | None]) -> dict[str, str]:
    data = files.get(layout.POLICY)
    return {layout.POLICY: data.decode("utf-8", "replace")} if data is not None else {}


def _open_twin(view: View, subjects: tuple[Subject, ...], body: Manifest, now: datetime) -> Case | None:
    """The proposal of the same content on the same state that has not ended."""

    def matter(one: Manifest) -> tuple[object, ...]:
        previous = [artifact.previous for artifact in one.artifacts]
        return one.kind, one.node, one.tier, one.emergency, previous

    for case in view.cases().values():
        same = case.manifest.subjects == subjects and matter(case.manifest.body) == matter(body)
        if same and view.state(case, now) not in ENDED:
            return case
    return None


def _continue(
    view: View, subjects: tuple[Subject, ...], body: Manifest, now: datetime
) -> tuple[Manifest, list[Case]]:
    """The manifest with what it follows, and all that it thereby closes.

    It follows the last proposal of its paths that was returned, refused, taken back or ran out, whatever the
    content of that was; and one of the same content, also where that was closed.
    """
    older: list[Case] = []
    last = _last_ended(view, body, now)
    while True:
        if last is not None:
            older.append(last)
            body = msgspec.structs.replace(body, follows=last.manifest.digest)
        last = view.known(proposal_id(subjects, body))
        if last is None:
            return body, older


def _last_ended(view: View, body: Manifest, now: datetime) -> Case | None:
    paths = {one.path for one in body.artifacts}

    def continued(case: Case) -> bool:
        other = case.manifest.body
        if (other.kind, other.node, other.person, other.tier) != (
            body.kind,
            body.node,
            body.person,
            body.tier,
        ) or body.kind == "retract":
            return False
        shared = body.kind == "policy" or not paths.isdisjoint(case.paths)
        return shared and view.state(case, now) in ENDED

    found = [case for case in view.open.values() if case.id in view.branches and continued(case)]
    return max(found, key=lambda one: (set(one.paths) == paths, one.manifest.body.time, one.id), default=None)


def closing(view: View, ident: str) -> list[RefUpdate]:
    """Close a proposal's branch in the same push, keeping its commits (design 4)."""
    commit = view.branches.get(ident)
    if commit is None or ident in view.closed:
        return []
    return [
        RefUpdate(layout.closed_ref(ident), None, commit),
        RefUpdate(layout.proposal_ref(ident), commit, None),
    ]
