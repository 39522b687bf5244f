"""Who may wake the agent from outside: a forge that knows the secret. Its words are not read, only proven."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Literal

MAX_BODY = 1 << 20
HEADERS = (
    "X-Hub-Signature-256",  # GitHub: sha256=<hex>; the others send it too
    "X-Gitea-Signature",
    "X-Forgejo-Signature",
)
_REMEMBERED = 1024

Outcome = Literal["accepted", "replayed", "refused"]


class Webhook:
    """Wakes the agent for each delivery that is signed and new.

    All sign by HMAC with SHA-256 over the body, in hexadecimal. A delivery that is sent again wakes nobody,
    as long as it is remembered; later it could do no more than any other: the agent looks by itself anyway.

    Args:
        secret: What both know.
        wake: Called for each; all that a delivery can do.
    """

    def __init__(self, secret: bytes, wake: Callable[[], None]) -> None:
        self._secret = secret
        self._wake = wake
        self._seen: OrderedDict[str, None] = OrderedDict()

    def take(self, body: bytes, signatures: Iterable[str]) -> Outcome:
        """One delivery, with the values of the headers that it has of `HEADERS`."""
        known = hmac.digest(self._secret, body, "sha256").hex()
        if not signed(known, [one.removeprefix("sha256=") for one in signatures]):
            return "refused"
        if known in self._seen:
            return "replayed"
        self._seen[known] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self._wake()
        return "accepted"


def signed(known: str, given: Iterable[str]) -> bool:
    """Is one of the given signatures the right one? Takes as long for a wrong one."""
    found = [hmac.compare_digest(known.encode(), one.encode("utf-8", "replace")) for one in given]
    return any(found)
