"""OpenLineage events by its own client, to a backend over HTTP or to a file.

That client bounds no answer: what it is told over HTTP, it is told in a process of its own (`lineage_apart`).

The client's transports are used, not its `OpenLineageClient`: that reads settings from the environment, from
files in the working and home folders, and adds what it finds there to each event.
"""

from __future__ import annotations

import contextlib
import uuid
from importlib.metadata import version
from pathlib import Path

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
    dataset_version_dataset,
    datasource_dataset,
    documentation_job,
    lifecycle_state_change_dataset,
    output_statistics_output_dataset,
    parent_run,
    source_code_location_job,
)
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider
from openlineage.client.transport.transport import Transport

from placet.core.lineageevent import Dataset, LineageEvent
from placet.errors import PlacetError, Refused, Unavailable

_PRODUCER = f"urn:placet:{version('placet')}"
_RETRY = {"total": 1, "connect": 1, "read": 0, "backoff_factor": 0.3, "allowed_methods": ["POST"]}
_CLIENT_ERRORS = range(400, 500)
_LATER = {408, 425, 429}
_NEVER = {400, 413, 422}


@attr.define
class PublicationRunFacet(RunFacet):
    """What Placet knows of a publication and OpenLineage has no name for."""

    proposal: str
    manifest: str
    tier: str
    ledger: str
    approvals: list[str]

    @staticmethod
    def _get_schema() -> str:
        return "urn:placet:openlineage:publication:v1"


def open_http(url: str, endpoint: str, token: str | None, timeout_s: float) -> OpenLineageSink:
    """A backend that is reached over HTTP; goes to no other host."""
    auth = ApiKeyTokenProvider({"apiKey": token}) if token else TokenProvider({})
    base = url if url.endswith("/") else f"{url}/"
    config = HttpConfig(url=base, endpoint=endpoint, timeout=timeout_s, auth=auth, retry=_RETRY)
    transport = HttpTransport(config)
    transport.session.max_redirects = 0
    return OpenLineageSink(transport, url)


def open_file(path: Path) -> OpenLineageSink:
    """A file that gets one event a line."""
    return OpenLineageSink(FileTransport(FileConfig(log_file_path=str(path), append=True)), str(path))


class OpenLineageSink:
    """One backend, or one file."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self._name = name

    def send(self, event: LineageEvent) -> None:
        """As the port says."""
        made = _run_event(event)
        try:
            self._transport.emit(made)
        except Exception as error:
            raise self._error(error) from error

    def close(self) -> None:
        """As the port says."""
        self._transport.close()

    def _error(self, error: Exception) -> PlacetError:
        """The client raises what its HTTP library raises; no part of an answer is told."""
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in _CLIENT_ERRORS and status not in _LATER:
            return Refused(
                f"{self._name} does not take the lineage event.",
                kind="lineage-event" if status in _NEVER else "lineage-refused",
                why=f"It answered with status {status}.",
                mend="See docs/how-to/lineage.md.",
            )
        return Unavailable(
            f"{self._name} did not take the lineage event.",
            kind="lineage-unreachable",
            why=f"It answered with status {status}." if status else f"{type(error).__name__}.",
            mend="It is sent again later.",
        )


def _run_event(event: LineageEvent) -> RunEvent:
    return RunEvent(
        eventType=RunState.COMPLETE,
        eventTime=event.time,
        producer=_PRODUCER,
        run=Run(event.run, _run_facets(event)),
        job=Job(event.namespace, event.job, _job_facets(event)),
        inputs=[InputDataset(one.namespace, one.name, facets=_facets(one)) for one in event.inputs],
        outputs=[
            OutputDataset(one.namespace, one.name, facets=_facets(one), outputFacets=_counts(one))
            for one in event.outputs
        ],
    )


def _run_facets(event: LineageEvent) -> dict[str, RunFacet]:
    out: dict[str, RunFacet] = {
        "placet_publication": PublicationRunFacet(
            proposal=event.proposal,
            manifest=f"sha256:{event.manifest}",
            tier=event.tier,
            ledger=f"{event.branch}/{event.sequence}",
            approvals=list(event.approvals),
            producer=_PRODUCER,
        )
    }
    with contextlib.suppress(ValueError):  # a parent is told only where the builder's runs have UUIDs
        parent = str(uuid.UUID(event.invocation))
        out["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=parent),
            job=parent_run.Job(namespace=event.builder, name=event.job),
            producer=_PRODUCER,
        )
    return out


def _job_facets(event: LineageEvent) -> dict[str, JobFacet]:
    out: dict[str, JobFacet] = {
        "documentation": documentation_job.DocumentationJobFacet(description=event.text, producer=_PRODUCER)
    }
    if event.code is not None:
        out["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            type="git",
            url=event.code.uri.removeprefix("git+"),
            version=event.code.digest.get("gitCommit"),
            producer=_PRODUCER,
        )
    return out


def _facets(one: Dataset) -> dict[str, DatasetFacet]:
    out: dict[str, DatasetFacet] = {}
    if one.version:
        out["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(
            datasetVersion=one.version, producer=_PRODUCER
        )
    if one.source is not None:
        name, uri = one.source
        out["dataSource"] = datasource_dataset.DatasourceDatasetFacet(name=name, uri=uri, producer=_PRODUCER)
    if one.change is not None:
        change = lifecycle_state_change_dataset.LifecycleStateChange(one.change)
        out["lifecycleStateChange"] = lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(
            lifecycleStateChange=change, producer=_PRODUCER
        )
    return out


def _counts(one: Dataset) -> dict[str, OutputDatasetFacet]:
    if one.change == "DROP":
        return {}
    return {
        "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=one.rows, size=one.size, fileCount=one.files, producer=_PRODUCER
        )
    }
