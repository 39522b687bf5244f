import pytest

from placet.demo import cast
from placet.demo.world import World, fresh_folder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The demo's stage with everybody settled, and nothing done yet."""
    with World.start(fresh_folder(tmp_path_factory.mktemp("world") / "stack")) as stage:
        cast.make_keys(stage)
        cast.begin(stage)
        cast.settle(stage)
        yield stage
