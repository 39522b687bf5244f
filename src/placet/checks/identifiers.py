"""`identifiers`: columns that name people directly, by their own name in several languages, and by values."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from placet.checks import patterns
from placet.checks.api import Check, File, Finding, Options
from placet.checks.tables import Batch, Table, lines
from placet.checks.types import SUFFIXES, table_of
from placet.checks.words import DIRECT, PAIRS, words
from placet.core.guards import guard

_LEAST = 5
_SHARE = 0.8
_LOOKED_AT = 20_000
_BLOCK = 1 << 16


class IdentifierOptions(Options, frozen=True, kw_only=True):
    """`allow`: columns (names or patterns) that are known to be harmless; `deny`: more names."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Identifiers(Check):
    """Tables in CSV and Parquet; texts by the patterns alone."""

    api = 1
    tool = f"placet; python-stdnum {version('python-stdnum')}"
    Options = IdentifierOptions

    @guard(29)
    def look(self, file: File, options: IdentifierOptions) -> Finding:
        """Every cell by the exact patterns; the first 20,000 rows by national numbers."""
        table = table_of(file)
        if table is not None:
            return _table(table, options)
        return _text(file) if SUFFIXES.get(file.suffix) in {"text", "json"} else Finding()


def is_identifier(name: str) -> bool:
    """Does a column's name say that it names people?"""
    parts = words(name)
    joined = {"".join(parts), *parts}
    return not DIRECT.isdisjoint(joined) or any(
        (one, other) in PAIRS for one in parts for other in parts if one != other
    )


def _table(table: Table, options: IdentifierOptions) -> Finding:
    names = [one.name for one in table.columns]
    facts = {"columns": len(names), "tables": 1}
    chosen = [index for index, name in enumerate(names) if not _matches(name, options.allow)]
    problem = _named(names, chosen, options) or _valued(table, chosen)
    return Finding(problem, facts)


def _named(names: Sequence[str], chosen: Sequence[int], options: IdentifierOptions) -> str:
    for index in chosen:
        if is_identifier(names[index]) or _matches(names[index], options.deny):
            return f"column {index + 1} is called as one that names people"
        if any(patterns.exact(names[index])):
            return f"the name of column {index + 1} holds an identifier"
    return ""


def _valued(table: Table, chosen: Sequence[int]) -> str:
    likely: dict[int, Counter[str]] = {index: Counter() for index in chosen}
    filled: Counter[int] = Counter()
    for batch in table.batches():
        for index in chosen:
            kind = _exact(batch.values[index])
            if kind:
                return f"column {index + 1} holds values of this kind: {kind}"
        if batch.first <= _LOOKED_AT:
            _note(batch, likely, filled)
    for index, found in likely.items():
        for kind, count in found.most_common(1):
            if count >= _LEAST and count >= _SHARE * filled[index]:
                return f"column {index + 1} looks like one of this kind: {kind}"
    return ""


def _exact(values: Sequence[object]) -> str:
    """The first kind of identifier in a column, its texts joined by what no pattern crosses."""
    text = "\x1f".join(value for value in values if isinstance(value, str))
    return next(patterns.exact(text), "") if text else ""


def _note(batch: Batch, likely: dict[int, Counter[str]], filled: Counter[int]) -> None:
    for index, found in likely.items():
        for value in batch.values[index]:
            if value is None or value == "" or isinstance(value, float | bool):
                continue
            filled[index] += 1
            found.update(patterns.common(str(value).strip()))


def _text(file: File) -> Finding:
    before = ""
    for line in lines(file.stream):
        kind = next(patterns.exact(before[-100:] + line if len(line) >= _BLOCK else line), "")
        if kind:
            return Finding(f"it holds text of this kind: {kind}")
        before = line
    return Finding("", {"texts": 1})


def _matches(name: str, some: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in some)
