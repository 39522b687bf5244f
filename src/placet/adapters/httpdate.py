"""What time it is at a web server, by the `Date` of any answer (RFC 9110, 6.6.1)."""

from __future__ import annotations

import contextlib
import queue
import threading
from datetime import datetime
from email.utils import parsedate_to_datetime

import urllib3

_TIMEOUT_S = 5.0
_WHOLE_S = 15.0


def server_time(url: str, whole_s: float = _WHOLE_S) -> datetime | None:
    """The server's time in whole seconds, whatever else it answers; None if it tells none in time.

    Args:
        url: Any address there.
        whole_s: Seconds after which nobody waits any more, whatever comes by then: the asking thread is left
            alone with a server that drips, and keeps no process from ending.
    """
    told: queue.SimpleQueue[datetime | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: told.put(_asked(url)), name="placet-date", daemon=True).start()
    with contextlib.suppress(queue.Empty):
        return told.get(timeout=whole_s)
    return None


def _asked(url: str) -> datetime | None:
    with contextlib.suppress(urllib3.exceptions.HTTPError, ValueError), urllib3.PoolManager() as pool:
        answer = pool.request("HEAD", url, timeout=_TIMEOUT_S, retries=False, redirect=False)
        return parsedate_to_datetime(answer.headers.get("date", ""))
    return None
