"""Reviews on a forge: evidence by a witness's word, counted where a rule says so, and for no more than that."""

import dataclasses
import json

import pytest

from governance.forgelab import NEED, UNSEEN, ForgeLab, witnesses
from governance.lab import MAIN, TIER, Memory
from governance.test_bundle import Wire
from governance.test_gate import merge_commit, refused
from governance.test_promote import hold, make
from keys import Key
from placet.agent.lane import Interruptible
from placet.core import assent, layout, sightings
from placet.core.bundle import encode_bundle
from placet.engine import cases, observed, show, verify, witness
from placet.engine.bundle import make_bundle
from placet.engine.detail import detail
from placet.engine.lineage import lineage
from placet.engine.lineageevents import lineage_events
from placet.errors import Conflict, Invalid, PlacetError, Refused, Unavailable
from placet.ports import RefUpdate
from placet.wire import proof

ACCEPTING = f"{UNSEEN}\n    accept: [forge]"
SEEING = (ACCEPTING, f"{NEED}\n    accept: [forge]")
DEAF = (ACCEPTING, UNSEEN)
OTHER = f'  v: {{organisation: org-c, keys: ["{Key("v").public}"], forges: [memory]}}'


@pytest.fixture
def lab():
    return ForgeLab.make()


def told(lab, ident):
    """What people said on the forge, as everybody sees it."""
    return {person: one.verdict for person, one in lab.case(ident).said().items()}


# --- what counts ------------------------------------------------------------------------------------


def test_reviews_become_approvals_by_the_word_of_a_witness(lab):
    ident, number = lab.opened()
    lab.review(number, "alice")
    assert lab.state(ident) == "PROPOSED", "the forge's word alone is nothing"
    assert lab.look() == [("alice", "approve")]
    assert lab.look() == [], "what was said already is not said again"
    assert lab.state(ident) == "PROPOSED"
    lab.review(number, "bob")
    assert lab.look() == [("bob", "approve")]
    assert lab.state(ident) == "APPROVED"
    lab.judge(RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident)))
    lab.merge(ident)
    assert lab.state(ident) == "LANDED"


def test_one_signed_and_one_on_the_forge_are_two_people(lab):
    ident, number = lab.opened()
    lab.review(number, "bob", "alice")
    lab.decide(ident, "alice")
    assert sorted(lab.look()) == [("alice", "approve"), ("bob", "approve")]
    assert lab.state(ident) == "APPROVED"
    assert cases.attested(lab.case(ident)) == ("bob",), "alice signed"


def test_one_person_in_both_ways_is_one(lab):
    ident, number = lab.opened()
    lab.decide(ident, "alice")
    lab.review(number, "alice")
    lab.look()
    assert lab.state(ident) == "PROPOSED"


def test_where_no_rule_accepts_it_nothing_counts():
    lab = ForgeLab.make(None, DEAF, witnesses())
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    assert lab.look() == [], "the witness is not heard"
    signed = [lab.observation(ident, person=one, n=n) for n, one in ((1, "alice"),)]
    evil = lab.written(ident, *signed)
    refused(lab, RefUpdate(f"refs/heads/proposals/{ident}", lab.branch(ident), evil), words="No rule counts")
    lab.force(f"refs/heads/proposals/{ident}", evil)
    assert told(lab, ident) == {}
    assert lab.state(ident) == "PROPOSED"
    lab.decide(ident, "alice", "bob")
    lab.merge(ident)
    assert lab.state(ident) == "LANDED"


def test_it_counts_as_a_look_at_the_report_never_at_the_bytes():
    lab = ForgeLab.make(None, SEEING, witnesses())
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    lab.look()
    assert lab.state(ident) == "PROPOSED"
    assert "having seen the bytes (0 so far)" in detail(lab.view(), lab.case(ident), lab.now).missing[0]
    lab.decide(ident, "bob")
    assert lab.state(ident) == "APPROVED"


