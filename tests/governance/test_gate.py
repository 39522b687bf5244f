"""The plain forge's gate: judged by content, never by pusher. Each push here is one that must not pass, but for a few."""

import msgspec
import pytest

from governance.lab import MAIN, PUBLISHED
from keys import Key
from placet.core import layout
from placet.core.predicates import Decision, Manifest, Seen
from placet.core.statement import Signed, format_time, parse, subject
from placet.engine import gate, review
from placet.engine.detail import detail
from placet.errors import Refused
from placet.ports import RefUpdate


def refused(lab, *updates, words=""):
    with pytest.raises(Refused) as caught:
        lab.judge(*updates)
    assert caught.value.kind == "push-refused"
    assert words in caught.value.why, caught.value.why


def merge_commit(lab, ident, *, more=None, drop=()):
    view = lab.view()
    files = {
        path: entry
        for path, entry in view.repo.tree(view.branches[ident]).items()
        if path not in view.history.tree and path not in drop
    }
    return lab.commit(view.main, {**files, **(more or {})}, view.branches[ident], message="merge")


def hand_made(lab, ident, person):
    """A decision as somebody signs it who asks no client."""
    case = lab.view().find(ident)
    body = Decision(
        repository=case.manifest.body.repository, time=format_time(lab.now), manifest=case.manifest.digest,
        person=person, n=1, previous=None, verdict="approve", role="stewards", seen=Seen(level="report"),
        comment="", policy=case.policy.digest, expires=None,
    )  # fmt: skip
    about = subject(layout.manifest_path(ident), case.manifest.digest)
    signed = Signed.make((about,), body, Key(person).pair)
    return {layout.decision_path(ident, person, 1): signed.envelope.to_bytes()}


def test_a_right_merge_passes(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    lab.judge(RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident)))


def test_one_approval_too_few(lab):
    ident = lab.decide(lab.propose(), "alice")
    refused(lab, RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident)), words="does not follow")


def test_a_merge_with_something_else_in_it(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    tip = lab.tip()
    for path in (
        "README.md",
        ".github/workflows/x.yml",
        ".gitattributes",
        "artifacts/site-b/other.dvc",
        "hooks/x",
    ):
        refused(lab, RefUpdate(MAIN, tip, merge_commit(lab, ident, more={path: b"x"})), words=path)
    folder = layout.folder(ident)
    refused(
        lab,
        RefUpdate(MAIN, tip, merge_commit(lab, ident, more={f"{folder}note.txt": b"x"})),
        words="note.txt",
    )


def test_a_merge_with_another_metafile(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    path = layout.metafile("site-b", "outputs/a.csv")
    evil = merge_commit(lab, ident, more={path: b"outs:\n- md5: " + b"0" * 32 + b"\n"})
    refused(lab, RefUpdate(MAIN, lab.tip(), evil), words="does not follow")
    refused(lab, RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident, drop=[path])), words="does not follow")


def test_links_and_modes(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    path = layout.metafile("site-b", "outputs/a.csv")
    entry = lab.repo.tree(lab.branch(ident))[path]
    for mode in ("120000", "100755"):
        odd = merge_commit(lab, ident, more={path: type(entry)(mode, entry.blob, 0)})
        refused(lab, RefUpdate(MAIN, lab.tip(), odd), words="does not follow")


def test_main_is_never_removed_rewritten_or_cut(lab):
    lab.landed()
    tip, root = lab.tip(), lab.view().line[0].id
    refused(lab, RefUpdate(MAIN, tip, None), words="never removed")
    refused(lab, RefUpdate(MAIN, tip, root), words="first-parent line")
    refused(lab, RefUpdate(MAIN, None, root))
    swapped = lab.commit(root, {}, tip)
    refused(lab, RefUpdate(MAIN, tip, swapped), words="first-parent line")


def test_main_does_not_grow_by_commits_that_change_nothing(lab):
    refused(lab, RefUpdate(MAIN, lab.tip(), lab.commit(lab.tip(), {})), words="changes nothing")


def test_records_on_main_are_never_changed_or_removed(lab):
    ident = lab.landed()
    for path in (layout.manifest_path(ident), layout.decision_path(ident, "bob", 1)):
        refused(
            lab, RefUpdate(MAIN, lab.tip(), lab.commit(lab.tip(), {path: None})), words="changed or removed"
        )
    metafile = layout.metafile("site-b", "outputs/a.csv")
    refused(lab, RefUpdate(MAIN, lab.tip(), lab.commit(lab.tip(), {metafile: None})), words="does not follow")


def test_decisions_may_be_added_on_main_also_a_no(lab):
    ident = lab.landed()
    before = lab.tip()
    lab.decide(ident, "bob", verdict="reject")
    after = lab.tip()
    lab.force(MAIN, before)
    lab.repo.fetch()
    lab.judge(RefUpdate(MAIN, before, after))


def test_a_policy_without_approval(lab):
    weaker = lab.policy_text.replace("count: 2, groups: [stewards]", "count: 1, groups: [stewards]").encode()
    refused(lab, RefUpdate(MAIN, lab.tip(), lab.commit(lab.tip(), {layout.POLICY: weaker})))
    ident = lab.change_policy(("project: test", "project: x"), approvers=("alice",), merge=False)
    view = lab.view()
    tree = view.repo.tree(view.branches[ident])
    changed = {
        path: entry for path, entry in tree.items() if view.history.tree.get(path, ("", ""))[1] != entry.blob
    }
    refused(lab, RefUpdate(MAIN, view.main, lab.commit(view.main, changed, view.branches[ident])))
    lab.decide(ident, "bob", saw="report")
    view = lab.view()
    tree = view.repo.tree(view.branches[ident])
    changed = {
        path: entry for path, entry in tree.items() if view.history.tree.get(path, ("", ""))[1] != entry.blob
    }
    lab.judge(RefUpdate(MAIN, view.main, lab.commit(view.main, changed, view.branches[ident])))


def test_a_merge_that_leaves_out_a_no(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    lab.decide(ident, "carol", verdict="reject")
    path = layout.decision_path(ident, "carol", 1)
    refused(lab, RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident, drop=[path])), words="leaves out")


