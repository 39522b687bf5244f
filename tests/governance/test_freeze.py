"""Freezes: one person stops publications at once, whatever is under way; two people let them go on."""

import json
import subprocess
from dataclasses import replace

import pytest

from governance.lab import ENV, MAIN, PUBLISHED, TIER, Lab, Memory
from governance.memlab import MemLab
from governance.test_bundle import judge
from governance.test_gate import refused
from governance.test_promote import Quiet, land, land_folder, make
from keys import Key
from placet.adapters.git import GitRepo
from placet.adapters.gitmemory import MemoryRepo
from placet.adapters.trust import FileMemory
from placet.core import layout
from placet.core.bundle import encode_bundle
from placet.core.limits import FREEZES_EACH
from placet.core.predicates import Freeze, Unfreeze
from placet.core.statement import Signed, format_time, parse, subject
from placet.engine import ctrl, freezing, gatefreeze, memory, promote, published, thaw
from placet.engine import freeze as freezes
from placet.engine import gate as gating
from placet.engine.bundle import make_bundle
from placet.engine.detail import detail
from placet.engine.doctor import check_view
from placet.engine.gate import judge_push
from placet.engine.show import held, summaries
from placet.engine.verify import verify
from placet.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from placet.ports import RefUpdate, Remembered

MAY = ("governance:", "governance:\n  freeze: [trustees]")


@pytest.fixture
def lab(tmp_path):
    return MemLab.make(tmp_path, MAY)


@pytest.fixture
def git_lab(tmp_path):
    made = Lab.make(tmp_path, MAY)
    yield made
    made.repo.close()


@pytest.fixture
def gate(lab):
    """Every push is judged as the forge's hook does it."""
    lab.repo._server.hook = lambda repo, updates: judge_push(repo, lab.trust_root, updates, lab.now)
    return lab


def freeze(lab, person="alice", scope="all", reason="look first", key=None):
    now = lab.now
    return freezing.freeze(
        lab.view(), lab.view, Key(key or person), scope, person=person, reason=reason, now=now
    )


def unfreeze(lab, ident, person, key=None, view=None):
    now = lab.now
    return freezing.unfreeze(
        view or lab.view(), lab.view, Key(key or person), ident, person=person, reason="looked", now=now
    )


def standing(lab, memory=None):
    view = lab.view(memory)
    return freezing.standing(view, lambda one: held(view, one, lab.now))


def signed(lab, person="alice", scope="all", key=None, about=None, **changes):
    body = Freeze(
        **{
            "repository": "ab" * 16,
            "time": format_time(lab.now),
            "scope": scope,
            "reason": "r",
            "person": person,
        }
        | changes
    )
    return Signed.make((about or subject(layout.POLICY, lab.trust_root),), body, Key(key or person).pair)


def ending(lab, digest, person, key=None, about=None, **changes):
    body = Unfreeze(
        **{"repository": "ab" * 16, "time": format_time(lab.now), "freeze": digest, "reason": f"r {person}"}
        | changes
    )
    named = subject(layout.freeze_path(digest[:32]), digest)
    return Signed.make((about or named,), body, Key(key or person).pair)


def file(made):
    return {layout.freeze_path(made.digest[:32]): made.envelope.to_bytes()}


def branch(lab, made, *, more=None, base=None, ident=None):
    """The push of a branch with a freeze that somebody made by hand."""
    commit = lab.commit(base or lab.tip(), {**file(made), **(more or {})})
    return RefUpdate(layout.freeze_ref(ident or made.digest[:32]), None, commit)


def past_the_gate(lab, update):
    lab.force(update.ref, update.new)
    lab.repo.fetch()


def on_main(lab, files):
    return RefUpdate(MAIN, lab.tip(), lab.commit(lab.tip(), files))


def entries(lab):
    return [entry.body.kind for entry in lab.view().publications[TIER].entries]


