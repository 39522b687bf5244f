"""What a message about happenings says: one line of title, some lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from placet.core.defang import defang
from placet.core.happening import LOUD, Happening, Kind

_TITLE, _PROJECT = 150, 60
_ID = 12


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One happening as a message has it; `at` is in seconds since 1970."""

    kind: Kind
    subject: str
    text: str
    proposal: str
    at: float


def line(one: Happening, at: float) -> Line:
    """A happening as a line of a message."""
    return Line(kind=one.kind, subject=one.subject, text=one.text, proposal=one.proposal, at=at)


def loudest(lines: Sequence[Line], count: int) -> list[Line]:
    """So many of these lines, in their order: the loud ones before the others, the newest first of each."""
    return [lines[number] for number in sorted(_ranked(lines)[:count])]


def _ranked(lines: Sequence[Line]) -> list[int]:
    return sorted(range(len(lines)), key=lambda number: (lines[number].kind in LOUD, number), reverse=True)


def notice(project: str, lines: Sequence[Line], lost: int, limit: int) -> tuple[str, str]:
    """Title and text of one message about all these lines.

    Args:
        project: The Ctrl repository's name for people.
        lines: Oldest first, at least one.
        lost: How many more could not be told.
        limit: Characters of the text at most; what is loud comes first into it, then what is newest, in
            order: a flood of other lines hides nothing that somebody should act on.
    """
    name = f"[{defang(project, _PROJECT)}]"
    if len(lines) == 1 and not lost:
        title = f"{name} {lines[0].kind}: {lines[0].subject}"
    else:
        counts = Counter(one.kind for one in lines).most_common()
        counts.sort(key=lambda one: one[0] not in LOUD)
        title = f"{name} {', '.join(f'{count} {kind}' for kind, count in counts)}"
    title = title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}\N{HORIZONTAL ELLIPSIS}"
    shown: dict[int, str] = {}
    room = limit - 80
    for number in _ranked(lines):
        one = lines[number]
        text = one.text + (f"\nplacet show {one.proposal[:_ID]}" if one.proposal else "")
        if room < len(text) + 2 and shown:
            break
        shown[number] = text[:room]
        room -= len(text) + 2
    left = len(lines) - len(shown) + lost
    more = [f"{left} more: placet list, placet log"] if left else []
    return title, "\n\n".join([*(shown[number] for number in sorted(shown)), *more])
