"""Placet inside MLflow: a run names what it made and used by digests, proposes it, and registers models.

    with mlflow.start_run():
        train().save("outputs/model.pkl")
        placet_mlflow.log_output("outputs/model.pkl")
        placet_mlflow.propose(["outputs/model.pkl"], message="first model")
        placet_mlflow.register_model("outputs/model.pkl", "bmi")

Needs the extra `placet[mlflow]`; importing `placet` never imports MLflow. Two ends make a link: the run's
tags name digests and proposals, and the signed manifest names the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import mlflow
import msgspec
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from placet.client import Client
from placet.config import environment
from placet.core import layout
from placet.core.location import Location, parse_location
from placet.core.outputs import Tracking
from placet.core.provenance import Provenance, Resource, WebUrl
from placet.engine.artifact import Tracked
from placet.engine.copyout import Held
from placet.engine.propose import Proposed
from placet.errors import Invalid, NotFound, PlacetError
from placet.integrations.mlflow_dataset import PlacetDatasetSource
from placet.integrations.mlflow_place import WORKSPACE, found
from placet.integrations.mlflow_plan import BUILD_TYPE, DIGEST_TAG, PROPOSAL_TAG, STATE_TAG

SUBJECT_TAG = "placet.subject"
_DIGEST_CHARS = 32
_MOST_INPUTS = 200
_LINE = 300


def log_output(
    path: str | Path, *, workspace: str | Path | None = None, run_id: str | None = None
) -> Tracked:
    """Track an output, push it to the internal tier, and name it in the run's tags. Idempotent.

    Args:
        path: Relative to the workspace's folder.
        workspace: The folder with `placet.toml`; by default as PLACET_WORKSPACE says, or the working folder.
        run_id: The run; the active one by default.

    Raises:
        NotFound: kind `no-run`.
        As `Client.track` and `Client.push`.
    """
    run = _run(run_id)
    with _client(workspace) as client:
        (tracked,) = client.track([_path(workspace, path)])
        client.push([_path(workspace, path)])
        _name(run, client, tracked.path, tracked.digests.sha256)
    return tracked


def log_input(
    uri: str | Location, *, context: str | None = None, workspace: str | Path | None = None
) -> Location:
    """Name an artifact that the active run uses, with the digest of what is there now; what to read it by.

    Args:
        uri: A `placet:` URI, or the path of a tracked output of the workspace.
        context: What it is used for, as MLflow has it.
        workspace: As in `log_output`.

    Raises:
        NotFound, Refused, Invalid: it is not here, or not what the URI names.
    """
    _run(None)
    if isinstance(uri, str) and not uri.startswith("placet:"):
        with _client(workspace) as client:
            (output,) = client.outputs([_path(workspace, uri)])
            here = _location(client, client.held(output))
            subject = _subject(client.held(output))
    else:
        at = uri if isinstance(uri, Location) else parse_location(uri)
        with found(at) as place:
            held = place.held(_whole(place.outputs(place.path), place.path, at))
            here, subject = _location(place.client, held), _subject(held)
    source = PlacetDatasetSource(here.uri)
    digest = (here.sha256 or "")[:_DIGEST_CHARS]
    dataset = MetaDataset(source, name=here.path[:_LINE], digest=digest)  # type: ignore[abstract]
    mlflow.log_input(dataset, context, {SUBJECT_TAG: subject})
    return here


def propose(
    paths: Iterable[str | Path],
    *,
    message: str,
    tier: str | None = None,
    workspace: str | Path | None = None,
    run_id: str | None = None,
) -> Proposed:
    """Propose outputs for publication, with the run as their provenance, and name the proposal in its tags.

    Idempotent. `placet mlflow sync`, or the agent, keeps the tags true to what becomes of it.
    """
    run = _run(run_id)
    with _client(workspace) as client:
        wanted = [_path(workspace, path) for path in paths]
        proposed = client.propose(wanted, message=message, tier=tier, provenance=provenance(run))
        for output in client.outputs(wanted):
            _name(run, client, output.path, client.held(output).sha256)
    for key in (f"{PROPOSAL_TAG}{proposed.id}", STATE_TAG):
        MlflowClient().set_tag(run.info.run_id, key, str(proposed.case_state))
    return proposed


def register_model(
    path: str | Path, name: str, *, workspace: str | Path | None = None, run_id: str | None = None
) -> ModelVersion:
    """Make a tracked output a version of a registered model, bound to its bytes. Idempotent.

    Its source is the artifact's URI with its SHA-256: whoever loads the version gets these bytes or none. The
    alias `published` comes when they are published.

    Args:
        path: Of the output, a model's directory as a rule.
        name: The registered model's; made, if there is none.
        workspace: As in `log_output`.
        run_id: The run that made it; the active one, or none.
    """
    active = mlflow.active_run()
    with _client(workspace) as client:
        (output,) = client.outputs([_path(workspace, path)])
        source = _location(client, client.held(output)).uri
    registry = MlflowClient()
    with suppress(MlflowException):
        registry.create_registered_model(name)
    for version in registry.search_model_versions(_named(name)):
        if (version.name, version.source) == (name, source):
            return version
    return registry.create_model_version(
        name, source, run_id or (active.info.run_id if active else None), await_creation_for=0
    )


def provenance(run: Run) -> Provenance:
    """Where a run's outputs come from: its experiment, its page, its code's commit, what it was given."""
    experiment = MlflowClient().get_experiment(run.info.experiment_id)
    return Provenance.of(
        build_type=BUILD_TYPE,
        builder=f"pkg:pypi/mlflow@{mlflow.__version__}",
        invocation=run.info.run_id,
        invocation_url=_page(run),
        asset=experiment.name[:_LINE],
        code_version=run.data.tags.get("mlflow.source.git.commit", "")[:_LINE],
        dependencies=tuple(_used(one) for one in _inputs(run)),
    )


def _inputs(run: Run) -> Sequence[DatasetInput]:
    return run.inputs.dataset_inputs[:_MOST_INPUTS] if run.inputs else []


def _used(one: DatasetInput) -> Resource:
    """A dataset that a run used; an artifact of a Ctrl repository by its own URI and digest."""
    algorithm, _, value = next((tag.value for tag in one.tags if tag.key == SUBJECT_TAG), "").partition(":")
    with suppress(PlacetError, ValueError, AttributeError):
        at = parse_location(msgspec.json.decode(one.dataset.source)["uri"])
        if one.dataset.source_type == "placet" and at.repository and value == at.sha256:
            uri = Location(at.node, at.path, at.repository).uri
            return Resource(uri=uri, name=at.path[:_LINE], digest={algorithm: value})  # type: ignore[dict-item]
    name = str(one.dataset.name)[:_LINE]
    return Resource(uri=f"mlflow:dataset/{quote(name, safe='')}", name=name)


def _page(run: Run) -> str | None:
    """The run's page on a server that has one; never with a name or a password."""
    server = re.sub(r"//[^/@]*@", "//", mlflow.get_tracking_uri()).rstrip("/")
    page = f"{server}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    try:
        return msgspec.convert(page, WebUrl)
    except msgspec.ValidationError:
        return None


