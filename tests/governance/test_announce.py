"""Pull requests as people see them: made, kept up to date, only what changed is sent; no failure blocks anything."""

from types import SimpleNamespace

import pytest

from governance.forgelab import ACCOUNTS, ForgeLab
from governance.lab import Memory
from placet.adapters.forge.plain import PlainForge
from placet.agent.lane import Interruptible
from placet.core import layout
from placet.engine.announce import announce, remarks
from placet.engine.ctrl import Watch
from placet.engine.propose import Proposed
from placet.errors import Refused, Unavailable
from placet.wire import pages
from placet.wire.data import Silent


@pytest.fixture
def lab():
    return ForgeLab.make()


class Counting:
    """A forge that writes down what changes something."""

    def __init__(self, forge):
        self.forge, self.sent, self.each = forge, [], lambda: None

    def __getattr__(self, name):
        found = getattr(self.forge, name)
        if name not in {"opened", "status", "request"}:
            return found

        def send(*args):
            self.sent.append(name)
            self.each()
            return found(*args)

        return send


def shown(lab, ident, forge, before=None):
    view = lab.view()
    return announce(view, view.open[ident], forge, lab.now, before)


def test_it_is_made_with_status_and_reviewers(lab):
    ident, number = lab.opened()
    pull = lab.forge.pull(layout.proposal_ref(ident))
    assert pull.title == f"m ({ident[:12]})"
    assert "**PROPOSED**" in pull.body
    assert lab.forge.asked(number) == {ACCOUNTS[name] for name in ("alice", "bob", "carol")}
    ((state, words, url),) = lab.forge.statuses(pull.head)
    assert (state, url) == ("pending", pull.url)
    assert words.startswith("PROPOSED: Rule default: 2 of 2 approvals are missing")


def test_only_what_changed_is_sent(lab):
    ident = lab.propose()
    forge = Counting(lab.forge)
    first = shown(lab, ident, forge)
    assert forge.sent == ["opened", "status", "request"]
    assert shown(lab, ident, forge, first) is first
    lab.later(hours=1)
    assert shown(lab, ident, forge, first) is first, "time alone changes nothing"
    assert len(forge.sent) == 3
    lab.decide(ident, "alice")
    second = shown(lab, ident, forge, first)
    assert forge.sent[3:] == ["opened", "status", "request"]
    assert lab.forge.statuses(lab.branch(ident))[-1][0] == "pending"
    lab.decide(ident, "bob")
    shown(lab, ident, forge, second)
    assert forge.sent[6:] == ["opened", "status"], "nobody is waited for"
    assert lab.forge.statuses(lab.branch(ident))[-1][0] == "success"
    assert "**APPROVED**" in lab.forge.pull(layout.proposal_ref(ident)).body


def test_nobody_is_asked_about_a_draft_or_again(lab):
    ident, number = lab.opened()
    lab.forge._at(number).asked.clear()
    lab.forge.draft(number, on=True)
    forge = Counting(lab.forge)
    first = shown(lab, ident, forge)
    assert "request" not in forge.sent
    lab.forge.draft(number, on=False)
    lab.review(number, "carol", word="comment")
    second = shown(lab, ident, forge, first)
    assert forge.sent == ["opened", "status", "request"]
    assert lab.forge.asked(number) == {ACCOUNTS["alice"], ACCOUNTS["bob"]}, "carol has said something"
    assert shown(lab, ident, forge, second) is second


def wire(lab, forge, node=None, progress=None):
    return SimpleNamespace(
        forge=forge, settings=SimpleNamespace(node=node), watch=Watch(), repo=lab.repo,
        trust_root=lambda: lab.trust_root, memory=Memory(), progress=progress or Silent(),
    )  # fmt: skip


def test_a_node_keeps_up_its_own_and_a_witness_all(lab):
    one, other = lab.propose(node="site-a"), lab.propose("outputs/b.csv", node="site-b")
    known = {}
    found = pages.bring_up(wire(lab, lab.forge, "site-a"), lab.now, known)
    assert [(page.id, page.changed, page.error) for page in found] == [(one, True, None)]
    assert lab.forge.pull(layout.proposal_ref(other)) is None
    parts = wire(lab, lab.forge)
    assert {page.id for page in pages.bring_up(parts, lab.now, known)} == {one, other}
    assert not any(page.changed for page in pages.bring_up(parts, lab.now, known))
    lab.decide(one, "alice", "bob")
    lab.merge(one)
    pages.bring_up(parts, lab.now, known)
    assert set(known) == {other}


def failing(monkeypatch, error, *idents):
    real = pages.announce

    def fails(view, case, *args):
        if case.id in idents:
            raise error
        return real(view, case, *args)

    monkeypatch.setattr(pages, "announce", fails)


