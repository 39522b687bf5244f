# ruff: noqa: RUF001 - the characters are what is tested
"""What happened between two looks: told once, to whom it concerns, with nothing in it that a service obeys."""

import contextlib
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from governance.forgelab import ForgeLab
from governance.lab import TIER
from governance.test_promote import hold, make
from governance.test_retract import World, rule
from keys import Key
from placet.core.happening import Happening
from placet.core.notice import line, notice
from placet.core.notifyform import NotifyForm, read_notify
from placet.engine import freezing, telling
from placet.engine.happenings import Seen, happenings, look
from placet.engine.telling import Outbox, Told, Trouble, encoded, file_in, next_s, read_told, send, troubles
from placet.errors import Corrupt, Invalid, Unavailable


class Eyes:
    """One party's looks at a lab, what it remembers going through its stored form each time."""

    def __init__(self, lab):
        self.lab = lab
        self.seen = None

    def __call__(self):
        found = look(self.lab.view(), self.lab.now, self.seen)
        new = happenings(self.seen, found)
        self.seen = msgspec.json.decode(msgspec.json.encode(found.seen), type=Seen)
        return new


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, rule("[trustees]"), ("governance:\n", "governance:\n  freeze: [trustees]\n"))


@pytest.fixture
def eyes(world):
    found = Eyes(world.lab)
    assert found() == []
    return found


def kinds(found):
    return [one.kind for one in found]


def only(found, kind):
    assert kinds(found) == [kind]
    return found[0]


def test_a_proposal_from_its_beginning_to_its_end(world, eyes):
    lab = world.lab
    from governance.test_promote import hold

    hold(world.promoter.source, b"a,b\n1,2\n")
    ident = lab.propose(message="first model\nwith a second line")
    said = only(eyes(), "proposed")
    assert (said.proposal, said.node, said.tier, said.who) == (ident, "site-b", TIER, ("site-b",))
    assert said.paths == ("outputs/a.csv",) and said.rules == ("default",)
    assert said.concerns == {"alice", "bob", "carol"}
    for words in ("site-b proposes to publish outputs/a.csv.", "“first model”", "Missing: ", "alice, bob"):
        assert words in said.text
    assert "second line" not in said.text and ".." not in said.text
    lab.decide(ident, "alice")
    assert eyes() == []
    lab.decide(ident, "bob")
    said = only(eyes(), "approved")
    assert said.who == ("alice", "bob") and "it can be merged" in said.text
    lab.merge(ident)
    assert eyes() == []
    world.promoter.run([ident])
    said = only(eyes(), "published")
    assert said.text == f"site-b published outputs/a.csv in {TIER}." and said.proposal == ident
    assert eyes() == []


def test_who_said_it_on_a_forge_is_named():
    lab = ForgeLab.make()
    eyes = Eyes(lab)
    eyes()
    ident, number = lab.opened()
    only(eyes(), "proposed")
    lab.review(number, "alice", word="return")
    lab.look()
    said = only(eyes(), "returned")
    assert (said.who, said.text) == (("alice",), "alice returned outputs/a.csv.")
    lab.review(number, "alice", "bob")
    lab.look()
    said = only(eyes(), "approved")
    assert said.who == ("alice", "bob")
    assert said.text.startswith("alice, bob approved outputs/a.csv; it can be merged.")
    assert {"alice", "bob"} <= said.concerns
    agent = make(lab)
    hold(agent.source, b"a,b\n1,2\n")
    lab.merge(ident)
    agent.run([ident])
    assert {"alice", "bob"} <= only(eyes(), "published").concerns


def test_what_went_on_between_two_looks_is_told_by_its_end(world, eyes):
    ident = world.publish()
    assert [(one.kind, one.proposal) for one in eyes()] == [("published", ident)]
    first, second = world.publish(data=b"a,b\n5,6\n"), world.publish(data=b"a,b\n7,8\n")
    assert [(one.kind, one.proposal) for one in eyes()] == [("published", first), ("published", second)]


