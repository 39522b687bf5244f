"""Promotion on a real `dask.distributed` cluster: workers with their own workspaces, one killed in the middle."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from governance.nodes import Site
from governance.test_promote import keys, land_folder
from placet.client import Client
from placet.engine.shards import BATCH, shards_of
from placet.errors import NotFound, Refused, Unavailable
from placet.wire import dask as distributing

COUNT = 4 * BATCH
LIMIT_S = 120


@pytest.fixture
def site(tmp_path, monkeypatch):
    for name, value in {
        "HOME": tmp_path,
        "PLACET_HOME": tmp_path / "home",
        "DVC_SITE_CACHE_DIR": tmp_path / "site",
        "DVC_GLOBAL_CONFIG_DIR": tmp_path / "global",
        "DVC_SYSTEM_CONFIG_DIR": tmp_path / "system",
        "DASK_DISTRIBUTED__WORKER__DAEMON": "True",
    }.items():
        monkeypatch.setenv(name, str(value))
    found = Site(tmp_path, ("files: 100", "files: 10000"))
    yield found
    found.lab.repo.close()


@pytest.fixture
def cluster(site, monkeypatch):
    """Two worker processes that run in a workspace without a signing key."""
    from distributed import LocalCluster

    monkeypatch.chdir(site.machine("worker"))
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as made:
        yield made


def test_workers_that_are_killed_in_the_middle_lose_nothing(site, cluster):
    files = {f"part-{number:05}": b"%d" % number for number in range(COUNT)}
    ident = land_folder(site.lab, site, files)
    killed = []

    def kill():
        """As soon as something is there."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end and not (there := site.published()):
            time.sleep(0.01)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        killed.append(len(there))

    killer = threading.Thread(target=kill)
    killer.start()
    with Client(site.machine("agent", key=True)) as client:
        (done,) = client.promote([ident[:12]], dask=cluster.scheduler_address)
    killer.join()
    assert 0 < killed[0] < COUNT
    assert (done.error, str(done.state)) == (None, "PUBLISHED")
    (artifact,) = done.artifacts
    assert (artifact.objects, artifact.found, artifact.copied) == (COUNT + 2, COUNT, 2)
    assert site.published() == keys(site.source)
    assert site.lab.state(ident) == "PUBLISHED"


def test_what_may_not_be_promoted_never_reaches_a_worker(site, monkeypatch):
    site.lab.later(days=-40)
    ident = land_folder(site.lab, site, {"a": b"a", "b": b"b"})
    monkeypatch.setattr(distributing, "_cluster", lambda address: pytest.fail("a cluster was asked"))
    with Client(site.machine("agent", key=True)) as client:
        (done,) = client.promote([ident], dask="tcp://127.0.0.1:1")
    assert isinstance(done.error, Refused)
    assert site.published() == set()


def test_no_scheduler_and_no_dask_are_said(site, monkeypatch):
    ident = land_folder(site.lab, site, {"a": b"a", "b": b"b"})
    monkeypatch.setattr(distributing, "_CONNECT_S", 1)
    with Client(site.machine("agent", key=True)) as client:
        with pytest.raises(Unavailable) as caught:
            client.promote([ident], dask="tcp://127.0.0.1:1")
        assert caught.value.kind == "dask"
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(NotFound) as caught:
            client.promote([ident], dask="tcp://127.0.0.1:1")
        assert caught.value.kind == "no-dask"
    assert site.published() == set()


def test_a_worker_returns_why_it_refuses_and_raises_what_may_pass(site, monkeypatch):
    ident = land_folder(site.lab, site, {"a": b"a", "b": b"b"})
    site.lab.later(days=-40)
    late = land_folder(site.lab, site, {"c": b"c"}, "outputs/late")
    monkeypatch.chdir(site.machine("worker"))
    distributing._here.cache_clear()
    assert distributing.copy_shard(ident, 1, shards_of(2)) == (2, 0, None)
    assert distributing.copy_shard(ident, 1, 1) == (0, 2, None)
    assert isinstance(distributing.copy_shard(late, 1, 1)[2], Refused)
    (site.folder / "ctrl.git").rename(site.folder / "gone.git")
    with pytest.raises(Unavailable):
        distributing.copy_shard(ident, 1, 1)
    distributing._here().close()
    distributing._here.cache_clear()


def test_importing_placet_imports_no_dask():
    program = "import sys, placet, placet.client, placet.cli.app, placet.wire.dask; print([m for m in ('dask', 'distributed') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
