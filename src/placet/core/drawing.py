"""Boxes with arrows between them as an SVG: columns from left to right, no script, nothing from elsewhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

_WIDTH, _GAP, _LINE, _PAD, _SPACE = 260, 70, 17, 9, 18
_CHARACTERS = 36
_COLUMNS = 20
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
        lines: What stands in it; the first is its name. What is too long is cut, and whole in its tooltip.
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
    columns = _columns(boxes, arrows)
    places: dict[str, _Place] = {}
    bottoms: dict[int, int] = {}
    for one in boxes:
        column = columns[one.key]
        y = bottoms.get(column, _SPACE)
        height = _LINE * len(one.lines) + 2 * _PAD
        places[one.key] = _Place(_SPACE + column * (_WIDTH + _GAP), y, height)
        bottoms[column] = y + height + _SPACE
    width = max((one.x for one in places.values()), default=0) + _WIDTH + _SPACE
    height = max(bottoms.values(), default=_SPACE)
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
    """Where each box stands, so that arrows go to the right; a circle stays as it is after some rounds."""
    out = {one.key: one.column for one in boxes}
    for _ in range(_COLUMNS):
        for a, b in arrows:
            if a in out and b in out and out[a] >= out[b]:
                if out[b] > 0:
                    out[b] = out[a] + 1
                else:
                    out[a] = out[b] - 1
    order = {column: place for place, column in enumerate(sorted(set(out.values())))}
    return {key: order[column] for key, column in out.items()}


def _box(one: Box, place: _Place) -> str:
    fill, line = _FILL[one.style]
    lines = [
        f'<text x="{place.x + _PAD}" y="{place.y + _PAD + _LINE * number - 4}"'
        f"{' font-weight=' + chr(34) + 'bold' + chr(34) if number == 1 else ''}>{_text(_short(text))}</text>"
        for number, text in enumerate(one.lines, start=1)
    ]
    return (
        f'<g><title>{_text(chr(10).join(one.lines))}</title><rect x="{place.x}" y="{place.y}" rx="5"'
        f' width="{_WIDTH}" height="{place.height}" fill="{fill}" stroke="{line}"/>{"".join(lines)}</g>'
    )


def _arrow(a: _Place, b: _Place) -> str:
    x, y, u, v = a.x + _WIDTH, a.y + a.height // 2, b.x, b.y + b.height // 2
    bend = _GAP // 2
    return (
        f'<path d="M{x} {y}C{x + bend} {y} {u - bend} {v} {u} {v}" fill="none" stroke="#555555"'
        ' marker-end="url(#tip)"/>'
    )


def _short(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"


def _text(text: str) -> str:
    """As XML may hold it and people may see it: no control, no direction, nothing invisible."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    shown = (one if one == "\n" or unicodedata.category(one) not in hidden else "\ufffd" for one in text)
    return escape("".join(shown))
