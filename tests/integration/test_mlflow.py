"""The MLflow integration on a real server with SQLite, a Ctrl repository on real Git, tiers on this disk."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from governance.lab import ENV, TIER, Memory
from governance.nodes import Site
from governance.test_promote import Quiet
from keys import Key
from mlflowserver import LIMIT_S, QUIET, server
from placet.client import Client
from placet.core import layout
from placet.core.digest import md5_hex, sha256_hex
from placet.core.location import Location, parse_location
from placet.core.mlflowform import MlflowForm
from placet.engine import copyout
from placet.engine.retract import Retractor
from placet.engine.retractask import propose_retraction
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Refused
from placet.wire import mlflow as wiring

ROOT = Path(__file__).parent.parent.parent
HOWTO = (ROOT / "docs" / "how-to" / "mlflow.md").read_text()
PLACET = str(Path(sys.executable).parent / "placet")
for name, value in QUIET.items():
    os.environ.setdefault(name, value)

import mlflow  # noqa: E402 - it looks at the environment when it is imported
from mlflow import MlflowClient  # noqa: E402
from mlflow.artifacts import download_artifacts  # noqa: E402
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: E402

from placet.adapters import mlflow_server  # noqa: E402
from placet.adapters.mlflow_server import MlflowServer  # noqa: E402
from placet.integrations import mlflow as placet_mlflow  # noqa: E402
from placet.integrations.mlflow_sync import Keeper, sync  # noqa: E402

FORM = MlflowForm()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with server(tmp_path_factory.mktemp("mlflow") / "server") as found:
        yield found


class Town:
    """Node site-b with its workspace, its agent's machine, researchers; and who approves."""

    def __init__(self, folder, address):
        self.site = Site(folder, ("governance:\n", "governance:\n  retract: [trustees]\n"))
        self.lab, self.folder, self.address = self.site.lab, folder, address
        self.node = self.site.machine("node", key=True)
        (self.node / "outputs").mkdir()
        self.server = MlflowClient(address)

    def publish(self, ident):
        self.approve(ident)
        with Client(self.node) as client:
            (done,) = client.promote([ident])
        assert (done.error, str(done.state)) == (None, "PUBLISHED")

    def approve(self, ident):
        self.lab.decide(ident, "alice", "bob")
        self.lab.merge(ident)

    def retract(self, target):
        ident = propose_retraction(
            self.lab.view(), target, Key("dana"), node=None, person="dana", tier=TIER, reason="a name",
            emergency=False, now=self.lab.now,
        ).id  # fmt: skip
        self.lab.merge(ident)
        retractor = Retractor(
            self.lab.repo, self.lab.trust_root, Memory(), self.lab.clock, Key("dana"), "dana", {}, 4, Quiet()
        )
        retractor.run([ident])

    def sync(self, **more):
        with Client(self.node) as client:
            return sync(client, MlflowServer(self.server), FORM, **more)

    def set(self, text):
        with (self.node / "placet.toml").open("a") as out:
            out.write(f"[mlflow]\n{text}\n")

    def alias(self, model):
        return dict(self.server.get_registered_model(model).aliases).get("published")

    def model(self, name, text):
        """Another version of a model: its proposal's id and its version."""
        folder = self.node / "outputs" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "weights.txt").write_text(text)
        (folder / "deep").mkdir()
        (folder / "deep" / "card.txt").write_text(f"card of {text}")
        with mlflow.start_run() as run:
            placet_mlflow.log_output(f"outputs/{name}")
            version = placet_mlflow.register_model(f"outputs/{name}", name)
            ident = placet_mlflow.propose([f"outputs/{name}"], message=f"{name} {text}").id
        return ident, version, run.info.run_id

    def clone(self):
        root = self.folder / f"clone-{len(list(self.folder.glob('clone-*')))}"
        subprocess.run(
            ["git", "clone", "-q", str(self.folder / "ctrl.git"), str(root)],
            env=ENV,
            check=True,
            capture_output=True,
        )
        return root

    def at(self, path, sha256=None):
        return Location("site-b", path, self.lab.view().history.repository, sha256)


