"""One whole round of what the agent does, by the same lanes, for a cron job or a workflow."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from placet.agent.jobs import Job
from placet.agent.lane import Lane, lanes_of
from placet.agent.metrics import Metrics
from placet.client import Client
from placet.engine.promote import Promotion
from placet.errors import PlacetError
from placet.ports import Progress

_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class JobDone:
    """What became of one job of one workspace; `error` is the first thing that it could not do."""

    workspace: str
    job: str
    error: PlacetError | None


@dataclass(slots=True)
class Round:
    """What one round did.

    Attributes:
        promotions: What became of each proposal that waited.
        jobs: What became of each job that the settings ask for.
        hangs: A lane shows no sign of life and was left behind; the process has to be ended by force.
    """

    promotions: list[Promotion] = field(default_factory=list)
    jobs: list[JobDone] = field(default_factory=list)
    hangs: bool = False


def once(
    folders: Sequence[Path], jobs: Sequence[Job], *, overdue_s: float, progress: Progress | None = None
) -> Round:
    """Promote in one workspace after the other, then do everything else side by side, and tell people last.

    Nothing that is done beside it keeps a promotion waiting; no lane that fails or hangs keeps another one.
    Idempotent: what a round leaves undone, the next one does.

    Args:
        folders: The workspaces.
        jobs: What is done; what runs by its own time only is left out.
        overdue_s: Seconds without a sign of life after which a lane beside promotion is left behind.
        progress: Is told how promotion goes on.
    """
    found, metrics = Round(), Metrics()
    stop = threading.Event()
    table = [one for one in jobs if one.in_round]
    served = [_lanes(folder, table, metrics, stop) for folder in folders]
    try:
        for lanes in served:
            lanes[0].desk.done = found.promotions.append
            lanes[0].progress.shown = progress
            lanes[0].cycle()
        beside = [
            one for lanes in served for one in lanes[1:] if (client := lanes[0].client) and one.asks(client)
        ]
        for some in ([one for one in beside if not one.tells], [one for one in beside if one.tells]):
            found.hangs |= _together(some, overdue_s)
    finally:
        for lanes in served:
            for one in lanes:
                one.end()
            lanes[0].close()
    for lanes in served:
        for one in lanes:
            found.jobs += (JobDone(one.desk.workspace, job, error) for job, error in one.outcome.items())
    return found


def _lanes(folder: Path, jobs: Sequence[Job], metrics: Metrics, stop: threading.Event) -> tuple[Lane, ...]:
    def open_client(progress: Progress) -> Client:
        return Client(folder, progress=progress)

    return lanes_of(str(folder), jobs, open_client, metrics=metrics, clock=time.monotonic, stop=stop)


def _together(lanes: Sequence[Lane], overdue_s: float) -> bool:
    """One round of each, side by side; is one left behind?"""
    threads = {threading.Thread(target=_cycle, args=(one,), daemon=True): one for one in lanes}
    for thread in threads:
        thread.start()
    left = dict(threads)
    while left:
        for thread, lane in list(left.items()):
            thread.join(_STEP_S)
            if not thread.is_alive():
                del left[thread]
            elif lane.late(overdue_s):
                lane.judge(overdue_s)
                lane.outcome[lane.name] = lane.hung(overdue_s)
                del left[thread]
    return any(one.is_alive() for one in threads)


def _cycle(lane: Lane) -> None:
    lane.cycle()
    lane.close()
