"""`verify`: every step of the walk, what a hostile disk holds, and a report that fits on a screen."""

import io
import json
import os
import shutil
from datetime import timedelta

import pytest
from rich.console import Console

from governance.lab import MAIN, PUBLISHED, TIER, Lab
from governance.test_promote import Quiet, land, land_folder, make
from placet.cli import proof
from placet.cli.output import Output, plain
from placet.core import layout
from placet.engine import rehash
from placet.engine import verify as verifying
from placet.engine.history import Alarm
from placet.engine.verify import verify
from placet.errors import Corrupt, NotFound
from placet.testing import twins

FOLDER = {"a": b"a", "sub/b": b"b"}


def publish(lab, clone):
    """A folder and a file, published; and a clone with all bytes."""
    promoter = make(lab)
    ids = land_folder(lab, promoter, FOLDER), land(lab, promoter, twins.A, "outputs/file.bin")
    assert {one.error for one in promoter.run()} == {None}
    check_out(lab, clone)
    base = clone / "artifacts/site-b/outputs"
    (base / "file.bin").write_bytes(twins.A)
    for name, data in FOLDER.items():
        (base / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "folder" / name).write_bytes(data)
    return ids


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """One Ctrl repository that no test changes, and its clone."""
    folder = tmp_path_factory.mktemp("stage")
    made = Lab.make(folder)
    yield made, publish(made, folder / "clone"), folder / "clone"
    made.repo.close()


@pytest.fixture
def lab(stage):
    return stage[0]


@pytest.fixture
def published(stage, tmp_path):
    """A clone of this test's own."""
    shutil.copytree(stage[2], tmp_path / "clone")
    return tmp_path / "clone", stage[1]


@pytest.fixture
def own(tmp_path):
    """A Ctrl repository of this test's own: the repository, the clone, the ids."""
    made = Lab.make(tmp_path)
    ids = publish(made, tmp_path / "clone")
    yield made, tmp_path / "clone", ids
    made.repo.close()


def check_out(lab, clone, ref=PUBLISHED):
    for path, entry in lab.repo.tree(lab.tip(ref)).items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_bytes(lab.repo.read(entry.blob, 1 << 20))


def report(lab, root=None, targets=(), **kwargs):
    return verify(
        lab.view(), tier=TIER, root=root, targets=targets, now=lab.now, jobs=2, progress=Quiet(), **kwargs
    )


def test_every_step_is_told_and_true(lab, published):
    clone, _ = published
    found = report(lab, clone)
    assert found.ok
    assert [step.name for step in found.steps] == [
        "bytes", "digest lists", "manifests", "decisions", "effective policy", "policy chain", "trust root",
        "receipts", "ledger", "published branch",
    ]  # fmt: skip
    assert {step.ok for step in found.steps} == {True}
    text = {step.name: step.text for step in found.steps}
    assert text["bytes"] == "2 verified, 0 not pulled, 0 WRONG"
    assert text["decisions"] == "4; approved by alice, bob"
    assert lab.trust_root in text["trust root"]
    assert text["ledger"].startswith("3 ledger entries")


def test_the_json_is_complete(lab, published):
    clone, ids = published
    value = json.loads(json.dumps(plain(report(lab, clone))))
    (one,) = [one for one in value["artifacts"] if one["directory"]]
    case = lab.view().find(ids[0])
    assert (one["proposal"], one["manifest"]) == (ids[0], case.manifest.digest)
    assert sorted(one["decisions"]) == sorted(each.decision.digest for each in case.decisions)
    assert one["receipt"] == lab.view().publications[TIER].publications[ids[0]].receipt.digest
    assert value["ok"] is True
    assert (value["trust_root"], value["repository"], value["pinned"]) == (
        lab.trust_root,
        "ab" * 16,
        "settings",
    )
    assert value["commit"] == lab.tip(PUBLISHED)


def test_the_other_twin_has_the_same_md5_and_is_found(lab, published, monkeypatch):
    """Threat 2 on the researcher's disk: DVC with `verify` takes it."""
    clone, _ = published
    (clone / "artifacts/site-b/outputs/file.bin").write_bytes(twins.B)
    found = report(lab, clone)
    assert found.problems == ("artifacts/site-b/outputs/file.bin: its bytes are not the approved ones",)
    assert found.steps[0].ok is False
    monkeypatch.setattr(verifying, "check_data", lambda *_: "")
    assert report(lab, clone).ok


def links(base):
    (base / "folder" / "more").symlink_to("/etc")


def fifo(base):
    (base / "folder" / "a").unlink()
    os.mkfifo(base / "folder" / "a")


def folder_for_file(base):
    (base / "file.bin").unlink()
    (base / "file.bin").mkdir()


def file_for_folder(base):
    (base / "folder").rename(base.parent.parent.parent / "away")
    (base / "folder").write_bytes(b"x")


def many_more(base):
    for number in range(50):
        (base / "folder" / f"more-{number}").write_bytes(b"")


def less(base):
    (base / "folder" / "a").unlink()


@pytest.mark.parametrize("change", [links, fifo, folder_for_file, file_for_folder, many_more, less])
def test_a_hostile_disk(lab, published, change):
    clone, _ = published
    change(clone / "artifacts/site-b/outputs")
    found = report(lab, clone)
    assert len(found.problems) == 1
    assert found.steps[0].text.endswith("1 WRONG")


