"""The troubles of an agent's lanes with one workspace, for whoever is to be told of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from placet.agent.retries import PASSES, stays
from placet.engine.telling import Trouble, as_trouble
from placet.errors import PlacetError

_PROMOTION = "promotion of "
_ID = 12


class Board:
    """What fails now, and what does not, by name; used by several threads."""

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._noted: dict[str, Trouble | None] = {}
        self._whole: tuple[str, ...] = ()

    def bad(self, name: str, error: PlacetError, *, lasting: bool = False) -> None:
        """Something failed, perhaps again."""
        after = as_trouble(error, lasting=lasting or stays(error))
        with self._lock:
            before, self._noted[name] = self._noted.get(name), after
        if before is None or before.kind != after.kind:
            self.changed()

    def good(self, name: str) -> None:
        """It works, or works again."""
        with self._lock:
            before, self._noted[name] = self._noted.get(name), None
        if before is not None:
            self.changed()

    def unpromoted(self, proposal: str, error: PlacetError) -> None:
        """A proposal was not promoted; a window or a freeze, which people made, is no trouble."""
        if error.kind not in PASSES:
            self.bad(f"{_PROMOTION}{proposal[:_ID]}", error)

    def waiting(self, proposals: Iterable[str]) -> None:
        """Only these are to be promoted: what kept others from it is over, whoever noted it."""
        left = {f"{_PROMOTION}{one[:_ID]}" for one in proposals}
        with self._lock:
            self._whole = (_PROMOTION,)
            gone = [one for one in self._noted if one.startswith(_PROMOTION) and one not in left]
        for one in gone:
            self.good(one)

    def told(self) -> tuple[Mapping[str, Trouble | None], tuple[str, ...]]:
        """Troubles by name, None where there is none; and of what names, by how they begin, all are here."""
        with self._lock:
            return dict(self._noted), self._whole
