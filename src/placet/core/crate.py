"""The RO-Crate of one publication: what it is, what it was made from, who checked and approved it.

Format: RO-Crate 1.1, with the review process of the Five Safes profile and the run of Process Run Crate
(`docs/reference/formats.md`). It says nothing that the signed statements beside it do not, and proves
nothing. It is part of a published branch's tree, which is recomputed to the byte: what this makes never
changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from placet.core import layout
from placet.core.policyform import PolicyForm
from placet.core.predicates import CheckResult, Decision, LedgerEntry, Manifest
from placet.core.provenance import Resource
from placet.core.sightings import Said
from placet.core.statement import Signed, Subject

Entity = dict[str, object]

_CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "http://schema.org/sha256"}]
_CRATE = "https://w3id.org/ro/crate/1.1"
_PROCESS = "https://w3id.org/ro/wfrun/process/0.5"
_DISCLOSURE = "https://w3id.org/shp#DisclosureCheck"
_DONE = "http://schema.org/CompletedActionStatus"
_FAILED = "http://schema.org/FailedActionStatus"
_LICENSE: Entity = {
    "@id": "#licence",
    "@type": "CreativeWork",
    "name": "Licence not stated",
    "description": "No licence is recorded here: ask the publisher.",
}
_POLICY = "#policy"
_RUN = "#run"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a crate is made from.

    Attributes:
        proposal: The proposal's id.
        policy: The effective policy of the proposal, and its digest.
        decisions: Those that count, each with its name in the proposal's folder.
        records: The names of all signed files in the folder.
        reviews: What people said on forges that counts, each with the names of the observations of it.
    """

    proposal: str
    manifest: Signed[Manifest]
    policy: PolicyForm
    policy_digest: str
    decisions: Sequence[tuple[str, Decision]]
    entry: LedgerEntry
    records: Sequence[str]
    reviews: Sequence[tuple[Sequence[str], Said]] = ()


def crate(facts: Facts) -> bytes:
    """The file `ro-crate-metadata.json`: JSON with sorted keys, one space a level, LF at its end."""
    artifacts = list(_artifacts(facts))
    checks = list(_checks(facts))
    decisions = [*_decisions(facts), *_reviews(facts)]
    run = list(_run(facts, artifacts))
    records = [_record(name) for name in sorted(facts.records)]
    actions = [one for one in (*run, *checks, *decisions) if str(one["@type"]).endswith("Action")]
    root = _root(facts, parts=[*records, *artifacts], mentions=actions)
    graph = [
        _descriptor(),
        root,
        *records,
        *artifacts,
        *run,
        *checks,
        *decisions,
        *_context(facts, bool(run)),
    ]
    text = json.dumps({"@context": _CONTEXT, "@graph": graph}, ensure_ascii=False, indent=1, sort_keys=True)
    return text.encode() + b"\n"


def version_uri(uri: str, digest: str) -> str:
    """One version of an artifact, by the digest of its subject: the same in the crate of what it became."""
    return f"{uri}?sha256={digest}"


def _descriptor() -> Entity:
    return {
        "@id": layout.CRATE,
        "@type": "CreativeWork",
        "about": _ref("./"),
        "conformsTo": _ref(_CRATE),
    }


def _root(facts: Facts, *, parts: Iterable[Entity], mentions: Iterable[Entity]) -> Entity:
    body, entry = facts.manifest.body, facts.entry
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{body.project}: {', '.join(one.path for one in body.artifacts)}"[:300],
        "description": body.message,
        "datePublished": entry.time,
        "license": _ref(str(_LICENSE["@id"])),
        "identifier": f"urn:placet:{body.repository}:{facts.proposal}",
        "author": _ref(_node(facts)),
        "publisher": _ref(_node(facts)),
        "sourceOrganization": _ref("#project"),
        "hasPart": [_ref(str(one["@id"])) for one in parts],
        "mentions": [_ref(str(one["@id"])) for one in mentions],
    }
    if body.provenance.build_definition is not None:
        root["conformsTo"] = _ref(_PROCESS)
    return root


