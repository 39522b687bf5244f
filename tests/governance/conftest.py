import pytest

from governance.lab import Lab


@pytest.fixture
def lab(tmp_path):
    made = Lab.make(tmp_path)
    yield made
    made.repo.close()
