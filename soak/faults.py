"""What goes wrong while an agent promotes: each is one function and one line of the table at the end.

A fault gets the town, an agent and its promoter; it runs the promotion in its trouble and ends the trouble.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from placet.engine.promote import Promoter, Promotion
from placet.errors import PlacetError, Unavailable
from placet.testing.trouble import (
    Answer,
    Call,
    CorruptAnswer,
    CorruptBody,
    LoseAnswer,
    Reset,
    Rule,
    Truncate,
)
from soak.town import NODES, Town


class Killed(BaseException):
    """The process ends here."""


class Dying:
    """A port whose n-th call, counted over all that share the counter, is the last: before it, or after it."""

    def __init__(self, inner: Any, left: list[int], *, after: bool) -> None:
        self._inner, self._left, self._after = inner, left, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._left[0] -= 1
            if self._left[0] < 0 or (self._left[0] == 0 and not self._after):
                raise Killed
            answer = found(*arguments, **named)
            if self._left[0] == 0:
                raise Killed
            return answer

        return call


class LosingPush:
    """A repository whose next push arrives, but its answer does not."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._lost = inner, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def push(self, updates: Any) -> None:
        """Push, and say that nothing was heard of it."""
        self._inner.push(updates)
        if not self._lost:
            self._lost = True
            raise Unavailable("The server did not answer.", kind="git-unreachable", mend="Run it again.")


def calm(town: Town, agent: str) -> list[Promotion]:
    """None."""
    return promoter(town, agent).run()


def store(town: Town, agent: str) -> list[Promotion]:
    """One kind of trouble with the store, for some requests or for all."""
    rng = town.random
    body = [CorruptAnswer(-1), Truncate(7)]
    write = [CorruptBody(-1), Answer(507, "InsufficientStorage"), Answer(403, "AccessDenied")]
    either = [Reset(), LoseAnswer(), Answer(500, "InternalError"), Answer(503, "SlowDown")]
    method, what = rng.choice(
        [("GET", one) for one in body]
        + [("PUT", one) for one in write]
        + [(rng.choice(_METHODS), one) for one in either]
    )
    stays = isinstance(what, Answer) and what.status in {403, 507}
    times = None if stays else rng.randrange(1, 5)
    town.proxy.meet(Rule(what, method=method, key="dvc/", skip=rng.randrange(12), times=times))
    return promoter(town, agent).run()


def dies(town: Town, agent: str) -> list[Promotion]:
    """The process ends at a random call of a port: before it is done, or before its answer is used."""
    made = promoter(town, agent)
    left, after = [town.random.randrange(1, 120)], town.random.random() < 0.5
    targets = {
        tier: replace(one, store=Dying(one.store, left, after=after)) for tier, one in made.targets.items()
    }
    dying = replace(made, repo=Dying(made.repo, left, after=after), targets=targets)
    try:
        return dying.run()
    except Killed:
        town.counts["fault dies: died"] += 1
        return []


def killed(town: Town, agent: str) -> list[Promotion]:
    """A real process, ended by SIGKILL at a random request to the store."""
    process: list[Any] = []
    ready = threading.Event()

    def kill(_: object) -> None:
        ready.wait(30)
        os.killpg(process[0].pid, signal.SIGKILL)

    town.proxy.meet(Rule(Call(kill), key="dvc/", skip=town.random.randrange(25), times=1))
    process.append(town.start(agent, "promote"))
    ready.set()
    if process[0].wait(120) == -signal.SIGKILL:
        town.counts["fault killed: died"] += 1
    return []


def lost_push(town: Town, agent: str) -> list[Promotion]:
    """The branch moves, and the agent does not hear of it."""
    made = promoter(town, agent)
    return replace(made, repo=LosingPush(made.repo)).run()


def together(town: Town, agent: str) -> list[Promotion]:
    """Both agents of the node do the same at the same time."""
    node = agent.partition("-agent")[0]
    found: list[Promotion] = []
    failed: list[BaseException] = []

    def work(which: int) -> None:
        try:
            found.extend(promoter(town, f"{node}-agent-{which}").run())
        except PlacetError as error:
            town.errors[f"promote together: {error.kind}"] += 1
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(which,)) for which in (1, 2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for error in failed:
        raise error
    return found


def wrong_clock(town: Town, agent: str) -> list[Promotion]:
    """The agent's clock is wrong, by up to an hour."""
    town.clocks[agent].wrong = timedelta(minutes=town.random.choice([-60, -10, 3, 30, 60]))
    return promoter(town, agent).run()


def promoter(town: Town, agent: str) -> Promoter:
    """An agent's promotion, as `placet promote` opens it."""
    made = town.clients[agent]._wire.promoter()
    return replace(made, clock=town.clocks[agent])


def end(town: Town) -> None:
    """No trouble any more."""
    town.proxy.meet()
    for clock in town.clocks.values():
        clock.wrong = timedelta()


_METHODS = ("GET", "PUT", "HEAD", "POST")
FAULTS: dict[str, tuple[int, Callable[[Town, str], list[Promotion]]]] = {
    "none": (6, calm),
    "store": (8, store),
    "dies": (4, dies),
    "killed": (1, killed),
    "lost push": (2, lost_push),
    "together": (3, together),
    "clock": (2, wrong_clock),
}
AGENTS = [f"{node}-agent-{number}" for node in NODES for number in (1, 2)]
