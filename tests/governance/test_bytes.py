"""Bytes, not names (I1, I2): twins, statements whose envelopes change and whose payloads do not, one proposal a content."""

import base64
import json
from dataclasses import replace

import msgspec
import pytest
from dvc.repo import Repo

from governance.lab import MAIN, PUBLISHED, TIER
from governance.test_promote import hold, land, land_folder, make
from keys import Key
from placet import governed
from placet.client import Client
from placet.config import Settings
from placet.core import envelope as dsse
from placet.core import layout
from placet.core.digest import digest
from placet.core.dvcfile import Output, encode_metafile
from placet.core.predicates import Decision, Manifest
from placet.core.provenance import Provenance
from placet.core.statement import Signed, parse
from placet.engine import ctrl, gate, history, promote, propose, published
from placet.errors import Conflict, Corrupt, Invalid, Refused
from placet.ports import RefUpdate
from placet.testing import twins

GUARDED = (propose, gate, history, ctrl, promote)


def unguarded(monkeypatch, *modules):
    for module in modules:
        monkeypatch.setattr(module, "refuse_twins", lambda *_: None)


def candidate(path, data):
    found = digest(data)
    out = Output(path=path.rsplit("/", 1)[-1], md5=found.md5, size=found.size)
    return propose.Candidate(path, found.md5, found.sha256, found.size, 1, encode_metafile(out))


def test_two_twins_in_one_proposal_are_refused_when_proposed_and_when_read(lab, monkeypatch):
    def try_it():
        both = [candidate("outputs/a", twins.A), candidate("outputs/b", twins.B)]
        return propose.propose(
            lab.view(), both, Key("site-b"), node="site-b", tier=TIER, message="m", checks=[],
            provenance=Provenance(), now=lab.now,
        ).id  # fmt: skip

    with pytest.raises(Corrupt, match="TWIN") as caught:
        try_it()
    assert caught.value.kind == "md5-twin"
    assert lab.view().branches == {}
    unguarded(monkeypatch, *GUARDED)
    ident = try_it()
    assert ident in lab.view().open
    monkeypatch.undo()
    view = lab.view()
    assert ident not in view.open
    assert any("TWIN" in alarm.text for alarm in view.alarms)


def landed_first(lab):
    lab.landed("outputs/a", twins.A)


def open_first(lab):
    lab.propose("outputs/a", twins.A)


def closed_first(lab):
    ident = lab.propose("outputs/a", twins.A)
    branch = lab.branch(ident)
    moves = [
        RefUpdate(layout.closed_ref(ident), None, branch),
        RefUpdate(layout.proposal_ref(ident), branch, None),
    ]
    lab.repo.push(moves)


@pytest.mark.parametrize("first", [landed_first, open_first, closed_first])
def test_a_twin_of_whatever_was_proposed_before_is_refused_by_its_node_and_by_the_gate(
    lab, first, monkeypatch
):
    first(lab)
    with pytest.raises(Corrupt, match="TWIN"):
        lab.propose("outputs/b", twins.B, node="site-a")
    unguarded(monkeypatch, propose)
    ident = lab.propose("outputs/b", twins.B, node="site-a")
    ref = layout.proposal_ref(ident)
    update = RefUpdate(ref, None, lab.branch(ident))
    lab.drop(ref)
    lab.repo.fetch()
    with pytest.raises(Refused, match="TWIN") as caught:
        lab.judge(update)
    assert caught.value.kind == "push-refused"
    lab.force(ref, update.new)
    if first is not closed_first:
        view = lab.view()
        assert ident not in view.open
        assert any(ident in alarm.text and "TWIN" in alarm.text for alarm in view.alarms)
    unguarded(monkeypatch, *GUARDED)
    lab.drop(ref)
    lab.repo.fetch()
    lab.judge(update)


