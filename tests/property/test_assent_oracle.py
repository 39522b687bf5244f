"""Thresholds and globs against oracles that try every possibility; on generated policies."""

import itertools

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from keys import Key
from placet.core.assent import Assent, judge_manifest
from placet.core.policy import parse_policy
from placet.errors import Invalid
from unit.test_assent import ONE

PEOPLE = ("p0", "p1", "p2", "p3", "p4")
GROUPS = ("g0", "g1", "g2")
NEED = some.fixed_dictionaries(
    {
        "count": some.integers(1, 3),
        "groups": some.lists(some.sampled_from(GROUPS), min_size=1, max_size=2, unique=True),
        "organisations": some.integers(1, 3),
        "bytes": some.integers(0, 2),
    }
)


@some.composite
def towns(draw):
    """A policy as plain values: who is where, and what is asked for."""
    return {
        "organisations": {name: draw(some.sampled_from(["o0", "o1", "o2"])) for name in PEOPLE},
        "groups": {
            name: {
                "members": draw(some.lists(some.sampled_from(PEOPLE), min_size=1, unique=True)),
                "sees": draw(some.sampled_from(["bytes", "bytes", "report"])),
            }
            for name in GROUPS
        },
        "operators": draw(some.lists(some.sampled_from(PEOPLE), max_size=2, unique=True)),
        "needs": draw(some.lists(NEED, min_size=1, max_size=3)),
    }


def policy_of(town):
    people = {
        name: {"name": name, "organisation": town["organisations"][name], "keys": [Key(name).public]}
        for name in PEOPLE
    }
    return {
        "version": 1, "repository": "ab" * 16, "number": 0, "previous": None, "project": "test", "people": people,
        "groups": town["groups"],
        "nodes": {"site-b": {"organisation": "o0", "keys": [Key("site-b").public], "paths": ["**"], "operators": town["operators"]}},
        "tiers": {"publication-storage": {"url": "s3://x/y"}},
        "rules": [{"name": "default", "paths": ["**"], "approvals": town["needs"]}],
        "governance": {"policy": town["needs"]},
    }  # fmt: skip


def sees(town, person):
    return any(person in group["members"] and group["sees"] == "bytes" for group in town["groups"].values())


def satisfied(town, given):
    """Is there any way to give each need its own people? Every way is tried."""
    barred = set(town["operators"])
    able = {
        name: seen == "bytes" and sees(town, name)
        for name, seen in given.items()
        if name in PEOPLE and name not in barred
    }

    def fill(needs, free):
        if not needs:
            return True
        need = needs[0]
        members = {name for group in need["groups"] for name in town["groups"][group]["members"]} & free
        return any(
            len({town["organisations"][name] for name in chosen}) >= need["organisations"]
            and sum(able[name] for name in chosen) >= need["bytes"]
            and fill(needs[1:], free - set(chosen))
            for chosen in itertools.combinations(sorted(members), need["count"])
        )

    return fill(town["needs"], set(able))


GIVEN = some.dictionaries(
    some.sampled_from([*PEOPLE, "mallory"]), some.sampled_from(["bytes", "bytes", "report"])
)


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    town=towns(),
    given_by=some.lists(GIVEN, min_size=1, max_size=4),
    kind=some.sampled_from(["publish", "policy"]),
)
def test_thresholds_are_those_of_an_oracle_that_tries_everything(town, given_by, kind):
    try:
        policy = parse_policy(msgspec.json.encode(policy_of(town)))
    except Invalid:
        assume(False)
    manifest = msgspec.structs.replace(ONE, node="site-b")
    if kind == "policy":
        manifest = msgspec.structs.replace(
            ONE, kind="policy", node=None, person=PEOPLE[0], tier=None, artifacts=()
        )
        town = {**town, "operators": [PEOPLE[0]]}
    for people in given_by:
        outcome = judge_manifest(policy, manifest, [Assent(name, seen) for name, seen in people.items()])
        assert outcome.allowed is satisfied(town, people), (town, people, outcome)
        assert bool(outcome.missing) is not outcome.allowed