def test_one_person_freezes_and_two_people_end_it(gate):
    lab, promoter = gate, make(gate)
    ident = land(lab, promoter)
    frozen = freeze(lab)
    lab.later(seconds=5)
    assert freeze(lab) == frozen
    (done,) = promoter.run()
    assert (done.error.kind, str(done.state)) == ("frozen", "LANDED")
    assert f"alice froze all at 2026-11-24T10:00:00Z (freeze {frozen[:12]}): look first" in done.error.what
    assert list(promoter.targets[TIER].store.list("")) == []
    (one,) = standing(lab)
    assert (one.where, one.ended_by, one.stops) == ("main", (), (ident,))
    first = unfreeze(lab, frozen[:6], "alice")
    assert (first.people, first.ended) == (("alice",), False)
    assert unfreeze(lab, frozen, "alice", key="alice-2") == first
    assert promoter.run()[0].error.kind == "frozen"
    assert layout.freeze_ref(frozen) in lab.repo.refs()
    second = unfreeze(lab, frozen, "bob")
    assert (second.people, second.ended) == (("alice", "bob"), True)
    assert unfreeze(lab, frozen, "dana").ended
    assert standing(lab) == [] and layout.freeze_ref(frozen) not in lab.repo.refs()
    assert [one.error for one in promoter.run()] == [None]
    view = lab.view(Memory())
    assert (view.broken, view.alarms) == ({}, [])
    assert entries(lab) == ["genesis", "publish"]
    assert freeze(lab) != frozen


def test_who_waits_is_told_why(gate, tmp_path):
    lab, promoter = gate, make(gate)
    one, other = land(lab, promoter), land(lab, promoter, b"other", "outputs/b.csv")
    freeze(lab, scope="path:site-b/outputs/a.*")
    view = lab.view()
    rows = {row.id: row for row in summaries(view, lab.now)}
    assert "alice froze path:site-b/outputs/a.*" in rows[one].frozen and rows[other].frozen == ""
    assert any("two people end the freeze" in text for text in detail(view, view.find(one), lab.now).because)
    assert [found.name for found in check_view(view, None, None, None)].count("freeze") == 1
    done = {result.id: result for result in promoter.run()}
    assert done[one].error.kind == "frozen" and done[other].error is None
    view = lab.view()
    report = verify(view, tier=TIER, root=None, targets=(), now=lab.now, jobs=1, progress=Quiet())
    assert report.ok and report.freezes == tuple(map(str, view.stops.values()))
    assert summaries(view, lab.now)[0].frozen == "" or rows[one].id == summaries(view, lab.now)[0].id


def test_a_branch_alone_is_enough_and_stock_git_makes_and_sees_it(git_lab, tmp_path):
    """No copy on `main`, no Placet: a file that somebody signed, on a branch that somebody pushed."""
    lab, promoter = git_lab, make(git_lab)
    land(lab, promoter)
    made = signed(lab, "dana", "node:site-b")
    ident, path = made.digest[:32], layout.freeze_path(made.digest[:32])
    clone = tmp_path / "clone"

    def git(*words):
        settings = ("-c", "user.name=dana", "-c", "user.email=dana@example.org")
        done = subprocess.run(["git", *settings, *words], env=ENV, check=True, capture_output=True, text=True)
        return done.stdout

    git("clone", "-q", "-b", "main", str(lab.folder / "ctrl.git"), str(clone))
    (clone / path).parent.mkdir(parents=True)
    (clone / path).write_bytes(made.envelope.to_bytes())
    git("-C", str(clone), "switch", "-qc", f"freezes/{ident}")
    git("-C", str(clone), "add", path)
    git("-C", str(clone), "commit", "-qm", "stop")
    lab.repo.fetch()
    before = lab.repo.refs()
    git("-C", str(clone), "push", "-q", "origin", f"freezes/{ident}")
    assert f"refs/heads/freezes/{ident}" in git("ls-remote", str(lab.folder / "ctrl.git"))
    (done,) = promoter.run()
    assert done.error.kind == "frozen" and "dana froze node:site-b" in done.error.what
    assert [one.where for one in standing(lab)] == ["branch"]
    assert lab.view().alarms == []
    other = tmp_path / "other"
    git("clone", "-q", str(lab.folder / "ctrl.git"), str(other))
    repo = GitRepo.clone(other, ENV)
    view = ctrl.load(repo, lab.trust_root, lab.now, fetch=False, lagging=True)
    assert set(view.stops) == {made.digest} and view.alarms == []
    repo.close()
    update = RefUpdate(f"refs/heads/freezes/{ident}", None, lab.tip(f"refs/heads/freezes/{ident}"))
    assert update.ref not in before
    lab.judge(update)


