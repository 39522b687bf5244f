"""Keys and rules change while proposals are under way: what counts follows from positions on `main`, not from clocks."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from governance.lab import MAIN, TIER, Lab
from governance.test_promote import land, make
from keys import Key
from placet.core import layout
from placet.core.predicates import Decision, Seen
from placet.core.statement import Signed, format_time, subject
from placet.engine import gate, propose
from placet.engine import promote as promoting
from placet.engine.target import Target
from placet.errors import Conflict, Corrupt, Refused
from placet.ports import RefUpdate

BOB = Key("bob").public
NEEDS = "count: 2, groups: [stewards], organisations: 2, bytes: 1"
WEAKER = (NEEDS, "count: 1, groups: [stewards]")


def branch_files(lab, ident):
    """What a proposal's branch has that `main` has not, or has otherwise."""
    view = lab.view()
    tree = view.repo.tree(view.branches[ident])
    return {path: one for path, one in tree.items() if view.history.tree.get(path, ("", ""))[1] != one.blob}


def by_hand(lab, ident, person, key, *, n=1, previous=None, when=None):
    """A signed decision as somebody can make it without Placet: with any key, and any time."""
    case = lab.view().find(ident)
    body = Decision(
        repository=lab.view().history.repository, time=format_time(when or lab.now), manifest=case.manifest.digest,
        person=person, n=n, previous=previous, verdict="approve", role="stewards", comment="",
        seen=Seen(level="bytes", digests=tuple(one.value for one in case.manifest.subjects)),
        policy=case.policy.digest, expires=None,
    )  # fmt: skip
    about = subject(layout.manifest_path(ident), case.manifest.digest)
    return layout.decision_path(ident, person, n), Signed.make(
        (about,), body, Key(key).pair
    ).envelope.to_bytes()


def test_a_key_is_rotated_in_two_steps_and_nothing_is_lost(lab):
    promoter = make(lab)
    old = land(lab, promoter, b"old", "outputs/old")
    promoter.run()
    lab.change_policy((f'["{BOB}"]', f'["{BOB}", "{Key("bob-new").public}"]'))
    both = lab.propose("outputs/both", b"both")
    lab.decide(both, "bob", key="bob-new")
    with pytest.raises(Conflict):
        lab.decide(both, "bob")
    assert lab.state(both) == "PROPOSED"
    lab.change_policy((f'"{BOB}", ', ""), approvers=("alice",), merge=False)
    view = lab.view()
    policy = next(case.id for case in view.open.values() if case.manifest.body.kind == "policy")
    lab.decide(policy, "bob", key="bob-new", saw="report")
    lab.merge(policy)
    lab.policy_text = lab.view().history.policy.data.decode()
    new = lab.propose("outputs/new", b"new")
    with pytest.raises(Refused, match="does not know this key"):
        lab.decide(new, "bob")
    lab.decide(new, "alice")
    assert lab.state(lab.decide(new, "bob", key="bob-new")) == "APPROVED"
    view = lab.view()
    assert view.broken == {}
    assert lab.state(old) == "PUBLISHED"


