"""The signed statements of Placet: in-toto Statements v1 with Placet's predicates.

Format: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md. The JSON Schemas in
`docs/reference/schemas/` are generated from the classes here. Parsing is strict: unknown keys,
duplicate keys, floats and out-of-range values are errors. The digest of a statement is the SHA-256 of
the payload bytes as they were signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

import msgspec
import rfc8785

from placet.core import envelope as dsse
from placet.core.digest import sha256_hex
from placet.core.guards import guard
from placet.errors import Invalid

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

# `$` of Python's `re` also matches before a newline at the end, JSON Schema's does not: hence `(?!\n)`.
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Md5 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
CommitId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$(?!\n)")]
Name = Annotated[  # as `layout.is_name`
    str, msgspec.Meta(pattern=r"^(?!.*\.\.)(?!.*\.lock$)[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$(?!\n)")
]
Fact = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
Path = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Text = Annotated[str, msgspec.Meta(max_length=4000)]
Short = Annotated[str, msgspec.Meta(max_length=300)]
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]
Time = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$(?!\n)")]

Verdict = Literal["approve", "return", "reject"]
Sees = Literal["bytes", "report"]
ManifestKind = Literal["publish", "policy", "retract"]
EntryKind = Literal["genesis", "policy", "publish", "retract", "erased", "restored"]


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Predicate(_Struct, frozen=True, kw_only=True):
    """What every predicate has: the repository that it is about, and when it was made."""

    TYPE: ClassVar[str]

    repository: Id
    time: Time


class DirObject(_Struct, frozen=True, kw_only=True):
    """The `.dir` object of a directory artifact."""

    sha256: Sha256
    size: Count


class Artifact(_Struct, frozen=True, kw_only=True):
    """One DVC output of a manifest; its SHA-256 is in the subject of the same index."""

    path: Path
    md5: Md5
    size: Count
    files: Count
    metafile: Sha256
    dir: DirObject | None = None
    previous: Sha256 | None = None


class CheckResult(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a check said about one artifact, and the digest of the bytes that it looked at.

    Attributes:
        tool: Name and version of what looked.
        facts: Whole numbers (files, rows, columns, ...); never data.
    """

    check: Name
    path: Path
    digest: Sha256
    passed: bool
    summary: Short
    tool: Short = ""
    facts: Annotated[dict[Fact, Count], msgspec.Meta(max_length=50)] = msgspec.field(default_factory=dict)


class Provenance(_Struct, frozen=True, kw_only=True):
    """Where the artifacts came from; names follow SLSA's build provenance where it has them."""

    orchestrator: Short = ""
    asset: Short = ""
    run: Short = ""
    code_version: Short = ""
    inputs: Annotated[tuple[Short, ...], msgspec.Meta(max_length=200)] = ()


class Manifest(Predicate, frozen=True, kw_only=True, omit_defaults=True):
    """These bytes, from this node, for this tier, under this policy.

    One of kind `retract` takes back what other manifests published: its artifacts are theirs, and `previous`
    of each is the digest of the manifest that published it.

    Attributes:
        person: Who signed it, if it was not the node: a policy's proposer, or a retractor.
        emergency: Of a retraction: hide at once, by one alone; a second person confirms it in time.
    """

    TYPE: ClassVar[str] = "urn:placet:manifest:v1"

    kind: ManifestKind
    node: Name | None
    person: Name | None
    project: Short
    tier: Name | None
    artifacts: Annotated[tuple[Artifact, ...], msgspec.Meta(max_length=1000)]
    policy: Sha256
    follows: Sha256 | None
    checks: Annotated[tuple[CheckResult, ...], msgspec.Meta(max_length=5000)]
    provenance: Provenance
    message: Text
    expires: Time
    emergency: bool = False

    @property
    def signer(self) -> str:
        """The name of whoever must have signed it: a person, or else the node."""
        return self.person or self.node or ""


class Seen(_Struct, frozen=True, kw_only=True):
    """What a reviewer had before them: the bytes or the report, by the digests they looked at."""

    level: Sees
    digests: Annotated[tuple[Sha256, ...], msgspec.Meta(max_length=2000)] = ()


class Comment(_Struct, frozen=True, kw_only=True):
    """A remark about one artifact of the manifest, by its path."""

    path: Path
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