def test_a_rule_that_does_not_accept_it_is_not_satisfied_by_another_that_does():
    strict = f'  - name: strict\n    paths: ["*/outputs/secret/**"]\n    {UNSEEN}\n'
    lab = ForgeLab.make(None, ("rules:\n", f"rules:\n{strict}"), witnesses())
    ident, number = lab.opened("outputs/secret/a.csv")
    lab.review(number, "alice", "bob")
    assert lab.look() == []
    assert lab.state(ident) == "PROPOSED"


def test_policy_changes_and_retractions_take_signed_decisions_only(lab):
    ident = lab.change_policy(("project: test", "project: other"), merge=False, approvers=())
    view = lab.view()
    lab.forge.opened(ident, layout.proposal_ref(ident), "t", "b")
    lab.review(lab.forge.pull(layout.proposal_ref(ident)).number, "alice", "bob")
    assert lab.look() == []
    assert not assent.witnesses(view.history.policy, view.find(ident).manifest.body)


# --- who counts -------------------------------------------------------------------------------------


def test_who_runs_the_node_or_the_witness_does_not_count():
    both = f'  w: {{organisation: org-c, keys: ["{Key("w").public}"], forges: [memory], operators: [bob]}}'
    lab = ForgeLab.make(None, ("tiers:\n", f"witnesses:\n{both}\ntiers:\n"))
    ident, number = lab.opened(node="site-a")  # carol runs it
    lab.review(number, "alice", "bob", "carol")
    assert lab.look() == [("alice", "approve")]
    with pytest.raises(Refused) as caught:
        lab.decide(ident, "bob")
    assert caught.value.kind == "own-proposal", (
        "nor by a signature: who runs the witness is one of two already"
    )


def test_a_witness_of_the_nodes_own_organisation_is_not_heard():
    own = f'  w: {{organisation: org-b, keys: ["{Key("w").public}"], forges: [memory]}}'
    lab = ForgeLab.make(None, ("tiers:\n", f"witnesses:\n{own}\ntiers:\n"))
    ident, number = lab.opened(node="site-b")
    lab.review(number, "alice", "bob")
    assert lab.look() == []
    ident, number = lab.opened("outputs/b.csv", node="site-a")
    lab.review(number, "alice", "bob")
    assert len(lab.look()) == 2
    assert lab.state(ident) == "APPROVED"


def test_a_stranger_on_the_forge_is_nobody(lab):
    ident, number = lab.opened()
    lab.review(number, "mallory", "alice")
    assert lab.look() == [("alice", "approve")]
    assert lab.state(ident) == "PROPOSED"


def test_a_renamed_account_is_the_same_person_and_its_name_means_nothing(lab):
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    lab.forge.rename("alice", "alicia")
    lab.forge.rename("bob", "robert")
    assert lab.forge.account("bob").id not in range(6), "somebody else has the name now"
    lab.review(number, "bob", word="return")
    assert sorted(lab.look()) == [("alice", "approve"), ("bob", "approve")]
    assert lab.state(ident) == "APPROVED"


def test_a_deleted_account_says_nothing_any_more(lab):
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    lab.look()
    lab.forge.remove("bob")
    assert lab.look() == [("bob", "none")]
    assert lab.state(ident) == "PROPOSED"


# --- what was said, and about what ------------------------------------------------------------------


def test_changes_requested_return_it_until_they_are_taken_back(lab):
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    lab.review(number, "bob", word="return")
    assert sorted(lab.look()) == [("alice", "approve"), ("bob", "return")]
    assert lab.state(ident) == "RETURNED"
    shown = detail(lab.view(), lab.case(ident), lab.now)
    assert any("bob, return: on the forge" in text for text in shown.because)
    lab.review(number, "bob", word="comment")
    assert lab.look() == []
    lab.review(number, "bob")
    assert lab.look() == [("bob", "approve")]
    assert lab.state(ident) == "APPROVED"


