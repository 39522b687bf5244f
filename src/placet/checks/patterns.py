"""Texts that name a person directly: e-mail addresses, telephone and account numbers, national numbers.

Numbers with a check digit are judged by python-stdnum. `exact` patterns are rare by chance, so one is enough;
`common` ones (ten digits that satisfy a checksum) say something about a whole column only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[a-zA-Z0-9-]{1,63}\.){1,8}[a-zA-Z]{2,24}(?![\w-])")
_PHONE = re.compile(r"(?<![\w+.])(?:\+|00)[1-9]\d{0,2}(?:[ ./()-]{0,3}\d){7,12}(?![\w])")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}(?!\w)")
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_NHS = re.compile(r"(?<!\d)\d{3}[ -]\d{3}[ -]\d{4}(?!\d)|(?i:(?<=nhs )|(?<=nhs:)|(?<=nhs: ))\d{10}(?!\d)")

_EXACT: Mapping[str, tuple[re.Pattern[str], str]] = {
    "e-mail address": (_EMAIL, ""),
    "IBAN": (_IBAN, "stdnum.iban"),
    "telephone number": (_PHONE, ""),
    "US social security number": (_SSN, "stdnum.us.ssn"),
    "NHS number": (_NHS, "stdnum.gb.nhs"),
}
_COMMON: Mapping[str, str] = {
    "NHS number": "stdnum.gb.nhs",
    "German tax number": "stdnum.de.idnr",
    "Dutch citizen number": "stdnum.nl.bsn",
    "French insurance number": "stdnum.fr.nir",
    "Italian tax code": "stdnum.it.codicefiscale",
    "Spanish identity number": "stdnum.es.dni",
    "Swedish personal number": "stdnum.se.personnummer",
    "Norwegian birth number": "stdnum.no.fodselsnummer",
    "Danish CPR number": "stdnum.dk.cpr",
    "Finnish identity code": "stdnum.fi.hetu",
    "Belgian national number": "stdnum.be.nn",
    "Polish PESEL": "stdnum.pl.pesel",
    "Swiss insurance number": "stdnum.ch.ssn",
}
_LEAST_DIGITS = 8


def exact(text: str) -> Iterator[str]:
    """The kinds of identifiers in a text of any length, by their form; never the text itself."""
    for kind, (pattern, judge) in _EXACT.items():
        if any(not judge or _valid(judge)(match[0]) for match in pattern.finditer(text)):
            yield kind


def common(cell: str) -> Iterator[str]:
    """The kinds of national numbers that a cell could be as a whole."""
    if sum(letter.isdigit() for letter in cell[:40]) < _LEAST_DIGITS or len(cell) > 40:  # noqa: PLR2004
        return
    for kind, judge in _COMMON.items():
        if _valid(judge)(cell):
            yield kind


@lru_cache(maxsize=64)
def _valid(name: str) -> Callable[[str], bool]:
    found: Callable[[str], bool] = import_module(name).is_valid
    return found
