"""What a forge answered: read by strict forms, within bounds, and its small differences of writing."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import parse_qsl

import httpx
import msgspec

from placet.core.formed import formed
from placet.errors import Invalid

_T = TypeVar("_T")

MAX_WORDS = 300
_MAX_TEXT = 10_000
_UNTOLD_S = 60.0  # for how long nothing more is asked where a rate limit does not tell


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def read(self, form: type[_T]) -> _T:
        """The body by its form; fields that the form has not are passed over.

        Raises:
            Invalid: kind `forge-answer`.
        """
        try:
            with _forming:
                formed(form)
            return msgspec.json.decode(self.body, type=form)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise odd(re.sub(r"'[^']*'", "...", str(error))) from None  # it quotes what the forge says

    def words(self) -> str:
        """What the forge says of an error, fit to be shown."""
        try:
            text = msgspec.json.decode(self.body, type=_Message).message
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            text = ""
        return "".join(char if char.isprintable() else " " for char in text[:_MAX_TEXT])


class _Message(msgspec.Struct, frozen=True):
    message: str = ""


formed(_Message)
_forming = threading.Lock()  # forms are many, and of several modules


def odd(why: str) -> Invalid:
    """The error of an answer that cannot be used."""
    return Invalid(
        "The forge gave an answer that cannot be used.",
        kind="forge-answer",
        why=f"{why[:MAX_WORDS]}.",
        mend="Is `url` of [forge] the forge itself, and of the kind that is set?",
    )


def rate_limit(answer: Answer, now: datetime) -> float | None:
    """For how many seconds the forge takes no more requests; None if that is not what it says.

    Statuses 429, and 403 as GitHub has it: `Retry-After`, or `X-RateLimit-Remaining: 0` with its reset, or
    words about a secondary limit; 503 with `Retry-After`.
    """
    after, headers = _seconds(answer.headers.get("retry-after"), now), answer.headers
    if answer.status == httpx.codes.SERVICE_UNAVAILABLE:
        return after
    if answer.status not in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.FORBIDDEN}:
        return None
    if after is not None:
        return after
    if headers.get("x-ratelimit-remaining") == "0":
        reset = headers.get("x-ratelimit-reset", "")
        if re.fullmatch(r"[0-9]{1,12}", reset):
            return max(0.0, int(reset) - now.timestamp()) + 1
        return _UNTOLD_S
    spent = answer.status == httpx.codes.TOO_MANY_REQUESTS or "rate limit" in answer.words().lower()
    return _UNTOLD_S if spent else None


def _seconds(text: str | None, now: datetime) -> float | None:
    """`Retry-After`: seconds, or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        return max(timedelta(), until - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return _UNTOLD_S


def next_page(answer: Answer) -> dict[str, str] | None:
    """The query of the next page, as `Link` names it (RFC 8288)."""
    for part in answer.headers.get("link", "").split(","):
        found = re.match(r"\s*<([^>]*)>((?:\s*;[^;]*)*)", part)
        if found and re.search(r';\s*rel="?next"?\s*(?:;|$)', found[2]):
            return dict(parse_qsl(found[1].partition("?")[2]))
    return None


def total(answer: Answer) -> int:
    """How many items a list has in all, if the forge says so; else 0."""
    text = answer.headers.get("x-total-count", "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


def seconds(text: str) -> str:
    """A forge's time as Placet writes times: RFC 3339, UTC, whole seconds.

    Raises:
        Invalid: kind `forge-answer`.
    """
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError  # noqa: TRY301
        return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        raise odd("a time in it is none") from None


def branch_name(ref: str) -> str:
    """A branch without `refs/heads/`."""
    return ref.removeprefix("refs/heads/")


def same_text(one: str, two: str) -> bool:
    """Do two texts differ in nothing but line ends and space around them, which forges change?"""
    return _plain(one) == _plain(two)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def cut(text: str, limit: int) -> str:
    """The text on one line, cut to so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
