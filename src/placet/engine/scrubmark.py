"""How far a scrub has come, in a small file outside any clone. A cache: losing it costs time only."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from placet.core.formed import formed

log = logging.getLogger(__name__)


class Mark(msgspec.Struct, frozen=True):
    """What of a tier was looked at.

    Attributes:
        tip: The published commit then.
        read: Every object was read.
        after: Key and SHA-256 of the last object in order.
        proven: How -> objects.
        bad: Keys of the objects before it that were not right: to be looked at again.
        began: When, RFC 3339.
    """

    tip: str
    read: bool
    after: tuple[str, str]
    proven: dict[str, int]
    bad: tuple[str, ...]
    began: str


@dataclass(frozen=True, slots=True)
class MarkFile:
    """The mark of one tier in a file; each write replaces it. Never raises."""

    path: Path

    def load(self) -> Mark | None:
        """The mark, or None if there is none that can be read."""
        with contextlib.suppress(OSError, ValueError, RecursionError):
            mark = msgspec.json.decode(self.path.read_bytes(), type=Mark)
            bytes.fromhex(mark.after[1])
            return mark
        return None

    def save(self, mark: Mark) -> None:
        """Replace the mark."""
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(msgspec.json.encode(mark))
            partial.replace(self.path)
        except OSError as error:
            log.warning("the progress of the scrub was not kept: %s", error)

    def clear(self) -> None:
        """Remove it."""
        with contextlib.suppress(OSError):
            self.path.unlink()


formed(Mark)
