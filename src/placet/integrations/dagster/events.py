"""What Dagster's event log says of outputs: which version of which path an asset was, and made of what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import dagster as dg

from placet.core import layout

DATA_VERSION = "dagster/data_version"
CODE_VERSION = "dagster/code_version"
INPUT_EVENT = "dagster/input_event_pointer/"
INPUT_VERSION = "dagster/input_data_version/"
_PAGE = 1000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An output as it was when Dagster recorded that an asset, or a partition of one, was materialized.

    Attributes:
        path: Of the output, relative to the workspace.
        sha256: Of the file, or the `dirHash` of the directory.
        version: Its data version in Dagster, which an asset may choose itself.
        run: The run that made it.
        inputs: Asset -> where in the event log its last version was then, and the version that went in.
    """

    key: dg.AssetKey
    partition: str | None
    path: str
    sha256: str
    version: str
    directory: bool
    run: str
    code_version: str
    inputs: Mapping[str, tuple[int, str]]

    @property
    def content(self) -> str:
        """As `outputs.data_version` names these bytes."""
        return f"sha256:{self.sha256}"

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
    pages: int | None = None,
) -> list[Recorded]:
    """The last version of each partition of an asset, the newest first; of the asset if it has none.

    Args:
        instance: Whose event log is read.
        key: The asset.
        partitions: Only these.
        run: Only what this run made, if it made any.
        pages: Of 1,000 partitions each, the newest first, how many are looked at; none = all there are.
    """
    if run is not None:
        own = _of_run(instance, key, run)
        made = [one for one in own.values() if not partitions or one.partition in partitions]
        if made:
            return made
    found = _latest(
        instance, key, dg.DagsterEventType.ASSET_MATERIALIZATION, partitions or None, _recorded, pages
    )
    return list(found.values())


def _of_run(instance: dg.DagsterInstance, key: dg.AssetKey, run: str) -> dict[str | None, Recorded]:
    records = instance.get_records_for_run(
        run, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, ascending=False
    ).records
    newest: dict[str | None, Recorded] = {}
    for one in map(_recorded, records):
        if one is not None and one.key == key:
            newest.setdefault(one.partition, one)
    return newest


def _latest(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    kind: dg.DagsterEventType,
    partitions: Collection[str | None] | None,
    read: Callable[[dg.EventLogRecord], _T | None],
    pages: int | None = None,
) -> dict[str | None, _T]:
    """Partition -> what its last event says, the newest first; those of the asset itself have none.

    Of the asset itself only where its newest event has no partition. Events that say nothing are passed
    over, up to a page of them.
    """
    materialized = kind is dg.DagsterEventType.ASSET_MATERIALIZATION
    fetch = instance.fetch_materializations if materialized else instance.fetch_observations
    found: dict[str | None, tuple[int, _T]] = {}

    def look(limit: int, **only: Any) -> Sequence[dg.EventLogRecord]:  # noqa: ANN401 - as the filter says
        records = fetch(dg.AssetRecordsFilter(asset_key=key, **only), limit=limit).records
        for one in records:
            said = read(one)
            if said is not None:
                found.setdefault(one.partition_key, (one.storage_id, said))
        return records

    names = {one for one in partitions or () if one is not None}
    if partitions is None or None in partitions:
        newest = look(1)
        if newest and newest[0].partition_key is None and None not in found:
            look(_PAGE)
    if names or partitions is None:
        last = instance.get_latest_storage_id_by_partition(key, kind, names or None)
        places = sorted(last.items(), key=lambda one: one[1], reverse=True)
        for start in islice(range(0, len(places), _PAGE), pages):
            page = places[start : start + _PAGE]
            look(_PAGE, storage_ids=[place for _, place in page])
            lost = [name for name, _ in page if name not in found]
            if lost:
                look(_PAGE, asset_partitions=lost)
    known = sorted(found.items(), key=lambda one: one[1][0], reverse=True)
    return {name: said for name, (_, said) in known if partitions is None or name in partitions}


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


def told(
    instance: dg.DagsterInstance, key: dg.AssetKey, wanted: Iterable[str | None]
) -> dict[str | None, Told]:
    """Partition -> what was observed last of a proposal of an asset, of those partitions that are wanted."""
    return _latest(instance, key, dg.DagsterEventType.ASSET_OBSERVATION, set(wanted), _told)


def _told(record: dg.EventLogRecord) -> Told | None:
    event = record.asset_observation
    texts = _texts(event.metadata) if event is not None else {}
    if "placet/proposal" not in texts:
        return None
    return Told(texts["placet/proposal"], texts.get("placet/state", ""), texts.get("placet/link"))


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
    path, sha256 = texts.get("placet/path"), texts.get("placet/sha256", "")
    if path is None or not layout.is_sha256(sha256):
        return None
    return Recorded(
        key=event.asset_key,
        partition=event.partition,
        path=path,
        sha256=sha256,
        version=tags.get(DATA_VERSION, ""),
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
