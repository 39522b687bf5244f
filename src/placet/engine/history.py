"""What `main` says: its first-parent line folded, commit by commit, into policies and proposals.

Only the effect of each first-parent commit counts (design 4): merge commits, squashes and rebases are
alike. Everything read here is hostile; what does not recompute is ignored and alarmed, never trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from placet.core import layout
from placet.core.assent import signer_keys
from placet.core.digest import sha256_hex
from placet.core.dvcfile import MAX_METAFILE
from placet.core.envelope import MAX_ENVELOPE
from placet.core.guards import guard
from placet.core.policy import MAX_POLICY, Policy, parse_policy
from placet.core.predicates import Decision, Manifest, Observation, Withdrawal
from placet.core.statement import P, Signed, parse
from placet.engine.cases import (
    Case,
    Observed,
    Recorded,
    check_comments,
    check_manifest,
    outcome,
    require_published,
    standing_verdicts,
    succession_problem,
)
from placet.engine.freeze import Freezes, Frozen
from placet.engine.observed import require_observation
from placet.engine.twins import Pair, objects_of, refuse_twins
from placet.errors import Corrupt, Invalid, NotFound
from placet.ports import Commit, Repo

_REGULAR = "100644"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something on a branch that should not be there; `commit` is where it came in."""

    commit: str
    text: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """A policy of the chain: its files' blobs, the commit that made it effective, and its proposal."""

    policy: Policy
    blobs: Mapping[str, str]
    commit: str
    case: Case | None


@dataclass(slots=True)
class Blobs:
    """What was read of blobs, which never change: SHA-256 (empty: too large), and well-formed statements."""

    digests: dict[str, str] = field(default_factory=dict)
    statements: dict[tuple[str, type], Any] = field(default_factory=dict)


