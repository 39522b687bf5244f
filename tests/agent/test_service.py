"""The agent as a real process: it promotes, is woken, is told to stop, and one workspace does not stop another."""

import contextlib
import hmac
import http.client
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import mailboxes
from agent.site import Agent, Site, ask
from governance.lab import PUBLISHED, TIER
from placet.core import layout
from placet.core.digest import digest, md5_hex
from placet.testing.trouble import Call, Hang, Rule, TroubleProxy

SECRET = b"0123456789abcdef0123456789abcdef"
DATA = "files/md5"


@pytest.fixture
def slow(site):
    """The site, whose internal tier answers to a GET of data only when it is let go."""
    with TroubleProxy(site.remotes["internal-storage"]["endpointurl"]) as proxy:
        site.remotes["internal-storage"] |= {"endpointurl": proxy.endpoint}
        site.configure()
        site.proxy, site.reached, site.free = proxy, threading.Event(), threading.Event()
        site.hold = Rule(Call(lambda _: (site.reached.set(), site.free.wait(60))), method="GET", key=DATA)
        proxy.meet(site.hold)
        yield site
        site.free.set()


def metric(port, name):
    found = re.search(rf"^placet_agent_{name}(?:\{{.*\}})? (\S+)$", ask(port, "/metrics")[1], re.MULTILINE)
    return float(found[1])


def announce(port, length):
    """The status for a webhook that says how long its body is, and does not send it."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(line):
        line.putrequest("POST", "/webhook")
        line.putheader("Content-Length", str(length))
        line.endheaders()
        with line.getresponse() as answer:
            return answer.status


def entries(site):
    return len(site.lab.view().publications[TIER].entries)


def test_it_promotes_what_lands_tells_systemd_and_reads_settings_again(site):
    first = site.land()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.settimeout(60)
        told.bind(str(site.lab.folder / "n"))
        with Agent(
            site, "--interval", "0.2", "--listen", "0", NOTIFY_SOCKET=str(site.lab.folder / "n")
        ) as agent:
            port = agent.wait("listening")["port"]
            assert agent.wait("published")["proposal"] == first
            second = site.land("outputs/b.csv", b"b\n1\n")
            found = agent.wait("published")
            assert (found["proposal"], found["state"], found["objects"], found["bytes"]) == (
                second,
                "PUBLISHED",
                1,
                4,
            )
            assert (ask(port, "/healthz"), ask(port, "/readyz")) == ((200, "ok\n"), (200, "ok\n"))
            assert metric(port, 'promotions_total{result="published",.*') == 2
            agent.send(signal.SIGHUP)
            agent.wait("reloaded")
            agent.wait("job-done")
            site.configure("listen = 7", node="Not a name")
            agent.send(signal.SIGHUP)
            agent.wait("reload-failed")
            agent.wait("job-done")
            deadline, runs, before = time.monotonic() + 60, 0, -1
            while runs != before:  # each lane ends what it began; then looks alone start no job
                assert time.monotonic() < deadline
                looks, before = (
                    metric(port, f'{one}_total{{.*result="ok".*') for one in ("looks", "job_runs")
                )
                while metric(port, 'looks_total{.*result="ok".*') < looks + 4:
                    pass
                runs = metric(port, 'job_runs_total{.*result="ok".*')
            assert [metric(port, f"{one}_proposals") for one in ("waiting", "quarantined")] == [0, 0]
            assert agent.stop() == 0
        assert [one["event"] for one in agent.events[-2:]] == ["stopping", "stopped"]
        heard = {told.recv(99).decode()}
        while "STOPPING=1" not in heard:
            heard.add(told.recv(99).decode())
        assert {"READY=1", "WATCHDOG=1"} <= heard


def test_a_stop_during_a_promotion_ends_it_at_its_next_step(slow):
    ident = slow.land()
    with Agent(slow, "--interval", "0.2") as agent:
        assert agent.wait("promoting")["proposal"] == ident
        assert slow.reached.wait(60)
        agent.send(signal.SIGTERM)
        agent.wait("stopping")
        slow.free.set()
        assert agent.end() == 0
        assert agent.told("interrupted")
    assert entries(slow) == 1
    assert slow.run("agent", "--once").returncode == 0
    assert entries(slow) == 2


@pytest.mark.parametrize(("signals", "code"), [(1, 3), (2, 128 + signal.SIGINT)])
def test_what_hangs_is_cut_off_in_time_or_by_a_second_signal(slow, signals, code):
    slow.land()
    slow.proxy.meet(Rule(Hang(), method="GET", key=DATA))
    slow.configure(f"stop = {0.1 if signals == 1 else 600}\nlog = 'json'")
    with Agent(slow) as agent:
        agent.wait("promoting")
        agent.send(signal.SIGINT)
        agent.wait("stopping")
        if signals == 2:
            agent.send(signal.SIGINT)
        assert agent.end() == code
        assert bool(agent.told("cut-off")) == (signals == 1)
    assert entries(slow) == 1


SERVICE = """
import concurrent.futures, logging, os, signal, threading, time
from pathlib import Path
from placet.agent.jobs import Job
from placet.agent.service import Service
from placet.core.agentform import AgentForm

