"""Checkpoints: how long somebody saw a ledger, signed; comparing them proves forks (threats 14, 34)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from placet.core import layout
from placet.core.guards import guard
from placet.core.ledger import contradict, holds
from placet.core.policy import Policy
from placet.core.predicates import Checkpoint, LedgerEntry
from placet.core.statement import Signed, format_time, parse, subject
from placet.engine.ctrl import View
from placet.engine.published import Publication
from placet.errors import Corrupt, Invalid, Refused
from placet.ports import Signer

Verdict = Literal["same", "consistent", "ahead", "fork"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One checkpoint as it was given; `standing` is how it stands to the ledger at hand."""

    name: str
    by: tuple[str, ...]
    branch: str
    sequence: int
    entry: str
    time: str
    standing: Literal["holds", "ahead", "fork"]


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing checkpoints showed.

    Attributes:
        verdict: `same`: all name one entry. `consistent`: all are in the ledger at hand. `ahead`: one names
            an entry that the ledger at hand has not, so nothing is proven. `fork`: two histories were shown.
        proofs: For a fork, what contradicts what, in words.
    """

    verdict: Verdict
    branch: str
    entries: int
    checkpoints: tuple[Seen, ...]
    proofs: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """All checkpoints are of one history, which is the one at hand."""
        return self.verdict in {"same", "consistent"}


def make_checkpoint(
    view: View, publication: Publication, signer: Signer, now: datetime
) -> Signed[Checkpoint]:
    """Sign how long the ledger of a branch is, and its last entry.

    Raises:
        Refused: kind `unknown-key`: the effective policy does not know the key, so nobody could check it.
    """
    last = publication.entries[-1]
    body = Checkpoint(
        repository=view.history.repository,
        time=format_time(now),
        branch=publication.branch,
        sequence=last.body.sequence,
        entry=last.digest,
    )
    about = subject(layout.ledger_path(last.body.sequence), last.digest)
    made = Signed.make((about,), body, (signer.public, signer.sign))
    if not signers(view.history.policy, made):
        raise Refused(
            "The effective policy does not know this key, neither of a person nor of a node.",
            kind="unknown-key",
            why=f"The key is {signer.public}.",
            mend="Use the key that the policy has.",
        )
    return made


@guard(14, 34)
def signers(policy: Policy, checkpoint: Signed[Checkpoint]) -> tuple[str, ...]:
    """The people and nodes of a policy who signed a checkpoint."""
    people = ((name, policy.person_keys(name)) for name in policy.form.people)
    nodes = ((f"node {name}", policy.node_keys(name)) for name in policy.form.nodes)
    return tuple(name for name, keys in itertools.chain(people, nodes) if checkpoint.envelope.signed_by(keys))


def read_checkpoint(data: bytes) -> Signed[Checkpoint]:
    """A checkpoint from its file; proves no signature.

    Raises:
        Invalid: kinds `envelope`, `json`, `statement`; kind `checkpoint`: it is about something else.
    """
    found = parse(data, Checkpoint)
    body = found.body
    if not found.is_about(layout.ledger_path(body.sequence), body.entry):
        raise Invalid("The checkpoint does not name the entry that it is about.", kind="checkpoint")
    return found


def compare(view: View, files: Mapping[str, bytes]) -> Compared:
    """Do these checkpoints belong to one history, and is it the ledger at hand?

    Two that name different entries for one place prove a fork by themselves; others are compared with the
    ledger at hand.

    Args:
        view: The repository: its effective policy says whose signatures count.
        files: Name -> bytes, at least one.

    Raises:
        Invalid: kind `checkpoint`: one is of another repository, or they are of different branches.
        Corrupt: kind `checkpoint-signature`: one is signed by nobody whom the effective policy knows.
    """
    found = {name: read_checkpoint(data) for name, data in files.items()}
    for name, one in found.items():
        _check(view, name, one)
    branches = {one.body.branch for one in found.values()}
    publications = {one.branch: one for one in view.publications.values()}
    if len(branches) != 1 or not branches <= publications.keys():
        raise Invalid(
            "The checkpoints are not of one branch that is here.",
            kind="checkpoint",
            why=f"They are of {', '.join(sorted(branches))}.",
            mend="Compare those of one branch.",
        )
    entries = publications[next(iter(branches))].entries
    seen = tuple(_seen(view, name, one, entries) for name, one in found.items())
    proofs = tuple(_proofs(found, seen))
    return Compared(_verdict(seen, proofs), branches.pop(), len(entries), seen, proofs)


def _check(view: View, name: str, one: Signed[Checkpoint]) -> None:
    if one.body.repository != view.history.repository:
        raise Invalid(f"{name} is a checkpoint of another repository.", kind="checkpoint")
    if not signers(view.history.policy, one):
        raise Corrupt(
            f"{name} is signed by nobody whom the effective policy knows.",
            kind="checkpoint-signature",
            mend="Ask for one that is signed with a key of the policy.",
        )


def _seen(view: View, name: str, one: Signed[Checkpoint], entries: Sequence[Signed[LedgerEntry]]) -> Seen:
    body = one.body
    standing: Literal["holds", "ahead", "fork"] = "fork"
    if body.sequence >= len(entries):
        standing = "ahead"
    elif holds(body, entries):
        standing = "holds"
    by = signers(view.history.policy, one)
    return Seen(name, by, body.branch, body.sequence, body.entry, body.time, standing)


def _proofs(found: Mapping[str, Signed[Checkpoint]], seen: Sequence[Seen]) -> Iterator[str]:
    for (name, one), (other, two) in itertools.combinations(found.items(), 2):
        if contradict(one.body, two.body):
            yield f"{name} and {other} name different entries {one.body.sequence}: the files alone prove it"
    for each in seen:
        if each.standing == "fork":
            yield f"{each.name} names another entry {each.sequence} than the ledger here"


def _verdict(seen: Sequence[Seen], proofs: Sequence[str]) -> Verdict:
    if proofs:
        return "fork"
    if any(one.standing == "ahead" for one in seen):
        return "ahead"
    return "same" if len({one.entry for one in seen}) == 1 else "consistent"
