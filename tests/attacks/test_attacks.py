"""Every attack of the corpus, on real Git and a real S3 server: our code refuses, and nothing moves."""

import pytest

from attacks.corpus import ATTACKS


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_refused(attack, ground):
    attack(ground)
