"""`placet policy test`: another policy over everything that was proposed; `placet policy explain`: why a path is judged so."""

from datetime import UTC, datetime

import msgspec
import pytest

from governance.lab import TIER
from keys import POLICY
from placet.core.explain import TakingBack, explain
from placet.core.policy import parse_policy
from placet.engine import review
from placet.engine.replay import replay
from placet.ports import RefUpdate

NEEDS = "count: 2, groups: [stewards], organisations: 2, bytes: 1"


def candidate(lab, *edits):
    text = lab.policy_text
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return parse_policy(text.encode())


def verdicts(found):
    return {one.id: (one.was.verdict, one.would.verdict) for one in found.proposals}


@pytest.fixture
def busy(lab):
    """A repository with one proposal of each kind of ending."""
    lab.idents = {
        "landed": lab.landed("outputs/landed.csv", b"landed"),
        "open": lab.decide(lab.propose("outputs/open.csv", b"open"), "alice"),
        "returned": lab.decide(lab.propose("outputs/returned.csv", b"returned"), "bob", verdict="return"),
        "rejected": lab.decide(lab.propose("outputs/rejected.csv", b"r"), "alice", "bob"),
        "withdrawn": lab.propose("outputs/withdrawn.csv", b"w"),
        "other": lab.propose("outputs/other.csv", b"o", node="site-a"),
    }
    lab.decide(lab.idents["rejected"], "bob", verdict="reject")
    view = lab.view()
    ident = lab.idents["withdrawn"]
    review.withdraw(view, view.find(ident), signer("site-b"), reason="x", now=lab.now)
    view = lab.view()
    tip = view.branches[ident]
    view.repo.push(
        [
            RefUpdate(f"refs/placet/closed/{ident}", None, tip),
            RefUpdate(f"refs/heads/proposals/{ident}", tip, None),
        ]
    )
    return lab


def signer(name):
    from keys import Key

    return Key(name)


def test_the_same_policy_changes_nothing(busy):
    found = replay(busy.view(), candidate(busy))
    assert found.flips == 0
    assert not any(one.differs for one in found.proposals)
    names = {ident: name for name, ident in busy.idents.items()}
    assert {names[ident]: was for ident, (was, _) in verdicts(found).items()} == {
        "landed": "allowed",
        "open": "missing",
        "returned": "returned",
        "rejected": "rejected",
        "withdrawn": "missing",
        "other": "missing",
    }
    assert found.unreadable == ()


def test_a_stricter_and_a_laxer_candidate(busy):
    idents = busy.idents
    strict = replay(
        busy.view(), candidate(busy, (NEEDS, "count: 3, groups: [stewards], organisations: 2, bytes: 1"))
    )
    assert verdicts(strict)[idents["landed"]] == ("allowed", "missing")
    assert strict.flips == 1
    lax = replay(busy.view(), candidate(busy, (NEEDS, "count: 1, groups: [stewards]")))
    assert verdicts(lax)[idents["open"]] == ("missing", "allowed")
    assert verdicts(lax)[idents["landed"]] == ("allowed", "allowed")
    assert lax.flips == 1
    without_bob = candidate(
        busy,
        ("members: [alice, bob, carol]", "members: [alice, carol, dana]"),
        ("sees: bytes", "sees: bytes"),
    )
    assert verdicts(replay(busy.view(), without_bob))[idents["rejected"]] == ("rejected", "missing")


def test_what_the_candidate_asks_for_and_the_manifests_lack(busy):
    found = replay(
        busy.view(),
        candidate(busy, ("files: 100}", "files: 100, rows: 10, types: [csv]}\n    checks: [counts]")),
    )
    landed = next(one for one in found.proposals if one.id == busy.idents["landed"])
    assert landed.would.verdict == "refused"
    assert landed.would.reasons == tuple(
        f"Check {name} of outputs/landed.csv is missing." for name in ("counts", "rows", "type")
    )
    assert found.flips == 1


def test_rules_and_nodes_that_are_gone(busy):
    found = replay(busy.view(), candidate(busy, ('paths: ["*/outputs/**"]', 'paths: ["site-a/**"]')))
    landed = next(one for one in found.proposals if one.id == busy.idents["landed"])
    assert "No rule matches site-b/outputs/landed.csv" in landed.would.reasons[0]
    moved = replay(busy.view(), candidate(busy, ("  site-b: {org", "  site-c: {org")))
    assert verdicts(moved)[busy.idents["landed"]] == ("allowed", "refused")


