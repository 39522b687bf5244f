"""Who may wake the agent from outside: a forge that knows the secret. Its words are not read, only proven."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

MAX_BODY = 1 << 20
_REMEMBERED = 1024

Outcome = Literal["accepted", "replayed", "refused"]


class Webhook:
    """Wakes the agent for each delivery that is signed and new.

    GitHub signs by `X-Hub-Signature-256: sha256=<hex>`, Gitea and Forgejo by `X-Gitea-Signature: <hex>`: HMAC
    with SHA-256 over the body.

    Args:
        secret: What both know.
        wake: Called for each; all that a delivery can do.
    """

    def __init__(self, secret: bytes, wake: Callable[[], None]) -> None:
        self._secret = secret
        self._wake = wake
        self._seen: OrderedDict[str, None] = OrderedDict()

    def take(self, body: bytes, github: str, gitea: str) -> Outcome:
        """One delivery, with the values of both headers, or empty texts."""
        known = hmac.digest(self._secret, body, "sha256").hex()
        if not signed(known, github.removeprefix("sha256="), gitea):
            return "refused"
        if known in self._seen:
            return "replayed"
        self._seen[known] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self._wake()
        return "accepted"


def signed(known: str, *given: str) -> bool:
    """Is one of the given signatures the right one? Takes as long for a wrong one."""
    found = [hmac.compare_digest(known.encode(), one.encode("utf-8", "replace")) for one in given]
    return any(found)
