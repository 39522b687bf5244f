"""Requests to a forge's API: one place for time-outs, bounds, pages, rate limits, redirects and secrets.

A token goes to the forge's own origin and nowhere else, and is in no error, log or argument of a process.
Whatever comes back is bounded in bytes, time and pages, and read by a strict form or not at all.
"""

from __future__ import annotations

import json
import random
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

from placet.adapters.forge.answer import MAX_WORDS, Answer, next_page, odd, rate_limit, total
from placet.adapters.forge.deadline import bounded, left_s, timed
from placet.errors import Conflict, Invalid, NotFound, PlacetError, Refused, Unavailable

_T = TypeVar("_T")

_CONNECT_S, _READ_S, _WHOLE_S = 10.0, 30.0, 120.0
_MAX_ANSWER = 16 << 20
_MAX_PAGES, _MAX_ITEMS = 200, 10_000
_MAX_REDIRECTS = 3
_TRIES = 4
_LONGEST_S = 3600.0  # no rate limit is longer, and nobody may silence Placet for ever
_MAX_PAGES_BYTES = 64 << 20
_PATIENT_S = 10.0  # a rate limit that ends sooner is waited for
_KEPT = 128  # answers that are asked for again by their ETag
_KEPT_BYTES = 1 << 18
_AGAIN = frozenset({500, 502, 503, 504})
_NOT_TWICE = "POST"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})
_LEAST_SECRET = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where a forge's API is, and how it is reached.

    Attributes:
        base: `https://host[:port]/path`, without a slash at its end.
        headers: What every request carries, secrets among it; asked for each time, since tokens may expire.
        now: For rate limits that end at a time.
        ca: A file of certificates to trust instead of the system's.
        proxy: URL of the HTTP proxy to use, whatever variables say.
        sleep: Waits so many seconds.
        whole_s: How long one call of the port may take: connecting, answers, pages and tries together.
    """

    base: str
    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    now: Callable[[], datetime] = field(repr=False)
    ca: str | None = None
    proxy: str | None = field(default=None, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    whole_s: float = _WHOLE_S


class ForgeHttp:
    """Requests to one forge; safe for many threads."""

    def __init__(self, place: Place, transport: httpx.BaseTransport | None = None) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, Answer]] = OrderedDict()
        self._not_before = 0.0
        self._secret: set[str] = set()
        self._client = httpx.Client(
            transport=transport or _transport(place), follow_redirects=False, trust_env=False
        )

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def pause(self, seconds: float) -> None:
        """Wait before something is asked once more.

        Raises:
            Unavailable: kind `forge-unreachable`: the whole call would be over by then.
        """
        if seconds >= left_s():
            raise self.late()
        self._place.sleep(seconds)

    @property
    def whole_s(self) -> float:
        """How long one call of the port may take."""
        return self._place.whole_s

    @property
    def base(self) -> str:
        """The API's address."""
        return self._place.base

    @property
    def host(self) -> str:
        """The forge's host, for messages."""
        return urlsplit(self._place.base).netloc

    def get(self, path: str, form: type[_T], query: Mapping[str, str | int] | None = None) -> _T:
        """One answer by its form.

        Raises:
            NotFound, Refused, Unavailable, Invalid: as the port says.
        """
        return self.call("GET", path, query=query).read(form)

    def maybe(self, path: str, form: type[_T], query: Mapping[str, str | int] | None = None) -> _T | None:
        """As `get`; None for what is not there."""
        answer = self.call("GET", path, query=query, good=(200, 404))
        return answer.read(form) if answer.status != httpx.codes.NOT_FOUND else None

    def pages(self, path: str, form: type[_T], query: Mapping[str, str | int]) -> Iterator[_T]:
        """The items of all pages of a list.

        The next page is the one that the `Link` header names, by its query alone, so that no host can be
        named there; or the next number while `X-Total-Count` says that there is more.

        Raises:
            Invalid: kind `forge-answer`: also for more pages than are ever read.
        """
        wanted = dict(query)
        seen, page, size = 0, 1, 0
        for _ in range(_MAX_PAGES):
            answer = self.call("GET", path, query=wanted)
            size += len(answer.body)
            if size > _MAX_PAGES_BYTES:
                raise odd(f"{path} is longer than {_MAX_PAGES_BYTES} bytes")
            items = answer.read(list[form])  # type: ignore[valid-type]
            yield from items
            seen, page = seen + len(items), page + 1
            following = next_page(answer)
            if following is not None:
                wanted |= following
            elif items and seen < total(answer):
                wanted["page"] = page
            else:
                return
            if seen > _MAX_ITEMS:
                break
        raise odd(f"{path} has more than {_MAX_PAGES} pages or {_MAX_ITEMS} items")

    @bounded
    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: object = None,
        good: Sequence[int] = (200, 201, 202, 204),
    ) -> Answer:
        """A request, repeated while it does no harm and the forge may yet answer.

        Args:
            method: HTTP's. A POST is sent again only where the forge cannot have taken it.
            path: Below the API's address, with encoded parts.
            query: Unencoded.
            body: Sent as JSON.
            good: Other statuses raise.
        """
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            self._wait_for_limit()
            try:
                answer = self._follow(method, path, query, data)
            except httpx.InvalidURL as error:
                raise odd(str(error)) from error
            except httpx.HTTPError as error:
                if left_s() <= 0:
                    raise self.late() from error
                if last or not (method != _NOT_TWICE or isinstance(error, httpx.ConnectError)):
                    raise self._unreachable(error) from error
                self._again(attempt)
                continue
            limit = rate_limit(answer, self._place.now())
            if limit is None and answer.status in good:
                return answer
            if limit is not None:
                with self._lock:
                    self._not_before = time.monotonic() + min(limit, _LONGEST_S)
            elif answer.status in _AGAIN and method != _NOT_TWICE and not last:
                self._again(attempt)
            else:
                break
        raise self._error(answer, method, path, limit)

    def _follow(
        self, method: str, path: str, query: Mapping[str, str | int] | None, data: bytes | None
    ) -> Answer:
        """Send it; go where the forge has moved it to, but never to another origin."""
        url = f"{self._place.base}/{path.lstrip('/')}"
        params = {key: str(value) for key, value in (query or {}).items()}
        if params:
            url = str(httpx.URL(url, params=params))
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._known(method, url, data)
            if answer.status not in _REDIRECTS:
                return answer
            target = _joined(url, answer.headers.get("location", ""))
            if _origin(target) != _origin(url):
                raise odd("it redirects to another host; nothing was sent there")
            if method != "GET" and answer.status not in _KEEPS_METHOD:
                raise odd(f"it answers a {method} with a redirection")
            url = target
        raise odd(f"it redirects more than {_MAX_REDIRECTS} times")

    def _known(self, method: str, url: str, data: bytes | None) -> Answer:
        """Send it; of what was seen before only whether it has changed."""
        if method != "GET":
            return self._send(method, url, data, {})
        with self._lock:
            kept = self._kept.get(url)
        answer = self._send(method, url, None, {"if-none-match": kept[0]} if kept else {})
        if kept and answer.status == httpx.codes.NOT_MODIFIED:
            return kept[1]
        tag = answer.headers.get("etag")
        if tag and answer.status == httpx.codes.OK and len(answer.body) <= _KEPT_BYTES:
            with self._lock:
                self._kept[url] = (tag, answer)
                self._kept.move_to_end(url)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return answer

    def _send(self, method: str, url: str, data: bytes | None, more: Mapping[str, str]) -> Answer:
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "placet"}
        headers |= {"content-type": "application/json"} if data is not None else {}
        own = self._place.headers()
        self._secret = {word for one in own.values() for word in one.split() if len(word) >= _LEAST_SECRET}
        headers |= {**more, **own}
        left = max(left_s(), 0.0)
        wait = httpx.Timeout(min(_READ_S, left), connect=min(_CONNECT_S, left))
        with self._client.stream(method, url, headers=headers, content=data, timeout=wait) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise odd("it is compressed, though nobody asked for that")
            parts, size = [], 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > _MAX_ANSWER:
                    raise odd(f"it is longer than {_MAX_ANSWER} bytes")
                if left_s() <= 0:
                    raise self.late()
            return Answer(response.status_code, response.headers, b"".join(parts))

    def _wait_for_limit(self) -> None:
        """Nothing is asked before a rate limit has ended: forges punish that."""
        with self._lock:
            left = self._not_before - time.monotonic()
        if left > _PATIENT_S:
            raise self._limited(left)
        if left > 0:
            self.pause(left)

    def _again(self, attempt: int) -> None:
        self.pause(random.uniform(0.5, 1.0) * min(0.2 * 2**attempt, 5.0))  # noqa: S311 - jitter

    def _error(self, answer: Answer, method: str, path: str, limit: float | None) -> PlacetError:
        """Why an answer is none of the good ones."""
        if limit is not None:
            return self._limited(limit)
        what = f"{self.host} answered {method} {path.partition('?')[0]} with status {answer.status}."
        words = self._without_secrets(answer.words())[:MAX_WORDS]
        said = {"status": answer.status}
        if answer.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return Unavailable(what, kind="forge-unreachable", why=words, mend="Run it again later.")
        if answer.status == httpx.codes.NOT_FOUND:
            return NotFound(
                what,
                kind="forge-missing",
                why=words or "It is not there, or this credential may not see it.",
                mend="Look at `repository` and `token` of [forge] in placet.toml.",
            )
        if answer.status == httpx.codes.UNAUTHORIZED:
            mend = "Make a new token, and write it to the file that [forge] names."
            return Refused(what, kind="forge-refused", why=words, mend=mend, details=said)
        if answer.status == httpx.codes.CONFLICT:
            return Conflict(what, kind="forge-conflict", why=words, mend="Run it again.")
        if 400 <= answer.status < 500:  # noqa: PLR2004 - HTTP's own classes
            mend = "Look at what this account may do there."
            return Refused(what, kind="forge-refused", why=words, mend=mend, details=said)
        return odd(f"it has status {answer.status}")

    def _limited(self, seconds: float) -> Unavailable:
        whole = max(1, round(seconds))
        return Unavailable(
            f"{self.host} takes no more requests for {whole} s.",
            kind="forge-unreachable",
            why="Its rate limit is reached.",
            mend="Run it again then.",
            details={"retry_s": whole},
        )

    def late(self) -> Unavailable:
        """The error of a call that has taken all of its time."""
        return self._unreachable(f"It took longer than {self.whole_s:.0f} s in all.")

    def _unreachable(self, error: object) -> Unavailable:
        return Unavailable(
            f"The forge {self.host} does not answer.",
            kind="forge-unreachable",
            why=self._without_secrets(str(error)[:MAX_WORDS]),
            mend="Check `url` of [forge] in placet.toml and the network, then run it again.",
        )

    def _without_secrets(self, text: str) -> str:
        """A hostile forge may say what it was sent."""
        for word in self._secret:
            text = text.replace(word, "***")
        return text


def _joined(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        raise odd("it redirects to what is no address") from None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _transport(place: Place) -> httpx.BaseTransport:
    secure = urlsplit(place.base).scheme == "https"
    verify = _trust(place.ca) if secure else False
    return timed(httpx.HTTPTransport(verify=verify, proxy=place.proxy, trust_env=False))


def _trust(ca: str | None) -> ssl.SSLContext:
    """The system's certificates, or those of one file.

    Raises:
        Invalid: kind `settings`.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"The certificates in {ca} cannot be read.", kind="settings", why=str(error)) from error
