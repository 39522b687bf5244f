"""Begin a Ctrl repository (policy 0 and the genesis of each published branch), or a new tier in one."""

from __future__ import annotations

from datetime import datetime

from placet.core import layout
from placet.core.policy import Policy
from placet.core.predicates import LedgerEntry
from placet.core.statement import Signed, format_time, subject
from placet.errors import Refused
from placet.ports import RefUpdate, Repo, Signer


def begin(repo: Repo, policy: Policy, signer: Signer, now: datetime) -> str:
    """Push the root commit and one genesis entry a tier to an empty Ctrl repository. Atomic.

    Returns:
        The digest of policy 0: every party's `trust_root`.

    Raises:
        Refused: kind `not-a-governor`: the key belongs to nobody who may change this policy.
    """
    person = _governor(policy, signer)
    files: dict[str, bytes] = dict(policy.derived())
    root = repo.commit(
        None, {**files}, parents=[], message=f"policy {policy.form.repository}", author=person, when=now
    )
    updates = [RefUpdate(layout.MAIN, None, root)]
    for tier in policy.form.tiers:
        commit = _genesis(repo, root, policy, tier, signer, now)
        updates.append(RefUpdate(layout.published_ref(tier), None, commit))
    repo.push(updates)
    return policy.digest


def begin_tier(repo: Repo, root: str, policy: Policy, tier: str, signer: Signer, now: datetime) -> str:
    """Push the genesis of one more published branch; returns its commit. Atomic.

    Args:
        repo: The party's own copy.
        root: `main`'s first commit.
        policy: Policy 0, whose governors may begin a branch.
        tier: The tier's name, which the effective policy knows.
        signer: The key of such a governor.
        now: The entry's time.
    """
    _governor(policy, signer)
    commit = _genesis(repo, root, policy, tier, signer, now)
    repo.push([RefUpdate(layout.published_ref(tier), None, commit)])
    return commit


def _governor(policy: Policy, signer: Signer) -> str:
    person = policy.person_of(signer.public)
    if person is None or person not in policy.governors():
        raise Refused(
            "This key belongs to nobody who may change the policy.",
            kind="not-a-governor",
            why=f"The key is {signer.public}.",
            mend="Sign with the key of a member of a group in governance.policy.",
        )
    return person


def _genesis(repo: Repo, root: str, policy: Policy, tier: str, signer: Signer, now: datetime) -> str:
    person = _governor(policy, signer)
    body = LedgerEntry(
        repository=policy.form.repository,
        time=format_time(now),
        branch=layout.published_name(tier),
        sequence=0,
        previous=None,
        kind="genesis",
        proposal=None,
        manifest=None,
        decisions=(),
        policy=policy.digest,
        receipt=None,
        judged=None,
        actor=person,
    )
    entry = Signed.make((subject(layout.POLICY, policy.digest),), body, (signer.public, signer.sign))
    return repo.commit(
        root,
        {layout.ledger_path(0): entry.envelope.to_bytes()},
        parents=[root],
        message=f"genesis {policy.form.repository}",
        author=person,
        when=now,
    )
