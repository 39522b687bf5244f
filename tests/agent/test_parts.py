"""The agent's parts on clocks of the test's own: when it tries again, what wakes it, what it says."""

import io
import json
import logging
import os
import socket
import stat
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from waitress import channel as waitress

from placet.adapters.keys import read_secret
from placet.agent.events import EVENTS, JsonLines, TextLines, say, say_last
from placet.agent.jobs import Desk, Job, announce, jobs_of, promote, witness
from placet.agent.lane import FULL_S, Lane
from placet.agent.metrics import Metrics
from placet.agent.pages import Pages, Server
from placet.agent.retries import Retries
from placet.agent.service import Service
from placet.agent.watch import Watch
from placet.agent.webhook import Webhook
from placet.config import load_settings
from placet.core.agentform import AgentForm, read_agent
from placet.core.states import State
from placet.engine.history import Alarm
from placet.engine.promote import Backlog, Promotion, Waiting
from placet.engine.witness import Noted, Witnessed
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Partial, Refused, Unavailable
from placet.wire.pages import Page

ONE = Waiting("a" * 32, State.LANDED, "as it was")
SOON = [
    Unavailable("x", kind="store-unreachable"),
    Conflict("x", kind="ref-moved"),
    Partial("x", kind="some"),
]
STAYS = [Refused("x", kind="not-approved"), Corrupt("x", kind="digest-mismatch"), NotFound("x", kind="no-object"),
         Invalid("x", kind="y")]  # fmt: skip


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self):
        return self.now


def waits(error, times):
    """Seconds between one try and the next."""
    retries, clock, out = Retries(lambda: 1.0), 0.0, []
    for _ in range(times):
        wait = retries.failed(ONE, error, clock)
        assert not retries.due(ONE, clock + wait - 0.01) and retries.due(ONE, clock + wait)
        assert retries.next_s(clock) == wait
        out.append(wait)
        clock += wait
    return out


@pytest.mark.parametrize("error", SOON, ids=lambda one: one.kind)
def test_what_passes_is_tried_again_soon(error):
    assert waits(error, 10) == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]


@pytest.mark.parametrize("error", STAYS, ids=lambda one: one.kind)
def test_what_stays_is_not_hammered_but_tried_at_once_when_something_changed(error):
    assert waits(error, 6) == [300, 600, 1200, 2400, 3600, 3600]
    retries = Retries(lambda: 1.0)
    retries.failed(ONE, error, 0.0)
    changed = replace(ONE, seen="a decision more")
    assert (retries.quarantined, retries.due(ONE, 1.0), retries.due(changed, 1.0)) == (1, False, True)
    assert retries.failed(changed, error, 1.0) == 300
    retries.keep([])
    assert (retries.quarantined, retries.next_s(1.0)) == (0, None)


def test_a_window_or_a_freeze_is_no_quarantine():
    for kind in ("window", "frozen"):
        assert waits(Refused("x", kind=kind), 3) == [60, 60, 60]
    retries = Retries()
    retries.failed(ONE, Refused("x", kind="window"), 0.0)
    assert retries.quarantined == 0


class Client:
    """Promotes as it is told."""

    def __init__(self, *waiting, answers=()):
        self.waiting, self.answers, self.asked, self.alarms = list(waiting), dict(answers), [], ()

    def backlog(self):
        return Backlog(tuple(self.waiting), self.alarms)

    def promote(self, ids):
        (ident,) = ids
        self.asked.append(ident)
        answer = self.answers.get(ident)
        if isinstance(answer, Exception) and not hasattr(answer, "kind"):
            raise answer
        return [Promotion(ident, State.PUBLISHED, "c" * 40, (), answer)]

    def close(self):
        pass


def desk(clock, ending=lambda: False):
    return Desk("w", Metrics(), clock, ending, Retries(lambda: 1.0))


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"placet_agent_{name}", {"workspace": "w", **labels})


