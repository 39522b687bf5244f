"""What no schema can say of a policy: names that nobody has, keys used twice, thresholds out of reach."""

from __future__ import annotations

import re
from collections.abc import Iterator

from placet.core.envelope import key_bytes
from placet.core.guards import guard
from placet.core.policyform import Approvals, PolicyForm
from placet.core.statement import parse_time
from placet.errors import Invalid

Place = tuple[str | int, ...]
Mistake = tuple[Place, str]


def contradictions(form: PolicyForm) -> Iterator[Mistake]:
    """Where in the file, and what is wrong there; nothing for a policy that can be meant."""
    yield from _double_keys(form)
    for name in form.nodes.keys() & form.people.keys():
        yield ("nodes", name), f"{name!r} is also the name of a person"
    for name in form.witnesses.keys() & (form.people.keys() | form.nodes.keys()):
        yield ("witnesses", name), f"{name!r} is also the name of a person or a node"
    members: list[tuple[str, str, str, tuple[str, ...]]] = [
        *(("groups", name, "members", group.members) for name, group in form.groups.items()),
        *(("nodes", name, "operators", node.operators) for name, node in form.nodes.items()),
        *(("witnesses", name, "operators", one.operators) for name, one in form.witnesses.items()),
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


@guard(18, 20)
def _accounts(form: PolicyForm) -> Iterator[Mistake]:
    holders: dict[tuple[str, int], str] = {}
    for name, person in form.people.items():
        for forge, number in person.forges.items():
            holder = holders.setdefault((forge, number), name)
            if holder != name:
                yield ("people", name, "forges", forge), f"this account is also an account of {holder}"


def _windows(form: PolicyForm) -> Iterator[Mistake]:
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


def _rules(form: PolicyForm) -> Iterator[Mistake]:
    needs: list[tuple[Place, tuple[Approvals, ...]]] = [(("governance", "policy"), form.governance.policy)]
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
    for index, group in enumerate(form.governance.freeze):
        if group not in form.groups:
            yield ("governance", "freeze", index), f"there is no group {group!r}"
    yield from _retraction(form)


def _retraction(form: PolicyForm) -> Iterator[Mistake]:
    rule = form.governance.retraction
    brief = rule is not form.governance.retract
    place: Place = ("governance", "retract") if brief else ("governance", "retract", "groups")
    for index, group in enumerate(rule.groups):
        if group not in form.groups:
            yield (*place, index), f"there is no group {group!r}"
            return
    people = {member for group in rule.groups for member in form.groups[group].members}
    if people and rule.count > len(people):
        problem = f"{rule.count} people are asked of {len(people)}: nobody but a node could ever retract"
        yield ("governance", "retract"), problem
    if not people and not rule.own:
        yield ("governance", "retract"), "neither people nor the owning node may retract: nobody ever could"


def _need(form: PolicyForm, place: Place, need: Approvals) -> Iterator[Mistake]:
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
def _double_keys(form: PolicyForm) -> Iterator[Mistake]:
    seen: dict[bytes, str] = {}
    holders: list[tuple[str, str, tuple[str, ...]]] = [
        *(("people", name, person.keys) for name, person in form.people.items()),
        *(("nodes", name, node.keys) for name, node in form.nodes.items()),
        *(("witnesses", name, one.keys) for name, one in form.witnesses.items()),
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
