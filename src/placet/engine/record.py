"""One more entry of a ledger: its statement, its commit and the compare-and-swap of the published branch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from placet.core import layout
from placet.core.predicates import EntryKind, Erasure, LedgerEntry, Receipt
from placet.core.statement import Signed, format_time, subject
from placet.engine.cases import Case
from placet.engine.history import History
from placet.engine.published import Publication, counted_digests, crate_of, next_blobs, observed_digests
from placet.errors import Invalid
from placet.ports import RefUpdate, Repo, Signer, TreeEntry


@dataclass(frozen=True, slots=True)
class Actor:
    """Who signs an entry: a node or a person, by name."""

    name: str
    signer: Signer


def entry_time(publication: Publication, now: datetime) -> str:
    """The time that the next entry names: now, and never before the entry that it follows."""
    return max(format_time(now), publication.entries[-1].body.time)


def record(
    repo: Repo,
    history: History,
    publication: Publication,
    case: Case,
    *,
    kind: EntryKind,
    receipt: Signed[Receipt] | Signed[Erasure] | None,
    actor: Actor,
    now: datetime,
    last: Callable[[], None] | None = None,
) -> str:
    """Write the ledger entry and move the published branch, in one commit and one push. Atomic.

    `last` is called just before the push, and may refuse.

    Raises:
        Conflict: kind `ref-moved`: somebody else was faster; load again and decide again.
        Refused, Unavailable: the server's.
    """
    before = publication.entries[-1]
    if history.tip is None:
        raise Invalid("The Ctrl repository is empty.", kind="no-main")
    body = LedgerEntry(
        repository=history.repository,
        time=entry_time(publication, now),
        branch=publication.branch,
        sequence=before.body.sequence + 1,
        previous=before.digest,
        kind=kind,
        proposal=case.id,
        manifest=case.manifest.digest,
        decisions=counted_digests(case),
        policy=history.policy.digest,
        receipt=receipt.digest if receipt else None,
        judged=history.tip,
        actor=actor.name,
        observations=observed_digests(case),
    )
    about = subject(layout.manifest_path(case.id), case.manifest.digest)
    entry = Signed.make((about,), body, (actor.signer.public, actor.signer.sign))
    wanted = next_blobs(history, publication, case, kind)
    changes: dict[str, bytes | TreeEntry | None] = {
        path: TreeEntry("100644", blob, 0) if blob else None
        for path, blob in wanted.items()
        if publication.blobs.get(path, "") != blob
    }
    changes[layout.ledger_path(body.sequence)] = entry.envelope.to_bytes()
    if kind == "publish":
        changes[layout.crate_path(case.id)] = crate_of(case, body, wanted)
    if receipt is not None:
        changes[layout.receipt_path(case.id)] = receipt.envelope.to_bytes()
    commit = repo.commit(
        publication.tip,
        changes,
        parents=[publication.tip, history.tip],
        message=f"{kind} {case.id}",
        author=actor.name,
        when=now,
    )
    if last is not None:
        last()
    repo.push([RefUpdate(layout.published_ref(publication.tier), publication.tip, commit)])
    return commit
