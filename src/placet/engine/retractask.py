"""Ask for a retraction: the proposal that takes back what was published (design 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from placet.core import layout
from placet.core.predicates import Artifact, Manifest
from placet.core.provenance import Provenance
from placet.core.statement import format_time, subject
from placet.engine.cases import Case
from placet.engine.ctrl import View
from placet.engine.propose import Proposed, push_proposal, refuse_hopeless
from placet.engine.publication import Edition
from placet.errors import Conflict, Invalid, NotFound, Refused
from placet.ports import Signer


def propose_retraction(
    view: View,
    target: str,
    signer: Signer,
    *,
    node: str | None,
    person: str | None,
    tier: str,
    reason: str,
    emergency: bool,
    now: datetime,
) -> Proposed:
    """Sign and push a proposal that takes back what was published. Idempotent, atomic.

    The same party's same request, in the same words, is the one that was made before, however far that is.

    Args:
        view: The Ctrl repository.
        target: A published proposal by its id (all its artifacts), or the path of what stands published, or
            of a folder of such.
        signer: The key of the node or person.
        node: Who retracts, if the owning node does.
        person: Who retracts, if a person does.
        tier: The publication tier where a path is looked for.
        reason: Why; everybody reads it.
        emergency: Hide it at once, by one person alone.
        now: The time.

    Raises:
        Invalid: kind `no-comment`: no reason is given.
        NotFound: kinds `no-proposal`, `not-published`.
        Conflict: kind `retracted`: it is taken back already, or being so.
        Refused: kinds `policy`, `not-a-retractor`.
    """
    if not reason.strip():
        raise Invalid("A retraction needs a reason.", kind="no-comment", mend="Give it with -m.")
    try:
        found = _select(view, target, tier)
    except (Conflict, NotFound):
        before = _asked_before(view, target, tier, (person or node, reason, emergency))
        if before is None:
            raise
        branch = layout.proposal_ref(before.id)
        return Proposed(before.id, view.state(before, now), created=False, branch=branch)
    first = view.history.cases[found[0].proposal].manifest.body
    if any(view.history.cases[one.proposal].manifest.body.node != first.node for one in found):
        raise Refused(
            f"{target} holds artifacts of several nodes.", kind="several-nodes", mend="Retract one by one."
        )
    digests = {one.proposal: view.history.cases[one.proposal].manifest.digest for one in found}
    found.sort(key=lambda one: (one.metafile, one.proposal))
    subjects = tuple(
        subject(one.metafile.removesuffix(".dvc"), one.sha256, directory=one.artifact.dir is not None)
        for one in found
    )
    policy = view.history.policy
    body = Manifest(
        repository=view.history.repository,
        time=format_time(now),
        kind="retract",
        node=first.node,
        person=person,
        project=policy.form.project,
        tier=first.tier,
        artifacts=tuple(_named(one, digests[one.proposal]) for one in found),
        policy=policy.digest,
        follows=_follows(view, found, digests),
        checks=(),
        provenance=Provenance(),
        message=reason,
        expires=format_time(now + timedelta(days=policy.form.governance.expires_days)),
        emergency=emergency,
    )
    _require_signer(view, body, node, person, signer)
    refuse_hopeless(view, body)
    landed = view.history.last_landed
    gone = {one.metafile for one in found if landed.get(one.metafile) == digests[one.proposal]}
    files = dict.fromkeys(gone & view.history.tree.keys())
    return push_proposal(view, subjects, body, files=files, signer=signer, now=now)


def _select(view: View, target: str, tier: str) -> list[Edition]:
    publication = view.publications.get(tier)
    name = target.rstrip("/").removesuffix(".dvc")
    here = sorted(publication.current.items()) if publication else []
    hits = [one for one in here if layout.at_or_below(one[0].removesuffix(".dvc"), name)]
    if hits and publication:
        return [one for path, ident in hits for one in publication.editions(ident) if one.metafile == path]
    case = view.find(target)
    publication = view.publications.get(case.manifest.body.tier or "")
    if publication is None or case.id not in publication.publications:
        raise NotFound(
            f"Proposal {case.id[:12]} is not published.",
            kind="not-published",
            mend=f"What has not been published is withdrawn: placet withdraw {case.id[:12]}",
        )
    editions = list(publication.editions(case.id))
    left = [one for one in editions if publication.retracted(one.proposal, one.metafile) is None]
    if not left:
        known = publication.retracted(case.id, editions[0].metafile)
        assert known is not None  # noqa: S101 - nothing is left because of it
        raise Conflict(
            f"Proposal {case.id[:12]} was {known.reason}",
            kind="retracted",
            mend=f"To go on with it: placet retract {known.case.id[:12]}. To confirm it: placet approve.",
        )
    return left


def _asked_before(view: View, target: str, tier: str, words: tuple[str | None, str, bool]) -> Case | None:
    """The last retraction of exactly this by the same party in the same words, if it is recorded."""
    name = target.rstrip("/").removesuffix(".dvc")
    meant = {case.manifest.digest for ident, case in view.history.cases.items() if ident.startswith(target)}
    found = None
    for publication in view.publications.values():
        for case in (one.case for one in publication.retractions.values()):
            body = case.manifest.body
            paths = [path.removesuffix(".dvc") for path, _ in case.takes()]
            below = publication.tier == tier and all(layout.at_or_below(path, name) for path in paths)
            same = (body.person or body.node, body.message, body.emergency) == words
            if same and (below or {digest for _, digest in case.takes()} == meant):
                found = case
    return found


def _named(edition: Edition, digest: str) -> Artifact:
    return msgspec.structs.replace(edition.artifact, previous=digest)


def _follows(view: View, found: Sequence[Edition], digests: Mapping[str, str]) -> str | None:
    """The retraction of the same that nobody confirmed in time, if there was one."""
    for one in found:
        before = view.history.retracted.get((one.metafile, digests[one.proposal]))
        if before is not None:
            return before
    return None


def _require_signer(view: View, body: Manifest, node: str | None, person: str | None, signer: Signer) -> None:
    """Say early what everybody else would refuse."""
    keys = view.history.policy.person_keys(person) if person else view.history.policy.node_keys(node or "")
    if (person is None and node != body.node) or signer.public not in keys:
        raise Refused(
            f"{person or node} may not retract what {body.node} published, or not with this key.",
            kind="not-a-retractor",
            mend="The owning node may, and the groups that governance.retract names in the policy.",
        )