def test_the_branch_is_enough_where_main_takes_no_push(lab, monkeypatch, caplog):
    real = MemoryRepo.push

    def push(self, updates):
        if any(one.ref == MAIN for one in updates):
            raise Refused("main is protected", kind="push-refused")
        real(self, updates)

    monkeypatch.setattr(MemoryRepo, "push", push)
    freeze(lab)
    assert [one.where for one in standing(lab)] == ["branch"]
    assert "is on no commit of main yet" in caplog.text


def test_it_gets_to_main_though_somebody_else_pushes(lab, monkeypatch):
    real, moved = MemoryRepo.push, []

    def push(self, updates):
        if any(one.ref == MAIN for one in updates) and len(moved) < 2:
            moved.append(lab.commit(lab.tip(), signed_file(lab, len(moved))))
            lab.force(MAIN, moved[-1])
        real(self, updates)

    monkeypatch.setattr(MemoryRepo, "push", push)
    freeze(lab)
    assert sorted(one.where for one in standing(lab)) == ["main"] * 3


def signed_file(lab, number):
    return file(signed(lab, "bob", reason=f"race {number}"))


def test_a_freeze_that_was_seen_counts_when_its_branch_is_gone(lab, tmp_path, monkeypatch):
    trust = FileMemory(tmp_path / "trust")
    promoter = replace(make(lab), memory=trust)
    land(lab, promoter)
    made = signed(lab)
    ref = layout.freeze_ref(made.digest[:32])
    past_the_gate(lab, branch(lab, made))
    assert promoter.run()[0].error.kind == "frozen"
    lab.drop(ref)
    assert promoter.run()[0].error.kind == "frozen"
    view = lab.view(trust)
    assert any("The branch of a freeze was removed" in one.text for one in view.alarms)
    assert [one.where for one in standing(lab, trust)] == ["memory"]
    assert standing(lab) == []
    lost = made.digest
    assert not unfreeze(lab, lost, "bob").ended
    assert promoter.run()[0].error.kind == "frozen"
    assert unfreeze(lab, lost, "dana").ended
    assert standing(lab, trust) == [] and trust.recall("ab" * 16).freezes == {}
    past_the_gate(lab, branch(lab, made))
    assert standing(lab, trust) == [] and lab.view(trust).alarms == []
    monkeypatch.setattr(ctrl, "unseen_freezes", lambda *_: [])
    monkeypatch.setattr(thaw, "kept_freezes", lambda *_: {})
    again = signed(lab, reason="again")
    past_the_gate(lab, branch(lab, again))
    lab.view(trust)
    lab.drop(layout.freeze_ref(again.digest[:32]))
    assert standing(lab, trust) == []
    assert [one.error for one in promoter.run()] == [None]


def test_a_freeze_that_another_process_saw_counts_at_the_last_look(lab, tmp_path, monkeypatch):
    """Its branch came after this process decided, and was removed before this process looked again."""
    trust = FileMemory(tmp_path / "trust")
    promoter = replace(make(lab), memory=trust)
    land(lab, promoter)
    update, commit = branch(lab, signed(lab)), promoter.repo.commit

    def meanwhile(*args, **more):
        past_the_gate(lab, update)
        lab.view(trust)
        lab.drop(update.ref)
        return commit(*args, **more)

    monkeypatch.setattr(promoter.repo, "commit", meanwhile)
    before = lab.tip(PUBLISHED)
    assert promoter.run()[0].error.kind == "frozen"
    assert lab.tip(PUBLISHED) == before


def test_an_old_memory_is_read_and_an_older_sight_takes_nothing_back(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"main": "a" * 40}))
    trust = FileMemory(tmp_path)
    assert trust.recall("x") == Remembered(main="a" * 40)
    one = freezes.Frozen("d" * 64, "all", "alice", "r", "t")
    trust.update("x", lambda latest: memory.with_freezes(latest, {one.digest: one}))
    trust.update("x", lambda latest: memory.with_freezes(latest, {}))
    assert trust.recall("x").freezes == {one.digest: ("all", "alice", "r", "t")}


class Meanwhile:
    """A party's copy, with something that happens elsewhere just before its n-th fetch, commit or push."""

    def __init__(self, repo, number, event):
        self._repo, self._left, self._event = repo, number, event
        self.pushed = False

    def __getattr__(self, name):
        found = getattr(self._repo, name)
        if name not in {"fetch", "commit", "push"}:
            return found

        def step(*arguments, **named):
            self._left -= 1
            if self._left == 0:
                self._event()
            self.pushed |= name == "push"
            return found(*arguments, **named)

        return step

    @property
    def over(self):
        return self._left > 0


