"""Review as people do it: return and resubmit, comments, withdrawal, expiry, who else may approve; nothing voids by chance."""

import random
import subprocess

import pytest

from governance.lab import TIER
from keys import Key
from placet.adapters.objects.memory import MemoryStore
from placet.core import layout
from placet.core.digest import digest
from placet.core.predicates import CheckResult, Decision, Seen
from placet.core.statement import Signed, format_time, subject
from placet.engine import cases, diff, review, show
from placet.engine.detail import detail
from placet.errors import Conflict, Corrupt, Invalid, Refused
from placet.ports import RefUpdate
from placet.wire.ctrl import proven


def told(lab, ident):
    view = lab.view()
    return detail(view, view.find(ident), lab.now)


def test_a_returned_proposal_goes_on_as_a_new_one(lab):
    first = lab.propose(data=b"a,b\n1,2\n", message="first")
    lab.decide(
        first, "alice", verdict="return", comment="too fine", on=[("outputs/a.csv", "drop cells below 10")]
    )
    assert lab.state(first) == "RETURNED"
    assert told(lab, first).because == (
        "alice, return: too fine",
        "alice, on outputs/a.csv: drop cells below 10",
    )
    lab.later(hours=1)
    second = lab.propose(data=b"a,b\n10,20\n", message="second")
    assert lab.propose(data=b"a,b\n10,20\n", message="again") == second
    new, old = told(lab, second), told(lab, first)
    assert [(one.id, one.state) for one in new.follows] == [(first, "RETURNED")]
    assert "drop cells below 10" in new.follows[0].words[1]
    assert [one.id for one in old.followed_by] == [second]
    assert (old.closed, new.closed) == (True, False)
    assert f"refs/heads/proposals/{first}" not in lab.repo.refs("refs/heads/proposals/")
    with pytest.raises(Refused, match="nothing can be decided") as caught:
        lab.decide(first, "alice")
    assert caught.value.kind == "not-decidable"
    lab.decide(second, "alice", "bob")
    lab.merge(second)
    assert lab.state(second) == "LANDED"
    view = lab.view()
    assert [one.id for one in show.summaries(view, lab.now)] == [second]
    assert {one.id for one in show.summaries(view, lab.now, show.Wanted(closed=True))} == {first, second}


@pytest.mark.parametrize("how", ["return", "reject", "withdraw", "expire", "stale"])
def test_whatever_ended_is_followed(lab, how):
    first = lab.propose(data=b"one")
    if how in {"return", "reject"}:
        lab.decide(first, "bob", verdict=how)
    elif how == "withdraw":
        view = lab.view()
        review.withdraw(view, view.find(first), Key("site-b"), reason="wrong file", now=lab.now)
        assert told(lab, first).because == ("site-b took it back: wrong file",)
    elif how == "expire":
        lab.later(days=31)
    else:
        lab.change_policy(("project: test", "project: renamed"))
    second = lab.propose(data=b"two")
    assert [one.id for one in told(lab, second).follows] == [first]
    same = lab.propose("outputs/other.csv", data=b"two")
    assert told(lab, same).follows == ()


def test_the_same_content_again_follows_too_and_the_chain_is_told(lab):
    chain = []
    for _ in range(3):
        chain.append(lab.propose())
        lab.decide(chain[-1], "alice", verdict="return")
        lab.later(minutes=1)
    last = lab.propose()
    assert len({*chain, last}) == 4
    assert [one.id for one in told(lab, last).follows] == chain[::-1]


def test_another_node_or_path_is_never_followed(lab):
    first = lab.propose("outputs/a.csv", node="site-b")
    lab.decide(first, "alice", verdict="return")
    assert told(lab, lab.propose("outputs/a.csv", b"new", node="site-a")).follows == ()
    assert not told(lab, first).closed


def test_comments_are_about_artifacts_of_the_proposal(lab, monkeypatch):
    ident = lab.propose()
    for path in ("outputs/b.csv", "artifacts/site-b/outputs/a.csv", "../x"):
        with pytest.raises(Invalid) as caught:
            lab.decide(ident, "alice", on=[(path, "text")])
        assert caught.value.kind == "comment-path"
    lab.decide(ident, "alice", on=[("outputs/a.csv", "fine"), ("outputs/a.csv", "really")])
    given = told(lab, ident).decisions[0].comments
    assert [one.text for one in given] == ["fine", "really"]
    monkeypatch.setattr(review, "check_comments", lambda *_: None)
    lab.decide(ident, "bob", on=[("outputs/elsewhere.csv", "text")])
    view = lab.view()
    assert ident not in view.open and any("outputs/elsewhere.csv" in alarm.text for alarm in view.alarms)
    monkeypatch.undo()
    monkeypatch.setattr(cases, "check_comments", lambda *_: None)
    monkeypatch.setattr("placet.engine.history.check_comments", lambda *_: None)
    assert ident in lab.view().open, "it is this guard that refuses"


