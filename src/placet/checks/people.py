"""`rows`: a table of people, one row each, is not a result; and no table is longer than the rule allows."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from placet.checks.api import Check, File, Finding, Options
from placet.checks.tables import SEPARATORS, Batch, Table, lines
from placet.checks.types import MAX_JSON, SUFFIXES, table_of
from placet.checks.words import COUNTS, ONE_A_ROW, STEPS, words
from placet.core.guards import guard

_LOOKED_AT = 100_000
_LEAST = 5
_SHARE = 0.9
_BEGIN = re.compile(r"\d{4}-\d\d(-\d\d)?|(1?\d{1,2}|(19|20)\d\d)(\.0)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MONTH = re.compile(r"\d{4}-\d\d")
_TOTALS = COUNTS - {"number", "num", "numero", "número"}
_PADDED = re.compile(r"(?<=\S) {2,}(?=\S)")


class RowOptions(Options, frozen=True, kw_only=True):
    """`most` rows (`limits.rows` sets it); `unique` rows from which a column that never repeats is people."""

    most: int | None = None
    unique: int = 50


class Rows(Check):
    """Row counts, and the shape of a table in which each row is a person."""

    api = 1
    tool = "placet"
    Options = RowOptions

    @guard(29)
    def look(self, file: File, options: RowOptions) -> Finding:
        """Tables in CSV, Parquet and texts; objects of one form in JSON."""
        kind = SUFFIXES.get(file.suffix)
        table = table_of(file)
        if table is not None:
            return _table(table, options)
        if kind == "text":
            return _text(file, options)
        if kind == "json":
            return _objects(file, options)
        if kind == "xlsx":
            return Finding("rows of a workbook are not counted; publish CSV or Parquet")
        return Finding()

    def conclude(self, facts: Mapping[str, int], options: RowOptions) -> str:
        """All tables of the artifact together."""
        rows = facts.get("rows", 0)
        if options.most is not None and rows > options.most:
            return f"{rows} rows; the rule allows {options.most}"
        return ""


class _Distinct:
    """How far the values of one column differ, over the first 100,000 of them."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.count = self.measured = 0
        self._last: int | None = None
        self._step: int | None = None
        self._regular = True

    def add(self, values: Iterable[Any]) -> None:
        """Take more values; empty ones say nothing."""
        for value in values:
            if value in (None, "") or self.count >= _LOOKED_AT:
                continue
            self.count += 1
            self.seen.add(hash(str(value)))
            self.measured += _is_measure(value)
            if self.count == 1:
                self._regular = _may_begin(value)
            if self._regular:
                self._note_step(_ordinal(value))

    def _note_step(self, place: int | None) -> None:
        if place is not None and self._last is not None:
            self._step = place - self._last if self._step is None else self._step
        self._regular = place is not None and (self._last is None or place - self._last == self._step)
        self._last = place

    @property
    def share(self) -> float:
        """Different values among those that are there."""
        return len(self.seen) / self.count if self.count else 0.0

    def tells(self, least: int, *, steps: bool = False) -> bool:
        """Do at least so many values never repeat, and measure nothing; nor count up, where `steps` may?"""
        same = (steps and self._regular) or 2 * self.measured >= self.count
        return self.count >= least and self.share == 1.0 and not same


def _table(table: Table, options: RowOptions) -> Finding:
    parts = [set(words(one.name)) for one in table.columns]
    looked = {
        index: _Distinct() for index, one in enumerate(table.columns) if one.kind in {"text", "int", "float"}
    }
    rows = wide = 0
    for batch in table.batches():
        rows += batch.rows
        for index, one in looked.items():
            one.add(batch.values[index])
        if len(looked) >= options.unique and not wide:
            wide = _wide(batch, options.unique)
    facts = {"rows": rows, "columns": len(table.columns), "tables": 1}
    for index, column in enumerate(table.columns):
        if column.kind in {"binary", "other"} and rows:
            return Finding(f"column {index + 1} is nested or binary: its rows are not counted", facts)
    for index, one in looked.items():
        if parts[index] & ONE_A_ROW and one.count >= _LEAST and one.share >= _SHARE:
            return Finding(f"column {index + 1} names one person a row: a row-level table", facts)
        if not parts[index] & _TOTALS and one.tells(options.unique, steps=bool(parts[index] & STEPS)):
            return Finding(f"column {index + 1} never repeats in {rows} rows: a row-level table", facts)
    if wide:
        return Finding(f"row {wide} never repeats in {len(parts)} columns: row-level, on its side", facts)
    return Finding("", facts)


