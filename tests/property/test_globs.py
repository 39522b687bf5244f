"""Globs against a reference of another kind, and in bounded time for every pattern and path."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from fuzz.run import bounded
from placet.core.globs import matches


def reference(pattern, path):
    """By dynamic programming over parts, and over letters within a part: which beginnings of the path match?"""
    *patterns, last = pattern.split("/")
    parts = path.split("/")
    row = [True] + [False] * len(parts)
    for one in patterns:
        if one == "**":
            row = [any(row[: end + 1]) for end in range(len(row))]
        else:
            row = [False, *(row[at] and part(one, parts[at]) for at in range(len(parts)))]
    if last == "**":
        return any(row[:-1])
    return row[-2] and part(last, parts[-1])


def part(pattern, text):
    row = [True] + [False] * len(text)
    for letter in pattern:
        if letter == "*":
            row = [any(row[: end + 1]) for end in range(len(row))]
        else:
            row = [False, *(row[at] and letter in {"?", text[at]} for at in range(len(text)))]
    return row[-1]


NAME = some.text("ab.é\n", min_size=1, max_size=6)
PIECE = some.just("**") | some.text("ab.*?é", min_size=1, max_size=6).map(
    lambda text: text.replace("**", "*")
)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(
    some.lists(PIECE, min_size=1, max_size=6).map("/".join),
    some.lists(NAME, min_size=1, max_size=7).map("/".join),
)
def test_globs_are_those_of_the_reference(pattern, path):
    assert matches(pattern, path) is reference(pattern, path)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(some.data(), some.lists(NAME, min_size=1, max_size=6))
def test_a_pattern_made_from_a_path_matches_it(data, parts):
    out = []
    for one in parts:
        start, end = sorted((data.draw(some.integers(0, len(one))), data.draw(some.integers(0, len(one)))))
        out.append(data.draw(some.sampled_from([one, f"{one[:start]}*{one[end:]}", "*", "**"])))
    pattern = "/".join(out)
    assert matches(pattern, "/".join(parts)) is reference(pattern, "/".join(parts))
    assert "**" in out or matches(pattern, "/".join(parts))


HOSTILE = [
    ("*a" * 200 + "*b", "a" * 255),
    ("*-*-*-*-*-*.csv", "-" * 255),
    ("*?" * 200 + "b", "a" * 255),
    ("**/" * 100 + "x", "a/" * 500 + "a"),
    ("**/a/" * 60 + "x", "a/" * 500 + "a"),
    ("**/*a*a/" * 40 + "**", "aaa/" * 250 + "b"),
    ("**/a/" * 60 + "**", "a/" * 511 + "b"),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_path_makes_a_pattern_slow(number):
    """Paths are a proposer's; each of these took minutes, or longer than the universe, by plain backtracking."""
    pattern, path = HOSTILE[number]
    with bounded():
        assert matches(pattern, path) is reference(pattern, path)