def test_a_dismissed_review_is_superseded(lab):
    ident, number = lab.opened()
    first, second = lab.review(number, "alice", "bob")
    lab.look()
    lab.forge.dismiss(number, second)
    assert lab.look() == [("bob", "none")]
    assert lab.look() == []
    assert lab.state(ident) == "PROPOSED"
    assert first


def test_an_objection_is_taken_back_by_a_newer_word_of_its_account_alone(lab):
    """Who may write to a repository can dismiss what others said, and force a branch away from what they saw."""
    ident, number = lab.opened()
    good = lab.branch(ident)
    other = lab.commit(good, {layout.metafile("site-b", "outputs/a.csv"): b"outs: []\n"})
    lab.force(layout.proposal_ref(ident), other)
    (review,) = lab.review(number, "bob", word="return")
    lab.force(layout.proposal_ref(ident), good)
    assert lab.look() == [("bob", "return")]
    lab.forge.dismiss(number, review)
    assert lab.look() == []
    lab.decide(ident, "alice")
    lab.review(number, "carol")
    lab.look()
    assert lab.state(ident) == "RETURNED"
    lab.review(number, "bob")
    assert lab.look() == [("bob", "approve")]
    assert lab.state(ident) == "APPROVED"


def test_reviews_that_cannot_be_read_take_approvals_back_and_leave_objections(lab, monkeypatch):
    ident, number = lab.opened()
    lab.review(number, "alice")
    lab.review(number, "bob", word="return")
    assert sorted(lab.look()) == [("alice", "approve"), ("bob", "return")]

    def odd(*_):
        raise Invalid("x", kind="forge-answer")

    monkeypatch.setattr(type(lab.forge), "reviews", odd)
    (seen,) = lab.witness().run()
    assert seen.error.kind == "forge-answer"
    words = {one.sighting.body.user: one.sighting.body.verdict for one in lab.case(ident).observations}
    assert sorted(words.values()) == ["none", "return"]


def test_a_review_dismissed_before_anybody_saw_it_is_not_spoken_of(lab):
    _, number = lab.opened()
    (review,) = lab.review(number, "alice")
    lab.forge.dismiss(number, review)
    assert lab.look() == []


def test_an_objection_in_either_way_stands():
    for signed, word in (("return", "approve"), ("approve", "return")):
        lab = ForgeLab.make()
        ident, number = lab.opened()
        lab.decide(ident, "alice")
        lab.decide(ident, "bob", verdict=signed)
        lab.review(number, "bob", word=word)
        lab.look()
        assert lab.state(ident) == "RETURNED"


def test_a_review_of_other_content_is_none(lab):
    ident, number = lab.opened()
    ref = layout.proposal_ref(ident)
    good = lab.branch(ident)
    other = lab.commit(good, {layout.metafile("site-b", "outputs/a.csv"): b"outs: []\n"})
    lab.force(ref, other)
    lab.review(number, "alice")
    lab.force(ref, good)
    lab.review(number, "bob")
    assert lab.look() == [("bob", "approve")]
    lab.review(number, "alice")
    assert lab.look() == [("alice", "approve")]


def test_a_review_holds_when_only_decisions_came_since(lab):
    ident, number = lab.opened()
    lab.review(number, "bob")
    lab.decide(ident, "alice")
    assert lab.branch(ident) != lab.forge.reviews(number)[0].commit
    assert lab.look() == [("bob", "approve")]
    assert lab.state(ident) == "APPROVED"


def test_a_forced_head_of_the_same_content_keeps_its_reviews(lab):
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    files = lab.repo.tree(lab.branch(ident))
    lab.force(layout.proposal_ref(ident), lab.commit(None, files, lab.tip()))
    assert len(lab.look()) == 2
    assert lab.state(ident) == "APPROVED"


