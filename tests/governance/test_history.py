"""Signed history: what a party saw before is found missing, whatever is done to the branches (I8; threats 13-16)."""

import json
import multiprocessing
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from governance.lab import ENV, MAIN, PUBLISHED, TIER, Memory
from governance.test_promote import hold, land, make
from keys import Key
from placet.adapters.git import GitRepo
from placet.adapters.trust import FileMemory
from placet.core import layout
from placet.engine import ctrl, memory, review
from placet.engine.begin import begin_tier
from placet.errors import Corrupt, Refused, Unavailable
from placet.ports import RefUpdate, Remembered

REPOSITORY = "ab" * 16


def test_a_published_branch_that_was_moved_back_rewritten_or_removed_is_found(lab):
    promoter, kept = make(lab), Memory()
    land(lab, promoter)
    promoter.run()
    early = lab.tip(PUBLISHED)
    land(lab, promoter, b"two", "outputs/two")
    promoter.run()
    late = lab.tip(PUBLISHED)
    lab.view(kept)
    lab.force(PUBLISHED, early)
    with pytest.raises(Corrupt, match="published was rolled back") as caught:
        lab.view(kept)
    assert caught.value.kind == "rolled-back"
    lab.force(PUBLISHED, early)
    land(lab, promoter, b"three", "outputs/three")
    assert {one.error for one in replace(promoter, memory=Memory()).run()} == {None}
    with pytest.raises(Corrupt, match="rolled back"):
        lab.view(kept)
    with pytest.raises(Corrupt, match="rolled back"):
        replace(promoter, memory=kept).run()
    lab.drop(PUBLISHED)
    with pytest.raises(Corrupt, match="rolled back"):
        lab.view(kept)
    lab.force(PUBLISHED, late)
    assert lab.view(kept).publications[TIER].tip == late


def test_without_the_guard_a_rollback_passes(lab, monkeypatch):
    kept, old = Memory(), lab.tip()
    lab.landed()
    lab.view(kept)
    lab.force(MAIN, old)
    with pytest.raises(Corrupt):
        lab.view(kept)
    monkeypatch.setattr(ctrl, "refuse_rollback", lambda *_: None)
    assert lab.view(kept).main == old
    assert kept.recall(REPOSITORY).main != old


def test_an_invalid_tip_is_never_remembered_and_the_valid_one_is_named(lab):
    promoter, kept = make(lab), Memory()
    land(lab, promoter)
    promoter.run()
    valid = lab.tip(PUBLISHED)
    lab.view(kept)
    evil = lab.commit(valid, {"README.md": b"x"}, lab.tip(), message=f"publish {'0' * 32}")
    lab.force(PUBLISHED, evil)
    broken = lab.view(kept).broken[TIER]
    assert (broken.details["valid_tip"], broken.details["valid_entries"]) == (valid, 2)
    assert valid in broken.why
    assert kept.recall(REPOSITORY).published["published"][0] == valid
    with pytest.raises(Corrupt):
        promoter.run()
    lab.force(PUBLISHED, valid)
    view = lab.view(kept)
    assert view.broken == {}
    assert view.publications[TIER].tip == valid
    land(lab, promoter, b"more", "outputs/more")
    assert [one.error for one in replace(promoter, memory=kept).run()] == [None]


def test_what_came_before_an_invalid_commit_stays_valid_at_every_prefix(lab):
    promoter = make(lab)
    for number in range(3):
        land(lab, promoter, bytes([number]), f"outputs/{number}")
    promoter.run()
    line = lab.repo.line(lab.tip(PUBLISHED))
    for length in range(2, len(line) + 1):
        lab.force(PUBLISHED, line[length - 1].id)
        assert len(lab.view().publications[TIER].entries) == length - 1


def hide_return(lab, ident, kept):
    """Bob returns it, the client sees that, and the server forgets it."""
    lab.decide(ident, "alice", "bob")
    before = lab.branch(ident)
    lab.decide(ident, "bob", verdict="return")
    lab.view(kept)
    lab.force(f"refs/heads/proposals/{ident}", before)


def test_a_return_that_was_dropped_from_the_branch_is_found(lab, monkeypatch):
    ident, kept = lab.propose(), Memory()
    hide_return(lab, ident, kept)
    assert lab.state(ident) == "APPROVED"
    view = lab.view(kept)
    assert str(view.state(view.find(ident), lab.now)) == "PROPOSED"
    assert any("decision 2 of bob is gone" in alarm.text for alarm in view.alarms)
    with pytest.raises(Refused, match="cannot be merged") as caught:
        review.merge(view, view.find(ident), author="x", now=lab.now)
    assert "decision 2 of bob is gone" in caught.value.why
    monkeypatch.setattr(ctrl, "lost_decisions", lambda *_: {})
    view = lab.view(kept)
    assert str(view.state(view.find(ident), lab.now)) == "APPROVED"


