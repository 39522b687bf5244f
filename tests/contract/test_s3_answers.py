"""What an S3 service may answer, also when it is in trouble: a server on loopback that says what it is told."""

import base64
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from placet.adapters.objects import s3http
from placet.adapters.objects.multipart import Upload
from placet.adapters.objects.s3 import S3Store
from placet.adapters.objects.s3http import Service
from placet.adapters.objects.sigv4 import Credentials
from placet.core import layout
from placet.core.digest import digest
from placet.errors import Conflict, Corrupt, Refused, Unavailable
from placet.ports import StoreTraits

COPIES = StoreTraits(part_copy_sha256=True, verifies_sha256=True, conditional_complete=True)
BIG = digest(bytes(5 << 20))
DROP = "drop"


def error(code, status=500):
    return status, {}, f"<Error><Code>{code}</Code></Error>".encode()


def ok(body=b"", status=200, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"etag": '"e"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT", **named}, body


def copied(want):
    sum_ = base64.b64encode(bytes.fromhex(want.sha256)).decode()
    return ok(
        f"<CopyPartResult><ETag>e</ETag><ChecksumSHA256>{sum_}</ChecksumSHA256></CopyPartResult>".encode()
    )


STARTED = ok(b"<R><UploadId>u1</UploadId></R>")
DONE = ok(b"<CompleteMultipartUploadResult/>")


class Told(ThreadingHTTPServer):
    """Answers in the order of `answers`; keeps what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = []
        self.asked = []
        self.lock = threading.Lock()

    def store(self, bucket="b", key="AK", traits=COPIES):
        service = Service(
            endpoint=f"http://127.0.0.1:{self.server_port}", region="us-east-1", bucket=bucket,
            credentials=Credentials(key, "secret"), now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        return S3Store(service, "p", traits)

    def handle_error(self, request, client_address):
        """A client that hangs up is what some of these tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def said(self):
        return [f"{method} {path.split('=')[0]}" for method, path, _ in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self):
        self.rfile.read(int(self.headers.get("content-length", "0")))
        with self.server.lock:
            self.server.asked.append((self.command, self.path, dict(self.headers)))
            answer = self.server.answers.pop(0)
        if answer == DROP:
            self.close_connection = True
            return
        status, headers, body = answer
        (self.send_response_only if "date" in headers else self.send_response)(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")
        if int(headers.get("content-length", len(body))) != len(body):
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any  # noqa: N815 - the names that the base class calls

    def log_message(self, *_):
        return


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(s3http, "_wait", lambda _attempt: None)
    server = Told()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    assert server.answers == []


@pytest.mark.parametrize(
    "trouble",
    [
        DROP, error("SlowDown", 503), error("InternalError"), error("TooMany", 429), error("Bad", 502),
        error("Timeout", 504), error("ConditionalRequestConflict", 409),
    ],
)  # fmt: skip
def test_trouble_that_passes_is_tried_again(told, trouble):
    told.answers = [trouble, trouble, ok()]
    assert told.store().put("k", [b"x"], digest(b"x"))
    assert len(told.asked) == 3


@pytest.mark.parametrize("trouble", [DROP, error("SlowDown", 503), error("InternalError", 200)])
def test_trouble_in_an_upload_by_parts_is_tried_again(told, trouble):
    body = bytes(9 << 20)
    told.answers = [error("NoSuchKey", 404), trouble, STARTED, trouble, ok(), ok(), trouble, DONE]
    assert told.store().put("k", [body], digest(body))
    assert len(told.asked) == 8


def test_trouble_that_stays_ends(told):
    told.answers = [error("SlowDown", 503)] * 6
    with pytest.raises(Unavailable, match="SlowDown"):
        told.store().put("k", [b"x"], digest(b"x"))


def test_a_refusal_is_not_tried_again(told):
    told.answers = [error("AccessDenied", 403)]
    with pytest.raises(Refused):
        told.store().put("k", [b"x"], digest(b"x"))


def test_a_write_whose_answer_was_lost_is_not_claimed(told):
    """The second try meets the object of the first: False, so that the caller proves what is there."""
    told.answers = [DROP, error("PreconditionFailed", 412)]
    assert told.store().put("k", [b"x"], digest(b"x")) is False


def test_a_completion_whose_answer_was_lost_is_not_claimed(told):
    told.answers = [STARTED, copied(BIG), DROP, error("NoSuchUpload", 404)]
    with pytest.raises(Conflict) as caught:
        told.store().copy_from(told.store("source"), "k", BIG)
    assert caught.value.kind == "object-exists"


@pytest.mark.parametrize("trouble", [[], [DROP]])
@pytest.mark.parametrize("length", [1 << 18, 9 << 20])
def test_a_broken_read_goes_on_where_it_broke(told, trouble, length):
    first, size = bytes(range(256)) * (length >> 8), length + 4
    rest = ok(b"rest", status=206, content_range=f"bytes {length}-{size - 1}/{size}")
    told.answers = [ok(first, content_length=str(size)), *trouble, rest]
    assert b"".join(told.store().get("k")) == first + b"rest"
    assert told.asked[-1][2]["range"] == f"bytes={length}-{size - 1}"


def test_an_object_that_changed_while_it_was_read_is_not_mixed(told):
    first = bytes(9 << 20)
    size = len(first) + 4
    rest = ok(b"rest", status=206, content_range=f"bytes {len(first)}-{size - 1}/{size}", etag='"other"')
    told.answers = [ok(first, content_length=str(size)), rest]
    with pytest.raises(Unavailable):
        b"".join(told.store().get("k"))


def test_an_object_that_says_that_it_is_compressed_is_read_as_it_is(told):
    told.answers = [ok(b"no gzip", content_encoding="gzip")]
    assert b"".join(told.store().get("k")) == b"no gzip"


def listing(*keys, token=""):
    rows = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return ok(f"<ListBucketResult>{rows}{more}</ListBucketResult>".encode())


def test_a_listing_survives_the_odd_keys_of_others(told):
    """Keys that obstore cannot name do not hide the others, and nothing comes twice."""
    first = [f"p/f/a{number:03}" for number in range(1000)]
    told.answers = [listing(*first, token="more"), listing("p/f/b//c", "p/f/d"), listing("p/f/b//c", "p/f/d")]
    found = [f"p/{one.key}" for one in told.store().list("f/")]
    assert found == [*first, "p/f/b//c", "p/f/d"]
    assert "start-after=p%2Ff%2Fa999" in told.asked[-1][1]


def test_an_error_after_the_white_space_that_keeps_a_connection_alive(told):
    """Inside a 200 answer, as AWS sends it while it copies."""
    late = b" \n" * 4000 + b'<?xml version="1.0"?>\n' + b"<Error><Code>AccessDenied</Code></Error>"
    told.answers = [STARTED, copied(BIG), ok(late), ok(status=204)]
    with pytest.raises(Refused):
        told.store().copy_from(told.store("source"), "k", BIG)
    assert told.said()[-1] == "DELETE /b/p/k?uploadId"


def test_a_part_copy_is_completed_only_if_absent_and_with_its_sum(told):
    told.answers = [STARTED, copied(BIG), DONE]
    assert told.store().copy_from(told.store("source"), "k", BIG) == "part-copy"
    assert told.asked[0][2]["x-amz-checksum-algorithm"] == "SHA256"
    assert told.asked[1][2]["x-amz-copy-source"] == "/source/p/k"
    assert told.asked[2][2]["if-none-match"] == "*"


COPY = COPIES, [STARTED], ok(status=204)
BY_VERSION = (
    StoreTraits(),
    [
        ok(content_length=str(BIG.size), x_amz_version_id="v1"),
        ok(bytes(BIG.size), x_amz_version_id="v1"),
        error("NoSuchKey", 404),
    ],
    None,
)


@pytest.mark.parametrize("way", [COPY, BY_VERSION], ids=["part", "version"])
@pytest.mark.parametrize(
    ("late", "raised"),
    [
        ([error("AccessDenied", 200)], None),
        ([error("InternalError", 200)] * 6, Unavailable),
        ([error("PreconditionFailed", 200)], Unavailable),
        ([ok()], Unavailable),
        ([ok(b"<html/>")], Unavailable),
        ([ok(b"<CopyPartResult><ETag>e</ETag>")], Unavailable),
    ],
    ids=["denied", "internal", "precondition", "empty", "html", "cut"],
)
def test_an_error_inside_the_answer_to_a_copy(told, way, late, raised):
    """A 200 that does not say that it copied is no copy; what the target may not read is streamed."""
    traits, before, after = way
    told.answers = [*before, *late, *([after] if after else [])]
    store, source = told.store(traits=traits), told.store("source")
    if raised is None:
        assert store.copy_from(source, "k", BIG) is None
    else:
        with pytest.raises(raised):
            store.copy_from(source, "k", BIG)
    assert not after or told.said()[-1] == "DELETE /b/p/k?uploadId"


@pytest.mark.parametrize("sum_", ["", base64.b64encode(b"s" * 32).decode() + "-1"])
def test_a_part_copy_without_a_sum_is_not_completed(told, sum_):
    """The trait was shown on another object; here the service says nothing: the caller streams."""
    said = f"<CopyPartResult><ETag>e</ETag><ChecksumSHA256>{sum_}</ChecksumSHA256></CopyPartResult>"
    told.answers = [STARTED, ok(said.encode()), ok(status=204)]
    assert told.store().copy_from(told.store("source"), "k", BIG) is None
    assert told.said()[-1] == "DELETE /b/p/k?uploadId"


@pytest.mark.parametrize("late", [ok(), ok(b" \n"), ok(b"<html/>")])
def test_a_completion_that_does_not_say_so_is_not_claimed(told, late):
    told.answers = [STARTED, copied(BIG), late, error("NoSuchUpload", 404)]
    with pytest.raises(Conflict) as caught:
        told.store().copy_from(told.store("source"), "k", BIG)
    assert caught.value.kind == "object-exists"


def test_an_upload_that_somebody_aborted_is_looked_at_again(told):
    """As the sweep of another promotion does once the object is there."""
    told.answers = [STARTED, error("NoSuchUpload", 404)]
    with pytest.raises(Conflict) as caught:
        told.store().copy_from(told.store("source"), "k", BIG)
    assert caught.value.kind == "object-exists"


def uploads(*rows, more=""):
    said = "".join(
        f"<Upload><Key>{key}</Key><UploadId>{upload}</UploadId><Initiated>{when}</Initiated></Upload>"
        for key, upload, when in rows
    )
    cut = f"<IsTruncated>true</IsTruncated><NextKeyMarker>{more}</NextKeyMarker>" if more else ""
    return ok(f"<R>{cut}{said}</R>".encode(), date="Thu, 01 Jan 2026 00:00:00 GMT")


def test_only_uploads_that_nobody_needs_are_aborted(told):
    """Of what is there, or Placet's and a week old by the store's clock; below the prefix; whatever the pages."""
    sums = layout.sums_key("0" * 64)
    told.answers = [
        uploads(
            ("p/done%2B1", "u1", "2025-12-31T23:59:59Z"),
            (f"p/{layout.data_key('1' * 32)}", "u2", "2025-12-26T00:00:00.000Z"),
            more="p/m",
        ),
        uploads(
            (f"p/{sums}", "u3", "2025-12-24T23:59:59.000Z"),
            (f"p/{sums}", "u4", "?"),
            ("p/backup.tar", "u6", "2020-01-01T00:00:00Z"),
            ("other/done+1", "u5", "2020-01-01T00:00:00Z"),
        ),
        ok(status=204),
        error("NoSuchUpload", 404),
    ]
    assert told.store().sweep({"done+1"}) == 2
    assert [path for method, path, _ in told.asked if method == "DELETE"] == [
        "/b/p/done%2B1?uploadId=u1",
        f"/b/p/{sums}?uploadId=u3",
    ]
    assert "key-marker=p%2Fm" in told.asked[1][1]


def test_a_probe_that_was_not_ended_is_aborted_after_an_hour(told):
    told.answers = [
        uploads(
            ("p/placet/probe/left", "u1", "2025-12-31T22:59:59Z"),
            ("p/placet/probe/going", "u2", "2025-12-31T23:00:01Z"),
            ("p/files/placet/probe/no", "u3", "2025-12-31T22:59:59Z"),
            ("placet/probe/anothers", "u4", "2025-12-31T22:59:59Z"),
        ),
        ok(status=204),
    ]
    assert told.store().sweep(set()) == 1
    assert told.asked[-1][:2] == ("DELETE", "/b/p/placet/probe/left?uploadId=u1")


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_without_the_stores_clock_no_upload_is_old(told, date):
    status, headers, body = uploads((f"p/{layout.PROBE}", "u3", "2020-01-01T00:00:00Z"))
    told.answers = [(status, {**headers, "date": date}, body)]
    assert told.store().sweep(set()) == 0


def test_other_bytes_are_aborted_and_said_even_if_the_abort_fails(told):
    other = digest(b"other")
    told.answers = [STARTED, copied(other), error("AccessDenied", 403)]
    with pytest.raises(Corrupt) as caught:
        told.store().copy_from(told.store("source"), "k", BIG)
    assert caught.value.kind == "digest-mismatch"
    assert told.said()[-1].startswith("DELETE ")


def test_nothing_is_replaced_where_completion_knows_no_condition(told):
    told.answers = [ok()]
    traits = StoreTraits(part_copy_sha256=True)
    with pytest.raises(Conflict) as caught:
        told.store(traits=traits).copy_from(told.store("source"), "k", BIG)
    assert caught.value.kind == "object-exists"
    assert told.said() == ["HEAD /b/p/k"]


def test_a_source_that_this_credential_cannot_read_is_streamed(told):
    """The first object shows it; the others are not tried."""
    told.answers = [STARTED, error("AccessDenied", 403), ok(status=204)]
    store, source = told.store(), told.store("source", key="OTHER")
    assert store.copy_from(source, "k", BIG) is None
    assert store.copy_from(source, "k2", BIG) is None
    assert len(told.asked) == 3


def test_a_composite_sum_proves_nothing(told):
    told.answers = [ok(content_length="3", x_amz_checksum_sha256=base64.b64encode(b"s" * 32).decode() + "-2")]
    assert told.store().head("k").sha256 is None


def test_an_answer_that_is_no_xml_is_unavailable(told):
    told.answers = [ok(b"<html>proxy")]
    with pytest.raises(Unavailable) as caught:
        list(told.store().list(""))
    assert caught.value.kind == "store-answer"


def test_an_upload_without_an_id_is_not_gone_on_with(told):
    told.answers = [ok(b"<R><UploadId></UploadId></R>")]
    with pytest.raises(Unavailable) as caught:
        Upload(*told.store().place("k"), {})
    assert caught.value.kind == "store-answer"
    assert told.said() == ["POST /b/p/k?uploads"]