def test_a_twin_that_lands_past_every_gate_is_no_proposal_and_is_not_published(lab, monkeypatch):
    promoter = make(lab)
    land(lab, promoter, twins.A, "outputs/a")
    promoter.run()
    unguarded(monkeypatch, *GUARDED)
    ident = land(lab, promoter, twins.B, "outputs/b")
    monkeypatch.undo()
    view = lab.view()
    assert ident not in view.cases()
    assert any("TWIN" in alarm.text for alarm in view.alarms)
    assert promoter.run() == []
    unguarded(monkeypatch, *GUARDED)
    (done,) = replace(promoter).run()
    assert isinstance(done.error, Corrupt), "the tier holds the other twin: the promoter's own comparison"


def test_twins_that_land_in_one_commit(lab, monkeypatch):
    unguarded(monkeypatch, *GUARDED)
    idents = [lab.propose("outputs/a", twins.A), lab.propose("outputs/b", twins.B)]
    files = {}
    for ident in idents:
        lab.decide(ident, "alice", "bob")
        files |= lab.repo.tree(lab.branch(ident))
    monkeypatch.undo()
    lab.force(MAIN, lab.commit(lab.tip(), files))
    view = lab.view()
    assert [ident in view.cases() for ident in sorted(idents)] == [True, False]
    assert any("TWIN" in alarm.text for alarm in view.alarms)


def test_a_twin_inside_a_directory_is_found_before_it_is_copied(lab, monkeypatch):
    """Its manifest names the directory only; the digest list tells of the member."""
    promoter = make(lab)
    lab.landed("outputs/a", twins.A)
    ident = land_folder(lab, promoter, {"member": twins.B, "other": b"x"})
    (done,) = promoter.run([ident])
    assert (type(done.error), done.error.kind) == (Corrupt, "md5-twin")
    unguarded(monkeypatch, promote)
    assert promoter.run([ident])[0].error is None


def test_proposing_the_same_at_once_is_one_proposal(lab):
    """Whoever comes second is told to look again, and finds the other's."""
    before = lab.view()
    first = lab.propose(data=b"same")
    with pytest.raises(Conflict) as caught:
        propose.propose(
            before, [candidate("outputs/a.csv", b"same")], Key("site-b"), node="site-b", tier=TIER, message="again",
            checks=[], provenance=Provenance(), now=lab.now,
        )  # fmt: skip
    assert caught.value.kind == "ref-moved"
    assert lab.propose(data=b"same", message="again") == first
    assert list(lab.view().open) == [first]


def test_a_twin_inside_a_directory_is_found_before_its_node_pushes_anything(lab, tmp_path, monkeypatch):
    lab.landed("outputs/a", twins.A, node="site-a")
    work = tmp_path / "work"
    (work / "outputs/folder").mkdir(parents=True)
    (work / "outputs/folder/member").write_bytes(twins.B)
    Repo.init(str(work), no_scm=True).close()
    (work / ".dvc/config").write_text(
        f"[core]\n    no_scm = true\n    remote = internal\n['remote \"internal\"']\n    url = {tmp_path}/tier\n"
    )
    settings = Settings(
        root=work,
        home=tmp_path / "home",
        node="site-b",
        ctrl=str(lab.folder / "ctrl.git"),
        trust_root=lab.trust_root,
    )
    monkeypatch.chdir(work)
    with Client(work, settings=settings) as node:
        node._wire.clock, node._wire.signer = lab.clock, lambda: Key("site-b")
        with pytest.raises(Corrupt, match="TWIN") as caught:
            node.propose(["outputs/folder"], message="m")
        assert caught.value.kind == "md5-twin"
        assert not (tmp_path / "tier").exists()
        monkeypatch.setattr(governed, "refuse_twins", lambda *_: None)
        assert node.propose(["outputs/folder"], message="m").created


# --- envelopes are malleable, payload digests are not ----------------------------------------------


def fields(data):
    return json.loads(data)


def compact(data):
    return json.dumps(fields(data), separators=(",", ":")).encode()


def reordered(data):
    return json.dumps(dict(reversed(fields(data).items())), indent=4).encode()


