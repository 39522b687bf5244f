"""What a ledger says as lineage events: publications made datasets, retractions dropped them.

A pure function of a view and of what was told already. The same entry always makes the same event, so that
to tell it again does no harm.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping

from placet.core import layout
from placet.core.lineageevent import Change, Dataset, LineageEvent
from placet.core.predicates import Artifact, LedgerEntry
from placet.core.provenance import Resource
from placet.engine.cases import Case, assents, attested
from placet.engine.ctrl import View
from placet.engine.observed import FORGE
from placet.engine.publication import Edition, Publication

_NAME = 200
_PLACE = re.compile(r"([a-z][a-z0-9+.-]*(?:://[^/]*)?):?(.*)")


def lineage_events(view: View, told: Mapping[str, int]) -> Iterator[LineageEvent]:
    """What is new in the ledgers, in their order.

    Args:
        view: The Ctrl repository.
        told: Branch -> how many entries of its ledger were told.
    """
    for publication in view.publications.values():
        entries = publication.entries
        begun: set[str] = set()
        for place, entry in enumerate(entries):
            body = entry.body
            case = view.history.cases.get(body.proposal or "")
            again = body.kind == "retract" and (body.proposal or "") in begun
            if body.kind == "retract":
                begun.add(body.proposal or "")
            if case is None or again or place < told.get(publication.branch, 0):
                continue
            outputs = tuple(_outputs(publication, case, body))
            if outputs:
                yield _event(case, body, outputs)


def _event(case: Case, entry: LedgerEntry, outputs: tuple[Dataset, ...]) -> LineageEvent:
    body = case.manifest.body
    origin = body.provenance
    made = entry.kind == "publish"
    name = origin.asset or case.paths[0]
    about = f"urn:placet:{entry.repository}:{entry.branch}:{entry.sequence}"
    verb = "" if made else f"{entry.kind}."
    return LineageEvent(
        branch=entry.branch,
        sequence=entry.sequence,
        run=str(uuid.uuid5(uuid.NAMESPACE_URL, about)),
        time=entry.time,
        namespace=_namespace(entry.repository),
        job=f"{verb}{body.node}.{name}"[:_NAME],
        text=body.message,
        proposal=case.id,
        manifest=case.manifest.digest,
        tier=body.tier or "",
        inputs=tuple(_input(one) for one in origin.dependencies) if made else (),
        outputs=outputs,
        code=origin.code if made else None,
        builder=origin.builder if made else "",
        invocation=origin.invocation if made else "",
        approvals=tuple(sorted(_approvals(case))),
    )


def _approvals(case: Case) -> Iterator[str]:
    yield from (f"{one.person} ({one.seen})" for one in assents(case, None) if not one.forge)
    yield from (f"{person} ({FORGE})" for person in attested(case))


def _outputs(publication: Publication, case: Case, entry: LedgerEntry) -> Iterator[Dataset]:
    body = case.manifest.body
    if entry.kind == "publish":
        for artifact, subject in zip(body.artifacts, case.manifest.subjects, strict=True):
            change: Change = "CREATE" if artifact.previous is None else "OVERWRITE"
            yield _output(publication, case, artifact, subject.value, change)
    elif entry.kind in {"retract", "restored"}:
        known = publication.retractions.get(case.id)
        for one in known.taken if known else ():
            yield _taken(publication, case, one, "DROP" if entry.kind == "retract" else "CREATE")


def _output(publication: Publication, case: Case, artifact: Artifact, sha256: str, change: Change) -> Dataset:
    body = case.manifest.body
    tier = case.policy.form.tiers.get(publication.tier)
    rows = [one.facts["rows"] for one in body.checks if one.path == artifact.path and "rows" in one.facts]
    return Dataset(
        namespace=_namespace(body.repository),
        name=f"{layout.ARTIFACTS}{body.node}/{artifact.path}",
        version=sha256,
        change=change,
        source=(publication.tier, tier.url) if tier and "://" in tier.url else None,
        size=artifact.size,
        files=artifact.files,
        rows=rows[0] if rows else None,
    )


def _taken(publication: Publication, case: Case, one: Edition, change: Change) -> Dataset:
    return _output(publication, case, one.artifact, one.sha256, change)


def _input(one: Resource) -> Dataset:
    version = one.digest.get("sha256") or one.digest.get("dirHash") or next(iter(one.digest.values()), "")
    known = layout.of_artifact_uri(one.uri)
    if known is not None:
        repository, node, path = known
        return Dataset(_namespace(repository), f"{layout.ARTIFACTS}{node}/{path}", version)
    match = _PLACE.fullmatch(one.uri)
    namespace, name = (match[1], match[2].strip("/")) if match else ("", "")
    return Dataset(namespace or one.uri, name or one.uri, version)


def _namespace(repository: str) -> str:
    return f"{layout.ARTIFACT_SCHEME}://{repository}"