@pytest.fixture
def town(tmp_path, monkeypatch, address):
    for name, value in {
        "HOME": tmp_path,
        "PLACET_HOME": tmp_path / "home",
        "DVC_SITE_CACHE_DIR": tmp_path / "site",
        "DVC_GLOBAL_CONFIG_DIR": tmp_path / "global",
        "DVC_SYSTEM_CONFIG_DIR": tmp_path / "system",
    }.items():
        monkeypatch.setenv(name, str(value))
    made = Town(tmp_path, address)
    monkeypatch.setenv("PLACET_WORKSPACE", str(made.node))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    mlflow.set_tracking_uri(address)
    mlflow.set_experiment(tmp_path.name)
    yield made
    while mlflow.active_run():
        mlflow.end_run()
    made.lab.repo.close()


def read(folder):
    top = Path(folder)
    return {one.relative_to(top).as_posix(): one.read_text() for one in top.rglob("*") if one.is_file()}


def test_the_alias_follows_the_ledger(town, monkeypatch, tmp_path):
    first, one, run = town.model("follows", "1")
    assert parse_location(one.source).path == "outputs/follows"
    assert (town.sync().changes != (), town.alias("follows")) == (True, None)
    assert town.server.get_run(run).data.tags["placet.state"] == "PROPOSED"
    town.publish(first)
    assert town.alias("follows") is None
    town.sync(dry_run=True)
    assert town.alias("follows") is None
    town.sync()
    assert town.alias("follows") == one.version
    tags = town.server.get_run(run).data.tags
    assert (tags["placet.state"], tags[f"placet.proposal.{first}"]) == ("PUBLISHED", "PUBLISHED")
    assert town.server.get_model_version("follows", one.version).tags["placet.proposal"] == first
    assert town.sync().changes == ()

    second, two, _ = town.model("follows", "2")
    town.sync()
    assert (one.version, two.version, town.alias("follows")) == ("1", "2", "1")
    wanted = {"weights.txt": "1", "deep/card.txt": "card of 1"}
    assert read(download_artifacts("models:/follows@published")) == wanted, (
        "the workspace holds another version"
    )
    monkeypatch.setenv("PLACET_WORKSPACE", str(town.clone()))
    assert read(download_artifacts("models:/follows@published")) == wanted
    with pytest.raises(NotFound) as caught:
        download_artifacts("models:/follows/2")
    assert caught.value.kind == "no-version"
    monkeypatch.setenv("PLACET_WORKSPACE", str(town.node))

    town.publish(second)
    town.sync()
    assert town.alias("follows") == "2"
    assert town.server.get_model_version("follows", "1").tags["placet.state"] == "SUPERSEDED"
    town.retract(second)
    found = town.sync()
    assert found.changes[0].after is None, "what is taken back goes first"
    assert town.alias("follows") is None
    assert town.server.get_model_version("follows", "2").tags["placet.state"] == "RETRACTED"
    town.server.set_registered_model_alias("follows", "published", "2")
    assert [(one.before, one.after) for one in town.sync().changes] == [("2", None)]
    assert town.alias("follows") is None


def test_a_retracted_model_is_not_loaded_in_a_clone(town, monkeypatch):
    ident, version, _ = town.model("withdrawn", "1")
    town.publish(ident)
    root = town.clone()
    monkeypatch.setenv("PLACET_WORKSPACE", str(root))
    assert read(download_artifacts(f"models:/withdrawn/{version.version}"))["weights.txt"] == "1"
    town.retract(ident)
    subprocess.run(["git", "fetch", "-q"], cwd=root, env=ENV, check=True)
    with pytest.raises(Refused) as caught:
        download_artifacts(f"models:/withdrawn/{version.version}")
    assert caught.value.kind == "retracted"


