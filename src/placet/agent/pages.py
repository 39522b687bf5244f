"""What the agent serves over HTTP: is it alive, is it ready, what did it count; and the webhook."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server

from placet.agent.events import say
from placet.agent.metrics import Metrics
from placet.agent.webhook import HEADERS, MAX_BODY, Webhook
from placet.errors import Unavailable

_Answer = tuple[str, str, bytes]
_PLAIN = "text/plain; charset=utf-8"
_SIGNATURES = tuple(f"HTTP_{name.upper().replace('-', '_')}" for name in HEADERS)
_NOTHING = ("404 Not Found", _PLAIN, b"")


class Pages:
    """The WSGI application."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        alive: Callable[[], bool],
        ready: Callable[[], bool],
        webhook: Webhook | None,
    ) -> None:
        self._metrics = metrics
        self._webhook = webhook
        self._lock = threading.Lock()
        self._pages: dict[str, Callable[[], _Answer]] = {
            "/healthz": lambda: _state(alive()),
            "/readyz": lambda: _state(ready()),
            "/metrics": lambda: ("200 OK", CONTENT_TYPE_LATEST, generate_latest(metrics.registry)),
        }

    def __call__(self, environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        """One request."""
        status, kind, body = self._answer(environ)
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _answer(self, environ: dict[str, Any]) -> _Answer:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if method in {"GET", "HEAD"} and path in self._pages:
            return self._pages[path]()
        if method == "POST" and path == "/webhook" and self._webhook is not None:
            return self._deliver(environ, self._webhook)
        return _NOTHING

    def _deliver(self, environ: dict[str, Any], webhook: Webhook) -> _Answer:
        """Answers say only whether the signature is right, which its sender knows."""
        body = environ["wsgi.input"].read(MAX_BODY)
        given = [environ[name] for name in _SIGNATURES if name in environ]
        with self._lock:
            outcome = webhook.take(body, given)
        self._metrics.webhooks.labels(outcome).inc()
        say("webhook", result=outcome)
        return ("403 Forbidden" if outcome == "refused" else "204 No Content", _PLAIN, b"")


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that ends in time, whatever comes by then: a drip of bytes must not hold it for ever."""

    @property
    def last_activity(self) -> float:
        """When it began."""
        return float(self.creation_time)

    @last_activity.setter
    def last_activity(self, when_s: float) -> None:
        """Nothing moves it."""


class Server:
    """Serves the pages until it is closed.

    Raises:
        Unavailable: kind `port-taken`.
    """

    def __init__(self, pages: Pages, host: str, port: int) -> None:
        sockets: dict[int, Any] = {}
        try:
            self._server = create_server(
                pages, map=sockets, host=host, port=port, threads=2, ident="", connection_limit=64,
                channel_timeout=10, cleanup_interval=5, max_request_body_size=MAX_BODY,
                max_request_header_size=1 << 14,
            )  # fmt: skip
        except (OSError, OverflowError, ValueError) as error:
            raise Unavailable(
                f"The agent cannot listen on {host}:{port}.",
                kind="port-taken",
                why=f"{error}.",
                mend="Name another `listen` in placet.toml, or end what uses this one.",
            ) from error
        self._closed = False
        self.sockets = [one for one in sockets.values() if isinstance(one, BaseWSGIServer)]
        for one in self.sockets:
            one.channel_class = _Channel
        self._thread = threading.Thread(target=self._work, name="placet-http", daemon=True)
        self._thread.start()
        say("listening", address=host, port=self.sockets[0].effective_port)

    def close(self) -> None:
        """Stop serving."""
        self._closed = True
        self._server.close()

    def _work(self) -> None:
        try:
            self._server.run()
        except OSError:  # its sockets were closed beneath it
            if not self._closed:
                raise


def _state(good: bool) -> _Answer:
    return ("200 OK", _PLAIN, b"ok\n") if good else ("503 Service Unavailable", _PLAIN, b"no\n")
