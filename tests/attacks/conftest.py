import pytest

from attacks.field import Ground, Stages


@pytest.fixture(scope="session")
def stages(tmp_path_factory, seaweed):
    return Stages(tmp_path_factory.mktemp("stages"), seaweed)


@pytest.fixture
def ground(stages, tmp_path):
    made = Ground(stages, tmp_path)
    yield made
    made.close()
