"""Faults of time: clocks that jump between any two steps of a promotion, and what runs out in its middle."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from governance.lab import NOW, PUBLISHED, TIER, Memory
from governance.memlab import MemLab
from governance.test_gate import refused
from governance.test_promote import Quiet, hold, keys, land, make
from governance.test_windows import NOON, window
from placet.core.ledger import MAX_AHEAD
from placet.core.statement import parse_time
from placet.engine import promotable
from placet.engine.promote import Promotion
from placet.errors import Corrupt, Refused
from placet.ports import RefUpdate


class Jumping:
    """A clock that jumps by `jump` when it is asked for the n-th time, and stays there."""

    def __init__(self, clock, number, jump):
        self._clock, self._left, self._jump = clock, number, jump

    def now(self):
        self._left -= 1
        return self._clock.now() + (self._jump if self._left <= 0 else timedelta(0))

    @property
    def over(self):
        return self._left > 0


@pytest.fixture
def lab(tmp_path):
    return MemLab.make(tmp_path)


@pytest.fixture
def noon(tmp_path):
    return MemLab.make(tmp_path, window(NOON))


def times(lab):
    return [parse_time(entry.body.time) for entry in lab.view(Memory()).publications[TIER].entries]


def jumps(lab, jump):
    """Promote with the clock jumping at its first, second, ... question, each from the same state."""
    promoter = make(lab)
    hold(promoter.source, b"a,b\n1,2\n")
    ident = next(iter(lab.view().history.cases), None) or lab.landed()
    before = lab.tip(PUBLISHED)
    for number in range(1, 50):
        clock = Jumping(lab.clock, number, jump)
        (done,) = run(replace(promoter, clock=clock, memory=Memory()), ident)
        after = lab.tip(PUBLISHED)
        if not clock.over:
            yield done, before, after
        lab.force(PUBLISHED, before)
        lab.repo.fetch()
        if clock.over:
            assert number > 4 and done.commit == after
            return


def run(promoter, *idents):
    """What became of it; a repository that cannot be believed is an answer too."""
    try:
        return promoter.run(idents)
    except Corrupt as error:
        return [Promotion("", "", None, (), error)]


@contextmanager
def at(lab, **later):
    lab.later(**later)
    yield
    lab.later(**{unit: -count for unit, count in later.items()})


@pytest.mark.parametrize("jump", [timedelta(seconds=-1), timedelta(minutes=4), timedelta(hours=-3)], ids=str)
def test_a_small_jump_or_one_back_harms_nothing(lab, jump):
    """Back beyond the last entry the branch is from the future: nothing is promoted until the clock is right."""
    seen = set()
    for done, before, after in jumps(lab, jump):
        assert (done.error is None) == (before != after)
        seen.add(done.error.kind if done.error else "published")
        found = times(lab)
        assert found == sorted(found) and found[-1] <= lab.now + MAX_AHEAD
        if done.error is None:
            lab.force(PUBLISHED, before)
            lab.repo.fetch()
            lab.judge(RefUpdate(PUBLISHED, before, after))
        else:
            assert done.error.kind == "ledger"
            assert "The clock here says 2026-11-24T07:00:00Z" in done.error.why
            assert [one.error for one in make_again(lab)] == [None]
    assert seen == ({"published"} if jump > timedelta(hours=-1) else {"published", "ledger"})


def make_again(lab):
    """Another run, once the clock is right."""
    promoter = make(lab)
    hold(promoter.source, b"a,b\n1,2\n")
    return promoter.run()


def test_a_clock_that_runs_ahead_publishes_nothing_that_others_take(lab):
    """The gate refuses it; past the gate everybody does, until that time has come. Then all goes on."""
    kinds = set()
    for done, before, after in jumps(lab, timedelta(hours=1)):
        if done.error is not None:
            kinds.add(done.error.kind)
            continue
        entry = lab.repo.line(after)[-1]
        if lab.view(Memory()).broken:
            kinds.add("ahead")
            refused(lab, RefUpdate(PUBLISHED, before, after), words="from the future")
            assert "from the future" in str(lab.view(Memory()).broken[TIER])
            (stopped,) = run(make(lab))
            assert isinstance(stopped.error, Corrupt)
            with at(lab, minutes=55):
                assert lab.view(Memory()).broken == {}
                assert make_again(lab) == []
            lab.force(PUBLISHED, before)
            assert [one.error for one in make_again(lab)] == [None]
        else:
            assert entry.id == after and times(lab)[-1] == NOW
            kinds.add("published")
    assert kinds == {"ahead"}


def test_through_the_gate_a_clock_ahead_only_waits(lab):
    promoter = make(lab)
    ident = land(lab, promoter)
    lab.repo._server.hook = gated(lab)
    ahead = Jumping(lab.clock, 0, timedelta(hours=1))
    (done,) = replace(promoter, clock=ahead).run()
    assert done.error.kind == "push-refused" and "from the future" in done.error.why
    assert lab.state(ident) == "LANDED"
    assert [one.error for one in promoter.run()] == [None]
    assert lab.view().broken == {}


def gated(lab):
    from placet.engine.gate import judge_push

    return lambda repo, updates: judge_push(repo, lab.trust_root, updates, lab.now)


def test_whatever_runs_out_between_any_two_steps_is_not_published(lab, monkeypatch):
    """The proposal expires at some step: either it was recorded before, or it is not, and says so."""
    said = []
    for done, before, after in jumps(lab, timedelta(days=31)):
        said.append(done.error.kind if done.error else "published")
        assert before == after, "an entry from the future, or of what has expired"
        assert done.commit is None
    assert set(said) == {"not-approved"}
    real = promotable.require_open
    monkeypatch.setattr(promotable, "require_open", lambda *_: None)
    wrong = [done for done, _, _ in jumps(lab, timedelta(days=31)) if done.commit is not None]
    assert wrong, "without the guard an agent would record what has expired"
    monkeypatch.setattr(promotable, "require_open", real)


class Slow(Quiet):
    """Copying takes so long."""

    def __init__(self, lab, **later):
        self.lab, self.later = lab, later

    def done(self):
        self.lab.later(**self.later)
        self.later = {}


def test_what_was_copied_before_it_expired_is_listed_nowhere_and_that_is_said(lab):
    promoter = make(lab)
    ident = land(lab, promoter)
    (done,) = replace(promoter, progress=Slow(lab, days=31)).run()
    assert isinstance(done.error, Refused) and "it is EXPIRED" in done.error.what
    assert "1 objects were copied; they stay in the tier, and nothing lists them" in done.error.why
    target = promoter.targets[TIER].store
    assert keys(target) == keys(promoter.source)
    assert lab.view().publications[TIER].current == {}
    assert lab.state(ident) == "EXPIRED"
    again = lab.propose(data=b"a,b\n1,2\n")
    lab.decide(again, "alice", "bob")
    lab.merge(again)
    (done,) = promoter.run()
    assert (done.error, done.artifacts[0].found, done.artifacts[0].copied) == (None, 1, 0)


def test_an_approval_that_runs_out_while_bytes_are_copied(lab):
    promoter = make(lab)
    hold(promoter.source, b"a,b\n1,2\n")
    ident = lab.decide(lab.propose(), "alice")
    lab.decide(ident, "bob", days=1)
    lab.merge(ident)
    (done,) = replace(promoter, progress=Slow(lab, days=2)).run()
    assert done.error.kind == "not-approved" and "1 of 2 approvals are missing" in done.error.why
    assert lab.state(ident) == "QUARANTINED"
    lab.decide(ident, "bob")
    assert [one.error for one in promoter.run()] == [None]


def test_an_approval_that_runs_out_between_decision_and_record(lab):
    promoter = make(lab)
    hold(promoter.source, b"a,b\n1,2\n")
    ident = lab.decide(lab.propose(), "alice")
    lab.decide(ident, "bob", days=1)
    lab.merge(ident)
    before = lab.tip(PUBLISHED)
    for number in range(1, 50):
        clock = Jumping(lab.clock, number, timedelta(days=2))
        (done,) = replace(promoter, clock=clock, memory=Memory()).run()
        if clock.over:
            break
        assert done.error.kind == "not-approved" and lab.tip(PUBLISHED) == before
    assert number > 4


def test_a_window_that_begins_between_any_two_steps(noon):
    """Each entry's own time lies outside of the window, or there is none."""
    kinds = set()
    for done, before, after in jumps(noon, timedelta(hours=2, minutes=30)):
        kinds.add(done.error.kind if done.error else "published")
        assert (done.error is None) == (before != after)
        found = noon.view(Memory())
        assert found.broken == {}
    assert kinds == {"window"}