def test_a_run_and_a_proposal_name_each_other(town):
    (town.node / "outputs" / "in.csv").write_text("bmi\n26\n")
    with Client(town.node) as client:
        client.track([town.node / "outputs/in.csv"])
    with mlflow.start_run() as run:
        used = placet_mlflow.log_input("outputs/in.csv", context="training")
        (town.node / "outputs" / "out.csv").write_text("n\n1\n")
        tracked = placet_mlflow.log_output("outputs/out.csv")
        ident = placet_mlflow.propose(["outputs/out.csv"], message="counts").id
    assert placet_mlflow.propose(["outputs/out.csv"], message="counts", run_id=run.info.run_id).id == ident
    sha256 = sha256_hex(b"n\n1\n")
    assert tracked.digests.sha256 == sha256
    with Client(town.node) as client:
        origin = client.show(ident).provenance
    page = f"{town.address}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert (origin.invocation, origin.invocation_url) == (run.info.run_id, page)
    assert origin.build_type == placet_mlflow.BUILD_TYPE
    (resource,) = origin.dependencies
    digest = sha256_hex(b"bmi\n26\n")
    assert (resource.uri, resource.digest) == (town.at("outputs/in.csv").uri, {"sha256": digest})
    assert used == town.at("outputs/in.csv", digest)
    by_digest = mlflow.search_runs(filter_string=f"dataset.digest = '{digest[:32]}'", output_format="list")
    by_tag = mlflow.search_runs(
        filter_string=f"tags.`placet.proposal.{ident}` = 'PROPOSED'", output_format="list"
    )
    assert [one.info.run_id for one in by_digest] == [one.info.run_id for one in by_tag] == [run.info.run_id]
    assert by_tag[0].data.tags[f"placet.sha256.{sha256}"] == "placet://site-b/outputs/out.csv"
    source = mlflow.data.get_source(by_tag[0].inputs.dataset_inputs[0])
    assert type(source).__name__ == "PlacetDatasetSource"
    assert source.location == used
    assert Path(source.load()).read_text() == "bmi\n26\n"


def test_another_nodes_run_is_not_tagged(town):
    """A manifest names a run that knows nothing of its bytes."""
    with mlflow.start_run() as other:
        pass
    (town.node / "outputs" / "x.csv").write_text("x\n")
    with Client(town.node) as client:
        named = placet_mlflow.provenance(town.server.get_run(other.info.run_id))
        ident = client.propose([town.node / "outputs/x.csv"], message="m", provenance=named).id
    assert town.sync().runs == 1
    assert not [key for key in town.server.get_run(other.info.run_id).data.tags if key.startswith("placet.")]
    assert town.lab.state(ident) == "PROPOSED"


def test_versions_that_are_bound_to_nothing_are_left_and_lose_the_alias(town):
    ident, version, _ = town.model("mixed", "1")
    town.publish(ident)
    foreign = [
        town.server.create_model_version("mixed", source)
        for source in (
            "s3://bucket/model",
            "placet://site-b/outputs/mixed",
            Location("site-b", "outputs/mixed", "cd" * 16, parse_location(version.source).sha256).uri,
            town.at("outputs/mixed", "ef" * 32).uri,
        )
    ]
    for one in foreign:
        town.server.set_registered_model_alias("mixed", "published", one.version)
        found = town.sync()
        assert town.alias("mixed") == version.version
    assert {one.version for one in found.left} == {foreign[1].version, foreign[2].version}
    assert town.server.get_model_version("mixed", foreign[3].version).tags["placet.state"] == "UNPROPOSED"
    for name, source in {"alien": "s3://bucket/other", "others": foreign[2].source}.items():
        town.server.create_registered_model(name)
        town.server.create_model_version(name, source)
        town.server.set_registered_model_alias(name, "published", "1")
    listed = town.server.search_model_versions(mlflow_server._OURS)
    assert {"alien"}.isdisjoint(one.name for one in listed), "the server itself looks for Placet's"
    assert {"s3://bucket/model"}.isdisjoint(one.source for one in listed) and len(listed) >= 5
    town.sync()
    assert town.alias("alien") == town.alias("others") == "1", (
        "models that are none of this Ctrl repository's"
    )


@pytest.mark.parametrize("name", ["it's", 'a "model"', """it's a "model" """.strip()])
def test_a_model_is_registered_once_whatever_its_name(town, name):
    (town.node / "outputs" / "x").write_text("x")
    with Client(town.node) as client:
        client.track([town.node / "outputs" / "x"])
    first = placet_mlflow.register_model("outputs/x", name)
    assert placet_mlflow.register_model("outputs/x", name).version == first.version


def experiment(town, location="placet://site-b/outputs/mlflow"):
    return mlflow.create_experiment(
        f"located-{md5_hex(str(town.folder).encode())[:12]}", artifact_location=location
    )


