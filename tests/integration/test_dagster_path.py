"""From an asset to its publication in Dagster, on real Git: checks, proposal, sensor, promotion, states shown."""

import json
import time

import dagster as dg
import pytest
from dagster import DagsterEvent, DagsterEventType, EventLogEntry

from dagsterdev import Live
from governance.nodes import Site
from governance.test_promote import keys
from placet.client import Client
from placet.core.layout import artifact_uri
from placet.errors import Unavailable
from placet.integrations.dagster import (
    PlacetIOManager,
    PlacetResource,
    merge_sensor,
    policy_checks,
    promotion_job,
    proposal_job,
)
from placet.integrations.dagster import sensor as sensing

ENDLESS = '{"heads": "", "at": Infinity, "waiting": []}'
URL = "https://dagster.example.org/"


def started(run):
    """The event by which Dagster's storage takes a run for one that has begun."""
    return EventLogEntry(
        error_info=None, level="debug", user_message="", run_id=run.run_id, timestamp=time.time(), job_name=run.job_name,
        dagster_event=DagsterEvent(DagsterEventType.RUN_START.value, run.job_name),
    )  # fmt: skip


class Node:
    """A node whose Dagster project has a table, and a sum of it."""

    def __init__(self, folder, instance):
        self.site = Site(folder)
        self.site.lab.clock = Live()
        self.instance = instance
        self.workspace = self.site.machine("agent", key=True)
        self.text = "a,b\n1,2\n"
        self.placet = PlacetResource(
            workspace=str(self.workspace),
            dagster_url=URL,
            code_url="git+https://git.example.org/assets",
            code_commit="ab" * 20,
        )

        @dg.asset(code_version="3")
        def table(placet: PlacetResource) -> dg.MaterializeResult:
            placet.path("outputs/table.csv").write_text(self.text)
            return placet.materialize("outputs/table.csv")

        @dg.asset(code_version="4", deps=[table], metadata={"placet/format": "json"})
        def total() -> int:
            return len(self.text)

        @dg.asset(
            code_version="5",
            metadata={"placet/format": "json"},
            partitions_def=dg.StaticPartitionsDefinition(["x", "y"]),
        )
        def part(context: dg.AssetExecutionContext) -> str:
            return context.partition_key

        self.assets = {"table": table, "total": total, "part": part}
        self.checks = policy_checks([table, total], blocking=True)
        self.sensor = merge_sensor()
        self.defs = dg.Definitions(
            assets=list(self.assets.values()),
            asset_checks=self.checks,
            jobs=[promotion_job(retry=dg.RetryPolicy(max_retries=0)), proposal_job()],
            sensors=[self.sensor],
            resources={
                "placet": self.placet,
                "io_manager": PlacetIOManager(workspace=str(self.workspace)),
            },
        )

    def make(self, *names, checks=False, good=True, **kwargs):
        assets = [self.assets[one] for one in names]
        done = dg.materialize(
            [*assets, *(self.checks if checks else [])],
            instance=self.instance,
            resources=self.defs.resources,
            raise_on_error=False,
            **kwargs,
        )
        assert done.success is good
        return done

    def job(self, name, config, *, tags=None, good=True):
        done = self.defs.get_job_def(name).execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=config, tags=tags
        )
        assert done.success is good
        return done

    def propose(self, *names, good=True, **config):
        config = {"assets": list(names), "message": "Means", **config}
        return self.job("placet_proposal", {"ops": {"propose": {"config": config}}}, good=good)

    def look(self, cursor=None):
        """One tick: what Dagster's daemon makes of the sensor's answer."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=cursor,
            definitions=self.defs,
            resources={"placet": self.placet},
        )
        found = self.sensor.evaluate_tick(context)
        for event in found.asset_events:
            self.instance.report_runless_asset_event(event)
        return found

    def run(self, request, **kwargs):
        """What Dagster does with a run that the sensor asked for."""
        return self.job("placet_promotion", request.run_config, tags=request.tags, **kwargs)

    def shown(self, name):
        """Proposal and state on the asset's page; by partition."""
        records = self.instance.fetch_observations(dg.AssetKey(name), limit=100).records
        out = {}
        for one in records:
            event = one.asset_observation
            texts = [event.metadata[f"placet/{key}"].value for key in ("proposal", "state")]
            out.setdefault(event.partition, tuple(texts))
        return out

    def ids(self):
        return sorted(self.site.lab.view().cases())