def _wide(batch: Batch, unique: int) -> int:
    """The number of the first row whose cells never repeat; 0 if there is none."""
    for number, row in enumerate(zip(*batch.values, strict=True), start=batch.first):
        one = _Distinct()
        one.add(row[1:])
        if one.tells(unique):
            return number
    return 0


def _is_measure(value: object) -> bool:
    """A number with a fraction: what is measured differs from row to row, and names nobody."""
    try:
        number = float(value.replace(",", ".") if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
    return not number.is_integer()


def _may_begin(value: object) -> bool:
    """Is it a date, a year or a small number? Larger ones may be those of people who follow one another."""
    return _BEGIN.fullmatch(str(value)) is not None


def _ordinal(value: object) -> int | None:
    """The place of a day, a month or a whole number among its like: weeks, years and replicates count up."""
    text = str(value)
    try:
        if _MONTH.fullmatch(text):
            return int(text[:4]) * 12 + int(text[5:])
        if _DAY.fullmatch(text):
            return date.fromisoformat(text).toordinal()
        return int(text.removesuffix(".0"))
    except ValueError:
        return None


def _text(file: File, options: RowOptions) -> Finding:
    """A table with something before or after it: most lines have one number of separators."""
    widths: Counter[tuple[str, int]] = Counter()
    count = 0
    for line in lines(file.stream):
        count += bool(line.strip())
        widths.update((one, line.count(one)) for one in SEPARATORS if line.count(one) > 1)
        padded = len(_PADDED.findall(line.strip()))
        widths.update([("  ", padded)] if padded > 1 else [])
    most = max(widths.values(), default=0)
    if most >= max(options.unique, count / 2):
        return Finding(f"{most} lines have as many separators: it may be a row-level table")
    return Finding()


def _objects(file: File, options: RowOptions) -> Finding:
    """JSON Lines, or a JSON in any of the forms that tables take in it: by rows, by columns, in pieces."""
    if file.suffix != "json":
        rows, column = sum(1 for line in lines(file.stream) if line.strip()), False
    else:
        file.stream.seek(0)
        try:
            rows, column = _shape([json.loads(file.stream.read(MAX_JSON))], options.unique)
        except (ValueError, RecursionError):
            return Finding("it is no JSON that can be read")
    facts = {"rows": rows, "tables": int(rows > 0)}
    if rows >= options.unique:
        return Finding(f"{rows} objects of one form: it may be a row-level table", facts)
    if column:
        return Finding("a list that never repeats: it may be of a row-level table", facts)
    return Finding("", facts)


def _shape(document: Any, unique: int) -> tuple[int, bool]:  # noqa: ANN401
    """How many lists and objects look alike, and is there a column of `unique` values that never repeats?"""
    todo: list[tuple[str, Any]] = [("", document)]
    longest, column = 0, False
    alike: Counter[tuple[str, ...]] = Counter()
    while todo:
        name, node = todo.pop()
        named = node.items() if isinstance(node, dict) else (("", one) for one in node)
        children = list(named)
        inner = [(key, one) for key, one in children if isinstance(one, dict | list)]
        if isinstance(node, list):
            longest = max(longest, len(inner))
        elif 1 < len(node) < unique:
            alike[tuple(sorted(node))] += 1
        column = column or _never_repeats(name, (one for _, one in children), unique)
        todo += inner
    return max(longest, max(alike.values(), default=0)), column


def _never_repeats(name: str, values: Iterable[Any], unique: int) -> bool:
    one = _Distinct()
    one.add(value for value in values if type(value) in {str, int, float})
    return one.tells(unique, steps=bool(set(words(name)) & STEPS))
