"""A published branch: recomputed commit by commit from its genesis, and continued (design 6.1).

Each commit's tree is a pure function of (previous tree, judged commit, proposal, receipt, entry). The
same code writes it (agents), admits it (the forge's hook) and verifies it (everybody).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from placet.core import layout, windows
from placet.core.crate import Facts, crate
from placet.core.envelope import MAX_ENVELOPE
from placet.core.gitobject import object_id
from placet.core.guards import guard
from placet.core.ledger import check_next
from placet.core.predicates import EntryKind, Erasure, LedgerEntry, Receipt
from placet.core.statement import Signed, parse, parse_time
from placet.core.states import State
from placet.engine import retraction
from placet.engine.cases import Case, chains, state
from placet.engine.freeze import frozen
from placet.engine.history import Adopted, History
from placet.engine.publication import Publication, Published, Retraction
from placet.errors import Corrupt, Invalid, NotFound, PlacetError
from placet.ports import Commit

__all__ = ["Publication", "Published", "PublishedLine", "Retraction"]

_REGULAR = "100644"


class PublishedLine:
    """Verifies a published branch against `main`, advancing one `History` from judged commit to next."""

    def __init__(self, history: History, line: Sequence[Commit], tier: str, now: datetime) -> None:
        self.history = history
        self.tier = tier
        self.now = now
        self._line = list(line)
        self._index = {commit.id: index for index, commit in enumerate(line)}
        self._taken = 0

    def lengthen(self, commits: Sequence[Commit], now: datetime) -> None:
        """Take note that `main` has grown by these commits, and of the time."""
        self.now = now
        self._index.update((one.id, place) for place, one in enumerate(commits, start=len(self._line)))
        self._line += commits

    def verify(self, commits: Sequence[Commit]) -> Publication:
        """Recompute the whole branch.

        Raises:
            Corrupt: kind `published-branch`, `ledger` or another: the first commit that does not recompute.
                What came before it is valid, and named: `valid_tip` and `valid_entries` in its details.
        """
        if len(commits) < 2 or commits[0].id != self._line[0].id:  # noqa: PLR2004 - root and genesis
            raise self._bad("does not begin with the root commit and a genesis entry")
        self.take(commits[0].id)
        publication = self._genesis(commits[0], commits[1])
        for commit in commits[2:]:
            try:
                self.follow(publication, commit)
            except (Corrupt, Invalid, NotFound) as error:
                raise _after(publication, error) from error
        return publication

    def take(self, judged: str) -> None:
        """Advance `main`'s history to a judged commit; never back.

        Raises:
            Corrupt: it is not on `main`'s first-parent line, or before the last judged commit.
        """
        index = self._index.get(judged)
        if index is None or index + 1 < self._taken:
            raise self._bad(f"names {judged[:12]} as judged commit, which is not next on main's line")
        self.history.advance(self._line[self._taken : index + 1])
        self._taken = index + 1

    def follow(self, publication: Publication, commit: Commit) -> None:
        """Verify the next commit of the branch and take it into `publication`.

        Raises:
            Corrupt: it does not recompute; `publication` is unchanged.
        """
        if len(commit.parents) != 2 or commit.parents[0] != publication.tip:  # noqa: PLR2004
            raise self._bad(f"has commit {commit.id[:12]} without the two parents that it must have")
        entry = self._entry(commit, len(publication.entries))
        check_next(publication.entries[-1], entry, self.now)
        if entry.body.judged != commit.parents[1]:
            raise self._bad(f"has an entry {entry.body.sequence} that names another judged commit")
        self.take(commit.parents[1])
        receipt: Signed[Receipt] | None = None
        if entry.body.kind == "policy":
            case = self._policy_entry(publication, entry)
        elif entry.body.kind == "publish":
            case, receipt = self._publish_entry(publication, entry, commit)
        elif entry.body.kind in retraction.KINDS:
            case = self._retraction_entry(publication, entry, commit)
        else:
            raise self._bad(f"has an entry of kind {entry.body.kind}, which belongs at the beginning")
        if commit.message.strip() != f"{entry.body.kind} {entry.body.proposal}":
            raise self._bad(f"has commit {commit.id[:12]} whose message is not its entry")
        said = (entry.body.manifest, entry.body.decisions, entry.body.observations)
        if said != (case.manifest.digest, counted_digests(case), observed_digests(case)):
            raise self._bad(f"has entry {entry.body.sequence} with other decisions than those that count")
        expected = next_blobs(self.history, publication, case, entry.body.kind)
        expected[layout.ledger_path(entry.body.sequence)] = _blob(
            commit, layout.ledger_path(entry.body.sequence)
        )
        if entry.body.receipt is not None:
            expected[layout.receipt_path(case.id)] = _blob(commit, layout.receipt_path(case.id))
        if entry.body.kind == "publish":
            self._require_crate(commit, case)
            made = object_id("blob", crate_of(case, entry.body, expected), len(commit.id))
            expected[layout.crate_path(case.id)] = made
        self._check_changes(publication.blobs, expected, commit)
        self._take_in(publication, commit, case, entry, receipt, expected)

    def _take_in(
        self,
        publication: Publication,
        commit: Commit,
        case: Case,
        entry: Signed[LedgerEntry],
        receipt: Signed[Receipt] | None,
        blobs: dict[str, str],
    ) -> None:
        """The publication after a valid commit."""
        publication.blobs.update(blobs)
        for path in [path for path, blob in blobs.items() if not blob]:
            del publication.blobs[path]
        publication.tip, publication.judged = commit.id, commit.parents[1]
        publication.policy = self.history.policy.digest
        publication.entries.append(entry)
        if entry.body.kind in retraction.KINDS:
            retraction.follow(publication, case, entry)
        if receipt is not None:
            metafiles = {path: blobs[path] for path in case.metafiles()}
            publication.publications[case.id] = Published(case, entry, receipt, metafiles)
            publication.stand(case)

    def _genesis(self, root: Commit, commit: Commit) -> Publication:
        entry = self._entry(commit, 0)
        check_next(None, entry, self.now)
        policy = self.history.policy
        named = (entry.body.policy, entry.body.repository, entry.body.branch)
        empty = (entry.body.proposal, entry.body.manifest, entry.body.receipt, entry.body.judged)
        if (
            named != (policy.digest, self.history.repository, layout.published_name(self.tier))
            or any(empty)
            or entry.body.decisions
            or entry.body.observations
            or not entry.is_about(layout.POLICY, policy.digest)
        ):
            raise self._bad("has a genesis entry of another policy, repository or branch")
        self._check_signer(entry, policy.person_keys(entry.body.actor))
        if entry.body.actor not in policy.governors():
            raise self._bad(f"was begun by {entry.body.actor}, who may not change policy 0")
        if commit.parents != (root.id,) or commit.message.strip() != f"genesis {self.history.repository}":
            raise self._bad("has a genesis commit that is not one")
        before = {change.path: change.blob for change in root.changes}
        path = layout.ledger_path(0)
        expected = {**before, path: _blob(commit, path)}
        self._check_changes(before, expected, commit)
        return Publication(self.tier, commit.id, root.id, policy.digest, expected, [entry])

    def _entry(self, commit: Commit, sequence: int) -> Signed[LedgerEntry]:
        path = layout.ledger_path(sequence)
        try:
            entry = parse(self.history.repo.read(_blob(commit, path), MAX_ENVELOPE), LedgerEntry)
        except (Invalid, NotFound) as error:
            raise self._bad(
                f"has commit {commit.id[:12]} without ledger entry {sequence} ({error})"
            ) from error
        if entry.body.sequence != sequence or entry.body.branch != layout.published_name(self.tier):
            raise self._bad(f"has an entry {sequence} that says it is another one")
        return entry

    def _policy_entry(self, publication: Publication, entry: Signed[LedgerEntry]) -> Case:
        pending = pending_policy(self.history, publication)
        if pending is None or pending.case is None or pending.commit != entry.body.judged:
            raise self._bad(f"has a policy entry {entry.body.sequence} that does not follow a landed policy")
        named = (entry.body.proposal, entry.body.policy, entry.body.receipt)
        about = layout.manifest_path(pending.case.id), pending.case.manifest.digest
        if named != (pending.case.id, pending.policy.digest, None) or not entry.is_about(*about):
            raise self._bad(f"has a policy entry {entry.body.sequence} of another policy")
        self._check_signer(entry, retraction.actor_keys(self.history.policy, entry.body.actor))
        return pending.case

    def _publish_entry(
        self, publication: Publication, entry: Signed[LedgerEntry], commit: Commit
    ) -> tuple[Case, Signed[Receipt]]:
        body = entry.body
        case = self.history.cases.get(body.proposal or "")
        if case is None:
            raise self._bad(f"publishes {body.proposal}, which is not on main")
        problem = publish_problem(self.history, publication, case, parse_time(body.time))
        if problem:
            raise self._bad(f"publishes {case.id}, but {problem}")
        node = case.manifest.body.node or ""
        keys = self.history.policy.node_keys(node)
        if body.actor != node or body.policy != self.history.policy.digest:
            raise self._bad(f"publishes {case.id} in another's name or under another policy")
        self._check_signer(entry, keys)
        receipt = parse(
            self.history.repo.read(_blob(commit, layout.receipt_path(case.id)), MAX_ENVELOPE), Receipt
        )
        if receipt.digest != body.receipt or not receipt.envelope.signed_by(keys):
            raise self._bad(f"has a receipt of {case.id} that its node did not sign")
        said = (receipt.body.manifest, receipt.body.judged, receipt.body.node, receipt.body.tier)
        about = layout.manifest_path(case.id), case.manifest.digest
        if (
            said != (case.manifest.digest, body.judged, node, self.tier)
            or receipt.body.repository != self.history.repository
            or not receipt.is_about(*about)
            or not entry.is_about(*about)
        ):
            raise self._bad(f"has a receipt of {case.id} about something else")
        if not _complete(receipt.body, case):
            raise self._bad(f"has a receipt of {case.id} that does not account for all its artifacts")
        return case, receipt

    def _retraction_entry(self, publication: Publication, entry: Signed[LedgerEntry], commit: Commit) -> Case:
        body = entry.body
        case = self.history.cases.get(body.proposal or "")
        if case is None:
            raise self._bad(f"has an entry {body.sequence} about {body.proposal}, which is not on main")
        problem = retraction.problem(self.history, publication, case, body.kind, parse_time(body.time))
        if problem:
            raise self._bad(f"has an entry {body.sequence} ({body.kind}) of {case.id}, but {problem}")
        keys = retraction.retractor_keys(self.history.policy, case, body.actor)
        self._check_signer(entry, keys)
        about = layout.manifest_path(case.id), case.manifest.digest
        if body.policy != self.history.policy.digest or not entry.is_about(*about):
            raise self._bad(f"has an entry {body.sequence} under another policy, or about something else")
        if (body.receipt is None) != (body.kind != "erased"):
            raise self._bad(f"has an entry {body.sequence} with a receipt too many, or without one")
        if body.kind == "erased":
            data = self.history.repo.read(_blob(commit, layout.receipt_path(case.id)), MAX_ENVELOPE)
            receipt = parse(data, Erasure)
            said = (receipt.body.manifest, receipt.body.judged, receipt.body.actor, receipt.body.tier)
            if (
                receipt.digest != body.receipt
                or not receipt.envelope.signed_by(keys)
                or said != (case.manifest.digest, body.judged, body.actor, self.tier)
                or receipt.body.repository != self.history.repository
                or not receipt.is_about(*about)
                or not retraction.accounts(receipt.body, case)
            ):
                raise self._bad(f"has a receipt of {case.id} that is not one of its erasure")
        return case

    @guard(17, 34)
    def _check_signer(self, entry: Signed[LedgerEntry], keys: tuple[str, ...]) -> None:
        if not entry.envelope.signed_by(keys):
            raise self._bad(f"has entry {entry.body.sequence} that {entry.body.actor} did not sign")

    @guard(34)
    def _check_changes(self, before: dict[str, str], after: dict[str, str], commit: Commit) -> None:
        found = {change.path: (change.mode if change.blob else "", change.blob) for change in commit.changes}
        changed = {path: blob for path, blob in after.items() if before.get(path, "") != blob}
        wanted = {path: (_REGULAR if blob else "", blob) for path, blob in changed.items()}
        if found != wanted:
            paths = found.keys() | wanted.keys()
            odd = sorted(path for path in paths if found.get(path) != wanted.get(path))[:3]
            raise self._bad(f"has commit {commit.id[:12]} that changes something else: {', '.join(odd)}")

    def _require_crate(self, commit: Commit, case: Case) -> None:
        path = layout.crate_path(case.id)
        if not any(change.path == path for change in commit.changes):
            made = "as development versions before format 1 wrote them"
            raise self._bad(f"has commit {commit.id[:12]} without {path}, {made}")

    def _bad(self, problem: str) -> Corrupt:
        return Corrupt(
            f"The branch {layout.published_name(self.tier)} {problem}.",
            kind="published-branch",
            why="What is published does not follow from what was approved.",
            mend="Trust nothing after the last valid commit; an administrator moves the branch back to it.",
        )


def next_blobs(history: History, publication: Publication, case: Case, kind: EntryKind) -> dict[str, str]:
    """What the next commit's tree must hold beside all that it held, but its ledger entry and receipt.

    An empty blob: it must not be there any more.
    """
    blobs = dict(history.policies[-1].blobs)
    if case.manifest.body.kind == "publish":
        blobs.update({path: history.tree[path][1] for path in case.metafiles()})
    retraction.change_tree(publication, case, kind, blobs)
    blobs[layout.manifest_path(case.id)] = case.blob
    for chain in chains(case).values():
        blobs.update({one.path: one.blob for one in chain})
    blobs.update({one.path: one.blob for one in case.counted_observations()})
    return blobs


def crate_of(case: Case, entry: LedgerEntry, blobs: Iterable[str]) -> bytes:
    """The RO-Crate of a publication, which stands beside its record.

    Args:
        case: What is published.
        entry: Its ledger entry.
        blobs: The paths of what the commit holds; those in the proposal's folder are the record.
    """
    folder = layout.folder(case.id)
    counted = sorted((one for chain in chains(case).values() for one in chain), key=lambda one: one.path)
    decisions = [(one.path.removeprefix(folder), one.decision.body) for one in counted]
    held = {one.removeprefix(folder) for one in blobs if one.startswith(folder)}
    records = sorted(held | {layout.receipt_path(case.id).removeprefix(folder)})
    names = {one.sighting.digest: one.path.removeprefix(folder) for one in case.counted_observations()}
    reviews = [([names[each.digest] for each in one.by], one) for _, one in sorted(case.said().items())]
    policy = case.policy
    return crate(
        Facts(case.id, case.manifest, policy.form, policy.digest, decisions, entry, records, reviews)
    )


def counted_digests(case: Case) -> tuple[str, ...]:
    """The digests of the decisions that count, in the order of their paths."""
    counted = [one for chain in chains(case).values() for one in chain]
    return tuple(one.decision.digest for one in sorted(counted, key=lambda one: one.path))


def observed_digests(case: Case) -> tuple[str, ...]:
    """The digests of the observations that count, in the order of their paths."""
    return tuple(one.sighting.digest for one in case.counted_observations())


def pending_policy(history: History, publication: Publication) -> Adopted | None:
    """The first effective policy that this branch has no entry for, if there is one."""
    digests = [adopted.policy.digest for adopted in history.policies]
    position = digests.index(publication.policy) + 1
    return history.policies[position] if position < len(digests) else None


@guard(9, 10, 12, 16, 19)
def publish_problem(history: History, publication: Publication, case: Case, when: datetime) -> str:
    """Why this case may not be published next at `history`'s tip, or empty (I1, I2, I7)."""
    if case.manifest.body.kind != "publish" or case.manifest.body.tier != publication.tier:
        return f"it is not for tier {publication.tier}"
    if case.id in publication.publications:
        return "it is published already"
    if publication.policy != history.policy.digest:
        return "the branch has no entry for the effective policy yet"
    found = state(case, when, drift=history.drift())
    if found is not State.LANDED:
        return f"it is {found}"
    for path in (one.removesuffix(".dvc") for one in case.metafiles()):
        other = publication.occupied.clash(path)
        if other is not None:
            return f"{other} and {path} clash"
    taken = retraction.held_back(publication, (key for key, _ in case.objects()))
    if taken is not None:
        return f"retraction {taken.case.id[:12]} of something in it is still open"
    held = windows.window_problem(history.policy, case.manifest.body, when)
    return frozen(history, case.manifest.body, publication.tier) or held


@guard(27)
def _complete(receipt: Receipt, case: Case) -> bool:
    """Does the receipt account for every artifact of the manifest, with all its bytes?"""
    wanted = [(one.path, one.size) for one in case.manifest.body.artifacts]
    counted = all(
        one.objects == one.copied + one.found and one.objects > 0 and one.copied == sum(one.ways.values())
        for one in receipt.artifacts
    )
    return counted and [(one.path, one.size) for one in receipt.artifacts] == wanted


def _after(publication: Publication, error: PlacetError) -> Corrupt:
    """The error of a branch that recomputes up to `publication` and no further: validity is a prefix's."""
    entries = len(publication.entries)
    return Corrupt(
        error.what,
        kind=error.kind,
        why=f"{error.why} Its {entries} entries up to commit {publication.tip} are valid.".strip(),
        mend="Trust nothing after that commit; an administrator moves the branch back to it.",
        details={"valid_tip": publication.tip, "valid_entries": entries},
    )


def _blob(commit: Commit, path: str) -> str:
    for change in commit.changes:
        if change.path == path and change.blob:
            return change.blob
    raise Corrupt(f"Commit {commit.id[:12]} does not add {path}.", kind="published-branch")
