"""`placet mlflow sync` where a server is large, or says no to some things: the rest goes on, and nothing is hidden."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from mlflow import MlflowClient

from fakemlflow import fake
from governance.nodes import Site
from mlflowserver import server as real
from placet.adapters.mlflow_server import MlflowServer
from placet.agent.lane import Interruptible
from placet.client import Client
from placet.core.location import Location
from placet.core.mlflowform import MlflowForm
from placet.errors import Invalid, Partial, Refused, Unavailable
from placet.integrations import mlflow_sync
from placet.integrations.mlflow_sync import Keeper, sync

PLACET = str(Path(sys.executable).parent / "placet")
MODELS = ("alpha", "beta", "gamma")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A workspace with three published artifacts, and their URIs with their digests; no test changes it."""
    folder = tmp_path_factory.mktemp("faults")
    homes = {"HOME": folder, "PLACET_HOME": folder / "home", "DVC_SITE_CACHE_DIR": folder / "site"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in homes.items():
            patch.setenv(name, str(value))
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        site = Site(folder)
        root = site.machine("node", key=True)
        (root / "outputs").mkdir()
        paths = [root / "outputs" / name for name in MODELS]
        for path in paths:
            path.write_text(path.name)
        with Client(root) as client:
            tracked = client.track(paths)
            client.push(paths)
            ident = client.propose(paths, message="three").id
            site.lab.decide(ident, "alice", "bob")
            site.lab.merge(ident)
            (done,) = client.promote([ident])
            assert done.error is None
            repository = client.view().history.repository
        uris = {
            Path(one.path).name: Location("site-b", one.path, repository, one.digests.sha256).uri
            for one in tracked
        }
        yield root, uris
        site.lab.repo.close()


@pytest.fixture
def server(node):
    with fake() as made:
        for name, uri in node[1].items():
            made.add(name, uri)
        yield made


def run(node, server, form=None, **more):
    with Client(node[0]) as client:
        return sync(client, MlflowServer(MlflowClient(server.url)), form or MlflowForm(), **more)


def placet(node, server, *argv, **environ):
    env = os.environ | {"MLFLOW_TRACKING_URI": server.url} | environ
    return subprocess.run(
        [PLACET, "mlflow", "sync", *argv], cwd=node[0], env=env, capture_output=True, text=True, check=False
    )


def no(model, path="model-versions/set-tag", status=403, code="PERMISSION_DENIED"):
    return lambda asked, body: (status, code) if (asked, body.get("name")) == (path, model) else None


def published(server):
    return {name for name, known in server.aliases.items() if known == {"published": "1"}}


def test_a_hundred_thousand_foreign_versions_are_not_asked_for(node, server):
    for number in range(100_000):
        server.versions.append(
            {"name": f"m{number}", "version": "1", "source": "s3://other/model", "tags": {}}
        )
    found = run(node, server)
    assert (found.models, len(found.changes), found.problems) == (3, 9, ())
    assert published(server) == set(MODELS)
    assert server.listed == 3
    assert server.asked["model-versions/search"] == 1
    assert server.asked.total() < 30, "what is asked grows with what is Placet's alone"


@pytest.mark.parametrize("obeys", [True, False])
def test_a_list_without_end_is_given_up(node, server, obeys, monkeypatch):
    monkeypatch.setattr(mlflow_sync, "_MOST_PAGES", 5)
    server.obeys, server.endless = obeys, True
    for number in range(2_000 if not obeys else 0):
        server.add(f"m{number}", "s3://other/model")
    with pytest.raises(Invalid) as caught:
        run(node, server)
    assert caught.value.kind == "mlflow-answer"
    assert (server.asked, server.aliases) == ({"model-versions/search": 5}, {})


@pytest.mark.parametrize(
    "fault",
    [
        no("alpha"),
        no("alpha", status=404, code="RESOURCE_DOES_NOT_EXIST"),
        no("alpha", status=500, code="INTERNAL_ERROR"),
    ],
)
def test_one_version_that_cannot_be_changed_stops_no_other(node, server, fault):
    server.fault = fault
    found = run(node, server)
    assert published(server) == set(MODELS), "the alias is another thing than the tag that is refused"
    assert {(one.what, one.name, one.version) for one in found.problems} == {("version", "alpha", "1")}
    assert len(found.problems) == 2 and len(found.changes) == 7
    assert isinstance(found.error, Partial) and "alpha" in found.error.why
    server.fault = lambda path, body: None
    again = run(node, server)
    assert {one.name for one in again.changes} == {"alpha"} and again.error is None


def test_one_model_that_cannot_be_looked_at_stops_no_other(node, server):
    server.fault = no("beta", "registered-models/get", 500, "INTERNAL_ERROR")
    found = run(node, server)
    assert published(server) == {"alpha", "gamma"}
    assert {one.name for one in found.problems} == {"beta"}
    assert (found.problems[0].what, found.problems[0].key) == ("alias", "published")


def test_the_program_says_what_was_not_done_and_its_exit_code_does(node, server):
    server.fault = no("alpha")
    done = placet(node, server, "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 3 and len(said["changes"]) == 7
    assert [(one["name"], one["error"]["kind"]) for one in said["problems"]] == [
        ("alpha", "mlflow-refused")
    ] * 2
    done = placet(node, server)
    assert done.returncode == 12, "nothing else is left to be done"
    assert done.stdout.count("not done: alpha version 1: placet.") == 2 and "2 not done" in done.stdout
    server.fault = lambda path, body: None
    assert placet(node, server, "--json").returncode == 0


def test_a_server_that_falls_silent_is_not_asked_for_ever(node, server):
    known = MlflowServer(MlflowClient(server.url))

    class Silent:
        asked = 0

        def __getattr__(self, name):
            if name == "versions":
                return known.versions

            def call(*args):
                self.asked += 1
                raise Unavailable("x", kind="mlflow-unreachable")

            return call

    silent = Silent()
    with Client(node[0]) as client:
        found = sync(client, silent, MlflowForm())
    assert silent.asked == 3
    assert found.error.kind == "mlflow-unreachable" and found.changes == ()
    assert len(found.problems) == 3 + 6, "each thing that was not done is named"


def test_each_call_is_a_sign_of_life_and_a_place_to_stop(node, server):
    clock = iter(range(1000))
    progress = Interruptible(lambda: next(clock))
    lived = {}

    def fault(path, body):
        lived.setdefault((path, body.get("name")), progress.moved_at)
        if path == "registered-models/alias" and body.get("name") == "beta":
            progress.told.set()

    server.fault = fault
    with Client(node[0], progress=progress) as client:
        with pytest.raises(Unavailable) as caught:
            sync(client, MlflowServer(MlflowClient(server.url)), MlflowForm())
        assert caught.value.kind == "stopped" and published(server) < set(MODELS)
        assert len(lived) == len(set(lived.values())) == 6, "each is a sign of life"
        progress.told.clear()
        assert sync(client, MlflowServer(MlflowClient(server.url)), MlflowForm()).error is None
    assert published(server) == set(MODELS)


def test_the_agent_tries_again_later_and_says_so_meanwhile(node, server, monkeypatch):
    opened = []
    form = MlflowForm(tracking_uri=server.url)
    keeper = Keeper(lambda form: opened.append(form) or nullcontext(MlflowServer(MlflowClient(server.url))))
    server.fault = no("alpha")
    with Client(node[0]) as client:
        object.__setattr__(client.settings, "mlflow", form)
        assert isinstance(keeper.look(client).error, Partial)
        with pytest.raises(Partial):
            keeper.look(client)
        assert len(opened) == 1
        server.fault = lambda path, body: None
        later = client.now().timestamp() + 601
        monkeypatch.setattr(
            client, "now", lambda: client._wire.clock.now().fromtimestamp(later, tz=None).astimezone()
        )
        assert keeper.look(client).error is None
        assert keeper.look(client) is None
        assert len(opened) == 2


def test_what_only_refuses_is_refused(node, server):
    server.fault = lambda path, body: (403, "PERMISSION_DENIED")
    with pytest.raises(Refused) as caught:
        run(node, server)
    assert caught.value.kind == "mlflow-refused"


def test_a_token_is_sent_to_the_server_and_told_to_nobody(node, server):
    done = placet(node, server, "--json", MLFLOW_TRACKING_TOKEN="only-we-know")
    assert (done.returncode, server.authorization) == (0, {"Bearer only-we-know"})
    server.fault = lambda path, body: (401, "UNAUTHENTICATED")
    done = placet(node, server, "--json", MLFLOW_TRACKING_TOKEN="only-we-know")
    assert done.returncode == 12 and "only-we-know" not in done.stdout + done.stderr


@pytest.mark.skipif(
    "PLACET_MLFLOW_PYTHON" not in os.environ,
    reason="MLflow's basic-auth needs the full mlflow with Flask-WTF: make test-mlflow",
)
def test_a_server_with_basic_auth(node, tmp_path):
    """The administrator makes an account that may edit two of three models, and read the third."""
    _, uris = node
    (tmp_path / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{tmp_path}/auth.db\n"
        "admin_username = admin\nadmin_password = admin-password-1234\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    env = {"MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "x" * 32}
    with real(tmp_path / "server", "--app-name", "basic-auth", **env) as url:
        admin, placets = ("admin", "admin-password-1234"), ("placet", "placet-password-1234")

        def ask(path, **body):
            answer = requests.post(f"{url}/api/{path}", json=body, auth=admin, timeout=60)
            assert answer.ok, answer.text

        ask("2.0/mlflow/users/create", username=placets[0], password=placets[1])
        for name, uri in uris.items():
            ask("2.0/mlflow/registered-models/create", name=name)
            ask("2.0/mlflow/model-versions/create", name=name, source=uri)
            permission = "READ" if name == "beta" else "EDIT"
            grant = {"resource_type": "registered_model", "resource_id": name, "permission": permission}
            ask("3.0/mlflow/users/permissions/grant", username=placets[0], **grant)
        at = SimpleNamespace(url=url)
        names = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
        for who in ({}, dict(zip(names, ("placet", "wrong-password"), strict=True))):
            done = placet(node, at, "--json", **who)
            assert (done.returncode, json.loads(done.stdout)["kind"]) == (12, "mlflow-refused"), done.stdout
            assert "wrong-password" not in done.stdout + done.stderr
        done = placet(node, at, "--json", **dict(zip(names, placets, strict=True)))
        said = json.loads(done.stdout)
        assert done.returncode == 3, said
        assert {one["name"] for one in said["problems"]} == {"beta"}
        assert {one["error"]["kind"] for one in said["problems"]} == {"mlflow-refused"}
        assert {one["name"] for one in said["changes"]} == {"alpha", "gamma"}
        file = Path(os.environ["HOME"]) / ".mlflow" / "credentials"
        file.parent.mkdir()
        file.write_text(
            f"[mlflow]\nmlflow_tracking_username = {admin[0]}\nmlflow_tracking_password = {admin[1]}\n"
        )
        done = placet(node, at, "--json")
        file.unlink()
        assert done.returncode == 0 and {one["name"] for one in json.loads(done.stdout)["changes"]} == {
            "beta"
        }
