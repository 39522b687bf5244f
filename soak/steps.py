"""What may happen next: each step is one function and one line of the table at the end.

A step that does not apply now returns False, and another is drawn. What Placet refuses is counted by its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from placet.core.digest import sha256_hex
from placet.core.provenance import Provenance
from placet.core.states import State
from placet.testing.trouble import Answer, LoseAnswer, Reset, Rule
from soak import faults
from soak.faults import AGENTS, FAULTS
from soak.town import EMERGENCY_HOURS, ERASES, NODES, PEOPLE, TIERS, Proposal, Town, write_policy

_OUT = {State.PUBLISHED, State.SUPERSEDED}
HOW = ("by two", "confirmed", "unconfirmed")
_LARGE = 4 << 20
_NAMES = 9


def propose(town: Town) -> bool:
    """A file or a directory; often a new version of one that was proposed before."""
    rng = town.random
    node = rng.choice(list(NODES))
    kind, number = rng.choice(["file", "file", "file", "folder", "large"]), rng.randrange(_NAMES)
    path = f"outputs/{kind}-{number}"
    place = town.folder / node / path
    if kind == "folder":
        for one in range(rng.randrange(1, 6)):
            (place / f"part{one % 2}").mkdir(parents=True, exist_ok=True)
            (place / f"part{one % 2}" / f"{one}.bin").write_bytes(rng.randbytes(rng.randrange(2000)))
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        size = _LARGE + rng.randrange(9) if kind == "large" else rng.randrange(3000)
        place.write_bytes(rng.randbytes(size))
    return submit(town, node, path, rng.choice(list(TIERS)) if rng.random() < 0.3 else "publication-storage")


def submit(town: Town, node: str, path: str, tier: str) -> bool:
    """Propose what lies in the workspace."""
    client = town.clients[node]
    found = town.attempt(
        "propose",
        lambda: client.propose(
            [town.folder / node / path], message="soak", tier=tier, provenance=Provenance()
        ),
    )
    if found is not None and found.id not in {one.ident for one in town.proposals}:
        town.proposals.append(Proposal(found.id, node, (path,), tier))
    return True


def approve(town: Town) -> bool:
    """One or two of the stewards, also who does not count."""
    one = _one(town, "open")
    if one is None:
        return False
    for person in town.random.choice(
        [["alice", "bob"], ["bob", "alice"], ["alice"], ["bob"], ["carol", "bob"]]
    ):
        if person not in one.approved and town.attempt(
            "approve", lambda person=person: town.clients[person].decide(one.ident, "approve")
        ):
            one.approved.add(person)
    if len(one.approved) > 1:
        one.stage = "approved"
    return True


def turn_down(town: Town) -> bool:
    """A steward returns or rejects it."""
    one = _one(town, "open", "approved")
    if one is None:
        return False
    verdict = town.random.choice(["return", "return", "reject"])
    person = town.random.choice(["alice", "bob"])
    if town.attempt(verdict, lambda: town.clients[person].decide(one.ident, verdict, comment="not so")):  # type: ignore[arg-type]
        one.stage = "down"
    return True


def withdraw(town: Town) -> bool:
    """Its node takes it back."""
    one = _one(town, "open", "approved")
    if one is None:
        return False
    if town.attempt("withdraw", lambda: town.clients[one.node].withdraw(one.ident, reason="changed my mind")):
        one.stage = "down"
    return True


def resubmit(town: Town) -> bool:
    """The same path, as it lies in the workspace now, follows what was turned down."""
    one = _one(town, "down")
    if one is None or not (town.folder / one.node / one.paths[0]).exists():
        return False
    one.stage = "gone"
    town.counts["resubmit"] += 1
    return submit(town, one.node, one.paths[0], one.tier)


def merge(town: Town) -> bool:
    """Anybody lands what is approved; the gate judges. What became stale meanwhile is refused."""
    one = _one(town, "approved")
    if one is None:
        return False
    done = town.attempt("merge", lambda: town.clients[town.random.choice(list(PEOPLE))].merge(one.ident))
    one.stage = "landed" if done else "down"
    return True


def promote(town: Town) -> bool:
    """One agent, with something that goes wrong, or nothing."""
    if not any(one.stage == "landed" for one in town.proposals):
        return False
    agent = town.random.choice(AGENTS)
    name = town.random.choices(list(FAULTS), [weight for weight, _ in FAULTS.values()])[0]
    town.counts[f"fault {name}"] += 1
    found = town.attempt("promote", lambda: FAULTS[name][1](town, agent)) or []
    faults.end(town)
    for one in found:
        if one.error is not None:
            town.errors[f"promotion ({name}): {one.error.kind}"] += 1
    return True


def change_policy(town: Town) -> bool:
    """The next policy: another expiry; approved by two trustees, landed. What is open becomes stale."""
    dana = town.clients["dana"]
    before = dana.view().history.policy
    number = before.form.number + 1
    rule = {**town.policy["rules"][0], "expires_days": 30 + number % 7}
    town.policy = {**town.policy, "number": number, "previous": before.digest, "rules": [rule]}
    file = town.folder / "policy.yaml"
    write_policy(file, town.policy)
    found = town.attempt("propose policy", lambda: dana.propose_policy(file, message="soak"))
    if found is not None:
        for person in ("alice", "bob"):
            town.attempt(
                "approve policy", lambda person=person: town.clients[person].decide(found.id, "approve")
            )
        town.attempt("merge policy", lambda: dana.merge(found.id))
    after = dana.view().history.policy
    assert after.digest == sha256_hex(file.read_bytes()), "the policy was not adopted"
    for one in town.proposals:
        if one.stage in {"open", "approved"}:
            one.stage = "down"
    return True


def freeze(town: Town) -> bool:
    """Somebody stops some or all of it; while everything is stopped, no published branch moves."""
    if town.freezes:
        return False
    scope = town.random.choice(["all", "all", "node:site-a", "tier:open-data", "path:*/outputs/file-*"])
    found = town.attempt("freeze", lambda: town.clients["dana"].freeze(scope, reason="soak"))
    if found is None:
        return True
    town.freezes.append(found)
    if scope == "all":
        before = published(town)
        for done in town.attempt("promote", town.clients[town.random.choice(AGENTS)].promote) or []:
            assert done.commit is None, f"{done.id} was published during a freeze"
            town.errors[f"promotion (frozen): {done.error.kind if done.error else done.state}"] += 1
        assert published(town) == before, "a published branch moved during a freeze"
    return True


def unfreeze(town: Town) -> bool:
    """Two people end it."""
    if not town.freezes:
        return False
    ident = town.freezes.pop()
    for person in ("alice", "dana"):
        town.attempt("unfreeze", lambda person=person: town.clients[person].unfreeze(ident, reason="soak"))
    return True


def scrub(town: Town) -> bool:
    """An agent compares its tier with what is published there: nothing is missing, nothing is wrong."""
    found = town.attempt("scrub", lambda: town.clients[town.random.choice(AGENTS)].scrub(read=True))
    assert found is None or not (found.counts["missing"] or found.counts["corrupt"]), found.counts
    return True


def retract(town: Town) -> bool:
    """Something that was published is taken back, perhaps in trouble with the store."""
    fitting = standing(town)
    if not fitting:
        return False
    ident, how = town.random.choice(fitting), town.random.choice(HOW)
    if town.random.random() < 0.5:
        what = town.random.choice([Reset(), LoseAnswer(), Answer(500, "InternalError")])
        times = town.random.randrange(1, 5)
        town.proxy.meet(Rule(what, key="dvc/", skip=town.random.randrange(12), times=times))
    take_back(town, ident, how)
    faults.end(town)
    return True


def standing(town: Town) -> list[str]:
    """The ids of what is published, and not taken back."""
    client = town.clients[ERASES]
    view = client.view()
    every = (view.find(ident) for one in view.publications.values() for ident in one.publications)
    return sorted(case.id for case in every if view.state(case, client.now()) in _OUT)


def take_back(town: Town, ident: str, how: str) -> None:
    """By two; or by one in an emergency, whom a second confirms, or nobody until the time is over."""
    client = town.clients[ERASES]
    found = town.attempt("retract", lambda: client.retract(ident, reason="soak", emergency=how != "by two"))
    if found is not None and how == "unconfirmed":
        town.let_pass(timedelta(hours=EMERGENCY_HOURS, minutes=1))
    elif found is not None:
        town.attempt("confirm", lambda: town.clients["alice"].decide(found.id, "approve"))
    if found is not None:
        found = town.attempt("go on", lambda: client.retract(found.id, reason="soak"))
    error = f" {found.error.kind}" if found and found.error else ""
    town.counts[f"retraction {how}: {found.stage if found else 'refused'}{error}"] += 1


def published(town: Town) -> dict[str, str]:
    """The published branches."""
    return {ref: commit for ref, commit in refs(town).items() if ref.startswith("refs/heads/published")}


def _one(town: Town, *stages: str) -> Proposal | None:
    fitting = [one for one in town.proposals if one.stage in stages]
    return town.random.choice(fitting) if fitting else None


def settle(town: Town) -> None:
    """What is open is decided, what is approved lands, and what has landed is promoted: without any trouble."""
    for one in town.proposals:
        if one.stage == "open":
            for person in {"alice", "bob"} - one.approved:
                town.attempt(
                    "approve",
                    lambda one=one, person=person: town.clients[person].decide(one.ident, "approve"),
                )
            one.stage = "approved"
    while merge(town) or unfreeze(town):
        pass
    done = town.clients[ERASES].follow_retractions()
    assert all(one.done for one in done), done
    for agent in AGENTS:
        for done in town.clients[agent].promote():
            assert done.error is None or done.error.kind == "not-approved", done.error
    before = refs(town)
    for agent in AGENTS:
        town.clients[agent].promote()
    assert refs(town) == before, "promoting again, with nothing to do, changed something"


def refs(town: Town) -> dict[str, str]:
    """Of the server."""
    return town.state().git.refs()


STEPS: dict[str, tuple[int, Callable[[Town], bool]]] = {
    "propose": (6, propose),
    "approve": (10, approve),
    "turn down": (1, turn_down),
    "withdraw": (1, withdraw),
    "resubmit": (2, resubmit),
    "merge": (9, merge),
    "promote": (9, promote),
    "change policy": (1, change_policy),
    "freeze": (1, freeze),
    "unfreeze": (3, unfreeze),
    "scrub": (1, scrub),
    "retract": (5, retract),
}


def live(town: Town, proposals: int, more: Callable[[], bool]) -> None:
    """Draw steps until so many proposals were made, or there is no time for more; then settle."""
    names, weights = list(STEPS), [weight for weight, _ in STEPS.values()]
    while len(town.proposals) < proposals and more():
        name = town.random.choices(names, weights)[0]
        if name == "change policy" and town.counts["propose"] % 7 != 6:
            continue
        STEPS[name][1](town)
    settle(town)