def second_signal(client, desk):
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
    while not desk.ending():
        time.sleep(0.01)
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    threading.Event().wait()

def left_over(client, desk):
    concurrent.futures.ThreadPoolExecutor(1).submit(threading.Event().wait)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

logging.basicConfig(level=logging.INFO)
job = Job("x", globals()[{name!r}], every_s=0.1)
form = AgentForm(stop={stop})
raise SystemExit(Service([Path.cwd()], form, environ={{}}, jobs=[job]).run())
"""


@pytest.mark.parametrize(("name", "stop", "code"), [("second_signal", 600.0, 130), ("left_over", 0.5, 3)])
def test_it_ends_in_time_whatever_thread_a_signal_meets_and_whatever_a_job_left_running(
    site, name, stop, code
):
    """The system may hand a signal to a thread that is not Python's main one, which then is not woken by it."""
    done = subprocess.run(
        [sys.executable, "-c", SERVICE.format(name=name, stop=stop)], cwd=site.folder, env=site.env, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1].endswith("cut-off") == (code == 3)


def test_a_lane_that_hangs_is_seen_and_told_and_keeps_neither_promotion_nor_the_end_waiting(site):
    with mailboxes.webhook() as (box, hook), socket.create_server(("127.0.0.1", 0)) as silent:
        (site.folder / "ops.url").write_text(f"json://127.0.0.1:{hook}/ops")
        (site.folder / "ops.url").chmod(0o600)
        site.configure(
            f'listen = "0"\ninterval = 0.2\noverdue = 3\nstop = 0.5\n[lineage]\n'
            f'url = "http://127.0.0.1:{silent.getsockname()[1]}"\n[notify]\npause = 1\n'
            f'[notify.targets.ops]\nurl_file = "{site.folder / "ops.url"}"\nevents = ["failing"]'
        )
        first = site.land()
        with Agent(site) as agent:
            port = agent.wait("listening")["port"]
            agent.wait("published", proposal=first)
            found = agent.wait("overdue", lane="lineage")
            assert found["level"] == "error" and found["idle_s"] >= 3
            late = f"ok\noverdue: lineage of {site.folder}\n"
            assert (ask(port, "/healthz"), ask(port, "/readyz")) == ((200, late), (200, late))
            lanes = r'lane_overdue{lane="%s",.*'
            assert [metric(port, lanes % one) for one in ("lineage", "promote")] == [1, 0]
            rounds = r'last_round_timestamp_seconds{lane="%s",.*'
            assert 0 < metric(port, rounds % "lineage") < metric(port, rounds % "promote")
            second = site.land("outputs/b.csv", b"b\n")
            agent.wait("published", proposal=second)
            assert "The agent fails: lane lineage." in box.wait(1)[0][2]["message"]
            began = time.monotonic()
            assert agent.stop() == 3
            assert time.monotonic() - began < 10
        assert agent.events[-1]["event"] == "cut-off" and agent.events[-1]["lanes"] == ["lineage"]


