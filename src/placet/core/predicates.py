"""What Placet's statements say: one class a kind. `docs/reference/schemas/` is generated from them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from placet.core.formed import formed
from placet.core.provenance import Provenance

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
Word = Literal["approve", "return", "none"]
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


class LedgerEntry(Predicate, frozen=True, kw_only=True, omit_defaults=True):
    """One change of a published branch; `actor` (a node or a person) signed it.

    Attributes:
        observations: The digests of the observations that count, where the policy accepts a forge's word.
    """

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
    observations: tuple[Sha256, ...] = ()


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
    """A witness saw this review on a forge; the witness's n-th observation about the manifest.

    The last one about an account counts, and takes the place of those before it.

    Attributes:
        forge: As the policy names it in `people.*.forges`.
        user: The account's immutable number there.
        review: The review's number there.
        commit: What was reviewed, as the forge recorded it; of an objection without one, where the branch is.
        content: Of the proposal: the manifest's own. An approval's commit holds it: the witness recomputes.
        verdict: `none`: an approval was dismissed, is gone, or is about other content.
    """

    TYPE: ClassVar[str] = "urn:placet:observation:v1"

    manifest: Sha256
    witness: Name
    n: Annotated[int, msgspec.Meta(ge=1, le=999_999)]
    previous: Sha256 | None
    forge: Name
    user: Annotated[int, msgspec.Meta(ge=1, le=(1 << 53) - 1)]
    review: Count
    commit: CommitId
    content: Sha256
    verdict: Word
    policy: Sha256


PREDICATES: tuple[type[Predicate], ...] = (
    Manifest, Decision, Withdrawal, Receipt, Erasure, LedgerEntry, Checkpoint, Freeze, Unfreeze, Observation,
)  # fmt: skip


formed(*PREDICATES)
