"""What Dagster's event log says of outputs: which version of which path an asset was, and made of what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import dagster as dg

from placet.core import layout

DATA_VERSION = "dagster/data_version"
CODE_VERSION = "dagster/code_version"
INPUT_EVENT = "dagster/input_event_pointer/"
INPUT_VERSION = "dagster/input_data_version/"
_PAGE = 1000


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
        pages: Of 1,000 events each, how many are looked at; none = all there are.
    """
    newest: dict[str | None, Recorded] = {}
    own: dict[str | None, Recorded] = {}
    for page in islice(_pages(instance, key, partitions), pages):
        many = len(own)
        for one in page:
            newest.setdefault(one.partition, one)
            if one.run == run:
                own.setdefault(one.partition, one)
        if own and len(own) == many:
            break  # a run's own events lie together
    return list((own or newest).values())


def _pages(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str] | None
) -> Iterator[list[Recorded]]:
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=list(partitions) if partitions else None)
    cursor, more = None, True
    while more:
        found = instance.fetch_materializations(wanted, limit=_PAGE, cursor=cursor)
        cursor, more = found.cursor, found.has_more
        yield [one for one in map(_recorded, found.records) if one is not None]


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
    lost, found = set(wanted), dict[str | None, Told]()
    cursor, more = None, True
    while lost and more:
        page = instance.fetch_observations(key, limit=_PAGE, cursor=cursor)
        cursor, more = page.cursor, page.has_more
        for record in page.records:
            event = record.asset_observation
            texts = _texts(event.metadata) if event is not None else {}
            if event is not None and event.partition in lost and "placet/proposal" in texts:
                lost.remove(event.partition)
                found[event.partition] = Told(
                    texts["placet/proposal"], texts.get("placet/state", ""), texts.get("placet/link")
                )
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
