"""Attacks on history and on who rules: policy, roster, rewriting, rollback, split view, time, ledger, tiers."""

import contextlib
import shutil
import subprocess
from dataclasses import replace

import pytest

from attacks.approvals import publish_by_hand
from attacks.field import ENV, MAIN, METAFILE, PUBLISHED, TIER, Quiet
from keys import Key
from placet.core import layout
from placet.core.statement import Signed
from placet.engine import review
from placet.engine.checkpoint import compare, make_checkpoint, read_checkpoint
from placet.engine.ctrl import load
from placet.engine.retract import Retractor
from placet.engine.retractask import propose_retraction
from placet.engine.verify import verify
from placet.errors import PlacetError, Unavailable
from placet.ports import RefUpdate
from placet.testing import twins

WEAKER = ("count: 2, groups: [stewards], organisations: 2, bytes: 1", "count: 1, groups: [stewards]")


def policy_in_the_same_proposal(ground):
    """A proposal of data brings along the policy that would let it pass."""
    field = ground.at("proposed")
    weaker = field.policy_text.replace(*WEAKER).encode()
    tip = field.branch(field.ident)
    with field.refused("a data proposal changed the policy", "push-refused"):
        field.push(RefUpdate(field.branch_ref(), tip, field.commit(tip, {layout.POLICY: weaker})))
    field.decide(field.ident, "alice")
    with field.refused("a merge changed the policy too", "push-refused"):
        field.push(RefUpdate(MAIN, field.tip(), field.merge_commit(more={layout.POLICY: weaker})))


def configuration_with_a_policy(ground):
    """An approved policy lands together with a `.dvc/config` that does not follow from it."""
    field = ground.at("new")
    ident = field.change_policy(("project: test", "project: other"), merge=False)
    evil = field.merge_commit(ident, more={layout.DVC_CONFIG: b"[core]\n    remote = evil\n"})
    with field.refused("a policy brought another configuration", "push-refused"):
        field.push(RefUpdate(MAIN, field.tip(), evil))
    field.force(MAIN, evil)
    field.holds(field.view().history.policy.form.number == 0, "a policy rules beside a foreign configuration")


def weaker_policy_past_the_gate(ground):
    """A weaker policy is written into `main` by the server's administrator; what lands then waits."""
    field = ground.at("landed")
    weaker = field.policy_text.replace(*WEAKER).encode()
    field.force(MAIN, field.commit(field.tip(), {layout.POLICY: weaker}))
    with field.refused("something was published under a policy that nobody approved", "not-approved"):
        field.promote()


def attacker_on_the_roster(ground):
    """A policy with the attacker's key as a reviewer's, with one approval too few, written past the gate."""
    field = ground.at("new")
    key = f'"{Key("bob").public}", "{Key("mallory").public}"'
    change = field.change_policy((f'"{Key("bob").public}"', key), approvers=("alice",), merge=False)
    field.land_by_hand(change)
    field.policy_text = field.repo.read(field.repo.tree(field.tip())[layout.POLICY].blob, 1 << 18).decode()
    known = field.view().history.policy.person_keys("bob")
    field.holds(Key("mallory").public not in known, "the attacker is a reviewer now")


def old_policy_again(ground):
    """A policy of the past is brought back byte for byte, and with it all approvals that were given under it."""
    field = ground.at("approved")
    before = field.policy_text
    field.change_policy(("expires_days: 30", "expires_days: 20"))
    field.holds(field.state(field.ident) == "STALE", "approvals under an old policy count under the new one")
    back = field.policy_past_the_client(before.encode(), "dana")
    with contextlib.suppress(PlacetError):
        field.decide(back, "alice", "bob", saw="report")
    field.land_by_hand(back)
    field.holds(field.view().history.policy.form.number == 1, "a policy of the past rules again")


def another_root(ground):
    """The server serves another repository, whose policy 0 names the attacker's people."""
    mine, other = ground.at("new"), ground.at("new", ("project: test", "project: evil"))
    with other.refused("another trust root was taken for the pinned one", "trust-root"):
        load(other.repo, mine.trust_root, mine.now)


def rollback(ground):
    """`main` is set back to before a landing, and the published branch to before a publication."""
    field = ground.at("published")
    seen = field.view(field.memory)
    for ref, earlier in ((MAIN, seen.line[0].id), (PUBLISHED, seen.repo.line(field.tip(PUBLISHED))[1].id)):
        real = field.tip(ref)
        field.force(ref, earlier)
        with field.refused(f"a rollback of {ref} went unseen", "rolled-back"):
            field.view(field.memory)
        field.force(ref, real)


