"""A thread that looks at the branches of one Ctrl repository, cheaply, and wakes the lanes if they moved."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence

from placet.agent.events import blame, say, words
from placet.agent.lane import Interruptible, Lane
from placet.agent.metrics import Metrics
from placet.client import Client
from placet.errors import PlacetError
from placet.ports import Progress

_QUIET_S = 1.0


class Watch:
    """Looks every `interval_s` seconds at most, also while a lane is busy, and at once when it is woken.

    Args:
        workspace: Its name in events and metrics.
        lanes: Woken when a branch moved.
        open_client: Opens the workspace.
        interval_s: Seconds between two looks, at most.
        stop: Set when the agent is to end.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        workspace: str,
        lanes: Sequence[Lane],
        open_client: Callable[[Progress], Client],
        *,
        interval_s: float,
        stop: threading.Event,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self.seen_at: float | None = None
        self.tried_at = clock()
        self.workspace = workspace
        self._lanes = lanes
        self._open = open_client
        self._interval_s = interval_s
        self._stop = stop
        self._metrics = metrics
        self._clock = clock
        self._wake = threading.Event()
        self._reload = threading.Event()
        self._client: Client | None = None
        self._heads: Mapping[str, str] | None = None
        self._failing = False

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def reload(self) -> None:
        """Read the settings again before the next look."""
        self._reload.set()
        self._wake.set()

    def work(self) -> None:
        """Until the stop; woken however often, it rests between two looks."""
        while not self._stop.is_set():
            self.look()
            self._stop.wait(min(_QUIET_S, self._interval_s))
            self._wake.wait(self._interval_s * random.uniform(0.7, 0.9))  # noqa: S311 - jitter, not a secret
            self._wake.clear()

    def look(self) -> bool:
        """One look; did it succeed?"""
        self.tried_at = self._clock()
        try:
            heads = self._ask()
        except PlacetError as error:
            return self._failed("unreachable", **words(error))
        except Exception as error:  # noqa: BLE001 - one mistake must not stop the looks
            return self._failed("mistake", error=blame(error))
        if self._failing:
            say("reachable", workspace=self.workspace)
        self._failing = False
        self._metrics.looks.labels(self.workspace, "ok").inc()
        self._metrics.last_look.labels(self.workspace).set_to_current_time()
        self.seen_at = self._clock()
        self._compare(heads)
        return True

    def _failed(self, event: str, **fields: str) -> bool:
        self._metrics.looks.labels(self.workspace, "failed").inc()
        if not self._failing:
            say(event, workspace=self.workspace, **fields)
        self._failing = True
        return False

    def _ask(self) -> Mapping[str, str]:
        if self._client is None or self._reload.is_set():
            self._reload.clear()
            fresh = self._open(Interruptible())
            if self._client is not None:
                self._client.close()
            self._client = fresh
        return self._client.heads()

    def _compare(self, heads: Mapping[str, str]) -> None:
        before, self._heads = self._heads, heads
        if heads == before:
            return
        moved = {ref for ref, _ in heads.items() ^ (before or {}).items()}
        say("changed", workspace=self.workspace, branches=len(moved))
        for lane in self._lanes:
            lane.wake()