class Decision(Predicate, frozen=True, kw_only=True, omit_defaults=True):
    """A person's verdict on one manifest; their n-th."""

    TYPE: ClassVar[str] = "urn:placet:decision:v1"

    manifest: Sha256
    person: Name
    n: Annotated[int, msgspec.Meta(ge=1, le=999_999)]
    previous: Sha256 | None
    verdict: Verdict
    role: Name
    seen: Seen
    comment: Text
    policy: Sha256
    expires: Time | None
    comments: Annotated[tuple[Comment, ...], msgspec.Meta(max_length=200)] = ()


class Withdrawal(Predicate, frozen=True, kw_only=True):
    """The manifest's signer takes it back."""

    TYPE: ClassVar[str] = "urn:placet:withdraw:v1"

    manifest: Sha256
    reason: Text


class Promoted(_Struct, frozen=True, kw_only=True):
    """How the objects of one artifact came into the tier."""

    path: Path
    objects: Count
    size: Count
    copied: Count
    found: Count
    ways: dict[str, Count]


class Receipt(Predicate, frozen=True, kw_only=True):
    """The node's word that every object of the manifest is in the tier and was verified."""

    TYPE: ClassVar[str] = "urn:placet:receipt:v1"

    manifest: Sha256
    judged: CommitId
    node: Name
    tier: Name
    artifacts: tuple[Promoted, ...]


class Erased(_Struct, frozen=True, kw_only=True):
    """What became of the objects of one artifact that was taken back.

    Attributes:
        objects: How many it has.
        kept: How many of them stay, because something else that is published needs them.
        versions: How many versions of the others the last run removed; those before it are not counted.
    """

    path: Path
    objects: Count
    kept: Count
    versions: Count


class Erasure(Predicate, frozen=True, kw_only=True):
    """The word of whoever holds the retraction credential that nothing of it is in the tier any more."""

    TYPE: ClassVar[str] = "urn:placet:erasure:v1"

    manifest: Sha256
    judged: CommitId
    actor: Name
    tier: Name
    artifacts: tuple[Erased, ...]


class LedgerEntry(Predicate, frozen=True, kw_only=True):
    """One change of a published branch; `actor` (a node or a person) signed it."""

    TYPE: ClassVar[str] = "urn:placet:ledger-entry:v1"

    branch: Short
    sequence: Count
    previous: Sha256 | None
    kind: EntryKind
    proposal: Id | None
    manifest: Sha256 | None
    decisions: tuple[Sha256, ...]
    policy: Sha256
    receipt: Sha256 | None
    judged: CommitId | None
    actor: Name


class Checkpoint(Predicate, frozen=True, kw_only=True):
    """How long a ledger was, and its last entry."""

    TYPE: ClassVar[str] = "urn:placet:checkpoint:v1"

    branch: Short
    sequence: Count
    entry: Sha256


class Freeze(Predicate, frozen=True, kw_only=True):
    """Stop every `publish` entry within the scope (`all`, `node:<n>`, `path:<glob>`, `tier:<t>`)."""

    TYPE: ClassVar[str] = "urn:placet:freeze:v1"

    scope: Short
    reason: Text
    person: Name


class Unfreeze(Predicate, frozen=True, kw_only=True):
    """Two people end a freeze."""

    TYPE: ClassVar[str] = "urn:placet:unfreeze:v1"

    freeze: Sha256
    reason: Text


class Observation(Predicate, frozen=True, kw_only=True):
    """A witness saw this review on a forge."""

    TYPE: ClassVar[str] = "urn:placet:observation:v1"

    manifest: Sha256
    forge: Short
    user: Short
    review: Short
    content: Sha256
    verdict: Verdict
    witness: Name


PREDICATES: tuple[type[Predicate], ...] = (
    Manifest, Decision, Withdrawal, Receipt, Erasure, LedgerEntry, Checkpoint, Freeze, Unfreeze, Observation,
)  # fmt: skip

P = TypeVar("P", bound=Predicate)


class Subject(_Struct, frozen=True, kw_only=True):
    """What a statement is about: a name and exactly one of `sha256` and `dirHash`."""

    name: Path
    digest: dict[Literal["sha256", "dirHash"], Sha256]

    @property
    def value(self) -> str:
        """The digest itself."""
        return next(iter(self.digest.values()))