def test_what_a_run_logs_is_tracked_pushed_and_not_published(town, tmp_path):
    mlflow.set_experiment(experiment_id=experiment(town))
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "a.txt").write_text("a")
    (made / "deep" / "b c.txt").write_text("b")
    with mlflow.start_run() as run:
        mlflow.log_text("n\n1\n", "summary.csv")
        mlflow.log_artifacts(str(made), "plots")
        mlflow.log_text("later", "plots/deep/later.txt")
        mlflow.log_text("n\n2\n", "summary.csv")
    top = town.node / "outputs" / "mlflow" / run.info.run_id / "artifacts"
    assert sorted(one.relative_to(top).as_posix() for one in top.rglob("*.dvc")) == [
        "plots.dvc",
        "summary.csv.dvc",
    ]
    listed = {one.path: (one.is_dir, one.file_size) for one in town.server.list_artifacts(run.info.run_id)}
    assert listed == {"plots": (True, None), "summary.csv": (False, 4)}
    inside = [one.path for one in town.server.list_artifacts(run.info.run_id, "plots/deep")]
    assert inside == ["plots/deep/b c.txt", "plots/deep/later.txt"]
    assert town.server.list_artifacts(run.info.run_id, "summary.csv") == []
    assert town.server.list_artifacts(run.info.run_id, "nothing") == []
    assert {layout.data_key(md5_hex(data)) for data in (b"n\n2\n", b"later", b"b")} <= {
        one.key for one in town.site.source.list("")
    }
    assert town.site.published() == set()
    uri = run.info.artifact_uri
    assert read(download_artifacts(uri)) == {
        "summary.csv": "n\n2\n", "plots/a.txt": "a", "plots/deep/b c.txt": "b", "plots/deep/later.txt": "later",
    }  # fmt: skip
    one = download_artifacts(run_id=run.info.run_id, artifact_path="plots/deep/b c.txt")
    assert Path(one).read_text() == "b"
    assert Path(download_artifacts(f"{uri}/plots/deep/b%20c.txt", dst_path=str(tmp_path))).read_text() == "b"
    (tmp_path / "into").mkdir()
    assert (
        read(town.server.download_artifacts(run.info.run_id, "plots", str(tmp_path / "into")))["a.txt"] == "a"
    )
    for missing in ("none.txt", "plots/none"):
        with pytest.raises(NotFound) as caught:
            get_artifact_repository(uri).download_artifacts(missing)
        assert caught.value.kind == "no-artifact"


def test_a_logged_model_is_one_output(town, tmp_path):
    mlflow.set_experiment(experiment_id=experiment(town))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("w")
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    model = mlflow.create_external_model(name="m")
    town.server.log_model_artifacts(model.model_id, str(tmp_path / "model"))
    metafiles = [one.relative_to(town.node).as_posix() for one in (town.node / "outputs").rglob("*.dvc")]
    assert metafiles == [f"outputs/mlflow/models/{model.model_id}/artifacts.dvc"]
    (tmp_path / "more").write_text("m")
    town.server.log_model_artifact(model.model_id, str(tmp_path / "more"))
    assert read(download_artifacts(f"models:/{model.model_id}")).keys() >= {"weights", "MLmodel", "more"}


def test_writing_over_what_was_approved_publishes_nothing(town, monkeypatch, tmp_path):
    ident, version, _ = town.model("approved", "1")
    town.publish(ident)
    before = town.site.published()
    town.set('folder = "."')
    (tmp_path / "weights.txt").write_text("other")
    get_artifact_repository("placet://site-b/outputs/approved").log_artifact(str(tmp_path / "weights.txt"))
    assert (town.node / "outputs/approved/weights.txt").read_text() == "other"
    assert town.site.published() == before
    with Client(town.node) as client:
        assert client.promote() == []
    town.sync()
    assert town.alias("approved") == version.version
    monkeypatch.setenv("PLACET_WORKSPACE", str(town.clone()))
    assert read(download_artifacts("models:/approved@published"))["weights.txt"] == "1"


def test_nothing_is_written_where_only_what_was_approved_may_be(town, monkeypatch, tmp_path):
    (tmp_path / "a").write_text("a")
    for uri in (town.at("outputs/a").uri, "placet://site-b/outputs/a?sha256=" + "ab" * 32):
        with pytest.raises(Refused) as caught:
            get_artifact_repository(uri).log_artifact(str(tmp_path / "a"))
        assert caught.value.kind == "read-only"
    monkeypatch.setenv("PLACET_WORKSPACE", str(town.clone()))
    with pytest.raises(Refused):
        get_artifact_repository("placet://site-b/outputs/new").log_artifact(str(tmp_path / "a"))
    monkeypatch.setenv("PLACET_WORKSPACE", str(tmp_path))
    with pytest.raises(Invalid) as caught:
        get_artifact_repository("placet://site-b/outputs/new").log_artifact(str(tmp_path / "a"))
    assert caught.value.kind == "no-place"


