"""What Placet needs of the place where checks run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import IO, Protocol

from placet.checks.api import Finding


class CheckSession(Protocol):
    """The checks of one artifact, loaded with their options.

    Attributes:
        tools: Name and version of what looks, by check.
    """

    @property
    def tools(self) -> Mapping[str, str]:
        """Name and version of what looks, by check."""
        ...

    def look(self, name: str, sha256: str, size: int, file: IO[bytes]) -> Mapping[str, Finding]:
        """What every check says about one file with a descriptor; never raises for what the file holds."""
        ...

    def conclude(self, facts: Mapping[str, Mapping[str, int]]) -> Mapping[str, Finding]:
        """What every check says about the facts of all files together."""
        ...


class Checks(Protocol):
    """Where checks run: apart from the process that holds keys and credentials."""

    def session(
        self,
        checks: Mapping[str, Mapping[str, bool | int | str | tuple[str, ...]]],
        listing: Mapping[str, str],
        jobs: int,
    ) -> AbstractContextManager[CheckSession]:
        """Load checks with their options for an artifact with these files.

        Raises:
            Refused: kinds `unknown-check`, `check-options`, `no-sandbox`.
        """
        ...