def test_a_review_of_a_commit_that_nobody_has_is_none(lab, monkeypatch):
    _, number = lab.opened()
    lab.review(number, "alice")
    real = lab.forge.reviews(number)
    monkeypatch.setattr(
        type(lab.forge), "reviews", lambda *_: [dataclasses.replace(one, commit="f" * 40) for one in real]
    )
    assert lab.look() == []


# --- several witnesses ------------------------------------------------------------------------------


def test_a_review_whose_commit_the_forge_does_not_tell_any_more_is_taken_back(lab, monkeypatch):
    _, number = lab.opened()
    lab.review(number, "bob")
    assert lab.look() == [("bob", "approve")]
    kind = type(lab.forge)
    known = kind.reviews
    monkeypatch.setattr(
        kind, "reviews", lambda self, one: [dataclasses.replace(two, commit="") for two in known(self, one)]
    )
    assert lab.look() == [("bob", "none")]
    assert lab.look() == []
    lab.review(number, "carol")
    assert lab.look() == []


def test_witnesses_who_differ_let_nothing_pass():
    lab = ForgeLab.make(None, witnesses(OTHER))
    ident, number = lab.opened()
    _, review = lab.review(number, "alice", "bob")
    assert len(lab.look("w")) == len(lab.look("v")) == 2
    assert lab.state(ident) == "APPROVED"
    lab.forge.dismiss(number, review)
    assert lab.look("v") == [("bob", "none")]
    assert (told(lab, ident), lab.state(ident)) == ({"alice": "approve"}, "PROPOSED")
    lab.review(number, "bob", word="return")
    lab.look("w")
    assert lab.state(ident) == "RETURNED"


def test_a_witness_speaks_of_its_own_forges_only(lab):
    ident, _ = lab.opened()
    lab.force(layout.proposal_ref(ident), lab.written(ident, lab.observation(ident, forge="other")))
    assert told(lab, ident) == {}
    with pytest.raises(Refused) as caught:
        lab.look(forge=type(lab.forge)(lab.heads, name="other"))
    assert caught.value.kind == "not-a-witness"
    with pytest.raises(Refused):
        lab.look(signer=Key("site-a"))
    with pytest.raises(Refused):
        lab.look("nobody")


# --- after landing, and when things are lost --------------------------------------------------------


def test_it_is_observed_after_it_landed_too(lab):
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    lab.force(MAIN, merge_commit(lab, ident))
    assert lab.state(ident) == "QUARANTINED"
    assert len(lab.look()) == 2
    assert lab.state(ident) == "LANDED"


def test_an_observation_that_is_gone_is_missed():
    lab = ForgeLab.make()
    ident, number = lab.opened()
    before = lab.branch(ident)
    lab.review(number, "alice", "bob")
    lab.look()
    seen = Memory()
    lab.view(seen)
    lab.force(layout.proposal_ref(ident), before)
    view = lab.view(seen)
    assert "observation 2 of w is gone" in view.find(ident).lost
    assert lab.state(ident) == "PROPOSED"


def test_a_merge_leaves_out_no_observation(lab):
    ident, number = lab.opened()
    lab.decide(ident, "alice", "bob")
    lab.review(number, "carol", word="return")
    lab.look()
    path = layout.observation_path(ident, "w", 1)
    refused(lab, RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident, drop=[path])), words="leaves out")


def test_a_hidden_observation_voids_those_after_it(lab):
    ident, number = lab.opened()
    lab.review(number, "bob", word="return")
    lab.look()
    lab.review(number, "bob", "alice")
    lab.look()
    tree = lab.repo.tree(lab.branch(ident))
    base = {path: entry for path, entry in tree.items() if not path.endswith("/w-1.json")}
    lab.force(layout.proposal_ref(ident), lab.commit(None, base, lab.tip()))
    assert told(lab, ident) == {}
    assert lab.state(ident) == "PROPOSED"
    with pytest.raises(Conflict) as caught:
        lab.look()
    assert caught.value.kind == "witness-chain"


