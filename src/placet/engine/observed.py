"""What makes an observation one of a proposal: judged alike by the gate, by agents and by `verify`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from placet.core import layout
from placet.core.guards import guard
from placet.core.policy import Policy
from placet.core.sightings import Said, Sighting
from placet.engine.cases import Case, attested
from placet.errors import Corrupt, Invalid

FORGE = "forge-attested"


def require_observation(
    sighting: Sighting, path: str, case: Case, repository: str, policies: Iterable[Policy]
) -> None:
    """Is it at its place, about this proposal and its content, and signed under every given policy?

    Raises:
        Invalid: kinds `observation-name`, `observation-subject`, `observation-content`.
        Corrupt: kind `observation-signature`.
    """
    _require_about(sighting, path, case, repository)
    _require_content(sighting, path, case)
    for policy in policies:
        _require_witness(sighting, path, policy)


@guard(16)
def _require_about(sighting: Sighting, path: str, case: Case, repository: str) -> None:
    body = sighting.body
    if path != layout.observation_path(case.id, body.witness, body.n):
        raise Invalid(f"{path} does not hold the observation of its name.", kind="observation-name")
    file = layout.manifest_path(case.id)
    named = (body.repository, body.manifest) == (repository, case.manifest.digest)
    if not named or not sighting.is_about(file, case.manifest.digest):
        raise Invalid(f"{path} is about another manifest or repository.", kind="observation-subject")


@guard(10)
def _require_content(sighting: Sighting, path: str, case: Case) -> None:
    """What was reviewed is what is proposed, whatever commit it was on."""
    if sighting.body.content != case.content:
        raise Invalid(f"{path} is about other content than the proposal's.", kind="observation-content")


@guard(18, 20, 38)
def _require_witness(sighting: Sighting, path: str, policy: Policy) -> None:
    """Only keys of the policy's witnesses sign observations: no node's, no person's, no forge's."""
    if not sighting.envelope.signed_by(policy.witness_keys(sighting.body.witness)):
        raise Corrupt(
            f"{path} is not signed by a key of {sighting.body.witness}.", kind="observation-signature"
        )


def told_by(said: Said) -> str:
    """On whose word it rests that somebody said something on a forge."""
    words = (f"{one.body.forge} review {one.body.review}, attested by {one.body.witness}" for one in said.by)
    return "; ".join(words)


def approvals(case: Case) -> Iterator[str]:
    """Who approved a proposal, having seen what; on a forge, by whose word."""
    given = [one.decision.body for one in case.decisions if one.decision.body.verdict == "approve"]
    yield from dict.fromkeys(f"{one.person} ({one.seen.level})" for one in given)
    told = case.said()
    yield from (f"{person} ({FORGE}: {told_by(told[person])})" for person in attested(case))
