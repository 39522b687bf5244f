"""The component as `dg` makes and loads it, its commands as real processes, and processes that have no Dagster."""

import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox

from placet.client import Client
from placet.integrations.dagster import PlacetComponent

# Of Dagster itself, of its YAML, its components and Pipes.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]


def load(attributes, files=()):
    """The definitions of a component in a folder of its own."""
    with create_defs_folder_sandbox() as sandbox:
        where = sandbox.scaffold_component(
            component_cls=PlacetComponent,
            defs_yaml_contents={
                "type": "placet.integrations.dagster.PlacetComponent",
                "attributes": attributes,
            },
        )
        for name, text in dict(files).items():
            (where / name).write_text(text)
        with sandbox.load_component_and_build_defs(defs_path=where) as (component, defs):
            yield component, defs


@pytest.fixture
def loaded():
    """Loads components whose folders stay until the test has ended."""
    kept = []

    def begin(attributes, **files):
        kept.append(load(attributes, {f"{name}.py": text for name, text in files.items()}))
        return next(kept[-1])[1]

    yield begin
    for one in kept:
        next(one, None)


def make(defs, instance, *names, good=True, **kwargs):
    job = defs.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(one) for one in names], raise_on_error=False, **kwargs
    )
    assert done.success is good
    return done


def test_all_that_a_component_brings(loaded):
    defs = loaded(
        {
            "workspace": "somewhere",
            "io_manager": "io_manager",
            "promote": True,
            "blocking": True,
            "tier": "publication-storage",
            "look_every_s": 60,
            "outputs": [
                {
                    "path": "outputs/a.csv",
                    "command": ["python", "a.py"],
                    "asset": {"key": "group/a", "code_version": "v7"},
                }
            ],
            "checked": ["other"],
        }
    )
    assert (
        defs.resolve_assets_def(["group", "a"]).specs_by_key[dg.AssetKey(["group", "a"])].code_version == "v7"
    )
    sensor = defs.resolve_sensor_def("placet_merge")
    assert (sensor.default_status, sensor.minimum_interval_seconds) == (dg.DefaultSensorStatus.RUNNING, 60)
    assert sensor.job_name == "placet_promotion"
    assert {job.name for job in defs.jobs} == {"placet_promotion", "placet_proposal"}
    checked = defs.resolve_asset_graph().asset_check_keys
    assert {key.asset_key.to_user_string() for key in checked} == {"group/a", "other"}
    assert Path(defs.resources["placet"].workspace).is_absolute()
    assert defs.resources["io_manager"].workspace == defs.resources["placet"].workspace


def test_a_location_of_assets_alone_has_no_job_that_needs_a_key(loaded):
    defs = loaded({"workspace": "somewhere", "publish": False})
    assert (list(defs.jobs), list(defs.sensors)) == ([], [])


def test_a_workspace_that_is_not_set_is_named(loaded, monkeypatch):
    monkeypatch.delenv("PLACET_WORKSPACE", raising=False)
    with pytest.raises(Exception, match="PlacetComponent") as caught:
        loaded({"workspace": "{{ env.PLACET_WORKSPACE }}"})
    found = caught.value
    while found.__cause__ is not None:
        found = found.__cause__
    assert "set PLACET_WORKSPACE to the folder with placet.toml" in str(found)


WRITE = "import os; from pathlib import Path; Path(os.environ['PLACET_OUTPUT']).write_text('a,b\\n1,2\\n')"
READ = """
from pathlib import Path
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    found = pipes.get_extra("inputs")
    text = Path(found["a"]).read_text() + str(sorted(found["parts"]))
    Path(pipes.get_extra("output")).mkdir()
    (Path(pipes.get_extra("output")) / "copy").write_text(text)
    pipes.report_asset_materialization(metadata={"mine": 1, "placet/kind": "none"})
"""
PART = """
from pathlib import Path
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    Path(pipes.get_extra("output")).write_text(pipes.partition_key + str(pipes.get_extra("inputs")))
"""


