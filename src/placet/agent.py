"""The agent: promotion as a service. It keeps no state but the trust memory, so it can die at any time."""

from __future__ import annotations

import logging
import random
import signal
import threading

from placet.client import Client
from placet.errors import Corrupt, PlacetError

log = logging.getLogger(__name__)

_MAX_WAIT_S = 600.0


class Agent:
    """Looks at the Ctrl repository again and again, with jitter, and backs off while it fails.

    Args:
        client: A node's client.
        interval_s: Seconds between two looks.
    """

    def __init__(self, client: Client, *, interval_s: float) -> None:
        self._client = client
        self._interval_s = interval_s
        self._stop = threading.Event()

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; what is under way is finished first."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        failures = 0
        while not self._stop.is_set():
            failures = 0 if self.look() else failures + 1
            wait_s = min(self._interval_s * 2**failures, _MAX_WAIT_S)
            self._stop.wait(wait_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret

    def look(self) -> bool:
        """One look: promote what waits. Did everything go well?"""
        try:
            undone = self._client.follow_retractions()
            promotions = self._client.promote()
        except Corrupt as error:
            log.critical("the Ctrl repository does not verify; nothing is promoted: %s", error)
            return False
        except PlacetError as error:
            log.error("%s", error)  # noqa: TRY400 - a sentence for the operator, not a traceback
            return False
        for one in promotions:
            log.info("proposal %s: %s", one.id, one.error or one.state)
        for each in undone:
            log.info("retraction %s: %s", each.id, each.error or each.waits or each.stage)
        return all(one.error is None for one in promotions) and all(one.error is None for one in undone)
