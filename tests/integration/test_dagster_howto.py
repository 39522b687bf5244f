"""docs/how-to/dagster.md as written: its programs, its run config, its commands, in fresh folders."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dagsterdev import Live
from governance.nodes import Site

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "dagster-node"
BIN = Path(sys.executable).parent
BLOCKS = re.findall(
    r"```(python|yaml|sh)\n(.*?)```", (ROOT / "docs/how-to/dagster.md").read_text(), re.DOTALL
)
PYTHON, YAML, SHELL = ([text for kind, text in BLOCKS if kind == one] for one in ("python", "yaml", "sh"))
ASSETS, RETURNED, CHECKS, PATH, PIPED = PYTHON
CONFIG, COMPONENT = (yaml.safe_load(one) for one in YAML)


@pytest.fixture
def site(tmp_path, monkeypatch):
    for name in (
        "HOME",
        "PLACET_HOME",
        "DVC_SITE_CACHE_DIR",
        "DVC_GLOBAL_CONFIG_DIR",
        "DVC_SYSTEM_CONFIG_DIR",
    ):
        monkeypatch.setenv(name, str(tmp_path / name))
    found = Site(tmp_path)
    found.lab.clock = Live()
    found.workspace = found.machine("agent", key=True)
    monkeypatch.setenv("PLACET_WORKSPACE", str(found.workspace))
    yield found
    found.lab.repo.close()


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(text):
    """The definitions of a program."""
    names = {}
    exec(compile(text, "dagster.md", "exec"), names)
    return names["defs"]


def make(defs, instance, *names, **kwargs):
    done = dg.materialize(
        [*defs.assets, *(defs.asset_checks or ())],
        instance=instance, resources=defs.resources, selection=[dg.AssetKey(one) for one in names], **kwargs,
    )  # fmt: skip
    assert done.success
    return done


def test_the_programs_do_what_the_page_says(site, instance):
    make(run(ASSETS), instance, "summary")
    returned = run(RETURNED)
    make(returned, instance, "counts")
    for key in ("2026-01", "2026-02"):
        make(returned, instance, "months", partition_key=key)
    (check,) = make(run(CHECKS), instance, "table").get_asset_check_evaluations()
    assert check.passed
    assert sorted(str(one.relative_to(site.workspace / "outputs")) for one in (site.workspace / "outputs").rglob("*.dvc")) == [
        "counts.json.dvc", "months/2026-01.pkl.dvc", "months/2026-02.pkl.dvc", "summary.csv.dvc", "table.csv.dvc",
    ]  # fmt: skip
    path = run(PATH)
    propose = path.get_job_def("placet_proposal")
    assert propose.execute_in_process(instance=instance, run_config=CONFIG).success
    (case,) = site.lab.view().cases().values()
    assert (case.manifest.body.message, case.paths) == ("Means of March", ("outputs/summary.csv",))
    assert path.resolve_sensor_def("placet_merge").job_name == "placet_promotion"


@pytest.mark.filterwarnings("ignore::dagster.PreviewWarning")  # of Pipes itself
def test_the_process_without_dagster(site, instance, tmp_path):
    file = tmp_path / "process.py"
    file.write_text(PIPED)

    @dg.asset
    def piped(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        run = dg.PipesSubprocessClient().run(
            context=context.op_execution_context,
            command=[sys.executable, str(file)],
            extras={"workspace": str(site.workspace)},
        )
        return run.get_materialize_result()

    assert dg.materialize([piped], instance=instance).success
    assert (site.workspace / "outputs/piped.csv.dvc").is_file()


def test_dg_scaffolds_checks_and_lists(site, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".venv"))
    defs = project / "src/dagster_node/defs"
    shutil.rmtree(defs / "placet")
    (defs / "visits.py").unlink()
    environ = {
        "PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(tmp_path), "PLACET_WORKSPACE": str(site.workspace),
        "PYTHONPATH": str(project / "src"), "VIRTUAL_ENV": str(BIN.parent), "DAGSTER_HOME": str(tmp_path),
    }  # fmt: skip

    def says(text):
        done = subprocess.run(
            ["sh", "-e", "-c", text], cwd=project, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    says(SHELL[0])
    assert yaml.safe_load((defs / "placet/defs.yaml").read_text()) == COMPONENT
    assert (defs / "placet/summary.py").is_file()
    shutil.rmtree(defs)
    shutil.copytree(EXAMPLE / "src/dagster_node/defs", defs, ignore=shutil.ignore_patterns("__pycache__"))
    listed = json.loads(says("dg list defs --json"))
    assert {one["asset_key"] for one in listed["assets"]} == {"visits", "summary", "ages", "report"}
    assert {one["name"] for one in listed["sensors"]} == {"placet_merge"}
