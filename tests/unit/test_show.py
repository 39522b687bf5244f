"""What reviewers see: harmless whatever a text says, readable on 80 columns, and all of it in the JSON, for good."""

import dataclasses
import io
import json
import logging
import re
import typing
from pathlib import Path

import msgspec
import pytest

from placet.checks.compare import ColumnDiff, TableDiff
from placet.cli import app, author, bars, clean, output, proposals
from placet.core.predicates import CheckResult, Comment
from placet.core.provenance import Provenance
from placet.core.states import State
from placet.engine import checks, detail, diff, propose, review, show
from placet.errors import Refused

HOSTILE = "\x1b[2J\x1b]0;title\x07\x1b]8;;http://evil\x1b\\\x9b31m\rover\x08\x00\u202egnp.exe\u2066\u200b\ufeff\U000e0041\u2028[red]x[/red]:smile:\ud800"
SEEN = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
)
AT, LATER = "2026-11-24T10:00:00Z", "2026-12-24T10:00:00Z"
ROOT = Path(__file__).parent.parent


class Filler:
    """Values of a result's types, each text of its own, so that what is drawn can be traced to its field."""

    def __init__(self, text):
        self.text, self.number = text, 0

    def __call__(self, kind):
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Annotated:
            return self(arguments[0])
        if origin is typing.Literal:
            return arguments[-1]
        if origin is tuple:
            kinds = arguments[:1] if arguments[-1:] == (...,) else arguments
            return tuple(self(one) for one in kinds)
        if origin is not None and isinstance(origin, type) and issubclass(origin, typing.Mapping):
            return {self(arguments[0]): self(arguments[1])}
        if origin is not None:
            return self(next(one for one in arguments if one is not type(None)))
        if dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__"):
            hints = typing.get_type_hints(kind, include_extras=True)
            names = getattr(kind, "__struct_fields__", None) or [one.name for one in dataclasses.fields(kind)]
            return kind(**{name: self.field(name, hints[name]) for name in names})
        self.number += 1
        if kind is bool:
            return True
        return {int: 1000 + self.number, State: State.PROPOSED}.get(kind) or f"{self.text}{self.number:03}"

    def field(self, name, kind):
        if (
            name in {"at", "proposed", "expires", "until", "time", "published"}
            and "str" in str(kind)
            and "tuple" not in str(kind)
        ):
            return AT if name == "at" else LATER
        return "" if name == "problem" else self(kind)


RESULTS = {
    "show": (detail.Detail, proposals.shown),
    "list": (tuple[show.Summary, ...], proposals.listed),
    "diff": (diff.Diff, proposals.diffed),
    "approve": (review.Decided, proposals.decided),
    "check": (checks.Checked, proposals.checked),
    "log": (tuple[show.LogLine, ...], proposals.logged),
    "propose": (propose.Proposed, author.proposed),
}


def drawn(command, text="t", width=80):
    kind, human = RESULTS[command]
    value = Filler(text)(kind)
    sheet = io.StringIO()
    human(value, output.terminal(sheet, width))
    return value, sheet.getvalue()


@pytest.mark.parametrize("command", RESULTS)
def test_nothing_hostile_reaches_the_terminal(command, monkeypatch):
    for width in (80, 5000):
        _, text = drawn(command, HOSTILE, width)
        assert not SEEN.search(text), SEEN.search(text)
    assert "\\x1b" in text
    assert "[red]x[/red]:smile:\\ud800" in text
    monkeypatch.setattr(output, "clean", lambda text: text)
    monkeypatch.setattr(proposals, "quoted", lambda text: [text])
    _, text = drawn(command, HOSTILE.replace("\ud800", ""))
    assert SEEN.search(text), "it is this guard that refuses"


@pytest.mark.parametrize("command", RESULTS)
def test_it_fits_on_80_columns(command):
    _, text = drawn(command, "t" * 20)
    assert max(map(len, text.splitlines())) <= 80


