"""The resource: a node's workspace in the hands of assets, jobs and sensors; public Dagster API only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from placet.client import Client
from placet.core.digest import sha256_hex
from placet.core.provenance import Resource
from placet.engine.promote import Promotion
from placet.engine.propose import Proposed
from placet.errors import Invalid
from placet.integrations import outputs
from placet.integrations.dagster.provenance import provenance


class PlacetResource(dg.ConfigurableResource[Any]):
    """A node's workspace.

    Attributes:
        workspace: The DVC project with `placet.toml`.
        push: Push what was tracked to the internal tier at once.
        remote: Another DVC remote than the internal tier.
        dagster_url: Where Dagster's pages are, for links in proposals: `https://dagster.example.org`.
        code_url: Where the code of the assets is, for provenance: `git+https://git.example.org/team/assets`.
        code_commit: The commit of it that runs here.
    """

    workspace: str
    push: bool = True
    remote: str | None = None
    dagster_url: str | None = None
    code_url: str | None = None
    code_commit: str | None = None

    @property
    def root(self) -> Path:
        """The workspace."""
        return Path(self.workspace)

    @property
    def code(self) -> Resource | None:
        """Where the code of the assets is, as provenance names it."""
        if not self.code_url:
            return None
        return Resource(uri=self.code_url, digest={"gitCommit": self.code_commit} if self.code_commit else {})

    def client(self) -> Client:
        """A client of this workspace, for all that is not here; close it, or use it in a `with`."""
        return Client(self.root)

    def path(self, path: str) -> Path:
        """Where an output of the workspace is; its folder exists then."""
        found = self.root / path
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    @contextmanager
    def fresh(self, path: str) -> Iterator[Path]:
        """A place to write a new version of an output to; give it to `materialize` as `written`.

        So nobody sees a half of it, and what the last run made stays until the new one is whole.
        """
        with outputs.fresh(self.root, path) as place:
            yield place

    def materialize(
        self,
        path: str,
        *,
        written: Path | None = None,
        asset_key: dg.AssetKey | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> dg.MaterializeResult[Any]:
        """Track and push an output that the asset has written; the result to return from the asset.

        Idempotent. Steps that run at the same time take turns where they must.

        Args:
            path: Relative to the workspace.
            written: A new version, as of `fresh`, which takes the output's place first.
            asset_key: Which asset it is, where a function makes several.
            metadata: More to show in Dagster; of `placet/` names, what is tracked counts.
        """
        kept = outputs.keep(self.root, path, written=written, push=self.push, remote=self.remote)
        return dg.MaterializeResult(
            asset_key=asset_key,
            metadata=shown(self.root, kept, metadata or {}),
            data_version=dg.DataVersion(outputs.data_version(kept.tracked)),
        )

    def partitions(
        self, context: dg.AssetExecutionContext, made: Mapping[str, dg.MaterializeResult[Any]]
    ) -> dg.MaterializeResult[Any]:
        """The result to return from an asset that made several partitions in one run.

        Args:
            context: Of the asset's body.
            made: Partition -> what `materialize` answered, for each of `context.partition_keys`.

        Raises:
            Invalid: kind `many-partitions`: there is another number of them.
        """
        if set(made) != set(context.partition_keys):
            raise Invalid(
                f"The run is for {len(context.partition_keys)} partitions, and {len(made)} were made.",
                kind="many-partitions",
                mend="Materialize each of context.partition_keys.",
            )
        asset = next(one.asset_key for one in made.values()) or context.asset_key
        for key, one in made.items():
            context.add_asset_metadata(one.metadata or {}, asset_key=asset, partition_key=key)
        return dg.MaterializeResult(asset_key=asset, data_version=of_partitions(made))

    def propose(
        self,
        context: dg.AssetExecutionContext,
        paths: Sequence[str],
        message: str,
        *,
        tier: str | None = None,
    ) -> Proposed:
        """Propose outputs for publication, with this run as their provenance. Idempotent."""
        with self.client() as client:
            found = provenance(
                context,
                repository=client.view().history.repository,
                node=client.settings.node or "",
                url=self.dagster_url,
                code=self.code,
            )
            where = [self.root / path for path in paths]
            return client.propose(where, message=message, tier=tier, provenance=found)

    def shards(self, proposals: Sequence[str] = ()) -> Sequence[tuple[str, int]]:
        """Proposals that may be promoted now, and their numbers of shards; as `Client.shards`."""
        with self.client() as client:
            return client.shards(proposals)

    def promote(
        self, proposals: Sequence[str] = (), *, shard: tuple[int, int] | None = None
    ) -> Sequence[Promotion]:
        """As `Client.promote`."""
        with self.client() as client:
            return client.promote(proposals, shard=shard)


def of_partitions(made: Mapping[str, dg.MaterializeResult[Any]]) -> dg.DataVersion:
    """The one data version of all partitions that one run made, as Dagster keeps no other of each."""
    versions = sorted((key, one.data_version.value if one.data_version else "") for key, one in made.items())
    return dg.DataVersion(f"partitions:{sha256_hex(json.dumps(versions).encode())}")


def shown(workspace: Path, kept: outputs.Kept, more: Mapping[str, Any]) -> dict[str, Any]:
    """What Dagster shows of an output: digests, size, place, of a table its rows and columns, and more."""
    out: dict[str, Any] = {}
    found = outputs.shape(workspace / kept.tracked.path)
    if found is not None and found.rows is not None:
        out["dagster/row_count"] = found.rows
    if found is not None and found.columns:
        out["dagster/column_schema"] = dg.TableSchema(
            columns=[dg.TableColumn(name=name, type=kind) for name, kind in found.columns]
        )
    return {**out, **more, **outputs.describe(kept)}
