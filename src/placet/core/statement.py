"""The signed statements of Placet: in-toto Statements v1 with Placet's predicates.

Format: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md. The JSON Schemas in
`docs/reference/schemas/` are generated from `core/predicates.py`. Parsing is strict: unknown keys,
duplicate keys, floats and out-of-range values are errors. The digest of a statement is the SHA-256 of
the payload bytes as they were signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import msgspec
import rfc8785

from placet.core import envelope as dsse
from placet.core.digest import sha256_hex
from placet.core.formats import newer, newer_version
from placet.core.formed import formed
from placet.core.guards import guard
from placet.core.predicates import Manifest, Path, Predicate, Sha256
from placet.errors import Invalid

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

P = TypeVar("P", bound=Predicate)


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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
        Invalid: kind `envelope`, `json` or `statement`; `newer-format`: its type has a higher version.
    """
    envelope = dsse.parse_envelope(data)
    if len(envelope.payload) > dsse.MAX_PAYLOAD:
        raise _bad(kind, "is larger than 1 MiB")
    value = dsse.strict_json(envelope.payload)
    try:
        outer = msgspec.convert(value, _Outer)
        if outer.predicateType != kind.TYPE:
            raise _other_type(kind, outer.predicateType)
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


def _other_type(kind: type[Predicate], found: str) -> Invalid:
    version = newer_version(found, kind.TYPE)
    if version is not None:
        return newer(f"The {kind.__name__.lower()} statement", version, int(kind.TYPE.rpartition(":v")[2]))
    return _bad(kind, f"has the predicate type {found[:80]!r}")


def _bad(kind: type[Predicate], reason: str) -> Invalid:
    return Invalid(f"The {kind.__name__.lower()} statement {reason}.", kind="statement")


formed(_Outer)