@pytest.mark.parametrize("hooked", [True, False])
def test_a_freeze_between_any_two_steps_of_a_promotion(lab, hooked):
    """It stops the record whenever it comes before the push: by the agent's last look, or by the hook."""
    trust, before = make(lab), lab.tip(PUBLISHED)
    land(lab, trust)
    outcomes = []
    for number in range(1, 12):
        made = signed(lab, reason=f"step {number}")
        update = branch(lab, made)
        repo = Meanwhile(lab.repo, number, lambda update=update: lab.force(update.ref, update.new))
        (done,) = replace(trust, repo=repo, memory=Memory()).run()
        if repo.over:
            break
        tip = lab.tip(PUBLISHED)
        outcomes.append(done.error.kind if done.error else "published")
        assert (tip == before) == (done.error is not None)
        if hooked and done.error is None:
            lab.force(PUBLISHED, before)
            lab.repo.fetch()
            refused(lab, RefUpdate(PUBLISHED, before, tip), words="it is frozen")
        lab.force(PUBLISHED, before)
        lab.drop(update.ref)
        lab.repo.fetch()
    assert outcomes == ["frozen"] * (len(outcomes) - 1) + ["published"] and len(outcomes) > 5


def test_without_the_last_look_a_freeze_would_come_too_late(lab, monkeypatch):
    promoter = make(lab)
    land(lab, promoter)
    update = branch(lab, signed(lab))

    class Late(Meanwhile):
        def commit(self, *arguments, **named):
            lab.force(update.ref, update.new)
            return self._repo.commit(*arguments, **named)

    late = replace(promoter, repo=Late(lab.repo, 0, None))
    (done,) = late.run()
    assert done.error.kind == "frozen" and "1 objects were copied; they stay" in done.error.why
    assert entries(lab) == ["genesis"]
    lab.drop(update.ref)
    (done,) = late.run()
    assert done.error.kind == "frozen", "the last look remembers what it saw"
    monkeypatch.setattr(promote, "look_again", lambda *_: None)
    assert replace(late, memory=Memory()).run()[0].error is None
    assert entries(lab) == ["genesis", "publish"]


def test_a_freeze_ends_the_copy_within_seconds(lab):
    """Between two objects, not after the last one; a server that does not answer ends nothing."""
    promoter = make(lab)
    names = {f"part-{number}": bytes([number]) * 10 for number in range(20)}
    land_folder(lab, promoter, names)
    update = branch(lab, signed(lab))
    target = promoter.targets[TIER].store

    class Counting(Quiet):
        count = 0

        def advance(self, objects=0, size=0):
            self.count += objects
            lab.later(seconds=1)
            if self.count == 3:
                lab.force(update.ref, update.new)

    class Deaf(Meanwhile):
        def fetch(self, refs=()):
            if refs:
                raise Unavailable("no answer", kind="ctrl-unreachable")
            return self._repo.fetch()

    (done,) = replace(promoter, progress=Counting(), jobs=1).run()
    assert done.error.kind == "frozen" and "nothing lists it" in done.error.why
    assert 3 <= len(list(target.list(""))) <= 3 + thaw.EVERY.seconds
    lab.drop(update.ref)
    (done,) = replace(promoter, progress=Counting(), repo=Deaf(lab.repo, 0, None), memory=Memory()).run()
    assert done.error.kind == "frozen" and len(list(target.list(""))) == 22
    lab.drop(update.ref)
    (done,) = replace(promoter, repo=Deaf(lab.repo, 0, None), memory=Memory()).run()
    assert done.error.kind == "ctrl-unreachable" and entries(lab) == ["genesis"]


