"""Do these approvals satisfy this policy? One pure function of facts, which says what is missing (I7, I9).

Thresholds count distinct people; a person fills one place of one requirement only; proposers and the
operators of the proposing node fill none; nothing matches -> denied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from placet.core import globs
from placet.core.guards import guard
from placet.core.policy import Approvals, FileType, Policy, Rule
from placet.core.predicates import Artifact, CheckResult, Manifest, Sees
from placet.core.quorum import Seats, Voter, fills

IMPLIED: Mapping[FileType, str] = {
    "archive": "archives",
    "numpy": "pickle",
    "pickle": "pickle",
    "xlsx": "formulas",
}
"""Types that are allowed only together with a check."""


@dataclass(frozen=True, slots=True)
class Assent:
    """One person's approval that counts, and what they had before them.

    Attributes:
        forge: They gave it on a forge, by the word of a witness; they did not sign it.
    """

    person: str
    seen: Sees
    forge: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision that explains itself.

    Attributes:
        allowed: Nothing stands against it and nothing is missing.
        reasons: Why it is refused whatever the approvals, one sentence each.
        missing: Which approvals are still needed, and who could give them.
        rules: The rules that were applied, by name.
    """

    allowed: bool
    reasons: tuple[str, ...]
    missing: tuple[str, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Requirement:
    """The approvals of one rule, with its name.

    Attributes:
        forge: It accepts what people said on a forge, by the word of a witness.
    """

    rule: str
    needs: tuple[Approvals, ...]
    forge: bool = False


def signer_keys(policy: Policy, manifest: Manifest) -> tuple[str, ...]:
    """The keys of whoever must have signed a manifest: a person's, or else its node's."""
    if manifest.person:
        return policy.person_keys(manifest.person)
    return policy.node_keys(manifest.node or "")


def rule_for(policy: Policy, node: str, path: str, tier: str) -> Rule | None:
    """The first rule that matches an artifact of a node for a tier; None = denied."""
    for rule in policy.form.rules:
        if (rule.tiers is None or tier in rule.tiers) and any(
            globs.matches(pattern, f"{node}/{path}") for pattern in rule.paths
        ):
            return rule
    return None


def asked_checks(rule: Rule) -> frozenset[str]:
    """The checks that a rule asks for: by name, and those that its limits on types and rows need."""
    asked = {*rule.checks, *(IMPLIED[kind] for kind in rule.limits.types or () if kind in IMPLIED)}
    if rule.limits.types:
        asked.add("type")
    if rule.limits.rows is not None:
        asked.add("rows")
    return frozenset(asked)


def judge_manifest(policy: Policy, manifest: Manifest, assents: Iterable[Assent]) -> Outcome:
    """Judge a manifest of any kind by the policy and the approvals that count.

    Signatures, positions and times are the caller's business; content rules (paths, limits, checks)
    and thresholds are decided here.
    """
    reasons: list[str] = []
    if manifest.kind == "publish":
        requirements = list(_publish(policy, manifest, reasons))
    elif manifest.kind == "policy":
        requirements = [Requirement("governance.policy", policy.form.governance.policy)]
    else:
        requirements = list(_retract(policy, manifest, reasons))
    if not requirements and not reasons:
        reasons.append("No rule applies, so nothing could be approved.")
    barred, everything = excluded(policy, manifest), list(assents)
    given = {forge: _countable(policy, everything, barred, forge=forge) for forge in (False, True)}
    missing = [text for one in requirements for text in unmet(policy, one, given[one.forge], barred)]
    return Outcome(
        allowed=not reasons and not missing,
        reasons=tuple(dict.fromkeys(reasons)),
        missing=tuple(dict.fromkeys(missing)),
        rules=tuple(dict.fromkeys(one.rule for one in requirements)),
    )


@guard(18, 33)
def retract_needs(policy: Policy, manifest: Manifest, *, confirm: bool) -> tuple[Approvals, ...]:
    """Whose approval a retraction needs beside its signer's word, which counts for one person's.

    Args:
        policy: The effective policy of the retraction.
        manifest: The retraction.
        confirm: To erase what an emergency only hides, two are needed even where one may retract.
    """
    rule = policy.form.governance.retraction
    if manifest.emergency and not confirm:
        return ()
    alone = manifest.person is None and rule.own
    wanted = (1 if alone else rule.count) if not manifest.emergency else max(rule.count, 2)
    left = wanted - (1 if alone or manifest.person else 0)
    return (Approvals(count=left, groups=rule.groups),) if left > 0 else ()


def confirmed(policy: Policy, manifest: Manifest, assents: Iterable[Assent]) -> bool:
    """Do the approvals that count let a retraction erase, and not only hide?"""
    needs = Requirement("governance.retract", retract_needs(policy, manifest, confirm=True))
    barred = excluded(policy, manifest)
    return not unmet(policy, needs, _countable(policy, assents, barred, forge=needs.forge), barred)


@guard(18)
def excluded(policy: Policy, manifest: Manifest) -> frozenset[str]:
    """Who must not approve this manifest: its signer, the operators of its node, and those of the witnesses.

    A retraction that a person signed is theirs alone. Who runs a witness could say of others what they like:
    where its word counts, theirs would be a second one.
    """
    out = {manifest.person} if manifest.person else set()
    if manifest.kind == "retract" and manifest.person:
        return frozenset(out)
    node = policy.form.nodes.get(manifest.node or "")
    out |= set(node.operators if node else ())
    return frozenset(out | _running(policy, witnesses(policy, manifest)))


def witnesses(policy: Policy, manifest: Manifest) -> frozenset[str]:
    """Whose word about reviews on a forge may count here; nobody's if no rule of the manifest accepts it."""
    if manifest.kind != "publish" or not policy.form.witnesses:
        return frozenset()
    node, tier = manifest.node or "", manifest.tier or ""
    rules = (rule_for(policy, node, one.path, tier) for one in manifest.artifacts)
    return node_witnesses(policy, node) if any(map(accepts_forge, rules)) else frozenset()


@guard(17)
def node_witnesses(policy: Policy, node: str) -> frozenset[str]:
    """The witnesses that are not of a node's own organisation, which would attest its own approvals."""
    known = policy.form.nodes.get(node)
    return frozenset(
        name
        for name, one in policy.form.witnesses.items()
        if known is not None and one.organisation != known.organisation
    )


def barred_for(policy: Policy, rule: Rule, node: str) -> frozenset[str]:
    """Who must not approve what falls under one rule alone: who runs the node, or a witness that is heard."""
    known = policy.form.nodes.get(node)
    heard = node_witnesses(policy, node) if accepts_forge(rule) else frozenset()
    return frozenset(known.operators if known else ()) | _running(policy, heard)


def _running(policy: Policy, names: Iterable[str]) -> frozenset[str]:
    return frozenset(one for name in names for one in policy.form.witnesses[name].operators)


def forge_suffices(policy: Policy, manifest: Manifest) -> bool:
    """Does every rule of a manifest count what people said on a forge, without a need of the bytes?"""
    node, tier = manifest.node or "", manifest.tier or ""
    rules = [rule_for(policy, node, one.path, tier) for one in manifest.artifacts]
    unseen = all(not need.bytes for rule in rules if rule for need in rule.approvals)
    return manifest.kind == "publish" and all(map(accepts_forge, rules)) and unseen


def accepts_forge(rule: Rule | None) -> bool:
    """Does a rule count what people said on a forge?"""
    return rule is not None and "forge" in rule.accept


def could_approve(policy: Policy, need: Approvals, barred: frozenset[str]) -> list[str]:
    """The people whose approval could fill this requirement."""
    members = {person for group in need.groups for person in policy.form.groups[group].members}
    return sorted(members - barred)


@guard(35)
def sees(policy: Policy, person: str) -> Sees:
    """The most that policy shows to a person: the best of their groups."""
    groups = (group for group in policy.form.groups.values() if person in group.members)
    return "bytes" if any(group.sees == "bytes" for group in groups) else "report"


@guard(9, 12, 18, 19)
def unmet(
    policy: Policy, requirement: Requirement, assents: Mapping[str, Assent], barred: frozenset[str]
) -> list[str]:
    """One sentence for each need of a requirement that is not met; empty if all are met together."""
    if fills(seats(policy, requirement.needs, assents)):
        return []
    out = [
        _missing(policy, requirement.rule, need, assents, barred)
        for need in requirement.needs
        if not fills(seats(policy, (need,), assents))
    ]
    return out or [
        f"Rule {requirement.rule}: one person cannot fill two requirements; another one is needed."
    ]


def _publish(policy: Policy, manifest: Manifest, reasons: list[str]) -> Iterator[Requirement]:
    node, tier = manifest.node or "", manifest.tier or ""
    known = policy.form.nodes.get(node)
    if known is None or tier not in policy.form.tiers:
        reasons.append(f"The policy has no node {node!r} or no tier {tier!r}.")
        return
    if not manifest.artifacts:
        reasons.append("The manifest has no artifact.")
    for artifact in manifest.artifacts:
        if not any(globs.matches(pattern, artifact.path) for pattern in known.paths):
            reasons.append(f"Node {node} may not propose {artifact.path}.")
        rule = rule_for(policy, node, artifact.path, tier)
        if rule is None:
            reasons.append(f"No rule matches {node}/{artifact.path} for tier {tier}.")
            continue
        results = [result for result in manifest.checks if result.path == artifact.path]
        reasons += _over_limits(rule, artifact, results)
        reasons += _failed_checks(rule, artifact, results)
        yield Requirement(rule.name, rule.approvals, accepts_forge(rule))


@guard(33)
def _retract(policy: Policy, manifest: Manifest, reasons: list[str]) -> Iterator[Requirement]:
    rule = policy.form.governance.retraction
    if manifest.person and manifest.person not in policy.retractors():
        reasons.append(f"The policy does not let {manifest.person} retract.")
    if manifest.emergency and not manifest.person and not rule.own:
        reasons.append(f"The policy does not let node {manifest.node} retract alone, also in an emergency.")
    barred = excluded(policy, manifest)
    needs = retract_needs(policy, manifest, confirm=True)
    if any(need.count > len(could_approve(policy, need, barred)) for need in needs):
        reasons.append("The policy has too few people who could retract it, or confirm it.")
    yield Requirement("governance.retract", retract_needs(policy, manifest, confirm=False))


@guard(26)
def _over_limits(rule: Rule, artifact: Artifact, results: Sequence[CheckResult]) -> Iterator[str]:
    for name, limit, value in (
        ("bytes", rule.limits.bytes, artifact.size),
        ("files", rule.limits.files, artifact.files),
        ("rows", rule.limits.rows, max((one.facts.get("rows", 0) for one in results), default=0)),
    ):
        if limit is not None and value > limit:
            yield f"{artifact.path} has {value} {name}; rule {rule.name} allows {limit}."


@guard(29, 31)
def _failed_checks(rule: Rule, artifact: Artifact, results: Sequence[CheckResult]) -> Iterator[str]:
    for name in sorted(asked_checks(rule) - {result.check for result in results}):
        yield f"Check {name} of {artifact.path} is missing."
    for result in results:
        if not result.passed:
            yield f"Check {result.check} of {artifact.path} failed: {result.summary}"


@guard(9, 19)
def accepted(assents: Iterable[Assent], *, forge: bool) -> list[Assent]:
    """The approvals that a requirement may count: signed ones, and a forge's where it accepts them."""
    return [one for one in assents if forge or not one.forge]


def _countable(
    policy: Policy, assents: Iterable[Assent], barred: frozenset[str], *, forge: bool
) -> dict[str, Assent]:
    out: dict[str, Assent] = {}
    for assent in sorted(accepted(assents, forge=forge), key=lambda one: not one.forge):
        if assent.person in policy.form.people and assent.person not in barred:
            signed_for = "report" if assent.forge else assent.seen
            seen: Sees = "bytes" if signed_for == sees(policy, assent.person) == "bytes" else "report"
            out[assent.person] = Assent(assent.person, seen)
    return out


def everybody(policy: Policy, barred: frozenset[str] = frozenset()) -> dict[str, Assent]:
    """As if all people but these had approved, each having seen all that the policy shows them."""
    people = policy.form.people.keys() - barred
    return {name: Assent(name, sees(policy, name)) for name in sorted(people)}


def seats(policy: Policy, needs: Iterable[Approvals], assents: Mapping[str, Assent]) -> list[Seats]:
    """The requirements with those of these people who may fill them."""
    voters = {
        name: Voter(name, policy.form.people[name].organisation, one.seen == "bytes")
        for name, one in assents.items()
    }
    out = []
    for need in needs:
        members = {person for group in need.groups for person in policy.form.groups[group].members}
        out.append(Seats(need, frozenset(voters[name] for name in members & voters.keys())))
    return out


def _missing(
    policy: Policy, rule: str, need: Approvals, assents: Mapping[str, Assent], barred: frozenset[str]
) -> str:
    able = could_approve(policy, need, barred)
    given = [person for person in able if person in assents]
    others = [person for person in able if person not in assents]
    parts = [f"{max(need.count - len(given), 0)} of {need.count} approvals are missing"]
    organisations = {policy.form.people[person].organisation for person in given}
    if len(organisations) < need.organisations:
        parts.append(f"from {need.organisations} organisations ({len(organisations)} so far)")
    with_bytes = sum(assents[person].seen == "bytes" for person in given)
    if with_bytes < need.bytes:
        parts.append(f"{need.bytes} of them having seen the bytes ({with_bytes} so far)")
    who = f"could come from {', '.join(others)}" if others else "nobody is left who could give them"
    return f"Rule {rule}: {', '.join(parts)} (group {', '.join(need.groups)}; {who})."
