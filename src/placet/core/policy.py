"""The policy file: its form, and a strict reader whose errors name line and column (design 6.3).

What a policy decides is in `placet.core.assent`. The JSON Schema in `docs/reference/schemas/` is
generated from the classes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.envelope import key_bytes
from placet.core.guards import guard
from placet.core.limits import POLICY_BYTES
from placet.core.statement import Id, Name, Sees, Sha256, Short, Time, parse_time
from placet.errors import Invalid

MAX_POLICY = POLICY_BYTES
_MAX_DEPTH = 20  # a policy needs 7; reading deeper flow collections takes the square of the time

Positive = Annotated[int, msgspec.Meta(ge=1, le=(1 << 53) - 1)]
Glob = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Hour = Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
HourEnd = Annotated[str, msgspec.Meta(pattern="^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
FileType = Literal["csv", "json", "parquet", "pickle", "png", "pdf", "text", "any"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Key = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_-]{0,63}$")]
Option = (
    bool
    | Annotated[int, msgspec.Meta(ge=-((1 << 53) - 1), le=(1 << 53) - 1)]
    | Short
    | Annotated[tuple[Short, ...], msgspec.Meta(max_length=1000)]
)


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
    """What must hold for artifacts whose `<node>/<path>` matches; the first rule that matches counts."""

    name: Name
    paths: Annotated[tuple[Glob, ...], msgspec.Meta(min_length=1, max_length=200)]
    approvals: Annotated[tuple[Approvals, ...], msgspec.Meta(min_length=1, max_length=10)]
    tiers: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)] | None = None
    limits: Limits = Limits()
    checks: tuple[Name, ...] = ()
    options: dict[Name, dict[Key, Option]] = msgspec.field(default_factory=dict)
    recheck: bool = False
    expires_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30


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


class Governance(_Form, frozen=True, kw_only=True):
    """Who may change the policy, and which groups may freeze and retract."""

    policy: Annotated[tuple[Approvals, ...], msgspec.Meta(min_length=1, max_length=10)]
    freeze: tuple[Name, ...] = ()
    retract: tuple[Name, ...] = ()
    expires_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30


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
    tiers: Annotated[dict[Name, Tier], msgspec.Meta(min_length=1)]
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(min_length=1, max_length=1000)]
    windows: dict[Name, Window] = msgspec.field(default_factory=dict)
    governance: Governance


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that was read without an error, beside the digest of its exact bytes."""

    form: PolicyForm
    digest: str
    data: bytes

    def person_keys(self, person: str) -> tuple[str, ...]:
        """The public keys of a person; none if the policy does not know them."""
        known = self.form.people.get(person)
        return known.keys if known else ()

    def node_keys(self, node: str) -> tuple[str, ...]:
        """The public keys of a node; none if the policy does not know it."""
        known = self.form.nodes.get(node)
        return known.keys if known else ()

    def person_of(self, key: str) -> str | None:
        """Whose key is it?"""
        return next((name for name, person in self.form.people.items() if key in person.keys), None)

    def governors(self) -> frozenset[str]:
        """Everybody whose approval a change of the policy can count."""
        groups = (name for need in self.form.governance.policy for name in need.groups)
        return frozenset(member for name in groups for member in self.form.groups[name].members)

    def derived(self) -> dict[str, bytes]:
        """The files of the Ctrl repository that follow from the policy, the policy itself included."""
        return {
            layout.POLICY: self.data,
            layout.DVC_CONFIG: dvc_config(self.form),
            layout.GITIGNORE: b"/artifacts/**\n!/artifacts/**/\n!/artifacts/**/*.dvc\n",
            layout.DVC_GITIGNORE: b"/config.local\n/tmp\n/cache\n",
        }


@lru_cache(maxsize=256)
def parse_policy(data: bytes) -> Policy:
    """Read a policy file; every mistake is an error with its place.

    Raises:
        Invalid: kind `policy`; `what` begins with `policy.yaml:<line>:<column>:` where it is known.
    """
    if len(data) > MAX_POLICY:
        raise _bad(None, f"it is larger than {MAX_POLICY} bytes")
    document = _load(data)
    try:
        form = msgspec.convert(document, PolicyForm)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        keys, _, path = path.rpartition("$")
        where = path.rstrip("`") + ("[...]" if keys else "")
        raise _bad(_locate(document, where, str(error)), message) from error
    for place, problem in _contradictions(form):
        raise _bad(_mark(document, place), problem)
    return Policy(form, sha256_hex(data), data)


