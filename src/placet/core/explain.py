"""Which rule a policy has for a path, why that one, and who could approve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from placet.core import globs
from placet.core.assent import (
    accepts_forge,
    asked_checks,
    barred_for,
    could_approve,
    everybody,
    node_witnesses,
    rule_for,
    seats,
    sees,
)
from placet.core.policy import Approvals, Policy, Rule, Window, mark
from placet.core.quorum import fills
from placet.core.statement import format_time
from placet.core.windows import applying, closed


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An earlier rule that does not hold for the path, and why."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Voice:
    """A person whose approval could count, and the most that they see; or who may not approve, and why."""

    person: str
    organisation: str
    sees: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """One requirement of the rule, in words and in numbers."""

    text: str
    count: int
    groups: tuple[str, ...]
    organisations: int
    bytes: int
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """A window that is about the path; `until` is set while it is closed."""

    window: str
    reason: str
    times: tuple[str, ...]
    closed: bool
    until: str | None


@dataclass(frozen=True, slots=True)
class Holding:
    """The rule that holds, and what it asks for.

    Attributes:
        line: Where the policy file has it.
        pattern: Which of its patterns matches.
        satisfiable: Are there enough people who could approve?
        may_approve: Whose approval could count.
        may_not: People of its groups who may not approve, and why.
        witnesses: Whose word about reviews on which forges counts beside signed decisions.
    """

    rule: str
    line: int
    pattern: str
    needs: tuple[Need, ...]
    satisfiable: bool
    may_approve: tuple[Voice, ...]
    may_not: tuple[Voice, ...]
    limits: Mapping[str, int | tuple[str, ...]]
    checks: tuple[str, ...]
    options: Mapping[str, Mapping[str, object]]
    recheck: bool
    expires_days: int
    witnesses: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class TakingBack:
    """Who may take back what the path's node published.

    Attributes:
        own: Its node may, alone.
        count: Else so many people, the one who signs it included.
        groups: Of these groups.
        people: Who is in one of them.
        emergency_hours: One alone may hide it at once; in so many hours a second person confirms it.
    """

    own: bool
    count: int
    groups: tuple[str, ...]
    people: tuple[str, ...]
    emergency_hours: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a policy says of one path of a node, for a tier.

    Attributes:
        policy: The policy's number.
        denied: Why nothing there can be published, or empty.
        passed_over: The earlier rules, which do not match.
        holds: The rule that does.
        windows: Those that are about the path, also while they are open.
        retraction: Who may take it back once it is published; None where nothing can be.
    """

    policy: int
    node: str
    path: str
    tier: str
    denied: str
    passed_over: tuple[PassedOver, ...] = ()
    holds: Holding | None = None
    windows: tuple[Hold, ...] = ()
    retraction: TakingBack | None = None


def explain(policy: Policy, node: str, path: str, tier: str, now: datetime) -> Explanation:
    """What the policy says of a node's workspace path for a tier, at a time (for windows)."""
    number, name = policy.form.number, f"{node}/{path}"
    known = policy.form.nodes.get(node)
    if known is None or tier not in policy.form.tiers:
        what = f"node {node!r}" if known is None else f"tier {tier!r}"
        return Explanation(number, node, path, tier, f"The policy has no {what}.")
    rule = rule_for(policy, node, path, tier)
    place = policy.form.rules.index(rule) if rule else len(policy.form.rules)
    denied = "" if rule else "No rule matches it."
    if not any(globs.matches(one, path) for one in known.paths):
        denied = f"Node {node} may not propose it: its paths are {', '.join(known.paths)}."
    return Explanation(
        number,
        node,
        path,
        tier,
        denied,
        tuple(PassedOver(one.name, _why_not(one, name, tier)) for one in policy.form.rules[:place]),
        _holding(policy, rule, name, node) if rule else None,
        tuple(_holds(policy, name, tier, now)),
        _taking_back(policy),
    )


def need_text(need: Approvals) -> str:
    """A requirement in words."""
    text = f"{need.count} of group {', '.join(need.groups)}"
    if need.organisations > 1:
        text += f", from {need.organisations} organisations"
    if need.bytes:
        text += f", {need.bytes} having seen the bytes"
    return text


def _taking_back(policy: Policy) -> TakingBack:
    rule = policy.form.governance.retraction
    people = tuple(sorted(policy.retractors()))
    return TakingBack(rule.own, rule.count, rule.groups, people, rule.emergency_hours)


def _why_not(rule: Rule, name: str, tier: str) -> str:
    if rule.tiers is not None and tier not in rule.tiers:
        return f"it is for tier {', '.join(rule.tiers)} only"
    return f"{name} does not match {', '.join(rule.paths)}"


def _holding(policy: Policy, rule: Rule, name: str, node: str) -> Holding:
    barred = barred_for(policy, rule, node)
    operators = policy.form.nodes[node].operators
    heard = sorted(node_witnesses(policy, node)) if accepts_forge(rule) else ()
    groups = {group for need in rule.approvals for group in need.groups}
    people = sorted({person for group in groups for person in policy.form.groups[group].members})
    limits = {key: getattr(rule.limits, key) for key in ("bytes", "files", "rows", "types")}
    return Holding(
        rule=rule.name,
        line=mark(policy, ("rules", policy.form.rules.index(rule)))[0],
        pattern=next(one for one in rule.paths if globs.matches(one, name)),
        needs=tuple(_need(policy, need, barred) for need in rule.approvals),
        satisfiable=fills(seats(policy, rule.approvals, everybody(policy, barred))),
        may_approve=tuple(_voice(policy, one) for one in people if one not in barred),
        may_not=tuple(
            _voice(policy, one, "runs the node" if one in operators else "runs a witness")
            for one in people
            if one in barred
        ),
        limits={key: value for key, value in limits.items() if value is not None},
        checks=tuple(sorted(asked_checks(rule))),
        options=rule.options,
        recheck=rule.recheck,
        expires_days=rule.expires_days,
        witnesses={one: policy.form.witnesses[one].forges for one in heard},
    )


def _need(policy: Policy, need: Approvals, barred: frozenset[str]) -> Need:
    people = tuple(could_approve(policy, need, barred))
    return Need(need_text(need), need.count, need.groups, need.organisations, need.bytes, people)


def _voice(policy: Policy, person: str, why: str = "") -> Voice:
    return Voice(person, policy.form.people[person].organisation, sees(policy, person), why)


def _holds(policy: Policy, name: str, tier: str, now: datetime) -> Iterator[Hold]:
    shut = {one.window: one for one in closed(policy, [name], tier, now)}
    for window, form in applying(policy, [name], tier):
        one = shut.get(window)
        until = format_time(one.until) if one and one.until else None
        yield Hold(window, form.reason, tuple(_times(form)), one is not None, until)


def _times(window: Window) -> Iterator[str]:
    for span in window.between:
        yield f"{span.begin} to {span.until}"
    for hours in window.weekly:
        yield f"every {', '.join(hours.days)} {hours.begin} to {hours.until} UTC"