def test_policies_are_replayed_too_and_keys_do_not_matter(busy):
    ident = busy.change_policy(("expires_days: 30", "expires_days: 20"))
    same = candidate(busy, ("number: 1", "number: 2"), (signer("bob").public, signer("bob-new").public))
    found = replay(busy.view(), same)
    assert verdicts(found)[ident] == ("allowed", "allowed")
    assert found.flips == 0
    more = candidate(
        busy, ("{count: 2, groups: [trustees], organisations: 2}", "{count: 3, groups: [trustees]}")
    )
    assert verdicts(replay(busy.view(), more))[ident] == ("allowed", "missing")


# --- explain ------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
TEXT = POLICY.replace(
    "rules:\n",
    "rules:\n  - name: reports\n    paths: ['*/reports/**']\n    approvals: [{count: 1, groups: [trustees]}]\n"
    "  - name: elsewhere\n    paths: ['**']\n    tiers: [other]\n    approvals: [{count: 1, groups: [trustees]}]\n",
).replace("tiers:\n", 'tiers:\n  other: {url: "s3://o/x"}\n', 1) + (
    "windows:\n  night: {reason: sleep, weekly: [{days: [tue], until: '11:00'}]}\n"
    "  there: {reason: x, weekly: [{days: [tue]}], paths: ['site-b/**']}\n"
)


def test_why_a_rule_holds_and_who_may_approve():
    found = explain(parse_policy(TEXT.encode()), "site-a", "outputs/x.csv", TIER, NOW)
    assert found.denied == ""
    assert [(one.rule, one.why) for one in found.passed_over] == [
        ("reports", "site-a/outputs/x.csv does not match */reports/**"),
        ("elsewhere", "it is for tier other only"),
    ]
    holds = found.holds
    assert (holds.rule, holds.pattern, holds.satisfiable) == ("default", "*/outputs/**", True)
    assert TEXT.splitlines()[holds.line - 1] == "  - name: default"
    assert [(one.person, one.organisation, one.sees) for one in holds.may_approve] == [
        ("alice", "org-a", "bytes"),
        ("bob", "org-b", "bytes"),
    ]
    assert [(one.person, one.why) for one in holds.may_not] == [("carol", "runs the node")]
    assert holds.needs[0].text == "2 of group stewards, from 2 organisations, 1 having seen the bytes"
    assert holds.limits == {"bytes": 1000000, "files": 100}
    assert [(one.window, one.closed, one.until) for one in found.windows] == [
        ("night", True, "2026-11-24T11:00:00Z")
    ]
    assert found.windows[0].times == ("every tue 00:00 to 11:00 UTC",)
    assert found.retraction == TakingBack(own=True, count=1, groups=(), people=(), emergency_hours=72)
    rule = "governance:\n  retract: {groups: [trustees], count: 2, own: false, emergency_hours: 9}\n"
    policy = parse_policy(TEXT.replace("governance:\n", rule).encode())
    who = explain(policy, "site-a", "outputs/x.csv", TIER, NOW).retraction
    assert who == TakingBack(False, 2, ("trustees",), ("alice", "bob", "dana"), 9)


def test_what_is_denied_and_why():
    policy = parse_policy(TEXT.encode())
    for node, path, tier, words in (
        ("site-a", "secret/x", TIER, "may not propose"),
        ("site-z", "outputs/x", TIER, "no node 'site-z'"),
        ("site-a", "outputs/x", "moon", "no tier 'moon'"),
    ):
        assert words in explain(policy, node, path, tier, NOW).denied
    narrow = parse_policy(TEXT.replace("'*/outputs/**'", "'x'").replace('"*/outputs/**"', '"x"').encode())
    found = explain(narrow, "site-a", "outputs/x", TIER, NOW)
    assert found.denied == "No rule matches it."
    assert len(found.passed_over) == 3


def test_rows_are_limited_by_what_was_counted():
    from placet.core.assent import Assent, judge_manifest
    from placet.core.predicates import CheckResult
    from unit.test_assent import ONE
    from unit.test_statement import FILE

    rules = parse_policy(POLICY.replace("files: 100}", "files: 100, rows: 10}").encode())
    assents = [Assent("alice", "bytes"), Assent("bob", "bytes")]
    for rows, reasons in ((10, ()), (11, (f"{FILE.path} has 11 rows; rule default allows 10.",))):
        result = CheckResult(
            check="rows", path=FILE.path, digest="a" * 64, passed=True, summary="", facts={"rows": rows}
        )
        found = judge_manifest(rules, msgspec.structs.replace(ONE, checks=(result,)), assents)
        assert found.reasons == reasons


def test_a_closed_ref_with_something_else_does_not_keep_it_from_answering(lab):
    foreign = "a" * 32
    lab.force(f"refs/placet/closed/{foreign}", lab.commit(lab.tip(), {"x": b"x"}))
    lonely = lab.commit(None, {"x": b"x"})
    lab.force(f"refs/placet/closed/{'b' * 32}", lonely)
    view = lab.view()
    assert replay(view, view.history.policy).unreadable == (foreign, "b" * 32)
