import itertools

import msgspec
import pytest

from keys import POLICY
from placet.core import predicates
from placet.core.assent import Assent, judge_manifest, rule_for, sees
from placet.core.policy import parse_policy
from unit.test_statement import FILE, MANIFEST

ONE = msgspec.structs.replace(MANIFEST, node="site-b", artifacts=(FILE,), checks=())


def policy(*edits):
    text = POLICY
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return parse_policy(text.encode())


def judged(people, *, manifest=ONE, rules=None):
    assents = [Assent(*one.split("/")) if "/" in one else Assent(one, "bytes") for one in people.split()]
    return judge_manifest(rules or policy(), manifest, assents)


@pytest.mark.parametrize(
    ("people", "allowed"),
    [
        ("", False),
        ("alice", False),
        ("alice alice", False),
        ("alice carol", False),  # one organisation
        ("alice bob", True),
        ("carol bob", True),
        ("alice bob carol", True),
        ("alice dana", False),  # dana is no steward
        ("alice mallory", False),  # nobody knows mallory
        ("alice/report bob/report", False),  # nobody saw the bytes
        ("alice/report bob/bytes", True),
    ],
)
def test_thresholds_count_distinct_people(people, allowed):
    outcome = judged(people)
    assert outcome.allowed is allowed
    assert bool(outcome.missing) is not allowed
    assert outcome.rules == ("default",)


def test_what_is_missing_names_who_could_give_it():
    (text,) = judged("alice").missing
    assert "1 of 2 approvals are missing" in text
    assert "from 2 organisations (1 so far)" in text
    assert "could come from bob, carol" in text
    (text,) = judged("alice/report bob/report").missing
    assert "having seen the bytes (0 so far)" in text


def test_operators_of_the_node_do_not_count_for_it():
    own = msgspec.structs.replace(ONE, node="site-a")
    assert not judged("carol bob", manifest=own).allowed
    assert judged("alice bob", manifest=own).allowed
    (text,) = judged("carol", manifest=own).missing
    assert "carol" not in text


def test_the_proposer_of_a_policy_does_not_count():
    change = msgspec.structs.replace(
        MANIFEST, kind="policy", node=None, person="alice", tier=None, artifacts=()
    )
    assert not judged("alice bob", manifest=change).allowed
    assert judged("dana bob", manifest=change).allowed
    assert judged("dana bob", manifest=change).rules == ("governance.policy",)


def test_nobody_sees_more_than_the_policy_shows():
    assert sees(policy(), "alice") == "bytes"
    assert sees(policy(), "dana") == "report"
    rules = policy(
        ("groups: [stewards], organisations: 2, bytes: 1", "groups: [trustees, stewards], bytes: 1")
    )
    assert not judged("dana/bytes alice/report", rules=rules).allowed
    assert judged("dana/bytes alice/bytes", rules=rules).allowed


def test_one_person_fills_one_requirement():
    both = (
        "approvals: [{count: 2, groups: [stewards], organisations: 2, bytes: 1}]",
        "approvals: [{count: 1, groups: [stewards]}, {count: 1, groups: [trustees]}]",
    )
    rules = policy(both)
    assert not judged("alice", rules=rules).allowed
    assert "one person cannot fill two" in judged("alice", rules=rules).missing[0]
    assert judged("alice bob", rules=rules).allowed
    assert judged("carol dana", rules=rules).allowed
    assert not judged("carol", rules=rules).allowed
    assert judged("alice carol", rules=rules).allowed


def test_nobody_left_is_said_so():
    rules = policy(("members: [alice, bob, carol]", "members: [bob, carol]"))
    own = msgspec.structs.replace(ONE, node="site-a")
    assert "nobody is left" in judged("bob", manifest=own, rules=rules).missing[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"node": "site-z"}, "no node 'site-z'"),
        ({"tier": "moon"}, "no tier 'moon'"),
        ({"artifacts": ()}, "no artifact"),
        ({"artifacts": (msgspec.structs.replace(FILE, path="secret/x"),)}, "may not propose"),
        ({"artifacts": (msgspec.structs.replace(FILE, size=1_000_001),)}, "allows 1000000"),
        ({"artifacts": (msgspec.structs.replace(FILE, files=101),)}, "allows 100"),
        ({"kind": "retract", "person": "carol"}, "does not let carol retract"),
        ({"kind": "retract", "emergency": True}, "too few people"),
        (
            {
                "checks": (
                    predicates.CheckResult(
                        check="x", path=FILE.path, digest="a" * 64, passed=False, summary="bad"
                    ),
                )
            },
            "failed: bad",
        ),
    ],
)
def test_what_no_approval_can_mend(change, words):
    outcome = judged("alice bob", manifest=msgspec.structs.replace(ONE, **change))
    assert not outcome.allowed
    assert any(words in reason for reason in outcome.reasons)


def test_checks_that_the_rule_asks_for_must_be_there():
    rules = policy(("files: 100}", "files: 100, types: [csv]}\n    checks: [formulas]"))
    outcome = judged("alice bob", rules=rules)
    assert [reason for reason in outcome.reasons if "is missing" in reason] == [
        "Check formulas of outputs/model.pkl is missing.",
        "Check type of outputs/model.pkl is missing.",
    ]
    done = tuple(
        predicates.CheckResult(check=name, path=FILE.path, digest="a" * 64, passed=True, summary="")
        for name in ("formulas", "type")
    )
    assert judged("alice bob", rules=rules, manifest=msgspec.structs.replace(ONE, checks=done)).allowed


def test_no_match_is_denied():
    rules = policy(('paths: ["*/outputs/**"]', 'paths: ["site-a/**"]'))
    outcome = judged("alice bob", rules=rules)
    assert not outcome.allowed
    assert "No rule matches site-b/outputs/model.pkl" in outcome.reasons[0]
    assert rule_for(rules, "site-a", "outputs/x", "publication-storage").name == "default"
    other = policy(("  - name: default", "  - name: default\n    tiers: [publication-storage]"))
    assert rule_for(other, "site-a", "outputs/x", "other") is None


def test_no_subset_of_too_few_people_is_ever_enough():
    everybody = ["alice", "bob", "carol", "dana"]
    for count in range(len(everybody) + 1):
        for chosen in itertools.combinations(everybody, count):
            if count < 2 or not judged(" ".join(chosen)).allowed:
                for fewer in itertools.combinations(chosen, max(count - 1, 0)):
                    assert not judged(" ".join(fewer)).allowed


def test_a_forges_word_counts_where_the_rule_accepts_it_and_as_the_report():
    text = POLICY.replace("organisations: 2, bytes: 1}]", "organisations: 2, bytes: 1}]\n    accept: [forge]")
    deaf, hearing = parse_policy(POLICY.encode()), parse_policy(text.encode())
    both = [Assent("alice", "bytes"), Assent("bob", "bytes", forge=True)]
    assert not judge_manifest(deaf, ONE, both).allowed
    assert judge_manifest(hearing, ONE, both).allowed
    alone = [Assent("alice", "bytes", forge=True), Assent("bob", "bytes", forge=True)]
    assert not judge_manifest(hearing, ONE, alone).allowed, "nobody signed to have seen the bytes"
    twice = [Assent("alice", "bytes"), Assent("alice", "report", forge=True)]
    assert not judge_manifest(hearing, ONE, twice).allowed
    for given in ([*alone, Assent("alice", "bytes")], [Assent("alice", "bytes"), *alone]):
        assert judge_manifest(hearing, ONE, given).allowed, "whatever the order, her signature counts"
