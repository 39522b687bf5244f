"""The Dagster integration on real Dagster runs, with a DVC project and a local remote."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from placet.client import Client
from placet.errors import Corrupt, NotFound
from placet.integrations.dagster import PlacetIOManager, PlacetResource, provenance

VERSION = "dagster/data_version"


def materialize(assets, resources, instance):
    done = dg.materialize(assets, instance=instance, resources=resources)
    assert done.success
    return {
        asset.key.to_user_string(): instance.get_latest_materialization_event(asset.key) for asset in assets
    }


def version(event):
    return event.asset_materialization.tags[VERSION]


def test_the_data_version_is_the_contents(workspace, tmp_path):
    content = {"text": "one"}

    @dg.asset(code_version="7")
    def table(placet: PlacetResource) -> dg.MaterializeResult:
        placet.path("outputs/table.csv").write_text(content["text"])
        return placet.materialize("outputs/table.csv", metadata={"mine": 1})

    resources = {"placet": PlacetResource(workspace=str(workspace))}
    with dg.DagsterInstance.ephemeral() as instance:
        first = materialize([table], resources, instance)["table"]
        again = materialize([table], resources, instance)["table"]
        content["text"] = "two"
        other = materialize([table], resources, instance)["table"]
    assert version(first) == version(again) != version(other)
    metadata = {key: one.value for key, one in first.asset_materialization.metadata.items()}
    assert version(first) == f"sha256:{metadata['placet/sha256']}"
    assert metadata["placet/metafile"] == "outputs/table.csv.dvc"
    assert (metadata["placet/size"], metadata["placet/tier"], metadata["mine"]) == (3, "internal-storage", 1)
    assert len(list((tmp_path / "remote" / "files").rglob("*"))) >= 4


def test_what_assets_return_is_kept_and_verified_when_loaded(workspace, tmp_path):
    @dg.asset
    def numbers() -> list[int]:
        return [1, 2, 3]

    @dg.asset
    def folder() -> Path:
        made = tmp_path / "made"
        made.mkdir(exist_ok=True)
        (made / "a.txt").write_text("a")
        return made

    @dg.asset
    def total(numbers: list[int], folder: Path) -> int:
        return sum(numbers) + len(list(folder.iterdir()))

    resources = {"io_manager": PlacetIOManager(workspace=str(workspace), push=False)}
    with dg.DagsterInstance.ephemeral() as instance:
        events = materialize([numbers, folder, total], resources, instance)
        assert all(version(event).startswith("sha256:") for event in events.values())
        assert pickle.loads((workspace / "outputs/total.pkl").read_bytes()) == 7
        (workspace / "outputs/numbers.pkl").unlink()
        (workspace / "outputs/numbers.pkl").write_bytes(pickle.dumps([9]))
        done = dg.materialize(
            [numbers, folder, total],
            selection=[total],
            instance=instance,
            resources=resources,
            raise_on_error=False,
        )
        assert not done.success
    manager = resources["io_manager"]
    with dg.build_output_context(asset_key=dg.AssetKey(["group", "x"])) as context:
        manager.handle_output(context, {"a": 1})
    with dg.build_input_context(asset_key=dg.AssetKey(["group", "x"])) as context:
        assert manager.load_input(context) == {"a": 1}
    (workspace / "outputs/group/x.pkl").unlink()
    (workspace / "outputs/group/x.pkl").write_bytes(b"tampered")
    with dg.build_input_context(asset_key=dg.AssetKey(["group", "x"])) as context, pytest.raises(Corrupt):
        manager.load_input(context)
    with dg.build_input_context(asset_key=dg.AssetKey("none")) as context, pytest.raises(NotFound):
        manager.load_input(context)


def test_partitions_are_artifacts_of_their_own(workspace, tmp_path):
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
    def part(context: dg.AssetExecutionContext) -> str:
        return context.partition_key

    resources = {"io_manager": PlacetIOManager(workspace=str(workspace), push=False)}
    with dg.DagsterInstance.ephemeral() as instance:
        for key in ("a", "b"):
            assert dg.materialize([part], partition_key=key, instance=instance, resources=resources).success
    assert pickle.loads((workspace / "outputs/part/b.pkl").read_bytes()) == "b"
    assert (workspace / "outputs/part/a.pkl.dvc").is_file()


def test_provenance_names_the_run(workspace, tmp_path):
    found = []

    @dg.asset
    def source() -> int:
        return 1

    @dg.asset(code_version="3", deps=[source])
    def table(context: dg.AssetExecutionContext) -> None:
        found.append(provenance(context))

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([source, table], instance=instance)
    assert (found[0].asset, found[0].code_version) == ("table", "3")
    assert [(one.name, one.uri) for one in found[0].dependencies] == [("source", "dagster:asset/source")]
    assert found[0].invocation == done.run_id
    assert found[0].builder.startswith("pkg:pypi/dagster@1.")


PROCESSES = """
import os, signal, sys
from pathlib import Path
import dagster as dg
from placet.integrations.dagster import PlacetIOManager, PlacetResource

