"""The agent's process: threads, signals, health, an orderly end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from placet.agent.events import say, say_last
from placet.agent.jobs import Job, jobs_of
from placet.agent.lane import Lane, lanes_of
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
_STEP_S = 0.1
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
        """Does each Ctrl repository verify, as it was seen not too long ago, and does no promotion hang?"""
        now = self._clock()
        return all(
            one.watch.seen_at is not None
            and now - one.watch.seen_at <= max(self._form.ready, 2 * self._form.interval)
            and all(lane.ok and not (lane.leads and lane.late(self._form.overdue)) for lane in one.lanes)
            for one in self._served
        )

    def late(self) -> list[str]:
        """The lanes that are overdue, each with its workspace."""
        return [f"{lane.name} of {one.watch.workspace}" for one in self._served for lane in one.lanes
                if lane.late(self._form.overdue)]  # fmt: skip

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

        lanes = lanes_of(name, jobs, open_client, metrics=self.metrics, clock=self._clock, stop=self._stop)
        watch = Watch(
            name, lanes, open_client, interval_s=self._form.interval, stop=self._stop, metrics=self.metrics,
            clock=self._clock,
        )  # fmt: skip
        return _Served(watch, lanes)

    def _listen(self) -> Server | None:
        if self._form.place is None:
            return None
        webhook = Webhook(self._secret, self.wake) if self._secret is not None else None
        pages = Pages(self.metrics, alive=self.alive, ready=self.ready, late=self.late, webhook=webhook)
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
        for one in self._served:
            for lane in one.lanes:
                lane.judge(self._form.overdue)
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
        while (left := _unended()) and self._clock() < deadline:
            left[0].join(_STEP_S)  # short: a signal that another thread took is seen only between two waits
        if left:
            say_last("cut-off", lanes=[one.name for one in lanes if one.at_work])
            os._exit(CUT_OFF)
        if server is not None:
            server.close()
        say_last("stopped")
        return 0


def _unended() -> list[threading.Thread]:
    """The threads that Python would wait for: lanes, and what they began."""
    here = threading.current_thread()
    return [one for one in threading.enumerate() if one is not here and not one.daemon]
