from __future__ import annotations

import itertools

import pytest
from lab import Lab

from placet.testing.trouble import TroubleProxy

_numbers = itertools.count()


@pytest.fixture(scope="session")
def proxy(seaweed):
    with TroubleProxy(seaweed.server.endpoint) as found:
        yield found


@pytest.fixture
def lab(tmp_path, seaweed, proxy):
    """A project whose default remote `main` is real SeaweedFS behind the proxy; `backup` is beside it."""
    proxy.meet()
    number = next(_numbers)
    found = Lab((tmp_path / "project").resolve())
    for name in ("main", "backup"):
        remote = seaweed.remote("target", prefix=f"faults/{number}/{name}")
        found.add_remote(name, {**remote, "endpointurl": proxy.endpoint})
    found.bucket = seaweed.server.client()
    found.prefix = f"faults/{number}"
    yield found
    proxy.meet()


@pytest.fixture
def local(tmp_path):
    """A project with two local remotes, `main` (the default) and `backup`."""
    found = Lab((tmp_path / "project").resolve())
    for name in ("main", "backup"):
        found.add_remote(name, {"url": str(tmp_path / name)})
    return found