def _record(name: str) -> Entity:
    return {"@id": name, "@type": "File", "name": f"Signed statement {name}", "encodingFormat": _JSON}


def _artifacts(facts: Facts) -> Iterable[Entity]:
    body = facts.manifest.body
    tier = facts.policy.tiers[body.tier or ""].url.rstrip("/")
    for artifact, subject in zip(body.artifacts, facts.manifest.subjects, strict=True):
        made: Entity = {
            "@id": _subject_id(facts, artifact.path, subject),
            "@type": "Dataset" if artifact.dir else "File",
            "name": artifact.path,
            "contentSize": str(artifact.size),
        }
        if artifact.dir is not None:
            made["identifier"] = f"dirHash:{subject.value}"
            made["description"] = f"{artifact.files} files"
        else:
            made["sha256"] = subject.value
        if artifact.dir is None and "://" in tier:
            made["contentUrl"] = f"{tier}/{layout.data_key(artifact.md5)}"
        yield made


def _subject_id(facts: Facts, path: str, subject: Subject) -> str:
    body = facts.manifest.body
    return version_uri(layout.artifact_uri(body.repository, body.node or "", path), subject.value)


def _run(facts: Facts, artifacts: Sequence[Entity]) -> Iterable[Entity]:
    """The run that made it, its software, its code and what went in."""
    origin = facts.manifest.body.provenance
    if origin.build_definition is None:
        return
    inputs = [_input(number, one) for number, one in enumerate(origin.dependencies, start=1)]
    code = origin.code
    run: Entity = {
        "@id": _RUN,
        "@type": "CreateAction",
        "name": origin.asset or origin.build_type,
        "additionalType": origin.build_type,
        "actionStatus": _DONE,
        "agent": _ref(_node(facts)),
        "instrument": [_ref("#builder"), *([_ref("#code")] if code else [])],
        "object": [_ref(str(one["@id"])) for one in inputs],
        "result": [_ref(str(one["@id"])) for one in artifacts],
        **_told(identifier=origin.invocation, url=origin.invocation_url),
    }
    yield run
    builder = origin.builder or origin.build_type
    yield {"@id": "#builder", "@type": "SoftwareApplication", "name": builder, "identifier": builder}
    if code is not None:
        yield {
            "@id": "#code",
            "@type": "SoftwareSourceCode",
            "name": code.name or code.uri,
            "codeRepository": code.uri,
            "url": code.uri.removeprefix("git+"),
            **_told(version=code.digest.get("gitCommit") or origin.code_version),
        }
    own = {one["@id"] for one in artifacts}
    yield from {str(one["@id"]): one for one in inputs if one["@id"] not in own}.values()


def _input(number: int, one: Resource) -> Entity:
    known = layout.of_artifact_uri(one.uri) is not None
    version = one.digest.get("sha256") or one.digest.get("dirHash")
    return {
        "@id": version_uri(one.uri, version) if known and version else f"#input-{number}",
        "@type": "CreativeWork",
        "name": one.name or one.uri,
        "url": one.uri,
        **_told(
            identifier=", ".join(f"{name}:{digest}" for name, digest in sorted(one.digest.items())),
            sha256=one.digest.get("sha256"),
        ),
    }