def test_each_proposal_has_its_own_back_off(caplog):
    caplog.set_level(logging.INFO, "placet.agent")
    two, three = replace(ONE, id="b" * 32), replace(ONE, id="c" * 32)
    client = Client(
        ONE, two, three, answers={ONE.id: SOON[0], two.id: STAYS[0], three.id: KeyError("a secret")}
    )
    clock = Clock()
    here = desk(clock)
    client.alarms = (Alarm("d" * 40, "odd"),)
    assert promote(client, here) == 5
    client.answers[three.id] = None
    for now, asked in ((4.9, []), (5.0, [ONE.id]), (300.0, [ONE.id, two.id, three.id])):
        clock.now, client.asked = now, []
        promote(client, here)
        assert client.asked == asked
    assert value(here.metrics, "promotions_total", result="published") == 1
    assert value(here.metrics, "promotions_total", result="deferred") == 3
    assert value(here.metrics, "quarantined_proposals") == 1
    said = [one.getMessage() for one in caplog.records]
    assert said.count("alarm") == 1 and said.count("quarantined") == 3
    assert "a secret" not in "".join(JsonLines().format(one) for one in caplog.records)
    client.waiting, client.asked = [ONE], []
    promote(client, replace(here, ending=lambda: True))
    assert client.asked == []


def lane(*jobs, clock=None, client=None):
    return Lane(desk(clock or Clock()), jobs, lambda _: client or Client(), threading.Event())


def test_a_lane_waits_longer_after_each_failure_and_says_what_is_corrupt(caplog):
    answers = [SOON[0], SOON[0], SOON[0], Corrupt("x", kind="rolled-back"), KeyError("x"), None]

    def run(_client, _desk):
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    one = lane(Job("promote", run))
    found = [one.cycle() for _ in range(3)]
    assert [round(wait / usual) for wait, usual in zip(found, (5, 10, 20), strict=True)] == [1, 1, 1]
    one.cycle()
    assert (one.ok, value(one.desk.metrics, "repository_corrupt")) == (False, 1)
    one.cycle()
    assert one.cycle() == FULL_S
    assert (one.ok, value(one.desk.metrics, "repository_corrupt")) == (True, 0)
    assert [record.getMessage() for record in caplog.records] == [*["job-failed"] * 3, "corrupt", "mistake"]
    assert value(one.desk.metrics, "job_runs_total", job="promote", result="failed") == 5


def test_jobs_by_time_have_a_lane_of_their_own_and_are_not_woken(tmp_path):
    jobs = (Job("promote", promote), Job("other", promote), Job("scrub", promote, every_s=3600.0))
    service = Service([tmp_path], AgentForm(), environ={}, jobs=jobs)
    together, alone = service._served[0].lanes
    assert [job.name for job in together._jobs] == ["promote", "other"]
    assert [job.name for job in alone._jobs] == ["scrub"]
    alone.wake()
    together.wake()
    assert (alone._wake.is_set(), together._wake.is_set()) == (False, True)
    alone._client = Client()
    assert alone.cycle() == 3600.0
    together._client = Client(ONE, answers={ONE.id: SOON[0]})
    assert 4 <= together.cycle() <= 6


def test_retractions_are_gone_on_with_before_anything_is_promoted(caplog):
    caplog.set_level(logging.INFO)
    from placet.agent.jobs import work
    from placet.engine.promote import Backlog
    from placet.engine.retract import Retracted
    from placet.errors import Refused

    told, order = Retracted("ab" * 16, "LANDED", "recorded", ("a",), "t", "why", waits="a person"), []
    found, heads = [told, replace(told, error=Refused("no", kind="store-denied"))], {}
    client = SimpleNamespace(
        heads=lambda: dict(heads), now=lambda: datetime(2026, 11, 24, 10, tzinfo=UTC),
        follow_retractions=lambda: order.append("retract") or found,
        backlog=lambda: order.append("promote") or Backlog((), ()),
    )  # fmt: skip
    one = lane(Job("promote", work), client=client)
    assert one.cycle() == 60
    assert one.cycle() == 60, "no branch moved, and nothing is due"
    assert order == ["retract", "promote", "promote"]
    one.desk.clock = lambda: 60
    found[:] = [replace(told, stage="hidden", until="2026-11-24T10:00:40Z")]
    assert one.cycle() == 40
    heads["main"] = "a commit"
    found[:] = [replace(told, stage="erased")]
    assert one.cycle() not in {40, 60}
    one.cycle()
    assert order == ["retract", "promote", "promote", "retract", "promote", "retract", "promote", "promote"]
    assert [one.fields["stage"] for one in caplog.records if one.message == "retraction"] == [
        "recorded", "recorded", "hidden", "erased",
    ]  # fmt: skip


