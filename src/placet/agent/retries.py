"""When a proposal that was not promoted is tried again: soon for what passes, seldom for what stays."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from placet.engine.promote import Waiting
from placet.errors import Conflict, Partial, PlacetError, Unavailable

_SOON_S, _SOON_AT_MOST_S = 5.0, 600.0
_LATER_S, _LATER_AT_MOST_S = 300.0, 3600.0
_WAITING_S = 60.0
PASSES = frozenset({"window", "frozen"})


@dataclass(frozen=True, slots=True)
class _Failed:
    seen: str
    times: int
    at: float
    stays: bool


def stays(error: PlacetError) -> bool:
    """Does trying again not help until somebody acts?"""
    return not isinstance(error, (Unavailable, Partial, Conflict)) and error.kind not in PASSES


def backoff_s(times: int) -> float:
    """Seconds to wait after so many failures in a row that pass by themselves."""
    return float(min(_SOON_S * 2 ** min(times - 1, 16), _SOON_AT_MOST_S))


def jitter() -> float:
    """A factor that keeps many agents from doing the same at the same time."""
    return random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret


class Retries:
    """Of each failed proposal when it is due; forgotten when the process ends, which costs one try.

    Args:
        spread: Gives the factor of each wait.
    """

    def __init__(self, spread: Callable[[], float] = jitter) -> None:
        self._failed: dict[str, _Failed] = {}
        self._spread = spread

    def keep(self, idents: Iterable[str]) -> None:
        """Forget those that wait no more."""
        known = set(idents)
        self._failed = {key: one for key, one in self._failed.items() if key in known}

    def due(self, waiting: Waiting, now_s: float) -> bool:
        """Is it to be tried now: for the first time, in time, or because what decides on it changed?"""
        failed = self._failed.get(waiting.id)
        return failed is None or failed.seen != waiting.seen or now_s >= failed.at

    def failed(self, waiting: Waiting, error: PlacetError, now_s: float) -> float:
        """It failed; returns the seconds until it is due again."""
        before = self._failed.get(waiting.id)
        lasting = stays(error)
        same = before is not None and (before.seen, before.stays) == (waiting.seen, lasting)
        times = before.times + 1 if same and before is not None else 1
        if error.kind in PASSES:
            wait = _WAITING_S
        elif lasting:
            wait = min(_LATER_S * 2 ** min(times - 1, 16), _LATER_AT_MOST_S)
        else:
            wait = backoff_s(times)
        wait *= self._spread()
        self._failed[waiting.id] = _Failed(waiting.seen, times, now_s + wait, lasting)
        return wait

    def done(self, ident: str) -> None:
        """It was promoted."""
        self._failed.pop(ident, None)

    @property
    def quarantined(self) -> int:
        """How many wait for somebody to act."""
        return sum(one.stays for one in self._failed.values())

    def next_s(self, now_s: float) -> float | None:
        """Seconds until the next one is due."""
        return max(0.0, min(one.at for one in self._failed.values()) - now_s) if self._failed else None