def dvc_config(form: PolicyForm) -> bytes:
    """`.dvc/config` of the Ctrl repository: publication tiers with `verify`, nothing else."""
    default = layout.DEFAULT_TIER if layout.DEFAULT_TIER in form.tiers else next(iter(form.tiers))
    lines = ["[core]", f"    remote = {default}", "    analytics = false"]
    for name, tier in form.tiers.items():
        lines += [f"['remote \"{name}\"']", f"    url = {tier.url}"]
        lines += [f"    endpointurl = {tier.endpointurl}"] if tier.endpointurl else []
        lines += [f"    region = {tier.region}"] if tier.region else []
        lines += ["    verify = true"]
    return "\n".join(lines).encode() + b"\n"


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `policy.yaml`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:placet:policy:v1",
        **msgspec.json.schema(PolicyForm),
    }


class _Constructor(RoundTripConstructor):
    """Times stay texts, quoted or not."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", RoundTripConstructor.construct_scalar)


def _load(data: bytes) -> CommentedMap:
    yaml = YAML(typ="rt", pure=True)
    try:
        text = data.decode("utf-8")
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise _bad((event.start_mark.line, event.start_mark.column), "it is nested too deeply")
            if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
                raise _bad((event.start_mark.line, event.start_mark.column), "anchors are not allowed")
        yaml = YAML(typ="rt", pure=True)
        yaml.Constructor = _Constructor
        document = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = re.split(r" with value|\n", error.problem or "it is not valid YAML")[0]
        raise _bad((mark.line, mark.column) if mark else None, problem) from error
    except (YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _bad(None, f"it is not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, CommentedMap):
        raise _bad((0, 0), "it must be a mapping")
    return document


def _contradictions(form: PolicyForm) -> Iterator[tuple[tuple[str | int, ...], str]]:
    yield from _double_keys(form)
    for name in form.nodes.keys() & form.people.keys():
        yield ("nodes", name), f"{name!r} is also the name of a person"
    members: list[tuple[str, str, str, tuple[str, ...]]] = [
        *(("groups", name, "members", group.members) for name, group in form.groups.items()),
        *(("nodes", name, "operators", node.operators) for name, node in form.nodes.items()),
    ]
    for table, name, field, people in members:
        for index, person in enumerate(people):
            if person not in form.people:
                yield (table, name, field, index), f"there is no person {person!r}"
    yield from _accounts(form)
    yield from _rules(form)
    yield from _windows(form)
    for name, tier in form.tiers.items():
        if re.search(r"[\s'\"\\\x00-\x1f]", f"{tier.url}{tier.endpointurl}{tier.region}"):
            yield ("tiers", name), "a URL holds a space, a quote or a control character"
    if (form.number == 0) != (form.previous is None):
        yield ("previous",), "policy 0 has previous: null, every later one the digest of the one before"


def _accounts(form: PolicyForm) -> Iterator[tuple[tuple[str | int, ...], str]]:
    holders: dict[tuple[str, int], str] = {}
    for name, person in form.people.items():
        for forge, number in person.forges.items():
            holder = holders.setdefault((forge, number), name)
            if holder != name:
                yield ("people", name, "forges", forge), f"this account is also an account of {holder}"


def _windows(form: PolicyForm) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for name, window in form.windows.items():
        place = ("windows", name)
        if not window.between and not window.weekly:
            yield place, "it has neither `between` nor `weekly`"
        for index, span in enumerate(window.between):
            try:
                if parse_time(span.begin) >= parse_time(span.until):
                    yield (*place, "between", index), "it ends before it begins"
            except Invalid as error:
                yield (*place, "between", index), str(error)
        for index, hours in enumerate(window.weekly):
            if hours.begin == hours.until:
                yield (
                    (*place, "weekly", index),
                    "it begins when it ends; leave out `from` and `until` for whole days",
                )
        for index, tier in enumerate(window.tiers or ()):
            if tier not in form.tiers:
                yield (*place, "tiers", index), f"there is no tier {tier!r}"


def _rules(form: PolicyForm) -> Iterator[tuple[tuple[str | int, ...], str]]:
    needs: list[tuple[tuple[str | int, ...], tuple[Approvals, ...]]] = [
        (("governance", "policy"), form.governance.policy)
    ]
    names: set[str] = set()
    for index, rule in enumerate(form.rules):
        if rule.name in names:
            yield ("rules", index, "name"), f"there are two rules called {rule.name!r}"
        names.add(rule.name)
        needs.append((("rules", index, "approvals"), rule.approvals))
        for place, tier in enumerate(rule.tiers or ()):
            if tier not in form.tiers:
                yield ("rules", index, "tiers", place), f"there is no tier {tier!r}"
    for place_of, approvals in needs:
        for index, need in enumerate(approvals):
            yield from _need(form, (*place_of, index), need)
    for key, groups in (("freeze", form.governance.freeze), ("retract", form.governance.retract)):
        for index, group in enumerate(groups):
            if group not in form.groups:
                yield ("governance", key, index), f"there is no group {group!r}"


def _need(
    form: PolicyForm, place: tuple[str | int, ...], need: Approvals
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for index, group in enumerate(need.groups):
        if group not in form.groups:
            yield (*place, "groups", index), f"there is no group {group!r}"
            return
    people = {member for group in need.groups for member in form.groups[group].members}
    organisations = {form.people[person].organisation for person in people if person in form.people}
    if need.count > len(people):
        yield place, f"{need.count} approvals are asked of {len(people)} people: nobody could ever approve"
    if need.organisations > min(need.count, len(organisations)):
        yield place, f"{need.organisations} organisations cannot be met: nobody could ever approve"
    with_bytes = {
        member
        for group in need.groups
        if form.groups[group].sees == "bytes"
        for member in form.groups[group].members
    }
    if need.bytes > min(need.count, len(with_bytes)):
        yield place, f"{need.bytes} approvals with bytes cannot be met: nobody could ever approve"


@guard(18, 38)
def _double_keys(form: PolicyForm) -> Iterator[tuple[tuple[str | int, ...], str]]:
    seen: dict[bytes, str] = {}
    holders: list[tuple[str, str, tuple[str, ...]]] = [
        *(("people", name, person.keys) for name, person in form.people.items()),
        *(("nodes", name, node.keys) for name, node in form.nodes.items()),
    ]
    for table, name, keys in holders:
        for index, key in enumerate(keys):
            try:
                raw = key_bytes(key)
            except Invalid as error:
                yield (table, name, "keys", index), str(error)
                continue
            if raw in seen:
                yield (table, name, "keys", index), f"this key is also a key of {seen[raw]}"
            seen[raw] = f"{table} {name}"


def _locate(document: CommentedMap, path: str, complaint: str) -> tuple[int, int] | None:
    """Line and column of msgspec's path `.a[...].b[0]`, whose `[...]` is some key of a mapping."""
    steps: list[str | int] = []
    node: Any = document
    for step in re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", path):
        key: Any = step[0] or step[1]
        if key == "...":
            if not isinstance(node, Mapping):
                break
            key = next((name for name in node if _complains(document, steps, name, complaint)), None)
        elif step[1]:
            key = int(key)
        if key is None:
            break
        steps.append(key)
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            break
    foreign = re.match(r"Object contains unknown field `([^`]+)`", complaint)
    if foreign and isinstance(node, Mapping) and foreign[1] in node:
        steps.append(foreign[1])
    return _mark(document, tuple(steps))