def _run(run_id: str | None) -> Run:
    run = mlflow.get_run(run_id) if run_id else mlflow.active_run()
    if run is None:
        raise NotFound(
            "No run is active.", kind="no-run", mend="with mlflow.start_run(): ...; or give run_id"
        )
    return mlflow.get_run(run.info.run_id)  # as the server has it: an active run's own copy is old


def _name(run: Run, client: Client, path: str, sha256: str) -> None:
    """Name an output in the run's tags."""
    uri = Location(client.settings.node or "", path).uri
    MlflowClient().set_tag(run.info.run_id, f"{DIGEST_TAG}{sha256}", uri)


def _whole(outputs: Sequence[Tracking], path: str, at: Location) -> Tracking:
    if len(outputs) != 1 or outputs[0].path != path:
        raise Invalid(
            f"{at.uri} is not one whole artifact.", kind="many-outputs", mend="Name one artifact by its path."
        )
    return outputs[0]


def _location(client: Client, held: Held) -> Location:
    """A held output as it is named for ever."""
    if held.repository:
        node, _, path = held.path.removeprefix(layout.ARTIFACTS).partition("/")
        return Location(node, path, held.repository, held.sha256)
    repository = client.view().history.repository
    return Location(client.settings.node or "", held.path, repository, held.sha256)


def _subject(held: Held) -> str:
    return f"{'dirHash' if held.is_dir else 'sha256'}:{held.sha256}"


def _named(name: str) -> str | None:
    """MLflow's filter for a model's name; None for one that its quotes cannot hold."""
    quote_mark = next((one for one in "'\"" if one not in name), None)
    return f"name = {quote_mark}{name}{quote_mark}" if quote_mark else None


def _folder(workspace: str | Path | None) -> Path:
    return Path(workspace or environment().get(WORKSPACE) or ".").absolute()


def _client(workspace: str | Path | None) -> Client:
    return Client(_folder(workspace))


def _path(workspace: str | Path | None, path: str | Path) -> Path:
    return _folder(workspace) / path
