"""Windows in which nothing is published: by the promoter's clock, the gate's, and the ledger's own times."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from governance.lab import PUBLISHED, TIER, Lab
from governance.test_promote import Quiet, land, make
from keys import POLICY
from placet.core import windows
from placet.core.policy import parse_policy
from placet.core.policyform import Between, Weekly, Window
from placet.core.windows import closed, window_problem
from placet.engine import promotable
from placet.engine.promote import Promoter
from placet.errors import Corrupt, Refused
from placet.ports import RefUpdate

# The clock of the lab stands at 2026-11-24, a Tuesday, 10:00.
XMAS = "between: [{from: 2026-12-24T00:00:00Z, until: 2027-01-02T00:00:00Z}]"
NOON = "weekly: [{days: [tue], from: '12:00', until: '14:00'}]"


def window(times, more=""):
    return ("governance:", f"windows:\n  w: {{reason: the year ends, {times}{more}}}\ngovernance:")


@pytest.fixture
def noon(tmp_path):
    lab = Lab.make(tmp_path, window(NOON))
    yield lab
    lab.repo.close()


@pytest.mark.parametrize(
    ("times", "when", "until"),
    [
        (XMAS, "2026-12-23T23:59:59", None),
        (XMAS, "2026-12-24T00:00:00", "2027-01-02T00:00:00"),
        (XMAS, "2027-01-01T23:59:59", "2027-01-02T00:00:00"),
        (XMAS, "2027-01-02T00:00:00", None),
        ("weekly: [{days: [tue]}]", "2026-11-24T10:00:00", "2026-11-25T00:00:00"),
        ("weekly: [{days: [mon, wed]}]", "2026-11-24T10:00:00", None),
        ("weekly: [{days: [tue, wed]}, {days: [thu], until: '06:00'}]", "2026-11-24T10:00:00", "2026-11-26T06:00:00"),
        ("weekly: [{days: [mon], from: '22:00', until: '11:00'}]", "2026-11-24T10:00:00", "2026-11-24T11:00:00"),
        ("weekly: [{days: [mon], from: '22:00', until: '09:00'}]", "2026-11-24T10:00:00", None),
        ("weekly: [{days: [tue], from: '22:00', until: '12:00'}]", "2026-11-24T10:00:00", None),
        ("weekly: [{days: [sat, sun]}, {days: [fri], from: '18:00'}]", "2026-11-27T18:00:00", "2026-11-30T00:00:00"),
        (f"weekly: [{{days: [wed]}}], {XMAS}", "2026-12-24T12:00:00", "2027-01-02T00:00:00"),
        (f"weekly: [{{days: [sat]}}], {XMAS}", "2026-12-30T12:00:00", "2027-01-03T00:00:00"),
        ("weekly: [{days: [mon, tue, wed, thu, fri, sat, sun]}]", "2026-11-24T10:00:00", "never"),
    ],
)  # fmt: skip
def test_when_a_window_is_closed_and_when_it_ends(times, when, until):
    policy = parse_policy(POLICY.replace(*window(times)).encode())
    found = closed(policy, ["site-a/outputs/x"], TIER, datetime.fromisoformat(when).replace(tzinfo=UTC))
    if until is None:
        assert found == []
    else:
        end = None if until == "never" else datetime.fromisoformat(until).replace(tzinfo=UTC)
        assert [(one.window, one.reason, one.until) for one in found] == [("w", "the year ends", end)]


def test_a_window_until_the_end_of_time():
    span = Between(begin="2026-01-01T00:00:00Z", until="9999-12-31T23:59:59Z")
    odd = Window(reason="x", between=(span,), weekly=(Weekly(days=("fri",)),))
    policy = parse_policy(POLICY.encode())
    policy = replace(policy, form=msgspec.structs.replace(policy.form, windows={"w": odd}))
    assert [one.until for one in closed(policy, ["site-a/x"], TIER, datetime(2026, 11, 25, tzinfo=UTC))] == [
        None
    ]


def test_what_a_window_is_about():
    policy = parse_policy(
        POLICY.replace(*window("weekly: [{days: [tue]}]", ", paths: ['site-a/**'], tiers: [other]"))
        .replace("tiers:\n", 'tiers:\n  other: {url: "s3://o/x"}\n', 1)
        .encode()
    )
    when = datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert closed(policy, ["site-b/x", "site-a/x"], "other", when)
    assert not closed(policy, ["site-a/x"], TIER, when)
    assert not closed(policy, ["site-b/x"], "other", when)


def test_nothing_is_published_in_a_window_and_all_of_it_after(noon):
    promoter = make(noon)
    ident = land(noon, promoter)
    noon.later(hours=2, minutes=30)
    (done,) = promoter.run()
    assert isinstance(done.error, Refused)
    assert done.error.kind == "window"
    assert "until 2026-11-24T14:00:00Z (window w: the year ends)" in done.error.what
    assert list(promoter.targets[TIER].store.list("")) == []
    assert noon.state(ident) == "LANDED"
    noon.later(hours=1, minutes=30)
    assert promoter.run()[0].error is None
    assert noon.view().broken == {}


def test_what_is_not_approved_is_told_before_the_window(noon):
    promoter = make(noon)
    land(noon, promoter)
    noon.later(days=35, hours=3)
    (done,) = promoter.run([next(iter(noon.view().cases()))])
    assert done.error.kind == "not-approved"


def test_a_window_that_begins_while_bytes_are_copied(noon):
    promoter = make(noon)
    land(noon, promoter)

    class Slow(Quiet):
        def done(self):
            noon.later(hours=3)

    (done,) = replace(promoter, progress=Slow()).run()
    assert done.error.kind == "window"
    assert len(noon.view().publications[TIER].entries) == 1


def test_a_window_that_begins_after_the_decision(noon, monkeypatch):
    """The time that the ledger will name is judged once more, before the branch moves."""
    promoter = make(noon)
    land(noon, promoter)
    real = Promoter._receipt

    def slow(self, *arguments):
        noon.later(hours=3)
        return real(self, *arguments)

    monkeypatch.setattr(Promoter, "_receipt", slow)
    (done,) = promoter.run()
    assert done.error.kind == "window"
    noon.later(hours=-3)
    monkeypatch.setattr(promotable, "require_open", lambda *_: None)
    assert promoter.run()[0].error is None
    assert isinstance(noon.view().broken[TIER], Corrupt)


def test_the_gate_has_a_clock_of_its_own(noon):
    """An entry that says it was made before the window is not taken in it."""
    promoter = make(noon)
    land(noon, promoter)
    before = noon.tip(PUBLISHED)
    promoter.run()
    after = noon.tip(PUBLISHED)
    noon.force(PUBLISHED, before)
    noon.repo.fetch()
    noon.later(hours=2, minutes=30)
    with pytest.raises(Refused) as caught:
        noon.judge(RefUpdate(PUBLISHED, before, after))
    assert "By the clock here, nothing is published until 2026-11-24T14:00:00Z" in caught.value.why
    noon.later(hours=2)
    noon.judge(RefUpdate(PUBLISHED, before, after))


def test_what_was_published_in_a_window_is_found_by_everybody(noon, monkeypatch):
    """The guard taken away, an agent publishes; gate, other agents and `verify` say so."""
    promoter = make(noon)
    land(noon, promoter)
    before = noon.tip(PUBLISHED)
    noon.later(hours=2, minutes=30)
    assert promoter.run()[0].error is not None
    monkeypatch.setattr(windows, "window_problem", lambda *_: "")
    assert promoter.run()[0].error is None
    monkeypatch.undo()
    after = noon.tip(PUBLISHED)
    noon.later(hours=2)
    assert "window w" in str(noon.view().broken[TIER])
    noon.force(PUBLISHED, before)
    noon.repo.fetch()
    with pytest.raises(Refused, match="published"):
        noon.judge(RefUpdate(PUBLISHED, before, after))


def test_policies_are_followed_in_a_window_and_the_new_one_decides(noon):
    """A window of the next policy holds what has landed before; without it, publishing goes on."""
    promoter = make(noon)
    first = land(noon, promoter)
    noon.change_policy((NOON, NOON.replace("'12:00'", "'09:00'")))
    (done,) = promoter.run()
    assert done.error.kind == "window"
    assert [entry.body.kind for entry in noon.view().publications[TIER].entries] == ["genesis", "policy"]
    noon.change_policy((NOON.replace("'12:00'", "'09:00'"), NOON))
    assert [one.error for one in promoter.run([first])] == [None]
    assert noon.view().broken == {}


def test_what_takes_back_is_never_held(noon):
    ident = noon.propose()
    manifest = noon.view().find(ident).manifest.body
    when = datetime(2026, 11, 24, 13, tzinfo=UTC)
    policy = noon.view().history.policy
    assert window_problem(policy, manifest, when)
    for kind in ("retract", "policy"):
        assert window_problem(policy, type(manifest)(**{**fields(manifest), "kind": kind}), when) == ""


def fields(body):
    return {name: getattr(body, name) for name in body.__struct_fields__}