def test_what_came_to_main_since_is_seen_and_not_taken_in(lab):
    """A freeze on `main` alone; a policy that names its person decides anew; nothing is folded twice."""
    promoter = make(lab)
    land(lab, promoter)
    events = []

    class Late(Meanwhile):
        def commit(self, *arguments, **named):
            made = self._repo.commit(*arguments, **named)
            if events:
                events.pop()()
            return made

    late = replace(promoter, repo=Late(lab.repo, 0, None))
    made = signed(lab, reason="on main")
    events.append(lambda: past_the_gate(lab, on_main(lab, file(made))))
    (done,) = late.run()
    assert done.error.kind == "frozen" and "on main" in done.error.what
    view = late._load()
    assert list(view.history.positions.values()) == list(range(len(view.line)))
    assert view.alarms == [] and set(view.stops) == {made.digest}
    for person in ("bob", "dana"):
        unfreeze(lab, made.digest[:8], person)
    events.append(lambda: lab.change_policy(("project: test", "project: x")))
    (done,) = late.run()
    assert done.error.kind == "not-approved" and "no entry for the effective policy" in done.error.what
    assert [one.error for one in late.run()] == [None]
    view = late._load()
    assert (view.broken, view.alarms) == ({}, [])
    assert entries(lab) == ["genesis", "policy", "publish"]


def test_main_that_is_rewritten_at_the_last_look(lab, monkeypatch):
    promoter, root = make(lab), lab.view().line[0].id
    land(lab, promoter)

    class Rewritten(Meanwhile):
        def commit(self, *arguments, **named):
            made = self._repo.commit(*arguments, **named)
            lab.force(MAIN, root)
            return made

    (done,) = replace(promoter, repo=Rewritten(lab.repo, 0, None)).run()
    assert done.error.kind == "rolled-back"
    assert entries(lab) == ["genesis"]


def test_nothing_is_published_past_a_freeze_on_main(lab, monkeypatch):
    """The guard taken away, an agent publishes; the gate, other agents and `verify` say so."""
    promoter = make(lab)
    land(lab, promoter)
    before = lab.tip(PUBLISHED)
    freeze(lab)
    assert promoter.run()[0].error.kind == "frozen"
    for module in (published, thaw, gating):
        monkeypatch.setattr(module, "frozen", lambda *_: "")
    assert replace(promoter, memory=Memory()).run()[0].error is None
    after = lab.tip(PUBLISHED)
    monkeypatch.undo()
    assert "it is frozen" in str(lab.view().broken[TIER])
    lab.force(PUBLISHED, before)
    lab.repo.fetch()
    refused(lab, RefUpdate(PUBLISHED, before, after), words="it is frozen")


def test_what_was_published_before_stays_and_what_is_no_publication_goes_on(gate):
    lab, promoter = gate, make(gate)
    ident = land(lab, promoter)
    promoter.run()
    freeze(lab, scope="tier:publication-storage")
    lab.change_policy(("project: test", "project: x"))
    land(lab, promoter, b"second", "outputs/b.csv")
    (done,) = promoter.run()
    assert done.error.kind == "frozen"
    assert entries(lab) == ["genesis", "publish", "policy"]
    assert lab.view().broken == {} and lab.state(ident) == "PUBLISHED"


def test_a_bundle_of_a_history_with_freezes_proves_itself(gate):
    lab, promoter = gate, make(gate)
    ident = land(lab, promoter)
    frozen = freeze(lab)
    for person in ("bob", "dana"):
        unfreeze(lab, frozen, person)
    freeze(lab, scope="node:site-a")
    assert promoter.run()[0].error is None
    view = lab.view()
    known = view.publications[TIER].publications[ident]
    made = make_bundle(view, known, TIER, lambda *_: None, None).bundle
    report = judge(lab, encode_bundle(made))
    assert report.ok and [text.split(" at ")[0] for text in report.freezes] == ["alice froze node:site-a"]


def test_whose_word_counts_follows_from_position(lab):
    """A freeze counts by the policy where it came in; what a revoked key signs later counts nothing."""
    promoter = make(lab)
    land(lab, promoter)
    ident = freeze(lab, "alice", key="alice-2")
    lab.change_policy((f', "{Key("alice-2").public}"', ""))
    assert promoter.run()[0].error.kind == "frozen"
    late = signed(lab, "alice", key="alice-2", reason="late")
    past_the_gate(lab, branch(lab, late))
    past_the_gate(lab, on_main(lab, file(ending(lab, standing(lab)[0].digest, "alice", key="alice-2"))))
    view = lab.view()
    assert [one.id for one in view.stops.values()] == [ident]
    assert sum("signed by nobody" in one.text for one in view.alarms) == 2
    assert unfreeze(lab, ident, "bob").people == ("bob",)
    assert unfreeze(lab, ident, "alice").ended


