"""The form of `policy.yaml` (design 6.3); the JSON Schema in `docs/reference/schemas/` is made from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec

from placet.core.formed import formed
from placet.core.predicates import Id, Name, Sees, Sha256, Short, Time

Positive = Annotated[int, msgspec.Meta(ge=1, le=(1 << 53) - 1)]
Glob = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Hour = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)")]
HourEnd = Annotated[str, msgspec.Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$(?!\n)")]
FileType = Literal[
    "csv", "json", "parquet", "pickle", "png", "pdf", "text", "numpy", "safetensors", "xlsx", "archive", "any"
]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Key = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}$(?!\n)")]
Option = (
    bool
    | Annotated[int, msgspec.Meta(ge=-((1 << 53) - 1), le=(1 << 53) - 1)]
    | Short
    | Annotated[tuple[Short, ...], msgspec.Meta(max_length=1000)]
)


_IN_WORDS = {
    Hour: "an hour like `18:00`",
    HourEnd: "an hour like `18:00`, or `24:00`",
    Id: "32 hex digits",
    Key: "a key of lower-case letters, digits, `_`, `-`",
    Name: "a name of lower-case letters, digits, `.`, `_`, `-`, at most 64",
    Sha256: "64 hex digits",
    Time: "a time like `2026-12-24T00:00:00Z`",
}


def in_words(complaint: str) -> str:
    """A complaint of the schema's, as a person would say it."""
    for kind, words in _IN_WORDS.items():
        pattern = get_args(kind)[1].pattern
        for quoted in (f"'{pattern}'", repr(pattern)):
            complaint = complaint.replace(f"`str` matching regex {quoted}", words)
    return complaint.replace("`ScalarFloat`", "`float`")


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Person(_Form, frozen=True, kw_only=True):
    """One human being, however many keys and accounts they have; accounts by their immutable number."""

    name: Short
    organisation: Name
    keys: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=20)]
    forges: dict[Name, Positive] = msgspec.field(default_factory=dict)


class Group(_Form, frozen=True, kw_only=True):
    """People who decide together, and what they see: the bytes, or the node's report of checks."""

    members: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=1000)]
    sees: Sees = "report"


class Node(_Form, frozen=True, kw_only=True):
    """A site: its keys, the workspace paths it may propose, the people who run it."""

    organisation: Name
    keys: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=20)]
    paths: Annotated[tuple[Glob, ...], msgspec.Meta(min_length=1, max_length=200)]
    operators: tuple[Name, ...] = ()


class Witness(_Form, frozen=True, kw_only=True):
    """Who signs which reviews there are on a forge: its keys, the forges that it reads, who runs it."""

    organisation: Name
    keys: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=20)]
    forges: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=20)]
    operators: tuple[Name, ...] = ()


class Tier(_Form, frozen=True, kw_only=True):
    """A publication tier as researchers reach it: a DVC remote without credentials."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    endpointurl: Short | None = None
    region: Short | None = None
    max_age_days: Positive | None = None


class Approvals(_Form, frozen=True, kw_only=True):
    """How many distinct people of these groups, from how many organisations, having seen bytes."""

    count: Annotated[int, msgspec.Meta(ge=1, le=20)]
    groups: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=50)]
    organisations: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1
    bytes: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0


class Limits(_Form, frozen=True, kw_only=True):
    """What one artifact may have at most."""

    bytes: Positive | None = None
    files: Positive | None = None
    rows: Positive | None = None
    types: Annotated[tuple[FileType, ...], msgspec.Meta(min_length=1)] | None = None


class Rule(_Form, frozen=True, kw_only=True):
    """What must hold for artifacts whose `<node>/<path>` matches; the first rule that matches counts.

    Attributes:
        accept: What counts beside signed decisions: `forge`, reviews there that a witness signs.
    """

    name: Name
    paths: Annotated[tuple[Glob, ...], msgspec.Meta(min_length=1, max_length=200)]
    approvals: Annotated[tuple[Approvals, ...], msgspec.Meta(min_length=1, max_length=10)]
    tiers: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)] | None = None
    limits: Limits = Limits()
    checks: tuple[Name, ...] = ()
    options: dict[Name, dict[Key, Option]] = msgspec.field(default_factory=dict)
    recheck: bool = False
    expires_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    accept: Annotated[tuple[Literal["forge"], ...], msgspec.Meta(max_length=1)] = ()


class Between(_Form, frozen=True, kw_only=True):
    """From a moment until another, which is no longer part of it."""

    begin: Time = msgspec.field(name="from")
    until: Time


class Weekly(_Form, frozen=True, kw_only=True):
    """Hours in UTC that come back every week; with `until` before `from` they end on the next day."""

    days: Annotated[tuple[Day, ...], msgspec.Meta(min_length=1, max_length=7)]
    begin: Hour = msgspec.field(name="from", default="00:00")
    until: HourEnd = "24:00"


class Window(_Form, frozen=True, kw_only=True):
    """Times in which nothing is published; `paths` as in rules (all by default), `tiers` (all by default)."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    between: Annotated[tuple[Between, ...], msgspec.Meta(max_length=100)] = ()
    weekly: Annotated[tuple[Weekly, ...], msgspec.Meta(max_length=100)] = ()
    paths: Annotated[tuple[Glob, ...], msgspec.Meta(min_length=1, max_length=200)] | None = None
    tiers: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)] | None = None


class Retract(_Form, frozen=True, kw_only=True):
    """Who may take back what was published: groups, how many distinct people of them, and the owning node.

    Attributes:
        count: Distinct people; who signs the retraction is one of them.
        own: The owning node may take back its own, without any of them.
        emergency_hours: Within how many hours a second person must confirm an emergency retraction.
    """

    groups: Annotated[tuple[Name, ...], msgspec.Meta(max_length=50)] = ()
    count: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1
    own: bool = True
    emergency_hours: Annotated[int, msgspec.Meta(ge=1, le=8760)] = 72


class Governance(_Form, frozen=True, kw_only=True):
    """Who may change the policy, which groups may freeze, and who may retract (groups alone: `Retract`)."""

    policy: Annotated[tuple[Approvals, ...], msgspec.Meta(min_length=1, max_length=10)]
    freeze: tuple[Name, ...] = ()
    retract: tuple[Name, ...] | Retract = ()
    expires_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30

    @property
    def retraction(self) -> Retract:
        """The rule for retractions, however briefly it is written."""
        return self.retract if isinstance(self.retract, Retract) else Retract(groups=self.retract)


class PolicyForm(_Form, frozen=True, kw_only=True):
    """`policy.yaml`, as it stands in the file."""

    version: Literal[1]
    repository: Id
    number: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    previous: Sha256 | None
    project: Short
    people: Annotated[dict[Name, Person], msgspec.Meta(min_length=1)]
    groups: Annotated[dict[Name, Group], msgspec.Meta(min_length=1)]
    nodes: dict[Name, Node]
    witnesses: dict[Name, Witness] = msgspec.field(default_factory=dict)
    tiers: Annotated[dict[Name, Tier], msgspec.Meta(min_length=1)]
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(min_length=1, max_length=1000)]
    windows: dict[Name, Window] = msgspec.field(default_factory=dict)
    governance: Governance


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `policy.yaml`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:placet:policy:v1",
        **msgspec.json.schema(PolicyForm),
    }


formed(PolicyForm)
