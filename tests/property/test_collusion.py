"""No sequence of commands by up to n-1 of n needed people publishes a byte (design I1, I2, I9).

The real engine, over `placet.adapters.gitmemory` (which passes the contract of `Repo`) and stores in memory. Colluders have
their keys, the node's key, the internal tier and the Git server's files; what may be published is decided by the
record that the test keeps of what honest people did, never by `placet.core.assent`.
"""

from collections import Counter
from contextlib import suppress
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from placet.core import assent, envelope
from placet.core.digest import digest
from placet.engine import copying, history, promote
from placet.errors import PlacetError
from placet.testing import twins
from property.town import GOOD, PEOPLE, STEWARDS, Town

INDEX = some.integers(0, 9)
EVIL = some.sampled_from([b"x,y\n9,9\n", twins.B, b"x,y\n9,9\n", twins.A])
PERSON = some.sampled_from(STEWARDS)


class Collusion(RuleBasedStateMachine):
    published: ClassVar = Counter()
    stages: ClassVar = (0, 1, 2, 3, 3, 4)

    @initialize(
        count=some.sampled_from([2, 3]),
        order=some.permutations(sorted(PEOPLE)),
        stages=some.tuples(*[some.integers(0, 5)] * 3),
    )
    def begin(self, count, order, stages):
        """Some proposals, each on its way already: nothing done, colluders' word, approved, landed, published."""
        self.town = Town(count, tuple(order[: count - 1]))
        for name, data, index in zip(("a.csv", "t", "d"), (GOOD[0], twins.A, GOOD[3]), stages, strict=True):
            stage = self.stages[index]
            ident = self.town.propose(f"outputs/{name}", data)
            if stage:
                self.collude(self.town.idents.index(ident), "approve")
            for _ in range(stage - 1):
                with suppress(PlacetError):
                    self.step(ident, enough=True)

    def pick(self, index, *, policies=False):
        found = [*self.town.idents, *(self.town.policies if policies else ())]
        return found[index % len(found)] if found else None

    @rule(
        name=some.sampled_from(["a.csv", "b", "d"]),
        what=some.sampled_from(range(len(GOOD))),
        node=some.sampled_from(["site-b"] * 3 + ["site-a"]),
    )
    def propose(self, name, what, node):
        with suppress(PlacetError):
            self.town.propose(f"outputs/{name}", GOOD[what], node)

    @rule(
        index=INDEX,
        people=some.sets(PERSON, min_size=1),
        verdict=some.sampled_from(["approve"] * 5 + ["return", "reject"]),
        days=some.sampled_from([None, None, 1]),
    )
    def honest(self, index, people, verdict, days):
        """Honest people approve whatever the node really made, and no policy that asks for fewer of them."""
        ident = self.pick(index, policies=True)
        for person in sorted(people - set(self.town.colluders)):
            if ident and "count: 1" not in self.town.asked.get(ident, ""):
                with suppress(PlacetError):
                    self.town.review(
                        ident, person, verdict, days=days, saw="report" if index % 3 == 0 else "bytes"
                    )

    @rule(index=INDEX, enough=some.sampled_from([True, True, False]), steps=some.integers(1, 3))
    def forward(self, index, enough, steps):
        """A proposal goes its way by some steps; else the attacks would rarely meet one that is approved."""
        ident = self.pick(index, policies=True)
        for _ in range(steps):
            with suppress(PlacetError):
                self.step(ident, enough)

    def step(self, ident, enough):
        town = self.town
        view = town.lab.view()
        state = str(view.state(view.find(ident), town.lab.now))
        if state == "APPROVED":
            town.lab.merge(ident)
        elif state == "LANDED":
            self.promote()
        elif "count: 1" not in town.asked.get(ident, ""):
            honest = [one for one in PEOPLE if one not in town.colluders]
            for person in honest if enough else honest[:1]:
                with suppress(PlacetError):
                    town.review(ident, person, "approve")

    @rule(index=INDEX, verdict=some.sampled_from(["approve"] * 5 + ["return"]))
    def colluders(self, index, verdict):
        self.collude(index, verdict)

    def collude(self, index, verdict):
        ident = self.pick(index, policies=True)
        for person in self.town.colluders if ident else ():
            with suppress(PlacetError):
                self.town.lab.decide(
                    ident, person, verdict=verdict, saw="report" if ident in self.town.asked else "bytes"
                )

    @rule(
        index=INDEX, how=some.sampled_from(["merge"] * 3 + ["by hand", "squash", "rebase", "swapped", "bare"])
    )
    def land(self, index, how):
        ident = self.pick(index, policies=True)
        if ident and how == "merge":
            with suppress(PlacetError):
                self.town.lab.merge(ident)
        elif ident:
            self.town.land(ident, how)

    @rule(index=INDEX, evil=some.booleans())
    def policy(self, index, evil):
        who = self.town.colluders if evil else sorted(set(PEOPLE) - set(self.town.colluders))
        with suppress(PlacetError):
            self.town.ask_policy(who[index % len(who)], evil=evil)

    @rule(days=some.sampled_from([0, 0, 0, 1, 2, 20]))
    def later(self, days):
        self.town.lab.later(days=days)

    @rule()
    def agent(self):
        self.promote()

    def promote(self):
        with suppress(PlacetError):
            done = self.town.promoter().run()
            self.published.update(one.id for one in done if one.error is None)

    @rule(
        index=INDEX,
        other=INDEX,
        person=PERSON,
        how=some.sampled_from(["forge", "replay", "edit", "drop"]),
        number=some.integers(1, 4),
    )
    def attack_decisions(self, index, other, person, how, number):
        ident, town = self.pick(index, policies=how == "forge"), self.town
        if ident is None or person in town.colluders:
            return
        if how == "forge":
            town.forge(
                ident, person, (town.colluders[0], f"{town.colluders[0]}-2", "site-b", "mallory")[number - 1]
            )
        elif how == "replay":
            town.replay(self.pick(other), ident, person, number)
        else:
            getattr(town, how)(ident, person)

    @rule(index=INDEX, data=EVIL, manifest=some.booleans())
    def attack_bytes(self, index, data, manifest):
        ident = self.pick(index)
        if ident and manifest:
            self.town.swap_manifest(ident, data)
        else:
            self.town.swap_bytes(index, data)

    @rule(index=INDEX, how=some.sampled_from(["nothing"] * 4 + ["publish"] * 3 + ["rewind"] * 2 + ["weaken"]))
    def attack_branches(self, index, how):
        ident = self.pick(index)
        if how == "weaken":
            self.town.weaken()
        elif how == "rewind":
            self.town.rewind(index)
        elif ident and how == "publish":
            self.town.publish_by_hand(ident)

    @invariant()
    def nothing_is_out_that_should_not_be(self):
        if hasattr(self, "town"):
            self.town.check_store()
            self.town.check_reader()


