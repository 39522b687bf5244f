"""What is allowed in a policy but probably not meant; mistakes that make it invalid are in `policymistakes`.

Thresholds are decided by search over the people who remain when proposers and operators are excluded, paths
by the patterns themselves, never by a sample.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from placet.core.assent import (
    Assent,
    accepts_forge,
    asked_checks,
    barred_for,
    everybody,
    node_witnesses,
    seats,
)
from placet.core.globsets import example
from placet.core.policy import Approvals, Place, Policy, Rule, mark
from placet.core.quorum import fills
from placet.core.reach import Reached, reached, unmatched
from placet.errors import Refused

_TABLES = frozenset({"csv", "parquet", "xlsx", "any"})
_CODE = frozenset({"pickle", "any"})
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Weakness:
    """A finding: `code` is stable; line and column are those of the file, from 1."""

    code: str
    line: int
    column: int
    text: str
    mend: str


WEAKNESSES: Mapping[str, str] = {
    "forge-alone": "Ask for bytes: 1 in the rule's approvals: only a signed decision can meet it.",
    "code-unseen": "Ask for bytes: 1 in the rule's approvals, or leave that type out.",
    "matches-nothing": "Paths begin with the node's name: <node>/<path> or */<path>.",
    "never-reached": "Put the rule before them, or take it out.",
    "no-operators": "Name who runs the witness in its operators; their approvals do not count then.",
    "no-rows": "Set limits.rows.",
    "no-rule": "Add a rule that matches it, or narrow the node's paths.",
    "no-spare": "Add a person to the group, or a second key that is kept elsewhere.",
    "no-witness": "Name a witness of another organisation that reads a forge where they have accounts.",
    "no-types": "Name the types in limits.types, or `any` if that is meant.",
    "no-unfreeze": "Name two people or more in the groups of governance.freeze.",
    "nobody": "Name more people in the rule's groups, or ask for fewer approvals.",
    "one-organisation": "Ask for organisations: 2.",
    "one-person": "Ask for 2 approvals or more.",
    "policy-locked": "Name more people in the groups of governance.policy, or ask for fewer approvals.",
    "policy-threshold": "Raise count or organisations of governance.policy.",
    "undecided": "Use fewer patterns with `*` and `?` inside names.",
    "unused-group": "Take it out, or use it.",
    "unused-options": "Add the check to the rule's checks, or take the options out.",
    "unused-person": "Name the person in a group that a rule uses, or take them out.",
    "unused-witness": "Take it out, or write accept: [forge] to a rule.",
}
"""What is found, by its stable code, and how to mend it."""

_Found = tuple[str, Place, str]


def lint(policy: Policy) -> list[Weakness]:
    """The weaknesses of a policy, in the order of the file; empty if none was found."""
    voters = _Voters(policy)
    found = [*_people(policy), *_governance(voters), *_contents(policy), *_paths(voters)]
    return sorted(
        (Weakness(code, *mark(policy, place), text, WEAKNESSES[code]) for code, place, text in found),
        key=lambda one: (one.line, one.column, one.code, one.text),
    )


def locked(policy: Policy) -> bool:
    """Would nobody be able to change this policy any more, whoever proposes it?"""
    voters, needs = _Voters(policy), policy.form.governance.policy
    return not any(voters.can(needs, {proposer}) for proposer in policy.form.people)


class _Voters:
    """All people of a policy, each as if they had approved, having seen all that it shows them."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._all = everybody(policy)

    def can(
        self,
        needs: Sequence[Approvals],
        barred: Iterable[str],
        only: Iterable[str] | None = None,
        *,
        unseen: bool = False,
    ) -> bool:
        """Could these people (all, if none are named) but the barred ones satisfy the requirements?

        `unseen`: none of them having seen the bytes.
        """
        names = (self._all.keys() if only is None else set(only)) - set(barred)
        given = {name: Assent(name, "report") if unseen else self._all[name] for name in names}
        return fills(seats(self.policy, needs, given))

    def of(self, needs: Sequence[Approvals]) -> list[str]:
        """The members of the groups that are asked."""
        groups = {group for need in needs for group in need.groups}
        return sorted({person for group in groups for person in self.policy.form.groups[group].members})

    def by_organisation(self, people: Iterable[str]) -> Mapping[str, list[str]]:
        """The people, by the organisation that they are of."""
        out: dict[str, list[str]] = defaultdict(list)
        for person in people:
            out[self.policy.form.people[person].organisation].append(person)
        return out