WORKSPACE = {workspace!r}
QUICKLY = {{"start_method": {{"forkserver": {{"preload_modules": ["placet.integrations.dagster"]}}}}}}

def make(number):
    @dg.asset(name=f"asset_{{number}}")
    def one(placet: PlacetResource) -> dg.MaterializeResult:
        with placet.fresh(f"outputs/{{number}}.txt") as place:
            place.write_text(str(number))
            if number == 3 and not Path("killed").exists():
                Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return placet.materialize(f"outputs/{{number}}.txt", written=place)
    return one

@dg.asset(deps=["asset_3"])
def last() -> int:
    return 1

def job():
    return dg.Definitions(
        assets=[*(make(number) for number in range(4)), last],
        resources={{
            "placet": PlacetResource(workspace=WORKSPACE),
            "io_manager": PlacetIOManager(workspace=WORKSPACE),
        }},
        jobs=[dg.define_asset_job("everything")],
        executor=dg.multiprocess_executor.configured({{"max_concurrent": 5, **QUICKLY}}),
    ).get_job_def("everything")

if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        made = lambda done: sorted(one.step_key for one in done.all_events if one.is_step_success)
        with dg.execute_job(dg.reconstructable(job), instance) as first:
            print(first.success, *made(first))
        again = dg.ReexecutionOptions.from_failure(first.run_id, instance)
        with dg.execute_job(dg.reconstructable(job), instance, reexecution_options=again) as second:
            print(second.success, *made(second))
"""


def test_steps_in_processes_take_turns_and_one_that_was_killed_is_made_again(workspace):
    """Four assets in four processes, tracking at the same time in one workspace; one is killed in its middle."""
    file = workspace.parent / "defs.py"
    file.write_text(PROCESSES.format(workspace=str(workspace)))
    done = subprocess.run(
        [sys.executable, file],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
        cwd=workspace.parent,
    )
    assert done.stdout.splitlines() == ["False asset_0 asset_1 asset_2", "True asset_3 last"], done.stderr[
        -3000:
    ]
    names = {one.name for one in (workspace / "outputs").iterdir()}
    made = [*(f"{n}.txt" for n in range(4)), "last.pkl"]
    assert names == {".gitignore", *made, *(f"{one}.dvc" for one in made)}
    with Client(workspace) as client:
        for one in made:
            client.prove(workspace / "outputs" / one)


def test_the_demos_project_is_reproducible_and_shows_no_patient(workspace, tmp_path):
    command = [
        sys.executable, "-m", "placet.demo.nodeproject", "--workspace", workspace, "--site", "site-b",
        "--home", tmp_path / "dagster",
    ]  # fmt: skip
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(first) == 3
    assert first == again
    assert len(list((workspace / "outputs/replicates").glob("*.parquet"))) == 1000
    summary = (workspace / "outputs/summary.csv").read_text().splitlines()
    assert len(summary) == 12
    assert all(line.split(",")[1] == "221" for line in summary[1:])
    model = pickle.loads((workspace / "outputs/model.pkl").read_bytes())
    assert model.coef_.shape == (10,)
    assert sum(value.size for value in vars(model).values() if hasattr(value, "size")) < 221