def test_somebody_who_left_the_group_ends_nothing_and_their_freeze_stays(lab):
    ident = freeze(lab, "dana")
    lab.change_policy(("trustees: {members: [alice, bob, dana]", "trustees: {members: [alice, bob]"))
    assert [one.id for one in standing(lab)] == [ident]
    with pytest.raises(Refused) as caught:
        unfreeze(lab, ident, "dana")
    assert caught.value.kind == "may-not-freeze" and "alice, bob" in caught.value.why
    unfreeze(lab, ident, "alice")
    assert unfreeze(lab, ident, "bob").ended


def test_one_envelope_with_two_signatures_ends_it_too(lab):
    ident = freeze(lab)
    digest = standing(lab)[0].digest
    body = ending(lab, digest, "alice").body
    about = subject(layout.freeze_path(ident), digest)
    one_person = Signed.make((about,), body, Key("alice").pair, Key("alice-2").pair)
    update = on_main(lab, file(one_person))
    lab.judge(update)
    past_the_gate(lab, update)
    assert [one.ended_by for one in standing(lab)] == [("alice",)]
    both = Signed.make((about,), ending(lab, digest, "x").body, Key("alice").pair, Key("bob").pair)
    update = on_main(lab, file(both))
    ref = layout.freeze_ref(ident)
    gone = RefUpdate(ref, lab.tip(ref), None)
    refused(lab, gone, words="two people signed")
    lab.judge(update, gone)
    past_the_gate(lab, update)
    assert standing(lab) == []
    lab.judge(gone)


def test_two_people_who_say_the_same_at_the_same_second(lab):
    ident = freeze(lab)
    unfreeze(lab, ident, "alice")
    assert unfreeze(lab, ident, "bob").people == ("alice", "bob")