class History:
    """The state of `main` after a prefix of its first-parent line; `advance` takes the next commits.

    Each commit costs what it touches, whatever came before it. `odd`: paths that no proposal may carry.
    What was read for a history `beside` this one, of the same repository, is not read again.
    """

    def __init__(self, repo: Repo, trust_root: str, beside: History | None = None) -> None:
        self.repo = repo
        self.trust_root = trust_root
        self.tip: str | None = None
        self.positions: dict[str, int] = {}
        self.tree: dict[str, tuple[str, str]] = {}
        self.cases: dict[str, Case] = {}
        self.alarms: list[Alarm] = []
        self.last_landed: dict[str, str] = {}
        self.landed: dict[str, str] = {}
        self.retracted: dict[tuple[str, str], str] = {}
        self.policies: list[Adopted] = []
        self.objects: dict[str, str] = {}
        self.freezes = Freezes()
        self.odd: set[str] = set()
        self._closed: dict[tuple[str, str], tuple[Pair, ...]] = {}
        self.blobs: Blobs = beside.blobs if beside else Blobs()
        self._owners: dict[str, str] = {}
        self._at: dict[str, dict[str, None]] = {}

    @property
    def policy(self) -> Policy:
        """The effective policy at the tip."""
        return self.policies[-1].policy

    @property
    def repository(self) -> str:
        """The repository's identity, from policy 0."""
        return self.policies[0].policy.form.repository

    @property
    def stops(self) -> Mapping[str, Frozen]:
        """The freezes that stand on `main`, by digest."""
        return self.freezes.standing()

    def standing(self, proposal: str) -> Literal["no", "yes", "superseded"]:
        """Did this policy proposal become effective, and is it still?"""
        adopted = [one.case.id for one in self.policies if one.case is not None]
        if proposal not in adopted:
            return "no"
        return "yes" if adopted[-1] == proposal else "superseded"

    @guard(7, 11)
    def drift(self) -> bool:
        """Do the policy files at the tip differ from the effective policy's?"""
        return any(self.sha256_at(path) != sha256_hex(data) for path, data in self.policy.derived().items())

    def advance(self, commits: Iterable[Commit]) -> None:
        """Fold the next commits of the line.

        Raises:
            Corrupt: kind `trust-root`: the first commit does not hold the pinned policy 0.
            Invalid: kind `newer-format`: an approved policy has a format that this Placet does not read. What
                comes after it cannot be judged, and this history is of no use any more.
        """
        for commit in commits:
            self._apply(commit)
            touched = {change.path for change in commit.changes}
            if not self.policies:
                self._begin(commit)
                continue
            policy = self.policy
            for problem in self.freezes.take(self, touched):
                self._alarm(commit, problem)
            for proposal in sorted({found[0] for path in touched if (found := layout.proposal_of(path))}):
                self._read_folder(commit, proposal, policy, touched)
            self._land(commit, policy, touched)
            self._end(touched)
            self._adopt(commit, touched)

    def sha256_at(self, path: str) -> str | None:
        """SHA-256 of the regular file at the tip, or None if there is none or it is too large."""
        return self.blob_sha256(*self.tree.get(path, ("", "")))

    def blob_sha256(self, mode: str, blob: str) -> str | None:
        """SHA-256 of a regular file's blob, or None if it is no regular file or too large."""
        if not _plain(mode):
            return None
        if blob not in self.blobs.digests:
            try:
                self.blobs.digests[blob] = sha256_hex(self.repo.read(blob, max(MAX_POLICY, MAX_METAFILE)))
            except Invalid:
                self.blobs.digests[blob] = ""
        return self.blobs.digests[blob] or None

    @guard(2, 5, 6, 10)
    def complete(self, case: Case) -> bool:
        """Does the tip hold all metafiles of the case, byte for byte, and none that it takes back?"""
        if self.removals(case) & self.tree.keys():
            return False
        return all(self.sha256_at(path) == digest for path, digest in case.metafiles().items())

    def removals(self, case: Case) -> frozenset[str]:
        """The metafiles of `main` that the landing of a retraction removes: versions that still stand."""
        return frozenset(path for path, digest in case.takes() if self.last_landed.get(path) == digest)

    def read_case(self, proposal: str, manifest_blob: str, policy: Policy | None) -> Case:
        """A proposal from its manifest's blob, with everything checked that needs no position.

        Args:
            proposal: Its id.
            manifest_blob: Where the manifest is.
            policy: Whose keys count; None: of the chain's policy that the manifest names, for open ones,
                so that a proposal that a new policy made STALE is still shown as such.

        Raises:
            Invalid, Corrupt: not a manifest of this repository, not signed by whom it must be, or one with a
                twin (kind `md5-twin`) of what landed before.
        """
        manifest = self._statement(manifest_blob, Manifest)
        check_manifest(proposal, manifest, self.repository)
        if policy is None:
            named = (one.policy for one in self.policies if one.policy.digest == manifest.body.policy)
            policy = next(named, self.policy)
        _require_proposer(proposal, manifest, policy)
        require_published(proposal, manifest, lambda digest: self.cases.get(self.landed.get(digest, "")))
        refuse_twins(self.objects, objects_of(manifest.subjects, manifest.body))
        return Case(proposal, manifest, manifest_blob, policy)

    def closed_objects(self, proposal: str, commit: str) -> tuple[Pair, ...]:
        """What the manifest of a closed proposal names; nothing if it is none. Read once a policy.

        Args:
            proposal: Its id.
            commit: The last one of its branch.
        """
        key = (commit, self.policy.digest)
        if key not in self._closed:
            try:
                blob = self.repo.find(commit, layout.manifest_path(proposal)) or ""
                self._closed[key] = tuple(self.read_case(proposal, blob, None).objects())
            except (Invalid, Corrupt, NotFound):
                self._closed[key] = ()
        return self._closed[key]

    def record_decision(self, case: Case, path: str, blob: str, policies: Iterable[Policy]) -> Recorded:
        """Take a decision into a case if it is well-formed and signed under every given policy.

        Raises:
            Invalid, Corrupt: it is not; the case is unchanged.
        """
        decision = self._statement(blob, Decision)
        found = layout.proposal_of(path)
        named = layout.decision_of(found[1]) if found else None
        body = decision.body
        if named != (body.person, body.n) or decision.subjects[0].value != body.manifest:
            raise Invalid(f"{path} does not hold the decision of its name.", kind="decision-name")
        if not _about(decision, self.repository, case):
            raise Invalid(f"{path} is about another manifest or repository.", kind="decision-subject")
        check_comments(case, body)
        for policy in policies:
            _require_person(path, decision, policy)
        recorded = Recorded(decision, path, blob)
        case.decisions.append(recorded)
        return recorded

    def record_observation(self, case: Case, path: str, blob: str, policies: Iterable[Policy]) -> None:
        """Take an observation into a case if it is one of it, signed under every given policy.

        Raises:
            Invalid, Corrupt: it is not; the case is unchanged.
        """
        sighting = self._statement(blob, Observation)
        require_observation(sighting, path, case, self.repository, policies)
        case.observations.append(Observed(sighting, path, blob))

    def record_withdrawal(self, case: Case, path: str, blob: str, policy: Policy) -> None:
        """Take a withdrawal into a case if the manifest's signer signed it.

        Raises:
            Invalid, Corrupt: it is not; the case is unchanged.
        """
        withdrawal = self._statement(blob, Withdrawal)
        body = case.manifest.body
        keys = signer_keys(policy, body)
        if not _about(withdrawal, self.repository, case):
            raise Invalid(f"{path} is about another manifest or repository.", kind="withdraw-subject")
        if not withdrawal.envelope.signed_by(keys):
            raise Corrupt(f"{path} is not signed by the proposal's signer.", kind="withdraw-signature")
        case.withdrawn = True
        case.withdrawal = (path, blob)

    def _statement(self, blob: str, kind: type[P]) -> Signed[P]:
        """A well-formed statement; proves no signature."""
        found: Signed[P] | None = self.blobs.statements.get((blob, kind))
        if found is None:
            found = self.blobs.statements[blob, kind] = parse(self.repo.read(blob, MAX_ENVELOPE), kind)
        return found

    @guard(10, 16)
    def stale(self, case: Case, policy: Policy) -> str:
        """Why the case would be STALE if it landed on top of this state, or empty."""
        body = case.manifest.body
        if body.policy != policy.digest:
            return "the policy changed after it was proposed"
        if body.kind == "retract":
            known = body.follows is None and any(one in self.retracted for one in case.takes())
            return "it was retracted already" if known else ""
        for artifact in body.artifacts:
            path = layout.metafile(body.node or "", artifact.path)
            if artifact.previous != self.last_landed.get(path):
                return f"another version of {artifact.path} landed in the meantime"
        return ""

    def _apply(self, commit: Commit) -> None:
        self.positions[commit.id] = len(self.positions)
        self.tip = commit.id
        for change in commit.changes:
            if change.blob:
                self.tree[change.path] = (change.mode, change.blob)
            else:
                self.tree.pop(change.path, None)
            if change.blob and (change.mode != _REGULAR or not layout.is_known(change.path)):
                self.odd.add(change.path)
            else:
                self.odd.discard(change.path)

    def _begin(self, commit: Commit) -> None:
        found = self.sha256_at(layout.POLICY)
        _require_root(commit, found, self.trust_root)
        policy = parse_policy(self.repo.read(self.tree[layout.POLICY][1], MAX_POLICY))
        self._remember(commit, policy, None)
        if set(self.tree) != set(policy.derived()) or self.drift():
            raise Corrupt(
                "The first commit holds more, or something else, than policy 0 asks for.", kind="root-commit"
            )

    def _remember(self, commit: Commit, policy: Policy, case: Case | None) -> None:
        blobs = {path: self.tree.get(path, ("", ""))[1] for path in policy.derived()}
        self.policies.append(Adopted(policy, blobs, commit.id, case))

    def _read_folder(self, commit: Commit, proposal: str, policy: Policy, touched: set[str]) -> None:
        path = layout.manifest_path(proposal)
        mode, blob = self.tree.get(path, ("", ""))
        case = self.cases.get(proposal)
        if path in touched and (case is None or blob != case.blob):
            if case is not None and case.landed is not None:
                self._alarm(commit, f"the manifest of landed proposal {proposal} was changed or removed")
            elif mode == _REGULAR:
                case = self._register(commit, proposal, blob, policy)
        if case is None:
            return
        for name in sorted(path for path in touched if path.startswith(layout.folder(proposal))):
            self._read_record(commit, case, name, policy)

    def _register(self, commit: Commit, proposal: str, blob: str, policy: Policy) -> Case | None:
        try:
            case = self.read_case(proposal, blob, policy)
        except (Invalid, Corrupt) as error:
            self._alarm(commit, f"proposal {proposal} is not one: {error}")
            return None
        self.cases[proposal] = case
        for name in _files(case):
            self._at.setdefault(name, {})[proposal] = None
        return case

    def _here(self, paths: Iterable[str]) -> list[Case]:
        """The cases, by id, that have not ended and have a manifest or metafile at one of these paths."""
        found = {ident for path in paths for ident in self._at.get(path, ())}
        return [self.cases[ident] for ident in sorted(found & self.cases.keys())]

    def _read_record(self, commit: Commit, case: Case, path: str, policy: Policy) -> None:
        mode, blob = self.tree.get(path, ("", ""))
        known = case.records()
        if path == layout.manifest_path(case.id) or known.get(path) == blob:
            return
        if mode != _REGULAR or path in known:
            self._alarm(commit, f"the record {path} was changed or removed")
            return
        policies = (policy,) if case.landed is None else (policy, case.policy)
        try:
            if path == layout.withdrawal_path(case.id):
                self.record_withdrawal(case, path, blob, policy)
            elif layout.is_observation(path):
                self.record_observation(case, path, blob, policies)
            else:
                self.record_decision(case, path, blob, policies)
        except (Invalid, Corrupt) as error:
            self._alarm(commit, f"{path}: {error}")

    def _land(self, commit: Commit, policy: Policy, touched: set[str]) -> None:
        landing = [case for case in self._here(touched) if case.landed is None and self.complete(case)]
        landing = [case for case in landing if self._own_objects(commit, case)]
        for case in landing:
            case.stale = self.stale(case, policy)
            case.landed = commit.id
            case.policy = policy
            case.removed = self.removals(case)
            self._drop_unsigned(case, policy)
        for case in landing:
            self.landed[case.manifest.digest] = case.id
            self.retracted.update(dict.fromkeys(case.takes(), case.manifest.digest))
            for path in case.removed:
                self._owners[path] = case.id
                self.last_landed[path] = case.manifest.digest
            for path in case.metafiles():
                self._owners[path] = case.id
                if case.manifest.body.kind != "policy":
                    self.last_landed[path] = case.manifest.digest

    def _own_objects(self, commit: Commit, case: Case) -> bool:
        """Take note of a landing proposal's objects; one with a twin of what landed before is none."""
        try:
            refuse_twins(self.objects, case.objects())
        except Corrupt as error:
            self._alarm(commit, f"proposal {case.id} is not one: {error}")
            del self.cases[case.id]
            return False
        self.objects.update(case.objects())
        return True

    @guard(17, 18)
    def _drop_unsigned(self, case: Case, policy: Policy) -> None:
        case.decisions = [
            one
            for one in case.decisions
            if one.decision.envelope.signed_by(policy.person_keys(one.decision.body.person))
        ]
        case.observations = [
            one
            for one in case.observations
            if one.sighting.envelope.signed_by(policy.witness_keys(one.sighting.body.witness))
        ]

    def _end(self, touched: set[str]) -> None:
        for case in self._here(touched):
            if case.landed is None or case.manifest.body.kind != "publish" or self.complete(case):
                continue
            metafiles = case.metafiles()
            taken = any(self._owners.get(path) != case.id for path in metafiles)
            case.ended = "superseded" if taken else "reverted"
            for path in _files(case):
                del self._at[path][case.id]

    def _adopt(self, commit: Commit, touched: set[str]) -> None:
        from_here = [
            case
            for case in self._here((layout.POLICY,))
            if case.manifest.body.kind == "policy"
            and case.landed is not None
            and case.policy.digest == self.policy.digest
            and self.complete(case)
        ]
        for case in from_here:
            if _adoptable(case):
                self._succeed(commit, case)
                break
        if not touched.isdisjoint(layout.POLICY_FILES) and self.drift():
            self._alarm(commit, "the policy files were changed without a valid approval")

    def _succeed(self, commit: Commit, case: Case) -> None:
        try:
            policy = parse_policy(self.repo.read(self.tree[layout.POLICY][1], MAX_POLICY))
        except Invalid as error:
            if error.kind == "newer-format":
                raise
            self._alarm(commit, f"the approved policy cannot be read: {error}")
            return
        problem = succession_problem(self.policy, policy)
        if problem or any(
            self.sha256_at(path) != sha256_hex(data) for path, data in policy.derived().items()
        ):
            self._alarm(
                commit, f"the approved policy is not adopted: {problem or 'its derived files differ'}"
            )
            return
        self._remember(commit, policy, case)

    def _alarm(self, commit: Commit, text: str) -> None:
        self.alarms.append(Alarm(commit.id, text))


