"""Bundles: one file proves a publication, on a machine with neither repository, network nor Git; and checkpoints."""

import base64
import json

import jsonschema
import msgspec
import pytest

from governance.lab import ENV, MAIN, TIER, Lab, Memory
from governance.test_promote import Quiet, hold, land, land_folder, make
from keys import Key
from placet.adapters.git import GitRepo
from placet.core import bundle as form
from placet.core import layout
from placet.core import ledger as rules
from placet.core.bundle import MAX_BUNDLE, decode_bundle, encode_bundle
from placet.core.digest import sha256_hex
from placet.core.statement import Signed, subject
from placet.core.sums import encode_sums
from placet.engine import bundle as bundling
from placet.engine import checkpoint as checkpoints
from placet.engine import promote, published
from placet.engine.checkpoint import compare, make_checkpoint
from placet.engine.ctrl import load
from placet.errors import Corrupt, Invalid, NotFound, Refused
from placet.testing import twins
from placet.wire import proof

FILES = {"a": b"a", "sub/b": b"b"}


def sums(files=FILES):
    return encode_sums((name, sha256_hex(data)) for name, data in files.items())


class Wire:
    """What bundles need of a party: settings, a memory, nobody's repository."""

    class settings:  # noqa: N801
        key = None
        trust_root = None
        jobs = 2

    @property
    def workspace(self):
        raise NotFound("no DVC project", kind="no-dvc")

    def __init__(self):
        self.memory = Memory()
        self.progress = Quiet()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A policy change between two publications, so that the chain has a link; one of them superseded."""
    lab = Lab.make(tmp_path_factory.mktemp("stage"))
    promoter = make(lab)
    old = land(lab, promoter, b"old", "outputs/file")
    promoter.run()
    lab.change_policy(("expires_days: 30", "expires_days: 20"))
    folder = land_folder(lab, promoter, FILES)
    new = land(lab, promoter, twins.A, "outputs/file")
    assert {one.error for one in promoter.run()} == {None}
    lab.landed("outputs/waiting", b"not published", node="site-a")
    yield lab, {"old": old, "folder": folder, "new": new}
    lab.repo.close()


@pytest.fixture
def lab(stage):
    return stage[0]


def made(stage, which, signer=None):
    lab, ids = stage
    view = lab.view()
    publication = view.publications[TIER]
    own = make_checkpoint(view, publication, Key(signer), lab.now) if signer else None
    found = bundling.make_bundle(view, publication.publications[ids[which]], TIER, lambda *_: sums(), own)
    return encode_bundle(found.bundle)


def judge(lab, data, *paths, root=True, wire=None):
    return proof.judge(wire or Wire(), data, paths, lab.trust_root if root else None, lab.now)


def test_it_proves_a_folder_and_single_files_of_it(stage, tmp_path):
    lab, ids = stage
    data = made(stage, "folder", "alice")
    for name, content in FILES.items():
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_bytes(content)
    found = judge(lab, data, tmp_path / "x")
    assert found.ok
    (one,) = found.artifacts
    assert (one.data, one.proposal, one.policy) == ("verified", ids["folder"], 1)
    assert one.approvals == ("alice (bytes)", "bob (bytes)")
    assert [step.ok for step in found.steps] == [True] * 10
    assert found.entries == 5
    member = judge(lab, data, tmp_path / "x/sub/b")
    assert member.ok
    assert member.artifacts[0].data == "not-pulled"
    (tmp_path / "other").write_bytes(b"other")
    for wrong in (tmp_path / "other", tmp_path / "none"):
        assert not judge(lab, data, tmp_path / "x", wrong).ok
    (tmp_path / "x" / "more").write_bytes(b"")
    assert "its 3 files are not what was approved" in judge(lab, data, tmp_path / "x").problems[0]


def test_it_knows_bytes_by_content_not_by_name_or_md5(stage, tmp_path):
    data = made(stage, "new")
    (tmp_path / "renamed").write_bytes(twins.A)
    (tmp_path / "file").write_bytes(twins.B)
    assert judge(stage[0], data, tmp_path / "renamed").ok
    assert not judge(stage[0], data, tmp_path / "file").ok


def test_it_says_what_it_cannot_prove(stage):
    lab, _ = stage
    with_it = judge(lab, made(stage, "old", "alice"))
    assert with_it.ok
    text = " ".join(with_it.limits)
    assert "A later publication stands in its place." in text
    assert "NOT shown: what came after 2026-11-24T10:00:00Z" in text
    assert "site-b's signature of ledger entry 4 and the checkpoint of alice" in text
    assert "checkpoint" not in " ".join(judge(lab, made(stage, "new")).limits)


def test_a_trust_root_comes_from_elsewhere_or_proves_nothing(stage, monkeypatch):
    data = made(stage, "new")
    found = judge(stage[0], data, root=False)
    assert not found.ok
    assert (found.pinned, stage[0].trust_root in found.problems[0]) == ("none", True)
    with pytest.raises(Corrupt) as caught:
        proof.judge(Wire(), data, (), "sha256:" + "0" * 64, stage[0].now)
    assert caught.value.kind == "trust-root"
    with pytest.raises(Invalid):
        proof.judge(Wire(), data, (), "0" * 63, stage[0].now)
    monkeypatch.setattr(bundling, "unpinned", lambda *_: [])
    assert judge(stage[0], data, root=False).ok


def test_the_same_state_is_the_same_bytes(stage, tmp_path):
    """Also from another party's copy of the repository; only a checkpoint differs."""
    lab, ids = stage
    one = made(stage, "new")
    copy = GitRepo.cache(tmp_path / "copy.git", str(lab.folder / "ctrl.git"), ENV)
    view = load(copy, lab.trust_root, lab.now)
    again = view.publications[TIER].publications[ids["new"]]
    assert encode_bundle(bundling.make_bundle(view, again, TIER, lambda *_: None, None).bundle) == one
    copy.close()
    assert {**json.loads(made(stage, "new", "alice")), "checkpoint": None} == json.loads(one)
    assert len(one) < 100_000