@pytest.mark.parametrize("verdict", ["return", "reject"])
def test_it_comes_back_with_the_reviewers_words(world, eyes, verdict):
    ident = world.lab.propose()
    eyes()
    world.lab.decide(ident, "alice", verdict=verdict, comment="column c\nholds names")
    said = only(eyes(), f"{verdict}ed")
    assert said.who == ("alice",) and "“column c”" in said.text and "names" not in said.text
    assert "alice" in said.concerns


def test_time_and_its_own_node_end_it(world, eyes):
    from placet.engine import review

    lab = world.lab
    first, second = lab.propose(), lab.propose("outputs/b.csv", b"other,bytes\n1,2\n")
    eyes()
    view = lab.view()
    review.withdraw(view, view.find(first), Key("site-b"), reason="mistake", now=lab.now)
    assert only(eyes(), "withdrawn").proposal == first
    lab.later(days=40)
    said = only(eyes(), "expired")
    assert said.proposal == second


def test_past_the_gate(world, eyes):
    lab = world.lab
    ident = lab.propose()
    eyes()
    lab.force("refs/heads/main", _merged(lab, ident))
    found = eyes()
    assert kinds(found)[:1] == ["quarantined"]
    assert "without valid approvals" in found[0].text and {"alice", "bob"} <= found[0].concerns


def _merged(lab, ident):
    view = lab.view()
    tree = lab.repo.tree(view.branches[ident])
    base = lab.repo.tree(view.main)
    files = {path: one for path, one in tree.items() if path not in base}
    return lab.commit(view.main, files)


def test_taken_back(world, eyes):
    ident = world.publish()
    eyes()
    asked = world.propose(ident)
    said = only(eyes(), "approved")
    assert said.text.startswith(
        "The proposal of dana to take back outputs/a.csv needs nobody else's approval;"
    )
    world.lab.merge(asked)
    (done,) = world.retractor().run([asked])
    assert done.error is None
    said = only(eyes(), "retracted")
    assert "dana takes back outputs/a.csv" in said.text and "“a name was left in”" in said.text
    assert said.proposal == asked and "dana" in said.concerns


def test_frozen_and_not_any_more(world, eyes):
    lab = world.lab
    freezing.freeze(
        lab.view(), lab.view, Key("dana"), "node:site-b", person="dana", reason="look <!here>", now=lab.now
    )
    said = only(eyes(), "frozen")
    assert said.who == ("dana",) and said.subject == "node∶site-b" and "‹！here›" in said.text
    assert {"alice", "bob", "dana", "carol"} == said.concerns
    assert eyes() == []
    ident = next(iter(lab.view().stops.values())).id
    for person in ("dana", "alice"):
        freezing.unfreeze(lab.view(), lab.view, Key(person), ident, person=person, reason="ok", now=lab.now)
    said = only(eyes(), "thawed")
    assert said.who == ("alice", "dana")


def test_what_should_not_be_there_is_an_alarm_once(world, eyes):
    lab = world.lab
    view = lab.view()
    lab.force("refs/heads/proposals/" + "0" * 32, lab.commit(view.main, {"README": b"hello"}))
    said = only(eyes(), "alarm")
    assert "proposals/000" in said.text and "dana" in said.concerns
    assert eyes() == []


def test_policy(world, eyes):
    ident = world.lab.change_policy(("expires_days: 30", "expires_days: 20"), merge=False)
    assert only(eyes(), "approved").proposal == ident
    world.lab.merge(ident)
    said = only(eyes(), "published")
    assert said.text == "Policy 1 of dana holds."


def test_a_lost_memory_costs_repeats_and_no_history(world, eyes):
    lab = world.lab
    old = world.publish()
    lab.later(days=2)
    new, waiting = (
        world.publish("outputs/new.csv", b"n,e\n1,2\n"),
        lab.propose("outputs/b.csv", b"x,y\n1,2\n"),
    )
    again = Eyes(lab)
    told = {(one.kind, one.proposal) for one in again()}
    assert told == {("published", new), ("proposed", waiting)} and old not in {one for _, one in told}
    assert again() == []


