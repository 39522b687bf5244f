"""What Placet needs of a lineage backend."""

from __future__ import annotations

from typing import Protocol

from placet.core.lineageevent import LineageEvent


class LineageSink(Protocol):
    """Takes events. The same event may come again: it has the same run, and changes nothing then."""

    def send(self, event: LineageEvent) -> None:
        """Hand over one event; returns when it was taken.

        Raises:
            Unavailable: kind `lineage-unreachable`: it did not take it, and may later.
            Refused: kinds `lineage-event`: it never takes this event; `lineage-refused`: it takes nothing
                with this credential, or at this address.
        """
        ...

    def close(self) -> None:
        """End what it holds. May be called twice."""
        ...