def test_what_landed_after_the_last_publication_is_not_in_it(stage):
    lab, _ = stage
    value = json.loads(made(stage, "new"))
    blobs = {case.blob: case.landed for case in lab.view().history.cases.values()}
    kept = {blob for blob in blobs if blob in value["blobs"]}
    assert len(blobs) - len(kept) == 1
    paths = {change[0] for one in value["main"] for change in one["changes"]}
    assert layout.metafile("site-a", "outputs/waiting") not in paths


def test_it_fits_its_schema(stage):
    value = json.loads(made(stage, "folder", "alice"))
    jsonschema.validate(value, form.schema())
    for wrong in ({**value, "more": 1}, {**value, "format": "urn:placet:bundle:v2"}, {**value, "main": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, form.schema())
        with pytest.raises(Invalid):
            decode_bundle(json.dumps(wrong, sort_keys=True, separators=(",", ":")).encode() + b"\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b'":', b'": ', 1),
        lambda data: b"{" + data[1:-2] + b',"format":"urn:placet:bundle:v1"}\n',
        lambda data: b"[" * 100_000,
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff",
        lambda data: b"x" * (MAX_BUNDLE + 1),
    ],
    ids=["no end", "two ends", "spaces", "a key twice", "deep", "half", "not UTF-8", "too large"],
)
def test_only_the_canonical_form_is_read(stage, change):
    with pytest.raises(Invalid) as caught:
        decode_bundle(change(made(stage, "new")))
    assert caught.value.kind == "bundle"