def test_a_comment_on_an_artifact_is_reason_enough(lab):
    ident = lab.propose()
    with pytest.raises(Invalid):
        lab.decide(ident, "alice", verdict="return", comment=" ")
    lab.decide(ident, "alice", verdict="return", comment="", on=[("outputs/a.csv", "why?")])
    lab.decide(ident, "alice", verdict="return", comment="more words")
    with pytest.raises(Conflict, match="already"):
        lab.decide(ident, "alice", verdict="return", comment="more words")


def test_ten_open_proposals_land_in_any_order(lab):
    """An unrelated merge voids nothing: no approval, no proposal."""
    idents = [lab.propose(f"outputs/{number}.csv", str(number).encode()) for number in range(10)]
    order = random.Random(4)
    early = order.sample(idents, 5)
    for ident in early:
        lab.decide(ident, "alice", "bob")
    landed = set()
    for ident in order.sample(idents, 10):
        if ident not in early:
            lab.decide(ident, "alice", "bob")
        lab.merge(ident)
        landed.add(ident)
        view = lab.view()
        states = {one: str(view.state(view.find(one), lab.now)) for one in idents}
        assert {one for one in idents if states[one] == "LANDED"} == landed
        assert {one for one in idents if states[one] == "APPROVED"} == set(early) - landed
        assert set(states.values()) <= {"LANDED", "APPROVED", "PROPOSED"}
    assert landed == set(idents)


def test_another_version_of_the_path_makes_it_stale_and_says_so(lab):
    late = lab.decide(lab.propose(data=b"late"), "alice", "bob")
    lab.landed(data=b"first")
    found = told(lab, late)
    assert (found.state, found.because) == (
        "STALE",
        ("It is stale: another version of outputs/a.csv landed in the meantime.",),
    )


def test_an_approval_runs_out_before_its_proposal(lab):
    ident = lab.propose()
    lab.decide(ident, "alice", days=3)
    lab.decide(ident, "bob", days=7)
    found = told(lab, ident)
    assert (found.state, found.until) == ("APPROVED", "2026-11-27T10:00:00Z")
    lab.later(days=4)
    found = told(lab, ident)
    assert (found.state, found.until) == ("PROPOSED", found.expires)
    assert [(one.person, one.expired) for one in found.decisions] == [("alice", True), ("bob", False)]
    assert [(one.person, one.standing) for one in found.reviewers if one.verdict] == [
        ("alice", False),
        ("bob", True),
    ]
    lab.decide(ident, "alice")
    assert lab.state(ident) == "APPROVED"
    lab.later(days=30)
    assert told(lab, ident).because == (f"The proposal expired at {found.expires}.",)


def test_a_reviewer_sees_who_else_may_approve_and_what_they_saw(lab):
    ident = lab.propose(node="site-a")
    lab.decide(ident, "alice", saw="report")
    found = told(lab, ident)
    assert [(one.person, one.organisation, one.sees, one.verdict, one.seen) for one in found.reviewers] == [
        ("alice", "org-a", "bytes", "approve", "report"),
        ("bob", "org-b", "bytes", "", ""),
    ]
    assert found.until == found.expires
    assert "1 of 2 approvals are missing" in found.missing[0]
    view = lab.view()
    mine = {
        who: [one.id for one in show.summaries(view, lab.now, show.Wanted(person=who))]
        for who in ("alice", "bob", "carol", "dana")
    }
    assert mine == {"alice": [], "bob": [ident], "carol": [], "dana": []}


def test_lists_by_state_node_and_path(lab):
    one, two = lab.propose("outputs/x/a.csv"), lab.propose("outputs/y.csv", node="site-a")
    lab.decide(two, "bob", verdict="reject")
    view = lab.view()

    def found(**wanted):
        return {line.id for line in show.summaries(view, lab.now, show.Wanted(**wanted))}

    assert found() == {one, two}
    assert found(node="site-a") == {two} and found(node="nobody") == set()
    assert (
        found(path="outputs/x") == found(path="outputs/*/a.csv") == found(path="site-b/outputs/x/") == {one}
    )
    assert found(path="artifacts/site-a/outputs/y.csv") == {two}
    assert found(state="REJECTED") == {two}