def test_a_merge_that_leaves_out_the_withdrawal(lab, monkeypatch):
    ident = lab.decide(lab.propose(), "alice", "bob")
    view = lab.view()
    review.withdraw(view, view.find(ident), Key("site-b"), reason="no", now=lab.now)
    path = layout.withdrawal_path(ident)
    refused(lab, RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident, drop=[path])), words="leaves out")
    monkeypatch.setattr(gate, "_require_all_decisions", lambda *_: None)
    assert lab.judge(RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident, drop=[path]))) is None


def test_a_merge_of_what_was_closed_or_whose_branch_is_refused(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    commit, tip = merge_commit(lab, ident), lab.branch(ident)
    branch = f"refs/heads/proposals/{ident}"
    lab.force(branch, lab.commit(tip, {"README.md": b"x"}))
    lab.repo.fetch()
    refused(lab, RefUpdate(MAIN, lab.tip(), commit), words="branch is refused")
    lab.force(f"refs/placet/closed/{ident}", tip)
    lab.force(branch, None)
    lab.repo.fetch()
    refused(lab, RefUpdate(MAIN, lab.tip(), commit), words="was closed")


def test_an_expired_or_stale_proposal_does_not_land(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    commit = merge_commit(lab, ident)
    lab.later(days=31)
    refused(lab, RefUpdate(MAIN, lab.tip(), commit), words="does not follow")
    lab.later(days=-31)
    lab.judge(RefUpdate(MAIN, lab.tip(), commit))
    lab.landed(data=b"another version")
    refused(lab, RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident, more={})))


def test_a_proposal_ends_when_the_policy_says_whatever_its_signer_says(lab):
    ident = lab.propose()
    tree = lab.repo.tree(lab.branch(ident))
    path, metafile = layout.manifest_path(ident), layout.metafile("site-b", "outputs/a.csv")
    honest = parse(lab.repo.read(tree[path].blob, 1 << 20), Manifest)

    def signed(**changes):
        made = Signed.make(
            honest.subjects, msgspec.structs.replace(honest.body, **changes), Key("site-b").pair
        )
        files = {path: made.envelope.to_bytes(), metafile: tree[metafile]}
        return RefUpdate(f"refs/heads/proposals/{ident}", None, lab.commit(lab.tip(), files))

    late = signed(time="2027-01-01T00:00:00Z", expires="2027-01-02T00:00:00Z")
    refused(lab, late, words="from the future")
    forever = signed(expires="2099-01-01T00:00:00Z")
    lab.force(forever.ref, forever.new)
    lab.decide(ident, "alice", "bob")
    commit = merge_commit(lab, ident)
    lab.later(days=29)
    lab.judge(RefUpdate(MAIN, lab.tip(), commit))
    lab.later(days=2)
    assert lab.state(ident) == "EXPIRED"
    view = lab.view()
    shown = detail(view, view.find(ident), lab.now)
    assert shown.expires == "2026-12-24T10:00:00Z" and "2026-12-24" in " ".join(shown.because)
    refused(lab, RefUpdate(MAIN, lab.tip(), commit), words="does not follow")


def test_proposal_branches_hold_their_own_and_nothing_else(lab):
    ident = lab.propose()
    branch = f"refs/heads/proposals/{ident}"
    tip = lab.branch(ident)
    lab.decide(ident, "alice")
    lab.judge(RefUpdate(branch, tip, lab.branch(ident)))
    tip = lab.branch(ident)
    for path, data in (
        ("README.md", b"x"),
        (layout.metafile("site-b", "outputs/a.csv"), b"other"),
        (layout.metafile("site-b", "outputs/b.csv"), b"other"),
        (layout.POLICY, b"x"),
        (f"{layout.folder(ident)}note", b"x"),
        (layout.decision_path(ident, "alice", 1), None),
        (layout.decision_path(ident, "bob", 1), b"x"),
        (layout.manifest_path(ident), None),
    ):
        refused(lab, RefUpdate(branch, tip, lab.commit(tip, {path: data})))
    refused(lab, RefUpdate(branch, tip, lab.view().line[0].id))
    other = "refs/heads/proposals/" + "0" * 32
    refused(lab, RefUpdate(other, None, tip), words="manifest")
    refused(lab, RefUpdate("refs/heads/proposals/xyz", None, tip), words="not a proposal id")


