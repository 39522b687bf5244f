"""A policy as it was read: strictly, with errors that name line and column (design 6.3).

What a policy decides is in `placet.core.assent`; its form is in `placet.core.policyform`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.reader import ReaderError

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.formats import FORMAT, newer
from placet.core.limits import POLICY_BYTES
from placet.core.policyform import (
    Approvals,
    FileType,
    Governance,
    Group,
    Limits,
    Node,
    Person,
    PolicyForm,
    Retract,
    Rule,
    Tier,
    Window,
    Witness,
    in_words,
)
from placet.core.policymistakes import Place, contradictions
from placet.errors import Invalid

__all__ = [
    "MAX_POLICY",
    "Approvals",
    "FileType",
    "Governance",
    "Group",
    "Limits",
    "Node",
    "Person",
    "Place",
    "Policy",
    "PolicyForm",
    "Retract",
    "Rule",
    "Tier",
    "Window",
    "Witness",
    "dvc_config",
    "mark",
    "parse_policy",
]

MAX_POLICY = POLICY_BYTES
_MAX_FORMAT = 1_000_000  # a larger number is no format of anybody's
_MAX_DEPTH = 20  # a policy needs 8; reading deeper flow collections takes the square of the time


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

    def witness_keys(self, witness: str) -> tuple[str, ...]:
        """The public keys of a witness; none if the policy does not know it."""
        known = self.form.witnesses.get(witness)
        return known.keys if known else ()

    def person_of(self, key: str) -> str | None:
        """Whose key is it?"""
        return next((name for name, person in self.form.people.items() if key in person.keys), None)

    def retractors(self) -> frozenset[str]:
        """Everybody who may sign a retraction, or have a part in one."""
        groups = self.form.governance.retraction.groups
        return frozenset(member for name in groups for member in self.form.groups[name].members)

    def governors(self) -> frozenset[str]:
        """Everybody whose approval a change of the policy can count."""
        groups = (name for need in self.form.governance.policy for name in need.groups)
        return frozenset(member for name in groups for member in self.form.groups[name].members)

    def freezers(self) -> frozenset[str]:
        """Everybody who may freeze, and be one of the two who end a freeze."""
        groups = self.form.groups
        return frozenset(one for name in self.form.governance.freeze for one in groups[name].members)

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
        Invalid: kind `policy`; `what` begins with `policy.yaml:<line>:<column>:`, `details` has all mistakes.
            Kind `newer-format`: its `version` is one that this Placet does not read, whatever else it holds.
    """
    if len(data) > MAX_POLICY:
        raise _bad((1, 1), f"it is larger than {MAX_POLICY} bytes")
    document = _document(data)
    _require_known_format(document)
    try:
        form = msgspec.convert(document, PolicyForm)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        keys, _, path = path.rpartition("$")
        where = path.rstrip("`") + ("[...]" if keys else "")
        raise _bad(_locate(document, where, str(error)), in_words(message)) from error
    except ValueError as error:  # Python puts no such number into a message
        raise _bad((1, 1), "it holds a number of thousands of digits") from error
    mistakes = [(_mark(document, place), problem) for place, problem in contradictions(form)]
    if mistakes:
        raise _bad(*mistakes[0], *mistakes[1:])
    return Policy(form, sha256_hex(data), data)


def _require_known_format(document: CommentedMap) -> None:
    version = document.get("version")
    if isinstance(version, int) and FORMAT < version < _MAX_FORMAT:
        line, column = _mark(document, ("version",))
        raise newer(f"policy.yaml:{line}:{column}: it", version, FORMAT)


def mark(policy: Policy, place: Place) -> tuple[int, int]:
    """Line and column, from 1, of a key or an item; of the nearest that the file has."""
    return _mark(_document(policy.data), place)


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


class _Constructor(RoundTripConstructor):
    """Times stay texts, quoted or not."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", RoundTripConstructor.construct_scalar)


@lru_cache(maxsize=4)
def _document(data: bytes) -> CommentedMap:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        raise _bad((line + 1, error.start - data.rfind(b"\n", 0, error.start)), "it is not UTF-8") from error
    try:
        depth = 0
        for event in YAML(typ="rt", pure=True).parse(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise _bad(_at(event.start_mark), "it is nested too deeply")
            if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
                raise _bad(_at(event.start_mark), "anchors are not allowed")
        yaml = YAML(typ="rt", pure=True)
        yaml.Constructor = _Constructor
        document = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = re.split(r" with value|\n", error.problem or "it is not valid YAML")[0]
        raise _bad(_at(mark) if mark else (1, 1), problem) from error
    except ReaderError as error:
        line, start = text.count("\n", 0, error.position), text.rfind("\n", 0, error.position)
        raise _bad(
            (line + 1, error.position - start), "it holds a character that YAML does not allow"
        ) from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise _bad((1, 1), f"it is not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, CommentedMap):
        raise _bad((1, 1), "it must be a mapping")
    return document


def _locate(document: CommentedMap, path: str, complaint: str) -> tuple[int, int]:
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


def _mark(document: CommentedMap, path: Place) -> tuple[int, int]:
    node: Any = document
    line, column = 0, 0
    for step in path:
        try:
            if isinstance(node, CommentedMap):
                line, column = node.lc.key(step)
            elif isinstance(node, CommentedSeq):
                line, column = node.lc.item(step)
            node = node[step]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return line + 1, column + 1


def _at(mark: StreamMark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _bad(place: tuple[int, int], message: str, *others: tuple[tuple[int, int], str]) -> Invalid:
    mistakes = [(place, message), *others]
    return Invalid(
        f"policy.yaml:{place[0]}:{place[1]}: {message.rstrip('.')}.",
        kind="policy",
        why=" ".join(f"Also {line}:{column}: {text.rstrip('.')}." for (line, column), text in others[:20]),
        mend="See docs/reference/policy.md; `placet policy lint` checks a file.",
        details={
            "mistakes": [{"line": line, "column": column, "text": text} for (line, column), text in mistakes]
        },
    )
