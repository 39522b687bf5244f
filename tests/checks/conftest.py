import io
from contextlib import contextmanager

import pytest

from governance.lab import Lab
from placet.adapters.sandbox import Sandbox
from placet.checks import registry, worker
from placet.checks.api import Begin, File, Finding, Look
from placet.core.digest import sha256_hex


def file(name, data, listing=None):
    return File(name, len(data), sha256_hex(data), io.BytesIO(data), listing or {})


def look(check, name, data, listing=None, **options):
    """The finding of a built-in check, in this process."""
    loaded = registry.load(check)
    return loaded.look(file(name, data, listing), registry.read_options(check, loaded, options))


class Inline:
    """The port in this process, where a test can take a guard away."""

    @contextmanager
    def session(self, checks, listing, jobs):
        answer, loaded = worker._begin(
            Begin({name: dict(one) for name, one in checks.items()}, dict(listing))
        )
        assert answer.refused is None, answer.refused
        yield InlineSession(answer.tools, loaded, listing)


class InlineSession:
    def __init__(self, tools, loaded, listing):
        self.tools, self._loaded, self._listing = tools, loaded, listing

    def look(self, name, sha256, size, file):
        found = worker._look(self._loaded, Look(name, size, sha256, 60), file, self._listing)
        return {name: Finding(*one) for name, one in found.items()}

    def conclude(self, facts):
        return {name: Finding(*one) for name, one in worker._conclude(self._loaded, facts).items()}


@pytest.fixture
def sandbox():
    return Sandbox({"PATH": "/usr/bin:/bin"})


@pytest.fixture
def lab(tmp_path):
    made = Lab.make(tmp_path)
    yield made
    made.repo.close()
