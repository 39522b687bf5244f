"""Every attack of the corpus, on real Git and a real S3 server: our code refuses, and nothing moves."""

import pytest

from attacks import threats


@pytest.mark.parametrize("attack", threats.ATTACKS.values(), ids=threats.ATTACKS)
def test_refused(attack, ground):
    attack(ground)
