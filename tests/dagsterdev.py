"""`dagster dev` as a user starts it: web server, daemon and code server, on a free port; asked by GraphQL.

What it takes is the start of processes (each imports Dagster), and Dagster's own loops: 5 s of sensors, 30 s of
backfills. So tests start few, and let a backfill run beside all else.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

LIMIT_S = 400
CONFIG = """\
telemetry: {enabled: false}
nux: {enabled: false}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1}
"""
_REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "dagster_node.definitions"}


def until(look, limit_s=LIMIT_S):
    """What `look` answers, as soon as that is true."""
    end = time.monotonic() + limit_s
    while not (found := look()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)
    return found


class Live:
    """A clock for a lab whose proposals come from programs that have the machine's."""

    @property
    def time(self):
        return datetime.now(UTC)

    def now(self):
        return self.time


class Dev:
    """An instance whose home outlives it."""

    def __init__(self, project, home, environ):
        self.project, self.home, self.environ = project, home, environ
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_text(CONFIG)

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with self._begun("dagster", "dev", "-h", "127.0.0.1", "-p", str(self.port)) as self.process:
            until(self._answers)
        return self

    def __exit__(self, *_):
        self._end(self.process)

    @contextmanager
    def daemon(self):
        """The daemon alone, as where it is a service of its own."""
        with self._begun("dagster-daemon", "run") as process:
            try:
                yield
            finally:
                self._end(process)

    @contextmanager
    def _begun(self, program, *args):
        environ = {
            **os.environ,
            **self.environ,
            "DAGSTER_HOME": str(self.home),
            "PYTHONPATH": str(self.project / "src"),
        }
        with (self.home / "log").open("ab") as log:
            yield subprocess.Popen(
                [Path(sys.executable).parent / program, *args, "-m", "dagster_node.definitions"],
                cwd=self.project, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env=environ,
            )  # fmt: skip

    def _end(self, process):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def _answers(self):
        assert self.process.poll() is None, (self.home / "log").read_text()[-3000:]
        with suppress(OSError, urllib.error.URLError):
            return self.ask("{ workspaceOrError { __typename } }")

    def ask(self, query, **variables):
        """The data of a GraphQL answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def launch(self, job, assets=(), config=None):
        """Start a run; its id."""
        found = self.ask(
            """mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
                 ... on RunConfigValidationInvalid { errors { message } } } }""",
            p={
                "selector": {
                    **_REPOSITORY, "pipelineName": job,
                    **({"assetSelection": [{"path": [one]} for one in assets]} if assets else {}),
                },
                "mode": "default",
                "runConfigData": config or {},
            },
        )["launchPipelineExecution"]  # fmt: skip
        assert found["__typename"] == "LaunchRunSuccess", found
        return found["run"]["runId"]

    def backfill(self, asset, partitions):
        """Start a backfill; its id."""
        found = self.ask(
            """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
            p={"assetSelection": [{"path": [asset]}], "partitionNames": partitions},
        )["launchPartitionBackfill"]
        assert found["__typename"] == "LaunchBackfillSuccess", found
        return found["backfillId"]

    def runs(self, **tags):
        """Id -> status of the runs with these tags."""
        found = self.ask(
            "query($f: RunsFilter) { runsOrError(filter: $f) { ... on Runs { results { runId status } } } }",
            f={"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        )["runsOrError"]["results"]
        return {one["runId"]: one["status"] for one in found}

    def finished(self, run):
        """Wait for a run; its status."""

        def status():
            found = self.ask("query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }", r=run)
            return found["runOrError"]["status"] if found["runOrError"]["status"] in _ENDS else None

        return until(status)

    def asset(self, name):
        """What an asset's page shows."""
        found = self.ask(_ASSET, k={"path": [name]})["assetNodeOrError"]
        for one in found["assetMaterializations"] + found["assetObservations"]:
            one["metadata"] = {m["label"]: m.get("text", m.get("intValue")) for m in one["metadataEntries"]}
            one["tags"] = {tag["key"]: tag["value"] for tag in one["tags"]}
        return found

    def sensor(self):
        """The sensor's state and last ticks."""
        found = self.ask(_SENSOR, s={**_REPOSITORY, "sensorName": "placet_merge"})["sensorOrError"][
            "sensorState"
        ]
        return {**found, "cursor": found["typeSpecificData"]["lastCursor"]}

    def reload(self):
        """As the button of the code location."""
        found = self.ask(
            """mutation($n: String!) { reloadRepositoryLocation(repositoryLocationName: $n) {
                 ... on WorkspaceLocationEntry { locationOrLoadError { __typename } } } }""",
            n=_REPOSITORY["repositoryLocationName"],
        )["reloadRepositoryLocation"]
        assert found["locationOrLoadError"]["__typename"] == "RepositoryLocation", found

    def reset_cursor(self):
        """As the button of the sensor's page."""
        self.ask(
            """mutation($s: SensorSelector!) { setSensorCursor(sensorSelector: $s, cursor: null) {
                 __typename ... on PythonError { message } } }""",
            s={**_REPOSITORY, "sensorName": "placet_merge"},
        )


_ENDS = {"SUCCESS", "FAILURE", "CANCELED"}
_ASSET = """query($k: AssetKeyInput!) { assetNodeOrError(assetKey: $k) { ... on AssetNode {
  staleStatus
  assetMaterializations(limit: 100) { runId partition tags { key value } metadataEntries {
    label ... on TextMetadataEntry { text } ... on IntMetadataEntry { intValue } } }
  assetObservations(limit: 100) { partition tags { key value } metadataEntries {
    label ... on TextMetadataEntry { text } } }
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } } } } }"""
_SENSOR = """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { sensorState {
  status ticks(limit: 20) { status runIds error { message } }
  typeSpecificData { ... on SensorData { lastCursor } } } } } }"""
