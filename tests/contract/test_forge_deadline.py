"""A forge that sends on and on, ever so slowly: each call of the port ends in time, by real servers on loopback."""

import inspect
import socket
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import httpcore
import pytest

from dripping import LINE, Server, slow
from placet.adapters.forge import deadline
from placet.adapters.forge.deadline import bounded, within
from placet.adapters.forge.gitea import GiteaForge
from placet.adapters.forge.github import GitHubForge
from placet.adapters.forge.github_auth import AppTokens
from placet.adapters.forge.http import ForgeHttp, Place
from placet.adapters.httpdate import server_time
from placet.errors import Unavailable
from placet.ports import Commission, Forge

WHOLE_S, SOON_S = 0.3, 3.0
COMMISSION = Commission(main="main", published=("published",), status="placet", agents=("bot",), owners=(7,))
ARGUMENTS = {
    "opened": ("1", "proposals/1", "title", "body"),
    "pull": ("proposals/1",),
    "reviews": (1,),
    "remarks": (1,),
    "request": (1, [7]),
    "status": ("1" * 40, "pending", "text"),
    "comment": (1, "text"),
    "close": (1,),
    "merge": ("proposals/1", "1" * 40),
    "ensure": (),
    "protect": (COMMISSION,),
    "holes": (COMMISSION,),
    "pushers": (COMMISSION,),
}


def honest(body):
    """Answers at once, as often as it is asked on a connection."""
    answer = LINE + b"content-length: %d\r\n\r\n%s" % (len(body), body)

    def pieces(client):
        while client.recv(1 << 16):
            yield answer

    return pieces


@contextmanager
def in_time():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_S


def place(server, scheme="http", **changes):
    return Place(f"{scheme}://{server.url}", dict, lambda: datetime.now(UTC), whole_s=WHOLE_S, **changes)


def asked(make, server):
    return closing(ForgeHttp(make(server)))


def test_every_call_of_the_port_is_asked_here():
    names = [name for name, one in inspect.getmembers(Forge, inspect.isfunction) if not name.startswith("_")]
    assert set(names) == ARGUMENTS.keys()