def foreign_signature(data):
    value = fields(data)
    payload = base64.b64decode(value["payload"])
    more = dsse.sign(payload, Key("mallory").pair).signatures[0]
    value["signatures"].append({"keyid": more.keyid, "sig": base64.b64encode(more.sig).decode()})
    return json.dumps(value).encode()


def garbage_signature(data):
    value = fields(data)
    value["signatures"].insert(0, {"keyid": value["signatures"][0]["keyid"], "sig": "AAAA"})
    return json.dumps(value).encode()


def escaped(data):
    return data.replace(b'"payload"', b'"pay\\u006coad"')


def urlsafe(data):
    value = fields(data)
    value["payload"] = base64.urlsafe_b64encode(base64.b64decode(value["payload"]) + b"").decode().rstrip("=")
    return json.dumps(value).encode()


def broken_lines(data):
    value = fields(data)
    value["payload"] = base64.encodebytes(base64.b64decode(value["payload"])).decode()
    return json.dumps(value).encode()


def another_key(data):
    return json.dumps({**fields(data), "more": 1}).encode()


def twice(data):
    return data.rstrip()[:-1] + b',"payload":"e30="}'


def many_signatures(data):
    value = fields(data)
    value["signatures"] *= 20
    return json.dumps(value).encode()


SAME = [compact, reordered, foreign_signature, garbage_signature, escaped]
REFUSED = [urlsafe, broken_lines, another_key, twice, many_signatures]


def rewrite(lab, ident, path, data):
    """The branch made anew, as if this file had never been another one: only its bytes can be refused."""
    main = lab.repo.tree(lab.tip())
    own = {name: one for name, one in lab.repo.tree(lab.branch(ident)).items() if main.get(name) != one}
    lab.force(layout.proposal_ref(ident), lab.commit(lab.tip(), {**own, path: data}))


@pytest.mark.parametrize("change", SAME)
def test_another_envelope_of_the_same_payload_is_the_same_statement(lab, change):
    ident = lab.decide(lab.propose(), "alice", "bob")
    tree = lab.repo.tree(lab.branch(ident))
    path = layout.decision_path(ident, "bob", 1)
    data = lab.repo.read(tree[path].blob, 1 << 21)
    changed = change(data)
    assert changed != data
    assert parse(changed, Decision).digest == parse(data, Decision).digest
    rewrite(lab, ident, path, changed)
    view = lab.view()
    assert str(view.state(view.find(ident), lab.now)) == "APPROVED"
    assert [one.decision.digest for one in view.find(ident).decisions if one.path == path] == [
        parse(data, Decision).digest
    ]


@pytest.mark.parametrize("change", REFUSED)
def test_an_envelope_in_another_form_is_refused(lab, change):
    ident = lab.decide(lab.propose(), "alice", "bob")
    branch = lab.branch(ident)
    path = layout.decision_path(ident, "bob", 1)
    changed = change(lab.repo.read(lab.repo.tree(branch)[path].blob, 1 << 21))
    with pytest.raises(Invalid):
        parse(changed, Decision)
    rewrite(lab, ident, path, changed)
    view = lab.view()
    assert ident not in view.open
    assert any(ident in alarm.text for alarm in view.alarms)


def payload_changed(data, change):
    value = fields(data)
    value["payload"] = base64.b64encode(change(base64.b64decode(value["payload"]))).decode()
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload.replace(b'"approve"', b'"reject"'),
        lambda payload: payload + b"\n",
        lambda payload: json.dumps(json.loads(payload), indent=1).encode(),
        lambda payload: payload.replace(b"because", b"becaus\\u0065"),
    ],
    ids=["verdict", "newline", "spaces", "escape"],
)
def test_another_payload_is_another_statement_even_if_it_says_the_same(lab, change):
    ident = lab.decide(lab.propose(), "alice", "bob")
    branch = lab.branch(ident)
    path = layout.decision_path(ident, "bob", 1)
    changed = payload_changed(lab.repo.read(lab.repo.tree(branch)[path].blob, 1 << 21), change)
    rewrite(lab, ident, path, changed)
    view = lab.view()
    assert ident not in view.open
    assert any("not signed by a key of bob" in alarm.text for alarm in view.alarms)