def play(examples, **more):
    run_state_machine_as_test(
        Collusion,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )


def test_too_few_people_publish_nothing():
    Collusion.published.clear()
    play(25)
    assert Collusion.published.total() > 10, "the oracle was not asked about anything"


def test_enough_people_do_publish():
    """The oracle does not pass because nothing ever happens."""
    town = Town(3, ("alice", "bob"))
    for name, data in zip(("a.csv", "b", "c", "d"), GOOD, strict=True):
        ident = town.propose(f"outputs/{name}", data)
        town.lab.decide(ident, "alice", "bob")
        assert not town.enough(town.manifest(ident))
        town.review(ident, "carol", "approve")
        town.lab.merge(ident)
    town.promoter().run()
    assert {one.key for one in town.store.list("")} == {
        key for one in town.things.values() for key in one.objects
    }
    town.check_store()
    town.check_reader()
    change = town.ask_policy("dana", evil=False)
    for person in ("erin", "carol"):
        town.review(change, person, "approve")
    town.lab.decide(change, "alice", saw="report")
    town.lab.merge(change)
    assert town.lab.view().history.policy.form.number == 1
    town.check_reader()


FOUND = r"not enough people|is APPROVED|is LANDED|counts as published"


def unproven(source, target, key, want):
    data = b"".join(source.get(key))
    target.put(key, [data], digest(data))
    return "stream"


GUARDS = {
    "the threshold": (assent, "unmet", lambda *_: [], 1),
    "signatures": (envelope.Envelope, "signed_by", lambda self, keys: frozenset(keys), 1),
    "a policy's approval": (history, "outcome", lambda case, when: type("Yes", (), {"allowed": True})(), 0),
    "promotion": (promote, "publish_problem", lambda *_: "", 1),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_the_machine_finds_a_guard_that_is_gone(guard, monkeypatch):
    where, name, instead, stage = GUARDS[guard]
    monkeypatch.setattr(where, name, instead)
    monkeypatch.setattr(Collusion, "stages", (stage,) * 6)
    with pytest.raises(AssertionError, match=FOUND):
        play(60, phases=[Phase.generate])


@pytest.mark.parametrize("data", [GOOD[0], twins.A])
def test_the_store_is_asked_for_bytes_and_not_for_names(data, monkeypatch):
    town = Town(2, ("alice",))
    ident = town.propose("outputs/t", data)
    for person in ("bob", "carol"):
        town.review(ident, person, "approve")
    town.lab.merge(ident)
    town.swap_bytes(0, b"evil")
    assert town.promoter().run()[0].error is not None
    town.check_store()
    monkeypatch.setattr(copying, "copy_verified", unproven)
    assert town.promoter().run()[0].error is None
    with pytest.raises(AssertionError, match=FOUND):
        town.check_store()
