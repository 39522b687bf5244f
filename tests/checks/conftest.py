import io

import pytest

from governance.lab import Lab
from placet.adapters.sandbox import Sandbox
from placet.checks import registry
from placet.checks.api import File
from placet.core.digest import sha256_hex


def file(name, data, listing=None):
    return File(name, len(data), sha256_hex(data), io.BytesIO(data), listing or {})


def look(check, name, data, listing=None, **options):
    """The finding of a built-in check, in this process."""
    loaded = registry.load(check)
    return loaded.look(file(name, data, listing), registry.read_options(check, loaded, options))


@pytest.fixture
def sandbox():
    return Sandbox({"PATH": "/usr/bin:/bin"})


@pytest.fixture
def lab(tmp_path):
    made = Lab.make(tmp_path)
    yield made
    made.repo.close()
