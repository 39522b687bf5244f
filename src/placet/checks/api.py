"""The interface of a check, for authors of plug-ins; documented in `docs/how-to/checks.md`.

A check is a class without arguments, named by an entry point of the group `placet.checks`. It runs in a
process of its own, without the credentials of who started it, with limits on memory and time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Annotated, Any, ClassVar

import msgspec

from placet.core.predicates import Count, Fact

GROUP = "placet.checks"
API = 1
"""The version of this interface; a check names the one that it was written for as `api`."""

OptionValue = bool | int | str | tuple[str, ...]
MAX_PROBLEM = 200
MAX_FACTS = 50


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of a check, with types and defaults; unknown ones and wrong types are refused."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of an artifact, or one member of an archive in it.

    Attributes:
        name: Its path in the artifact; the artifact's last part where it is one file.
        size: Bytes.
        sha256: Of the bytes in `stream`; empty for a member of an archive.
        stream: Seekable, at its beginning, read-only; the same bytes for every check.
        listing: Every file of the artifact with its SHA-256.
    """

    name: str
    size: int
    sha256: str
    stream: IO[bytes]
    listing: Mapping[str, str] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """What follows the last point of the name, in lower case."""
        return self.name.rsplit("/", 1)[-1].rpartition(".")[2].lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says about one file.

    Attributes:
        problem: Why it must not be published; empty if it may. It goes into signed records: never put an
            excerpt of the data there; name a column or a row by its number.
        facts: Whole numbers worth knowing (rows, columns, ...); those of all files are added up.
    """

    problem: str = ""
    facts: Mapping[str, int] = field(default_factory=dict)


class Check:
    """A check; see `Finding` for what it says.

    Attributes:
        api: The version of this interface that it was written for; write it out.
        tool: Name and version of what looks.
        Options: A class of options, derived from `placet.checks.api.Options`.
    """

    api: ClassVar[int]
    tool: ClassVar[str]
    Options: ClassVar[type[Options]] = Options

    def look(self, file: File, options: Any) -> Finding:  # noqa: ANN401 - the check's own class
        """Judge one file; read it in pieces. Whatever is raised counts as a failure."""
        raise NotImplementedError

    def conclude(self, facts: Mapping[str, int], options: Any) -> str:  # noqa: ANN401, ARG002
        """Judge the facts of all files of the artifact together: the problem, or nothing."""
        return ""


# --- between the one who asks and the process in which checks run ---------------------------------

Problem = Annotated[str, msgspec.Meta(max_length=MAX_PROBLEM)]
Facts = Annotated[dict[Fact, Count], msgspec.Meta(max_length=MAX_FACTS)]


class Begin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="begin"):
    """Load these checks with these options, for one artifact."""

    checks: dict[str, dict[str, bool | int | str | tuple[str, ...]]]
    listing: dict[str, str]


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="look"):
    """Look at the file whose descriptor comes with this; a deadline in seconds."""

    name: str
    size: int
    sha256: str
    seconds: int


class Conclude(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="conclude"):
    """Judge the facts of all files, by check."""

    facts: dict[str, Facts]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the process answers: the tools, or per check a problem and facts; `refused` ends it."""

    tools: dict[str, str] = {}
    found: dict[str, tuple[Problem, Facts]] = {}
    refused: tuple[str, str, str] | None = None