def test_a_scrub_by_time_is_loud_if_the_tier_is_not_sound(caplog):
    caplog.set_level(logging.INFO, "placet.agent")
    asked = []

    def scrub(**options):
        asked.append(options)
        serious = len(asked) - 1
        return SimpleNamespace(
            ok=not serious, tier="t", objects=7, counts={"missing": serious, "serious": serious}
        )

    form = AgentForm(scrub_hours=0.5, scrub_remote="r", scrub_rate=9)
    job = next(one for one in jobs_of(form) if one.name == "scrub")
    assert job.every_s == 1800 and "scrub" not in {one.name for one in jobs_of(AgentForm())}
    one = lane(job, client=SimpleNamespace(scrub=scrub))
    assert [one.cycle(), one.cycle()] == [1800, 1800]
    assert asked == [{"remote": "r", "read": False, "repair": False, "rate": 9}] * 2
    assert [record.getMessage() for record in caplog.records] == ["sound", "job-done", "unsound", "job-done"]
    assert caplog.records[2].fields == {
        "workspace": "w",
        "tier": "t",
        "objects": 7,
        "missing": 1,
        "serious": 1,
    }
    assert value(one.desk.metrics, "scrub_serious_objects") == 1


def test_a_step_that_is_told_to_end_raises_at_its_next_progress():
    one = lane(Job("promote", promote))
    one.progress.start("x").advance(1)
    one.end()
    with pytest.raises(Unavailable) as caught:
        one.progress.advance(1)
    assert caught.value.kind == "stopped"
    assert one.cycle() == 0.0


def test_a_watch_wakes_lanes_only_when_a_branch_moved(caplog):
    caplog.set_level(logging.INFO, "placet.agent")
    heads = [{"refs/heads/main": "1"}] * 2 + [
        {"refs/heads/main": "2"},
        SOON[0],
        SOON[0],
        {"refs/heads/main": "2"},
    ]
    heads += [
        {"refs/heads/main": "2", "refs/heads/freezes/a": "1"},
        {"refs/heads/main": "2"},
        ValueError("data"),
    ]
    woken = []

    def ask():
        answer = heads.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    clock = Clock(100.0)
    watch = Watch(
        "w", [SimpleNamespace(wake=lambda: woken.append(1))],
        lambda _: SimpleNamespace(heads=ask), interval_s=5, stop=threading.Event(), metrics=Metrics(), clock=clock,
    )  # fmt: skip
    assert [watch.look() for _ in range(9)] == [True, True, True, False, False, True, True, True, False]
    assert len(woken) == 4
    assert [one.getMessage() for one in caplog.records] == [
        "changed", "changed", "unreachable", "reachable", "changed", "changed", "mistake"
    ]  # fmt: skip
    assert watch.seen_at == 100.0


def test_alive_and_ready(tmp_path):
    clock = Clock()
    service = Service([tmp_path], AgentForm(), environ={}, clock=clock)
    watch, lanes = service._served[0].watch, service._served[0].lanes
    assert (service.alive(), service.ready()) == (True, False)
    watch.seen_at = 0.0
    clock.now = 60.0
    assert (service.alive(), service.ready()) == (True, True)
    clock.now = 60.1
    assert not service.ready()
    watch.seen_at = watch.tried_at = 60.0
    lanes[0].ok = False
    assert (service.alive(), service.ready()) == (True, False)
    lanes[0].ok, clock.now = True, 60.0
    for one in lanes:
        one._busy, one.progress.moved_at = True, -1200.0
        leads = one is lanes[0]
        assert (service.alive(), service.ready()) == (True, not leads)
        assert service.late() == [f"{one.name} of {tmp_path}"]
        one._busy = False
    clock.now = 360.0
    assert not service.alive()
    watch.tried_at = 360.0
    service._threads.append(threading.Thread())
    assert not service.alive()