def _checks(facts: Facts) -> Iterable[Entity]:
    """Each check with one outcome as one assessment, and the software that made it."""

    def kind(one: CheckResult) -> tuple[str, str, bool]:
        return one.check, one.tool, one.passed

    body = facts.manifest.body
    ids = {one.path: _subject_id(facts, one.path, subject)
           for one, subject in zip(body.artifacts, facts.manifest.subjects, strict=True)}  # fmt: skip
    for number, ((check, tool, passed), found) in enumerate(
        groupby(sorted(body.checks, key=kind), kind), start=1
    ):
        paths = sorted({one.path for one in found} & ids.keys())
        yield {
            "@id": f"#check-{number}",
            "@type": "AssessAction",
            "additionalType": _ref(_DISCLOSURE),
            "name": f"Check {check}: {'passed' if passed else 'failed'}",
            "agent": _ref(f"#software-{number}"),
            "object": [_ref("./"), *(_ref(ids[path]) for path in paths)],
            "endTime": body.time,
            "actionStatus": _DONE if passed else _FAILED,
        }
        yield {
            "@id": f"#software-{number}",
            "@type": "SoftwareApplication",
            "name": tool or check,
            "provider": _ref(_node(facts)),
        }


def _decisions(facts: Facts) -> Iterable[Entity]:
    """Each decision as one assessment."""
    for name, one in facts.decisions:
        yield {
            "@id": f"#decision-{one.person}-{one.n}",
            "@type": "AssessAction",
            "additionalType": _ref(_DISCLOSURE),
            "name": f"Decision of {one.person}: {one.verdict}, having seen the {one.seen.level}",
            "agent": _ref(f"#person-{one.person}"),
            "object": _ref("./"),
            "result": _ref(name),
            "endTime": one.time,
            "actionStatus": _DONE if one.verdict == "approve" else _FAILED,
            **({"instrument": _ref(_POLICY)} if one.policy == facts.policy_digest else {}),
        }


def _reviews(facts: Facts) -> Iterable[Entity]:
    """What each person said on a forge as one assessment, by the word of its witnesses."""
    for names, one in facts.reviews:
        forges = ", ".join(sorted({each.body.forge for each in one.by}))
        witnesses = ", ".join(sorted({each.body.witness for each in one.by}))
        yield {
            "@id": f"#review-{one.person}",
            "@type": "AssessAction",
            "additionalType": _ref(_DISCLOSURE),
            "name": f"Review of {one.person} on {forges}: {one.verdict}, attested by {witnesses}, not signed",
            "agent": _ref(f"#person-{one.person}"),
            "object": _ref("./"),
            "result": [_ref(name) for name in names],
            "endTime": max(each.body.time for each in one.by),
            "actionStatus": _DONE if one.verdict == "approve" else _FAILED,
            "instrument": _ref(_POLICY),
        }


def _context(facts: Facts, run: bool) -> Iterable[Entity]:
    """Who and what is named: people, organisations, the node, the project, the policy, profiles."""
    policy, body = facts.policy, facts.manifest.body
    people = sorted({one.person for _, one in facts.decisions} | {one.person for _, one in facts.reviews})
    known = {name: policy.people[name] for name in people if name in policy.people}
    node = policy.nodes.get(body.node or "")
    for name in people:
        found = known.get(name)
        told = {"affiliation": _ref(f"#organisation-{found.organisation}")} if found else {}
        yield {"@id": f"#person-{name}", "@type": "Person", "name": found.name if found else name, **told}
    organisations = {one.organisation for one in known.values()} | ({node.organisation} if node else set())
    for name in sorted(organisations):
        yield {"@id": f"#organisation-{name}", "@type": "Organization", "name": name}
    above = {"parentOrganization": _ref(f"#organisation-{node.organisation}")} if node else {}
    yield {"@id": _node(facts), "@type": "Organization", "name": body.node or "", **above}
    yield _LICENSE
    yield {"@id": "#project", "@type": "Project", "name": body.project}
    yield {
        "@id": _POLICY,
        "@type": "CreativeWork",
        "name": f"Policy number {policy.number}",
        "identifier": f"sha256:{facts.policy_digest}",
    }
    if run:
        yield {"@id": _PROCESS, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}


def _node(facts: Facts) -> str:
    return f"#node-{facts.manifest.body.node}"


def _ref(ident: str) -> dict[str, str]:
    return {"@id": ident}


def _told(**values: str | None) -> dict[str, object]:
    return {name: value for name, value in values.items() if value}
