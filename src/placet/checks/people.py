"""`rows`: a table of people, one row each, is not a result; and no table is longer than the rule allows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from placet.checks.api import Check, File, Finding, Options
from placet.checks.tables import SEPARATORS, Batch, Table, lines
from placet.checks.types import MAX_JSON, SUFFIXES, table_of
from placet.checks.words import ONE_A_ROW, words
from placet.core.guards import guard

_LOOKED_AT = 100_000
_LEAST = 5
_SHARE = 0.9


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
        """Tables in CSV, Parquet and texts; lists of objects in JSON."""
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
    """How far the values of one column differ, over the first 100,000 rows."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.count = 0

    def add(self, values: Any) -> None:  # noqa: ANN401
        room = _LOOKED_AT - self.count
        for value in values[:room] if room > 0 else ():
            if value not in (None, ""):
                self.count += 1
                self.seen.add(hash(str(value)))

    @property
    def share(self) -> float:
        """Different values among those that are there."""
        return len(self.seen) / self.count if self.count else 0.0


def _table(table: Table, options: RowOptions) -> Finding:
    named = {index for index, one in enumerate(table.columns) if not ONE_A_ROW.isdisjoint(words(one.name))}
    looked = {
        index: _Distinct() for index, one in enumerate(table.columns) if one.kind in {"text", "int", "other"}
    }
    measures: set[int] = set()
    rows = 0
    for batch in table.batches():
        rows += batch.rows
        if batch.first <= _LOOKED_AT:
            _note(batch, looked, measures)
    facts = {"rows": rows, "columns": len(table.columns), "tables": 1}
    for index, one in looked.items():
        if index in named and one.count >= _LEAST and one.share >= _SHARE:
            return Finding(f"column {index + 1} names one person a row: a row-level table", facts)
        if index not in measures and one.count >= options.unique and one.share == 1.0:
            return Finding(f"column {index + 1} never repeats in {rows} rows: a row-level table", facts)
    return Finding("", facts)


def _note(batch: Batch, looked: Mapping[int, _Distinct], measures: set[int]) -> None:
    for index, one in looked.items():
        values = batch.values[index]
        one.add(values)
        if any(isinstance(value, str) and _is_measure(value) for value in values[:100]):
            measures.add(index)


def _is_measure(text: str) -> bool:
    """A number with a fraction: what is measured differs from row to row, and names nobody."""
    return ("." in text or "," in text or "e" in text.lower()) and _float(text)


def _float(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _text(file: File, options: RowOptions) -> Finding:
    """A table with something before or after it: most lines have one number of separators."""
    widths: Counter[tuple[str, int]] = Counter()
    count = 0
    for line in lines(file.stream):
        count += bool(line.strip())
        widths.update((one, line.count(one)) for one in SEPARATORS if line.count(one) > 1)
    most = max(widths.values(), default=0)
    if most >= max(options.unique, count / 2):
        return Finding(f"{most} lines have as many separators: it may be a row-level table")
    return Finding()


def _objects(file: File, options: RowOptions) -> Finding:
    """JSON Lines, or lists of objects anywhere in a JSON: the longest list counts as a table."""
    if file.suffix != "json":
        rows = sum(1 for line in lines(file.stream) if line.strip())
    else:
        file.stream.seek(0)
        try:
            rows = _longest(json.loads(file.stream.read(MAX_JSON)))
        except (ValueError, RecursionError):
            return Finding("it is no JSON that can be read")
    facts = {"rows": rows, "tables": int(rows > 0)}
    if rows >= options.unique:
        return Finding(f"{rows} objects in a list: it may be a row-level table", facts)
    return Finding("", facts)


def _longest(document: Any) -> int:  # noqa: ANN401
    todo, longest = [document], 0
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            longest = max(longest, sum(isinstance(one, dict | list) for one in node))
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        todo += [one for one in children if isinstance(one, dict | list)]
    return longest
