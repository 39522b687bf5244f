"""What Dagster's event log says of outputs: which version of which path an asset was, and made of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

DATA_VERSION = "dagster/data_version"
CODE_VERSION = "dagster/code_version"
INPUT_EVENT = "dagster/input_event_pointer/"
INPUT_VERSION = "dagster/input_data_version/"
_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class Recorded:
    """An output as it was when Dagster recorded that an asset, or a partition of one, was materialized.

    Attributes:
        path: Of the output, relative to the workspace.
        version: Its data version: `sha256:<hex>`.
        run: The run that made it.
        inputs: Asset -> where in the event log its last version was then, and the version that went in.
    """

    key: dg.AssetKey
    partition: str | None
    path: str
    version: str
    directory: bool
    run: str
    code_version: str
    inputs: Mapping[str, tuple[int, str]]

    @property
    def sha256(self) -> str:
        """Of the file, or the `dirHash` of the directory."""
        return self.version.removeprefix("sha256:")

    @property
    def name(self) -> str:
        """The asset as people write it."""
        return self.key.to_user_string()


def outputs_of(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partitions: Sequence[str] | None = None,
    *,
    run: str | None = None,
) -> list[Recorded]:
    """The last version of each partition of an asset, the newest first; of the asset if it has none.

    Args:
        instance: Whose event log is read; of each asset the last 1,000 materializations.
        key: The asset.
        partitions: Only these.
        run: Only what this run made, if it made any.
    """
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=list(partitions) if partitions else None)
    found = [_recorded(one) for one in instance.fetch_materializations(wanted, limit=_LOOKED_AT).records]
    newest: dict[str | None, Recorded] = {}
    for one in found:
        if one is not None:
            newest.setdefault(one.partition, one)
    own = [one for one in newest.values() if one.run == run]
    return own or list(newest.values())


def output_at(instance: dg.DagsterInstance, key: dg.AssetKey, place: int) -> Recorded | None:
    """The output whose materialization is at this place of the event log, if it is one."""
    wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=[place])
    records = instance.fetch_materializations(wanted, limit=1).records
    return _recorded(records[0]) if records else None


@dataclass(frozen=True, slots=True)
class Told:
    """What an asset's page says last of a proposal of it."""

    proposal: str = ""
    state: str = ""
    link: str | None = None


def told(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str | None, Told]:
    """Partition -> what was observed last of a proposal of an asset."""
    found: dict[str | None, Told] = {}
    for record in instance.fetch_observations(key, limit=_LOOKED_AT).records:
        event = record.asset_observation
        texts = _texts(event.metadata) if event is not None else {}
        if event is not None and "placet/proposal" in texts:
            one = Told(texts["placet/proposal"], texts.get("placet/state", ""), texts.get("placet/link"))
            found.setdefault(event.partition, one)
    return found


def observation(one: Recorded, proposal: str, state: str, link: str | None = None) -> dg.AssetObservation:
    """How far the proposal of an output is, for the asset's page."""
    shown: dict[str, Any] = {
        "placet/proposal": dg.MetadataValue.text(proposal),
        "placet/state": dg.MetadataValue.text(state),
        "placet/path": dg.MetadataValue.text(one.path),
        "placet/sha256": dg.MetadataValue.text(one.sha256),
    }
    if link is not None:
        shown["placet/link"] = dg.MetadataValue.url(link)
    return dg.AssetObservation(asset_key=one.key, partition=one.partition, metadata=shown)


def _recorded(record: dg.EventLogRecord) -> Recorded | None:
    event = record.asset_materialization
    if event is None:
        return None
    texts, tags = _texts(event.metadata), event.tags or {}
    path, version = texts.get("placet/path"), tags.get(DATA_VERSION, "")
    if path is None or not version.startswith("sha256:"):
        return None
    return Recorded(
        key=event.asset_key,
        partition=event.partition,
        path=path,
        version=version,
        directory=texts.get("placet/kind") == "directory",
        run=record.run_id,
        code_version=tags.get(CODE_VERSION, ""),
        inputs={
            name: (int(place), tags.get(f"{INPUT_VERSION}{name}", ""))
            for tag, place in tags.items()
            if (name := tag.removeprefix(INPUT_EVENT)) != tag and place.isdecimal()
        },
    )


def _texts(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, str]:
    return {name: one.value for name, one in metadata.items() if isinstance(one.value, str)}