def _files(case: Case) -> tuple[str, ...]:
    """Where a change may make a case land or end."""
    return (layout.manifest_path(case.id), *case.metafiles(), *dict(case.takes()))


@guard(5)
def _plain(mode: str) -> bool:
    """Is it a plain file: no symbolic link, no submodule, not executable?"""
    return mode == _REGULAR


@guard(11, 12)
def _adoptable(case: Case) -> bool:
    """Was this policy validly approved under the one before?"""
    objected = standing_verdicts(case) & {"return", "reject"}
    return not case.stale and not case.withdrawn and not objected and outcome(case, None).allowed


@guard(12, 13)
def _require_root(commit: Commit, found: str | None, trust_root: str) -> None:
    if found != trust_root:
        raise Corrupt(
            "The Ctrl repository does not begin with the policy that is pinned as trust_root.",
            kind="trust-root",
            why=f"Its first commit {commit.id[:12]} holds policy sha256:{found}.",
            mend="Ask an administrator for the right trust_root, by another way than this repository.",
        )


@guard(17, 20)
def _require_proposer(proposal: str, manifest: Signed[Manifest], policy: Policy) -> None:
    if not manifest.envelope.signed_by(signer_keys(policy, manifest.body)):
        raise Corrupt(
            f"The manifest of proposal {proposal} is not signed by a key of {manifest.body.signer!r}.",
            kind="manifest-signature",
        )


@guard(16)
def _about(signed: Signed[Decision] | Signed[Withdrawal], repository: str, case: Case) -> bool:
    """Is a decision or withdrawal about this manifest in this repository, and about nothing else?"""
    named = (signed.body.repository, signed.body.manifest)
    file = layout.manifest_path(case.id)
    return named == (repository, case.manifest.digest) and signed.is_about(file, case.manifest.digest)


@guard(18, 20, 38)
def _require_person(path: str, decision: Signed[Decision], policy: Policy) -> None:
    if not decision.envelope.signed_by(policy.person_keys(decision.body.person)):
        raise Corrupt(f"{path} is not signed by a key of {decision.body.person}.", kind="decision-signature")