def _few(
    voters: _Voters, place: Place, name: str, needs: Sequence[Approvals], barred: Sequence[AbstractSet[str]]
) -> Iterator[_Found]:
    """Can one person, or one organisation, satisfy these requirements, under any of these exclusions?"""
    people = voters.of(needs) if sum(need.count for need in needs) == 1 else []
    alone = [one for one in people if any(voters.can(needs, out, [one]) for out in barred)]
    if alone:
        yield "one-person", place, f"{name} can be satisfied by one person alone: {_names(alone)}."
        return
    organisations = voters.by_organisation(voters.of(needs))
    within = [
        organisation
        for organisation, members in organisations.items()
        if len(organisations) > 1 and any(voters.can(needs, out, members) for out in barred)
    ]
    if within:
        yield "one-organisation", place, f"{name} can be satisfied within one organisation: {_names(within)}."


def _governance(voters: _Voters) -> Iterator[_Found]:
    form = voters.policy.form
    needs, place = form.governance.policy, ("governance", "policy")
    if locked(voters.policy):
        yield "policy-locked", place, "Nobody could change this policy any more, whoever proposes it."
        return
    freezers = voters.policy.freezers()
    if len(freezers) == 1:
        text = f"{next(iter(freezers))} alone may freeze: nobody second could end it."
        yield "no-unfreeze", ("governance", "freeze"), text
    yield from _few(voters, place, "A change of the policy", needs, [{one} for one in form.people])
    for one in voters.of(needs):
        others = form.people.keys() - {one}
        if len(form.people[one].keys) == 1 and not any(voters.can(needs, {one, by}) for by in others):
            text = f"If {one} loses their only key, nobody can change the policy any more."
            yield "no-spare", place, text
    yield from _thresholds(voters.policy)


def _thresholds(policy: Policy) -> Iterator[_Found]:
    """Who changes the policy changes every rule: that must not be easier than to satisfy the strictest."""
    people, organisations = _weight(policy.form.governance.policy)
    for rule in policy.form.rules:
        its_people, its_organisations = _weight(rule.approvals)
        if its_people > people or its_organisations > organisations:
            text = (
                f"A change of the policy takes {people} people from {organisations} organisations, fewer than"
                f" rule {rule.name} ({its_people} from {its_organisations})."
            )
            yield "policy-threshold", ("governance", "policy"), text


def _weight(needs: Sequence[Approvals]) -> tuple[int, int]:
    return sum(need.count for need in needs), max(need.organisations for need in needs)


def _people(policy: Policy) -> Iterator[_Found]:
    form = policy.form
    needs = [*form.governance.policy, *(need for rule in form.rules for need in rule.approvals)]
    used = {group for need in needs for group in need.groups}
    used |= {*form.governance.freeze, *form.governance.retraction.groups}
    busy = {member for name in used for member in form.groups[name].members}
    busy |= {operator for node in form.nodes.values() for operator in node.operators}
    busy |= {operator for one in form.witnesses.values() for operator in one.operators}
    if not any(map(accepts_forge, form.rules)):
        for name in form.witnesses:
            yield "unused-witness", ("witnesses", name), f"No rule accepts the word of witness {name}."
    for name in form.people.keys() - busy:
        text = f"No rule counts {name}, who runs no node either: the keys are unused."
        yield "unused-person", ("people", name), text
    for name in form.groups.keys() - used:
        yield "unused-group", ("groups", name), f"Group {name} is used by no rule."


def _contents(policy: Policy) -> Iterator[_Found]:
    for index, rule in enumerate(policy.form.rules):
        place: Place = ("rules", index)
        types = frozenset(rule.limits.types or ("any",))
        if rule.limits.types is None:
            yield "no-types", place, f"Rule {rule.name} lets out files of any type."
        if types & _CODE and not any(need.bytes for need in rule.approvals):
            text = (
                f"Rule {rule.name} lets out files that can run code, and nobody has to have seen the bytes."
            )
            yield "code-unseen", place, text
        if types & _TABLES and rule.limits.rows is None:
            text = f"Rule {rule.name} lets out tables of any number of rows: also one row a patient."
            yield "no-rows", place, text
        for name in rule.options.keys() - asked_checks(rule):
            text = f"Rule {rule.name} has options for {name}, a check that it does not ask for."
            yield "unused-options", (*place, "options", name), text


