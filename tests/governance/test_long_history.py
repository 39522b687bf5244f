"""What a long history costs: each commit by what it touches, never by what came before it."""

import pytest

import longhistory
from governance.lab import MAIN, PUBLISHED, TIER, Memory, MemoryLab
from governance.test_promote import land, make
from placet.adapters.gitmemory import MemoryRepo, MemoryServer
from placet.core import layout
from placet.engine import history as folding
from placet.engine.ctrl import Watch, load
from placet.errors import Corrupt


def grown(count):
    made = longhistory.History.begin(MemoryRepo(MemoryServer()))
    made.land(count)
    made.repo.fetch()
    return made


@pytest.fixture
def lab(tmp_path):
    return MemoryLab.make(tmp_path)


@pytest.fixture
def asked(monkeypatch):
    """How often a fold asks whether a proposal is complete: the step that once was done for all of them."""
    calls = []
    complete = folding.History.complete

    def counted(self, case):
        calls.append(case.id)
        return complete(self, case)

    monkeypatch.setattr(folding.History, "complete", counted)
    return calls


def test_a_fold_asks_each_proposal_as_often_in_a_long_history_as_in_a_short_one(asked):
    counts = []
    for count in (20, 120):
        made = grown(count)
        asked.clear()
        view = load(made.repo, made.trust_root, made.now)
        assert len(view.history.cases) == count
        assert [view.alarms, view.refused, view.broken] == [[], {}, {}]
        ended = [case.ended for case in view.history.cases.values()]
        assert (ended.count("superseded"), ended.count("")) == (count // 2, count // 2)
        assert len(view.ended()) == count // 10
        counts.append(len(asked) / count)
    assert counts[0] == counts[1]


def test_occupied_paths_come_and_go():
    occupied = layout.Occupied(["a/b", "a/c"])
    assert occupied.clash("a") == "a/b"
    assert occupied.clash("A/b") == "a/b"
    assert occupied.clash("a/c/d") == "a/c"
    occupied.discard("a/b")
    assert (occupied.clash("A/b"), occupied.clash("a")) == (None, "a/c")
    occupied.discard("a/c")
    assert (occupied.clash("a"), occupied.clash("a/c/d")) == (None, None)
    occupied.add("a")
    assert occupied.clash("a/x") == "a"


def facts(lab, view):
    """All that a view says, as plain values."""
    cases = {**view.ended(), **view.cases()}
    return {
        "states": {ident: str(view.state(case, lab.now)) for ident, case in cases.items()},
        "cases": {
            ident: (case.landed, case.stale, case.ended, case.withdrawn, case.lost, len(case.decisions))
            for ident, case in cases.items()
        },
        "history": (view.history.tree, view.history.last_landed, view.history.policy.digest),
        "objects": view.objects(),
        "line": [one.id for one in view.line],
        "published": {
            tier: (one.tip, one.judged, one.policy, one.blobs, one.current, list(one.publications))
            for tier, one in view.publications.items()
        },
        "alarms": sorted(map(str, view.alarms)),
        "wrong": ({key: str(error) for key, error in view.broken.items()}, sorted(view.refused)),
    }


def test_a_view_that_goes_on_says_what_a_new_one_says(lab):
    promoter, watch = make(lab), Watch()
    old = {}

    def landed_more():
        land(lab, promoter, str(lab.now).encode())
        lab.propose("outputs/open", str(lab.now).encode())

    def published():
        old[PUBLISHED] = lab.tip(PUBLISHED)
        assert None in [one.error for one in promoter.run()]

    def superseded():
        lab.decide(lab.propose("outputs/no", b"no"), "alice", verdict="reject")
        land(lab, promoter, b"two")
        published()

    def landed_by_hand():
        tree = lab.repo.tree(lab.branch(lab.propose("outputs/early", b"early")))
        lab.force(MAIN, lab.commit(lab.tip(), dict(tree)))

    def wrong_branch():
        old["good"] = lab.tip(PUBLISHED)
        evil = lab.commit(old["good"], {"README.md": b"x"}, lab.tip(), message="publish x")
        lab.force(PUBLISHED, evil)

    steps = [
        landed_more, published, superseded, lambda: None, landed_by_hand,
        lambda: lab.change_policy(("expires_days: 30", "expires_days: 20")), landed_more, published,
        wrong_branch, lambda: lab.force(PUBLISHED, old["good"]), landed_more,
        lambda: lab.force(PUBLISHED, old[PUBLISHED]),
    ]  # fmt: skip
    for step in steps:
        step()
        seen = watch.load(lab.repo, lab.trust_root, lab.now, Memory())
        assert facts(lab, seen) == facts(lab, lab.view()), step
        lab.later(minutes=1)


def test_a_view_goes_on_without_reading_again_what_it_holds(asked):
    made, watch = grown(40), Watch()
    known = set(watch.load(made.repo, made.trust_root, made.now, Memory()).history.cases)
    asked.clear()
    made.land(1)
    view = watch.load(made.repo, made.trust_root, made.now, Memory())
    assert len(view.history.cases) == 41
    assert set(asked) == set(view.history.cases) - known


def test_a_rewritten_main_is_computed_from_its_beginning_and_remembered_as_such(lab):
    watch, kept = Watch(), Memory()
    before = lab.tip()
    lab.landed()
    watch.load(lab.repo, lab.trust_root, lab.now, kept)
    lab.force(MAIN, before)
    with pytest.raises(Corrupt, match="rolled back"):
        watch.load(lab.repo, lab.trust_root, lab.now, kept)
    lab.landed("outputs/other", b"other")
    assert facts(lab, watch.load(lab.repo, lab.trust_root, lab.now, Memory())) == facts(lab, lab.view())


def test_an_entry_that_a_clock_set_back_makes_one_of_the_future_is_refused_again(lab):
    promoter, watch = make(lab), Watch()
    land(lab, promoter)
    promoter.run()
    assert watch.load(lab.repo, lab.trust_root, lab.now, Memory()).broken == {}
    lab.later(hours=-2)
    assert "from the future" in str(watch.load(lab.repo, lab.trust_root, lab.now, Memory()).broken[TIER])
