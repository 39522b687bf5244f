"""Any order and way of landing, and of decisions that come later, gives the same judgement (design 4)."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from governance.lab import MAIN
from keys import Key
from placet.core import layout
from placet.core.predicates import Decision, Seen
from placet.core.statement import Signed
from placet.engine.cases import Case, Recorded, chains
from placet.ports import TreeEntry
from property.town import MemoryLab, policy_text

WAYS = ("merge", "squash", "rebase", "rebase with merges around it")
VERDICTS = some.lists(
    some.tuples(
        some.sampled_from(["alice", "bob", "carol", "erin"]),
        some.sampled_from(["approve", "approve", "return", "reject"]),
    ),
    max_size=6,
)


def decide(lab, ident, given):
    before = {}
    for person, verdict in given:
        if before.get(person) != verdict:
            lab.decide(ident, person, verdict=verdict)
            before[person] = verdict


def onto(lab, commits, tip):
    """The changes of commits, once more, on another tip."""
    for one in commits:
        tip = lab.commit(tip, {change.path: TreeEntry(change.mode, change.blob, 0) for change in one.changes})
    return tip


def land(lab, ident, way, unrelated):
    """Bring a proposal to `main` past the gate; `unrelated` lands between or beside."""
    view = lab.view()
    branch, main = view.branches[ident], view.main
    own = lab.repo.line(branch, after=view.line[0].id)
    files = {
        path: one for path, one in lab.repo.tree(branch).items() if path not in lab.repo.tree(view.line[0].id)
    }
    if way == "merge":
        main = lab.commit(main, files, branch)
    elif way == "squash":
        main = lab.commit(main, files)
    elif way == "rebase":
        main = onto(lab, own, main)
    else:
        main = onto(lab, own[:1], main)
        main = lab.commit(main, {}, branch)
        main = onto(lab, own[1:], main)
    lab.force(MAIN, main)


def judged(early, late, way, unrelated, cut):
    """Everything that is decided about a proposal that came to `main` in this way."""
    lab = MemoryLab.begin(policy_text(2))
    ident = lab.propose()
    decide(lab, ident, early)
    other = lab.propose("outputs/other.csv", b"other", node="site-a")
    lab.decide(other, "alice", "bob")
    if unrelated == "before":
        lab.merge(other)
    land(lab, ident, way, unrelated)
    known = {person: [verdict for who, verdict in early if who == person][-1:] for person, _ in early}
    for person, verdict in late[:cut]:
        if known.get(person) != [verdict]:
            lab.decide(ident, person, verdict=verdict)
            known[person] = [verdict]
    if unrelated == "after":
        lab.merge(other)
    view = lab.view()
    case = view.find(ident)
    counted = {person: [one.decision.digest for one in chain] for person, chain in chains(case).items()}
    return str(view.state(case, lab.now)), counted, [str(one.text) for one in view.alarms], case.stale


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(early=VERDICTS, late=VERDICTS, unrelated=some.sampled_from(["before", "after"]))
def test_every_way_of_landing_is_judged_alike(early, late, unrelated):
    results = [judged(early, late, way, unrelated, len(late)) for way in WAYS]
    assert results == results[:1] * len(WAYS)
    state, counted, alarms, stale = results[0]
    latest = dict([*early, *late])
    yes = {person for person, verdict in latest.items() if verdict == "approve"}
    organisations = {{"alice": "a", "bob": "b", "carol": "a", "erin": "b"}[one] for one in yes}
    fine = len(yes) >= 2 and len(organisations) >= 2 and set(latest.values()) == {"approve"}
    assert (state, alarms, stale) == ("LANDED" if fine else "QUARANTINED", [], "")
    assert set(counted) == set(latest)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(before=VERDICTS, data=some.data())
def test_it_does_not_matter_which_decisions_come_before_the_landing(before, data):
    """The same decisions, split at any place into those on the branch and those added to `main`."""
    cut = data.draw(some.integers(0, len(before)))
    way = data.draw(some.sampled_from(WAYS))
    one = judged(before, [], "squash", "before", 0)
    two = judged(before[:cut], before[cut:], way, "after", len(before))
    assert one == two


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=some.data(), names=some.permutations(["a", "b", "c", "d"]))
def test_any_order_of_several_landings(data, names):
    lab = MemoryLab.begin(policy_text(2))
    idents = {
        name: lab.decide(lab.propose(f"outputs/{name}", name.encode()), "alice", "bob") for name in "abcd"
    }
    for name in names:
        land(lab, idents[name], data.draw(some.sampled_from(WAYS)), "before")
    view = lab.view()
    assert {str(view.state(view.find(ident), lab.now)) for ident in idents.values()} == {"LANDED"}
    assert view.alarms == []


def chain(case, links):
    """Decisions of one person: (n, index of the decision that it names as the one before, or None, verdict)."""
    out = []
    for n, before, verdict in links:
        body = Decision(
            repository="ab" * 16, time="2026-11-24T10:00:00Z", manifest="0" * 64, person="alice", n=n,
            previous=out[before].decision.digest if before is not None and before < len(out) else None, verdict=verdict,
            role="stewards", seen=Seen(level="bytes"), comment=str(len(out)), policy="0" * 64, expires=None,
        )  # fmt: skip
        from placet.core.statement import subject

        signed = Signed.make((subject("x", "0" * 64),), body, Key("alice").pair)
        out.append(Recorded(signed, layout.decision_path("ab" * 16, "alice", n), ""))
    return out


LINKS = some.lists(
    some.tuples(
        some.integers(1, 5), some.none() | some.integers(0, 4), some.sampled_from(["approve", "reject"])
    ),
    max_size=5,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(links=LINKS, data=some.data())
def test_a_chain_counts_whole_or_not_at_all_whatever_the_order_of_arrival(links, data):
    """Gaps, forks and wrong links void all of a person's decisions; the order in which they came does not matter."""
    real = chain(None, links)
    case = Case("ab" * 16, None, "", None)
    case.decisions = data.draw(some.permutations(real))
    by_number = sorted(real, key=lambda one: one.decision.body.n)
    wanted = [None, *(one.decision.digest for one in by_number)]
    whole = [one.decision.body.n for one in by_number] == list(range(1, len(real) + 1)) and all(
        one.decision.body.previous == wanted[index] for index, one in enumerate(by_number)
    )
    found = chains(case)
    assert found == ({"alice": by_number} if whole and real else {})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(length=some.integers(1, 6), data=some.data())
def test_a_true_chain_is_found_in_any_order_and_voided_by_any_gap_or_fork(length, data):
    real = chain(None, [(n, n - 2 if n > 1 else None, "approve") for n in range(1, length + 1)])
    case = Case("ab" * 16, None, "", None)
    case.decisions = data.draw(some.permutations(real))
    assert chains(case) == {"alice": real}
    forked = chain(
        None,
        [(n, n - 2 if n > 1 else None, "approve") for n in range(1, length + 1)]
        + [(length, length - 2 if length > 1 else None, "reject")],
    )
    case.decisions = data.draw(some.permutations(forked))
    assert chains(case) == {}
    if length > 1:
        gone = data.draw(some.integers(0, length - 2))
        case.decisions = [one for index, one in enumerate(real) if index != gone]
        assert chains(case) == {}