def test_hostile_words_are_harmless(world, eyes):
    lab = world.lab
    lab.propose("outputs/@everyone (evil.com).csv", message="<script>alert(1)</script> http://evil.com *now*")
    said = only(eyes(), "proposed")
    whole = json.dumps([said.text, said.subject, said.paths], ensure_ascii=False)
    assert not any(one in whole for one in ("@", "<", "http:", "evil.com", "*"))
    assert "‹script›" in said.text and "evil․com" in said.text


# --- who is told, and when ---------------------------------------------------------------------


def form(**targets):
    return read_notify({"targets": {name: {"url_env": "X", **one} for name, one in targets.items()}})


def happening(kind="proposed", **more):
    more = {"subject": "outputs/a.csv", "text": f"it was {kind}", "proposal": "ab" * 16, **more}
    return Happening(kind, **more)


@pytest.mark.parametrize(
    ("target", "more", "wanted"),
    [
        ({}, {}, True),
        ({"events": ["published"]}, {}, False),
        ({"events": ["proposed"]}, {}, True),
        ({"person": "alice"}, {}, False),
        ({"person": "alice"}, {"concerns": frozenset({"alice"})}, True),
        ({"rules": ["tables"]}, {"rules": ("default",)}, False),
        ({"rules": ["tables", "default"]}, {"rules": ("default",)}, True),
        ({"nodes": ["site-a"]}, {"node": "site-b"}, False),
        ({"nodes": ["site-a"]}, {"node": "site-a"}, True),
        ({"nodes": ["site-a"], "rules": ["x"]}, {"kind": "frozen", "proposal": ""}, True),
        ({"person": "alice"}, {"kind": "frozen", "proposal": "", "concerns": frozenset({"bob"})}, False),
    ],
)
def test_who_is_told(target, more, wanted):
    assert form(one=target).targets["one"].wants(happening(**more)) is wanted


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"targets": {}},
        {"targets": {"a": {}}},
        {"targets": {"a": {"url": "json://x"}}},
        {"targets": {"a": {"url_file": "x", "url_env": "Y"}}},
        {"targets": {"a": {"url_env": "X", "events": ["nothing"]}}},
        {"targets": {"a": {"url_env": "X", "events": []}}},
        {"targets": {"A B": {"url_env": "X"}}},
        {"targets": {"a": {"url_env": "X"}}, "pause": 0},
        7,
    ],
)
def test_settings_that_cannot_be_used(table):
    with pytest.raises(Invalid, match="notify"):
        read_notify(table)


class Record:
    def __init__(self):
        self.data = None
        self.writes = 0

    def alone(self):
        return contextlib.nullcontext()

    def read(self):
        return self.data

    def write(self, data):
        self.data, self.writes = data, self.writes + 1


class Place:
    limit = 10_000

    def __init__(self):
        self.sent = []
        self.fails = False

    def send(self, title, text, *, loud):
        if self.fails:
            raise Unavailable("down", kind="not-told")
        self.sent.append((title, text, loud))


class Post:
    """A record, and places that it is told to."""

    def __init__(self, lab, form):
        self.lab, self.form, self.record = lab, form, Record()
        self.places = {name: Place() for name in form.targets}

    def __call__(self, *new):
        told = file_in(read_told(self.record.read()), new, self.form, self.lab.now)
        self.record.write(encoded(told))
        opened = {name: (lambda place=place: place) for name, place in self.places.items()}
        told, done = send(told, self.form, opened, self.record, self.lab.now)
        return [(one.target, one.lines, one.error and one.error.kind) for one in done]


class Watch:
    def __init__(self):
        from governance.lab import NOW

        self.now = NOW

    def later(self, **more):
        self.now += timedelta(**more)


