"""Others' clients against hostile servers: whatever one answers, it costs bounded time and memory, and another process's."""

import contextlib
import os
import re
import resource
import signal
import threading
import time
from pathlib import Path

import msgspec
import pytest

import hostile
from placet.adapters.apart import Apart, Question
from placet.adapters.lineage_apart import LineageApart
from placet.adapters.mlflow_apart import MlflowApart
from placet.core.lineageevent import LineageEvent
from placet.errors import Invalid, PlacetError, Unavailable

EVENT = LineageEvent(
    "published", 0, "0193c1d2-0000-7000-8000-000000000001", "2026-11-24T10:01:00Z", "placet://x", "job", "text",
    "ab" * 16, "cd" * 32, "tier", (), (), None, "", "", (),
)  # fmt: skip
ENV = {"PATH": os.environ["PATH"], "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
_START_S = 60


@pytest.fixture
def frugal():
    """This process takes no more memory than it had, and one that asks less than 1 GiB, though the servers send gigabytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peaks, over = [0], threading.Event()
    watch = threading.Thread(target=_watch, args=(peaks, over))
    watch.start()
    yield
    over.set()
    watch.join()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    assert 1 << 10 < max(peaks) < 1 << 20


def _watch(peaks, over):
    """The highest memory in KiB of each process that asks, again and again; what it was before it became that is not counted."""
    while not over.wait(0.02):
        for pid in {
            pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()
        }:
            with contextlib.suppress(OSError):
                if b"placet.adapters.apart" in Path("/proc", pid, "cmdline").read_bytes():
                    status = Path("/proc", pid, "status").read_text()
                    peaks += map(int, re.findall(r"VmHWM:\s+(\d+)", status))


def given_up(call, seconds):
    """The error of a call that ends in time."""
    began = time.monotonic()
    with pytest.raises(PlacetError) as caught:
        call()
    assert time.monotonic() - began < seconds + _START_S
    return caught.value


def test_mlflow_answers_without_end(frugal):
    with hostile.hostile(hostile.endless_body) as url, MlflowApart(url, None, ENV, ask_s=50) as server:
        error = given_up(lambda: server.versions(None), 50)
    assert error.kind in {"mlflow-answer", "mlflow-unreachable"}
    assert "within" not in error.why, "by its bound on memory, long before its time is over"


@pytest.mark.parametrize("behave", [hostile.dripping_headers, hostile.later], ids=lambda one: one.__name__)
def test_mlflow_answers_without_hurry(behave, frugal):
    env = ENV | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
    with hostile.hostile(behave) as url, MlflowApart(url, None, env, ask_s=2, whole_s=2) as server:
        error = given_up(lambda: server.versions(None), 2)
        assert (error.kind, error.why) == ("mlflow-unreachable", "It did not answer within 2 s.")
        began = time.monotonic()
        error = given_up(lambda: server.set_alias("m", "published", "1"), 0)
        assert time.monotonic() - began < 0.1, "all together have their time too"
        assert "longer than 2 s" in error.why


def test_mlflow_answers_nonsense():
    with hostile.hostile(hostile.nonsense) as url, MlflowApart(url, None, ENV) as server:
        with pytest.raises(Invalid) as caught:
            server.versions(None)
        assert caught.value.kind == "mlflow-answer"


@pytest.mark.parametrize(
    ("behave", "slow"),
    [(hostile.bomb, False), (hostile.endless_redirect, False), (hostile.dripping_body, True)],
    ids=["bomb", "endless_redirect", "dripping_body"],
)
def test_a_lineage_backend_answers_without_end_or_hurry(behave, slow, frugal):
    with hostile.hostile(behave) as url:
        sink = LineageApart(url, "api/v1/lineage", "key", 1 if slow else 30, ENV)
        error = given_up(lambda: sink.send(EVENT), 3 if slow else 61)
        sink.close()
    assert (type(error), error.kind) == (Unavailable, "lineage-unreachable")
    assert ("did not answer within 3 s" in error.why) == slow


def test_a_process_that_was_ended_is_followed_by_another():
    with Apart("builtins:dict", environ=ENV) as apart:
        with pytest.raises(ConnectionError):
            apart.ask(int, 10, "none")
        first = apart._process
        with pytest.raises(ConnectionError):
            apart.ask(int, 10, "none")
        assert first is None and apart._process is None


def test_it_ends_by_itself_where_nobody_is_left_to_end_it():
    with hostile.hostile(hostile.silent) as url:
        apart = Apart("placet.adapters.openlineage:open_http", url, "x", None, 60, environ=ENV)
        channel, process = apart._started(), apart._process
        channel.send_bytes(msgspec.json.encode(Question("send", [msgspec.to_builtins(EVENT)], 0.5)))
        assert process.wait(30) == -signal.SIGALRM
        apart.close()
