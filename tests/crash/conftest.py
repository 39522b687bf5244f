from __future__ import annotations

import shutil

import pytest

from crash.stage import FILES, LARGE, SMALL, Stage, stage


@pytest.fixture(scope="session")
def ready(tmp_path_factory) -> Stage:
    """A stage with one proposal landed, and with another one's outputs made on the desk."""
    with stage(tmp_path_factory.mktemp("crash").resolve()) as made:
        made.keep("begun")
        made.make(FILES | LARGE)
        made.make(SMALL, "desk")
        made.ident = made.land(*FILES, *LARGE)
        shutil.rmtree(made.live / "workspace")
        made.keep("landed")
        assert made.run("agent", "promote").code == 0
        made.keep("published")
        yield made