@pytest.fixture
def node(tmp_path, monkeypatch):
    for name in (
        "HOME",
        "PLACET_HOME",
        "DVC_SITE_CACHE_DIR",
        "DVC_GLOBAL_CONFIG_DIR",
        "DVC_SYSTEM_CONFIG_DIR",
    ):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        made = Node(tmp_path, instance)
        yield made
        made.site.lab.repo.close()


def failure(done):
    (event,) = [one for one in done.all_events if one.is_step_failure]
    error = event.step_failure_data.error
    return error.cause.message if error.cause else error.message


def test_from_an_asset_to_its_publication_with_every_state_shown(node):
    made = node.make("table", "total")
    node.propose("table", "total")
    (ident,) = node.ids()
    assert node.shown("table") == node.shown("total") == {None: (ident, "PROPOSED")}
    first = node.look()
    assert (first.run_requests, first.asset_events) == ([], [])
    node.site.lab.decide(ident, "alice", "bob")
    approved = node.look(first.cursor)
    assert node.shown("total") == {None: (ident, "APPROVED")}
    node.site.lab.merge(ident)
    landed = node.look(approved.cursor)
    (request,) = landed.run_requests
    assert (request.run_key, request.tags["placet/proposal"]) == (ident, ident)
    assert node.shown("table") == {None: (ident, "LANDED")}
    assert node.run(request).output_for_node("record_promotion") == [ident]
    assert node.site.published() == keys(node.site.source)
    last = node.look(landed.cursor)
    assert (last.run_requests, last.skip_message) == ([], "Nothing landed.")
    assert node.shown("table") == node.shown("total") == {None: (ident, "PUBLISHED")}
    for cursor in (last.cursor, None, "", "{", "[]", '{"heads": 1}', first.cursor, ENDLESS, "[" * 9999):
        again = node.look(cursor)
        assert (again.run_requests, again.asset_events) == ([], [])
    provenance = node.site.lab.view().find(ident).manifest.body.provenance
    assert provenance.asset == "table, total"
    assert provenance.invocation == made.run_id
    assert provenance.invocation_url == f"{URL}runs/{made.run_id}"
    assert provenance.code.digest == {"gitCommit": "ab" * 20}
    digest = made.asset_materializations_for_node("table")[0].metadata["placet/sha256"].value
    (used,) = provenance.dependencies
    assert used.uri == artifact_uri("ab" * 16, "site-b", "outputs/table.csv")
    assert (used.name, used.digest) == ("table", {"sha256": digest})


def test_a_look_at_branches_that_did_not_move_asks_for_them_only(node, monkeypatch):
    first = node.look()
    with monkeypatch.context() as patch:
        patch.setattr(Client, "view", lambda self, **kwargs: pytest.fail("it was loaded"))
        assert node.look(first.cursor).run_requests == []
    old = json.dumps({**json.loads(first.cursor), "at": json.loads(first.cursor)["at"] - 3601})
    assert json.loads(node.look(old).cursor)["at"] > json.loads(old)["at"]


