"""`formulas`: nothing in a table starts what a spreadsheet runs; no macros, links or embedded objects."""

from __future__ import annotations

import re

from placet.checks import zips
from placet.checks.api import Check, File, Finding
from placet.checks.tables import Table, is_number
from placet.checks.types import table_of
from placet.core.guards import guard

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ACTIVE = re.compile(
    r"(?i)vbaProject|macrosheets|dialogsheets|activeX|embeddings|externalLinks|connections\.xml|queryTables"
    r"|customUI|oleObject"
)
_FORMULA = re.compile(rb"<(?:\w+:)?(?:f|definedName)(?=[\s>/])")
_WIDE = "\uff1d\uff20\uff0b\uff0d"
_PARTED = re.compile(r"[,;\t|\n]")
_BLANK = "".join(one for one in map(chr, range(0x3001)) if one.isspace()) + '"\u200b\ufeff'
_ESTIMATE = re.compile(
    r"[+-]\s?\d[\d\s.,;%*†±\u2212()\[\]+-]*(?:(?:to|bis|à|a|[eE])[\d\s.,;%()\[\]+-]*){0,4}"
)
"""A number with its interval or stars: no name, so nothing that a spreadsheet could call."""
_MAX_PART = 1 << 30
_BLOCK = 1 << 18


class Formulas(Check):
    """CSV cells, and the parts of office files."""

    api = 1
    tool = "placet"

    @guard(31)
    def look(self, file: File, options: object) -> Finding:  # noqa: ARG002 - has none
        """By content: office files whatever they are called; CSV by its suffix."""
        head = file.stream.read(8)
        if head.startswith(_OLE):
            return Finding("it is an office file of the old form, which may hold macros")
        if head.startswith(b"PK") and file.suffix not in {"zip", "npz", "pt", "pth"}:
            return _office(file)
        table = table_of(file)
        return Finding() if table is None or table.form != "csv" else _csv(table)


def _csv(table: Table) -> Finding:
    names = [one.name for one in table.columns]
    if any(_any_runs(name) for name in names):
        return Finding("its header has a cell that a spreadsheet runs as a formula")
    rows = 0
    for batch in table.batches():
        rows += batch.rows
        for column, values in enumerate(batch.values, start=1):
            for row, cell in enumerate(values, start=batch.first):
                if cell and _any_runs(cell):
                    where = f"row {row}, column {column}"
                    return Finding(f"{where} has a cell that a spreadsheet runs as a formula")
    return Finding("", {"rows": rows, "columns": len(names)})


def _any_runs(cell: str) -> bool:
    """Does the cell, or what another separator makes of it, start a formula?"""
    if _runs(cell):
        return True
    return _PARTED.search(cell) is not None and any(map(_runs, _PARTED.split(cell)))


def _runs(cell: str) -> bool:
    text = cell.strip(_BLANK)
    return cell[:1] in {"\t", "\r"} or text[:1] in {"=", "@", *_WIDE} or (
        text[:1] in {"+", "-"} and len(text) > 1 and not is_number(text) and not _ESTIMATE.fullmatch(text)
    )  # fmt: skip


def _office(file: File) -> Finding:
    found = zips.entries(file.stream)
    if any(_ACTIVE.search(one.filename) for one in found):
        return Finding("it holds macros, links to other files or embedded objects")
    for info in found:
        if info.filename.startswith("xl/") and info.filename.endswith((".xml", ".rels")):
            with zips.opened(file.stream, info, _MAX_PART) as part:
                tail = b""
                while block := part.read(_BLOCK):
                    tail = tail[-64:] + block
                    if _FORMULA.search(tail):
                        return Finding("it holds a formula or a defined name")
    return Finding("", {"parts": len(found)})
