"""A network in trouble: a proxy on loopback before a real HTTP server, with rules for what goes wrong.

The client is told the proxy's address as its endpoint. `Host` and all other headers pass unchanged, so that a
signature made for the proxy stays valid (SeaweedFS checks it against the `Host` header). Nothing here sleeps
or guesses: a rule chooses by method, key and count, and a test that waits, waits for an event.
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

_FLIP = 0x01
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the proxy saw it; `key` is the path without its first slash, decoded."""

    method: str
    key: str
    query: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset before the server has seen the request."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The server does what it is asked; its answer never arrives."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The server never sees the request; this is answered. With a `code`, as S3 writes an error."""

    status: int
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing is answered until the client gives up, or the proxy ends."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """The answer's head promises all, its body ends after `at` bytes, and the connection is closed."""

    at: int


@dataclass(frozen=True, slots=True)
class Slow:
    """The answer's body comes in pieces of `piece` bytes; `between` is called before each (it may wait)."""

    piece: int
    between: Callable[[], object]


@dataclass(frozen=True, slots=True)
class CorruptAnswer:
    """One bit of the answer's body, in the byte at `at` (from its end if negative), is not what it was."""

    at: int = 0


@dataclass(frozen=True, slots=True)
class Edit:
    """The answer's body is what `work` makes of it: a listing of another moment, a digest that is not so."""

    work: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class CorruptBody:
    """One bit of what the client sends is not what it was when the server gets it."""

    at: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """This is called before the request goes on as it is; it may end a process, or wait."""

    work: Callable[[Asked], object]


Trouble = (
    Reset | LoseAnswer | Answer | Hang | Truncate | Slow | CorruptAnswer | Edit | CorruptBody | Call
)  # fmt: skip


@dataclass
class Rule:
    """Which requests meet a trouble.

    Attributes:
        trouble: What happens to them.
        method: Only of this method; any if empty.
        key: Regular expression that is searched in the key.
        query: The same for the query string, as it was sent.
        skip: So many that match are left alone first.
        times: So many of the following meet it; all of them if None.
        per_key: Count `skip` and `times` for each key on its own.
    """

    trouble: Trouble
    method: str = ""
    key: str = ""
    query: str = ""
    skip: int = 0
    times: int | None = None
    per_key: bool = False
    _seen: Counter[str] = field(default_factory=Counter)

    def meets(self, asked: Asked) -> bool:
        """Does it meet this request? The answer counts."""
        fits = self.method in {"", asked.method}
        if not fits or not re.search(self.key, asked.key) or not re.search(self.query, asked.query):
            return False
        name = asked.key if self.per_key else ""
        self._seen[name] += 1
        past = self._seen[name] - self.skip
        return past > 0 and (self.times is None or past <= self.times)


class TroubleProxy:
    """Passes requests to `endpoint`, unless a rule says otherwise; counts them. Safe for many threads.

    Attributes:
        rules: The first one that meets a request counts; tests set them.
        asked: Every request, in the order of arrival.
    """

    def __init__(self, endpoint: str) -> None:
        self.upstream = urlsplit(endpoint).netloc
        self.rules: list[Rule] = []
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="trouble", daemon=True
        )
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; what hangs is let go."""
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def meet(self, *rules: Rule) -> None:
        """From now on these rules, and an empty record."""
        with self._lock:
            self.rules = list(rules)
            self.asked = []

    def count(self, method: str = "", key: str = "") -> int:
        """How many requests of this method have come whose key matches."""
        with self._lock:
            return sum(method in {"", one.method} and bool(re.search(key, one.key)) for one in self.asked)

    def note(self, asked: Asked) -> Trouble | None:
        """Record a request; what is to happen to it."""
        with self._lock:
            self.asked.append(asked)
            return next((one.trouble for one in self.rules if one.meets(asked)), None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, proxy: TroubleProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that break are what this is about; anything else is a mistake of ours."""
        if not isinstance(sys.exception(), (OSError, http.client.HTTPException)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.upstream = http.client.HTTPConnection(self.server.proxy.upstream)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def any_method(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        place = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, unquote(place.path).lstrip("/"), place.query, headers)
        trouble = self.server.proxy.note(asked)
        match trouble:
            case Reset():
                self._reset()
            case Hang():
                self.server.proxy.over.wait()
                self._reset()
            case Answer(status, code, extra):
                text = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
                self._send(status, {"content-type": "application/xml", **extra}, text)
            case Call(work):
                work(asked)
                self._pass(body, None)
            case CorruptBody(at) if body:
                self._pass(_flipped(body, at), None)
            case _:
                self._pass(body, trouble)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = any_method  # noqa: N815 - as the base class calls them

    def _pass(self, body: bytes, trouble: Trouble | None) -> None:
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP:
                self.upstream.putheader(name, value)
        self.upstream.putheader("content-length", str(len(body)))
        self.upstream.endheaders(body)
        found = self.upstream.getresponse()
        data = found.read()
        if isinstance(trouble, LoseAnswer):
            self._reset()
            return
        if isinstance(trouble, Edit):
            data = trouble.work(data)
        headers = {name: value for name, value in found.getheaders() if name.lower() not in _HOP}
        if self.command == "HEAD" and found.headers["content-length"]:
            headers["content-length"] = found.headers["content-length"]
        self._send(found.status, headers, data, trouble)

    def _send(
        self, status: int, headers: dict[str, str], body: bytes, trouble: Trouble | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        match trouble:
            case Truncate(at):
                self.wfile.write(body[:at])
                self.close_connection = True
            case CorruptAnswer(at) if body:
                self.wfile.write(_flipped(body, at))
            case Slow(piece, between):
                for start in range(0, len(body), piece):
                    between()
                    self.wfile.write(body[start : start + piece])
            case _:
                self.wfile.write(body if self.command != "HEAD" else b"")

    def _reset(self) -> None:
        """Close so that the other side sees a reset, not an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: the tests look at `asked`."""


def _flipped(data: bytes, at: int) -> bytes:
    out = bytearray(data)
    out[at] ^= _FLIP
    return bytes(out)