def test_it_is_not_promoted_either_if_it_landed_so(lab):
    promoter, kept = make(lab), Memory()
    land(lab, promoter)
    ident = lab.propose("outputs/b", b"b")
    hold(promoter.source, b"b")
    hide_return(lab, ident, kept)
    lab.merge(ident)
    done = {one.id: one for one in replace(promoter, memory=kept).run()}
    assert isinstance(done[ident].error, Refused)
    assert "decision 2 of bob is gone" in done[ident].error.why
    assert sum(one.error is None for one in done.values()) == 1
    lab.view(kept)
    assert ident in kept.recall(REPOSITORY).decisions
    lab.decide(ident, "bob", verdict="return")
    assert lab.state(ident) == "QUARANTINED"


def test_a_policy_that_lost_a_decision_stops_everything_until_it_is_back(lab, monkeypatch):
    kept = Memory()
    ident = lab.change_policy(("expires_days: 30", "expires_days: 20"), merge=False)
    before = lab.branch(ident)
    lab.decide(ident, "bob", verdict="reject", saw="report")
    hidden = layout.decision_path(ident, "bob", 2)
    entry = lab.repo.tree(lab.branch(ident))[hidden]
    lab.view(kept)
    lab.force(f"refs/heads/proposals/{ident}", before)
    lab.merge(ident)
    assert lab.view().history.policy.form.number == 1
    with pytest.raises(Corrupt) as caught:
        lab.view(kept)
    assert caught.value.kind == "decision-lost"
    assert "decision 2 of bob is gone" in caught.value.why
    with monkeypatch.context() as patch:
        patch.setattr(ctrl, "lost_decisions", lambda *_: {})
        assert lab.view(Memory()).history.policy.form.number == 1
    lab.force(MAIN, lab.commit(lab.tip(), {hidden: entry}))
    assert lab.view(kept).history.policy.form.number == 1


def test_a_stale_landing_is_no_lost_decision(lab):
    """A key that was revoked in between makes its decisions void, not lost."""
    kept = Memory()
    ident = lab.decide(lab.propose(), "alice", "bob")
    lab.view(kept)
    lab.change_policy((Key("bob").public, Key("bob-new").public))
    lab.force(MAIN, lab.commit(lab.tip(), lab.repo.tree(lab.branch(ident), layout.ARTIFACTS)))
    lab.force(MAIN, lab.commit(lab.tip(), lab.repo.tree(lab.branch(ident), layout.folder(ident))))
    view = lab.view(kept)
    assert str(view.state(view.find(ident), lab.now)) == "STALE"
    assert not any("is gone" in alarm.text for alarm in view.alarms)


def test_a_branch_that_vanishes_is_an_alarm_and_still_remembered(lab):
    ident, kept = lab.decide(lab.propose(), "bob", verdict="return"), Memory()
    lab.view(kept)
    tip = lab.branch(ident)
    lab.drop(f"refs/heads/proposals/{ident}")
    assert any("removed without being closed" in alarm.text for alarm in lab.view(kept).alarms)
    first = lab.repo.line(tip)[-2].id
    lab.force(f"refs/heads/proposals/{ident}", first)
    assert any("decision 1 of bob is gone" in alarm.text for alarm in lab.view(kept).alarms)
    lab.force(f"refs/placet/closed/{ident}", first)
    lab.drop(f"refs/heads/proposals/{ident}")
    assert any("decision 1 of bob is gone" in alarm.text for alarm in lab.view(kept).alarms)
    assert ident in kept.recall(REPOSITORY).decisions


def test_the_memory_holds_only_what_is_not_over(lab):
    kept = Memory()
    idents = [lab.propose(f"outputs/{number}", bytes([number])) for number in range(3)]
    for ident in idents:
        lab.decide(ident, "alice", "bob")
    lab.view(kept)
    assert set(kept.recall(REPOSITORY).decisions) == set(idents)
    lab.merge(idents[0])
    branch = lab.branch(idents[1])
    lab.repo.push(
        [
            RefUpdate(layout.closed_ref(idents[1]), None, branch),
            RefUpdate(layout.proposal_ref(idents[1]), branch, None),
        ]
    )
    assert lab.view(kept).alarms == []
    assert set(kept.recall(REPOSITORY).decisions) == {idents[2]}


def test_added_decisions_replace_remembered_ones_only_upwards(lab):
    ident, kept = lab.propose(), Memory()
    for count, verdict in enumerate(("return", "approve", "reject"), start=1):
        lab.decide(ident, "bob", verdict=verdict)
        assert lab.view(kept).alarms == []
        assert kept.recall(REPOSITORY).decisions[ident]["bob"][0] == count