def test_a_signed_objection_that_is_hidden_does_not_let_the_forge_speak(lab):
    ident, number = lab.opened()
    lab.decide(ident, "bob", verdict="return")
    lab.decide(ident, "bob")
    lab.decide(ident, "alice")
    lab.review(number, "bob")
    lab.look()
    tree = lab.repo.tree(lab.branch(ident))
    base = {path: entry for path, entry in tree.items() if not path.endswith("/bob-1.json")}
    lab.force(layout.proposal_ref(ident), lab.commit(None, base, lab.tip()))
    assert lab.state(ident) == "PROPOSED"


def test_a_revoked_witness_is_heard_no_more(lab):
    ident, number = lab.opened("outputs/late.csv")
    lab.review(number, "alice", "bob")
    lab.look()
    inside = {
        path: entry
        for path, entry in lab.repo.tree(lab.branch(ident)).items()
        if path.startswith(layout.folder(ident))
    }
    lab.force(MAIN, lab.commit(lab.tip(), inside))
    lab.repo.fetch()
    lab.change_policy((Key("w").public, Key("w-new").public))
    lab.force(MAIN, merge_commit(lab, ident))
    assert told(lab, ident) == {}
    assert lab.case(ident).observations == []


def test_the_forge_is_down_and_others_go_on(lab):
    ident, number = lab.opened()
    lab.review(number, "alice")
    with lab.forge.down():
        (done,) = lab.witness().run()
    assert isinstance(done.error, Unavailable)
    assert lab.look() == [("alice", "approve")]
    assert ident == done.id


def test_each_proposal_is_a_sign_of_life_and_a_place_to_stop(lab, monkeypatch):
    for name in "abc":
        lab.review(lab.opened(f"outputs/{name}.csv")[1], "alice")
    clock = iter(range(100))
    progress = Interruptible(lambda: next(clock))
    real, looked = witness.Witness._look, []

    def look(self, ident):
        looked.append(progress.moved_at)
        if len(looked) == 2:
            progress.told.set()
        return real(self, ident)

    monkeypatch.setattr(witness.Witness, "_look", look)
    with pytest.raises(Unavailable) as caught:
        lab.witness(progress=progress).run()
    assert caught.value.kind == "stopped" and looked == [1, 2], "each is a sign of life"
    assert [len(case.observations) for case in lab.view().cases().values()].count(1) == 2
    monkeypatch.setattr(witness.Witness, "_look", real)
    assert lab.look() == [("alice", "approve")], "the next round does the rest"


def test_somebody_else_pushes_in_between(lab, monkeypatch):
    ident, number = lab.opened()
    lab.review(number, "alice")
    real, races = witness.record, iter([True, False])

    def slow(*args, **kwargs):
        if next(races):
            other = ForgeLab(lab.folder, lab.party(), lab.trust_root, lab.clock, lab.policy_text)
            other.decide(ident, "bob")
        return real(*args, **kwargs)

    monkeypatch.setattr(witness, "record", slow)
    assert lab.look() == [("alice", "approve")]
    assert lab.state(ident) == "APPROVED"


# --- the record -------------------------------------------------------------------------------------


