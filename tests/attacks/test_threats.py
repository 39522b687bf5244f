"""The table of threats is whole: every row is there, tried or said to be open, by what exists."""

from pathlib import Path

import pytest

from attacks.corpus import ATTACKS
from attacks.threats import THREATS

ROOT = Path(__file__).parent.parent.parent


def test_every_threat_has_its_row():
    assert list(THREATS) == list(range(1, 39))


def test_every_attack_belongs_to_a_threat():
    assert {name for threat in THREATS.values() for name in threat["attacks"]} == set(ATTACKS)


@pytest.mark.parametrize("number", THREATS)
def test_a_row_says_what_is_tried_and_what_is_open(number):
    threat = THREATS[number]
    assert threat.keys() - {"open"} == {"threat", "guard", "attacks", "also", "state"}
    assert threat["state"] in {"covered", "partly", "open"}
    assert (threat["state"] == "covered") == ("open" not in threat)
    assert threat["attacks"] or threat["state"] == "open"
    for path in threat["also"]:
        assert (ROOT / path).exists(), path