def test_commands_make_outputs_of_verified_inputs(loaded, workspace, tmp_path):
    defs = loaded(
        {
            "workspace": str(workspace),
            "check": False,
            "outputs": [
                {"path": "outputs/a.csv", "command": "python write.py", "asset": {"key": "a"}},
                {
                    "path": "outputs/parts/{partition}.txt",
                    "command": "python part.py",
                    "asset": {
                        "key": "parts",
                        "deps": ["a"],
                        "partitions_def": {"type": "static", "partition_keys": ["x", "y"]},
                    },
                },
                {
                    "path": "outputs/b",
                    "command": "python read.py",
                    "asset": {"key": "b", "deps": ["a", "parts"]},
                },
            ],
        },
        write=WRITE,
        read=READ,
        part=PART,
    )
    with dg.DagsterInstance.ephemeral() as instance:
        make(defs, instance, "a")
        make(defs, instance, "parts", partition_key="x")
        make(defs, instance, "parts", partition_key="y")
        done = make(defs, instance, "b")
        several = {"dagster/asset_partition_range_start": "x", "dagster/asset_partition_range_end": "y"}
        make(defs, instance, "parts", tags=several, good=False)  # one process makes one output
        (event,) = done.asset_materializations_for_node("b")
        assert (event.metadata["mine"].value, event.metadata["placet/kind"].value) == (1, "directory")
        assert event.tags["dagster/data_version"] == f"sha256:{event.metadata['placet/sha256'].value}"
        assert (workspace / "outputs/b/copy").read_text() == "a,b\n1,2\n['x', 'y']"
        assert (workspace / "outputs/parts/x.txt").read_text().startswith("x{'a': '")
        (workspace / "outputs/a.csv").write_text("a,b\n3,4\n")
        make(defs, instance, "b", good=False)
        with Client(workspace) as client:
            client.track(["outputs/a.csv"])
        make(defs, instance, "b", good=False)
    made = {one.name for one in (workspace / "outputs").iterdir() if one.suffix != ".dvc"}
    assert made == {".gitignore", "a.csv", "b", "parts"}


@pytest.mark.parametrize("program", ["import sys; sys.exit(3)", "pass"])
def test_a_command_that_fails_or_writes_nothing_leaves_the_output_as_it_was(
    loaded, workspace, tmp_path, program
):
    defs = loaded(
        {
            "workspace": str(workspace),
            "check": False,
            "outputs": [{"path": "outputs/a.csv", "command": "python write.py", "asset": {"key": "a"}}],
        },
        write=program,
    )
    (workspace / "outputs").mkdir()
    (workspace / "outputs/a.csv").write_text("before")
    with dg.DagsterInstance.ephemeral() as instance:
        make(defs, instance, "a", good=False)
    assert [one.name for one in (workspace / "outputs").iterdir()] == ["a.csv"]
    assert (workspace / "outputs/a.csv").read_text() == "before"


PROCESS = """
import sys
sys.modules["dagster"] = None  # as where it is not installed
from pathlib import Path
from dagster_pipes import open_dagster_pipes
from placet.integrations.pipes import materialize
with open_dagster_pipes() as pipes:
    workspace = Path(pipes.get_extra("workspace"))
    (workspace / "outputs").mkdir()
    (workspace / "outputs" / "piped.csv").write_text("a,b\\n1,2\\n")
    materialize(pipes, workspace, "outputs/piped.csv", metadata={"mine": "x"})
"""


def test_a_process_without_dagster_reports_the_data_version(workspace, tmp_path):
    file = tmp_path / "process.py"
    file.write_text(PROCESS)

    @dg.asset
    def piped(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        run = dg.PipesSubprocessClient().run(
            context=context.op_execution_context,
            command=[sys.executable, str(file)],
            extras={"workspace": str(workspace)},
        )
        return run.get_materialize_result()

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([piped], instance=instance)
    (event,) = done.asset_materializations_for_node("piped")
    with Client(workspace) as client:
        digest = client.prove("outputs/piped.csv").digests.sha256
    assert event.tags["dagster/data_version"] == f"sha256:{digest}"
    metadata = {key: one.value for key, one in event.metadata.items()}
    assert (metadata["dagster/row_count"], metadata["mine"]) == (1, "x")
    assert metadata["placet/tier"] == "internal-storage"
