"""The parts of a proposal as a person reads them; the whole is `placet.engine.detail`'s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from placet.core.predicates import Comment
from placet.core.sightings import Sighting, counted, person_of
from placet.core.states import State
from placet.engine.cases import Case


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
    """One decision as a person reads it.

    Attributes:
        seen: What counts as seen: bytes only if the decision names the digest of all bytes.
        digests: How many digests the decision names as seen.
        counts: Part of an unbroken chain, under the policy that the proposal is judged by.
        expired: An approval whose time is over.
    """

    person: str
    organisation: str
    verdict: str
    seen: str
    digests: int
    role: str
    comment: str
    comments: tuple[Comment, ...]
    time: str
    expires: str | None
    n: int
    digest: str
    counts: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class ObservationView:
    """One observation as a person reads it: what a witness says that it saw on a forge.

    Attributes:
        person: Whose account the policy says it is, or empty.
        counts: It is the witness's last word about the account, and what the policy lets count.
    """

    witness: str
    organisation: str
    forge: str
    user: int
    person: str
    review: int
    commit: str
    verdict: str
    time: str
    n: int
    digest: str
    counts: bool


@dataclass(frozen=True, slots=True)
class RemarkView:
    """What somebody wrote on the forge, as the forge tells it now: unsigned, and it decides nothing."""

    account: int
    login: str
    person: str
    verdict: str
    text: str
    time: str


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody whose approval could count, and what they have said so far.

    Attributes:
        sees: The most that policy shows to them.
        forges: Forge -> their account's immutable id there.
        verdict: Of their last decision, or empty.
        seen: What they had before them then, or empty.
        standing: The decision counts now: it is theirs, it is the last, and it has not expired.
        told: What they said on a forge, by the word of a witness, where that counts.
    """

    person: str
    name: str
    organisation: str
    groups: tuple[str, ...]
    sees: str
    forges: Mapping[str, int]
    verdict: str
    seen: str
    standing: bool
    told: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """An earlier or later proposal of the same thing, and with which words it ended."""

    id: str
    state: State
    proposed: str
    manifest: str
    words: tuple[str, ...]


def observations(case: Case) -> Iterator[ObservationView]:
    """What witnesses say that they saw, each in its order."""
    policy = case.policy
    known_words = counted(policy, case.manifest.body, (one.sighting for one in case.observations))
    last = {_about(one): one.digest for chain in known_words.values() for one in chain}
    for one in sorted((one.sighting for one in case.observations), key=lambda one: one.body.n):
        body = one.body
        known = policy.form.witnesses.get(body.witness)
        yield ObservationView(
            witness=body.witness,
            organisation=known.organisation if known else "",
            forge=body.forge,
            user=body.user,
            person=person_of(policy, body.forge, body.user) or "",
            review=body.review,
            commit=body.commit,
            verdict=body.verdict,
            time=body.time,
            n=body.n,
            digest=one.digest,
            counts=last.get(_about(one)) == one.digest,
        )


def _about(one: Sighting) -> tuple[str, str, int]:
    return one.body.witness, one.body.forge, one.body.user