def test_a_key_revoked_between_approval_and_landing(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    files = branch_files(lab, ident)
    lab.change_policy((BOB, Key("bob-new").public))
    assert lab.state(ident) == "STALE"
    lab.force(MAIN, lab.commit(lab.tip(), files))
    assert lab.state(ident) == "STALE"
    (done,) = make(lab).run([ident])
    assert done.error.kind == "not-approved"


def test_a_key_revoked_between_landing_and_promotion_or_after_it(lab):
    """What was decided before stays decided: a lost key voids nothing that was approved with it."""
    promoter = make(lab)
    before = land(lab, promoter, b"one", "outputs/one")
    promoter.run()
    between = land(lab, promoter, b"two", "outputs/two")
    lab.change_policy((BOB, Key("bob-new").public))
    assert [one.error for one in promoter.run()] == [None]
    assert lab.state(before) == lab.state(between) == "PUBLISHED"
    assert lab.view().broken == {}
    assert lab.view().alarms == []


def test_a_decision_of_a_revoked_key_that_comes_later_counts_for_nothing(lab):
    """Whatever it says of its time: landed with one approval, the second one came after the revocation."""
    ident = lab.decide(lab.propose(), "alice")
    lab.force(MAIN, lab.commit(lab.tip(), branch_files(lab, ident)))
    assert lab.state(ident) == "QUARANTINED"
    lab.change_policy((BOB, Key("bob-new").public))
    early = lab.now - timedelta(days=1)
    path, data = by_hand(lab, ident, "bob", "bob", when=early)
    late = lab.commit(lab.tip(), {path: data})
    with pytest.raises(Refused, match="refused") as caught:
        lab.judge(RefUpdate(MAIN, lab.tip(), late))
    assert "not signed by a key of bob" in caught.value.why
    lab.force(MAIN, late)
    assert lab.state(ident) == "QUARANTINED"
    assert any("not signed by a key of bob" in alarm.text for alarm in lab.view().alarms)
    path, data = by_hand(lab, ident, "bob", "bob-new", when=early)
    lab.force(MAIN, lab.commit(lab.commit(lab.tip(), {path: None}), {path: data}))
    assert lab.state(ident) == "QUARANTINED", "the new key was none when the proposal landed"


def test_a_backdated_decision_on_an_open_proposal(lab):
    lab.change_policy((BOB, Key("bob-new").public))
    ident = lab.decide(lab.propose(), "alice")
    path, data = by_hand(lab, ident, "bob", "bob", when=lab.now - timedelta(days=30))
    tip = lab.branch(ident)
    evil = lab.commit(tip, {path: data})
    with pytest.raises(Refused):
        lab.judge(RefUpdate(f"refs/heads/proposals/{ident}", tip, evil))
    lab.force(f"refs/heads/proposals/{ident}", evil)
    assert ident not in lab.view().open


def test_a_person_who_left(lab):
    promoter = make(lab)
    ident = land(lab, promoter)
    promoter.run()
    bob = next(line for line in lab.policy_text.splitlines() if line.startswith("  bob:"))
    lab.change_policy(
        (f"{bob}\n", f'  eve: {{name: Eve, organisation: org-b, keys: ["{Key("eve").public}"]}}\n'),
        ("members: [alice, bob, carol]", "members: [alice, eve, carol]"),
        ("members: [alice, bob, dana]", "members: [alice, eve, dana]"),
    )
    assert lab.state(ident) == "PUBLISHED"
    assert lab.view().broken == {}
    second = lab.decide(lab.propose(data=b"second"), "alice")
    with pytest.raises(Refused):
        lab.decide(second, "bob")
    assert lab.state(lab.decide(second, "eve")) == "APPROVED"


def test_a_nodes_key_is_rotated_with_proposals_open_landed_and_published(lab):
    promoter = make(lab)
    published = land(lab, promoter, b"one", "outputs/one")
    promoter.run()
    landed = land(lab, promoter, b"two", "outputs/two")
    waiting = lab.propose("outputs/open", b"open")
    lab.change_policy((Key("site-b").public, Key("site-b-new").public))
    assert lab.state(waiting) == "STALE"
    with pytest.raises(Refused) as caught:
        lab.propose("outputs/open", b"open")
    assert caught.value.kind == "not-a-node"
    again = lab.propose("outputs/open", b"open", signer="site-b-new")
    assert lab.view().find(again).manifest.body.follows is not None
    with pytest.raises(Refused, match="does not know this key"):
        promoter.run([landed])
    renewed = replace(promoter, signer=Key("site-b-new"))
    assert [one.error for one in renewed.run([landed])] == [None]
    assert lab.state(published) == lab.state(landed) == "PUBLISHED"
    assert lab.view().broken == {}


def test_an_agent_with_an_old_key_would_break_the_branch(lab, monkeypatch):
    """Past the forge's gate, on a repository that is reached by its path; so it looks before it signs."""
    promoter = make(lab)
    land(lab, promoter)
    lab.change_policy((Key("site-b").public, Key("site-b-new").public))
    monkeypatch.setattr(promoting, "_require_key", lambda *_: None)
    with pytest.raises(Corrupt, match="did not sign"):
        promoter.run()


def test_a_tier_that_moved(lab):
    promoter = make(lab)
    before = land(lab, promoter, b"one", "outputs/one")
    promoter.run()
    lab.change_policy(("s3://pub/x", "s3://new/x"))
    after = land(lab, promoter, b"two", "outputs/two")
    (done,) = promoter.run([after])
    assert done.error.kind == "tier-mismatch"
    assert b"s3://new/x" in lab.repo.read(lab.repo.tree(lab.tip())[layout.DVC_CONFIG].blob, 1 << 16)
    target = promoter.targets[TIER]
    moved = replace(promoter, targets={TIER: Target(target.store, "s3://new/x", target.endpointurl)})
    assert moved.run([after])[0].error is None
    assert lab.state(before) == lab.state(after) == "PUBLISHED"
    assert lab.view().broken == {}


def test_of_two_policies_at_once_one_counts(lab):
    first = lab.change_policy(("expires_days: 30", "expires_days: 20"), merge=False)
    second = lab.change_policy(("files: 100", "files: 7"), merge=False)
    files = branch_files(lab, second)
    assert lab.state(first) == lab.state(second) == "APPROVED"
    lab.merge(first)
    assert lab.state(second) == "STALE"
    with pytest.raises(Refused):
        lab.merge(second)
    evil = lab.commit(lab.tip(), files)
    with pytest.raises(Refused):
        lab.judge(RefUpdate(MAIN, lab.tip(), evil))
    lab.force(MAIN, evil)
    view = lab.view()
    assert view.history.policy.form.rules[0].expires_days == 20
    assert view.history.drift()


def test_a_rejected_policy_that_somebody_lands_past_the_gate_is_not_adopted(tmp_path):
    lab = Lab.make(tmp_path, ("members: [alice, bob, dana]", "members: [alice, bob, carol, dana]"))
    ident = lab.change_policy(("project: test", "project: other"), merge=False)
    lab.decide(ident, "carol", verdict="reject", saw="report")
    lab.force(MAIN, lab.commit(lab.tip(), branch_files(lab, ident)))
    view = lab.view()
    assert view.history.policy.form.number == 0
    assert "without a valid approval" in view.alarms[0].text
    assert lab.state(ident) == "QUARANTINED"
    lab.decide(ident, "carol", saw="report")
    assert lab.view().history.policy.form.number == 1
    lab.repo.close()


def test_an_older_policy_does_not_come_back(lab):
    policy_0 = lab.policy_text
    lab.change_policy(("expires_days: 30", "expires_days: 20"))
    with pytest.raises(Refused, match="cannot follow"):
        propose.propose_policy(
            lab.view(), policy_0.encode(), Key("dana"), person="dana", message="back", now=lab.now
        )
    lab.force(MAIN, lab.commit(lab.tip(), {layout.POLICY: policy_0.encode()}))
    view = lab.view()
    assert view.history.policy.form.number == 1
    assert view.history.drift()


def test_a_weaker_policy_in_the_same_commit_helps_nobody(lab):
    """One squashed commit holds an approved, weaker policy and a proposal that has half of its approvals."""
    half = lab.decide(lab.propose(), "alice")
    files = branch_files(lab, half)
    weaker = lab.change_policy(WEAKER, merge=False)
    lab.force(MAIN, lab.commit(lab.tip(), {**files, **branch_files(lab, weaker)}))
    view = lab.view()
    assert view.history.policy.form.rules[0].approvals[0].count == 1
    assert lab.state(half) == "QUARANTINED"
    (done,) = make(lab).run([half])
    assert done.error.kind == "not-approved"


def test_nothing_else_is_in_a_policy_proposal(lab):
    """Not on its branch, not in its manifest, not in its merge."""
    ident = lab.change_policy(WEAKER, merge=False)
    ref, tip = f"refs/heads/proposals/{ident}", lab.branch(ident)
    lab.force(ref, lab.view().main)
    lab.repo.fetch()
    metafile = layout.metafile("site-b", "outputs/a.csv")
    for path in (metafile, "README.md", ".dvc/config.local", ".gitattributes", layout.ledger_path(0)):
        with pytest.raises(Refused, match="refused"):
            lab.judge(RefUpdate(ref, tip, lab.commit(tip, {path: b"x"})))
    lab.force(ref, tip)
    view = lab.view()
    merged = {**branch_files(lab, ident), metafile: b"x"}
    with pytest.raises(Refused, match="refused") as caught:
        lab.judge(RefUpdate(MAIN, view.main, lab.commit(view.main, merged, tip)))
    assert metafile in caught.value.why
    case, other = view.find(ident), lab.propose()
    for change in (
        {"node": "site-b", "person": None},
        {"tier": TIER},
        {"artifacts": lab.view().find(other).manifest.body.artifacts},
    ):
        body = msgspec.structs.replace(case.manifest.body, **change)
        made = Signed.make(case.manifest.subjects, body, Key("dana").pair)
        fake = propose.proposal_id(case.manifest.subjects, body)
        commit = lab.commit(
            view.main, {layout.manifest_path(fake): made.envelope.to_bytes(), **case_files(lab, case)}
        )
        with pytest.raises(Refused):
            lab.judge(RefUpdate(f"refs/heads/proposals/{fake}", None, commit))


def case_files(lab, case):
    tree = lab.repo.tree(lab.branch(case.id))
    return {path: tree[path] for path in layout.POLICY_FILES}


def test_an_expired_policy_proposal_does_not_land(lab, monkeypatch):
    ident = lab.change_policy(("files: 100", "files: 7"), merge=False)
    view = lab.view()
    merge = lab.commit(view.main, branch_files(lab, ident), view.branches[ident])
    lab.judge(RefUpdate(MAIN, view.main, merge))
    lab.later(days=31)
    with pytest.raises(Refused, match="refused"):
        lab.judge(RefUpdate(MAIN, view.main, merge))
    monkeypatch.setattr(gate, "_late", lambda *_: False)
    lab.judge(RefUpdate(MAIN, view.main, merge))


def test_nobody_locks_everybody_out(lab, monkeypatch):
    edit = (
        "policy: [{count: 2, groups: [trustees], organisations: 2}]",
        "policy: [{count: 4, groups: [trustees, stewards]}]",
    )
    with pytest.raises(Refused) as caught:
        lab.change_policy(edit)
    assert caught.value.kind == "policy-locked"
    monkeypatch.setattr(propose, "_require_open", lambda *_: None)
    lab.change_policy(edit)
    assert lab.view().history.policy.form.governance.policy[0].count == 4