def old_state_served_to_a_researcher(ground):
    """A researcher is served an old state for ever: `verify` must not call it good."""
    field = ground.at(
        "new", ('endpointurl: "http://127.0.0.1:1"}', 'endpointurl: "http://127.0.0.1:1", max_age_days: 3}')
    )
    field.later(days=4)
    report = verify(field.view(), tier=TIER, root=None, targets=(), now=field.now, jobs=1, progress=Quiet())
    field.holds(not report.ok, "`verify` called a frozen state good")


def retracted_and_used_on(ground):
    """A researcher who has a publication that was taken back goes on using it; nobody else tells them."""
    field = ground.at("published")
    root = field.clone()
    about = {"node": "site-b", "person": None, "tier": TIER, "reason": "wrong", "emergency": False}
    key = Key("site-b")
    ident = propose_retraction(field.view(), field.ident, key, now=field.now, **about).id
    field.merge(ident)
    parts = (field.repo, field.trust_root, field.memory, field.clock, key, "site-b", {}, 1, Quiet())
    field.holds(Retractor(*parts).run()[0].error is None, "the owning node cannot take back its own")
    report = verify(field.view(), tier=TIER, root=root, targets=(), now=field.now, jobs=1, progress=Quiet())
    told = any("RETRACTED: retracted by site-b" in one for one in report.problems)
    field.holds(told and not report.ok, "what was retracted is used on, and `verify` says nothing of it")


def parents_swapped(ground):
    """A merge whose first parent is the past: Git takes it for a fast-forward, and a landing disappears."""
    field = ground.at("landed")
    other = field.decide(field.propose("outputs/other.bin", b"other"), "alice", "bob")
    real, root = field.tip(), field.view().line[0].id
    files = {path: entry for path, entry in field.files_of(other).items() if path != METAFILE}
    evil = field.repo.commit(root, files, parents=[root, real], message="merge", author="x", when=field.now)
    with field.refused("main lost a landing, and the gate let it pass", "push-refused"):
        field.push(RefUpdate(MAIN, real, evil))


def replaced_commit(ground):
    """A copy says, by Git's replacement of objects, that a commit is another one under the same id."""
    field = ground.at("landed")
    honest = field.tip()
    field.decide(field.ident, "bob", verdict="reject")
    rejecting = field.tip()
    without = field.commit(honest, {}, honest, message="nothing")
    field.repo.fetch()
    command = ["git", "--git-dir", field.folder / "cache.git", "update-ref"]
    subprocess.run([*command, f"refs/replace/{rejecting}", without], env=ENV, check=True)
    with field.refused("a rejected proposal was published", "not-approved"):
        field.promote()


def split_view(ground):
    """Two parties are shown two histories: the checkpoint of one must not hold in the other's ledger."""
    one = ground.at("published")
    two = ground.at("landed")
    two.later(minutes=1)
    two.promote()
    shown = _checkpoint(one)
    one.holds(compare(one.view(), {"own": shown}).verdict == "same", "its own checkpoint does not hold")
    two.holds(compare(two.view(), {"other": shown}).verdict == "fork", "two histories pass for one")


def _checkpoint(field, who="alice"):
    view = field.view()
    return make_checkpoint(view, view.publications[TIER], Key(who), field.now).envelope.to_bytes()


def two_views_compared_by_files(ground):
    """Two parties were shown two histories, and who compares what they signed has seen neither that far."""
    one, two, behind = ground.at("published"), ground.at("landed"), ground.at("landed")
    two.later(minutes=1)
    two.promote()
    files = {"one": _checkpoint(one), "two": _checkpoint(two, "bob")}
    behind.holds(compare(behind.view(), files).verdict == "fork", "two contradicting files prove nothing")


def checkpoint_by_a_stranger(ground):
    """Somebody without a key of the policy signs a checkpoint: a false alarm, or a false peace."""
    field = ground.at("published")
    real = read_checkpoint(_checkpoint(field))
    forged = Signed.make(real.subjects, real.body, Key("mallory").pair).envelope.to_bytes()
    with field.refused("a stranger's checkpoint counted", "checkpoint-signature"):
        compare(field.view(), {"forged": forged})


def objection_rolled_back(ground):
    """The server takes an objection back that a party has seen: its client remembers it."""
    field = ground.at("approved")
    before = field.branch(field.ident)
    field.decide(field.ident, "bob", verdict="return")
    field.view(field.memory)
    field.force(field.branch_ref(), before)
    field.repo.fetch()
    view = field.view(field.memory)
    with field.refused("a proposal was merged whose objection had disappeared", "not-approved"):
        review.merge(view, view.find(field.ident), author="x", now=field.now)


def entry_from_the_future(ground):
    """A node dates its ledger entry ahead, so that it would seem the newest for a long time."""
    field = ground.at("landed")
    now = field.now
    field.later(hours=2)
    before, evil = publish_by_hand(field)
    field.clock.time = now
    field.force(PUBLISHED, evil)
    field.holds(TIER in field.view().broken, "an entry from the future counts")
    field.force(PUBLISHED, before)


