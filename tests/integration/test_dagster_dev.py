"""The example on a real instance, from a fresh folder: `dagster dev`, GraphQL, a restart, a lost cursor."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from dagsterdev import Dev, Live, until
from governance.nodes import Site
from governance.test_promote import keys

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "dagster-node"
VISITS = Path("src/dagster_node/defs/visits.py")


@pytest.fixture
def settled(tmp_path, monkeypatch):
    """A node's workspace, and a copy of the example whose sensor looks more often."""
    folder = tmp_path
    for name in (
        "HOME",
        "PLACET_HOME",
        "DVC_SITE_CACHE_DIR",
        "DVC_GLOBAL_CONFIG_DIR",
        "DVC_SYSTEM_CONFIG_DIR",
    ):
        monkeypatch.setenv(name, str(folder / name))
    site = Site(folder)
    site.lab.clock = Live()
    workspace = site.machine("agent", key=True)
    project = folder / "project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".venv"))
    yaml = project / "src/dagster_node/defs/placet/defs.yaml"
    yaml.write_text(yaml.read_text().replace("look_every_s: 30", "look_every_s: 1"))
    yield site, workspace, Dev(project, folder / "dagster", {"PLACET_WORKSPACE": str(workspace)})
    site.lab.repo.close()


def version(asset):
    return asset["assetMaterializations"][0]["tags"]["dagster/data_version"]


def shown(asset):
    """Proposal and state of an asset, as its page shows them."""
    seen = asset["assetObservations"]
    return (seen[0]["metadata"]["placet/proposal"], seen[0]["metadata"]["placet/state"]) if seen else None


def test_a_newcomers_day(settled):
    site, workspace, dev = settled
    with dev:
        filled = dev.backfill("ages", ["2026-01", "2026-03"])  # Dagster looks for these every 30 s
        run = dev.launch("__ASSET_JOB", ["visits", "summary", "report"])
        assert dev.finished(run) == "SUCCESS"
        summary = dev.asset("summary")
        shows_what_was_tracked(workspace, summary)
        (check,) = summary["assetChecksOrError"]["checks"]
        assert check["executionForLatestMaterialization"]["status"] == "SUCCEEDED"
        assert dev.asset("report")["staleStatus"] == summary["staleStatus"] == "FRESH"
        assert "2026-02" in (workspace / "outputs/report.txt").read_text()

        config = {"ops": {"propose": {"config": {"assets": ["summary", "report"], "message": "Means"}}}}
        assert dev.finished(dev.launch("placet_proposal", config=config)) == "SUCCESS"
        (ident,) = site.lab.view().cases()
        assert shown(dev.asset("report")) == (ident, "PROPOSED")
        assert site.published() == set()
        site.lab.decide(ident, "alice", "bob")
        site.lab.merge(ident)
        (promoted,) = until(lambda: dev.runs(**{"placet/proposal": ident}))
        assert dev.finished(promoted) == "SUCCESS"
        until(lambda: shown(dev.asset("report")) == shown(dev.asset("summary")) == (ident, "PUBLISHED"))
        assert len(site.published()) == 2
        assert site.published() < keys(site.source)

        dev.reset_cursor()
        code = dev.project / VISITS
        code.write_text(code.read_text().replace("20260101", "20260102"))
        dev.reload()
        before = version(dev.asset("visits"))
        assert dev.finished(dev.launch("__ASSET_JOB", ["visits"])) == "SUCCESS"
        assert version(dev.asset("visits")) != before
        assert dev.asset("summary")["staleStatus"] == "STALE"
        assert dev.asset("report")["staleStatus"] == "FRESH"  # only of what it is made of directly

        each_month_is_an_artifact(dev, filled)
        until(lambda: dev.sensor()["cursor"])
    with dg.DagsterInstance.from_config(str(dev.home)) as instance:
        (state,) = instance.all_instigator_state()
        many = len(instance.get_ticks(state.instigator_origin_id, state.selector_id))
        with dev.daemon():  # a restart; the sensor is still on

            def looked():
                found = instance.get_ticks(state.instigator_origin_id, state.selector_id)
                return found if len(found) > many and found[0].is_completed else None

            ticks = until(looked)
        assert [one.error for one in ticks if one.error] == []
        runs = instance.get_run_records(dg.RunsFilter(tags={"placet/proposal": ident}))
        assert [one.dagster_run.run_id for one in runs] == [promoted]
        seen = instance.fetch_observations(dg.AssetKey("report"), limit=100).records
        states = [one.asset_observation.metadata["placet/state"].value for one in seen]
        assert states[-1] == "PROPOSED"
        assert len(states) == len(set(states))  # each state was told once


def each_month_is_an_artifact(dev, filled):
    done = until(lambda: ended(dev.runs(**{"dagster/backfill": filled}), 2))
    assert set(done.values()) == {"SUCCESS"}
    months = {one["partition"]: one for one in dev.asset("ages")["assetMaterializations"]}
    assert {key: one["metadata"]["placet/path"] for key, one in months.items()} == {
        "2026-01": "outputs/ages/2026-01.json",
        "2026-03": "outputs/ages/2026-03.json",
    }
    assert len({one["tags"]["dagster/data_version"] for one in months.values()}) == 2


def ended(runs, many):
    done = len(runs) == many and all(one in {"SUCCESS", "FAILURE", "CANCELED"} for one in runs.values())
    return runs if done else None


def shows_what_was_tracked(workspace, asset):
    (made,) = asset["assetMaterializations"]
    metadata = made["metadata"]
    assert (workspace / "outputs/summary.csv").stat().st_size == metadata["placet/size"]
    assert made["tags"]["dagster/data_version"] == f"sha256:{metadata['placet/sha256']}"
    assert made["tags"]["dagster/code_version"] == "1"
    assert metadata["placet/metafile"] == "outputs/summary.csv.dvc"
    assert (metadata["placet/tier"], metadata["dagster/row_count"]) == ("internal-storage", 3)
    assert "dagster/column_schema" in metadata
