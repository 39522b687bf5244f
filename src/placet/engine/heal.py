"""Where an object comes from when one place has it wrong: the remote that was asked, then the others.

Guards: bytes count only if they were verified while they were read, wherever they come from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from placet.core.outputs import Tracking
from placet.engine.routes import Routes
from placet.errors import Conflict, Corrupt, NotFound, PlacetError, Unavailable
from placet.ports import ObjectStore

_T = TypeVar("_T")

Trouble = Literal["corrupt", "missing", "unusable"]
CACHE = "cache"
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Place:
    """One place that did not have the right bytes: the cache, or a remote by its name.

    `unusable`: it could not be asked; `why` says why.
    """

    name: str
    trouble: Trouble
    why: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """An object that was not right somewhere.

    Attributes:
        path: The file it is, or the directory whose `.dir` object it is.
        key: Where it is kept, in cache and remotes.
        places: Who had it wrong.
        healed_from: The remote that had it right; None if none had.
    """

    path: str
    key: str
    places: tuple[Place, ...]
    healed_from: str | None

    def __str__(self) -> str:
        said = ", ".join(
            f"{one.trouble} in {'the cache' if one.name == CACHE else one.name}" for one in self.places
        )
        end = f"fetched right from {self.healed_from}" if self.healed_from else "no remote has it right"
        return f"{self.path} ({self.key}): {said}; {end}."


class Sources:
    """Remotes in the order in which they are asked for an output's objects. Safe for many threads.

    Args:
        routes: Which remote an output belongs to, and which others may be asked.
        heal: Ask them, and go on after what no remote has; `faults` tells of it.
    """

    def __init__(self, routes: Routes, *, heal: bool = False) -> None:
        self._routes = routes
        self._heal = heal
        self._lock = threading.Lock()
        self._unusable: dict[str, Place] = {}
        self._errors: dict[str, PlacetError] = {}
        self.faults: list[Fault] = []

    def take(
        self, of: Tracking, name: str, key: str, read: Callable[[ObjectStore], _T], *, rotten: bool
    ) -> _T | None:
        """What `read` makes of the first remote that has the object right.

        Args:
            of: The output.
            name: The file it is, for the person who reads of it.
            key: The object.
            read: Reads and verifies it; raises `Corrupt` or `NotFound` where the remote has it wrong.
            rotten: The cache has it wrong.

        Returns:
            None if no remote has it right, and going on was asked for.

        Raises:
            Corrupt, NotFound, Unavailable, Refused: the right remote's, if going on was not asked for.
        """
        places = [Place(CACHE, "corrupt")] if rotten else []
        own = self._routes.label_of(of)
        for label in dict.fromkeys((own, *(self._routes.others if self._heal else ()))):
            if label in self._unusable:
                places.append(self._unusable[label])
                continue
            try:
                found = read(self._routes.store(of) if label == own else self._routes.open(label))
            except PlacetError as error:
                if not self._heal:
                    raise
                places.append(self._place(label, error))
                continue
            if places:
                self._note(Fault(name, key, tuple(places), label))
            return found
        self._note(Fault(name, key, tuple(places), None))
        return None

    def require_whole(self) -> None:
        """Refuse to call it done while an object is right nowhere.

        Raises:
            Corrupt: kind `not-healed`; all faults are in its `details`.
            NotFound: kind `no-object`: nothing is corrupt, but no remote has it.
            Refused, Unavailable: nothing is known to be corrupt, but a remote could not be asked.
        """
        lost = [one for one in self.faults if one.healed_from is None]
        if not lost:
            return
        if not any(place.trouble == "corrupt" for one in lost for place in one.places):
            raise next(iter(self._errors.values()), None) or NotFound(
                f"{len(lost)} objects are in no remote.", kind="no-object", why=_shown(lost)
            )
        raise Corrupt(
            f"CORRUPT: {len(lost)} objects are right neither in the cache nor in any remote.",
            kind="not-healed",
            why=_shown(lost),
            mend="Track and push them again from where they were made; see docs/how-to/corrupt.md.",
            details={"faults": self.faults},
        )

    def _place(self, name: str, error: PlacetError) -> Place:
        """What is wrong with this remote; one that cannot be asked is not asked again."""
        if isinstance(error, Corrupt):
            return Place(name, "corrupt")
        if isinstance(error, NotFound) and error.kind == "no-object":
            return Place(name, "missing")
        disk = isinstance(error, Unavailable) and error.kind.startswith("disk")
        if disk or isinstance(error, Conflict):
            raise error
        place = Place(name, "unusable", error.what)
        with self._lock:
            self._errors.setdefault(name, error)
            self._unusable[name] = place
        return place

    def _note(self, fault: Fault) -> None:
        with self._lock:
            self.faults.append(fault)


def _shown(lost: Sequence[Fault]) -> str:
    rest = f" And {len(lost) - _SHOWN} more." if lost[_SHOWN:] else ""
    return " ".join(map(str, lost[:_SHOWN])) + rest