@pytest.mark.parametrize("kind", ["gitea", "github"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_each_call_ends_in_time(kind, name):
    with closing(Server(slow("header"))) as server, asked(place, server) as http:
        forge = GiteaForge(http, "study", "ctrl") if kind == "gitea" else GitHubForge(http, "study/ctrl")
        with in_time(), pytest.raises(Unavailable) as caught:
            getattr(forge, name)(*ARGUMENTS[name])
        assert caught.value.kind == "forge-unreachable"
        assert "in all" in caught.value.why


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("what", ["header", "headers", "body", "chunks", "nothing"])
def test_whatever_is_slow_of_an_answer(what, method):
    with closing(Server(slow(what))) as server, asked(place, server) as http:
        with in_time(), pytest.raises(Unavailable) as caught:
            http.call(method, "things", body={})
        assert "in all" in caught.value.why
        assert server.clients == 1, "it is not asked again when the time is over"


def test_a_connection_that_was_good_before():
    def first_fast(client):
        yield from (part for part, _ in zip(honest(b"{}")(client), range(1), strict=False))
        client.recv(1 << 16)
        yield from slow("header")(client)

    with closing(Server(first_fast)) as server, asked(place, server) as http:
        assert http.call("GET", "things").body == b"{}"
        with in_time(), pytest.raises(Unavailable):
            http.call("GET", "things")
        assert server.clients == 1


def test_a_forge_that_does_not_read():
    """What is sent is more than the system keeps for a peer that takes nothing."""
    with closing(Server(slow("nothing"))) as server, asked(place, server) as http:
        with in_time(), pytest.raises(Unavailable):
            http.call("PATCH", "things", body={"text": "x" * (12 << 20)})
        assert server.clients == 1


@pytest.mark.parametrize("what", ["nothing", "handshake"])
def test_a_handshake_that_does_not_end(what):
    """TLS begins, and the other side says nothing; or no more than the beginning of a record."""
    with closing(Server(slow(what))) as server, asked(lambda one: place(one, "https"), server) as http:
        with in_time(), pytest.raises(Unavailable) as caught:
            http.call("GET", "things")
        assert "in all" in caught.value.why


def test_a_proxy_that_drips():
    with closing(Server(slow("header"))) as server:
        far = Place(
            "https://forge.example.org", dict, lambda: datetime.now(UTC), proxy=f"http://{server.url}",
            whole_s=WHOLE_S,
        )  # fmt: skip
        with asked(lambda _: far, server) as http, in_time(), pytest.raises(Unavailable):
            http.call("GET", "things")
        assert server.clients == 1


def test_many_answers_none_of_which_is_slow():
    """Each page comes at once, and there is always one more."""
    body = b'[{"id": 1, "state": "COMMENT", "submitted_at": "2026-11-24T10:00:00Z"}]'
    link = b'link: <x?page=2>; rel="next"\r\n'

    def pages(client):
        while client.recv(1 << 16):
            time.sleep(0.02)
            yield LINE + link + b"content-length: %d\r\n\r\n%s" % (len(body), body)

    with closing(Server(pages, 0)) as server, asked(place, server) as http:
        with in_time(), pytest.raises(Unavailable) as caught:
            GiteaForge(http, "study", "ctrl").reviews(1)
        assert "in all" in caught.value.why


def test_waiting_counts():
    """Tries, and what is waited for between them: nobody sleeps until the time is over."""
    slept = []
    answer = b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n"

    def failing(client):
        while client.recv(1 << 16):
            yield answer

    def short(server):
        return place(server, sleep=slept.append)

    with closing(Server(failing, 0)) as server, asked(short, server) as http:
        with within(0.05), in_time(), pytest.raises(Unavailable) as caught:
            http.call("GET", "things")
        assert (slept, "in all" in caught.value.why) == ([], True)
        with pytest.raises(Unavailable), within(0.0):
            http.pause(0.1)


def test_the_first_end_counts_and_nothing_is_left_over():
    class Slow:
        whole_s = 5.0

        @bounded
        def left(self):
            return deadline.left_s()

    with within(1.0):
        assert 0 < Slow().left() <= 1
    assert 4 < Slow().left() <= 5
    assert deadline.left_s() == float("inf")


def test_a_name_of_many_addresses(monkeypatch):
    """One after the other until one takes it; what none takes, and what has none, cannot be reached."""
    with closing(Server(honest(b"{}"))) as server:
        host, _, port = server.url.partition(":")
        with socket.create_server(("127.0.0.1", 0)) as free:
            closed = free.getsockname()[1]

        def addresses(name, number, *_, **__):
            found = {"many": [("127.0.0.2", number), (host, number)], "none": []}.get(name, [(name, number)])
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", one) for one in found]

        monkeypatch.setattr(deadline.socket, "getaddrinfo", addresses)
        backend = deadline._Backend(httpcore.SyncBackend())
        with closing(backend.connect_tcp("many", int(port), 1.0)) as stream:
            assert stream.get_extra_info("server_addr")[0] == host
        for name, number in (("many", closed), ("none", closed)):
            with pytest.raises(httpcore.ConnectError):
                backend.connect_tcp(name, number, 1.0)


def test_a_host_that_is_no_name():
    place = Place(f"http://{'x' * 70}.example.org", dict, lambda: datetime.now(UTC), sleep=lambda _: None)
    with closing(ForgeHttp(place)) as http, pytest.raises(Unavailable):
        http.call("GET", "things")


def test_a_servers_time_is_not_waited_for_longer():
    with closing(Server(slow("header"))) as server, in_time():
        assert server_time(f"http://{server.url}", WHOLE_S) is None


def test_a_token_that_another_thread_asks_for_is_not_waited_for_longer():
    """The other thread's own call began later, so it may take longer than what is left here."""
    with closing(Server(slow("header"))) as server:
        slower = ForgeHttp(replace(place(server), whole_s=SOON_S))
        with closing(slower):
            tokens = AppTokens(slower, "study/ctrl", lambda: datetime.now(UTC))
            failed = []

            def other():
                with pytest.raises(Unavailable) as caught:
                    tokens()
                failed.append(caught.value)

            thread = threading.Thread(target=other)
            thread.start()
            while not tokens._lock.locked():
                time.sleep(0.01)
            began = time.monotonic()
            with pytest.raises(Unavailable) as caught, within(WHOLE_S):
                tokens()
            assert time.monotonic() - began < SOON_S / 2
            assert caught.value.kind == "forge-unreachable"
            assert thread.is_alive()
            thread.join()
            assert failed
