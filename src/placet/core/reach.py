"""Where each rule of a policy holds: which node's paths, to which tiers, it is the first to match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from placet.core.globsets import example
from placet.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Reached:
    """A rule is the first to match a path (`example`) that a node may propose for a tier."""

    rule: int
    node: str
    tier: str
    example: str


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A path that a node may propose for a tier, and that no rule matches."""

    node: str
    pattern: int
    tier: str
    example: str


def reached(policy: Policy) -> list[Reached]:
    """Every rule, node and tier for which there is such a path; a rule without one is never used.

    Raises:
        Refused: kind `globs-too-many`.
    """
    out = []
    for node, form in policy.form.nodes.items():
        space = [f"{node}/{pattern}" for pattern in form.paths]
        for tiers, rules in _tiers(policy):
            before: list[str] = []
            for index in rules:
                paths = policy.form.rules[index].paths
                found = example(space, paths, but_not=before)
                before += paths
                out += [Reached(index, node, tier, found) for tier in tiers if found is not None]
    return out


def unmatched(policy: Policy) -> Iterator[Unmatched]:
    """One path of each pattern of a node that no rule matches for some tier.

    Raises:
        Refused: kind `globs-too-many`.
    """
    for node, form in policy.form.nodes.items():
        for tiers, rules in _tiers(policy):
            matched = [pattern for index in rules for pattern in policy.form.rules[index].paths]
            for position, pattern in enumerate(form.paths):
                found = example([f"{node}/{pattern}"], but_not=matched)
                if found is not None:
                    yield from (Unmatched(node, position, tier, found) for tier in tiers)


def _tiers(policy: Policy) -> list[tuple[list[str], tuple[int, ...]]]:
    """The tiers for which the same rules hold, with the places of those rules."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for tier in policy.form.tiers:
        rules = tuple(
            index for index, rule in enumerate(policy.form.rules) if rule.tiers is None or tier in rule.tiers
        )
        groups.setdefault(rules, []).append(tier)
    return [(tiers, rules) for rules, tiers in groups.items()]