def test_messages_to_one_target_are_apart_and_the_next_has_all():
    watch = Watch()
    post = Post(watch, form(one={}, two={"events": ["failing"]}))
    assert post(happening()) == [("one", 1, None)]
    watch.later(seconds=10)
    assert post(happening("published"), happening("failing", proposal="")) == [("two", 1, None)]
    assert post(happening("published")) == []
    told = read_told(post.record.data)
    assert next_s(told, post.form, watch.now, ()) == pytest.approx(50)
    watch.later(seconds=50)
    assert post() == [("one", 3, None)]
    (title, _, loud), (second, text, shout) = post.places["one"].sent
    assert title == "[project] proposed: outputs/a.csv".replace("project", "") and not loud
    assert second == "[] 1 failing, 2 published" and shout
    assert text.count("placet show abababababab") == 2
    assert next_s(read_told(post.record.data), post.form, watch.now, ()) is None


def test_who_cannot_be_told_keeps_its_lines_and_nobody_waiting():
    watch = Watch()
    post = Post(watch, form(one={}, two={}))
    post.places["one"].fails = True
    assert post(happening()) == [("one", 0, "not-told"), ("two", 1, None)]
    assert post() == []
    waits = []
    for _ in range(8):
        waits.append(next_s(read_told(post.record.data), post.form, watch.now, ()))
        watch.later(seconds=waits[-1])
        assert post() == [("one", 0, "not-told")]
    assert waits[0] == 60 and waits == sorted(waits) and waits[-1] == 3600
    post.places["one"].fails = False
    watch.later(hours=1)
    assert post(happening("published")) == [("two", 1, None), ("one", 2, None)]
    assert "it was proposed" in post.places["one"].sent[0][1]


def test_a_killed_process_tells_again_and_never_less():
    watch = Watch()
    post = Post(watch, form(one={}))

    def killed(*_):
        raise KeyboardInterrupt

    post.record.data = encoded(file_in(Told(), [happening()], post.form, watch.now))
    real, post.record.write = post.record.write, killed
    with pytest.raises(KeyboardInterrupt):
        post()
    post.record.write = real
    assert post() == [("one", 1, None)]


def test_outboxes_are_bounded_and_say_what_is_lost():
    watch = Watch()
    post = Post(watch, form(one={}))
    post.places["one"].fails = True
    post(*[happening(text=f"number {number}") for number in range(telling.MAX_LINES + 30)])
    box = read_told(post.record.data).outboxes["one"]
    assert (len(box.lines), box.lost) == (telling.MAX_LINES, 30)
    watch.later(days=8)
    post(happening(text="later"))
    box = read_told(post.record.data).outboxes["one"]
    assert (len(box.lines), box.lost) == (1, telling.MAX_LINES + 30)
    post.places["one"].fails = False
    watch.later(hours=1)
    post()
    (_, text, _) = post.places["one"].sent[0]
    assert "later" in text and "230 more: placet list" in text


def test_a_clock_that_was_wrong_silences_nobody_for_long():
    watch = Watch()
    post = Post(watch, form(one={}))
    watch.later(days=300)
    post(happening())
    watch.later(days=-300)
    assert post(happening()) == [("one", 1, None)]


@pytest.mark.parametrize("data", [None, b"", b"{", b"[]", b'{"version": 2}', b"\xff" * 10, b"[" * 100_000])
def test_a_record_that_cannot_be_read_is_lost(data):
    assert read_told(data) == Told()


def test_a_message_is_as_long_as_its_target_takes():
    lines = [line(happening(text=f"{number} " + "x" * 90), 0.0) for number in range(30)]
    title, text = notice("p" * 500, lines, 0, 500)
    assert len(title) <= 150 and len(text) <= 500
    assert "29 x" in text and text.endswith("more: placet list, placet log")
    assert int(text.rsplit("\n\n", 1)[1].split()[0]) + text.count("placet show") == 30
    _, text = notice("p", [line(happening(text="y" * 900), 0.0)], 0, 300)
    assert len(text) <= 300


