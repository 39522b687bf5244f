"""A thread that does jobs of one workspace, with a client of its own; nothing ends it but a stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Self

from placet.agent.events import blame, log, say, words
from placet.agent.jobs import NOTIFY, Desk, Job
from placet.agent.retries import backoff_s, jitter
from placet.client import Client
from placet.errors import Bug, Corrupt, PlacetError, Unavailable
from placet.ports import Progress

FULL_S = 600.0
_MOST_S = 300.0
_QUIET_S = 1.0


class Interruptible:
    """Progress that nobody sees, and by which a step ends when it is told to."""

    def __init__(self) -> None:
        self.told = threading.Event()

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Self:
        """Nothing."""
        del phase, objects, size
        return self

    def advance(self, objects: int = 0, size: int = 0) -> None:
        """Go on, or not.

        Raises:
            Unavailable: kind `stopped`.
        """
        del objects, size
        if self.told.is_set():
            raise Unavailable("The agent was told to stop.", kind="stopped")

    def done(self) -> None:
        """Nothing."""


class Lane:
    """Does its jobs when it is woken or when one is due; the first look at the Ctrl repository wakes it.

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
        self.progress = Interruptible()
        self.desk = desk
        self.ok = True
        self._jobs = jobs
        self.tells = jobs[0].name == NOTIFY
        self._every_s = jobs[0].every_s
        self._leads = self._every_s is None and not jobs[0].apart
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
            if self._reload.is_set():
                self._reload.clear()
                self._renew()
            wait = self.cycle()
            self._stop.wait(_QUIET_S if self._every_s is not None else 0)
        self.close()

    def cycle(self) -> float:
        """Every job once; returns the seconds until one is due again."""
        wanted = [self._every_s or FULL_S]
        failed = False
        for job in self._jobs:
            if self.progress.told.is_set():
                return 0.0
            try:
                again = self._run(job)
            except PlacetError as error:
                failed = not self.progress.told.is_set()
                again = self._failed(job, error) if failed else 0.0
            except Exception as error:  # noqa: BLE001 - one mistake must not stop the other workspaces
                failed, again = True, self._mistake(job, error)
            if again is not None:
                wanted.append(again)
        self.ok = not failed or not self._leads
        self._failures = self._failures if failed else 0
        return min(wanted)

    def close(self) -> None:
        """Close the client; may be called twice."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _run(self, job: Job) -> float | None:
        began = self.desk.clock()
        if self._client is None:
            self._client = self._open(self.progress)
        again = job.run(self._client, self.desk)
        self.desk.metrics.jobs.labels(self.desk.workspace, job.name, "ok").inc()
        if not self.tells:
            self.desk.board.good(f"job {job.name}")
        if self._leads:
            self.desk.metrics.corrupt.labels(self.desk.workspace).set(0)
        seconds = round(self.desk.clock() - began, 3)
        say("job-done", workspace=self.desk.workspace, job=job.name, seconds=seconds)
        return again

    def _failed(self, job: Job, error: PlacetError) -> float:
        wait = self._count(job)
        if not self.tells:
            self.desk.board.bad(f"job {job.name}", error)
        corrupt = isinstance(error, Corrupt) and self._leads
        if corrupt:
            self.desk.metrics.corrupt.labels(self.desk.workspace).set(1)
        event = "corrupt" if corrupt else "job-failed"
        say(event, workspace=self.desk.workspace, job=job.name, retry_s=round(wait), **words(error))
        return wait

    def _mistake(self, job: Job, error: Exception) -> float:
        wait = self._count(job)
        if not self.tells:
            self.desk.board.bad(
                f"job {job.name}", Bug(f"Placet made a mistake: {blame(error)}.", kind="mistake")
            )
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
