"""No publication past a freeze: asked when a promotion is decided, and last of all before it is recorded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from placet.core import layout
from placet.core.guards import guard
from placet.engine.cases import Case
from placet.engine.freeze import Frozen, Stops, frozen, landed_since, on_branches
from placet.engine.history import History
from placet.engine.memory import kept_freezes, with_freezes
from placet.engine.tips import main_tip
from placet.errors import Conflict, Refused, Unavailable
from placet.ports import Clock, Repo, TrustMemory

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=5)


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


class Lookout:
    """Looks for a freeze every few seconds while objects are copied, so that it is honoured within 10 s.

    Safe for threads: one looks, the others go on. A server that does not answer stops no copy; nothing is
    recorded without another look.
    """

    def __init__(self, clock: Clock, look: Callable[[], None]) -> None:
        self._clock = clock
        self._look = look
        self._last = clock.now()
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Look, if it is time.

        Raises:
            Refused: kind `frozen`.
        """
        now = self._clock.now()
        if abs(now - self._last) < EVERY or not self._lock.acquire(blocking=False):
            return
        try:
            self._last = now
            self._look()
        except Refused as error:
            why = "What was copied by then stays in the tier, and nothing lists it."
            raise Refused(error.what, kind=error.kind, why=why, mend=error.mend) from error
        except (Conflict, Unavailable) as error:
            log.info("no look for freezes while copying: %s", error)
        finally:
            self._lock.release()


@guard(17, 18)
def look_again(repo: Repo, history: History, memory: TrustMemory, case: Case) -> None:
    """Ask the server once more, for `main` and freezes only; what is seen is remembered, and what was counts.

    Reads what came to `main` since `history`, and does not take it in.

    Raises:
        Refused: kind `frozen`.
        Conflict: kind `ref-moved`: `main` has another policy now; kind `not-on-line`: it was rewritten.
        Unavailable: kind `ctrl-unreachable`.
    """
    repo.fetch(layout.WATCHED)
    tip = main_tip(repo)
    more = repo.line(tip, after=history.tip) if tip != history.tip else ()
    found, _ = on_branches(repo, history)
    seen = {**found, **landed_since(history, more), **history.stops}
    memory.update(history.repository, lambda latest: with_freezes(latest, seen, history.freezes.ended))
    require_thawed(_Seen({**kept_freezes(memory.recall(history.repository)), **seen}), case)
    if any(change.path in layout.POLICY_FILES for commit in more for change in commit.changes):
        raise Conflict("The policy changed meanwhile.", kind="ref-moved", mend="Run the same command again.")