@pytest.mark.parametrize(
    "location", ["", "outputs", "outputs/table.csv", "outputs/mlflowers", "outputs/mlflow/../table"]
)
def test_a_server_cannot_choose_another_jobs_output(town, tmp_path, location):
    (town.node / "outputs" / "table.csv").write_text("approved")
    with Client(town.node) as client:
        client.track([town.node / "outputs" / "table.csv"])
    (tmp_path / "table.csv").write_text("evil")
    for artifact in ("table.csv", "run"):
        with pytest.raises((Refused, Invalid)) as caught:
            get_artifact_repository(f"placet://site-b/{location}").log_artifact(
                str(tmp_path / "table.csv"), artifact if artifact == "run" else None
            )
        assert caught.value.kind in {"outside-folder", "location"}
    assert caught.value.kind == "location" or "[mlflow]" in caught.value.mend
    assert sorted(one.name for one in (town.node / "outputs").iterdir()) == [
        ".gitignore", "table.csv", "table.csv.dvc",
    ]  # fmt: skip
    assert (town.node / "outputs" / "table.csv").read_text() == "approved"


def test_an_output_that_holds_mlflows_folder_is_not_changed(town, tmp_path):
    (town.node / "outputs" / "a").write_text("a")
    with Client(town.node) as client:
        client.track([town.node / "outputs"])
    with pytest.raises(Refused) as caught:
        get_artifact_repository("placet://site-b/outputs/mlflow").log_artifact(str(town.node / "key"))
    assert caught.value.kind == "outside-folder"
    assert not (town.node / "outputs" / "mlflow").exists()


def test_the_folder_is_the_operators_choice(town, tmp_path):
    town.set('folder = "outputs/runs"')
    (tmp_path / "a").write_text("a")
    get_artifact_repository("placet://site-b/outputs/runs/1").log_artifact(str(tmp_path / "a"))
    assert (town.node / "outputs/runs/1/a.dvc").is_file()
    with pytest.raises(Refused):
        get_artifact_repository("placet://site-b/outputs/mlflow/1").log_artifact(str(tmp_path / "a"))


@pytest.mark.parametrize(
    "name", ["../escape", "x/../../escape", ".git/config", "a.dvc", ".gitignore", ".dvc/config"]
)
def test_names_that_lead_elsewhere_are_refused(town, tmp_path, name):
    (tmp_path / "src").write_text("x")
    folder, _, last = name.rpartition("/")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / last).write_text("x")
    with pytest.raises(Exception, match=r"(?i)path|logged|location"):
        get_artifact_repository("placet://site-b/outputs/mlflow").log_artifact(
            str(tmp_path / "in" / last), folder or None
        )
    assert not (town.node / "outputs" / "escape").exists()
    assert not (town.node / "outputs" / "mlflow").exists()


def test_what_nothing_tracks_is_not_replaced_and_not_taken_in(town, tmp_path):
    town.set('folder = "."')
    (tmp_path / "a.csv").write_text("new")
    (town.node / "outputs" / "a.csv").write_text("mine")
    (town.node / "outputs" / "plots").mkdir()
    (town.node / "outputs" / "plots" / "secret.csv").write_text("patients")
    at = get_artifact_repository("placet://site-b/outputs")
    for folder in (None, "plots"):
        with pytest.raises(Conflict) as caught:
            at.log_artifact(str(tmp_path / "a.csv"), folder)
        assert caught.value.kind == "untracked-file"
    with pytest.raises(Conflict):
        get_artifact_repository("placet://site-b").log_artifact(
            str(shutil.copy(town.node / "key", tmp_path / "placet.toml"))
        )
    assert (town.node / "outputs" / "a.csv").read_text() == "mine"
    assert not list((town.node / "outputs").rglob("*.dvc"))
    (town.node / "outputs" / "a.csv").write_text("new")
    at.log_artifact(str(tmp_path / "a.csv"))
    assert (town.node / "outputs" / "a.csv.dvc").is_file()
    link = town.node / "outputs" / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(Invalid):
        at.log_artifact(str(tmp_path / "a.csv"), "link")