def test_what_is_published_is_the_very_envelope_that_landed(lab):
    """A re-encoded record on the published branch is another tree than the one that follows."""
    promoter = make(lab)
    ident = land(lab, promoter)
    promoter.run()
    tip = lab.tip(PUBLISHED)
    path = layout.decision_path(ident, "bob", 1)
    line = lab.repo.line(tip)
    again = compact(lab.repo.read(lab.repo.tree(tip)[path].blob, 1 << 21))
    files = {**{one.path: lab.repo.tree(tip)[one.path] for one in line[-1].changes}, path: again}
    evil = lab.commit(line[-2].id, files, line[-1].parents[1], message=f"publish {ident}")
    lab.force(PUBLISHED, evil)
    assert path in str(lab.view().broken[TIER])


# --- statements say exactly what they are about -----------------------------------------------------


def resign(lab, ident, path, kind, key, *, subjects=None, **changes):
    """The same statement with something else in it, signed by its own signer, on the proposal's branch."""
    branch = lab.branch(ident)
    found = parse(lab.repo.read(lab.repo.tree(branch)[path].blob, 1 << 21), kind)
    made = Signed.make(
        subjects or found.subjects, msgspec.structs.replace(found.body, **changes), Key(key).pair
    )
    rewrite(lab, ident, path, made.envelope.to_bytes())
    return lab.view()


@pytest.mark.parametrize(
    "changes",
    [{"manifest": "0" * 64}, {"repository": "cd" * 16}, {"n": 2, "previous": "0" * 64}, {"person": "carol"}],
)
def test_a_decision_about_something_else_counts_for_nothing(lab, changes):
    ident = lab.decide(lab.propose(), "alice", "bob")
    view = resign(lab, ident, layout.decision_path(ident, "bob", 1), Decision, "bob", **changes)
    assert ident not in view.open


def test_a_decision_names_its_manifest_and_nothing_beside(lab):
    ident = lab.decide(lab.propose(), "alice", "bob")
    path = layout.decision_path(ident, "bob", 1)
    (real,) = parse(lab.repo.read(lab.repo.tree(lab.branch(ident))[path].blob, 1 << 21), Decision).subjects
    for subjects in ((real, real), (msgspec.structs.replace(real, name="another"),)):
        assert ident not in resign(lab, ident, path, Decision, "bob", subjects=subjects).open


@pytest.mark.parametrize(
    "lie", [{"artifacts": ()}, {"size": 1}, {"path": "outputs/b"}, {"found": 7}, {"ways": {}}]
)
def test_a_receipt_accounts_for_every_byte(lab, lie, monkeypatch):
    promoter = make(lab)
    land(lab, promoter)
    real = promote.Promoter._receipt

    def lying(self, view, case, tier, promoted):
        if "artifacts" in lie:
            return real(self, view, case, tier, ())
        return real(self, view, case, tier, tuple(msgspec.structs.replace(one, **lie) for one in promoted))

    monkeypatch.setattr(promote.Promoter, "_receipt", lying)
    replace(promoter).run()
    assert "does not account" in str(lab.view().broken[TIER])
    monkeypatch.setattr(published, "_complete", lambda *_: True)
    assert lab.view().broken == {}


def test_the_manifest_that_was_held_is_the_one_proposed(lab):
    """Another payload of a manifest of the same id is no longer the proposal (its digest is what people sign)."""
    promoter = make(lab)
    hold(promoter.source, b"a,b\n1,2\n")
    ident = lab.decide(lab.propose(), "alice", "bob")
    view = resign(lab, ident, layout.manifest_path(ident), Manifest, "site-b", message="other words")
    assert ident not in view.open
    assert any("another manifest" in alarm.text for alarm in view.alarms)
