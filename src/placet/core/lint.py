"""What is allowed in a policy but probably not meant; mistakes that make it invalid are in `policy`."""

from __future__ import annotations

from collections.abc import Iterator

from placet.core import globs
from placet.core.assent import rule_for
from placet.core.policy import Approvals, Policy, Rule


def lint(policy: Policy) -> list[str]:
    """One sentence for each weakness of a policy; empty if none was found."""
    return [
        *_alone(policy),
        *_unmatched(policy),
        *_unreachable(policy),
        *_idle(policy),
    ]


def _alone(policy: Policy) -> Iterator[str]:
    needs: list[tuple[str, tuple[Approvals, ...]]] = [
        (f"Rule {rule.name}", rule.approvals) for rule in policy.form.rules
    ]
    needs.append(("A change of the policy", policy.form.governance.policy))
    for name, approvals in needs:
        if sum(need.count for need in approvals) < 2:  # noqa: PLR2004 - the two-person rule
            yield f"{name} can be satisfied by one person alone."
        elif all(need.organisations < 2 for need in approvals):  # noqa: PLR2004
            organisations = {
                policy.form.people[person].organisation
                for need in approvals
                for group in need.groups
                for person in policy.form.groups[group].members
            }
            if len(organisations) > 1:
                yield f"{name} can be satisfied within one organisation."


def _unmatched(policy: Policy) -> Iterator[str]:
    for name, node in policy.form.nodes.items():
        for pattern in node.paths:
            for tier in policy.form.tiers:
                if rule_for(policy, name, _sample(pattern), tier) is None:
                    yield f"No rule matches {name}/{pattern} for tier {tier}: nothing there can be approved."


def _unreachable(policy: Policy) -> Iterator[str]:
    for index, rule in enumerate(policy.form.rules):
        for earlier in policy.form.rules[:index]:
            if _covers(policy, earlier, rule):
                yield f"Rule {rule.name} is never reached: rule {earlier.name} matches first."
                break


def _covers(policy: Policy, earlier: Rule, rule: Rule) -> bool:
    tiers = set(earlier.tiers or policy.form.tiers)
    return set(rule.tiers or policy.form.tiers) <= tiers and all(
        any(globs.matches(one, _sample(pattern)) and _wider(one, pattern) for one in earlier.paths)
        for pattern in rule.paths
    )


def _wider(one: str, other: str) -> bool:
    return one == other or "**" in one or "**" not in other


def _idle(policy: Policy) -> Iterator[str]:
    members = {member for group in policy.form.groups.values() for member in group.members}
    members |= {operator for node in policy.form.nodes.values() for operator in node.operators}
    for name in policy.form.people:
        if name not in members:
            yield f"{name} is in no group and runs no node: the keys are unused."
    used = {group for rule in policy.form.rules for need in rule.approvals for group in need.groups}
    used |= {group for need in policy.form.governance.policy for group in need.groups}
    used |= {*policy.form.governance.freeze, *policy.form.governance.retract}
    for name in policy.form.groups:
        if name not in used:
            yield f"Group {name} is used by no rule."


def _sample(pattern: str) -> str:
    """A path that the pattern matches."""
    return pattern.replace("**", "x/y").replace("*", "x").replace("?", "x")