def trouble(told, now, at=0.0, **more):
    return troubles(told, now, people=frozenset({"carol"}), at=at, patience_s=300.0, **more)


def test_troubles_are_told_when_they_begin_and_end():
    told, new = trouble(Told(), {"job promote": Trouble("policy", "why")})
    assert kinds(new) == ["failing"] and new[0].concerns == {"carol"} and "why" in new[0].text
    assert trouble(told, {"job promote": Trouble("policy", "other words")}) == (told, [])
    assert trouble(told, {}) == (told, [])
    assert kinds(trouble(told, {"job promote": Trouble("corrupt", "")})[1]) == ["failing"]
    left, new = trouble(told, {"job promote": None, "job scrub": None})
    assert left == Told() and kinds(new) == ["recovered"]


def test_what_may_pass_is_told_after_a_while_over_any_number_of_runs():
    """A cron job has no memory but the record."""
    here = form(one={})
    passing = {"job lineage": Trouble("unreachable", "why", lasting=False)}
    told, new = trouble(Told(), passing, at=1000.0)
    assert new == [] and told.failing == {"job lineage": 1000.0}
    now = datetime.fromtimestamp(1100, UTC)
    assert next_s(told, here, now, passing) == here.patience - 100
    told = read_told(encoded(told))
    assert trouble(told, passing, at=1299.0) == (told, [])
    assert trouble(told, {"job lineage": None}, at=1299.0) == (Told(), [])
    late, new = trouble(told, passing, at=1300.0)
    assert kinds(new) == ["failing"] and late.failing == {}
    assert kinds(trouble(late, {"job lineage": Trouble("other", "", lasting=False)}, at=1301.0)[1]) == [
        "failing"
    ]
    assert trouble(told, passing, at=10.0)[0].failing == {"job lineage": 10.0}, "the clock was wrong"


def test_troubles_of_a_process_before_are_over_where_all_are_known():
    told, _ = trouble(Told(failing={"promotion of b": 1.0}), {"promotion of a": Trouble("x", "")}, at=2.0)
    assert trouble(told, {}, at=3.0) == (told, [])
    left, new = trouble(told, {}, at=3.0, whole=("promotion of ",))
    assert (left, kinds(new)) == (Told(), ["recovered"])


def test_a_flood_hides_nothing_that_somebody_should_act_on():
    watch = Watch()
    post = Post(watch, form(one={}))
    post.places["one"].limit = 500
    flood = [happening(text=f"number {number}") for number in range(10_000)]
    assert post(happening("quarantined", text="act on this"), *flood) == [("one", telling.MAX_LINES, None)]
    ((title, text, loud),) = post.places["one"].sent
    assert title == f"[] 1 quarantined, {telling.MAX_LINES - 1} proposed" and loud
    assert text.startswith("act on this") and "number 9999" in text and len(text) <= 500
    assert "more: placet list" in text


def test_who_is_silent_is_tried_last():
    watch = Watch()
    post = Post(watch, form(one={}, two={}))
    post.places["one"].fails = True
    post(happening())
    watch.later(hours=2)
    assert post(happening()) == [("two", 1, None), ("one", 0, "not-told")]


def test_an_error_as_a_trouble_has_no_markup():
    found = telling.as_trouble(
        Corrupt("object <b> of @all", kind="x", mend="see http://a.example"), lasting=False
    )
    assert found == Trouble("x", "object ‹b› of ＠all see http∶//a․example", lasting=False)


def test_outboxes_of_targets_that_are_gone_are_dropped():
    watch = Watch()
    both, one = form(one={}, two={}), form(one={})
    told = file_in(Told(outboxes={"two": Outbox(lost=3)}), [], both, watch.now)
    assert told.outboxes["two"].lost == 3
    assert file_in(told, [], one, watch.now).outboxes.keys() == {"one"}
    assert isinstance(one, NotifyForm)