def test_what_was_shown_is_what_is_approved(lab, monkeypatch):
    ident = lab.propose()
    digest = lab.view().find(ident).manifest.digest
    with pytest.raises(Conflict) as caught:
        lab.decide(ident, "alice", shown="sha256:" + "0" * 64)
    assert caught.value.kind == "other-manifest" and digest in caught.value.why
    assert told(lab, ident).decisions == ()
    lab.decide(ident, "alice", shown=digest)
    lab.decide(ident, "bob", shown=f"sha256:{digest}")
    other = lab.propose("outputs/b.csv")
    monkeypatch.setattr(review, "check_shown", lambda *_: None)
    lab.decide(other, "alice", shown=digest)
    assert told(lab, other).decisions, "it is this guard that refuses"


def test_a_decision_names_what_was_seen(lab, monkeypatch):
    ident = lab.propose()
    case = lab.view().find(ident)
    assert review.seen_bytes(case).digests == tuple(one.value for one in case.manifest.subjects)
    for level, digests in (("bytes", ()), ("bytes", ("0" * 64,)), ("report", ("0" * 64,))):
        with pytest.raises(Refused) as caught:
            lab.decide(ident, "alice", seen=Seen(level=level, digests=digests))
        assert caught.value.kind == "not-seen"
    with pytest.raises(Refused, match="does not show bytes"):
        review.check_seen(case, "dana", review.seen_bytes(case))
    monkeypatch.setattr(review, "check_seen", lambda *_: None)
    lab.decide(ident, "alice", seen=Seen(level="report", digests=("0" * 64,)))
    assert told(lab, ident).decisions, "it is this guard that refuses"


def rubber_stamp(lab, ident, person):
    """An approval by hand that says `bytes` and names none, as a program of one's own can sign it."""
    view = lab.view()
    case = view.find(ident)
    body = Decision(
        repository=view.history.repository, time=format_time(lab.now), manifest=case.manifest.digest, person=person, n=1,
        previous=None, verdict="approve", role="stewards", seen=Seen(level="bytes"), comment="", policy=case.policy.digest, expires=None,
    )  # fmt: skip
    signed = Signed.make(
        (subject(layout.manifest_path(ident), case.manifest.digest),), body, Key(person).pair
    )
    tip = lab.branch(ident)
    commit = lab.commit(tip, {layout.decision_path(ident, person, 1): signed.envelope.to_bytes()})
    lab.repo.push([RefUpdate(layout.proposal_ref(ident), tip, commit)])


def test_a_rubber_stamp_does_not_count_as_having_seen_the_bytes(lab, monkeypatch):
    ident = lab.propose()
    rubber_stamp(lab, ident, "alice")
    lab.decide(ident, "bob", saw="report")
    found = told(lab, ident)
    assert found.state == "PROPOSED"
    assert "having seen the bytes (0 so far)" in found.missing[0]
    assert [(one.person, one.seen, one.digests) for one in found.decisions] == [
        ("alice", "report", 0),
        ("bob", "report", 0),
    ]
    monkeypatch.setattr(cases, "seen_level", lambda _, body: body.seen.level)
    assert lab.state(ident) == "APPROVED", "it is this guard that refuses"


def test_a_policy_proposal_is_read_line_by_line(lab):
    ident = lab.change_policy(("project: test", "project: renamed"), approvers=("alice",), merge=False)
    view = lab.view()
    found = diff.diff(view, view.find(ident), None)
    assert "+project: renamed" in found.policy and "-project: test" in found.policy
    assert told(lab, ident).decisions[0].digests == 1


def test_closed_by_somebody_without_a_successor_can_be_proposed_again(lab):
    ident = lab.propose()
    tip = lab.branch(ident)
    lab.repo.push(
        [RefUpdate(layout.closed_ref(ident), None, tip), RefUpdate(layout.proposal_ref(ident), tip, None)]
    )
    assert told(lab, ident).closed
    view = lab.view()
    for verb in (
        lambda: lab.decide(ident, "alice"),
        lambda: lab.merge(ident),
        lambda: review.withdraw(view, view.find(ident), Key("site-b"), reason="x", now=lab.now),
    ):
        with pytest.raises(Refused, match=r"closed|decided"):
            verb()
    again = lab.propose()
    assert again != ident and [one.id for one in told(lab, again).follows] == [ident]