def test_what_nobody_published_is_named(lab, published, monkeypatch):
    clone, _ = published
    base = clone / "artifacts/site-b/outputs"
    (base / "left.csv").write_bytes(b"left over")
    assert report(lab, clone).ok
    assert report(lab, clone).strays == ("artifacts/site-b/outputs/left.csv",)
    (base / "evil.csv.dvc").write_bytes(b"outs: []")
    assert report(lab, clone).problems == (
        "artifacts/site-b/outputs/evil.csv.dvc: nobody published this .dvc file",
    )
    monkeypatch.setattr(verifying, "strays", lambda *_: ([], []))
    assert report(lab, clone).ok


def test_a_work_tree_on_main_may_hold_what_is_not_published_yet(own):
    lab, clone, _ = own
    lab.landed("outputs/new.csv", b"new", node="site-a")
    check_out(lab, clone, MAIN)
    assert report(lab, clone).ok
    path = clone / layout.metafile("site-a", "outputs/new.csv")
    path.write_bytes(path.read_bytes() + b"#\n")
    assert not report(lab, clone).ok


@pytest.mark.parametrize("data", [b"x" * (1 << 17), None])
def test_a_metafile_that_is_not_the_approved_one(lab, published, data, monkeypatch):
    clone, _ = published
    path = clone / layout.metafile("site-b", "outputs/file.bin")
    path.write_bytes(data) if data else path.unlink()
    assert "its .dvc file in the work tree is not the approved one" in report(lab, clone).problems[0]
    monkeypatch.setattr(verifying, "metafile_problem", lambda *_: "")
    assert report(lab, clone).ok


def test_targets(lab, published):
    clone, ids = published
    for target, count in (
        (ids[0][:6], 1), ("artifacts", 2), ("artifacts/site-b/outputs/folder", 1),
        ("artifacts/site-b/outputs/folder.dvc", 1), ("artifacts/site-b/outputs/", 2),
    ):  # fmt: skip
        assert len(report(lab, clone, [target]).artifacts) == count
    for target in ("artifacts/site-b/outputs/fol", ids[0][:3], "f" * 32):
        with pytest.raises(NotFound) as caught:
            report(lab, clone, [target])
        assert caught.value.kind == "not-published"


def test_what_was_superseded_is_told_by_its_id(own):
    lab, clone, ids = own
    promoter = make(lab)
    land(lab, promoter, b"two", "outputs/file.bin")
    assert promoter.run()[0].error is None
    (one,) = report(lab, clone, [ids[1]]).artifacts
    assert (one.data, one.problem) == ("superseded", "")


def test_a_branch_that_does_not_recompute_is_no_report(own):
    lab, _, _ = own
    lab.force(PUBLISHED, lab.commit(lab.tip(PUBLISHED), {"x": b"x"}))
    with pytest.raises(Corrupt) as caught:
        report(lab)
    assert caught.value.details["valid_entries"] == 3


@pytest.fixture
def short_lived(tmp_path):
    lab = Lab.make(
        tmp_path,
        ('endpointurl: "http://127.0.0.1:1"}', 'endpointurl: "http://127.0.0.1:1", max_age_days: 3}'),
    )
    yield lab
    lab.repo.close()


def test_age(short_lived, monkeypatch):
    lab = short_lived
    lab.later(days=4)
    assert report(lab).problems == ("the newest entry is older than 3 days: this may be an old state",)
    assert "4 days; newest entry 2026-11-24T10:00:00Z; limit 3 days" in screen(report(lab))
    monkeypatch.setattr(verifying, "too_old", lambda *_: [])
    assert report(lab).ok


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        ({"seconds": 9}, "9 s"),
        ({"minutes": 5}, "5 minutes"),
        ({"hours": 30}, "30 hours"),
        ({"days": 400}, "400 days"),
    ],
)
def test_ages_for_a_person(delta, words):
    assert proof.age(int(timedelta(**delta).total_seconds())) == words


def screen(found, *, verbose=False):
    out = io.StringIO()
    before, proof.output = proof.output, Output()
    proof.output.verbose = verbose
    try:
        proof._report(found, Console(file=out, width=80, force_terminal=True, color_system=None))
    finally:
        proof.output = before
    return out.getvalue()


@pytest.mark.parametrize("wrong", [0, 1, 40])
def test_it_fits_on_one_screen_however_many_there_are(lab, published, wrong):
    clone, _ = published
    found = report(lab, clone)
    many = [found.artifacts[0]] * 400
    problems = [
        f"artifacts/site-b/{'long/' * 30}{number}: its bytes are not the approved ones"
        for number in range(wrong)
    ]
    view = lab.view()
    alarms = [f"the record {'x' * 90} was changed or removed"] * 30
    view.alarms += [Alarm("", text) for text in alarms]
    told = verifying.report(
        view, view.publications[TIER], many, problems, now=lab.now, pinned="none", strays=["x"]
    )
    text = screen(told)
    lines = text.splitlines()
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    assert ("NOT verified." in text) == bool(wrong)
    assert ("35 more" in text) == (wrong == 40)
    full = screen(told, verbose=True)
    assert full.count("not the approved ones") == wrong
    assert full.count("  entry ") >= 400


def test_a_folder_is_not_read_beyond_what_was_approved(tmp_path):
    for number in range(10):
        (tmp_path / str(number)).write_bytes(b"x")
    assert rehash.folder_hash(tmp_path, 3, rehash.Reading(1, Quiet())) == ("", 4)