def edited(data, edit):
    value = json.loads(data)
    edit(value)
    return (json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def drop_blob(value):
    del value["blobs"][sorted(value["blobs"])[3]]


def other_blob(value):
    value["blobs"][sorted(value["blobs"])[3]] = base64.b64encode(b"x").decode()


def drop_commit(value):
    del value["main"][3]


def cut_branch(value):
    """An older state: the file says it is of the newer tip."""
    value["branch"].pop()


def swap_commits(value):
    value["main"][2], value["main"][3] = value["main"][3], value["main"][2]


def hide_change(value):
    value["main"][3]["changes"] = value["main"][3]["changes"][1:]


def another_list(value):
    value["lists"] = dict.fromkeys(value["lists"], "0" * 64 + "  a\n")


def another_proposal(value):
    value["proposal"] = "0" * 32


def another_tip(value):
    value["published"] = "0" * 40


def other_tier(value):
    value["tier"] = "other"


def forged_checkpoint(value):
    envelope = json.loads(base64.b64decode(value["checkpoint"]))
    envelope["signatures"][0]["sig"] = base64.b64encode(b"x" * 64).decode()
    value["checkpoint"] = base64.b64encode(json.dumps(envelope).encode()).decode()


EDITS = [
    drop_blob, other_blob, drop_commit, cut_branch, swap_commits, hide_change, another_list, another_proposal,
    another_tip, other_tier, forged_checkpoint,
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_a_bundle_that_somebody_changed_proves_nothing(stage, edit):
    data = edited(made(stage, "folder", "alice"), edit)
    if edit is forged_checkpoint:
        assert "signed by nobody" in judge(stage[0], data).problems[0]
        return
    with pytest.raises(Corrupt) as caught:
        judge(stage[0], data)
    assert caught.value.exit_code == 13


def test_every_commit_and_blob_of_it_is_needed(stage):
    """None can be left out, and none be put in another's place, without its being found."""
    data = made(stage, "folder")
    value = json.loads(data)
    for key in value["blobs"]:
        with pytest.raises(Corrupt):
            judge(stage[0], edited(data, lambda one, key=key: one["blobs"].pop(key)))
    for name in ("main", "branch"):
        for index in range(len(value[name])):
            with pytest.raises(Corrupt):
                judge(stage[0], edited(data, lambda one, name=name, index=index: one[name].pop(index)))


def test_a_whole_other_history_with_the_same_policy_is_no_proof_without_its_people(tmp_path):
    """Whoever has the node's key can sign receipts and entries, but no approvals."""
    lab = Lab.make(tmp_path)
    promoter = make(lab)
    ident = lab.decide(lab.propose(), "alice")
    hold(promoter.source, b"a,b\n1,2\n")
    lab.force(MAIN, lab.commit(lab.tip(), lab.repo.tree(lab.branch(ident))))
    with pytest.MonkeyPatch.context() as patch:
        for module in (promote, published):
            patch.setattr(module, "publish_problem", lambda *_: "")
        assert promoter.run([ident])[0].error is None
        view = lab.view()
        data = encode_bundle(
            bundling.make_bundle(
                view, view.publications[TIER].publications[ident], TIER, lambda *_: None, None
            ).bundle
        )
        assert judge(lab, data).ok
    with pytest.raises(Corrupt, match="QUARANTINED"):
        judge(lab, data)
    lab.repo.close()


def test_two_bundles_of_two_histories_are_found_by_who_saw_both(stage, tmp_path):
    wire = Wire()
    assert judge(stage[0], made(stage, "new"), wire=wire).ok
    fork = Lab.make(tmp_path)
    promoter = make(fork)
    for number in range(4):
        last = land(fork, promoter, bytes([number]), f"outputs/{number}")
    promoter.run()
    data = made((fork, {"last": last}), "last")
    assert judge(fork, data).ok
    with pytest.raises(Corrupt) as caught:
        judge(fork, data, wire=wire)
    assert caught.value.kind == "rolled-back"
    fork.repo.close()


def test_a_list_that_cannot_be_read_is_left_out_and_said(stage):
    lab, ids = stage
    view = lab.view()
    one = view.publications[TIER].publications[ids["folder"]]
    for lie in (None, b"x  y\n"):
        found = bundling.make_bundle(view, one, TIER, lambda *_, lie=lie: lie, None)
        assert found.without_list == ("outputs/folder",)
        assert found.bundle.lists == {}
        assert judge(lab, encode_bundle(found.bundle)).ok


def test_what_is_not_published_has_no_bundle(stage):
    lab, _ = stage
    wire = Wire()
    waiting = next(one.id for one in lab.view().history.cases.values() if one.manifest.body.node == "site-a")
    with pytest.raises(NotFound) as caught:
        proof.bundle(wire, lab.view(), waiting, lab.now, sign=False)
    assert caught.value.kind == "not-published"


def test_a_bundle_is_made_of_an_old_state_too_and_says_its_age_when_it_is_read(tmp_path):
    place = 'endpointurl: "http://127.0.0.1:1"'
    lab = Lab.make(tmp_path, (place, f"{place}, max_age_days: 3"))
    promoter = make(lab)
    ident = land(lab, promoter)
    promoter.run()
    lab.later(days=9)
    data, made_of = proof.bundle(Wire(), lab.view(), ident[:8], lab.now, sign=True)
    assert (made_of.entries, made_of.checkpoint_by) == (2, ())
    assert judge(lab, data).problems == ("the newest entry is older than 3 days: this may be an old state",)
    lab.repo.close()


def test_a_list_or_a_checkpoint_of_something_else_is_what_the_guards_refuse(stage, monkeypatch):
    data = edited(made(stage, "folder", "alice"), another_list)
    with pytest.raises(Corrupt):
        judge(stage[0], data)
    monkeypatch.setattr(bundling, "is_list", lambda *_: True)
    assert judge(stage[0], data).ok
    forged = edited(made(stage, "folder", "alice"), forged_checkpoint)
    assert "signed by nobody" in judge(stage[0], forged).problems[0]
    monkeypatch.setattr(bundling, "checkpoint_problem", lambda *_: [])
    assert judge(stage[0], forged).ok


# --- checkpoints -----------------------------------------------------------------------------------


def checkpoint(lab, who="alice", **changes):
    view = lab.view()
    real = make_checkpoint(view, view.publications[TIER], Key(who), lab.now)
    body = msgspec.structs.replace(real.body, **changes)
    if "sequence" in changes and "entry" not in changes:
        body = msgspec.structs.replace(body, entry=view.publications[TIER].entries[body.sequence].digest)
    about = subject(layout.ledger_path(body.sequence), body.entry)
    return Signed.make((about,), body, Key(who).pair).envelope.to_bytes()


def test_checkpoints_of_one_history(lab):
    view = lab.view()
    found = compare(view, {"a": checkpoint(lab), "b": checkpoint(lab, "site-a")})
    assert (found.verdict, found.ok) == ("same", True)
    assert [one.by for one in found.checkpoints] == [("alice",), ("node site-a",)]
    found = compare(view, {"a": checkpoint(lab), "b": checkpoint(lab, "bob", sequence=1)})
    assert (found.verdict, found.ok) == ("consistent", True)
    found = compare(view, {"a": checkpoint(lab), "b": checkpoint(lab, sequence=99, entry="0" * 64)})
    assert (found.verdict, found.ok) == ("ahead", False)


def test_two_files_prove_a_fork_by_themselves(lab, monkeypatch):
    """Even where the ledger at hand reaches to neither."""
    files = {
        "a": checkpoint(lab, "alice", sequence=99, entry="0" * 64),
        "b": checkpoint(lab, "bob", sequence=99, entry="1" * 64),
    }
    found = compare(lab.view(), files)
    assert (found.verdict, found.ok) == ("fork", False)
    assert "the files alone prove it" in found.proofs[0]
    monkeypatch.setattr(checkpoints, "contradict", lambda *_: False)
    assert compare(lab.view(), files).verdict == "ahead"
    assert not rules.contradict(*(checkpoints.read_checkpoint(files["a"]).body,) * 2)


def test_one_file_proves_a_fork_against_the_ledger_here(lab):
    found = compare(lab.view(), {"a": checkpoint(lab, sequence=2, entry="0" * 64)})
    assert found.verdict == "fork"
    assert "than the ledger here" in found.proofs[0]


def test_whose_signature_it_is_matters(lab, monkeypatch):
    view = lab.view()
    with pytest.raises(Corrupt) as caught:
        compare(view, {"a": checkpoint(lab, "alice"), "b": _unsigned(lab)})
    assert caught.value.kind == "checkpoint-signature"
    with pytest.raises(Refused) as unknown:
        make_checkpoint(view, view.publications[TIER], Key("mallory"), lab.now)
    assert unknown.value.kind == "unknown-key"
    monkeypatch.setattr(checkpoints, "signers", lambda *_: ("anybody",))
    assert compare(view, {"b": _unsigned(lab)}).ok


def _unsigned(lab):
    real = checkpoints.read_checkpoint(checkpoint(lab))
    return Signed.make(real.subjects, real.body, Key("mallory").pair).envelope.to_bytes()


@pytest.mark.parametrize(
    "changes", [{"repository": "cd" * 16}, {"branch": "published-other"}], ids=["repository", "branch"]
)
def test_checkpoints_of_something_else_are_not_compared(lab, changes):
    with pytest.raises(Invalid) as caught:
        compare(lab.view(), {"a": checkpoint(lab, **changes), "b": checkpoint(lab)})
    assert caught.value.kind == "checkpoint"


def test_a_checkpoint_names_its_own_entry(lab):
    real = checkpoints.read_checkpoint(checkpoint(lab))
    about = (subject(layout.ledger_path(0), real.body.entry),)
    with pytest.raises(Invalid):
        checkpoints.read_checkpoint(Signed.make(about, real.body, Key("alice").pair).envelope.to_bytes())
