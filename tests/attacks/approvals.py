"""Attacks on approval: too few, forged, replayed, late, by the wrong people, for what was changed since."""

import contextlib
from unittest.mock import patch

from attacks.field import DATA, KEY, MAIN, METAFILE, NO_PROPOSAL, PUBLISHED, TIER
from keys import Key
from placet.core import layout
from placet.core.predicates import Promoted, Seen
from placet.core.statement import Signed
from placet.engine import promotable, promote, review
from placet.errors import PlacetError
from placet.ports import RefUpdate


def merge_without_enough_approvals(ground):
    """A proposal with one approval of two is merged by hand and pushed."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice")
    with field.refused("a merge without enough approvals passed the gate", "push-refused"):
        field.push(RefUpdate(MAIN, field.tip(), field.merge_commit()))


def merge_past_the_gate(ground):
    """The same, written into `main` by the administrator of the server."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice")
    field.land_by_hand()
    with field.refused("unapproved bytes were published", "not-approved"):
        field.promote()


def publication_by_hand(ground):
    """A hostile node writes receipt and ledger entry for what was not approved, and pushes them."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice")
    field.land_by_hand()
    before, evil = publish_by_hand(field)
    with field.refused("an unapproved publication passed the gate", "push-refused"):
        field.push(RefUpdate(PUBLISHED, before, evil))


def publication_by_hand_past_the_gate(ground):
    """The same, on the server itself: everybody must find it."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice")
    field.land_by_hand()
    _, evil = publish_by_hand(field)
    field.force(PUBLISHED, evil)
    field.holds(TIER in field.view().broken, "everybody takes an unapproved publication for a good one")


def receipt_that_leaves_out_an_artifact(ground):
    """A node's receipt for an approved proposal accounts for nothing of it; written past the gate."""
    field = ground.at("landed")
    _, evil = publish_by_hand(field, promoted=())
    field.force(PUBLISHED, evil)
    field.holds(TIER in field.view().broken, "a receipt for nothing counts as a publication")


def publish_by_hand(field, *, signer="site-b", promoted=None):
    """The published branch before, and a commit for it that a node's own client would not make.

    The receipt is the node's own, and says that all objects were there; the entry is signed by `signer`.
    What the client would refuse to itself (a window, a key, a freeze) is taken out of it.
    """
    view = field.view()
    promoter = field.promoter(signer=Key(signer))
    publication, case = view.publications[TIER], view.history.cases[field.ident]
    before = publication.tip
    if promoted is None:
        promoted = tuple(
            Promoted(path=one.path, objects=1, size=one.size, copied=0, found=1, ways={})
            for one in case.manifest.body.artifacts
        )
    receipt = field.promoter()._receipt(view, case, TIER, promoted)
    away = dict.fromkeys(("_require_key", "look_again"), lambda *_: None)
    with patch.multiple(promote, **away), patch.object(promotable, "require_open", lambda *_: None):
        evil = promoter._record(view.history, publication, case, kind="publish", receipt=receipt)
    field.force(PUBLISHED, before)
    field.repo.fetch()
    return before, evil


def squash_without_the_decisions(ground):
    """A forge squashes the proposal and leaves the signed decisions behind; its word is that it was approved."""
    field = ground.at("approved")
    people = [layout.decision_path(field.ident, name, 1) for name in ("alice", "bob")]
    files = {path: entry for path, entry in field.files_of().items() if path not in people}
    field.force(MAIN, field.commit(field.tip(), files, message="Approved-by: alice, bob"))
    with field.refused("something was published on the word of the forge", "not-approved"):
        field.promote()


def metafile_changed_after_approval(ground):
    """The branch gets another `.dvc` file after the approvals, through the gate or past it, and is merged."""
    field = ground.at("approved")
    evil = field.commit(field.branch(field.ident), {METAFILE: _other_metafile(field)})
    with field.refused("a metafile changed after approval passed the gate", "push-refused"):
        field.push(RefUpdate(field.branch_ref(), field.branch(field.ident), evil))


def metafile_changed_and_merged(ground):
    """The branch is made anew on the server itself, with another metafile; then somebody merges in good faith."""
    field = ground.at("approved")
    evil = field.commit(field.tip(), {**field.files_of(), METAFILE: _other_metafile(field)})
    field.force(field.branch_ref(), evil)
    with field.refused("another metafile than the approved one was merged", *NO_PROPOSAL):
        field.merge(field.ident)


def metafile_changed_on_main(ground):
    """The landing commit itself carries another `.dvc` file than the one that was approved."""
    field = ground.at("approved")
    field.land_by_hand(more={METAFILE: _other_metafile(field)})
    with field.refused("another metafile than the approved one was published", *NO_PROPOSAL):
        field.promote()


def _other_metafile(field):
    text = field.repo.read(field.files_of()[METAFILE].blob, 1 << 16)
    return text.replace(KEY.removeprefix("files/md5/").replace("/", "").encode(), b"0" * 32)


