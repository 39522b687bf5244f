"""The promotion job on a real Dagster instance: one step a shard, one that fails and is tried again, one record."""

import dagster as dg
import pytest

from governance.nodes import Site
from governance.test_promote import keys, land_folder
from placet.adapters.objects.local import LocalStore
from placet.engine.shards import Shard
from placet.errors import Unavailable
from placet.integrations.dagster import PlacetResource, promotion_job

FILES = {f"part-{number:02}": b"%d" % number for number in range(24)}


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name in (
        "HOME",
        "PLACET_HOME",
        "DVC_SITE_CACHE_DIR",
        "DVC_GLOBAL_CONFIG_DIR",
        "DVC_SYSTEM_CONFIG_DIR",
    ):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "dagster").mkdir()
    site = Site(tmp_path)
    workspace = str(site.machine("agent", key=True))
    defs = dg.Definitions(
        jobs=[promotion_job(retry=dg.RetryPolicy(max_retries=2))],
        resources={"placet": PlacetResource(workspace=workspace)},
    )
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:

        def execute(**config):
            return defs.get_job_def("placet_promotion").execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config={"ops": {"plan_shards": {"config": config}}},
            )

        yield site, execute
    site.lab.repo.close()


def steps(done, kind):
    return [event.step_key for event in done.all_events if event.event_type_value == kind]


def test_one_step_a_shard_and_what_fails_is_tried_again(run, monkeypatch):
    site, execute = run
    ident = land_folder(site.lab, site, FILES)
    failing = next(key for key in keys(site.source) if not key.endswith(".dir") and Shard(2, 3).holds(key))
    put, failures = LocalStore.put, []

    def once(self, key, *args, **kwargs):
        if key == failing and not failures:
            failures.append(key)
            raise Unavailable("The store does not answer.", kind="store-unreachable")
        return put(self, key, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "put", once)
    done = execute(proposals=[ident[:10]], shards=3)
    assert done.success
    assert steps(done, "STEP_UP_FOR_RETRY") == [f"copy_shard[{ident[:12]}_2_of_3]"]
    assert sum(key.startswith("copy_shard[") for key in steps(done, "STEP_SUCCESS")) == 3
    assert failures == [failing]
    assert site.published() == keys(site.source)
    assert done.output_for_node("record_promotion") == [ident]
    assert site.lab.state(ident) == "PUBLISHED"
    again = execute()
    assert again.success
    assert steps(again, "STEP_SUCCESS") == ["plan_shards", "record_promotion"]


def test_what_may_not_be_promoted_fails_if_it_was_named_and_is_left_out_if_not(run):
    site, execute = run
    site.lab.later(days=-40)
    ident = land_folder(site.lab, site, FILES)
    named = execute(proposals=[ident])
    assert not named.success
    assert steps(named, "STEP_FAILURE") == [f"copy_shard[{ident[:12]}_1_of_1]"]
    done = execute()
    assert done.success
    assert done.output_for_node("record_promotion") == []
    assert site.published() == set()


def test_a_refusal_is_not_tried_again(run, monkeypatch):
    site, execute = run
    ident = land_folder(site.lab, site, FILES)
    shards = PlacetResource.shards

    def lose_after(self, proposals=()):
        planned = shards(self, proposals)
        for key in keys(site.source):
            site.source.delete(key)
        return planned

    monkeypatch.setattr(PlacetResource, "shards", lose_after)
    done = execute(proposals=[ident], shards=2)
    assert not done.success
    assert steps(done, "STEP_UP_FOR_RETRY") == []
    assert site.published() == set()
    assert site.lab.state(ident) == "LANDED"
