"""The trust rules of design section 4, on real Git: policy chain, effect of the landing commit, decisions, states."""

import itertools
import subprocess

import pytest

from governance.lab import ENV, MAIN, PUBLISHED, Lab, Memory
from keys import Key
from placet.core import layout
from placet.core.digest import digest
from placet.core.dvcfile import Output, encode_metafile
from placet.core.predicates import Decision
from placet.core.provenance import Provenance
from placet.core.statement import Signed, parse
from placet.engine import propose, review
from placet.engine.ctrl import load
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Refused
from placet.ports import RefUpdate


def test_a_straight_line(lab):
    ident = lab.propose()
    assert lab.state(ident) == "PROPOSED"
    lab.decide(ident, "alice")
    assert lab.state(ident) == "PROPOSED"
    lab.decide(ident, "bob")
    assert lab.state(ident) == "APPROVED"
    commit = lab.merge(ident)
    assert lab.state(ident) == "LANDED"
    assert lab.merge(ident) == commit
    view = lab.view()
    assert view.alarms == []
    assert set(view.closed) == {ident}
    assert view.open == {}


def test_another_trust_root_is_refused(lab):
    with pytest.raises(Corrupt) as caught:
        load(lab.repo, "0" * 64, lab.now)
    assert caught.value.kind == "trust-root"


def test_proposing_twice_is_one_proposal(lab):
    assert lab.propose() == lab.propose(message="other words")
    lab.landed("outputs/b.csv", b"x")
    assert len(lab.view().cases()) == 2


def land_by_merge(lab, ident):
    lab.merge(ident)


def land_by_squash(lab, ident):
    view = lab.view()
    files = view.repo.tree(view.branches[ident])
    base = view.repo.tree(view.main)
    new = {path: entry for path, entry in files.items() if path not in base}
    lab.force(MAIN, lab.commit(view.main, new, message="squashed"))


def land_by_rebase(lab, ident):
    view = lab.view()
    tip = view.main
    for one in view.repo.line(view.branches[ident], after=view.line[0].id):
        tree = view.repo.tree(one.id)
        tip = lab.commit(tip, {change.path: tree[change.path] for change in one.changes}, message=one.message)
    lab.force(MAIN, tip)


@pytest.mark.parametrize("land", [land_by_merge, land_by_squash, land_by_rebase])
def test_every_way_of_landing_has_the_same_effect(lab, land):
    ident = lab.decide(lab.propose(), "alice", "bob")
    lab.landed("outputs/other.csv", b"other", node="site-a")
    land(lab, ident)
    assert lab.state(ident) == "LANDED"
    assert lab.view().alarms == []


def test_decisions_may_be_added_after_landing(lab):
    ident = lab.decide(lab.propose(), "alice")
    land_by_squash(lab, ident)
    assert lab.state(ident) == "QUARANTINED"
    lab.decide(ident, "bob")
    assert lab.state(ident) == "LANDED"
    lab.decide(ident, "alice", verdict="reject")
    assert lab.state(ident) == "QUARANTINED"
    lab.decide(ident, "alice")
    assert lab.state(ident) == "LANDED"


def test_the_highest_decision_counts(lab):
    ident = lab.propose()
    lab.decide(ident, "alice", "bob")
    lab.decide(ident, "bob", verdict="return")
    assert lab.state(ident) == "RETURNED"
    lab.decide(ident, "bob", verdict="reject")
    assert lab.state(ident) == "REJECTED"
    with pytest.raises(Refused):
        lab.merge(ident)
    lab.decide(ident, "bob")
    assert lab.state(ident) == "APPROVED"
    with pytest.raises(Conflict) as caught:
        lab.decide(ident, "bob")
    assert caught.value.kind == "already-decided"