def objection_in_the_last_second(ground):
    """A reviewer objects between somebody's look at the proposal and their merge."""
    field = ground.at("approved")
    view = field.view()
    seen = view.find(field.ident)
    field.decide(field.ident, "bob", verdict="reject")
    with field.refused("a merge ran over an objection that it had not seen", "ref-moved"):
        review.merge(view, seen, author="x", now=field.now)


def stale_version_lands(ground):
    """An older approved version is landed and promoted after a newer one: it would put old bytes back."""
    field = ground.at("approved")
    newer = field.propose("outputs/a.bin", b"a newer version")
    field.hold(b"a newer version")
    field.land(newer)
    field.promote(newer)
    field.land_by_hand()
    with field.refused("an old version replaced a newer one", "not-approved"):
        field.promote()


def decision_replayed_for_another_manifest(ground):
    """The approvals of one proposal are copied to another one."""
    field = ground.at("approved")
    other = field.propose("outputs/two.bin", DATA)
    tree = field.repo.tree(field.branch(field.ident))
    copied = {
        layout.decision_path(other, name, 1): tree[layout.decision_path(field.ident, name, 1)]
        for name in ("alice", "bob")
    }
    field.force(field.branch_ref(other), field.commit(field.branch(other), copied))
    field.land_by_hand(other)
    with field.refused("approvals of another proposal counted", "not-approved"):
        field.promote(other)


def decision_by_a_stranger(ground):
    """A decision in bob's name, in a commit by "bob", signed with another key: a stranger's, or a robot's."""
    for key in ("mallory", "site-b"):
        field = ground.at("proposed")
        field.decide(field.ident, "alice")
        field.decision(field.ident, "bob", key)
        field.land_by_hand()
        with field.refused(f"a decision signed by {key} counted as bob's", "not-approved"):
            field.promote()


def reviews_forged_by_a_node(ground):
    """Where a rule accepts a forge's word, a node says itself that everybody approved there; no witness did."""
    field = ground.at(
        "new",
        ("  alice: {name:", "  alice: {forges: {forge: 1}, name:"),
        ("  bob: {name:", "  bob: {forges: {forge: 2}, name:"),
        ("organisations: 2, bytes: 1}]", "organisations: 2}]\n    accept: [forge]"),
        (
            "tiers:\n",
            f'witnesses:\n  w: {{organisation: org-c, keys: ["{Key("w").public}"], forges: [forge]}}\ntiers:\n',
        ),
    )
    ident = field.propose("outputs/a.bin", DATA)
    field.hold(DATA)
    previous = None
    for number in (1, 2):
        previous = field.observation(ident, "site-b", n=number, user=number, previous=previous)
    field.land_by_hand(ident)
    with field.refused("reviews counted that no witness signed", "not-approved"):
        field.promote(ident)


def manifest_by_a_stranger(ground):
    """A proposal in a node's name that another key signed, approved by people who trust its name."""
    field = ground.at("new")
    ident = field.past_the_client(field.file_candidate(b"x", "outputs/x"), key="mallory")
    with contextlib.suppress(PlacetError):
        field.decide(ident, "alice", "bob")
    field.land_by_hand(ident)
    with field.refused("a proposal counted that its node did not sign", *NO_PROPOSAL):
        field.promote(ident)


def node_outside_of_its_prefix(ground):
    """A compromised node signs what is another node's, or outside of the paths that it may propose."""
    field = ground.at("new")
    candidate = field.file_candidate(b"x", "secret/x")
    ident = field.past_the_client(candidate)
    with contextlib.suppress(PlacetError):
        field.decide(ident, "alice", "bob")
    field.land_by_hand(ident)
    with field.refused("a node published outside of its paths", "not-approved"):
        field.promote(ident)


def another_nodes_publication(ground):
    """A compromised node signs the entry for another node's proposal, with that node's own receipt."""
    field = ground.at("landed")
    before, evil = publish_by_hand(field, signer="site-a")
    with field.refused("an entry passed the gate that its node did not sign", "push-refused"):
        field.push(RefUpdate(PUBLISHED, before, evil))


def another_nodes_publication_past_the_gate(ground):
    """The same, on the server itself."""
    field = ground.at("landed")
    _, evil = publish_by_hand(field, signer="site-a")
    field.force(PUBLISHED, evil)
    field.holds(TIER in field.view().broken, "an entry counts that its node did not sign")


def revoked_node_key(ground):
    """A node's key is revoked; what it signed for an earlier state of `main` is pushed afterwards."""
    field = ground.at("landed")
    before, evil = publish_by_hand(field)
    field.change_policy((Key("site-b").public, Key("site-b-new").public))
    with field.refused("a revoked node key published", "push-refused"):
        field.push(RefUpdate(PUBLISHED, before, evil))


def revoked_reviewer_key(ground):
    """A reviewer's key is revoked while their approval is on `main`, before the proposal lands."""
    field = ground.at("new")
    ident = field.propose("outputs/late.bin", b"late")
    field.hold(b"late")
    field.decide(ident, "alice", "bob")
    inside = {
        path: entry for path, entry in field.files_of(ident).items() if path.startswith(layout.folder(ident))
    }
    field.force(MAIN, field.commit(field.tip(), inside))
    field.repo.fetch()
    field.change_policy((Key("bob").public, Key("bob-new").public))
    field.land_by_hand(ident)
    found = [one.decision.body.person for one in field.view().history.cases[ident].decisions]
    field.holds("bob" not in found, "an approval counts that a revoked key signed")


