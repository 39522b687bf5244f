"""OpenLineage: real events by its client to a real HTTP server and to a file; a backend that is down, slow, hostile."""

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest

from governance.lab import Memory
from governance.test_lineage import RAW, REPOSITORY, Chain
from governance.test_promote import Quiet
from placet.adapters.openlineage import open_http
from placet.agent.lane import Interruptible
from placet.config import load_settings
from placet.core.lineageform import read_lineage
from placet.engine.lineageevents import lineage_events
from placet.errors import Invalid, NotFound, Refused, Unavailable
from placet.wire import lineage
from placet.wire.lineage import Reporter
from servers import listening

TOKEN = "only-the-backend-knows-this"


@dataclass
class Backend:
    """What it was sent, and what it answers: a status for each event, the last for all others."""

    url: str = ""
    got: list = field(default_factory=list)
    headers: list = field(default_factory=list)
    answers: list = field(default_factory=lambda: [201])
    elsewhere: str = ""

    def answer(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def served():
    backend = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            status = backend.answer()
            if 200 <= status < 300:
                backend.got.append((self.path, json.loads(data)))
            backend.headers.append(dict(self.headers))
            self.send_response(status)
            if backend.elsewhere:
                self.send_header("Location", backend.elsewhere)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    with listening(Handler) as backend.url:
        yield backend


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """What tells a backend in a process of its own does it in this one; test_apart.py has the process."""
    monkeypatch.setattr(lineage, "LineageApart", lambda *args: open_http(*args[:-1]))


@pytest.fixture
def backend():
    with served() as one:
        yield one


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Three publications and the retraction of the first; no test changes it."""
    made = Chain(tmp_path_factory.mktemp("chain"))
    made.lab.later(minutes=1)
    made.retract(made.table)
    return made


def reporter(chain, folder, text, progress=None):
    (folder / "placet.toml").write_text(f"ctrl = 'x'\n[lineage]\n{text}\n")
    wire = SimpleNamespace(
        settings=load_settings(folder, {"PLACET_HOME": str(folder / "home")}), repo=chain.lab.repo,
        trust_root=lambda: chain.lab.trust_root, clock=chain.lab.clock, memory=Memory(),
        progress=progress or Quiet(),
    )  # fmt: skip
    return Reporter(wire)


def token(folder, mode=0o600):
    path = folder / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(mode)
    return 'token_file = "token"'


def test_a_backend_is_told_the_whole_ledger_once(chain, tmp_path, backend):
    one = reporter(chain, tmp_path, f'url = "{backend.url}"\n{token(tmp_path)}')
    assert one.run().events == 4
    assert one.run().events == 0
    assert reporter(chain, tmp_path, f'url = "{backend.url}"').run().events == 0, "also after a restart"
    assert {path for path, _ in backend.got} == {"/api/v1/lineage"}
    assert {one["Authorization"] for one in backend.headers} == {f"Bearer {TOKEN}"}
    first, second, _, last = [event for _, event in backend.got]
    assert (first["eventType"], first["eventTime"]) == ("COMPLETE", "2026-11-24T10:01:00Z")
    assert first["schemaURL"].startswith("https://openlineage.io/spec/")
    assert first["job"]["namespace"] == f"placet://{REPOSITORY}"
    assert [(one["namespace"], one["name"]) for one in first["inputs"]] == [("s3://clinic", "raw.csv")]
    assert first["inputs"][0]["facets"]["version"]["datasetVersion"] == RAW.digest["sha256"]
    (output,) = first["outputs"]
    assert second["inputs"][0]["name"] == output["name"] == "artifacts/site-b/outputs/table.csv"
    assert output["outputFacets"]["outputStatistics"]["size"] == 5
    assert output["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "CREATE"
    assert output["facets"]["dataSource"]["uri"] == "s3://pub/x"
    location = first["job"]["facets"]["sourceCodeLocation"]
    assert (location["url"], location["version"]) == ("https://git.example/jobs", "cd" * 20)
    known = first["run"]["facets"]["placet_publication"]
    assert (known["proposal"], known["approvals"]) == (chain.table, ["alice (bytes)", "bob (bytes)"])
    assert "parent" not in first["run"]["facets"], "this builder's runs have no UUIDs"
    assert last["outputs"][0]["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "DROP"
    assert last["outputs"][0]["name"] == output["name"]
    assert TOKEN not in json.dumps(backend.got)


def test_losing_the_record_costs_repeats_of_the_same_runs(chain, tmp_path, backend):
    setting = f'url = "{backend.url}"'
    reporter(chain, tmp_path, setting).run()
    (record,) = (tmp_path / "home" / "lineage").glob("*.json")
    record.write_bytes(b"{\xff")
    assert reporter(chain, tmp_path, setting).run().events == 4
    runs = [event["run"]["runId"] for _, event in backend.got]
    assert runs[:4] == runs[4:] and len(set(runs)) == 4


def test_it_goes_on_where_a_backend_broke_off(chain, tmp_path, backend):
    one = reporter(chain, tmp_path, f'url = "{backend.url}"')
    backend.answers = [201, 503]
    with pytest.raises(Unavailable) as caught:
        one.run()
    assert caught.value.kind == "lineage-unreachable" and "503" in caught.value.why
    backend.answers = [201]
    assert one.run().events == 3
    assert len({event["run"]["runId"] for _, event in backend.got}) == len(backend.got) == 4


def test_each_event_is_a_sign_of_life_and_a_stop_is_heeded_between_two(chain, tmp_path, backend):
    """A long ledger takes long; an agent that is told of nothing would count as hung."""
    moved = []
    progress = Interruptible(lambda: len(backend.got))
    one = reporter(chain, tmp_path, f'url = "{backend.url}"', progress)
    progress.shown = SimpleNamespace(
        start=lambda *_: None,
        advance=lambda *_: (moved.append(progress.moved_at), len(moved) == 2 and progress.told.set()),
    )
    with pytest.raises(Unavailable) as caught:
        one.run()
    assert caught.value.kind == "stopped" and moved == [1, 2] and len(backend.got) == 3
    assert reporter(chain, tmp_path, f'url = "{backend.url}"').run().events == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_event_that_is_never_taken_keeps_no_other_waiting(chain, tmp_path, backend, status, caplog):
    one = reporter(chain, tmp_path, f'url = "{backend.url}"')
    backend.answers = [201, status, 201]
    found = one.run()
    assert (found.events, found.refused) == (3, 1)
    assert "entry 2 of published is left out" in caplog.text
    assert one.run().events == 0


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_credential_that_is_not_taken_loses_nothing(chain, tmp_path, backend, status):
    one = reporter(chain, tmp_path, f'url = "{backend.url}"\n{token(tmp_path)}')
    backend.answers = [status]
    with pytest.raises(Refused) as caught:
        one.run()
    assert caught.value.kind == "lineage-refused" and TOKEN not in str(caught.value) + repr(
        caught.value.__cause__
    )
    backend.answers = [201]
    assert one.run().events == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(chain, tmp_path, backend, status):
    with served() as other:
        backend.answers, backend.elsewhere = [status], f"{other.url}/api/v1/lineage"
        one = reporter(chain, tmp_path, f'url = "{backend.url}"\n{token(tmp_path)}')
        with pytest.raises((Unavailable, Refused)):
            one.run()
        assert other.headers == [], "neither the event nor the credential went elsewhere"


def test_nobody_listens(chain, tmp_path):
    with served() as gone:
        url = gone.url
    with pytest.raises(Unavailable) as caught:
        reporter(chain, tmp_path, f'url = "{url}"').run()
    assert caught.value.kind == "lineage-unreachable"


def test_one_that_never_answers_is_given_up(chain, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        one = reporter(chain, tmp_path, f'url = "http://127.0.0.1:{port}"\ntimeout = 0.2')
        with pytest.raises(Unavailable):
            one.run()


def test_a_file_gets_one_event_a_line(chain, tmp_path):
    one = reporter(chain, tmp_path, 'file = "events.ndjson"')
    assert one.run().events == 4
    assert one.run().events == 0
    lines = [json.loads(line) for line in (tmp_path / "events.ndjson").read_text().splitlines()]
    assert [len(line["outputs"]) for line in lines] == [1, 1, 1, 1]


def test_a_file_that_cannot_be_written(chain, tmp_path):
    one = reporter(chain, tmp_path, 'file = "none/events.ndjson"')
    with pytest.raises(Unavailable):
        one.run()


def test_nothing_of_the_environment_is_read_or_told(chain, tmp_path, backend, monkeypatch):
    """`OpenLineageClient` itself would do all of this."""
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENLINEAGE__FACETS__ENVIRONMENT_VARIABLES", '["HOME"]')
    monkeypatch.chdir(tmp_path)
    Path("openlineage.yml").write_text("tags: {job: {secret: tag}}\n")
    assert reporter(chain, tmp_path, f'url = "{backend.url}"').run().events == 4
    text = json.dumps(backend.got)
    assert "environmentVariables" not in text and "secret" not in text and str(Path.cwd()) not in text


def test_a_builder_with_uuids_is_the_parent(chain, backend):
    from dataclasses import replace

    run = "0193c1d2-0000-7000-8000-000000000001"
    event = replace(next(lineage_events(chain.lab.view(), {})), invocation=run, builder="pkg:pypi/dagster@1")
    open_http(backend.url, "api/v1/lineage", None, 5).send(event)
    parent = backend.got[0][1]["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]["namespace"]) == (run, "pkg:pypi/dagster@1")


def test_an_address_with_a_path_keeps_it(chain, backend):
    event = next(lineage_events(chain.lab.view(), {}))
    open_http(f"{backend.url}/proxy", "v2/events", None, 5).send(event)
    assert backend.got[0][0] == "/proxy/v2/events"


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"url": "http://x", "file": "y"},
        {"url": "ftp://x"},
        {"url": "http://user:password@x"},
        {"url": "http://x", "endpoint": "/absolute"},
        {"url": "http://x", "endpoint": "http://y"},
        {"url": "http://x", "timeout": 0},
        {"file": "x", "token_file": "y"},
        {"url": "http://x", "nonsense": 1},
        {"url": 1},
        [],
    ],
)
def test_settings_that_cannot_be_used(table):
    with pytest.raises(Invalid) as caught:
        read_lineage(table)
    assert caught.value.kind == "settings"


def test_a_token_that_others_can_read_is_refused(chain, tmp_path, backend):
    one = reporter(chain, tmp_path, f'url = "{backend.url}"\n{token(tmp_path, 0o644)}')
    with pytest.raises(Refused):
        one.run()
    assert backend.headers == []


def test_without_the_table_nothing_is_told(chain, tmp_path):
    (tmp_path / "placet.toml").write_text("ctrl = 'x'\n")
    with pytest.raises(NotFound) as caught:
        Reporter(SimpleNamespace(settings=load_settings(tmp_path, {"PLACET_HOME": str(tmp_path)})))
    assert caught.value.kind == "no-lineage"