def test_a_webhook_remembers_and_forgets():
    woken = []
    hook = Webhook(b"k" * 16, lambda: woken.append(1))
    import hmac

    def sign(body):
        return hmac.new(b"k" * 16, body, "sha256").hexdigest()

    assert hook.take(b"0", [f"sha256={sign(b'0')}"]) == "accepted"
    assert hook.take(b"0", ["", sign(b"0")]) == "replayed"
    assert hook.take(b"1", [sign(b"0"), "ü"]) == "refused"
    for number in range(1, 1025):
        assert hook.take(b"%d" % number, [sign(b"%d" % number)]) == "accepted"
    assert hook.take(b"0", [sign(b"0")]) == "accepted"
    assert len(hook._seen) == 1024 and len(woken) == 1026


@pytest.fixture
def server(monkeypatch):
    """A server on two addresses, as `localhost` often is; closed at the end."""
    look_up = socket.getaddrinfo
    two = [
        *look_up("127.0.0.1", 0, type=socket.SOCK_STREAM),
        *look_up("127.0.0.2", 0, type=socket.SOCK_STREAM),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_: two)
        made = Server(Pages(Metrics(), alive=bool, ready=bool, late=list, webhook=None), "localhost", 0)
    yield made
    made.close()


def test_a_connection_ends_though_its_bytes_keep_dripping(server, monkeypatch):
    """Sixty-four of them would keep everybody else from asking whether the agent is alive."""
    first, second = server.sockets
    assert {one.effective_host for one in (first, second)} == {"127.0.0.1", "127.0.0.2"}
    with socket.create_connection((first.effective_host, int(first.effective_port)), timeout=60) as line:
        line.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        while not (found := list(first.active_channels.values())) or found[0].request is None:
            assert server._thread.is_alive()
        began = found[0].creation_time
        monkeypatch.setattr(waitress, "time", SimpleNamespace(time=lambda: began + 9))
        line.sendall(b"x")
        while not found[0].request.body_bytes_received:
            assert found[0].connected
        first.maintenance(began + 9)
        assert not found[0].will_close
        first.maintenance(began + 11)
        assert found[0].will_close
        first.pull_trigger()
        assert line.recv(1) == b""


def test_a_server_that_is_closed_has_nothing_more_to_say(caplog):
    """What it said of requests under way used to come after `stopped`."""
    asked, go_on = threading.Event(), threading.Event()

    def ready():
        asked.set()
        return go_on.wait(60)

    made = Server(Pages(Metrics(), alive=bool, ready=ready, late=list, webhook=None), "127.0.0.1", 0)
    before = {one for one in threading.enumerate() if one.name.startswith(("waitress", "placet-http"))}
    (port,) = (int(one.effective_port) for one in made.sockets)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert asked.wait(60)
        closer = threading.Thread(target=made.close)
        closer.start()
        closer.join(0.2)
        go_on.set()
        closer.join(60)
    assert before and not any(one.is_alive() for one in before)
    assert caplog.records == []


def test_nothing_is_written_after_the_last_word(monkeypatch, caplog):
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextLines())
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    caplog.set_level(logging.INFO, "placet.agent")
    late = logging.getLogger("placet.late")
    with handler.lock:  # one has been let through already, and waits for its turn
        waiting = threading.Thread(target=late.warning, args=("said before",))
        waiting.start()
        waiting.join(0.1)
        say_last("stopped")
    waiting.join(60)
    late.warning("said after")
    assert not waiting.is_alive()
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["stopped"]


def test_a_lane_without_a_sign_of_life_is_said_once_and_when_it_is_over(caplog):
    caplog.set_level(logging.INFO, "placet.agent")
    clock, seen = Clock(), []

    def run(_client, _desk):
        for now, more in ((50.0, 0), (99.0, 1), (190.0, 0), (200.0, 0), (201.0, 0)):
            clock.now = now
            one.progress.advance(more)
            one.judge(100.0)
            seen.append((one.late(100.0), value(one.desk.metrics, "lane_overdue", lane="announce")))

    one = lane(Job("announce", run, apart=True), clock=clock)
    assert not one.late(100.0)
    one.cycle()
    assert seen == [(False, 0), (False, 0), (False, 0), (True, 1), (True, 1)]
    assert one.desk.board.told()[0]["lane announce"].kind == "lane-overdue"
    one.judge(100.0)
    assert value(one.desk.metrics, "lane_overdue", lane="announce") == 0
    assert one.desk.board.told()[0]["lane announce"] is None
    assert [record.getMessage() for record in caplog.records] == ["overdue", "job-done", "moving"]


