"""What a long history costs: each commit by what it touches, never by what came before it."""

import pytest

import longhistory
from placet.adapters.gitmemory import MemoryRepo, MemoryServer
from placet.core import layout
from placet.engine import history as folding
from placet.engine.ctrl import load


def grown(count):
    made = longhistory.History.begin(MemoryRepo(MemoryServer()))
    made.land(count)
    made.repo.fetch()
    return made


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
