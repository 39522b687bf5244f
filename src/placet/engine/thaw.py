"""No publication past a freeze: asked when a promotion is decided, and last of all before it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from placet.core import layout
from placet.core.guards import guard
from placet.engine.cases import Case
from placet.engine.ctrl import main_tip
from placet.engine.freeze import Frozen, Stops, frozen, on_branches
from placet.engine.history import History
from placet.engine.memory import with_freezes
from placet.errors import Refused
from placet.ports import Repo, TrustMemory


@dataclass(frozen=True, slots=True)
class _Seen:
    stops: Mapping[str, Frozen]


def require_thawed(seen: Stops, case: Case, problem: str | None = None) -> None:
    """No freeze may stand for what is published.

    Raises:
        Refused: kind `frozen`, if that is the `problem`, or whatever the problem.
    """
    body = case.manifest.body
    found = frozen(seen, body, body.tier or "")
    if found and problem in {None, found}:
        raise Refused(
            f"Proposal {case.id[:12]} was not promoted: {found}.",
            kind="frozen",
            mend="It stays approved. When two people have ended the freeze (`placet freezes`, `placet"
            " unfreeze`), promote it, or let the agent.",
        )


@guard(17, 18)
def look_again(repo: Repo, history: History, memory: TrustMemory, case: Case) -> None:
    """Ask the server once more, for `main` and freezes only; what is seen is remembered.

    Raises:
        Refused: kind `frozen`.
        Conflict: kind `not-on-line`: `main` was rewritten.
        Unavailable: kind `ctrl-unreachable`.
    """
    repo.fetch(layout.WATCHED)
    tip = main_tip(repo)
    if tip != history.tip:
        history.advance(repo.line(tip, after=history.tip))
    found, _ = on_branches(repo, history)
    seen = _Seen({**found, **history.stops})
    memory.update(history.repository, lambda latest: with_freezes(latest, seen.stops, history.freezes.ended))
    require_thawed(seen, case)
