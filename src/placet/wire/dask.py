"""The copy phase of promotions on a `dask.distributed` cluster: a task is a shard of some hundred objects.

A worker opens the workspace that it was started in, with the settings and credentials of its own machine, and
decides for itself; the scheduler is told proposals' ids and shards' numbers, and hears counts. A worker that
dies loses nothing: its shards are run again elsewhere. Needs the extra `placet[dask]`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from placet.config import load_settings
from placet.engine.shards import Shard, Sharding, copied
from placet.errors import NotFound, PlacetError, Unavailable
from placet.wire.ctrl import Wire

log = logging.getLogger(__name__)

_RETRIES = 5
_CONNECT_S = 30
_one = threading.Lock()


def copy_by(address: str, sharding: Sharding, ids: Sequence[str]) -> None:
    """Let a cluster copy the data objects of these proposals; idempotent, and records nothing.

    Args:
        address: Of the scheduler, e.g. `tcp://10.0.0.5:8786`.
        sharding: Of this machine, for deciding how many shards there are.
        ids: Whole ids.

    Raises:
        NotFound: kind `no-dask`: the extra is not installed.
        Unavailable: kind `dask`: no scheduler, or its workers keep dying.
        Whatever a shard was refused with, after the others were told to end.
    """
    planned = sharding.plan(ids)
    work = [(ident, number, of) for ident, of in planned for number in range(1, of + 1)]
    if not work:
        return
    with _cluster(address) as (cluster, as_completed):
        tasks = cluster.map(copy_shard, *zip(*work, strict=True), pure=False, retries=_RETRIES)
        done, found = 0, 0
        try:
            for task in as_completed(tasks, loop=cluster.loop):
                more, there, error = task.result()
                if error is not None:
                    raise error
                done, found = done + more, found + there
        finally:
            cluster.cancel(tasks, force=True)
        log.info("%d shards: %d objects copied, %d found", len(tasks), done, found)


def copy_shard(ident: str, number: int, of: int) -> tuple[int, int, PlacetError | None]:
    """On a worker: copy one shard of one proposal, from the workspace in which the worker runs.

    Returns:
        Objects copied, objects found, and why it was refused.

    Raises:
        Unavailable: a store or the Ctrl repository does not answer; the scheduler tries again.
    """
    with _one:  # an engine of its own threads; a client is for one thread at a time
        (part,) = _here().sharding.run([ident], Shard(number, of))
    if isinstance(part.error, Unavailable):
        raise part.error
    return *copied([part]), part.error


@cache
def _here() -> Wire:
    return Wire(load_settings(None), Path.cwd(), None)


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Any, Any]]:
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise NotFound(
            "dask.distributed is not installed.", kind="no-dask", mend="pip install '/path/to/placet[dask]'"
        ) from error
    try:
        with Client(address, timeout=_CONNECT_S, set_as_default=False) as cluster:  # type: ignore[no-untyped-call]
            yield cluster, as_completed
    except (OSError, KilledWorker) as error:
        raise Unavailable(
            f"The cluster at {address} did not end its work.",
            kind="dask",
            why=f"{type(error).__name__}: {str(error)[:300]}",
            mend="Run the same command again, or without --dask: what was copied is found.",
        ) from error
