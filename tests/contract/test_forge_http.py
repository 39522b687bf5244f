"""The client that all forges share: bounds, pages, rate limits, redirections, secrets; against a server of odd habits."""

import json
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from placet.adapters.forge.answer import Answer, cut, rate_limit, seconds
from placet.adapters.forge.http import ForgeHttp, Place
from placet.errors import Conflict, Invalid, NotFound, PlacetError, Refused, Unavailable

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
TOKEN = "sekret-token-0123456789"
BASE = "https://forge.example.org/api/v1"


class Thing(msgspec.Struct):
    id: int


class Server:
    """Answers by a script, one entry a request; the last one again and again."""

    def __init__(self, *script):
        self.script = list(script)
        self.requests = []
        self.slept = []
        place = Place(BASE, lambda: {"authorization": f"token {TOKEN}"}, lambda: NOW, sleep=self.slept.append)
        self.http = ForgeHttp(place, httpx.MockTransport(self.handle))

    def handle(self, request):
        self.requests.append(request)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


def ok(body, **headers):
    return httpx.Response(
        200, json=body, headers={key.replace("_", "-"): one for key, one in headers.items()}
    )


def failed(server, method="GET", path="things"):
    with pytest.raises(PlacetError) as caught:
        server.http.call(method, path)
    return caught.value


def test_the_token_goes_to_the_forge_and_into_no_error():
    server = Server(httpx.Response(403, json={"message": f"you sent token {TOKEN}"}))
    error = failed(server)
    assert server.requests[0].headers["authorization"] == f"token {TOKEN}"
    assert isinstance(error, Refused)
    assert (error.kind, TOKEN in str(error), "you sent" in error.why) == ("forge-refused", False, True)
    assert TOKEN not in repr(server.http._place)


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example.org/api/v1/things",
        "http://forge.example.org/api/v1/things",
        "https://forge.example.org:444/api/v1/things",
        "//evil.example.org/things",
        "https://forge.example.org@evil.example.org/",
        "https://[broken/",
    ],
)
def test_no_redirection_to_another_origin_is_followed(where):
    server = Server(httpx.Response(302, headers={"location": where}))
    error = failed(server)
    assert (error.kind, len(server.requests)) == ("forge-answer", 1)


def test_a_moved_repository_is_found():
    server = Server(httpx.Response(301, headers={"location": "/api/v1/elsewhere"}), ok({"id": 7}))
    assert server.http.get("things", Thing).id == 7
    assert str(server.requests[1].url) == "https://forge.example.org/api/v1/elsewhere"
    moved = httpx.Response(307, headers={"location": f"{BASE}/elsewhere"})
    server = Server(moved, ok({}))
    server.http.call("POST", "things", body={"a": 1})
    assert (server.requests[1].method, server.requests[1].content) == ("POST", b'{"a": 1}')
    assert (
        failed(Server(httpx.Response(302, headers={"location": f"{BASE}/x"})), "POST").kind == "forge-answer"
    )
    circle = Server(httpx.Response(301, headers={"location": f"{BASE}/things"}))
    assert failed(circle).kind == "forge-answer"
    assert len(circle.requests) == 4


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, Refused, "forge-refused"),
        (403, Refused, "forge-refused"),
        (404, NotFound, "forge-missing"),
        (409, Conflict, "forge-conflict"),
        (422, Refused, "forge-refused"),
        (500, Unavailable, "forge-unreachable"),
        (503, Unavailable, "forge-unreachable"),
    ],
)
def test_statuses_are_errors_of_ours(status, error, kind):
    found = failed(Server(httpx.Response(status, json={"message": "it says\nso\x1b[31m"})))
    assert (type(found), found.kind, found.why) == (error, kind, "it says so [31m")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"id": "seven"}',
        b'{"id": 1e400}',
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_an_answer_of_another_form_is_refused(body):
    server = Server(httpx.Response(200, content=body))
    with pytest.raises(Invalid) as caught:
        server.http.get("things", Thing)
    assert caught.value.kind == "forge-answer"


def test_an_answer_without_end_is_not_read():
    def endless():
        while True:
            yield b"x" * (1 << 20)

    class Stream(httpx.SyncByteStream):
        def __iter__(self):
            return endless()

    assert failed(Server(httpx.Response(200, stream=Stream()))).kind == "forge-answer"
    squeezed = httpx.Response(200, content=b"x", headers={"content-encoding": "br"})
    assert "compressed" in failed(Server(squeezed)).why


def test_what_may_be_sent_again_is():
    server = Server(httpx.ReadTimeout("slow"), httpx.Response(502), ok({"id": 1}))
    assert server.http.get("things", Thing).id == 1
    assert len(server.slept) == 2
    assert failed(Server(httpx.ConnectTimeout("no"))).kind == "forge-unreachable"
    once = Server(httpx.ReadTimeout("slow"))
    assert failed(once, "POST").kind == "forge-unreachable"
    assert len(once.requests) == 1, "nobody knows whether the forge has taken it"
    refused = Server(httpx.ConnectError("refused"), ok({}))
    refused.http.call("POST", "things", body={})
    assert len(refused.requests) == 2


