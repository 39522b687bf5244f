"""Each guard of the product is found in its source, and its attack succeeds when it is taken away."""

import pytest

from attacks import guards
from attacks.field import AttackSucceeded
from attacks.mutations import MUTATIONS
from attacks.threats import ATTACKS, THREATS

MARKED = guards.marked()


def test_no_mark_is_hidden():
    """A mark inside of a function, or on what is not imported, could not be taken away."""
    assert guards.imported() == MARKED


def test_each_guard_has_a_mutation_check():
    assert set(MARKED) - {one.guard for one in MUTATIONS} == set()


def test_each_mutation_check_is_of_a_guard():
    assert {name for one in MUTATIONS for name in (one.guard, *one.also)} - set(MARKED) == set()


def test_each_guard_stands_against_a_threat():
    assert [name for name, threats in MARKED.items() if not threats or not set(threats) <= set(THREATS)] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_without_the_guard_the_attack_succeeds(mutation, ground, monkeypatch):
    instead = {one.guard: one.instead for one in MUTATIONS if one.instead is not None}
    if mutation.instead is None:
        instead.pop(mutation.guard, None)
    else:
        instead[mutation.guard] = mutation.instead
    if mutation.also:
        with guards.away(monkeypatch, *mutation.also, instead=instead):
            mutation.attack(ground)
    with (
        guards.away(monkeypatch, mutation.guard, *mutation.also, instead=instead),
        pytest.raises(AttackSucceeded),
    ):
        mutation.attack(ground)


def test_each_attack_belongs_to_a_threat():
    named = [name for threat in THREATS.values() for name in threat.get("attacks", ())]
    assert set(named) == set(ATTACKS)