def test_it_is_shown_as_attested_not_signed_in_log_show_and_verify(lab):
    agent = make(lab)
    hold(agent.source, b"a,b\n1,2\n")
    ident, number = lab.opened()
    lab.decide(ident, "alice")
    lab.review(number, "bob")
    lab.look()
    lab.merge(ident)
    (done,) = agent.run([ident])
    assert done.error is None, done.error
    view = lab.view()
    assert [one.attested for one in show.timeline(view)] == [(), ("bob",)]
    entry = view.publications[TIER].entries[-1].body
    assert (len(entry.decisions), len(entry.observations)) == (1, 1)
    assert layout.observation_path(ident, "w", 1) in view.publications[TIER].blobs
    found = verify.verify(
        view, tier=TIER, root=None, targets=[], now=lab.now, jobs=1, progress=agent.progress
    )
    (one,) = found.artifacts
    review = lab.forge.reviews(number)[0].id
    assert one.approvals == (
        "alice (bytes)", f"bob (forge-attested: memory review {review}, attested by w)",
    )  # fmt: skip
    assert one.observations == entry.observations
    assert [step.text for step in found.steps if step.name == "forge"] == [
        "1 observations; forge-attested, not signed: bob"
    ]
    told = lineage(view, view.find(ident), lab.now).approvals
    assert [(one.person, one.seen, one.attested) for one in told] == [
        ("alice", "bytes", ""), ("bob", "report", f"memory review {review}, attested by w"),
    ]  # fmt: skip
    (event,) = lineage_events(view, {})
    assert event.approvals == ("alice (bytes)", "bob (forge-attested)")
    blob = view.publications[TIER].blobs[layout.crate_path(ident)]
    crate = json.loads(lab.repo.read(blob, 1 << 20))["@graph"]
    assert [one["result"] for one in crate if one["@id"] == "#review-bob"] == [
        [{"@id": "observations/w-1.json"}]
    ]
    (shown,) = detail(view, view.find(ident), lab.now).observations
    assert (shown.person, shown.verdict, shown.counts, shown.witness) == ("bob", "approve", True, "w")


def test_a_bundle_proves_it_without_a_repository(lab):
    agent = make(lab)
    hold(agent.source, b"a,b\n1,2\n")
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    lab.look()
    lab.merge(ident)
    agent.run([ident])
    view = lab.view()
    published = view.publications[TIER].publications[ident]
    data = encode_bundle(make_bundle(view, published, TIER, lambda *_: None, None).bundle)
    (one,) = proof.judge(Wire(), data, (), lab.trust_root, lab.now).artifacts
    assert [who.partition(" (")[0] for who in one.approvals] == ["alice", "bob"]
    assert len(one.observations) == 2


def test_an_entry_that_leaves_out_an_observation_is_none(lab, monkeypatch):
    agent = make(lab)
    hold(agent.source, b"a,b\n1,2\n")
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    lab.look()
    lab.merge(ident)
    monkeypatch.setattr("placet.engine.record.observed_digests", lambda _: ())
    agent.run([ident])
    assert TIER in lab.view().broken


# --- each guard, and what happens without it --------------------------------------------------------


def counts(lab, ident, *signed):
    """Do these observations, pushed to a proposal that bob approved, make it approved?"""
    lab.force(layout.proposal_ref(ident), lab.written(ident, *signed))
    try:
        return lab.state(ident) == "APPROVED"
    except PlacetError:
        return False


FORGED = {
    "_require_about": {"manifest": "a" * 64},
    "_require_content": {"content": "a" * 64},
    "_require_witness": {"key": "site-b"},
    "reads": {"forge": "other"},
    "_word": {"policy": "a" * 64},
    "unbroken": {"n": 2},
}
AWAY = {
    "reads": lambda *_: True,
    "_word": lambda _, one: one.body.verdict,
    "unbroken": lambda given: {"w": list(given)},
}


@pytest.mark.parametrize(
    "name", ["_require_about", "_require_content", "_require_witness", "reads", "_word", "unbroken"]
)
def test_without_the_guard_a_forged_observation_would_count(name, monkeypatch):
    for away in (False, True):
        lab = ForgeLab.make()
        ident, _ = lab.opened()
        lab.decide(ident, "bob")
        forged = lab.observation(ident, person="alice", **FORGED[name])
        if name == "reads":
            monkeypatch.setattr(sightings, "person_of", lambda *_: "alice")
        if away:
            owner = sightings if name in AWAY else observed
            monkeypatch.setattr(owner, name, AWAY.get(name, lambda *_: None))
        assert counts(lab, ident, forged) is away, (name, away)


