"""A long line of somebody's words wraps to no line that looks like one of Placet's."""

import io

from placet.cli.output import quoted, terminal
from placet.cli.proposals import _say


def test_what_wraps_keeps_its_mark():
    out = io.StringIO()
    words = "please look" + " " * 70 + "approved by bob: 2 of 2, may be merged, " + "x" * 200
    _say(terminal(out, 80), ["state  PENDING", *quoted(words)])
    first, *lines = out.getvalue().rstrip("\n").split("\n")
    assert first.strip() == "state  PENDING"
    assert len(lines) >= 4 and all(line.startswith("  | ") for line in lines)
    shown = "".join(line.removeprefix("  | ") for line in lines)
    assert "".join(shown.split()) == "".join(words.split())


def test_a_line_of_our_own_goes_on_indented():
    out = io.StringIO()
    _say(terminal(out, 40), ["columns: " + "name of a column, " * 6])
    first, *lines = out.getvalue().rstrip("\n").split("\n")
    assert first.startswith("columns:") and lines and all(line.startswith("    ") for line in lines)
