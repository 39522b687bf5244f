"""The one error tree, grouped by what a handler would do; see `PlacetError`.

PlacetError
|-- Invalid       what was given cannot be used: mend the input          exit 2
|-- Partial       some of the work is done: run the same command again   exit 3
|-- NotFound      it is not there                                        exit 10
|-- Conflict      somebody else changed it first: look, then run again   exit 11
|-- Refused       policy or a safety rule says no                        exit 12
|-- Corrupt       bytes or signatures are not what was approved          exit 13
|-- Unavailable   a store, a server or a disk does not answer: later     exit 1
`-- Bug           Placet broke its own rule                              exit 1
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Self


class PlacetError(Exception):
    """Something that a user can understand and mend.

    Args:
        what: One sentence: what happened, naming the object.
        kind: Stable, append-only identifier of the precise cause, in kebab-case.
        why: The reason, if it is not in `what`.
        mend: What to do now; a command where there is one.
        details: More for programs; `--json` prints it beside the rest.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        kind: str,
        why: str = "",
        mend: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.kind = kind
        self.why = why
        self.mend = mend
        self.details = dict(details or {})

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.mend) if part)

    def __reduce__(self) -> tuple[partial[Self], tuple[str]]:
        """So that it comes whole from another process."""
        again = partial(type(self), kind=self.kind, why=self.why, mend=self.mend, details=self.details)
        return again, (self.what,)

    def to_dict(self) -> dict[str, object]:
        """The error as the object that `--json` prints."""
        return {
            "error": type(self).__name__,
            "kind": self.kind,
            "what": self.what,
            "why": self.why,
            "mend": self.mend,
            "exit_code": self.exit_code,
            **self.details,
        }


class Invalid(PlacetError):
    """What was given cannot be used."""

    exit_code = 2


class Partial(PlacetError):
    """Some of the work is done; the same command goes on from there."""

    exit_code = 3


class NotFound(PlacetError):
    """It is not there."""

    exit_code = 10


class Conflict(PlacetError):
    """Somebody else changed it first."""

    exit_code = 11


class Refused(PlacetError):
    """Policy or a safety rule says no."""

    exit_code = 12


class Corrupt(PlacetError):
    """Bytes or signatures are not what was approved."""

    exit_code = 13


class Unavailable(PlacetError):
    """A store, a server or a disk does not answer."""


class Bug(PlacetError):
    """Placet broke its own rule; please report it."""