def test_a_short_rate_limit_is_waited_for_and_a_long_one_is_said():
    server = Server(httpx.Response(429, headers={"retry-after": "3"}), ok({"id": 1}))
    assert server.http.get("things", Thing).id == 1
    assert [round(one) for one in server.slept] == [3]
    server = Server(httpx.Response(429, headers={"retry-after": "1800"}))
    error = failed(server)
    assert (type(error), error.kind, error.details["retry_s"]) == (Unavailable, "forge-unreachable", 1800)
    assert failed(server).kind == "forge-unreachable"
    assert len(server.requests) == 1, "nothing is asked before it has ended"


def test_a_rate_limit_is_none_of_the_answers_that_a_caller_takes():
    """A caller that passes over 403, since somebody may not be asked, is told of a limit all the same."""
    server = Server(httpx.Response(403, headers={"retry-after": "600"}))
    with pytest.raises(Unavailable):
        server.http.call("POST", "things", body={}, good=(201, 403))
    plain = Server(httpx.Response(403, json={"message": "no"}))
    assert plain.http.call("POST", "things", body={}, good=(201, 403)).status == 403


@pytest.mark.parametrize(
    ("status", "headers", "message", "wait"),
    [
        (429, {}, "", 60),
        (429, {"retry-after": "7"}, "", 7),
        (429, {"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT"}, "", 30),
        (429, {"retry-after": "soon"}, "", 60),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 90)}, "", 91),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "never"}, "", 60),
        (403, {"x-ratelimit-remaining": "5"}, "You have exceeded a secondary rate limit", 60),
        (403, {"x-ratelimit-remaining": "5"}, "Must have admin rights", None),
        (503, {"retry-after": "5"}, "", 5),
        (503, {}, "", None),
        (200, {"x-ratelimit-remaining": "0"}, "", None),
    ],
)
def test_rate_limits_are_known_by_what_they_say(status, headers, message, wait):
    answer = Answer(status, headers, json.dumps({"message": message}).encode())
    assert rate_limit(answer, NOW) == wait


def test_pages_follow_the_query_of_a_link_and_no_host():
    link = '<https://evil.example.org/steal?page=2&limit=1>; rel="next", <https://x/?page=9>; rel="last"'
    server = Server(ok([{"id": 1}], link=link), ok([{"id": 2}]))
    assert [one.id for one in server.http.pages("things", Thing, {"limit": 1, "state": "all"})] == [1, 2]
    assert [str(one.url) for one in server.requests] == [
        f"{BASE}/things?limit=1&state=all",
        f"{BASE}/things?limit=1&state=all&page=2",
    ]


def test_a_link_that_is_none_is_passed_over():
    for link in ("", "<", '<https://[x?page=2>; rel="prev"', "rel=next", "<?page=2>; rel=prev; rel=nextish"):
        assert [one.id for one in Server(ok([{"id": 1}], link=link)).http.pages("things", Thing, {})] == [1]


def test_pages_go_on_while_the_count_says_so():
    pages = [ok([{"id": 1}, {"id": 2}], x_total_count="3"), ok([{"id": 3}], x_total_count="3")]
    server = Server(*pages)
    assert [one.id for one in server.http.pages("things", Thing, {})] == [1, 2, 3]
    assert len(server.requests) == 2
    short = Server(ok([{"id": 1}], x_total_count="3"), ok([], x_total_count="3"))
    assert [one.id for one in short.http.pages("things", Thing, {})] == [1], "a page that hides something"


def test_pages_without_end_are_refused():
    link = '<https://forge.example.org/x?page=2>; rel="next"'
    for page in (ok([], link=link), ok([{"id": 1}] * 400, link=link)):
        with pytest.raises(Invalid) as caught:
            list(Server(page).http.pages("things", Thing, {}))
        assert caught.value.kind == "forge-answer"


def test_what_was_seen_before_is_asked_for_by_its_tag():
    server = Server(
        ok({"id": 1}, etag='"a"'), httpx.Response(304), ok({"id": 2}, etag='"b"'), httpx.Response(304)
    )
    assert [server.http.get("things", Thing).id for _ in range(4)] == [1, 1, 2, 2]
    assert [one.headers.get("if-none-match") for one in server.requests] == [None, '"a"', '"a"', '"b"']
    server.http.close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-24T11:00:00+01:00", "2026-11-24T10:00:00Z"),
        ("2026-11-24T10:00:00.999Z", "2026-11-24T10:00:00Z"),
        ("2026-11-24T10:00:00", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_times_are_written_as_ours(text, found):
    if found is None:
        with pytest.raises(Invalid):
            seconds(text)
    else:
        assert seconds(text) == found


def test_text_is_cut_on_one_line():
    assert cut("a\n b", 10) == "a b"
    assert cut("x" * 11, 10) == "x" * 7 + "..."


def test_certificates_that_cannot_be_read(tmp_path):
    with pytest.raises(Invalid) as caught:
        ForgeHttp(Place(BASE, dict, lambda: NOW, ca=str(tmp_path / "none.pem")))
    assert caught.value.kind == "settings"