def test_without_the_guard_a_forge_would_speak_where_no_rule_asks_it(monkeypatch):
    lab = ForgeLab.make(None, DEAF, witnesses())
    ident, _ = lab.opened()
    lab.decide(ident, "bob")
    forged = lab.observation(ident, person="alice")
    monkeypatch.setattr(assent, "accepts_forge", lambda rule: rule is not None)
    monkeypatch.setattr(assent, "_publish", _strict(assent._publish))
    assert not counts(lab, ident, forged)
    monkeypatch.setattr(assent, "accepted", lambda assents, **_: list(assents))
    assert lab.state(ident) == "APPROVED"


def _strict(real):
    def publish(*args):
        yield from (dataclasses.replace(one, forge=False) for one in real(*args))

    return publish


def test_without_the_guard_a_nodes_own_organisation_would_attest(monkeypatch):
    own = f'  w: {{organisation: org-b, keys: ["{Key("w").public}"], forges: [memory]}}'
    lab = ForgeLab.make(None, ("tiers:\n", f"witnesses:\n{own}\ntiers:\n"))
    ident, _ = lab.opened(node="site-b")
    lab.decide(ident, "bob")
    assert not counts(lab, ident, lab.observation(ident, person="alice"))
    monkeypatch.setattr(assent, "node_witnesses", lambda policy, _: frozenset(policy.form.witnesses))
    assert lab.state(ident) == "APPROVED"


def test_without_the_guard_an_account_would_be_whoever_says_so(lab, monkeypatch):
    ident, _ = lab.opened()
    lab.decide(ident, "bob")
    assert not counts(lab, ident, lab.observation(ident, user=99))
    monkeypatch.setattr(sightings, "person_of", lambda *_: "alice")
    assert lab.state(ident) == "APPROVED"


def test_without_the_guard_one_of_two_witnesses_would_do(monkeypatch):
    lab = ForgeLab.make(None, witnesses(OTHER))
    ident, _ = lab.opened()
    lab.decide(ident, "bob")
    signed = [
        lab.observation(ident, person="alice"),
        lab.observation(ident, key="v", witness="v", person="alice", verdict="none"),
    ]
    assert not counts(lab, ident, *signed)
    monkeypatch.setattr(sightings, "together", lambda words: "approve" if "approve" in words else "none")
    assert lab.state(ident) == "APPROVED"


def test_without_the_guard_a_review_of_anything_would_be_witnessed(lab, monkeypatch):
    ident, number = lab.opened()
    ref, good = layout.proposal_ref(ident), lab.branch(ident)
    lab.force(ref, lab.commit(good, {layout.metafile("site-b", "outputs/a.csv"): b"outs: []\n"}))
    lab.review(number, "alice")
    lab.force(ref, good)
    assert lab.look() == []
    monkeypatch.setattr(witness, "holds", lambda *_: True)
    assert lab.look() == [("alice", "approve")]


def test_observations_on_main_are_judged_where_they_come_in(lab):
    ident, number = lab.opened()
    lab.review(number, "alice", "bob")
    lab.look()
    lab.merge(ident)
    forged = lab.written(ident, lab.observation(ident, key="mallory", person="carol", n=3), base=lab.tip())
    refused(lab, RefUpdate(MAIN, lab.tip(), forged), words="not signed by a key of w")
    lab.force(MAIN, forged)
    assert any("not signed by a key of w" in alarm.text for alarm in lab.view().alarms)
    assert len(lab.case(ident).observations) == 2


def test_a_record_of_nobodys_name_is_no_part_of_a_proposal(lab):
    ident, _ = lab.opened()
    for name in (
        "observations/w-0.json",
        "observations/W-1.json",
        "observations/x/w-1.json",
        "observations/w-1",
    ):
        evil = lab.commit(lab.branch(ident), {f"{layout.folder(ident)}{name}": b"{}"})
        refused(lab, RefUpdate(layout.proposal_ref(ident), lab.branch(ident), evil), words="not part of")