def test_a_promotion_that_runs_or_just_failed_is_not_asked_for_again_until_later(node, monkeypatch):
    node.make("table")
    node.propose("table")
    (ident,) = node.ids()
    node.site.lab.decide(ident, "alice", "bob")
    node.site.lab.merge(ident)
    (request,) = node.look().run_requests
    under_way = node.instance.create_run_for_job(
        node.defs.get_job_def("placet_promotion"), tags=request.tags, run_config=request.run_config
    )
    assert node.look().run_requests == []
    node.instance.report_run_canceled(under_way)

    def fail(*args, **kwargs):
        raise Unavailable("The store does not answer.", kind="store-unreachable")

    with monkeypatch.context() as patch:
        patch.setattr(PlacetResource, "promote", fail)
        node.run(request, good=False)
    waiting = node.look()
    assert waiting.run_requests == []
    assert waiting.skip_message.startswith("1 proposals wait")
    assert node.look(waiting.cursor).run_requests == []
    assert node.shown("table") == {None: (ident, "LANDED")}
    monkeypatch.setattr(sensing, "_FIRST_WAIT_S", 0)
    (again,) = node.look(waiting.cursor).run_requests
    assert again.run_key.startswith(f"{ident}:")
    assert again.run_key == node.look().run_requests[0].run_key
    node.run(again)
    assert node.look(waiting.cursor).run_requests == []
    assert node.site.lab.state(ident) == "PUBLISHED"


def test_a_run_whose_process_was_killed_is_waited_for_and_then_taken_for_lost(node, monkeypatch):
    node.make("table")
    node.propose("table")
    (ident,) = node.ids()
    node.site.lab.decide(ident, "alice", "bob")
    node.site.lab.merge(ident)
    (request,) = node.look().run_requests
    killed = node.instance.create_run_for_job(
        node.defs.get_job_def("placet_promotion"), tags=request.tags, run_config=request.run_config
    )
    node.instance.handle_new_event(started(killed))
    assert node.look().run_requests == []
    monkeypatch.setattr(sensing, "_LOST_S", 0)
    monkeypatch.setattr(sensing, "_FIRST_WAIT_S", 0)
    (again,) = node.look().run_requests
    assert again.run_key == f"{ident}:{killed.run_id}"
    node.run(again)
    assert node.site.lab.state(ident) == "PUBLISHED"
    assert node.look().run_requests == []


def test_many_merges_between_two_looks_are_promoted_each_and_one_that_fails_stops_no_other(node, monkeypatch):
    before = node.look()
    for name in ("table", "total"):
        node.make(name)
        node.propose(name)
    node.make("part", partition_key="x")
    node.propose("part")
    idents = node.ids()
    for ident in idents:
        node.site.lab.decide(ident, "alice", "bob")
        node.site.lab.merge(ident)
    first, second = node.look(before.cursor), node.look(before.cursor)  # two daemons, or one that forgot
    assert sorted(one.run_key for one in first.run_requests) == idents
    assert [one.run_key for one in first.run_requests] == [one.run_key for one in second.run_requests]
    failing, *others = first.run_requests
    digest = node.site.lab.view().find(failing.run_key).manifest.body.artifacts[0].md5
    (lost,) = [one for one in keys(node.site.source) if digest in one.replace("/", "")]
    node.site.source.delete(lost)
    for one in first.run_requests:
        node.run(one, good=one is not failing)
    assert {one.run_key: str(node.site.lab.state(one.run_key)) for one in first.run_requests} == {
        failing.run_key: "LANDED",
        **{one.run_key: "PUBLISHED" for one in others},
    }
    assert node.look(first.cursor).run_requests == []


def test_a_ctrl_repository_that_does_not_answer_fails_the_look_and_loses_nothing(node):
    node.make("table")
    node.propose("table")
    (ident,) = node.ids()
    before = node.look()
    node.site.lab.decide(ident, "alice", "bob")
    node.site.lab.merge(ident)
    server = node.site.folder / "ctrl.git"
    server.rename(away := node.site.folder / "away.git")
    with pytest.raises(Unavailable, match=r"ctrl\.git does not answer"):
        node.look(before.cursor)
    away.rename(server)
    assert [one.run_key for one in node.look(before.cursor).run_requests] == [ident]