def test_bytes_that_are_not_those_are_never_handed_out(town, monkeypatch, tmp_path):
    """The object in the cache is replaced after it was proven."""
    (tmp_path / "a.csv").write_text("right")
    at = get_artifact_repository("placet://site-b/outputs/mlflow")
    at.log_artifact(str(tmp_path / "a.csv"))
    held = copyout.held

    def swapped(workspace, path, state, jobs):
        file = Path(workspace.objects.path(layout.data_key(md5_hex(b"right"))))
        file.chmod(0o644)
        file.write_text("right")
        found = held(workspace, path, state, jobs)
        file.chmod(0o644)
        file.write_text("wrong")
        return found

    monkeypatch.setattr(copyout, "held", swapped)
    (tmp_path / "to").mkdir()
    with pytest.raises(Corrupt) as caught:
        at.download_artifacts("a.csv", str(tmp_path / "to"))
    assert caught.value.kind == "digest-mismatch"
    assert read(tmp_path / "to") == {}
    monkeypatch.setattr(copyout, "require_same", lambda *_: None)
    at.download_artifacts("a.csv", str(tmp_path / "to"))
    assert read(tmp_path / "to") == {"a.csv": "wrong"}, "the guard is what stops it"


def test_another_repositorys_artifact_and_one_without_a_version(town, monkeypatch):
    ident, version, _ = town.model("where", "1")
    town.publish(ident)
    with pytest.raises(Refused) as caught:
        download_artifacts(town.at("outputs/where").uri)
    assert caught.value.kind == "not-pinned"
    sha256 = parse_location(version.source).sha256
    monkeypatch.setenv("PLACET_WORKSPACE", str(town.clone()))
    with pytest.raises(Refused) as caught:
        download_artifacts(Location("site-b", "outputs/where", "cd" * 16, sha256).uri)
    assert caught.value.kind == "other-repository"
    assert read(download_artifacts(town.at("outputs/where").uri))["weights.txt"] == "1"
    one = f"{town.at('outputs/where/deep/card.txt', sha256).uri}"
    assert Path(download_artifacts(one)).read_text() == "card of 1"


def test_the_agent_looks_again_when_something_has_moved(town):
    ident, version, _ = town.model("kept", "1")
    asked = []
    keeper = Keeper(lambda form: asked.append(form) or nullcontext(MlflowServer(town.server)))
    with Client(town.node) as client:
        assert keeper.look(client) is None, "the settings name no server"
    town.set(f'tracking_uri = "{town.address}"')
    with Client(town.node) as client:
        assert keeper.look(client) is not None
        assert keeper.look(client) is None
        town.publish(ident)
        assert [one.key for one in keeper.look(client).changes][:1] == ["published"]
        assert town.alias("kept") == version.version
        assert keeper.look(client) is None
    assert len(asked) == 2