class _Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"type_": "_type"}):
    type_: Literal["https://in-toto.io/Statement/v1"]
    subject: Annotated[tuple[Subject, ...], msgspec.Meta(min_length=1, max_length=1000)]
    predicateType: str  # noqa: N815 - in-toto's name
    predicate: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Signed(Generic[P]):
    """A parsed statement beside the exact bytes it came from."""

    envelope: dsse.Envelope
    subjects: tuple[Subject, ...]
    body: P

    @property
    def digest(self) -> str:
        """SHA-256 of the payload: the statement's identity."""
        return self.envelope.digest

    def is_about(self, name: str, sha256: str) -> bool:
        """Is its one subject this file, by its SHA-256?"""
        return self.subjects == (subject(name, sha256),)

    @classmethod
    def make(
        cls, subjects: tuple[Subject, ...], body: P, *signers: tuple[str, Callable[[bytes], bytes]]
    ) -> Self:
        """Encode (RFC 8785) and sign."""
        payload = encode(subjects, body)
        return cls(dsse.sign(payload, *signers), subjects, body)


def encode(subjects: tuple[Subject, ...], body: Predicate) -> bytes:
    """The payload of a new statement, canonical JSON by RFC 8785."""
    value = {
        "_type": STATEMENT_TYPE,
        "subject": msgspec.to_builtins(subjects),
        "predicateType": body.TYPE,
        "predicate": msgspec.to_builtins(body),
    }
    return rfc8785.dumps(value)


def parse(data: bytes, kind: type[P]) -> Signed[P]:
    """Read a statement of one kind from an envelope file; proves no signature.

    Raises:
        Invalid: kind `envelope`, `json` or `statement`.
    """
    envelope = dsse.parse_envelope(data)
    if len(envelope.payload) > dsse.MAX_PAYLOAD:
        raise _bad(kind, "is larger than 1 MiB")
    value = dsse.strict_json(envelope.payload)
    try:
        outer = msgspec.convert(value, _Outer)
        if outer.predicateType != kind.TYPE:
            raise _bad(kind, f"has the predicate type {outer.predicateType[:80]!r}")
        body = msgspec.convert(outer.predicate, kind)
    except msgspec.ValidationError as error:
        raise _bad(kind, f"is not valid: {error}") from error
    for subject in outer.subject:
        if len(subject.digest) != 1:
            raise _bad(kind, "has a subject without exactly one digest")
    _check_times(kind, body)
    return Signed(envelope, outer.subject, body)


def schema(kind: type[Predicate]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the payload of one kind of statement."""
    (inner,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    (subject,), more = msgspec.json.schema_components([Subject], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": kind.TYPE,
        "title": f"{kind.__name__} statement",
        "type": "object",
        "required": ["_type", "subject", "predicateType", "predicate"],
        "additionalProperties": False,
        "properties": {
            "_type": {"const": STATEMENT_TYPE},
            "subject": {"type": "array", "minItems": 1, "maxItems": 1000, "items": subject},
            "predicateType": {"const": kind.TYPE},
            "predicate": inner,
        },
        "$defs": {**components, **more},
    }


def proposal_id(subjects: tuple[Subject, ...], manifest: Manifest) -> str:
    """The id of a proposal: the same content proposed again has the same one (design 6.2)."""
    value: dict[str, Any] = {
        "repository": manifest.repository,
        "kind": manifest.kind,
        "node": manifest.node,
        "tier": manifest.tier,
        "subjects": msgspec.to_builtins(subjects),
        "previous": [artifact.previous for artifact in manifest.artifacts],
        "follows": manifest.follows,
    }
    if manifest.emergency:
        value["emergency"] = True
    return sha256_hex(rfc8785.dumps(value))[:32]


def subject(name: str, sha256: str, *, directory: bool = False) -> Subject:
    """A subject by its SHA-256, or a directory's by its `dirHash`."""
    return Subject(name=name, digest={"dirHash" if directory else "sha256": sha256})


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The moment of a statement's time.

    Raises:
        Invalid: kind `time`.
    """
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", text, re.ASCII)
    try:
        year, month, day, hour, minute, second = map(int, match.groups() if match else ())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise Invalid(f"{text[:40]!r} is not a time like 2026-01-31T09:00:00Z.", kind="time") from error


@guard(21)
def _check_times(kind: type[Predicate], body: Predicate) -> None:
    parse_time(body.time)
    expires = getattr(body, "expires", None)
    if expires is not None and parse_time(expires) <= parse_time(body.time):
        raise _bad(kind, "expires before it begins")


def _bad(kind: type[Predicate], reason: str) -> Invalid:
    return Invalid(f"The {kind.__name__.lower()} statement {reason}.", kind="statement")
