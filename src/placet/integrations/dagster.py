"""Placet inside Dagster: assets whose outputs are tracked, pushed to the internal tier, and proposable.

    @dg.asset
    def model(placet: PlacetResource) -> dg.MaterializeResult:
        train().save(placet.path("outputs/model.pkl"))
        return placet.materialize("outputs/model.pkl")

The data version of an asset is the SHA-256 of its content, so staleness follows content, not time. Needs the
extra `placet[dagster]`; importing `placet` never imports Dagster.
"""

from __future__ import annotations

import pickle
import secrets
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg

from placet.client import Client
from placet.core.digest import Digests
from placet.core.provenance import Provenance, Resource
from placet.engine.artifact import Tracked
from placet.engine.promote import Promotion
from placet.engine.propose import Proposed
from placet.errors import Corrupt

BUILD_TYPE = "urn:placet:build:dagster:v1"


class PlacetResource(dg.ConfigurableResource[Any]):
    """A node's workspace, for the body of an asset; public Dagster API only.

    Attributes:
        workspace: The DVC project with `placet.toml`.
        push: Push what was tracked to the internal tier at once.
        remote: Another DVC remote than the internal tier.
    """

    workspace: str
    push: bool = True
    remote: str | None = None

    def path(self, path: str) -> Path:
        """Where an output of the workspace is; its folder exists then."""
        found = Path(self.workspace) / path
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def materialize(
        self, path: str, *, metadata: Mapping[str, Any] | None = None
    ) -> dg.MaterializeResult[Any]:
        """Track and push an output that the asset has written; the result to return from the asset.

        Idempotent. Two steps that run at the same time take turns where they must.

        Args:
            path: Relative to the workspace.
            metadata: More to show in Dagster.
        """
        tracked, tier = self._track(path)
        return dg.MaterializeResult(
            metadata={**describe(tracked, tier), **(metadata or {})},
            data_version=_version(tracked.digests),
        )

    def propose(self, context: dg.AssetExecutionContext, paths: list[str], message: str) -> Proposed:
        """Propose outputs for publication, with this run as their provenance."""
        with self._client() as client:
            return client.propose(
                [Path(self.workspace) / path for path in paths],
                message=message,
                provenance=provenance(context),
            )

    def shards(self, proposals: Sequence[str] = ()) -> Sequence[tuple[str, int]]:
        """Proposals that may be promoted now, and their numbers of shards; as `Client.shards`."""
        with self._client() as client:
            return client.shards(proposals)

    def promote(
        self, proposals: Sequence[str] = (), *, shard: tuple[int, int] | None = None
    ) -> Sequence[Promotion]:
        """As `Client.promote`."""
        with self._client() as client:
            return client.promote(proposals, shard=shard)

    def _track(self, path: str) -> tuple[Tracked, str]:
        with self._client() as client:
            (tracked,) = client.track([Path(self.workspace) / path])
            if self.push:
                client.push([Path(self.workspace) / path], remote=self.remote)
            return tracked, (self.remote or client.internal_remote()) if self.push else "local"

    def _client(self) -> Client:
        return Client(Path(self.workspace))


class PlacetIOManager(dg.ConfigurableIOManager):
    """Keeps what assets return as tracked outputs: any Python object (pickled), a file, or a directory.

    An asset `group/name` becomes `outputs/group/name.pkl`; of a returned `Path`, the file or directory is
    moved to `outputs/group/name` with the path's own suffix. Loading verifies the bytes first.

    Attributes:
        workspace: The DVC project with `placet.toml`.
        folder: Where outputs go, relative to the workspace.
        push: Push to the internal tier at once.
    """

    workspace: str
    folder: str = "outputs"
    push: bool = True

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Write, track and push what an asset returned; its data version is its content's."""
        path = self._path(context, Path(obj).suffix if isinstance(obj, Path) else ".pkl")
        target = Path(self.workspace) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        if isinstance(obj, Path):
            shutil.move(obj, fresh)
        else:
            fresh.write_bytes(pickle.dumps(obj, protocol=5))
        if target.is_dir():
            shutil.rmtree(target)
        fresh.replace(target)
        resource = PlacetResource(workspace=self.workspace, push=self.push)
        result = resource.materialize(path)
        context.add_output_metadata(dict(result.metadata or {}))
        if result.data_version and context.has_asset_key and _has_step(context):
            context.step_context.set_data_version(context.asset_key, result.data_version)

    def load_input(self, context: dg.InputContext) -> object:
        """Read what an upstream asset returned, if its bytes are those that were tracked.

        Raises:
            Corrupt: kind `changed-output`: somebody changed the output since.
        """
        found = sorted(Path(self.workspace).glob(f"{self._path(context, '')}*.dvc"))
        if not found:
            raise FileNotFoundError(f"{self._path(context, '')} was not materialized in {self.workspace}")
        path = found[0].with_suffix("")
        with Client(Path(self.workspace)) as client:
            changes = client.status([path]).changes
        if changes:
            raise Corrupt(
                f"{path} is not what was tracked.",
                kind="changed-output",
                mend="Materialize the upstream asset again.",
            )
        if path.suffix == ".pkl":
            return pickle.loads(path.read_bytes())  # noqa: S301 - verified against the node's own .dvc file
        return path

    def _path(self, context: dg.OutputContext | dg.InputContext, suffix: str) -> str:
        parts = list(context.asset_key.path)
        if context.has_asset_partitions:
            parts.append(context.asset_partition_key)
        return f"{self.folder}/{'/'.join(parts)}{suffix}"


def _version(known: Digests) -> dg.DataVersion:
    """SHA-256; MD5 of a part whose directory is not here as a whole, so that its SHA-256 is not known."""
    return dg.DataVersion(f"sha256:{known.sha256}" if known.sha256 else f"md5:{known.md5}")


def describe(tracked: Tracked, tier: str) -> dict[str, Any]:
    """What Dagster shows of a tracked output."""
    return {
        "placet/path": tracked.path,
        "placet/metafile": tracked.metafile,
        "placet/sha256": tracked.digests.sha256,
        "placet/md5": tracked.digests.md5,
        "placet/size": tracked.digests.size,
        "placet/files": tracked.nfiles or 1,
        "placet/tier": tier,
    }


def provenance(context: dg.AssetExecutionContext) -> Provenance:
    """Where an asset's outputs come from: orchestrator, asset, run, code, inputs."""
    key = context.asset_key
    spec = context.assets_def.specs_by_key[key]
    inputs = sorted(dep.asset_key.to_user_string() for dep in spec.deps)
    return Provenance.of(
        build_type=BUILD_TYPE,
        builder=f"pkg:pypi/dagster@{version('dagster')}",
        invocation=context.run.run_id,
        asset=key.to_user_string(),
        code_version=spec.code_version or "",
        dependencies=tuple(Resource(name=one, uri=f"dagster:asset/{quote(one)}") for one in inputs),
    )


def _has_step(context: dg.OutputContext) -> bool:
    """Is this a step of a run? `dg.build_output_context` makes contexts that are none."""
    try:
        return context.step_context is not None
    except dg.DagsterInvariantViolationError:
        return False