DOWN = Unavailable("no", kind="forge-unreachable")


@pytest.mark.parametrize("error", [Refused("no", kind="forge-refused"), DOWN], ids=lambda one: one.kind)
def test_one_that_fails_is_said_and_the_others_go_on(lab, monkeypatch, error):
    idents = sorted(lab.propose(f"outputs/{name}.csv") for name in "abc")
    failing(monkeypatch, error, idents[0])
    found = pages.bring_up(wire(lab, lab.forge), lab.now, {})
    assert [page.error for page in found] == [error, None, None]


def test_a_forge_that_keeps_silent_is_not_asked_for_ever(lab, monkeypatch):
    idents = sorted(lab.propose(f"outputs/{name}.csv") for name in "abcdef")
    failing(monkeypatch, DOWN, *idents[:2], *idents[3:])
    found = pages.bring_up(wire(lab, lab.forge), lab.now, {})
    assert [page.error is None for page in found] == [False, False, True, False, False, False]
    failing(monkeypatch, DOWN, *idents)
    assert [page.id for page in pages.bring_up(wire(lab, lab.forge), lab.now, {})] == idents[:3]


def test_each_page_is_a_sign_of_life_and_a_place_to_stop(lab):
    idents = sorted(lab.propose(f"outputs/{name}.csv") for name in "abc")
    clock, known = iter(range(100)), {}
    progress = Interruptible(lambda: next(clock))
    forge = Counting(lab.forge)
    forge.each = lambda: progress.told.set() if len(known) == 1 else None
    with pytest.raises(Unavailable) as caught:
        pages.bring_up(wire(lab, forge, progress=progress), lab.now, known)
    assert caught.value.kind == "stopped" and set(known) == set(idents[:2]), "the one under way is ended"
    assert progress.moved_at == 3, "made, begun, and once for each"
    progress.told.clear()
    found = pages.bring_up(wire(lab, forge, progress=progress), lab.now, known)
    assert [page.changed for page in found] == [False, False, True]


def test_plain_git_has_no_pages(lab):
    parts = wire(lab, PlainForge())
    parts.watch = None
    made = Proposed("a" * 32, "PROPOSED", created=True, branch="x")
    assert pages.bring_up(parts, lab.now, {}) == []
    assert pages.announced(parts, made, lambda: None, lab.now) is made
    assert remarks(lab.case(lab.propose()), PlainForge()) == (None, ())


def test_a_proposal_is_made_though_the_forge_is_down(lab):
    ident = lab.propose()
    made = Proposed(ident, "PROPOSED", created=True, branch=layout.proposal_ref(ident))
    parts = wire(lab, lab.forge)
    with lab.forge.down():
        told = pages.announced(parts, made, lab.view, lab.now)
        assert "does not answer" in told.unannounced and told.url is None
    told = pages.announced(parts, made, lab.view, lab.now)
    assert (told.unannounced, told.url) == ("", "https://memory.invalid/pulls/1")


def test_what_people_wrote_is_shown_and_bounded(lab):
    ident, number = lab.opened()
    lab.forge.review(number, "alice", "approve", "fine")
    lab.forge.say(number, "mallory", "x" * 9000)
    for _ in range(200):
        lab.forge.say(number, "noise", "n")
    lab.forge.review(number, "bob", "draft", "not yet")
    url, said = remarks(lab.case(ident), lab.forge)
    assert url == "https://memory.invalid/pulls/1"
    assert len(said) == 100
    lab = ForgeLab.make()
    ident, number = lab.opened()
    lab.forge.review(number, "alice", "approve", "fine")
    lab.forge.say(number, "mallory", "x" * 9000)
    _, said = remarks(lab.case(ident), lab.forge)
    assert [(one.login, one.person, one.verdict, len(one.text)) for one in said] == [
        ("alice", "alice", "approve", 4), ("mallory", "", "", 4000),
    ]  # fmt: skip


def test_a_decision_is_shown_at_once_where_there_is_a_page(lab, caplog):
    ident = lab.propose()
    parts = wire(lab, lab.forge)
    pages.shown_again(parts, ident, lab.view, lab.now)
    assert lab.forge.pull(layout.proposal_ref(ident)) is None, "it would be the reviewer's own"
    shown(lab, ident, lab.forge)
    lab.decide(ident, "alice", "bob")
    pages.shown_again(parts, ident, lab.view, lab.now)
    assert lab.forge.statuses(lab.branch(ident))[-1][0] == "success"
    with lab.forge.down():
        pages.shown_again(parts, ident, lab.view, lab.now)
    assert "does not answer" in caplog.text
    pages.shown_again(wire(lab, PlainForge()), ident, None, lab.now)