def _complains(document: CommentedMap, steps: list[str | int], name: object, complaint: str) -> bool:
    def reduced(node: Any, left: list[str | int]) -> Any:  # noqa: ANN401 - a YAML node
        if not left:
            return {name: node[name]}
        if isinstance(node, Mapping):
            return {key: reduced(value, left[1:]) if key == left[0] else value for key, value in node.items()}
        return [reduced(value, left[1:]) if index == left[0] else value for index, value in enumerate(node)]

    try:
        msgspec.convert(reduced(document, steps), PolicyForm)
    except msgspec.ValidationError as error:
        return str(error) == complaint
    return False


def _mark(document: CommentedMap, path: tuple[str | int, ...]) -> tuple[int, int] | None:
    node: Any = document
    place: tuple[int, int] | None = (0, 0)
    for step in path:
        try:
            if isinstance(node, CommentedMap):
                place = node.lc.key(step)
            elif isinstance(node, CommentedSeq):
                place = node.lc.item(step)
            node = node[step]
        except (KeyError, IndexError, TypeError, AttributeError):
            return place
    return place


def _bad(place: tuple[int, int] | None, message: str) -> Invalid:
    where = f":{place[0] + 1}:{place[1] + 1}" if place else ""
    return Invalid(
        f"policy.yaml{where}: {message}.",
        kind="policy",
        mend="See docs/reference/policy.md; `placet policy lint` checks a file.",
    )
