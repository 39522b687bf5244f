"""Boxes with arrows between them as an SVG: columns from left to right, no script, nothing from elsewhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

_WIDTH, _GAP, _LINE, _PAD, _SPACE = 260, 70, 17, 9, 18
_CHARACTERS = 36
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8"'
    ' orient="auto"><path d="M0 0L8 4L0 8z" fill="#555555"/></marker></defs>'
)

Style = Literal["plain", "self", "foreign", "marked", "gone"]
_FILL: Mapping[Style, tuple[str, str]] = {
    "plain": ("#eef3fb", "#4a6fa5"),
    "self": ("#dff2e1", "#2e7d32"),
    "foreign": ("#f4f4f4", "#888888"),
    "marked": ("#fff3d6", "#b26a00"),
    "gone": ("#fde0e0", "#b3261e"),
}


@dataclass(frozen=True, slots=True)
class Box:
    """One box; `column` counts from the middle, and moves out where an arrow would go back.

    Attributes:
        lines: What stands in it; the first is its name. What is too long is cut, and whole in its tooltip;
            no text leaves its box.
    """

    key: str
    column: int
    lines: tuple[str, ...]
    style: Style


@dataclass(frozen=True, slots=True)
class _Place:
    x: int
    y: int
    height: int


def svg(title: str, boxes: Sequence[Box], arrows: Sequence[tuple[str, str]]) -> str:
    """The whole file; an arrow goes from one box's key to another's."""
    places, height = _places(boxes, _columns(boxes, arrows))
    width = max((one.x for one in places.values()), default=0) + _WIDTH + _SPACE
    known = [(places[a], places[b]) for a, b in arrows if a in places and b in places]
    head = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-size="12" role="img"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {head} font-family="sans-serif">',
            f"<title>{_text(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            _TIP,
            *(_arrow(a, b) for a, b in known),
            *(_box(one, places[one.key]) for one in boxes),
            "</svg>\n",
        ]
    )


def _columns(boxes: Sequence[Box], arrows: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Where each box stands: arrows go to the right, but for one in each circle, which goes back."""
    out = {one.key: one.column for one in boxes}
    known = [(a, b) for a, b in arrows if a in out and b in out and not out[a] >= 0 >= out[b]]
    rank = _rank(out, known)
    onward = [(a, b) for a, b in known if rank[a] < rank[b]]
    for a, b in sorted(onward, key=lambda one: rank[one[0]]):
        if out[b] > 0:
            out[b] = max(out[b], out[a] + 1)
    for a, b in sorted(onward, key=lambda one: -rank[one[1]]):
        if out[b] <= 0:
            out[a] = min(out[a], out[b] - 1)
    order = {column: place for place, column in enumerate(sorted(set(out.values())))}
    return {key: order[column] for key, column in out.items()}


def _rank(keys: Iterable[str], arrows: Iterable[tuple[str, str]]) -> Mapping[str, int]:
    """An order in which every arrow goes forward that does not close a circle; depth first."""
    beside: dict[str, list[str]] = {key: [] for key in keys}
    for a, b in arrows:
        beside[a].append(b)
    seen: set[str] = set()
    done: list[str] = []
    for start, first in beside.items():
        way = [] if start in seen else [(start, iter(first))]
        seen.add(start)
        while way:
            key, rest = way[-1]
            following = next((one for one in rest if one not in seen), None)
            if following is None:
                done.append(key)
                way.pop()
            else:
                seen.add(following)
                way.append((following, iter(beside[following])))
    return {key: number for number, key in enumerate(reversed(done))}


def _places(boxes: Sequence[Box], columns: Mapping[str, int]) -> tuple[Mapping[str, _Place], int]:
    """Each box's place, every column in the middle of the height; and the height."""
    heights = {one.key: _LINE * len(one.lines) + 2 * _PAD for one in boxes}
    tall: dict[int, int] = {}
    for one in boxes:
        tall[columns[one.key]] = tall.get(columns[one.key], _SPACE) + heights[one.key] + _SPACE
    height = max(tall.values(), default=_SPACE)
    tops = {column: _SPACE + (height - own) // 2 for column, own in tall.items()}
    out = {}
    for one in boxes:
        column = columns[one.key]
        out[one.key] = _Place(_SPACE + column * (_WIDTH + _GAP), tops[column], heights[one.key])
        tops[column] += heights[one.key] + _SPACE
    return out, height


def _box(one: Box, place: _Place) -> str:
    fill, line = _FILL[one.style]
    lines = [
        f'<text x="{_PAD}" y="{_PAD + _LINE * number - 4}"'
        f"{' font-weight=' + chr(34) + 'bold' + chr(34) if number == 1 else ''}>{_text(_short(text))}</text>"
        for number, text in enumerate(one.lines, start=1)
    ]
    return (
        f'<g><title>{_text(chr(10).join(one.lines))}</title><rect x="{place.x}" y="{place.y}" rx="5"'
        f' width="{_WIDTH}" height="{place.height}" fill="{fill}" stroke="{line}"/><svg x="{place.x}"'
        f' y="{place.y}" width="{_WIDTH - _PAD}" height="{place.height}">{"".join(lines)}</svg></g>'
    )


def _arrow(a: _Place, b: _Place) -> str:
    """From the right side of a box to the left of another; one that goes back is dashed, below the boxes."""
    x, y, u, v = a.x + _WIDTH, a.y + a.height // 2, b.x, b.y + b.height // 2
    bends, dashes = f"{x + _GAP // 2} {y} {u - _GAP // 2} {v}", ""
    if b.x <= a.x:
        x, y, u, v = a.x + _WIDTH // 2 + _GAP, a.y + a.height, b.x + _WIDTH // 2 - _GAP, b.y + b.height
        low = max(y, v) + _SPACE
        bends, dashes = f"{x} {low} {u} {low}", ' stroke-dasharray="4 3"'
    return f'<path d="M{x} {y}C{bends} {u} {v}" fill="none" stroke="#555555"{dashes} marker-end="url(#tip)"/>'


def _short(text: str) -> str:
    """So much of a text as a box holds; what East Asian fonts draw wide takes the room of two."""
    room = _CHARACTERS - 1
    for place, one in enumerate(text):
        room -= 2 if unicodedata.east_asian_width(one) in "WF" else 0 if unicodedata.combining(one) else 1
        if room < 0 and len(text) > place + 1:
            return f"{text[:place]}…"
    return text


def _text(text: str) -> str:
    """As XML may hold it and people may see it: no control, no direction, nothing invisible."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    shown = (one if one == "\n" or unicodedata.category(one) not in hidden else "\ufffd" for one in text)
    return escape("".join(shown))