def test_what_a_job_could_not_do_though_it_went_on_is_a_trouble(caplog):
    answers = [Unavailable("x", kind="forge-unreachable"), None]

    def run(_client, desk):
        desk.note("pull requests", [None, answers.pop(0)])

    one = lane(Job("announce", run, apart=True))
    one.cycle()
    assert one.outcome["announce"].kind == "forge-unreachable"
    assert one.desk.board.told()[0]["pull requests"].kind == "forge-unreachable"
    one.cycle()
    assert (one.outcome["announce"], one.desk.board.told()[0]["pull requests"]) == (None, None)
    results = [
        value(one.desk.metrics, "job_runs_total", job="announce", result=one_) for one_ in ("failed", "ok")
    ]
    assert results == [1, 1]


def test_what_the_settings_do_not_ask_for_is_not_done():
    ran = []
    one = lane(
        Job("lineage", lambda *_: ran.append(1), apart=True, wanted=lambda client: bool(client.waiting))
    )
    one.cycle()
    assert ran == [] and one.outcome == {} and not one.asks(Client()) and one.asks(Client(ONE))
    assert value(one.desk.metrics, "job_runs_total", job="lineage", result="ok") is None


def test_the_trouble_with_a_forge_is_over_when_the_settings_name_none_any_more():
    clients = [Forging(Unavailable("down", kind="forge-unreachable")), Forging()]
    for client, forge in zip(clients, (object(), None), strict=True):
        client.settings = SimpleNamespace(forge=forge)
    (job,) = [one for one in jobs_of(AgentForm()) if one.name == "announce"]
    one = Lane(desk(Clock()), [job], lambda _: clients.pop(0), threading.Event())
    one.cycle()
    assert one.desk.board.told()[0]["pull requests"].kind == "forge-unreachable"
    one.reload()
    one.cycle()
    assert clients == [] and not any(one.desk.board.told()[0].values())


def test_events_are_one_line_each(caplog):
    caplog.set_level(logging.INFO, "placet.agent")
    say("deferred", workspace="/w", error="two\nlines \x1b[31m", why="", retry_s=5)
    logging.getLogger("other").warning("of %s", "another part")
    first, second = caplog.records
    found = json.loads(JsonLines().format(first))
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "warning", "event": "deferred", "workspace": "/w", "error": "two\nlines \x1b[31m", "retry_s": 5
    }  # fmt: skip
    assert json.loads(JsonLines().format(second))["text"] == "of another part"
    assert (
        TextLines()
        .format(first)
        .endswith(r'WARNING deferred workspace="/w" error="two\nlines \u001b[31m" retry_s=5')
    )
    assert "\n" not in JsonLines().format(first) + TextLines().format(first)
    with pytest.raises(KeyError):
        say("not-an-event")
    assert all(event == event.lower() for event in EVENTS)


def test_settings_of_the_agent(tmp_path):
    (tmp_path / "placet.toml").write_text('node = "a"\n[agent]\nlisten = "9465"\nworkspaces = ["x"]\n')
    env = {"PLACET_AGENT_INTERVAL": "2.5", "PLACET_AGENT_LOG": "json"}
    form = load_settings(tmp_path, env).agent
    assert (form.interval, form.log, form.place, form.workspaces) == (
        2.5,
        "json",
        ("127.0.0.1", 9465),
        ("x",),
    )
    assert load_settings(tmp_path, {}).agent.interval == 5
    assert read_agent({"listen": "[::1]:80"}).place == ("::1", 80)
    assert read_agent({"listen": 9465}).place == ("127.0.0.1", 9465)
    assert read_agent({}).place is None
    for bad in (
        {"listen": "a/b:1"},
        {"listen": -1},
        {"listen": True},
        {"interval": 0},
        {"nothing": 1},
        {"log": "xml"},
        {"workspaces": "x"},
        3,
    ):
        with pytest.raises(Invalid) as caught:
            read_agent(bad)
        assert caught.value.kind == "settings"


