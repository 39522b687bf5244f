"""Placet in a process that Dagster started by Pipes: here is no Dagster, only `dagster_pipes`.

    from dagster_pipes import open_dagster_pipes
    from placet.integrations.pipes import materialize

    with open_dagster_pipes() as pipes:
        ...
        materialize(pipes, "/srv/placet/site-a", "outputs/summary.csv")

Needs the extra `placet[pipes]`. A process whose output `PlacetComponent` tracks needs none of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placet.integrations import outputs

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

    from placet.engine.artifact import Tracked


def materialize(
    pipes: PipesContext,
    workspace: str | Path,
    path: str,
    *,
    written: Path | None = None,
    push: bool = True,
    remote: str | None = None,
    asset_key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Tracked:
    """Track and push an output, and report the asset as materialized, with its content's data version.

    Args:
        pipes: The process's own context.
        workspace: The DVC project with `placet.toml`.
        path: Relative to the workspace.
        written: A new version, as of `integrations.outputs.fresh`, which takes the output's place first.
        push: Push it to the internal tier.
        remote: Another DVC remote than that.
        asset_key: Which asset it is, where the process makes several.
        metadata: More to show in Dagster; of `placet/` names, what is tracked counts.
    """
    root = Path(workspace)
    kept = outputs.keep(root, path, written=written, push=push, remote=remote)
    found = outputs.shape(root / path)
    rows = found.rows if found is not None else None
    shown: dict[str, Any] = {"dagster/row_count": rows} if rows is not None else {}
    pipes.report_asset_materialization(
        asset_key=asset_key,
        data_version=outputs.data_version(kept.tracked),
        metadata={**shown, **(metadata or {}), **outputs.describe(kept)},
    )
    return kept.tracked