VOCABULARY = set(re.findall(r"[A-Za-z#>:]+", (ROOT.parent / "src/placet/cli/proposals.py").read_text())) | {
    "UTC",
    "forge-attested",
    "in",
    "days",
    "ago",
    "h",
    "min",
    "kB",
    "B",
    "->",
    "sha256",
    "n",
    "by",
    "id",
    "s",
}


@pytest.mark.parametrize("command", RESULTS)
def test_whatever_is_drawn_is_in_the_json(command):
    value, text = drawn(command, "t", width=400)
    told = json.dumps(output.plain(value))
    for word in re.findall(r"[^\s,;:()|]+", text):
        kept = (
            word in told
            or word.rstrip(".") in told
            or word in VOCABULARY
            or word.strip("'+-~=.") in VOCABULARY | {""}
        )
        human = re.fullmatch(r"\d+(\.\d)?|\d{4}-\d\d-\d\d|\d\d|[.>-]+", word)
        assert kept or human, (word, text)


def fields(kind):
    """The names of a result's fields, with those inside, as the JSON has them."""
    out = set()
    for one in typing.get_args(kind):
        out |= fields(one)
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__"):
        hints = typing.get_type_hints(kind, include_extras=True)
        names = (
            [(one.name, one.encode_name) for one in msgspec.structs.fields(kind)]
            if hasattr(kind, "__struct_fields__")
            else [(one.name, one.name) for one in dataclasses.fields(kind)]
        )
        for name, shown in names:
            out |= {shown} | {f"{shown}.{more}" for more in fields(hints[name])}
    return out


def test_the_json_of_every_result_only_grows():
    """A field that a program relies on stays; a new one is added to `tests/golden/cli/json-fields.json`."""
    golden = ROOT / "golden" / "cli" / "json-fields.json"
    found = {command: sorted(fields(kind)) for command, (kind, _) in RESULTS.items()}
    kept = json.loads(golden.read_text())
    assert kept.keys() == found.keys()
    for command, names in kept.items():
        assert set(names) <= set(found[command]), command


def test_json_is_whole_and_harmless():
    text = output.as_json({"x": HOSTILE, "y": "grün"})
    assert json.loads(text) == {"x": HOSTILE, "y": "grün"}
    assert not SEEN.search(text)
    assert output.as_json({"y": "grün 日本"}) == '{"y": "grün 日本"}'


@pytest.mark.parametrize("json_output", [False, True])
def test_errors_and_logs_are_harmless(json_output, capsys, monkeypatch):
    monkeypatch.setattr(output.output, "json", json_output)
    monkeypatch.setattr(output.output, "verbose", True)
    error = Refused(HOSTILE, kind="policy", why=HOSTILE, mend=HOSTILE)
    with pytest.raises(Refused) as caught:
        raise error
    assert app._failed(output.output, caught.value) == 12
    assert app._bug(output.output, RuntimeError(HOSTILE)) == 1
    output.output.warn([HOSTILE])
    said = capsys.readouterr()
    assert not SEEN.search(said.out + said.err)
    record = logging.LogRecord("x", logging.WARNING, "x", 1, "%s", (HOSTILE,), None)
    assert not SEEN.search(output.CleanFormatter().format(record))


def test_bars_are_harmless():
    from rich.console import Console

    sheet = io.StringIO()
    shown = bars.Bars(Console(file=sheet, force_terminal=True, width=300, color_system=None))
    shown.start(f"check {HOSTILE}", 1)
    shown.done()
    assert "\\x1b]0;title" in sheet.getvalue() and "[red]x[/red]" in sheet.getvalue()
    assert "\x1b]0;title" not in sheet.getvalue()


def test_cleaning_keeps_what_people_write():
    for text in ("plain", "grün, 日本, עברית, 😀", "two\nlines", "a—b “c”"):
        assert clean.clean(text) == text
    assert clean.clean("a\tb\x1b\u202e\U000e0041") == "a\\x09b\\x1b\\u202e\\U000e0041"


