"""Where Placet shows a person how far a long step is."""

from __future__ import annotations

from typing import Protocol, Self


class Progress(Protocol):
    """What a person sees of a long step. Calls are cheap, from any thread.

    They never fail. Whoever wants the step to end lets `advance` raise `Unavailable`, kind `stopped`: it ends
    as by any other error, and running it again goes on.
    """

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Self:
        """Begin a phase with its totals, where they are known."""
        ...

    def advance(self, objects: int = 0, size: int = 0) -> None:
        """So much more is done."""
        ...

    def done(self) -> None:
        """The phase has ended."""
        ...
