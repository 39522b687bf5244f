"""A thread that does jobs of one workspace, with a client of its own; nothing ends it but a stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

from placet.agent.board import Board
from placet.agent.events import blame, log, say, words
from placet.agent.jobs import NOTIFY, Desk, Job
from placet.agent.metrics import Metrics
from placet.agent.retries import backoff_s, jitter
from placet.client import Client
from placet.errors import Bug, Corrupt, PlacetError, Unavailable
from placet.ports import Progress

FULL_S = 600.0
_MOST_S = 300.0
_QUIET_S = 1.0


class Interruptible:
    """Progress by which a step ends when it is told to, and shows that it lives.

    Attributes:
        moved_at: When something was done last.
        shown: Who sees it, if anybody does.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.told = threading.Event()
        self.moved_at = clock()
        self.shown: Progress | None = None
        self._clock = clock

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Self:
        """A sign of life."""
        self.moved_at = self._clock()
        if self.shown is not None:
            self.shown.start(phase, objects, size)
        return self

    def advance(self, objects: int = 0, size: int = 0) -> None:
        """Go on, or not; a sign of life if anything was done.

        Raises:
            Unavailable: kind `stopped`.
        """
        if objects or size:
            self.moved_at = self._clock()
        if self.told.is_set():
            raise Unavailable("The agent was told to stop.", kind="stopped")
        if self.shown is not None:
            self.shown.advance(objects, size)

    def done(self) -> None:
        """The phase has ended."""
        if self.shown is not None:
            self.shown.done()


