"""The component: a node's workspace, what its commands make, and the way to publication, as one YAML file.

dg scaffold defs placet.integrations.dagster.PlacetComponent placet
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field, field_validator

from placet.errors import Conflict
from placet.integrations import outputs
from placet.integrations.dagster.checks import Checkable, policy_checks
from placet.integrations.dagster.events import Recorded, outputs_of
from placet.integrations.dagster.io_manager import PlacetIOManager
from placet.integrations.dagster.paths import given_path
from placet.integrations.dagster.promotion import promotion_job
from placet.integrations.dagster.proposal import proposal_job
from placet.integrations.dagster.resource import PlacetResource
from placet.integrations.dagster.sensor import merge_sensor

_WORKSPACE = "{{ env.PLACET_WORKSPACE }}"
_EXAMPLE = '''\
"""Writes one output; any program in any language can do that."""

import os
from pathlib import Path

Path(os.environ["PLACET_OUTPUT"]).write_text("measurement,n\\nbmi,221\\n")
'''


class CommandOutput(dg.Resolvable, dg.Model):
    """An output that a command makes: the program writes a file or a folder to `$PLACET_OUTPUT`.

    Attributes:
        path: Where it is tracked, relative to the workspace; `{partition}` for the key of a partition.
        command: Run in the component's folder; `python` is the interpreter that runs Dagster. A process that
            uses `dagster_pipes` is given the paths of its inputs, verified, as the extra `inputs`.
        asset: Its key, and whatever else an asset has: `deps`, `code_version`, `partitions_def`, ...
    """

    path: str
    command: str | list[str]
    asset: dg.ResolvedAssetSpec


class ScaffoldParams(BaseModel):
    """What `dg scaffold defs` asks for.

    Attributes:
        workspace: The DVC project with `placet.toml`.
    """

    workspace: str = _WORKSPACE


class PlacetScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes a component with one output to begin with, and the program that makes it."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """The parameters of `dg scaffold defs`."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """Write `defs.yaml` and `summary.py`."""
        first = {
            "path": "outputs/summary.csv",
            "command": "python summary.py",
            "asset": {"key": "summary", "code_version": "v1"},
        }
        (request.target_path / "summary.py").write_text(_EXAMPLE, encoding="utf-8")
        dg.scaffold_component(request, {"workspace": request.params.workspace, "outputs": [first]})


@dg.scaffold_with(PlacetScaffolder)
class PlacetComponent(dg.Component, dg.Model, dg.Resolvable):
    """A node's workspace with all that belongs to it.

    It gives the resource `placet`, the jobs `placet_promotion` and `placet_proposal`, the sensor
    `placet_merge`, an asset for each of `outputs`, and their policy checks; assets elsewhere in the project
    may use the resource.

    Attributes:
        workspace: The DVC project with `placet.toml`; a relative one begins at the Dagster project's folder.
        outputs: What commands make.
        push: Push what was tracked to the internal tier at once.
        remote: Another DVC remote than the internal tier.
        tier: The publication tier that the checks mean.
        check: Ask the policy about each of `outputs` after it was made.
        checked: The same for assets that are defined elsewhere.
        blocking: Whether what fails stops what is downstream.
        publish: Bring the jobs and the sensor. They use the node's key and the promoter's credential, and so
            can the code of assets in the same code location: where that is not trusted with them, say false,
            and give them a location, and a workspace, of their own.
        promote: Turn the sensor on from the beginning.
        look_every_s: Seconds between two looks of the sensor.
        io_manager: Also keep what assets return, under this resource key: `io_manager` for all of them.
        folder: Where that keeps them, relative to the workspace.
        format: In which form: as of `PlacetIOManager`.
        dagster_url: Where Dagster's pages are, for links in proposals.
        code_url: Where the code is, for provenance.
        code_commit: The commit of it that runs here.
    """

    workspace: str
    outputs: Sequence[CommandOutput] = Field(default_factory=list)
    push: bool = True
    remote: str | None = None
    tier: str | None = None
    check: bool = True
    checked: Sequence[dg.ResolvedAssetKey] = Field(default_factory=list)
    blocking: bool = False
    publish: bool = True
    promote: bool = False
    look_every_s: int = 30
    io_manager: str | None = None
    folder: str = "outputs"
    format: str = "pickle"
    dagster_url: str | None = None
    code_url: str | None = None
    code_commit: str | None = None

    @field_validator("workspace", mode="before")
    @classmethod
    def _require_workspace(cls, given: object) -> object:
        """Say what is wrong where `{{ env.PLACET_WORKSPACE }}` is nothing, which Pydantic calls no string."""
        if not given:
            text = "no workspace: set PLACET_WORKSPACE to the folder with placet.toml, or name it here"
            raise ValueError(text)
        return given

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """As Dagster asks for."""
        workspace = str(context.project_root / self.workspace)
        resources: dict[str, Any] = {
            "placet": PlacetResource(
                workspace=workspace,
                push=self.push,
                remote=self.remote,
                dagster_url=self.dagster_url,
                code_url=self.code_url,
                code_commit=self.code_commit,
            )
        }
        if self.io_manager:
            resources[self.io_manager] = PlacetIOManager(
                workspace=workspace,
                folder=self.folder,
                format=self.format,
                push=self.push,
                remote=self.remote,
            )
        made = [_asset(one, context.path) for one in self.outputs]
        checked: list[Checkable] = [*(made if self.check else []), *self.checked]
        sensor = merge_sensor(interval_s=self.look_every_s, running=self.promote)
        return dg.Definitions(
            assets=made,
            asset_checks=policy_checks(checked, blocking=self.blocking, tier=self.tier),
            jobs=[promotion_job(), proposal_job()] if self.publish else [],
            sensors=[sensor] if self.publish else [],
            resources=resources,
        )


def _asset(output: CommandOutput, folder: Path) -> dg.AssetsDefinition:
    spec = output.asset

    @dg.multi_asset(name="__".join(spec.key.path), specs=[spec])
    def made(context: dg.AssetExecutionContext, placet: PlacetResource) -> dg.MaterializeResult[Any]:
        """Run the command, and track what it wrote."""
        path = given_path(output.path, spec.key, context.partition_key if context.has_partition_key else None)
        extras = {"path": path, "inputs": _inputs(context, placet, spec)}
        with placet.fresh(path) as place:
            done = dg.PipesSubprocessClient().run(
                context=context.op_execution_context,
                command=_command(output.command),
                cwd=str(folder if folder.is_dir() else folder.parent),
                env={"PLACET_OUTPUT": str(place)},
                extras={**extras, "output": str(place)},
            )
            told: dict[str, Any] = {}
            for result in done.get_results():
                if isinstance(result, dg.MaterializeResult):
                    told.update(result.metadata or {})
            return placet.materialize(path, written=place, metadata=told)

    return made


def _command(given: str | list[str]) -> list[str]:
    first, *rest = shlex.split(given) if isinstance(given, str) else given
    return [sys.executable if first == "python" else first, *rest]


def _inputs(
    context: dg.AssetExecutionContext, placet: PlacetResource, spec: dg.AssetSpec
) -> Mapping[str, str | Mapping[str, str]]:
    """Asset -> path of each input that is an output here, verified; of a partitioned one a path for each."""
    found: dict[str, str | Mapping[str, str]] = {}
    with placet.client() as client:
        for dep in spec.deps:
            made = _same(context, outputs_of(context.instance, dep.asset_key))
            for one in made:
                if outputs.proven_version(client, placet.root / one.path, placet.remote) != one.content:
                    raise Conflict(
                        f"{one.path} is not the version that Dagster recorded.",
                        kind="other-version",
                        mend=f"Materialize {one.name} again.",
                    )
            paths = {one.partition or "": str(placet.root / one.path) for one in made}
            if paths:
                found[dep.asset_key.to_user_string()] = paths.get("", paths)
    return found


def _same(context: dg.AssetExecutionContext, made: Sequence[Recorded]) -> Sequence[Recorded]:
    """Of a partitioned input the same partition, where this run is for one."""
    if not context.has_partition_key:
        return made
    return [one for one in made if one.partition == context.partition_key] or made
