"""What people said on forges, by the word of witnesses: observations, made to verdicts. Pure.

The forge's word is evidence: it becomes somebody's verdict only if a witness of the policy signed it, about
this manifest and its content, and only where a rule accepts that (`placet.core.assent`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from placet.core.assent import witnesses
from placet.core.digest import sha256_hex
from placet.core.guards import guard
from placet.core.policy import Policy
from placet.core.predicates import Manifest, Observation, Word
from placet.core.statement import Signed
from placet.core.sums import encode_sums

Sighting = Signed[Observation]


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said on a forge, and the observations that it rests on."""

    person: str
    verdict: Literal["approve", "return"]
    by: tuple[Sighting, ...]


def content_digest(files: Mapping[str, str]) -> str:
    """The content of a proposal, as an observation names it.

    Args:
        files: Path in the Ctrl repository -> SHA-256 of what must be there (of the manifest: of its payload).
    """
    return sha256_hex(encode_sums(files.items()))


@guard(34)
def unbroken(sightings: Iterable[Sighting]) -> dict[str, list[Sighting]]:
    """Each witness's observations in order, where they form one unbroken chain from 1, as decisions do."""
    by_witness: dict[str, list[Sighting]] = defaultdict(list)
    for one in sightings:
        by_witness[one.body.witness].append(one)
    out = {}
    for witness, given in sorted(by_witness.items()):
        given.sort(key=lambda one: one.body.n)
        before: str | None = None
        for number, one in enumerate(given, start=1):
            if (one.body.n, one.body.previous) != (number, before):
                break
            before = one.digest
        else:
            out[witness] = given
    return out


def counted(policy: Policy, manifest: Manifest, sightings: Iterable[Sighting]) -> dict[str, list[Sighting]]:
    """The unbroken chains of the witnesses whose word may count about this manifest."""
    allowed = witnesses(policy, manifest)
    return {name: chain for name, chain in unbroken(sightings).items() if name in allowed}


def said(policy: Policy, manifest: Manifest, sightings: Iterable[Sighting]) -> dict[str, Said]:
    """Person -> what they said. Nothing is said where witnesses differ about an approval."""
    last: dict[tuple[str, int], dict[str, Sighting]] = defaultdict(dict)
    for witness, chain in counted(policy, manifest, sightings).items():
        for one in chain:
            if reads(policy, witness, one.body.forge):
                last[one.body.forge, one.body.user][witness] = one
    out: dict[str, Said] = {}
    for (forge, user), words in sorted(last.items()):
        person = person_of(policy, forge, user)
        verdict = together([_word(policy, one) for one in words.values()])
        if person is None or verdict == "none":
            continue
        known = out.get(person)
        if known is None or (known.verdict, verdict) == ("approve", "return"):
            out[person] = Said(person, verdict, tuple(words.values()))
    return out


@guard(38)
def reads(policy: Policy, witness: str, forge: str) -> bool:
    """Is this a forge of which the witness may speak?"""
    return forge in policy.form.witnesses[witness].forges


@guard(18, 20)
def person_of(policy: Policy, forge: str, user: int) -> str | None:
    """Whose account is it? By its immutable number: a name on a forge means nothing."""
    people = policy.form.people.items()
    return next((name for name, person in people if person.forges.get(forge) == user), None)


@guard(10)
def together(words: Iterable[Word]) -> Word:
    """What the last words of witnesses about one account come to: any one's objection, or all's approval."""
    found = set(words)
    if "return" in found:
        return "return"
    return "approve" if found == {"approve"} else "none"


@guard(11, 16)
def _word(policy: Policy, one: Sighting) -> Word:
    """An approval counts under the policy that it names; an objection always."""
    stale = one.body.verdict == "approve" and one.body.policy != policy.digest
    return "none" if stale else one.body.verdict