LIE = "fine\nmanifest: an approval approves this and nothing else\n  sha256:0\ndecisions"


@pytest.mark.parametrize("command", sorted(set(RESULTS) - {"list", "log", "propose"}))
def test_words_of_others_cannot_pass_for_ours(command):
    _, text = drawn(command, LIE, width=5000)
    lines = [line for line in text.splitlines() if "nothing else" in line or line.strip() == "decisions"]
    ours = [line for line in lines if not line.startswith("  | ") and "\\n" not in line]
    assert len(ours) == (2 if command == "show" else 0), ours


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2026-11-24T10:00:30Z", "2026-11-24 10:00 UTC (in 30 s)"),
        ("2026-11-24T13:10:00Z", "2026-11-24 13:10 UTC (in 3 h)"),
        ("2026-11-24T09:15:00Z", "2026-11-24 09:15 UTC (45 min ago)"),
        ("2026-12-24T10:00:00Z", "2026-12-24 10:00 UTC (in 30 days)"),
        ("2026-11-24T10:00:00Z", "2026-11-24 10:00 UTC (0 s ago)"),
    ],
)
def test_times_are_for_people(moment, words):
    assert output.when(moment, AT) == words


def test_a_diff_says_what_it_could_not_compare():
    table = TableDiff(form="csv", columns=(("a", "int"), ("b", "text")), columns_added=("b",), columns_removed=("c",),
                      kinds_changed=(ColumnDiff("a", "text", "int"),), rows=(2, 3), rows_added=2, rows_removed=1,
                      sample_added=(("1", "x"),), sample_removed=(("y", "2"),))  # fmt: skip
    entries = (
        diff.FileDiff("a.csv", "changed", (10, 20), ("0" * 64, "1" * 64), table),
        diff.FileDiff(
            "b.csv", "added", (None, 5), (None, "1" * 64), TableDiff(problem="It cannot be read as a table.")
        ),
    )
    artifact = diff.ArtifactDiff("outputs/d", "changed", "i" * 32, (10, 25), (1, 2), ("0" * 64, "1" * 64), True, entries, (1, 1, 60), 3,
                                 (diff.FactDiff("tables", "rows", None, 3),))  # fmt: skip
    sheet = io.StringIO()
    proposals.diffed(diff.Diff("i" * 32, "m" * 64, "bytes", (artifact,)), output.terminal(sheet, 80))
    for words in ("rows 2 -> 3: 2 added, 1 removed", "columns added: b", "columns removed: c", "column a: text -> int", "+ 1 | x", "- y | 2",
                  "~ a.csv  10 B -> 20 B", "+ b.csv  5 B", "cannot be read as a table", "- ... 60 removed in all", "3 more tables",
                  "tables: rows - -> 3"):  # fmt: skip
        assert words in sheet.getvalue(), words


def test_a_report_names_what_is_not_readable():
    artifact = diff.ArtifactDiff(
        "outputs/a", "new", None, (0, 5), (0, 1), (None, "1" * 64), False, (), (0, 0, 0), 0, ()
    )
    sheet = io.StringIO()
    proposals.diffed(diff.Diff("i", "m", "report", (artifact,)), output.terminal(sheet, 80))
    assert "not readable here" in sheet.getvalue()


def test_checks_and_comments_are_drawn_whole():
    result = CheckResult(
        check="tables",
        path="outputs/a.csv",
        digest="0" * 64,
        passed=False,
        summary="bad",
        tool="x 1.2",
        facts={"rows": 3},
    )
    assert proposals._check(result) == "  FAILED  tables  outputs/a.csv: bad (rows 3, x 1.2)"
    assert list(proposals._comments([Comment(path="outputs/a.csv", text="why\nso")])) == [
        "  on outputs/a.csv",
        "  | why",
        "  | so",
    ]
    assert Provenance().dependencies == ()