def test_the_last_entry_is_a_little_ahead_and_time_goes_on(lab):
    """Another agent's clock is four minutes ahead: the next entry has its time, and is judged by that."""
    one, other = make(lab), make(lab, node="site-a")
    land(lab, one)
    data = b"x,y\n"
    hold(other.source, data)
    ident = lab.propose("outputs/x.csv", data, node="site-a")
    lab.decide(ident, "alice", days=1)
    lab.decide(ident, "bob", days=1)
    lab.merge(ident)
    with at(lab, minutes=4):
        assert one.run()[0].error is None
    assert other.run()[0].error is None
    assert times(lab)[-2:] == [NOW + timedelta(minutes=4)] * 2
    assert lab.view(Memory()).broken == {}


def test_what_expires_before_the_time_of_the_last_entry_is_not_recorded(lab):
    """The ledger's time is the later of the clock's and the last entry's: that one decides."""
    one, other = make(lab), make(lab, node="site-a")
    land(lab, one)
    hold(other.source, b"x,y\n")
    ident = lab.propose("outputs/x.csv", b"x,y\n", node="site-a")
    lab.decide(ident, "alice")
    lab.decide(ident, "bob", days=1)
    lab.merge(ident)
    lab.later(days=1, minutes=1)
    assert one.run()[0].error is None
    lab.later(minutes=-2)
    before = lab.tip(PUBLISHED)
    (done,) = other.run()
    assert done.error.kind == "not-approved" and "has just run out" in done.error.what
    assert lab.tip(PUBLISHED) == before
