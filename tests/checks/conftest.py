import io

import pytest

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