def test_a_tier_that_policy_gave_up_is_not_missed(lab):
    kept = Memory()
    lab.change_policy(("  publication-storage: {", '  old: {url: "s3://old/x"}\n  publication-storage: {'))
    view = lab.view()
    begin_tier(lab.repo, view.line[0].id, view.history.policies[0].policy, "old", Key("dana"), lab.now)
    lab.view(kept)
    assert "published-old" in kept.recall(REPOSITORY).published
    lab.change_policy(('  old: {url: "s3://old/x"}\n', ""))
    assert lab.view(kept).history.policy.form.number == 2


def remember_many(folder, branch):
    kept = FileMemory(Path(folder))
    for number in range(20):
        kept.update(
            REPOSITORY,
            lambda before, n=number: replace(before, published={**before.published, branch: ("c", n, "d")}),
        )
        kept.pin(f"{branch}-{number}", "0" * 64)


def test_processes_that_write_the_memory_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=remember_many, args=(str(tmp_path), f"b{number}")) for number in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    found = FileMemory(tmp_path).recall(REPOSITORY)
    assert {branch: one[1] for branch, one in found.published.items()} == {"b0": 19, "b1": 19, "b2": 19}
    assert len(json.loads((tmp_path / "pins.json").read_text())) == 60


def test_a_broken_memory_is_not_taken_for_an_empty_one(tmp_path):
    kept = FileMemory(tmp_path)
    kept.update(REPOSITORY, lambda before: replace(before, main="a" * 40, position=3))
    assert kept.recall(REPOSITORY) == Remembered(main="a" * 40, position=3)
    (tmp_path / f"{REPOSITORY}.json").write_text('{"main": 1')
    for use in (lambda: kept.recall(REPOSITORY), lambda: kept.update(REPOSITORY, lambda before: before)):
        with pytest.raises(Unavailable) as caught:
            use()
        assert caught.value.kind == "trust-memory"


def test_an_older_sight_never_takes_anything_back(lab):
    kept = Memory()
    lab.landed()
    lab.view(kept)
    after = kept.recall(REPOSITORY)
    old = memory.Sight(line={"a" * 40: 0}, publications=(), checked=(), cases={}, closed={}, lagging=True)
    assert memory.advanced(after, old, ()) == after


@pytest.fixture
def clone(lab, tmp_path):
    """A researcher's clone, made by stock Git after two publications."""
    promoter = make(lab)
    for number in range(2):
        land(lab, promoter, bytes([number]), f"outputs/{number}")
    promoter.run()
    git(tmp_path, "clone", "-q", str(lab.folder / "ctrl.git"), "clone")
    repo = GitRepo.clone(tmp_path / "clone", ENV)
    yield repo
    repo.close()


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, env=ENV, check=True, capture_output=True)


def look(lab, repo, kept, *, fresh=True):
    if fresh:
        repo.fetch()
    return ctrl.load(repo, lab.trust_root, lab.now, kept, fetch=False, lagging=True, fresh=fresh)


@pytest.mark.parametrize("ref", [MAIN, PUBLISHED])
def test_a_clone_may_lag_behind_but_what_it_fetches_may_not(lab, clone, tmp_path, ref, monkeypatch):
    kept = Memory()
    first = lab.repo.line(lab.tip(PUBLISHED))[-2].id if ref == PUBLISHED else lab.view().line[-2].id
    look(lab, clone, kept)
    git(tmp_path / "clone", "reset", "-q", "--hard", f"{lab.repo.line(lab.tip(PUBLISHED))[-2].id}")
    assert len(look(lab, clone, kept).publications[TIER].entries) == 2
    assert kept.recall(REPOSITORY).published["published"][1] == 2
    lab.force(ref, first)
    with pytest.raises(Corrupt, match="rolled back"):
        look(lab, clone, kept)
    monkeypatch.setattr(ctrl, "refuse_old_server", lambda *_: None)
    assert look(lab, clone, kept).history.repository == REPOSITORY


def test_a_fork_is_found_in_a_clone_once_it_is_as_long(lab, clone, tmp_path):
    kept = Memory()
    view = look(lab, clone, kept)
    fork = lab.commit(view.line[-2].id, {}, message="another history")
    lab.force(MAIN, fork)
    lab.drop(PUBLISHED)
    git(tmp_path / "clone", "fetch", "-q")
    with pytest.raises(Corrupt, match="main was rolled back"):
        look(lab, clone, kept, fresh=False)


def test_the_gate_takes_no_second_version_of_a_decision(lab):
    ident = lab.decide(lab.propose(), "bob", verdict="return")
    kept = lab.branch(ident)
    path = layout.decision_path(ident, "bob", 1)
    for changed in (None, lab.repo.read(lab.repo.tree(kept)[path].blob, 1 << 20) + b"\n"):
        evil = lab.commit(kept, {path: changed})
        with pytest.raises(Refused, match="refused"):
            lab.judge(RefUpdate(f"refs/heads/proposals/{ident}", kept, evil))
