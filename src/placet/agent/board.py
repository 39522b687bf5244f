"""The troubles of an agent's lanes with one workspace, for whoever is to be told of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from placet.agent.retries import stays
from placet.engine.telling import Trouble, as_trouble
from placet.errors import PlacetError

_PROMOTION = "promotion of "
_ID = 12


@dataclass(frozen=True, slots=True)
class _Noted:
    trouble: Trouble
    since: float
    lasting: bool


class Board:
    """What keeps failing, by name; used by several threads.

    Args:
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._clock = clock
        self._lock = threading.Lock()
        self._noted: dict[str, _Noted | None] = {}

    def bad(self, name: str, error: PlacetError, *, lasting: bool = False) -> None:
        """Something failed, perhaps again."""
        with self._lock:
            before = self._noted.get(name)
            since = before.since if before is not None else self._clock()
            after = _Noted(as_trouble(error), since, lasting or stays(error))
            self._noted[name] = after
        if before is None or before.trouble.kind != after.trouble.kind:
            self.changed()

    def good(self, name: str) -> None:
        """It works, or works again."""
        with self._lock:
            before = self._noted.get(name)
            self._noted[name] = None
        if before is not None:
            self.changed()

    def refused(self, proposal: str, error: PlacetError) -> None:
        """A proposal was not promoted, for a reason that stays until somebody acts."""
        self.bad(f"{_PROMOTION}{proposal[:_ID]}", error, lasting=True)

    def waiting(self, proposals: Iterable[str]) -> None:
        """Only these are to be promoted: what was refused of others is over."""
        left = {f"{_PROMOTION}{one[:_ID]}" for one in proposals}
        with self._lock:
            gone = [one for one in self._noted if one.startswith(_PROMOTION) and one not in left]
        for one in gone:
            self.good(one)

    def told(self, patience_s: float) -> tuple[Mapping[str, Trouble | None], float | None]:
        """The troubles that last, or have lasted so long; and seconds until that is so of another."""
        now = self._clock()
        with self._lock:
            noted = dict(self._noted)
        early = {
            name: one.since + patience_s - now
            for name, one in noted.items()
            if one is not None and not one.lasting and now < one.since + patience_s
        }
        found = {
            name: one.trouble if one is not None else None for name, one in noted.items() if name not in early
        }
        return found, min(early.values(), default=None)