def entry_dated_back(ground):
    """A proposal has expired; its node signs an entry with a time before that, and pushes it."""
    field = ground.at("landed")
    before, evil = publish_by_hand(field)
    field.later(days=31)
    with field.refused("an expired proposal was published by a date of the past", "push-refused"):
        field.push(RefUpdate(PUBLISHED, before, evil))


def published_branch_edited(ground):
    """Files of the published branch are added, taken away or changed by hand, with the right two parents."""
    field = ground.at("published")
    tip = field.tip(PUBLISHED)
    tree = field.repo.tree(tip)
    entry = tree[layout.ledger_path(1)]
    for what in (
        {"README.md": b"x"},
        {METAFILE: None},
        {layout.decision_path(field.ident, "bob", 1): None},
        {layout.ledger_path(1): tree[layout.ledger_path(0)]},
        {layout.ledger_path(2): entry},
    ):
        evil = field.commit(tip, what, field.tip(), message=f"publish {field.ident}")
        with field.refused(f"the published branch was edited: {sorted(what)}", "push-refused"):
            field.push(RefUpdate(PUBLISHED, tip, evil))


def more_in_a_publication(ground):
    """A node publishes what was approved, and a file more in the same commit."""
    field = ground.at("landed")
    before, good = publish_by_hand(field)
    tree = field.repo.tree(good)
    old = field.repo.tree(before)
    files = {path: entry for path, entry in tree.items() if old.get(path) != entry}
    evil = field.repo.commit(
        before, {**files, "artifacts/site-b/outputs/more.dvc": b"outs: []\n"}, parents=[before, field.tip()],
        message=f"publish {field.ident}", author="x", when=field.now,
    )  # fmt: skip
    with field.refused("a file came along with a publication", "push-refused"):
        field.push(RefUpdate(PUBLISHED, before, evil))


def record_removed_from_main(ground):
    """A signed manifest or decision disappears from `main`, or is replaced."""
    field = ground.at("landed")
    for path in (layout.manifest_path(field.ident), layout.decision_path(field.ident, "bob", 1)):
        for data in (None, b"{}"):
            with field.refused(f"{path} was changed on main", "push-refused"):
                field.push(RefUpdate(MAIN, field.tip(), field.commit(field.tip(), {path: data})))


def proposal_closed_by_a_stranger(ground):
    """An open proposal is marked as closed, with commits of somebody else's choice, so that nobody decides it."""
    field = ground.at("approved")
    closed, root = layout.closed_ref(field.ident), field.view().line[0].id
    with field.refused("a stranger closed a proposal", "push-refused"):
        field.push(RefUpdate(closed, None, root))


def tier_at_another_place(ground):
    """The tier of the node's settings is not the one of the policy: data or credentials would go elsewhere."""
    field = ground.at("landed")
    target = field.promoter().targets[TIER]
    for other in (replace(target, url="s3://evil/x"), replace(target, endpointurl="http://evil")):
        with field.refused("data went to a place that the policy does not name", "tier-mismatch"):
            field.promote(targets={TIER: other})


def tier_is_the_internal_one(ground):
    """A publication tier that is the internal tier itself: everything is found there, nothing is published."""
    field = ground.at("landed")
    target = replace(field.promoter().targets[TIER], store=field.internal)
    with field.refused("the internal tier was taken for the publication tier", "tier-mismatch"):
        field.promote(targets={TIER: target})


def forge_is_gone(ground):
    """The server is gone, or lies that it approved: verification goes on, publication waits."""
    field = ground.at("published")
    root = field.clone()
    (root / METAFILE).with_suffix("").write_bytes(twins.A)
    shutil.rmtree(field.folder / "ctrl.git")
    view = load(field.repo, field.trust_root, field.now, field.memory, fetch=False)
    report = verify(view, tier=TIER, root=root, targets=(), now=field.now, jobs=1, progress=Quiet())
    field.holds(
        report.ok and len(report.artifacts) == 1, "what is published cannot be verified without the forge"
    )
    with pytest.raises(Unavailable):
        field.promoter().run()


def two_promoters(ground):
    """Two agents of one node promote at the same time: one publication, one entry."""
    field = ground.at("landed")
    one, two = field.promoter(), field.promoter()
    seen = two._load()
    one.run([field.ident])
    case = seen.history.cases[field.ident]
    receipt = two._receipt(seen, case, TIER, ())
    with field.refused("a second agent published over the first", "ref-moved"):
        two._record(seen.history, seen.publications[TIER], case, kind="publish", receipt=receipt)
    two.run([field.ident])
    field.holds(len(field.view().publications[TIER].entries) == 2, "two entries for one publication")