def test_withdrawing_twice_and_by_somebody_else(lab):
    ident = lab.propose()
    view = lab.view()
    with pytest.raises(Refused) as caught:
        review.withdraw(view, view.find(ident), Key("site-a"), reason="x", now=lab.now)
    assert caught.value.kind == "not-own-proposal"
    for _ in range(2):
        view = lab.view()
        assert review.withdraw(view, view.find(ident), Key("site-b"), reason="wrong", now=lab.now) == ident
    assert lab.state(ident) == "WITHDRAWN"
    with pytest.raises(Refused):
        lab.decide(ident, "alice")


class Node:
    """A node's internal tier in memory, and what a reviewer who may read it is given."""

    def __init__(self):
        self.store = MemoryStore("internal")

    def keep(self, data):
        found = digest(data)
        self.store.put(layout.data_key(found.md5), [data], found, overwrite=True)
        return data

    def source(self, rows=0):
        return diff.Bytes(self.store, lambda item: proven(self.store, item)(), rows)


OLD = b"age,site,patients\n40,north,12\n50,south,31\n60,west,14\n"
NEW = b"age,patients,note\n40,12,x\n50,30,x\n"


def published_and_proposed(lab, node):
    """The old version is what the published branch holds; the new one is proposed."""
    old = lab.landed(data=node.keep(OLD))
    new = lab.propose(data=node.keep(NEW))
    view = lab.view()
    view.publications[TIER].current[layout.metafile("site-b", "outputs/a.csv")] = old
    return view, view.find(new), old


def test_a_diff_in_rows_and_columns(lab):
    node = Node()
    view, case, old = published_and_proposed(lab, node)
    found = diff.diff(view, case, node.source()).artifacts[0]
    (entry,) = found.entries
    assert (found.change, found.published, found.counts) == ("changed", old, (0, 1, 0))
    assert (entry.change, entry.size) == ("changed", (len(OLD), len(NEW)))
    assert (entry.table.columns_added, entry.table.columns_removed) == (("note",), ("site",))
    assert (entry.table.rows, entry.table.rows_added, entry.table.rows_removed) == ((3, 2), 1, 2)
    assert entry.table.sample_added == ()
    shown = diff.diff(view, case, node.source(rows=1)).artifacts[0].entries[0].table
    assert (shown.sample_added, shown.sample_removed) == ((("50", "30", "x"),), (("50", "south", "31"),))
    report = diff.diff(view, case, None)
    assert (report.on, report.artifacts[0].listed, report.artifacts[0].entries) == ("report", False, ())


def test_no_row_gets_into_git(lab):
    node = Node()
    secret = b"id,diagnosis\n1,plum-coloured-zebra\n"
    ident = lab.propose(data=node.keep(secret))
    view = lab.view()
    shown = diff.diff(view, view.find(ident), node.source(rows=5)).artifacts[0].entries[0].table
    assert shown.sample_added == (("1", "plum-coloured-zebra"),)
    lab.decide(ident, "alice", "bob")
    lab.merge(ident)
    for folder in ("ctrl.git", "cache.git"):
        assert b"zebra" not in everything_in(lab.folder / folder)


def everything_in(repository):
    """Every object of a repository, and every other file of it, as bytes."""
    listed = [
        "git",
        "--git-dir",
        str(repository),
        "cat-file",
        "--batch",
        "--batch-all-objects",
        "--unordered",
    ]
    files = [one.read_bytes() for one in repository.rglob("*") if one.is_file()]
    return subprocess.run(listed, capture_output=True, check=True).stdout + b"".join(files)


def test_a_diff_stops_where_the_tier_was_changed(lab):
    node = Node()
    view, case, _ = published_and_proposed(lab, node)
    key = layout.data_key(case.manifest.body.artifacts[0].md5)
    node.store._write(key, b"age,patients,note\n40,12,y\n", overwrite=True)
    with pytest.raises(Corrupt):
        diff.diff(view, case, node.source())


def test_facts_of_checks_are_compared_where_only_the_report_is_seen(lab):
    def facts(rows):
        return [
            CheckResult(
                check="tables",
                path="outputs/a.csv",
                digest="0" * 64,
                passed=True,
                summary="ok",
                facts={"rows": rows, "columns": 3},
            )
        ]

    old = lab.propose(data=OLD, checks=facts(40))
    lab.decide(old, "alice", "bob")
    lab.merge(old)
    new = lab.propose(data=NEW, checks=facts(44))
    view = lab.view()
    view.publications[TIER].current[layout.metafile("site-b", "outputs/a.csv")] = old
    found = diff.diff(view, view.find(new), None).artifacts[0]
    assert [(one.name, one.before, one.after) for one in found.facts] == [("columns", 3, 3), ("rows", 40, 44)]
    assert review.seen_report(view.find(new)).digests == ("0" * 64,)
