"""The agent's process: threads, signals, health, an orderly end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from placet.agent.board import Board
from placet.agent.events import say
from placet.agent.jobs import Desk, Job, jobs_of
from placet.agent.lane import Lane
from placet.agent.metrics import Metrics
from placet.agent.pages import Pages, Server
from placet.agent.systemd import notify
from placet.agent.watch import Watch
from placet.agent.webhook import Webhook
from placet.client import Client
from placet.core.agentform import AgentForm
from placet.ports import Progress

_STUCK_S = 300.0
_BEAT_S = 1.0
CUT_OFF = 3


@dataclass(frozen=True, slots=True)
class _Served:
    watch: Watch
    lanes: tuple[Lane, ...]


class Service:
    """One process for some workspaces, each with its own Ctrl repository.

    Args:
        folders: The workspaces.
        form: How it runs.
        secret: The webhook's, if it has one.
        environ: For systemd's `NOTIFY_SOCKET`.
        jobs: What it does, instead of what the settings say.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        form: AgentForm,
        *,
        secret: bytes | None = None,
        environ: Mapping[str, str],
        jobs: Sequence[Job] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics = Metrics()
        self._form = form
        self._secret = secret
        self._environ = environ
        self._clock = clock
        self._stop = threading.Event()
        self._hang_up = threading.Event()
        table = jobs_of(form) if jobs is None else jobs
        self._served = [self._serve(folder, table) for folder in folders]
        self._threads: list[threading.Thread] = []

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; returns the exit code.

        0, or 3 where work had to be cut off at the end. A second signal ends the process at once, which is
        safe at any moment: whatever has a name is whole.
        """
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGHUP, lambda *_: self._hang_up.set())
        server = self._listen()
        say("started", workspaces=[one.watch.workspace for one in self._served])
        for one in self._served:
            self._start(one.watch.work, daemon=True)
            for lane in one.lanes:
                self._start(lane.work, daemon=False)
        notify(self._environ, "READY=1")
        while not self._stop.wait(_BEAT_S):
            self._beat()
        return self._end(server)

    def alive(self) -> bool:
        """Does every thread live, and does none hang in a look?"""
        now = self._clock()
        looks = all(now - one.watch.tried_at < max(_STUCK_S, 2 * self._form.interval) for one in self._served)
        return looks and all(one.is_alive() for one in self._threads)

    def ready(self) -> bool:
        """Did the last look at each Ctrl repository succeed, not too long ago, and does each verify?"""
        now = self._clock()
        return all(
            one.watch.seen_at is not None
            and now - one.watch.seen_at <= max(self._form.ready, 2 * self._form.interval)
            and all(lane.ok for lane in one.lanes)
            for one in self._served
        )

    def wake(self) -> None:
        """Look at every Ctrl repository now, and at what a forge has to say."""
        for one in self._served:
            one.watch.wake()
            for lane in one.lanes:
                lane.hear()

    def _serve(self, folder: Path, jobs: Sequence[Job]) -> _Served:
        name = str(folder)
        self.metrics.begin(name)

        def open_client(progress: Progress) -> Client:
            return Client(folder, progress=progress)

        board = Board(self._clock)

        def lane(some: Sequence[Job]) -> Lane:
            desk = Desk(name, self.metrics, self._clock, self._stop.is_set, board=board)
            return Lane(desk, some, open_client, self._stop)

        together = [job for job in jobs if job.every_s is None and not job.apart]
        alone = [lane([job]) for job in jobs if job not in together]
        lanes = (*([lane(together)] if together else []), *alone)
        board.changed = partial(_wake, [one for one in alone if one.tells])
        watch = Watch(
            name, lanes, open_client, interval_s=self._form.interval, stop=self._stop, metrics=self.metrics,
            clock=self._clock,
        )  # fmt: skip
        return _Served(watch, lanes)

    def _listen(self) -> Server | None:
        if self._form.place is None:
            return None
        webhook = Webhook(self._secret, self.wake) if self._secret is not None else None
        pages = Pages(self.metrics, alive=self.alive, ready=self.ready, webhook=webhook)
        return Server(pages, *self._form.place)

    def _start(self, work: Callable[[], None], *, daemon: bool) -> None:
        thread = threading.Thread(target=work, daemon=daemon)
        thread.start()
        self._threads.append(thread)

    def _signalled(self, number: int, _frame: object) -> None:
        if self._stop.is_set():
            os._exit(128 + number)
        self._stop.set()

    def _beat(self) -> None:
        if self._hang_up.is_set():
            self._hang_up.clear()
            for one in self._served:
                one.watch.reload()
                for lane in one.lanes:
                    lane.reload()
        if self.alive():
            notify(self._environ, "WATCHDOG=1")

    def _end(self, server: Server | None) -> int:
        say("stopping")
        notify(self._environ, "STOPPING=1")
        lanes = [lane for one in self._served for lane in one.lanes]
        for one in self._served:
            one.watch.wake()
        for lane in lanes:
            lane.end()
        deadline = self._clock() + self._form.stop
        for thread in self._threads:
            if not thread.daemon:
                thread.join(max(0.0, deadline - self._clock()))
        if any(one.is_alive() for one in self._threads if not one.daemon):
            say("cut-off")
            os._exit(CUT_OFF)
        if server is not None:
            server.close()
        say("stopped")
        return 0


def _wake(lanes: Sequence[Lane]) -> None:
    for one in lanes:
        one.wake()
