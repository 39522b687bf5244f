"""What the Ctrl repository keeps from `gc`: from PROPOSED on until it is let go, and everything published."""

import pytest

from governance.lab import PUBLISHED
from governance.test_promote import make as make_promoter
from placet.core import layout
from placet.core.digest import digest, md5_hex
from placet.core.mentions import mentioned
from placet.core.states import State
from placet.engine import review, roots
from placet.engine.roots import governed
from placet.errors import Refused

DATA = b"a,b\n1,2\n"
MD5 = md5_hex(DATA)


def held(lab, node="site-b"):
    found = governed(lab.view(), lab.now, node)
    named = {one for file in found.files for one, _ in mentioned(file.data)}
    return {md5 for md5, *_ in found.objects} | named


def published(lab, path="outputs/a.csv", data=DATA):
    ident = lab.landed(path, data)
    promoter = make_promoter(lab)
    found = digest(data)
    promoter.source.put(layout.data_key(found.md5), [data], found)
    promoter.run([ident])
    assert lab.state(ident) == "PUBLISHED"
    return ident


def test_a_proposal_holds_until_it_is_let_go(lab):
    assert held(lab) == set()
    ident = lab.propose(data=DATA)
    assert held(lab) == {MD5}
    lab.decide(ident, "alice", "bob")
    assert held(lab) == {MD5}
    lab.merge(ident)
    assert governed(lab.view(), lab.now, "site-b").counts["proposals LANDED"] == 1
    assert held(lab) == {MD5}
    lab.later(days=31)
    assert lab.state(ident) == "EXPIRED"
    assert held(lab) == set()


@pytest.mark.parametrize("verdict", ["return", "reject"])
def test_what_was_returned_or_rejected_is_let_go(lab, verdict):
    ident = lab.propose(data=DATA)
    lab.decide(ident, "alice", verdict=verdict)
    assert held(lab) == set()


def test_what_was_withdrawn_is_let_go(lab):
    from keys import Key

    ident = lab.propose(data=DATA)
    view = lab.view()
    review.withdraw(view, view.find(ident), Key("site-b"), reason="x", now=lab.now)
    assert lab.state(ident) == "WITHDRAWN"
    assert held(lab) == set()


def test_what_was_superseded_before_it_was_published_is_let_go(lab):
    lab.landed(data=DATA)
    lab.landed(data=b"new")
    assert held(lab) == {md5_hex(b"new")}


def test_everything_ever_published_is_held(lab):
    first = published(lab)
    second = published(lab, data=b"new")
    assert (lab.state(first), lab.state(second)) == ("SUPERSEDED", "PUBLISHED")
    assert held(lab) == {MD5, md5_hex(b"new")}
    assert {own for _, _, own, _ in governed(lab.view(), lab.now, "site-b").objects} == {True}
    assert {own for _, _, own, _ in governed(lab.view(), lab.now, "site-a").objects} == {False}


def test_the_branch_holds_also_what_no_manifest_names(lab, monkeypatch):
    published(lab)
    monkeypatch.setattr(roots, "_holds", lambda *_: False)
    assert held(lab) == {MD5}


def test_a_branch_that_is_no_proposal_holds_what_it_names(lab):
    ident = lab.propose(data=DATA)
    tip = lab.branch(ident)
    broken = lab.commit(tip, {layout.manifest_path(ident): b"{}"}, message="broken")
    lab.force(layout.proposal_ref(ident), broken)
    assert ident not in lab.view().cases()
    assert held(lab) == {MD5}


def test_a_published_branch_that_does_not_recompute_stops_it(lab):
    published(lab)
    tip = lab.tip(PUBLISHED)
    lab.force(PUBLISHED, lab.commit(tip, {"x": b"y"}, message="by hand"))
    with pytest.raises(Refused) as caught:
        held(lab)
    assert caught.value.kind == "ctrl-broken"


def test_every_state_was_thought_of():
    assert set(State) - roots._RELEASED == {
        State.PROPOSED, State.STALE, State.APPROVED, State.LANDED, State.QUARANTINED, State.PUBLISHED,
        State.SUPERSEDED, State.RETRACTED,
    }  # fmt: skip
