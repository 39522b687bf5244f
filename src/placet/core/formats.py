"""The versions of what Placet writes, and what is said of one that is newer than this Placet.

A Ctrl repository has one format: the `version` of its effective policy (docs/reference/formats.md).
Statements and bundles, which may be met alone, say theirs at the end of their names, as
`urn:placet:manifest:v1`.
"""

from __future__ import annotations

import re

from placet.errors import Invalid

FORMAT = 1
"""The newest format of a Ctrl repository that this Placet reads and writes."""


def newer(what: str, found: int, known: int) -> Invalid:
    """The error about something (the beginning of a sentence) whose version this Placet cannot know."""
    return Invalid(
        f"{what} is of format {found}, of a newer Placet; this one reads format {known}.",
        kind="newer-format",
        mend="Install a newer Placet: see `Versions` in docs/reference/formats.md.",
    )


def newer_version(name: str, known: str) -> int | None:
    """The version of a name that is `known` but for a higher version at its end; else None."""
    stem, _, version = known.rpartition(":v")
    match = re.fullmatch(rf"{re.escape(stem)}:v([1-9][0-9]{{0,5}})", name, re.ASCII)
    return int(match[1]) if match and int(match[1]) > int(version) else None