def own_proposal(ground):
    """Who runs the node approves what it proposes."""
    field = ground.at("new")
    ident = field.propose("outputs/own.bin", b"own", node="site-a")
    field.hold(b"own")
    field.decide(ident, "bob")
    field.decision(ident, "carol", "carol")
    field.land_by_hand(ident)
    with field.refused("a node's operator approved its proposal", "not-approved"):
        field.promote(ident, node="site-a", signer=Key("site-a"))


def one_organisation(ground):
    """Two people of one organisation approve where the policy asks for two organisations."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice", "carol")
    field.land_by_hand()
    with field.refused("one organisation alone published", "not-approved"):
        field.promote()


def one_person_with_two_keys(ground):
    """One person signs with both of their keys."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice")
    before = field.manifest()
    first = field.view().find(field.ident).decisions[0].decision
    field.decision(field.ident, "alice", "alice-2", n=2, previous=first.digest)
    assert field.manifest().digest == before.digest
    field.land_by_hand()
    with field.refused("one person with two keys counted as two", "not-approved"):
        field.promote()


def one_key_for_two_people(ground):
    """A policy in which one key, a robot's or a node's, stands for two people."""
    field = ground.at("new")
    for key in ("alice", "site-b"):
        with field.refused("one key stands for two", "policy"):
            field.change_policy((Key("bob").public, Key(key).public), approvers=(), merge=False)


def approval_without_looking(ground):
    """Somebody whom the policy shows the report only signs that they saw the bytes."""
    field = ground.at(
        "new",
        (
            "groups: [stewards], organisations: 2, bytes: 1",
            "groups: [stewards, trustees], organisations: 2, bytes: 2",
        ),
    )
    ident = field.propose("outputs/a.bin", b"seen")
    field.hold(b"seen")
    field.decide(ident, "alice")
    field.decision(ident, "dana", "dana")
    field.land_by_hand(ident)
    with field.refused("a look that policy does not grant counted as one", "not-approved"):
        field.promote(ident)


def approval_that_names_no_bytes(ground):
    """A program of one's own signs that its person saw the bytes, and names none of them."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice", saw="report")
    field.decision(field.ident, "bob", "bob", seen=Seen(level="bytes"))
    field.land_by_hand()
    with field.refused("a rubber stamp counted as a look at the bytes", "not-approved"):
        field.promote()


def published_in_a_closed_window(ground):
    """A node publishes in a time in which the policy lets nothing out, past its own client and the gate."""
    field = ground.at(
        "new",
        (
            "governance:",
            "windows:\n  w: {reason: closed, weekly: [{days: [tue], from: '12:00'}]}\ngovernance:",
        ),
    )
    ident = field.ident = field.landed("outputs/w", b"w")
    field.hold(b"w")
    field.later(hours=3)
    _, evil = publish_by_hand(field)
    field.force(PUBLISHED, evil)
    field.holds(TIER in field.view().broken, f"{ident} counts as published in a closed window")


def objection_removed(ground):
    """The last, critical decision of a reviewer is removed from the branch by a commit of somebody else."""
    field = ground.at("approved")
    field.decide(field.ident, "bob", verdict="return")
    tip = field.branch(field.ident)
    evil = field.commit(tip, {layout.decision_path(field.ident, "bob", 2): None})
    with field.refused("a decision was removed from a proposal", "push-refused"):
        field.push(RefUpdate(field.branch_ref(), tip, evil))


def hidden_objection(ground):
    """The first, critical decision of a reviewer is left out of a branch made anew; the later one stays."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice")
    field.decide(field.ident, "bob", verdict="return")
    field.decide(field.ident, "bob")
    files = {path: entry for path, entry in field.files_of().items() if not path.endswith("/bob-1.json")}
    field.force(field.branch_ref(), field.commit(field.tip(), files))
    field.repo.fetch()
    with field.refused("a decision counted although the one before it was hidden", "not-approved"):
        field.merge(field.ident)


def expired_before_it_began(ground):
    """A decision that says it expired before it was made: nobody could tell when it counts."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice")
    field.decision(field.ident, "bob", "bob", expires="2020-01-01T00:00:00Z")
    with field.refused("a decision of impossible times was accepted", "push-refused", "statement"):
        tip = field.branch(field.ident)
        field.push(RefUpdate(field.branch_ref(), None, tip))


def decision_of_another_kind(ground):
    """A signed statement of another kind is put where a decision belongs."""
    field = ground.at("proposed")
    field.decide(field.ident, "alice")
    real = field.view().find(field.ident).decisions[0].decision
    forged = Signed.make(real.subjects, field.manifest().body, Key("bob").pair)
    path = layout.decision_path(field.ident, "bob", 1)
    tip = field.branch(field.ident)
    with field.refused("a manifest was taken for a decision", "push-refused"):
        field.push(RefUpdate(field.branch_ref(), tip, field.commit(tip, {path: forged.envelope.to_bytes()})))
