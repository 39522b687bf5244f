"""Which checks there are: the built-in ones, and installed plug-ins (entry points `placet.checks`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

import msgspec

from placet.checks.api import API, GROUP, Check, Options
from placet.core.guards import guard
from placet.errors import Refused

BUILT_IN: Mapping[str, str] = {
    "archives": "placet.checks.archives:Archives",
    "counts": "placet.checks.counts:Counts",
    "formulas": "placet.checks.formulas:Formulas",
    "identifiers": "placet.checks.identifiers:Identifiers",
    "pickle": "placet.checks.pickles:Pickles",
    "rows": "placet.checks.people:Rows",
    "sacro": "placet.checks.sacro:Sacro",
    "secrets": "placet.checks.secrets:Secrets",
    "type": "placet.checks.types:Type",
}


@guard(31)
def load(name: str) -> Check:
    """A check by its name in a rule.

    Raises:
        Refused: kind `unknown-check`: not installed, made for another version of the interface, broken, or a
            plug-in takes a name that is built in or another plug-in's.
    """
    offers = [one for one in entry_points(group=GROUP) if one.name == name]
    origins = {one.value for one in offers}
    if name in BUILT_IN:
        if offers:
            raise _unknown(name, f"A plug-in ({offers[0].value}) has the name of a built-in check.")
        module, _, attribute = BUILT_IN[name].partition(":")
        made = getattr(import_module(module), attribute)()
    elif len(origins) > 1:
        raise _unknown(name, f"Two plug-ins have this name: {', '.join(sorted(origins))}.")
    elif not offers:
        raise _unknown(name, "It is not installed here.")
    else:
        made = _foreign(name, offers[0])
    assert isinstance(made, Check)  # noqa: S101 - for mypy
    return made


def _foreign(name: str, offer: EntryPoint) -> Check:
    try:
        made = offer.load()()
    except Exception as error:
        raise _unknown(name, f"It cannot be loaded: {type(error).__name__}.") from error
    if not isinstance(made, Check) or not isinstance(getattr(made, "tool", None), str):
        raise _unknown(name, "It is no check: derive it from placet.checks.api.Check.")
    if getattr(made, "api", None) != API:
        raise _unknown(name, f"It was made for another version of the interface; this is {API}.")
    return made


@guard(31)
def read_options(name: str, check: Check, given: Mapping[str, object]) -> Options:
    """The options of a check out of a rule.

    Raises:
        Refused: kind `check-options`: an unknown option, or a value of a wrong type.
    """
    try:
        return msgspec.convert(dict(given), check.Options)
    except msgspec.ValidationError as error:
        raise Refused(
            f"The policy gives the check {name!r} an option that it does not take.",
            kind="check-options",
            why=f"{error}.",
            mend="See docs/reference/checks.md, and propose a policy with the right options.",
        ) from error


def _unknown(name: str, why: str) -> Refused:
    return Refused(
        f"The policy asks for a check {name!r} that cannot run here.",
        kind="unknown-check",
        why=why,
        mend=f"Built in: {', '.join(BUILT_IN)}. Others are plug-ins; install them for this Python.",
    )