def test_a_gap_in_somebodys_decisions_voids_them(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    lab.decide(ident, "bob", verdict="return")
    branch, tip = f"refs/heads/proposals/{ident}", lab.branch(ident)
    proposed = lab.repo.line(tip)[-4].id
    later = {path: one for path, one in lab.repo.tree(tip).items() if "/decisions/" in path}
    del later[layout.decision_path(ident, "bob", 1)]
    lab.force(branch, lab.commit(proposed, later))
    assert lab.state(ident) == "PROPOSED"


def test_what_was_once_on_main_counts_even_if_it_is_removed(lab):
    ident = lab.landed()
    path = layout.decision_path(ident, "bob", 1)
    lab.force(MAIN, lab.commit(lab.tip(), {path: None}))
    assert lab.state(ident) == "LANDED"
    assert any("changed or removed" in alarm.text for alarm in lab.view().alarms)


def test_an_unrelated_landing_voids_nothing(lab):
    idents = [lab.propose(f"outputs/{number}.csv", str(number).encode()) for number in range(10)]
    for ident in idents:
        lab.decide(ident, "alice", "bob")
    for ident in idents:
        assert lab.state(ident) == "APPROVED"
        lab.merge(ident)
    assert {lab.state(ident) for ident in idents} == {"LANDED"}


def test_another_version_of_the_path_makes_a_proposal_stale(lab):
    first = lab.decide(lab.propose(data=b"one"), "alice", "bob")
    second = lab.decide(lab.propose(data=b"two"), "alice", "bob")
    lab.merge(first)
    assert lab.state(second) == "STALE"
    with pytest.raises(Refused, match="STALE"):
        lab.merge(second)
    land_by_squash(lab, second)
    assert lab.state(second) == "STALE"
    third = lab.propose(data=b"two")
    assert third != second


def test_a_policy_change_makes_open_proposals_stale_and_they_go_on_as_new_ones(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    lab.change_policy(("expires_days: 30", "expires_days: 20"))
    assert lab.state(ident) == "STALE"
    with pytest.raises(Refused):
        lab.decide(ident, "alice", verdict="reject")
    new = lab.propose()
    assert new != ident
    view = lab.view()
    assert view.find(new).manifest.body.follows is not None
    assert set(view.closed) >= {ident}
    assert lab.state(lab.decide(new, "alice", "bob")) == "APPROVED"


def test_a_policy_counts_only_if_approved_under_the_one_before(lab):
    weaker = ("count: 2, groups: [trustees], organisations: 2", "count: 1, groups: [trustees]")
    lab.change_policy(weaker)
    assert lab.view().history.policy.form.number == 1
    lab.change_policy(("project: test", "project: again"), approvers=("alice",))
    assert [one.policy.form.number for one in lab.view().history.policies] == [0, 1, 2]


def test_policy_files_changed_without_approval_are_ignored_and_quarantine_what_lands_after(lab):
    before = lab.landed("outputs/before.csv", b"before")
    evil = lab.policy_text.replace("count: 2, groups: [stewards]", "count: 1, groups: [stewards]")
    lab.force(MAIN, lab.commit(lab.tip(), {layout.POLICY: evil.encode()}))
    view = lab.view()
    assert view.history.policy.form.number == 0
    assert view.history.drift()
    assert any("without a valid approval" in alarm.text for alarm in view.alarms)
    assert lab.state(before) == "QUARANTINED"
    lab.force(MAIN, lab.commit(lab.tip(), {layout.POLICY: lab.policy_text.encode()}))
    assert lab.state(before) == "LANDED"


@pytest.mark.parametrize("path", [layout.DVC_CONFIG, layout.GITIGNORE, layout.DVC_GITIGNORE])
def test_derived_files_belong_to_the_policy(lab, path):
    ident = lab.landed()
    lab.force(MAIN, lab.commit(lab.tip(), {path: b"[core]\n"}))
    assert lab.state(ident) == "QUARANTINED"


def test_a_policy_of_another_number_or_repository_is_not_adopted(lab):
    with pytest.raises(Refused, match="cannot follow"):
        lab.change_policy(("number: 0", "number: 5"))
    with pytest.raises(Refused, match="cannot follow"):
        lab.change_policy((f'"{"ab" * 16}"', f'"{"cd" * 16}"'))


def test_revocation_works_by_position(lab):
    published_before = lab.landed("outputs/old.csv", b"old")
    assert lab.state(published_before) == "LANDED"
    lab.change_policy((Key("bob").public, Key("bob-new").public))
    with pytest.raises(Refused) as caught:
        lab.decide(lab.propose(), "bob")
    assert caught.value.kind == "unknown-key"
    ident = lab.decide(lab.propose(), "alice")
    assert lab.state(lab.decide(ident, "bob", key="bob-new")) == "APPROVED"
    assert lab.state(published_before) == "LANDED"


def test_a_persons_second_key_is_the_same_person(lab):
    ident = lab.decide(lab.propose(), "alice")
    with pytest.raises(Conflict):
        lab.decide(ident, "alice", key="alice-2")
    assert lab.state(ident) == "PROPOSED"


def test_a_reverted_landing_is_withdrawn_for_good(lab):
    ident = lab.landed()
    path = layout.metafile("site-b", "outputs/a.csv")
    before = lab.repo.tree(lab.tip())[path]
    lab.force(MAIN, lab.commit(lab.tip(), {path: None}))
    assert lab.state(ident) == "WITHDRAWN"
    lab.force(MAIN, lab.commit(lab.tip(), {path: before}))
    assert lab.state(ident) == "WITHDRAWN"


def test_a_later_landing_supersedes(lab):
    first = lab.landed(data=b"one")
    second = lab.landed(data=b"two")
    assert (lab.state(first), lab.state(second)) == ("SUPERSEDED", "LANDED")


def test_expiry(lab):
    short = lab.decide(lab.propose("outputs/short.csv"), "alice", "bob", days=2)
    ident = lab.decide(lab.propose(), "alice", "bob")
    lab.later(days=3)
    assert lab.state(short) == "PROPOSED"
    assert lab.state(ident) == "APPROVED"
    lab.decide(short, "alice", "bob")
    assert lab.state(short) == "APPROVED"
    lab.merge(ident)
    lab.later(days=40)
    assert lab.state(short) == lab.state(ident) == "EXPIRED"
    assert lab.propose() != ident


def test_withdrawal_is_the_signers(lab):
    ident = lab.propose()
    view = lab.view()
    with pytest.raises(Refused) as caught:
        review.withdraw(view, view.find(ident), Key("alice"), reason="x", now=lab.now)
    assert caught.value.kind == "not-own-proposal"
    review.withdraw(view, view.find(ident), Key("site-b"), reason="a mistake", now=lab.now)
    assert lab.state(ident) == "WITHDRAWN"
    again = lab.view()
    assert review.withdraw(again, again.find(ident), Key("site-b"), reason="again", now=lab.now) == ident
    assert lab.propose() != ident


def test_nobody_decides_about_their_own(lab):
    policy = lab.change_policy(("project: test", "project: x"), approvers=(), merge=False)
    with pytest.raises(Refused) as caught:
        lab.decide(policy, "dana", saw="report")
    assert caught.value.kind == "own-proposal"
    own = lab.propose(node="site-a")
    with pytest.raises(Refused):
        lab.decide(own, "carol")


def test_who_sees_no_bytes_cannot_say_so(lab):
    ident = lab.change_policy(("project: test", "project: x"), approvers=(), merge=False)
    view = lab.view()
    seen = review.seen_bytes(view.find(ident))
    with pytest.raises(Invalid) as silent:
        review.decide(
            view,
            view.find(ident),
            Key("bob"),
            person="bob",
            verdict="reject",
            comment=" ",
            seen=seen,
            now=lab.now,
        )
    assert silent.value.kind == "no-comment"
    rules = lab.view().history.policy
    assert rules.form.groups["trustees"].sees == "report"


def test_clashing_paths_are_refused_across_nodes_and_versions(lab):
    lab.landed("outputs/a", b"a")
    for path in ("outputs/a/b", "outputs/A"):
        with pytest.raises(Conflict) as caught:
            lab.propose(path)
        assert caught.value.kind == "path-clash"
    lab.propose("outputs/a", b"other", node="site-a")


def test_a_proposal_that_nobody_could_approve_is_refused_at_once(lab):
    for path, words in (("secret/x", "may not propose"), ("outputs/x", "allows")):
        with pytest.raises(Refused, match="whoever approves it") as caught:
            lab.propose(path, b"x" * 1_000_001)
        assert words in caught.value.why
    with pytest.raises(Refused) as stranger:
        lab.propose(signer="mallory")
    assert stranger.value.kind == "not-a-node"


def test_memory_finds_rewritten_and_rolled_back_branches(lab):
    memory = Memory()
    old = lab.tip()
    lab.landed()
    lab.view(memory)
    lab.force(MAIN, old)
    with pytest.raises(Corrupt) as caught:
        lab.view(memory)
    assert caught.value.kind == "rolled-back"


def test_swapped_parents_hide_nothing(lab):
    """A merge with its parents swapped passes Git's fast-forward check; the first-parent line tells."""
    memory = Memory()
    lab.landed()
    lab.view(memory)
    real = lab.tip()
    side = lab.commit(lab.view().line[0].id, {"x": b"x"})
    swapped = lab.commit(side, {"x": None}, real)
    lab.force(MAIN, swapped)
    with pytest.raises(Corrupt) as caught:
        lab.view(memory)
    assert caught.value.kind == "rolled-back"


def test_ids_are_found_by_prefix(lab):
    ident = lab.propose()
    assert lab.view().find(ident[:6]).id == ident
    for prefix in ("", "zz", "f" * 32):
        with pytest.raises(NotFound):
            lab.view().find(prefix)
    others = [lab.propose(f"outputs/{n}") for n in range(17)]
    shared = next(one[0] for one in others if sum(other[0] == one[0] for other in [ident, *others]) > 1)
    with pytest.raises(Conflict) as caught:
        lab.view().find(shared)
    assert caught.value.kind == "ambiguous-id"


def test_a_forged_decision_counts_for_nothing(lab):
    ident = lab.decide(lab.propose(), "alice")
    view = lab.view()
    real = view.find(ident).decisions[0].decision
    body = Decision(
        **{**{name: getattr(real.body, name) for name in real.body.__struct_fields__}, "person": "bob"}
    )
    forged = Signed.make(real.subjects, body, Key("mallory").pair)
    branch = f"refs/heads/proposals/{ident}"
    files = {layout.decision_path(ident, "bob", 1): forged.envelope.to_bytes()}
    lab.force(branch, lab.commit(lab.branch(ident), files))
    view = lab.view()
    assert ident not in view.open
    assert any("not signed by a key of bob" in alarm.text for alarm in view.alarms)
    lab.force(MAIN, lab.commit(lab.tip(), dict(lab.repo.tree(lab.branch(ident)).items())))
    assert lab.state(ident) == "QUARANTINED"


def test_a_decision_for_one_manifest_is_worth_nothing_for_another(lab):
    one = lab.decide(lab.propose(), "alice", "bob")
    two = lab.propose("outputs/two.csv", b"two")
    tree = lab.repo.tree(lab.branch(one))
    copied = {
        layout.decision_path(two, name, 1): tree[layout.decision_path(one, name, 1)]
        for name in ("alice", "bob")
    }
    lab.force(f"refs/heads/proposals/{two}", lab.commit(lab.branch(two), copied))
    assert two not in lab.view().open
    assert parse(lab.repo.read(tree[layout.decision_path(one, "bob", 1)].blob, 1 << 20), Decision)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_landings_does_not_matter(tmp_path, order):
    lab = Lab.make(tmp_path)
    idents = [lab.decide(lab.propose(f"outputs/{n}.csv", bytes([n])), "alice", "bob") for n in range(3)]
    for number in order:
        (land_by_merge, land_by_squash, land_by_rebase)[number](lab, idents[number])
    assert [lab.state(ident) for ident in idents] == ["LANDED"] * 3
    assert lab.tip(PUBLISHED)
    lab.repo.close()


@pytest.mark.parametrize(
    "evil",
    [
        "  remote: elsewhere\n",
        "  push: false\n",
        "wdir: ..\n",
        "deps:\n- path: http://127.0.0.1:1/x\n",
        "  fs_config: {endpointurl: http://evil}\n",
        "# a comment\n",
    ],
)
def test_a_metafile_is_the_canonical_one_or_none(lab, evil):
    """Even signed by the node and approved by everybody, a `.dvc` file with more in it is no proposal."""
    found = digest(b"x")
    text = encode_metafile(Output(path="x", md5=found.md5, size=1)) + evil.encode()
    candidate = propose.Candidate("outputs/x", found.md5, found.sha256, 1, 1, text)
    ident = propose.propose(
        lab.view(), [candidate], Key("site-b"), node="site-b", tier="publication-storage", message="m", checks=[],
        provenance=Provenance(), now=lab.now,
    ).id  # fmt: skip
    view = lab.view()
    assert ident not in view.open
    assert any("canonical" in alarm.text for alarm in view.alarms)
    branch = lab.branch(ident)
    with pytest.raises(Refused, match="refused"):
        lab.judge(RefUpdate(f"refs/heads/proposals/{ident}", None, branch))
    lab.force(MAIN, lab.commit(lab.tip(), dict(lab.repo.tree(branch))))
    assert ident not in lab.view().cases()


def test_what_a_stranger_pushes_beside_the_branches_is_not_mistaken_for_main(lab):
    root = lab.view().line[0].id
    ident = lab.landed()
    lab.force("refs/remotes/origin/main", root)
    lab.force("refs/pull/1/head", root)
    assert lab.state(ident) == "LANDED"
    assert {ref.split("/")[1] for ref in lab.repo.refs()} == {"heads", "placet"}


def test_a_branch_of_no_valid_name_can_be_shown(lab):
    command = [
        "git",
        "--git-dir",
        str(lab.folder / "ctrl.git"),
        "update-ref",
        b"refs/heads/proposals/\xff",
        lab.tip(),
    ]
    subprocess.run(command, check=True, env=ENV)
    [alarm] = lab.view().alarms
    assert alarm.text.encode().startswith(b"branch proposals/\\udcff is refused")
