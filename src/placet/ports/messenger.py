"""What Placet needs to tell people something: a way to send one message, and a record of what was told."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Messenger(Protocol):
    """One place where people read messages."""

    @property
    def limit(self) -> int:
        """Characters that the text of a message may have."""
        ...

    def send(self, title: str, text: str, *, loud: bool) -> None:
        """Send one message, within a minute.

        Args:
            title: One line of plain text.
            text: Lines of plain text.
            loud: Somebody should act.

        Raises:
            Unavailable: kind `not-told`: it may have arrived. No part of its address is in the error.
        """
        ...


class ToldRecord(Protocol):
    """A small record that survives the process; losing it costs repeated messages only."""

    def alone(self) -> AbstractContextManager[None]:
        """Hold it alone among threads and processes.

        Raises:
            Conflict: kind `notify-busy`: another holds it.
            Unavailable: kind `disk`.
        """
        ...

    def read(self) -> bytes | None:
        """What was written last, or None.

        Raises:
            Unavailable: kind `disk`.
        """
        ...

    def write(self, data: bytes) -> None:
        """Replace it: the new record or the old one is there, never a part.

        Raises:
            Unavailable: kind `disk`.
        """
        ...
