"""Each guard of the product is found in its source, and its attack succeeds when it is taken away."""

import ast
from pathlib import Path

import pytest

from attacks import guards, refusals
from attacks.field import AttackSucceeded
from attacks.mutations import ELSEWHERE, MUTATIONS
from attacks.threats import THREATS

ROOT = Path(__file__).parent.parent.parent
MARKED = guards.marked()


def test_no_mark_is_hidden():
    """A mark inside of a function, or on what is not imported, could not be taken away."""
    assert guards.imported() == MARKED


def test_each_guard_has_a_mutation_check():
    assert set(MARKED) - {one.guard for one in MUTATIONS} - set(ELSEWHERE) == set()


def test_each_mutation_check_is_of_a_guard():
    named = {name for one in MUTATIONS for name in (one.guard, *one.also)}
    assert {*named, *ELSEWHERE} - set(MARKED) == set()


def test_a_mutation_check_elsewhere_takes_its_guard_away():
    assert [guard for guard, place in ELSEWHERE.items() if not _takes_away(guard, place)] == []


def _takes_away(guard, place):
    """Does this test name the guard, call `setattr`, and assert something?"""
    path, _, name = place.partition("::")
    nodes = list(ast.walk(dict(guards.functions(guards.tree(ROOT / path)))[name]))
    texts = {str(one.value).rpartition(".")[2] for one in nodes if isinstance(one, ast.Constant)}
    patches = any(isinstance(one, ast.Attribute) and one.attr == "setattr" for one in nodes)
    asserts = any(isinstance(one, ast.Assert | ast.With) for one in nodes)
    return guard.rpartition(":")[2].rpartition(".")[2] in texts and patches and asserts


def test_each_guard_stands_against_a_threat():
    assert [name for name, threats in MARKED.items() if not threats or not set(threats) <= set(THREATS)] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_without_the_guard_the_attack_succeeds(mutation, ground, monkeypatch):
    if mutation.also:
        with guards.away(monkeypatch, *mutation.also, instead=mutation.answers):
            mutation.attack(ground)
    with (
        guards.away(monkeypatch, mutation.guard, *mutation.also, instead=mutation.answers),
        pytest.raises(AttackSucceeded),
    ):
        mutation.attack(ground)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_the_guard_stands_against_what_the_attack_does(mutation):
    rows = {number for number, threat in THREATS.items() if mutation.attack.__name__ in threat["attacks"]}
    assert rows & set(MARKED[mutation.guard])


def test_every_refusal_of_the_governed_path_is_a_guard_or_excused():
    assert refusals.unexplained() == []


def test_no_excuse_is_left_over():
    assert set(refusals.NO_GUARDS) - refusals.refusing() == set()
    assert set(refusals.NO_GUARDS) & set(MARKED) == set()


def test_a_new_refusal_and_a_hidden_guard_would_be_found(tmp_path, monkeypatch):
    new = tmp_path / "new.py"
    new.write_text(
        "from placet.errors import Refused\n"
        "def make() -> Refused:\n    return Refused('no', kind='no')\n"
        "def fresh():\n    raise make()\n"
        "def outer():\n    @guard(1)\n    def hidden():\n        pass\n"
    )
    known = [*guards.modules(), ("placet.engine.new", new)]
    monkeypatch.setattr(guards, "modules", lambda: iter(known))
    assert refusals.unexplained() == ["placet.engine.new:fresh"]
    assert guards.marked().keys() - guards.imported().keys() == {"placet.engine.new:outer.<locals>.hidden"}
