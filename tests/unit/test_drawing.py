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
        one.find(f".//{SVG}text").text: int(one.find(f"{SVG}rect").get("x")) for one in root.iter(f"{SVG}g")
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


def placed(boxes, arrows):
    """Key -> x, y of each box; the arrows that go back."""
    root = drawn([box(*one) for one in boxes], arrows)[0]
    places = {}
    for group in root.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        places[group.find(f".//{SVG}text").text] = int(rect.get("x")), int(rect.get("y"))
    return places, [one for one in root.iter(f"{SVG}path") if one.get("stroke-dasharray")]


def test_a_circle_costs_one_arrow_back_and_moves_nothing_else():
    boxes = [("me", 0), ("in", -1), ("raw", -2), ("a", 1), ("b", 1), ("c", 1)]
    arrows = [("raw", "in"), ("in", "me"), ("me", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "me")]
    places, back = placed(boxes, arrows)
    assert [key for key, _ in sorted(places.items(), key=lambda one: one[1][0])] == [
        "raw", "in", "me", "a", "b", "c",
    ]  # fmt: skip
    assert len(back) == 2


def test_what_names_itself_is_drawn():
    places, back = placed([("me", 0)], [("me", "me")])
    assert len(places) == 1 and len(back) == 1


def test_columns_are_in_the_middle():
    places, _ = placed([("me", 0), *((f"i{n}", -1) for n in range(9))], [(f"i{n}", "me") for n in range(9)])
    tops = sorted(y for key, (_, y) in places.items() if key != "me")
    assert places["me"][1] == tops[4]


def test_a_long_way_that_is_told_backwards_goes_to_the_right():
    """As many boxes as are ever told, each made from the next, all taken for direct descendants."""
    names = [f"n{number}" for number in range(500)]
    arrows = list(itertools.pairwise(names))
    places, back = placed([("me", 0), *((one, 1) for one in reversed(names))], [("me", "n0"), *arrows])
    across = [places[one][0] for one in ("me", *names)]
    assert across == sorted(set(across)) and back == []


@pytest.mark.parametrize("text", ["W" * 80, "漢" * 60, "a\u0300" * 500, "<script>" * 20])
def test_no_text_leaves_its_box(text):
    root = ET.fromstring(svg("t", [Box("k", 0, (text, "short"), "plain")], []))
    (inner,) = list(root.iter(f"{SVG}svg"))[1:]
    (rect,) = [one for one in root.iter(f"{SVG}rect") if one.get("rx")]
    assert inner.get("overflow") is None and int(inner.get("width")) <= int(rect.get("width"))
    first, second = (one.text for one in inner.findall(f"{SVG}text"))
    assert first.endswith("…") and second == "short"
    assert len(re.sub("\u0300", "", first)) <= 36
    assert not list(root.iter(f"{SVG}script"))


def test_what_fits_is_not_cut():
    root = ET.fromstring(svg("t", [Box("k", 0, ("a" * 36, "漢" * 18), "plain")], []))
    assert [one.text for one in root.iter(f"{SVG}text")] == ["a" * 36, "漢" * 18]