def test_a_stranger_cannot_use_up_the_room_of_a_branch(lab, monkeypatch):
    ident = lab.propose()
    branch, tip = f"refs/heads/proposals/{ident}", lab.branch(ident)
    lab.decide(ident, "alice")
    later = lab.branch(ident)
    refused(lab, RefUpdate(branch, tip, lab.commit(later, {})), words="changes nothing")
    lab.judge(RefUpdate(branch, tip, later))
    monkeypatch.setattr(gate, "_require_purpose", lambda *_: None)
    assert lab.judge(RefUpdate(branch, tip, lab.commit(later, {}))) is None


def test_a_decision_that_no_rule_counts_is_not_taken(lab):
    ident = lab.propose(node="site-a")
    branch, tip = f"refs/heads/proposals/{ident}", lab.branch(ident)
    for person in ("dana", "carol"):
        refused(
            lab,
            RefUpdate(branch, tip, lab.commit(tip, hand_made(lab, ident, person))),
            words="No rule counts",
        )
    lab.judge(RefUpdate(branch, tip, lab.commit(tip, hand_made(lab, ident, "alice"))))


def test_a_branch_that_does_not_begin_on_main(lab):
    ident = lab.propose()
    tree = lab.repo.tree(lab.branch(ident))
    lonely = lab.commit(None, tree)
    lab.force(f"refs/heads/proposals/{ident}", lonely)
    lab.repo.fetch()
    refused(lab, RefUpdate(f"refs/heads/proposals/{ident}", None, lonely), words="does not begin on main")


def test_a_stale_or_hopeless_proposal_is_not_opened(lab):
    ident = lab.propose(data=b"one")
    tip = lab.branch(ident)
    lab.landed(data=b"two")
    refused(lab, RefUpdate(f"refs/heads/proposals/{ident}", None, tip), words="another version")


def test_branches_are_closed_with_their_commits_kept(lab):
    ident = lab.propose()
    lab.decide(ident, "alice", "bob")
    branch, closed, tip = f"refs/heads/proposals/{ident}", f"refs/placet/closed/{ident}", lab.branch(ident)
    refused(lab, RefUpdate(branch, tip, None), RefUpdate(closed, None, tip), words="neither landed nor ended")
    landing = RefUpdate(MAIN, lab.tip(), merge_commit(lab, ident))
    lab.judge(RefUpdate(branch, tip, None), RefUpdate(closed, None, tip), landing)
    lab.decide(ident, "carol", verdict="return")
    tip = lab.branch(ident)
    lab.judge(RefUpdate(branch, tip, None), RefUpdate(closed, None, tip))
    root = lab.view().line[0].id
    refused(lab, RefUpdate(branch, tip, None), words="only closed")
    refused(lab, RefUpdate(branch, tip, None), RefUpdate(closed, None, root), words="only closed")
    refused(lab, RefUpdate(closed, None, tip), words="same push removes")
    refused(lab, RefUpdate(closed, tip, None))
    refused(lab, RefUpdate(closed, None, root), RefUpdate(branch, root, None))


def test_what_was_closed_is_not_removed_by_an_update_from_nothing_to_nothing(lab, monkeypatch):
    ident = lab.propose()
    branch, closed, tip = f"refs/heads/proposals/{ident}", f"refs/placet/closed/{ident}", lab.branch(ident)
    lab.force(closed, tip)
    lab.force(branch, None)
    lab.repo.fetch()
    refused(lab, RefUpdate(branch, None, None), RefUpdate(closed, None, None), words="neither")
    monkeypatch.setattr(gate, "_require_something", lambda *_: None)
    assert lab.judge(RefUpdate(branch, None, None), RefUpdate(closed, None, None)) is None


def test_other_branches_and_tags_are_refused(lab):
    tip = lab.tip()
    for ref in (
        "refs/heads/other",
        "refs/tags/v1",
        "refs/heads/published-x",
        "refs/heads/publishedx",
        "refs/notes/x",
    ):
        refused(lab, RefUpdate(ref, None, tip))
    published = lab.tip(PUBLISHED)
    refused(lab, RefUpdate(PUBLISHED, published, None), words="no tier")
    refused(lab, RefUpdate(PUBLISHED, tip, lab.commit(published, {})))
    refused(lab, RefUpdate(PUBLISHED, published, lab.commit(published, {"x": b"x"}, tip)))


def test_unsigned_records_are_not_recorded(lab):
    ident = lab.landed()
    other = lab.propose("outputs/b.csv", b"b")
    lab.decide(other, "bob")
    entry = lab.repo.tree(lab.branch(other))[layout.decision_path(other, "bob", 1)]
    copied = lab.commit(lab.tip(), {layout.decision_path(ident, "bob", 2): entry})
    refused(lab, RefUpdate(MAIN, lab.tip(), copied), words="does not hold the decision of its name")
    assert Key("bob").public in lab.policy_text