def test_a_server_that_is_not_there(town, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    done = placet("mlflow", "sync", "--json", cwd=town.node)
    assert (done.returncode, json.loads(done.stdout)["kind"]) == (10, "no-mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    done = placet("mlflow", "sync", "--json", cwd=town.node)
    assert (done.returncode, json.loads(done.stdout)["kind"]) == (1, "mlflow-unreachable")
    assert "secret" not in done.stdout + done.stderr
    env = wiring.server(
        FORM, {"MLFLOW_HTTP_REQUEST_TIMEOUT": "7", "MLFLOW_TRACKING_URI": "http://x"}
    )._apart._environ
    assert (env["MLFLOW_DISABLE_TELEMETRY"], env["MLFLOW_HTTP_REQUEST_TIMEOUT"]) == ("true", "7")
    monkeypatch.setattr(wiring.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotFound) as caught:
        wiring.server(FORM)
    assert caught.value.kind == "no-mlflow"


def test_the_agent_promotes_and_then_the_alias_is_there(town):
    ident, version, _ = town.model("served", "1")
    town.approve(ident)
    town.set(f'tracking_uri = "{town.address}"\ninterval = 1')
    with (town.folder / "agent.log").open("w") as log:
        command = [PLACET, "agent", "--json", "--interval", "0.5"]
        agent = subprocess.Popen(command, cwd=town.node, stderr=log, stdin=subprocess.DEVNULL, env=os.environ)
    try:
        end = time.monotonic() + LIMIT_S
        while town.alias("served") is None:
            assert agent.poll() is None and time.monotonic() < end, (town.folder / "agent.log").read_text()
            time.sleep(0.2)
    finally:
        agent.terminate()
        assert agent.wait(LIMIT_S) == 0
    events = [json.loads(line) for line in (town.folder / "agent.log").read_text().splitlines()]
    names = [one["event"] for one in events]
    assert names.index("published") < max(place for place, one in enumerate(names) if one == "mlflow")
    assert "job-failed" not in names
    assert town.alias("served") == version.version


def test_a_researchers_run_names_what_it_used(town, monkeypatch):
    ident, version, _ = town.model("used", "1")
    town.publish(ident)
    root = town.clone()
    with mlflow.start_run() as run:
        used = placet_mlflow.log_input("artifacts/site-b/outputs/used", workspace=root)
    assert used.uri == version.source
    (found,) = town.server.get_run(run.info.run_id).inputs.dataset_inputs
    assert {one.key: one.value for one in found.tags}["placet.subject"] == f"dirHash:{used.sha256}"
    monkeypatch.setenv("PLACET_WORKSPACE", str(root))
    with mlflow.start_run():
        assert placet_mlflow.log_input(version.source) == used
        with pytest.raises(Invalid) as caught:
            placet_mlflow.log_input(town.at("outputs").uri)
        assert caught.value.kind == "many-outputs"
    with pytest.raises(NotFound) as caught:
        placet_mlflow.log_input(version.source)
    assert caught.value.kind == "no-run"


def test_a_tier_that_the_policy_lacks_changes_nothing(town):
    with Client(town.node) as client, pytest.raises(NotFound) as caught:
        sync(client, MlflowServer(town.server), MlflowForm(tier="publicaton"))
    assert caught.value.kind == "no-tier"


def test_processes_that_log_into_one_workspace_take_turns(town, tmp_path):
    program = """
import sys
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from pathlib import Path
name = sys.argv[1]
for number in range(2):
    file = Path(name) / f"{name}-{number}.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text(name)
    get_artifact_repository("placet://site-b/outputs/mlflow").log_artifact(str(file), "shared")
"""
    command = [sys.executable, "-c", program]
    some = [subprocess.Popen([*command, name], cwd=tmp_path, stderr=subprocess.PIPE) for name in "ab"]
    for one in some:
        _, said = one.communicate(timeout=LIMIT_S)
        assert one.returncode == 0, said.decode()[-2000:]
    found = read(get_artifact_repository("placet://site-b/outputs/mlflow").download_artifacts(""))
    assert sorted(found) == [f"shared/{name}-{number}.txt" for name in "ab" for number in range(2)]


def placet(*argv, cwd):
    return subprocess.run(
        [PLACET, *argv], cwd=cwd, capture_output=True, text=True, check=False, env=os.environ
    )


def test_the_how_to_works_as_written(town, monkeypatch, capsys):
    monkeypatch.delenv("PLACET_WORKSPACE")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (town.node / "outputs").rmdir()
    blocks = re.findall(r"<!-- (run|write): ([a-z]+) -->\n```(\w+)\n(.*?)```", HOWTO, re.DOTALL)
    assert len(blocks) == 8
    out = []
    for what, who, language, block in blocks:
        text = block.replace("http://mlflow.example.org:5000", town.address).replace("site-a", "site-b")
        if what == "write":
            town.publish(out[1])
            with (town.node / "placet.toml").open("a") as file:
                file.write(text)
            continue
        monkeypatch.chdir(town.clone() if who == "researcher" else town.node)
        if language == "python":
            exec(compile(text, "how-to", "exec"), {})
            said = capsys.readouterr().out
        else:
            done = subprocess.run(["sh", "-e", "-c", text], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-3000:]
            said = done.stdout
        out.append([line for line in said.splitlines() if "http://" not in line or "changed" in line][-1])
    assert re.fullmatch(r"\[.*'[0-9a-f]{32}'.*\]", out[2])
    assert "changed" in out[3]
    assert (Path(out[4]) / "mean.txt").read_text() == "26.5\n"
    assert town.alias("bmi") == "1"
    assert (town.node / f"{out[-1]}.dvc").is_file()


def test_importing_mlflow_imports_little_of_placet():
    """MLflow loads its plug-ins whenever it is imported, in programs that never use them."""
    program = "import sys, mlflow; print(sorted(m for m in sys.modules if m in {'placet.integrations.mlflow_dataset', 'placet.client', 'obstore', 'dvc'}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['placet.integrations.mlflow_dataset']"


def test_importing_placet_imports_no_mlflow():
    program = (
        "import sys, placet, placet.client, placet.cli.app, placet.cli.mlflow, placet.cli.agent, placet.wire.mlflow;"
        " print([m for m in sys.modules if m == 'mlflow' or m.startswith('mlflow.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