BAD = {
    "a stranger": lambda lab: branch(lab, signed(lab, "alice", key="stranger")),
    "a node": lambda lab: branch(lab, signed(lab, "site-a", key="site-a")),
    "who may not freeze": lambda lab: branch(lab, signed(lab, "carol")),
    "in another's name": lambda lab: branch(lab, signed(lab, "bob", key="alice")),
    "another repository": lambda lab: branch(lab, signed(lab, repository="cd" * 16)),
    "about something else": lambda lab: branch(lab, signed(lab, about=subject(layout.POLICY, "0" * 64))),
    "no scope": lambda lab: branch(lab, signed(lab, scope="everything")),
    "from the future": lambda lab: branch(lab, signed(lab, time="2026-11-24T10:05:01Z")),
    "another name": lambda lab: branch(lab, signed(lab), ident="0" * 32),
    "no name": lambda lab: branch(lab, signed(lab), ident="x"),
    "something beside": lambda lab: branch(lab, signed(lab), more={"README.md": b"x"}),
    "two at once": lambda lab: branch(lab, signed(lab), more=file(signed(lab, reason="two"))),
    "a commit before it": lambda lab: branch(lab, signed(lab), base=lab.commit(lab.tip(), {"x": b"x"})),
    "no commit": lambda lab: RefUpdate(layout.freeze_ref("0" * 32), None, lab.tip()),
    "not from main": lambda lab: branch(lab, signed(lab), base=lab.tip(PUBLISHED)),
    "an unfreeze": lambda lab: branch(lab, ending(lab, "0" * 64, "alice")),
    "too large": lambda lab: branch(lab, signed(lab, about=subject("x" * 1024, "0" * 64), reason="€" * 4000,
                                                 scope="path:" + "€" * 290, person="a" * 64)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_branch_is_refused_by_the_gate_and_past_it_takes_nothing_down(lab, name):
    promoter = make(lab)
    update = BAD[name](lab)
    refused(lab, update)
    past_the_gate(lab, update)
    counts = name in {"no scope", "from the future", "something beside", "two at once", "a commit before it",
                      "not from main"}  # fmt: skip
    view = lab.view()
    assert (len(view.stops), len(view.alarms)) == ((1, 0) if counts else (0, 1))
    land(lab, promoter)
    (done,) = promoter.run()
    assert (done.error is not None) == counts


def test_a_branch_is_made_once_and_goes_only_with_its_end(gate):
    lab = gate
    ident = freeze(lab)
    ref = layout.freeze_ref(ident)
    tip = lab.tip(ref)
    refused(lab, RefUpdate(ref, tip, None), words="two people signed")
    refused(lab, RefUpdate(ref, tip, lab.commit(tip, {"x": b"x"})), words="never changed")
    unfreeze(lab, ident, "alice")
    refused(lab, RefUpdate(ref, tip, None), words="two people signed")
    unfreeze(lab, ident, "bob")
    refused(lab, RefUpdate(ref, None, tip), words="does not come back")


def test_branch_and_main_may_come_in_one_push_or_the_branch_later(lab):
    made = signed(lab)
    update = branch(lab, made)
    both = [RefUpdate(MAIN, lab.tip(), update.new), update]
    lab.judge(*both)
    lab.judge(*both[::-1])
    past_the_gate(lab, both[0])
    lab.judge(update)
    later = lab.landed()
    lab.judge(replace(update, new=lab.tip()))
    assert lab.state(later) == "LANDED"
    other = replace(update, ref=layout.freeze_ref("0" * 32))
    refused(lab, other, words="nothing else")


def test_without_the_gates_guard_a_branch_could_be_dropped(lab, monkeypatch):
    ident = freeze(lab)
    ref = layout.freeze_ref(ident)
    update = RefUpdate(ref, lab.tip(ref), None)
    refused(lab, update)
    monkeypatch.setattr(gating, "judge_branch", lambda *_: None)
    assert lab.judge(update) is None


def test_on_main_nothing_of_it_is_changed_and_nothing_else_is_taken(lab):
    ident = freeze(lab)
    path, digest = layout.freeze_path(ident), standing(lab)[0].digest
    refused(lab, on_main(lab, {path: None}), words="counts all the same")
    refused(lab, on_main(lab, {path: b"x"}), words="counts all the same")
    for made in (
        signed(lab, "carol"),
        signed(lab, key="stranger"),
        signed(lab, scope="x"),
        signed(lab, time="2026-11-24T11:00:00Z"),
        signed(lab, repository="cd" * 16),
        ending(lab, digest, "carol"),
        ending(lab, digest, "bob", key="stranger"),
        ending(lab, digest, "bob", repository="cd" * 16),
        ending(lab, digest, "bob", about=subject(path, "0" * 64)),
    ):
        refused(lab, on_main(lab, file(made)))
    refused(lab, on_main(lab, {f"{layout.FREEZES}x.json": b"x"}))
    refused(lab, on_main(lab, {**file(signed(lab, "bob")), "README.md": b"x"}), words="README.md")
    blob = lab.repo.tree(lab.tip())[path]
    refused(lab, on_main(lab, {f"{layout.FREEZES}{'0' * 32}.json": replace(blob, mode="120000")}))
    lab.judge(on_main(lab, file(signed(lab, "bob"))))
    past_the_gate(lab, on_main(lab, {path: None}))
    assert [one.digest for one in standing(lab)] == [digest], "what was once on main counts"


def test_nobody_has_more_than_so_many(lab, monkeypatch):
    """A person with a stolen key stops everything once, and fills nothing."""
    for number in range(FREEZES_EACH):
        made = signed(lab, reason=f"n {number}")
        past_the_gate(lab, on_main(lab, file(made)) if number % 2 else branch(lab, made))
    more = signed(lab, reason="one more")
    refused(lab, branch(lab, more), words="more are not taken")
    refused(lab, on_main(lab, file(more)), words="more are not taken")
    lab.judge(branch(lab, signed(lab, "bob")))
    many = [branch(lab, signed(lab, "bob", reason=f"at once {number}")) for number in range(FREEZES_EACH + 1)]
    assert lab.judge(*many[:-1]) is None
    with pytest.raises(Refused, match="more are not taken"):
        lab.judge(*many)
    monkeypatch.setattr(gatefreeze, "require_fair", lambda *_: None)
    assert lab.judge(branch(lab, more)) is None


def test_nobody_fills_main_with_ends_of_freezes(lab, monkeypatch):
    freeze(lab)
    digest = standing(lab)[0].digest
    past_the_gate(lab, on_main(lab, file(ending(lab, digest, "bob"))))
    again = on_main(lab, file(ending(lab, digest, "bob", reason="again")))
    refused(lab, again, words="had signed the end")
    unknown = [ending(lab, f"{number:064x}", "bob") for number in range(FREEZES_EACH + 1)]
    files = {path: data for made in unknown[:-1] for path, data in file(made).items()}
    past_the_gate(lab, on_main(lab, files))
    refused(lab, on_main(lab, file(unknown[-1])), words="not on main")
    assert len(standing(lab)) == 1
    monkeypatch.setattr(gatefreeze, "_require_new", lambda *_: None)
    assert lab.judge(on_main(lab, file(ending(lab, digest, "bob", reason="again")))) is None


MISTAKES = {
    "nobody": (Refused, "may-not-freeze", {"person": "carol"}),
    "another key": (Refused, "unknown-key", {"key": "bob"}),
    "no scope": (Invalid, "freeze-scope", {"scope": "al"}),
    "no such node": (Invalid, "freeze-scope", {"scope": "node:site-c"}),
    "no such tier": (Invalid, "freeze-scope", {"scope": "tier:x"}),
    "a path without its node": (Invalid, "freeze-scope", {"scope": "path:outputs/**"}),
    "no reason": (Invalid, "no-comment", {"reason": " "}),
    "a secret": (Refused, "telling-metadata", {"reason": "key AKIAIOSFODNN7EXAMPLQ"}),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_not_meant_is_refused_before_anything_is_pushed(lab, name):
    error, kind, given = MISTAKES[name]
    before = lab.tip()
    with pytest.raises(error) as caught:
        freeze(lab, **given)
    assert caught.value.kind == kind
    assert lab.view().stops == {} and lab.tip() == before


def test_which_freeze_is_meant(lab):
    first = freeze(lab)
    for ident in ("", first[:3], "0" * 32):
        with pytest.raises(NotFound) as caught:
            unfreeze(lab, ident, "bob")
        assert caught.value.kind == "no-freeze"
    view = lab.view()
    (digest,) = view.stops
    view.freezes["9" * 64] = view.freezes[f"{digest[:8]}{'9' * 56}"] = freezes.Frozen(
        "x", "all", "a", "r", "t"
    )
    with pytest.raises(Conflict) as caught:
        unfreeze(lab, digest[:6], "bob", view=view)
    assert caught.value.kind == "ambiguous-id"


def test_main_that_keeps_moving_says_so(lab, monkeypatch):
    ident = freeze(lab)

    def lost(self, updates):
        raise Conflict("moved", kind="ref-moved")

    monkeypatch.setattr(MemoryRepo, "push", lost)
    with pytest.raises(Conflict, match="kept moving"):
        unfreeze(lab, ident, "bob")


def test_without_these_guards_other_statements_would_count(lab, monkeypatch):
    """Each away in turn: a stranger's freeze, one of another repository, an end by nobody, a link."""
    view = lab.view()
    stranger, foreign = signed(lab, key="stranger"), signed(lab, repository="cd" * 16)
    for name, made in (("require_freezer", stranger), ("require_named", foreign)):
        past_the_gate(lab, branch(lab, made))
        assert lab.view().stops == {}
        with monkeypatch.context() as patched:
            patched.setattr(freezes, name, lambda *_: None)
            assert set(lab.view().stops) == {made.digest}
        lab.drop(layout.freeze_ref(made.digest[:32]))
    made = signed(lab)
    past_the_gate(lab, on_main(lab, file(made)))
    for person in ("carol", "stranger"):
        past_the_gate(lab, on_main(lab, file(ending(lab, made.digest, person))))
    assert set(lab.view().stops) == {made.digest}
    with monkeypatch.context() as patched:
        patched.setattr(freezes, "lifters", lambda _, one: frozenset({one.digest}))
        assert lab.view().stops == {}
    odd = signed(lab, reason="a link")
    commit = lab.commit(lab.tip(), file(odd))
    entry = lab.repo.tree(commit)[layout.freeze_path(odd.digest[:32])]
    past_the_gate(lab, on_main(lab, {layout.freeze_path(odd.digest[:32]): replace(entry, mode="120000")}))
    assert set(lab.view().stops) == {made.digest}
    with monkeypatch.context() as patched:
        patched.setattr(freezes, "require_plain", lambda *_: None)
        assert set(lab.view().stops) == {made.digest, odd.digest}
    assert view.stops == {}


def test_a_freeze_can_be_read_by_anybody(lab):
    ident = freeze(lab, scope="node:site-a", reason="two\nlines")
    blob = lab.repo.tree(lab.tip())[layout.freeze_path(ident)].blob
    body = parse(lab.repo.read(blob, 1 << 20), Freeze).body
    assert (body.scope, body.reason, body.person) == ("node:site-a", "two\nlines", "alice")
    assert "\n" not in str(next(iter(lab.view().stops.values()))).split(": ")[0]