def test_a_credential_as_systemd_or_kubernetes_hand_it_over_is_readable_and_no_other(tmp_path, monkeypatch):
    file = tmp_path / "secret"
    file.write_bytes(b"x")
    for mode, owner, group, me, good in (
        (0o440, 0, 0, 9, True), (0o440, 0, 0, 0, False), (0o440, 7, 7, 9, False), (0o444, 0, 0, 9, False),
        (0o400, 7, 7, 9, True), (0o440, 0, 9, 9, True), (0o440, 0, 8, 9, False), (0o444, 0, 9, 9, False),
    ):  # fmt: skip
        found = SimpleNamespace(st_mode=stat.S_IFREG | mode, st_uid=owner, st_gid=group)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", lambda _, found=found: found)
            patch.setattr(os, "geteuid", lambda me=me: me)
            if good:
                assert read_secret(file) == b"x"
            else:
                with pytest.raises(Refused):
                    read_secret(file)


def test_usage(site):
    site.configure('webhook_secret = "short"')
    (site.folder / "short").write_text("short\n")
    (site.folder / "short").chmod(0o600)
    for argv, code, kind in (
        (("--workspace", ".", "--workspace", str(site.folder)), 2, "settings"),
        (("--listen", "x/y:z"), 2, "settings"),
        ((), 2, "webhook-secret"),
    ):
        assert json.loads(site.run("agent", "--json", *argv, expect=code).stdout)["kind"] == kind


class Forging:
    """A client whose forge does what the test says."""

    def __init__(self, pages=(), seen=()):
        self.pages, self.seen, self.shown = pages, seen, []

    def announce(self, shown):
        self.shown.append(shown)
        if isinstance(self.pages, Exception):
            raise self.pages
        return self.pages

    def witness(self):
        return self.seen

    def close(self):
        pass


def test_a_forge_that_fails_is_tried_again_and_fails_no_job(caplog):
    caplog.set_level("INFO", "placet.agent")
    down = Unavailable("down", kind="forge-unreachable")
    good = Page("a" * 32, "https://x", changed=True)
    desk = Desk("x", Metrics(), Clock(), lambda: False)
    assert announce(Forging([good]), desk) is None
    assert announce(Forging([good, Page("b" * 32, None, changed=False, error=down)]), desk) == 60
    assert announce(Forging(down), desk) == 60
    same = Forging([Page("a" * 32, "https://x", changed=False)])
    assert announce(same, desk) is None
    assert same.shown == [desk.shown]
    assert [one.getMessage() for one in caplog.records] == ["page", "page", "page-failed", "page-failed"]


def test_pull_requests_that_were_stopped_are_no_failure_of_the_forge(caplog):
    caplog.set_level("INFO", "placet.agent")
    desk = Desk("x", Metrics(), Clock(), lambda: True)
    with pytest.raises(Unavailable):
        announce(Forging(Unavailable("told to stop", kind="stopped")), desk)
    assert (caplog.records, desk.failed, desk.board.told()) == ([], [], ({}, ()))


def test_the_witness_says_what_it_noted(caplog):
    caplog.set_level("INFO", "placet.agent")
    desk = Desk("x", Metrics(), Clock(), lambda: False)
    noted = Witnessed("a" * 32, (Noted("bob", 7, "approve", "0" * 64),))
    assert witness(Forging(seen=[noted]), desk) is None
    (record,) = caplog.records
    assert record.fields == {
        "workspace": "x", "proposal": "a" * 32, "person": "bob", "review": 7, "verdict": "approve",
    }  # fmt: skip
    failed = Witnessed("b" * 32, (), Refused("no", kind="push-refused"))
    assert witness(Forging(seen=[failed]), desk) == 60
    assert caplog.records[-1].getMessage() == "not-witnessed"


def test_a_webhook_wakes_who_hears_it_and_no_scrub():
    woken = []
    stop = threading.Event()
    desk = Desk("x", Metrics(), Clock(), stop.is_set)
    lanes = [
        Lane(desk, [Job("witness", lambda *_: None, every_s=30.0, hears=True)], None, stop),
        Lane(desk, [Job("scrub", lambda *_: None, every_s=30.0)], None, stop),
    ]
    for lane in lanes:
        lane.hear()
        woken.append(lane._wake.is_set())
    assert woken == [True, False]
