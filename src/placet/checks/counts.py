"""`counts`: no cell of a table counts fewer people than the rule's threshold."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from placet.checks.api import Check, File, Finding, Options
from placet.checks.tables import Column, Table
from placet.checks.types import table_of
from placet.checks.words import COUNTS, words
from placet.core.guards import guard

_SUPPRESSED = frozenset(
    {"", "*", "**", "-", "x", "c", "na", "n/a", "nan", "null", "suppressed", "[c]", "[z]"}
)
_THOUSANDS = re.compile(r"(?<=\d)[ ,'\u00a0](?=\d{3}\b)")
_THOUSANDS_POINT = re.compile(r"(?<=\d)[ ,.'\u00a0](?=\d{3}\b)")
_BELOW = re.compile(r"[<≤]\s*(\d+)")


class CountOptions(Options, frozen=True, kw_only=True):
    """`least` people in a cell; `columns` that count (names or patterns); is `zero` shown; `optional`."""

    least: int = 10
    columns: tuple[str, ...] = ()
    zero: bool = True
    optional: bool = False


class Counts(Check):
    """Small counts by threshold; neither dominance nor complementary cells."""

    api = 1
    tool = "placet"
    Options = CountOptions

    @guard(29)
    def look(self, file: File, options: CountOptions) -> Finding:
        """Read every cell of every column that counts."""
        table = table_of(file)
        if table is None:
            return Finding()
        chosen = _columns(table, options.columns)
        if not chosen and not options.optional:
            return Finding("no column is known as a count; name them in options.counts.columns")
        return _judge(table, chosen, options)


def _columns(table: Table, wanted: Sequence[str]) -> list[int]:
    def counts(column: Column) -> bool:
        if wanted:
            return any(fnmatch.fnmatchcase(column.name, pattern) for pattern in wanted)
        return not COUNTS.isdisjoint(words(column.name))

    return [index for index, column in enumerate(table.columns) if counts(column)]


def _judge(table: Table, chosen: Sequence[int], options: CountOptions) -> Finding:
    small = cells = rows = 0
    first = strange = ""
    for batch in table.batches():
        rows += batch.rows
        for index in chosen:
            for row, value in enumerate(batch.values[index], start=batch.first):
                number = _number(value, options.least, points=table.separator == ";")
                where = f"row {row}, column {index + 1}"
                cells += 1
                if number is None:
                    continue
                if number < 0:
                    strange = strange or f"{where} of a column of counts is no count"
                elif 0 < number < options.least or (number == 0 and not options.zero):
                    small += 1
                    first = first or where
    facts = {"rows": rows, "count_columns": len(chosen), "count_cells": cells, "small": small}
    if small:
        return Finding(f"{small} counts are below {options.least}, the first in {first}", facts)
    return Finding(strange, facts)


def _number(value: object, least: int, *, points: bool) -> float | None:
    """The count in a cell; None for a suppressed one; -1 for what is no count.

    `<3` tells as much as 2 does where 10 are asked for. `points` may part thousands: 1.000 is one elsewhere.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return -1
    if isinstance(value, int | float):
        return None if value != value else value  # noqa: PLR0124 - NaN
    text = str(value).strip()
    if text.casefold() in _SUPPRESSED:
        return None
    below = _BELOW.fullmatch(text)
    if below:
        return None if int(below[1]) >= least else 1
    try:
        parted = _THOUSANDS_POINT if points else _THOUSANDS
        return float(parted.sub("", text).replace(",", "."))
    except ValueError:
        return -1