def test_what_is_frozen_or_another_nodes_is_not_promoted(node):
    lab = node.site.lab
    lab.landed("outputs/other.csv", node="site-a")
    node.make("table")
    node.propose("table")
    ident = next(one for one in node.ids() if lab.view().find(one).manifest.body.node == "site-b")
    lab.decide(ident, "alice", "bob")
    lab.merge(ident)
    assert [one.run_key for one in node.look().run_requests] == [ident]


def test_what_was_proposed_on_the_command_line_is_shown_too_and_what_was_taken_back(node):
    node.make("part", partition_key="x")
    node.make("part", partition_key="y")
    with Client(node.workspace) as client:
        ident = client.propose([node.workspace / "outputs/part/y.json"], message="by hand").id
    node.look()
    assert node.shown("part") == {"y": (ident, "PROPOSED")}
    with Client(node.workspace) as client:
        client.withdraw(ident, reason="a mistake")
    node.look()
    assert node.shown("part") == {"y": (ident, "WITHDRAWN")}
    assert node.look().asset_events == []


def test_partitions_are_proposed_each_as_an_artifact(node):
    node.make("part", partition_key="x")
    node.make("part", partition_key="y")
    node.propose("part", partitions=["x"])
    node.propose("part")
    found = [
        [one.path for one in node.site.lab.view().find(one).manifest.body.artifacts] for one in node.ids()
    ]
    assert sorted(found) == [["outputs/part/x.json"], ["outputs/part/x.json", "outputs/part/y.json"]]
    assert "no output of part, partition z" in failure(node.propose("part", partitions=["z"], good=False))
    assert "no output of nothing" in failure(node.propose("nothing", good=False))


def test_other_bytes_than_those_that_dagster_recorded_are_not_proposed(node):
    node.make("table")
    (node.workspace / "outputs/table.csv").write_text("a,b\n3,4\n")
    assert "is not what was tracked" in failure(node.propose("table", good=False))
    with Client(node.workspace) as client:
        client.track(["outputs/table.csv"])
    assert "is not the version that Dagster recorded" in failure(node.propose("table", good=False))
    assert node.ids() == []
    node.text = "a,b\n3,4\n"
    node.make("table")
    node.propose("table")
    node.propose("table")
    assert len(node.ids()) == 1


def test_an_asset_proposes_its_own_output(node):
    placet = node.placet

    @dg.asset(code_version="9", deps=[node.assets["table"]])
    def own(context: dg.AssetExecutionContext, placet: PlacetResource) -> dg.MaterializeResult:
        placet.path("outputs/own.csv").write_text("a\n1\n")
        result = placet.materialize("outputs/own.csv")
        placet.propose(context, ["outputs/own.csv"], "Means")
        return result

    node.make("table")
    done = dg.materialize([own], instance=node.instance, resources={"placet": placet})
    (ident,) = node.ids()
    provenance = node.site.lab.view().find(ident).manifest.body.provenance
    assert (provenance.asset, provenance.invocation, provenance.code_version) == ("own", done.run_id, "9")
    (used,) = provenance.dependencies
    assert used.uri.endswith("/artifacts/site-b/outputs/table.csv")


def test_the_policy_check_says_what_a_proposal_would_hear_and_stops_what_is_downstream(node):
    done = node.make("table", "total", checks=True)
    by_asset = {one.asset_key.to_user_string(): one for one in done.get_asset_check_evaluations()}
    found = by_asset["table"]
    assert found.passed
    assert found.metadata["placet/rules"].value == "default"
    assert "2 " in found.metadata["placet/needs"].value
    before = node.instance.get_latest_materialization_event(dg.AssetKey("total")).run_id
    node.text = "a,b\n" + "1,2\n" * 300_000  # more bytes than the rule allows
    failed = node.make("table", "total", checks=True, good=False)
    (found,) = failed.get_asset_check_evaluations()
    assert not found.passed
    assert "rule default allows 1000000" in found.metadata["placet/reasons"].value[0]
    assert node.instance.get_latest_materialization_event(dg.AssetKey("total")).run_id == before
    assert node.ids() == []
