"""What the agent serves over HTTP: is it alive, is it ready, what did it count; and the webhook."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
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
_END_S = 10.0
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
        late: Callable[[], Sequence[str]],
        webhook: Webhook | None,
    ) -> None:
        self._metrics = metrics
        self._webhook = webhook
        self._lock = threading.Lock()
        self._pages: dict[str, Callable[[], _Answer]] = {
            "/healthz": lambda: _state(alive(), late()),
            "/readyz": lambda: _state(ready(), late()),
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
        logging.getLogger("waitress").setLevel(
            logging.ERROR
        )  # that a request waits, or is let go, is no news
        self._map = sockets
        self._held: list[Any] = []
        self.sockets = [one for one in sockets.values() if isinstance(one, BaseWSGIServer)]
        for one in self.sockets:
            one.channel_class = _Channel
        self._thread = threading.Thread(target=self._server.run, name="placet-http", daemon=True)
        self._thread.start()
        say("listening", address=host, port=self.sockets[0].effective_port)

    def close(self) -> None:
        """Stop serving; closes nothing that a thread of it still uses."""
        self.sockets[0].trigger.pull_trigger(self._let_go)
        self._thread.join(_END_S)
        if self._thread.is_alive():
            return
        self._server.task_dispatcher.shutdown()
        for one in self._held:
            one.close()

    def _let_go(self) -> None:
        """In the thread that serves: it ends when nothing is left in the map."""
        self._held = list(self._map.values())
        self._map.clear()


def _state(good: bool, late: Sequence[str]) -> _Answer:
    """`ok` or `no`, then a line for each lane that is overdue."""
    lines = ["ok" if good else "no", *(f"overdue: {one}" for one in late)]
    text = "".join(f"{one}\n" for one in lines).encode("utf-8", "replace")
    return ("200 OK" if good else "503 Service Unavailable"), _PLAIN, text