class Lane:
    """Does its jobs when it is woken or when one is due; the first look at the Ctrl repository wakes it.

    Attributes:
        name: Its first job's.
        leads: It is the one that promotes; the agent is ready only while it works.
        ok: Nothing keeps it from leading.
        outcome: Of each job that ran: what went wrong the last time, or None.

    Args:
        desk: What the jobs have at hand.
        jobs: Those that run when something is new, or one that runs by time.
        open_client: Opens the workspace, with the progress that it is given.
        stop: Set when the agent is to end.
    """

    def __init__(
        self,
        desk: Desk,
        jobs: Sequence[Job],
        open_client: Callable[[Progress], Client],
        stop: threading.Event,
    ) -> None:
        self.progress = Interruptible(desk.clock)
        self.desk = desk
        self.name = jobs[0].name
        self.ok = True
        self.outcome: dict[str, PlacetError | None] = {}
        self._jobs = jobs
        self.tells = self.name == NOTIFY
        self._every_s = jobs[0].every_s
        self.leads = self._every_s is None and not jobs[0].apart
        self._busy = self._told_late = False
        for gauge in (desk.metrics.rounds, desk.metrics.overdue):
            gauge.labels(desk.workspace, self.name)
        self._open = open_client
        self._stop = stop
        self._wake = threading.Event()
        self._reload = threading.Event()
        self._client: Client | None = None
        self._failures = 0
        desk.ending = self.progress.told.is_set

    def wake(self) -> None:
        """Something is new in the Ctrl repository."""
        if self._every_s is None:
            self._wake.set()

    def hear(self) -> None:
        """Something happened on the forge."""
        if any(job.hears for job in self._jobs):
            self._wake.set()

    def end(self) -> None:
        """The agent stops: what is under way ends at its next step."""
        self.progress.told.set()
        self._wake.set()

    def reload(self) -> None:
        """Read the workspace's settings again before the next run."""
        self._reload.set()
        self._wake.set()

    def work(self) -> None:
        """Until the stop."""
        wait = FULL_S if self._every_s is None else self._every_s * abs(jitter() - 1)
        while not self._stop.is_set():
            self._wake.wait(wait)
            self._wake.clear()
            if self._stop.is_set():
                break
            wait = self.cycle()
            self._stop.wait(_QUIET_S if self._every_s is not None else 0)
        self.close()

    def late(self, limit_s: float) -> bool:
        """Has the round under way shown no sign of life for longer?"""
        return self._idle_s() > limit_s

    def judge(self, limit_s: float) -> None:
        """Say that it is late, or no more so, once each; for one thread."""
        idle = self._idle_s()
        if (idle > limit_s) == self._told_late:
            return
        self._told_late = idle > limit_s
        name, place = f"lane {self.name}", {"workspace": self.desk.workspace, "lane": self.name}
        self.desk.metrics.overdue.labels(self.desk.workspace, self.name).set(self._told_late)
        if self._told_late:
            say("overdue", **place, idle_s=round(idle))
            self.desk.board.bad(name, self.hung(idle), lasting=True)
        else:
            say("moving", **place)
            self.desk.board.good(name)

    def _idle_s(self) -> float:
        return self.desk.clock() - self.progress.moved_at if self._busy else 0.0

    def hung(self, idle_s: float) -> PlacetError:
        """What is wrong if it shows no sign of life."""
        return Unavailable(
            f"The lane {self.name} has shown no sign of life for {idle_s:.0f} s.",
            kind="lane-overdue",
            why="What it talks to keeps silent, and does not end.",
            mend="Look at the service that it talks to; a restart of the agent cuts it off.",
        )

    def cycle(self) -> float:
        """Every job once; returns the seconds until one is due again."""
        self.progress.moved_at, self._busy = self.desk.clock(), True
        try:
            if self._reload.is_set():
                self._reload.clear()
                self._renew()
            return self._round()
        finally:
            self._busy = False
            self.desk.metrics.rounds.labels(self.desk.workspace, self.name).set_to_current_time()

    def _round(self) -> float:
        wanted = [self._every_s or FULL_S]
        failed = False
        for job in self._jobs:
            if self.progress.told.is_set():
                return 0.0
            try:
                again = self._run(job)
            except PlacetError as error:
                failed = not self.progress.told.is_set()
                self.outcome[job.name] = error
                again = self._failed(job, error) if failed else 0.0
            except Exception as error:  # noqa: BLE001 - one mistake must not stop the other workspaces
                failed, again = True, self._mistake(job, error)
            if again is not None:
                wanted.append(again)
        self.ok = not failed or not self.leads
        self._failures = self._failures if failed else 0
        return min(wanted)

    def asks(self, client: Client) -> bool:
        """Do these settings ask for any of its jobs, as a part of one round?"""
        return any(job.in_round and job.wanted(client) for job in self._jobs)

    @property
    def at_work(self) -> bool:
        """Is it in a round?"""
        return self._busy

    @property
    def client(self) -> Client | None:
        """The workspace as it was opened last."""
        return self._client

    def close(self) -> None:
        """Close the client; may be called twice."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _run(self, job: Job) -> float | None:
        began = self.desk.clock()
        if self._client is None:
            self._client = self._open(self.progress)
        if not job.wanted(self._client):
            for name in (f"job {job.name}", *job.notes):
                self.desk.board.good(name)
            return None
        self.desk.failed.clear()
        again = job.run(self._client, self.desk)
        self.outcome[job.name] = next(iter(self.desk.failed), None)
        result = "failed" if self.desk.failed else "ok"
        self.desk.metrics.jobs.labels(self.desk.workspace, job.name, result).inc()
        if not self.tells:
            self.desk.board.good(f"job {job.name}")
        if self.leads:
            self.desk.metrics.corrupt.labels(self.desk.workspace).set(0)
        seconds = round(self.desk.clock() - began, 3)
        say("job-done", workspace=self.desk.workspace, job=job.name, seconds=seconds)
        return again

    def _failed(self, job: Job, error: PlacetError) -> float:
        wait = self._count(job)
        if not self.tells:
            self.desk.board.bad(f"job {job.name}", error)
        corrupt = isinstance(error, Corrupt) and self.leads
        if corrupt:
            self.desk.metrics.corrupt.labels(self.desk.workspace).set(1)
        event = "corrupt" if corrupt else "job-failed"
        say(event, workspace=self.desk.workspace, job=job.name, retry_s=round(wait), **words(error))
        return wait

    def _mistake(self, job: Job, error: Exception) -> float:
        wait = self._count(job)
        self.outcome[job.name] = bug = Bug(f"Placet made a mistake: {blame(error)}.", kind="mistake")
        if not self.tells:
            self.desk.board.bad(f"job {job.name}", bug)
        say("mistake", workspace=self.desk.workspace, job=job.name, retry_s=round(wait), error=blame(error))
        log.debug("where it was made", exc_info=error)
        return wait

    def _count(self, job: Job) -> float:
        self._failures += 1
        self.desk.metrics.jobs.labels(self.desk.workspace, job.name, "failed").inc()
        return min(backoff_s(self._failures), _MOST_S) * jitter()

    def _renew(self) -> None:
        """A client by the settings as they are now; the old one where they cannot be used."""
        try:
            fresh = self._open(self.progress)
        except PlacetError as error:
            say("reload-failed", workspace=self.desk.workspace, **words(error))
            return
        self.close()
        self._client = fresh
        say("reloaded", workspace=self.desk.workspace)


def lanes_of(
    workspace: str,
    jobs: Sequence[Job],
    open_client: Callable[[Progress], Client],
    *,
    metrics: Metrics,
    clock: Callable[[], float],
    stop: threading.Event,
) -> tuple[Lane, ...]:
    """The lanes of one workspace: first the one that leads, if there is any; a lane for each other job."""
    board = Board()

    def lane(some: Sequence[Job]) -> Lane:
        return Lane(Desk(workspace, metrics, clock, stop.is_set, board=board), some, open_client, stop)

    together = [job for job in jobs if job.every_s is None and not job.apart]
    alone = [lane([job]) for job in jobs if job not in together]
    board.changed = partial(_wake, [one for one in alone if one.tells])
    return (*([lane(together)] if together else []), *alone)


def _wake(lanes: Sequence[Lane]) -> None:
    for one in lanes:
        one.wake()
