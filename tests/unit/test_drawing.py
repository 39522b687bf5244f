"""Boxes and arrows: to the right where there is no circle, on paper of a finite size, whatever is said."""

import itertools
import re
import xml.etree.ElementTree as ET

import pytest

from placet.core.drawing import Box, svg

SVG = "{http://www.w3.org/2000/svg}"


def box(key, column, style="plain"):
    return Box(key, column, (key, "second line"), style)


def drawn(boxes, arrows):
    text = svg("title", boxes, arrows)
    root = ET.fromstring(text)
    lefts = {
        one.find(f"{SVG}text").text: int(one.find(f"{SVG}rect").get("x")) for one in root.iter(f"{SVG}g")
    }
    ends = [
        tuple(map(int, re.findall(r"-?\d+", one.get("d"))[::6][:2]))
        for one in root.iter(f"{SVG}path")
        if one.get("marker-end")
    ]
    return root, lefts, ends


def test_a_box_moves_out_where_an_arrow_would_go_back():
    boxes = [box("self", 0), box("a", -1), box("b", -1), box("c", 1), box("d", 1)]
    _, lefts, ends = drawn(
        boxes, [("a", "b"), ("a", "self"), ("b", "self"), ("self", "c"), ("self", "d"), ("c", "d")]
    )
    assert lefts["a"] < lefts["b"] < lefts["self"] < lefts["c"] < lefts["d"]
    assert len(ends) == 6


def test_boxes_of_one_column_do_not_overlap():
    root, lefts, _ = drawn([box(str(number), 1) for number in range(5)], [])
    places = sorted(
        (int(one.get("y")), int(one.get("height"))) for one in root.iter(f"{SVG}rect") if one.get("rx")
    )
    assert len(set(lefts.values())) == 1
    assert all(y + height < below for (y, height), (below, _) in itertools.pairwise(places))


def test_a_circle_is_drawn_on_finite_paper():
    root, lefts, ends = drawn(
        [box("self", 0), box("a", -1), box("b", 1)], [("a", "self"), ("self", "a"), ("b", "a"), ("a", "b")]
    )
    assert len(lefts) == 3 and len(ends) == 4
    assert int(root.get("width")) < 1200


def test_arrows_of_what_is_not_there_are_left_out():
    assert drawn([box("a", 0)], [("a", "b"), ("c", "a")])[2] == []
    assert int(drawn([], [])[0].get("width")) > 0


@pytest.mark.parametrize(
    "text", ["\x00", "\ud800", "\u202e", "\u2028", "]]>", "&", "<b>", "\U000e0041", "\ufffe"]
)
def test_every_text_is_valid_and_shows_what_it_hides(text):
    root = ET.fromstring(svg(text, [Box("a", 0, (text * 50, text), "gone")], []).encode())
    shown = "".join(root.itertext())
    assert text in shown if text in {"]]>", "&", "<b>"} else "\ufffd" in shown and text not in shown