def test_a_webhook_wakes_it_if_its_signature_is_right(site):
    secret = site.folder / "webhook.secret"
    secret.write_bytes(SECRET + b"\n")
    secret.chmod(0o600)
    site.configure('listen = "0"\nwebhook_secret = "webhook.secret"\ninterval = 3600')

    def sign(body, key=SECRET):
        return hmac.new(key, body, "sha256").hexdigest()

    with Agent(site) as agent:
        port = agent.wait("listening")["port"]
        agent.wait("job-done")
        ident = site.land()
        looks = metric(port, 'looks_total{.*"ok".*')
        for body, headers in (
            (b"{}", {}),
            (b"{}", {"X_Hub_Signature_256": f"sha256={sign(b'{}', b'another secret')}"}),
            (b"{ }", {"X_Gitea_Signature": sign(b"{}")}),
        ):
            assert ask(port, "/webhook", body, **headers) == (403, "")
        assert announce(port, (1 << 20) + 1) == 413
        assert ask(port, "/webhook") == ask(port, "/other") == (404, "")
        assert metric(port, 'looks_total{.*"ok".*') == looks
        assert ask(port, "/webhook", b"{}", X_Hub_Signature_256=f"sha256={sign(b'{}')}") == (204, "")
        assert agent.wait("published")["proposal"] == ident
        second = site.land("outputs/b.csv", b"b\n")
        assert ask(port, "/webhook", b"{}", X_Hub_Signature_256=f"sha256={sign(b'{}')}") == (204, "")
        agent.wait("webhook", result="replayed")
        assert ask(port, "/webhook", b"{2}", X_Gitea_Signature=sign(b"{2}")) == (204, "")
        assert agent.wait("published")["proposal"] == second
        assert agent.stop() == 0
    assert len([one for one in agent.told("webhook") if one["result"] == "refused"]) == 3


@pytest.fixture
def others(seaweed, tmp_path):
    made = [Site.make(seaweed, tmp_path / name) for name in ("good", "broken")]
    yield made
    for one in made:
        one.lab.repo.close()


def test_one_broken_and_one_slow_workspace_do_not_stop_a_third(slow, others, tmp_path):
    good, broken = others
    broken.configure(ctrl=str(tmp_path / "nowhere.git"))
    late, ident = slow.land(), good.land()
    folders = ", ".join(f'"{one.folder}"' for one in (slow, broken, good))
    slow.configure(f"workspaces = [{folders}]\ninterval = 0.2\nscrub_hours = 0.002")
    with Agent(slow, "--listen", "0") as agent:
        port = agent.wait("listening")["port"]
        agent.ever("unreachable", workspace=str(broken.folder))
        agent.ever("published", workspace=str(good.folder), proposal=ident)
        assert slow.reached.wait(60)
        agent.ever("sound", workspace=str(slow.folder))
        assert (ask(port, "/healthz")[0], ask(port, "/readyz")[0]) == (200, 503)
        slow.free.set()
        assert agent.wait("published")["proposal"] == late
        broken.configure(ctrl=str(broken.lab.folder / "ctrl.git"))
        agent.send(signal.SIGHUP)
        assert agent.wait("reachable")["workspace"] == str(broken.folder)
        assert agent.stop() == 0


def test_what_is_refused_is_loud_and_keeps_nothing_else_back(site):
    data = b"a,b\n1,2\n"
    bad = site.land(data=data)
    site.source.put(layout.data_key(md5_hex(data)), [b"b,a\n1,2\n"], digest(b"b,a\n1,2\n"), overwrite=True)
    good = site.land("outputs/b.csv", b"b\n1\n")
    with Agent(site, "--interval", "0.2", "--listen", "0") as agent:
        port = agent.wait("listening")["port"]
        found = agent.wait("quarantined")
        assert (found["level"], found["proposal"], found["kind"]) == ("critical", bad, "digest-mismatch")
        assert 200 < found["retry_s"] < 400
        assert agent.wait("published")["proposal"] == good
        agent.wait("job-done")
        assert [metric(port, f"{one}_proposals") for one in ("waiting", "quarantined")] == [1, 1]
        site.lab.force(PUBLISHED, site.lab.commit(site.lab.tip(PUBLISHED), {"x": b"x"}))
        agent.wait("corrupt")
        assert (metric(port, "repository_corrupt"), ask(port, "/readyz")[0]) == (1, 503)
        assert agent.stop() == 0
    site.run("agent", "--once", expect=13)