def _paths(voters: _Voters) -> Iterator[_Found]:
    policy = voters.policy
    found: Sequence[Reached] = ()
    try:
        found = reached(policy)
        yield from _unmatched(policy)
        yield from _unreached(policy, found)
        yield from _windows(policy)
    except Refused as error:
        yield "undecided", ("rules",), str(error)
    for index, rule in enumerate(policy.form.rules):
        yield from _rule(voters, index, rule, [one for one in found if one.rule == index])


def _rule(voters: _Voters, index: int, rule: Rule, here: Sequence[Reached]) -> Iterator[_Found]:
    policy = voters.policy
    place: Place = ("rules", index, "approvals")
    nodes = dict.fromkeys(one.node for one in here)
    operators = [barred_for(policy, rule, node) for node in nodes] or [frozenset()]
    yield from _few(voters, place, f"Rule {rule.name}", rule.approvals, operators)
    yield from _forge(voters, index, rule, nodes)
    for node in nodes:
        if not voters.can(rule.approvals, barred_for(policy, rule, node)):
            text = f"Nobody can satisfy rule {rule.name} for node {node}: its operators do not count."
            yield "nobody", place, text


def _forge(voters: _Voters, index: int, rule: Rule, nodes: Iterable[str]) -> Iterator[_Found]:
    """May the holder of one witness's key publish alone; and can the forge's word count at all?"""
    place: Place = ("rules", index, "accept")
    policy, form = voters.policy, voters.policy.form
    people = voters.of(rule.approvals)
    for node in nodes if accepts_forge(rule) else ():
        out, heard = barred_for(policy, rule, node), False
        for name in sorted(node_witnesses(policy, node)):
            reads = set(form.witnesses[name].forges)
            told = [one for one in people if reads & form.people[one].forges.keys()]
            heard = heard or bool(set(told) - out)
            if not form.witnesses[name].operators:
                text = f"Nobody is said to run witness {name}: who does could approve as well."
                yield "no-operators", ("witnesses", name), text
            if voters.can(rule.approvals, out, told, unseen=True):
                text = f"Rule {rule.name} can be satisfied for {node} by the word of witness {name} alone."
                yield "forge-alone", place, text
        if not heard:
            text = f"Rule {rule.name} accepts a forge's word, and no witness of its people speaks for {node}."
            yield "no-witness", place, text


def _unmatched(policy: Policy) -> Iterator[_Found]:
    for one in unmatched(policy):
        pattern = policy.form.nodes[one.node].paths[one.pattern]
        text = f"{one.node}/{pattern} for tier {one.tier}: no rule matches {one.example}, so it is denied."
        yield "no-rule", ("nodes", one.node, "paths", one.pattern), text


def _unreached(policy: Policy, found: Sequence[Reached]) -> Iterator[_Found]:
    used = {one.rule for one in found}
    for index, rule in enumerate(policy.form.rules):
        if index in used:
            continue
        if example(_spaces(policy), rule.paths) is None:
            text = f"Rule {rule.name} matches nothing that a node may propose."
            yield "matches-nothing", ("rules", index, "paths"), text
            continue
        before = [one.name for one in policy.form.rules[:index] if example(one.paths, rule.paths)]
        text = f"Rule {rule.name} is never reached: what it matches, {_names(before)} match before."
        yield "never-reached", ("rules", index), text


def _windows(policy: Policy) -> Iterator[_Found]:
    for name, window in policy.form.windows.items():
        if window.paths is not None and example(_spaces(policy), window.paths) is None:
            text = f"Window {name} matches nothing that a node may propose."
            yield "matches-nothing", ("windows", name, "paths"), text


def _spaces(policy: Policy) -> list[str]:
    return [f"{name}/{path}" for name, node in policy.form.nodes.items() for path in node.paths]


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
