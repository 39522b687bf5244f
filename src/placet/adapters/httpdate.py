"""What time it is at a web server, by the `Date` of any answer (RFC 9110, 6.6.1)."""

from __future__ import annotations

import contextlib
from datetime import datetime
from email.utils import parsedate_to_datetime

import urllib3

_TIMEOUT_S = 5.0


def server_time(url: str) -> datetime | None:
    """The server's time in whole seconds, whatever else it answers; None if it tells none."""
    with contextlib.suppress(urllib3.exceptions.HTTPError, ValueError), urllib3.PoolManager() as pool:
        answer = pool.request("HEAD", url, timeout=_TIMEOUT_S, retries=False, redirect=False)
        return parsedate_to_datetime(answer.headers.get("date", ""))
    return None
