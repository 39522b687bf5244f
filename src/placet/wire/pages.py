"""Proposals on the forge's pages. A forge that fails is told, and blocks nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime

from placet.core import layout
from placet.engine.announce import Announced, announce, remarks
from placet.engine.cases import Case
from placet.engine.ctrl import View
from placet.engine.detail import Detail
from placet.engine.propose import Proposed
from placet.errors import PlacetError, Unavailable
from placet.ports import PLAIN
from placet.wire.ctrl import Wire

log = logging.getLogger(__name__)

_SILENT = 3

Shown = MutableMapping[str, Announced]


@dataclass(frozen=True, slots=True)
class Page:
    """A proposal's page on the forge; `changed`: something was sent just now."""

    id: str
    url: str | None
    changed: bool
    error: PlacetError | None = None


def announced(wire: Wire, made: Proposed, look: Callable[[], View], now: datetime) -> Proposed:
    """A proposal that was just made, shown on the forge; what fails is said in it."""
    try:
        if wire.forge.name == PLAIN:
            return made
        view = look()
        case = view.open.get(made.id)
        page = announce(view, case, wire.forge, now) if case is not None else None
    except PlacetError as error:
        return replace(made, unannounced=str(error))
    return replace(made, url=page.url) if page else made


def shown_again(wire: Wire, ident: str, look: Callable[[], View], now: datetime) -> None:
    """Bring a proposal's page up to date, since something was decided; what fails is said, and left.

    One that is not there is not made: whoever makes it is its author, and could not review it there.
    """
    try:
        if wire.forge.name == PLAIN or wire.forge.pull(layout.proposal_ref(ident)) is None:
            return
        view = look()
        case = view.open.get(ident)
        if case is not None:
            announce(view, case, wire.forge, now)
    except PlacetError as error:
        log.warning("The forge does not show it yet: %s", error)


def written(wire: Wire, case: Case, found: Detail) -> Detail:
    """The same proposal with what people wrote about it on the forge, where that can be read."""
    try:
        url, said = remarks(case, wire.forge)
    except PlacetError as error:
        log.warning("What is written on the forge is not shown: %s", error)
        return found
    return replace(found, url=url, remarks=said)


def bring_up(wire: Wire, now: datetime, shown: Shown) -> list[Page]:
    """Bring the pages of open proposals up to date: of a node its own, of anybody else all.

    One that fails keeps no other from being brought up to date; a forge that did not answer some times in a
    row does.

    Args:
        wire: The party.
        now: For states.
        shown: What is shown already; brought up to date too.

    Raises:
        Unavailable: kind `stopped`, by the party's progress; what was shown by then is in `shown`.
    """
    forge, node = wire.forge, wire.settings.node
    if forge.name == PLAIN:
        return []
    view = wire.watch.load(wire.repo, wire.trust_root(), now, wire.memory)
    cases = [
        (ident, case)
        for ident, case in sorted(view.open.items())
        if ident in view.branches and node in {None, case.manifest.body.node}
    ]
    out, silent = [], 0
    progress = wire.progress.start("pages", len(cases))
    for ident, case in cases:
        before = shown.get(ident)
        try:
            page = shown[ident] = announce(view, case, forge, now, before)
        except PlacetError as error:
            out.append(Page(ident, before.url if before else None, changed=False, error=error))
            silent = silent + 1 if isinstance(error, Unavailable) else 0
            if silent == _SILENT:
                break
        else:
            out.append(Page(ident, page.url, changed=page != before))
            silent = 0
        progress.advance(1)
    progress.done()
    for ident in shown.keys() - view.open.keys():
        del shown[ident]
    return out
