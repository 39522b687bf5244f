"""Where outputs come from, by the manifest's names: Dagster's run, asset, code version, and what went in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from urllib.parse import quote

import dagster as dg

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.provenance import Provenance, Resource
from placet.integrations.dagster.events import Recorded, output_at, outputs_of

BUILD_TYPE = "urn:placet:build:dagster:v1"
_MOST_INPUTS = 200
_MOST_NAMES = 300


def provenance(
    context: dg.AssetExecutionContext,
    *,
    repository: str = "",
    node: str = "",
    url: str | None = None,
    code: Resource | None = None,
) -> Provenance:
    """Where the outputs come from of the asset whose body calls this.

    Args:
        context: Of the body.
        repository: The Ctrl repository's id.
        node: Whose outputs they are; without, inputs are named by their assets alone.
        url: Where Dagster's pages are.
        code: Where the code is.
    """
    key = context.asset_key
    spec = context.assets_def.specs_by_key[key]
    partition = context.partition_key if context.has_partition_key else None
    inputs = []
    for dep in spec.deps:
        newest = outputs_of(context.instance, dep.asset_key)
        same = [one for one in newest if one.partition in {None, partition}]
        inputs.append(_resource(dep.asset_key.to_user_string(), same[0] if same else None, repository, node))
    return _made(key.to_user_string(), context.run.run_id, spec.code_version or "", inputs, url, code)


def provenance_of(
    instance: dg.DagsterInstance,
    found: Sequence[Recorded],
    *,
    repository: str,
    node: str,
    run: str,
    url: str | None = None,
    code: Resource | None = None,
) -> Provenance:
    """Where outputs come from that were made before, as Dagster recorded it then.

    Args:
        instance: Whose event log has them.
        found: The outputs.
        repository: The Ctrl repository's id.
        node: Whose outputs they are.
        run: The run that stands for them, if more than one made them.
        url: Where Dagster's pages are.
        code: Where the code is.
    """
    inputs = [
        _resource(name, _input(instance, one, name), repository, node) for one in found for name in one.inputs
    ]
    runs, codes = {one.run for one in found}, {one.code_version for one in found}
    names = sorted({one.name for one in found})
    text = ", ".join(names)
    if len(text) > _MOST_NAMES:
        text = f"{names[0][: _MOST_NAMES - 30]} and {len(names) - 1} more"
    made_by = runs.pop() if len(runs) == 1 else run
    return _made(text, made_by, codes.pop() if len(codes) == 1 else "", inputs, url, code)


def _made(
    asset: str,
    run: str,
    code_version: str,
    inputs: Iterable[Resource],
    url: str | None,
    code: Resource | None,
) -> Provenance:
    by_uri = {(one.uri, *one.digest.values()): one for one in inputs}
    return Provenance.of(
        build_type=BUILD_TYPE,
        builder=f"pkg:pypi/dagster@{version('dagster')}",
        invocation=run,
        invocation_url=f"{url.rstrip('/')}/runs/{run}" if url else None,
        asset=asset,
        code_version=code_version,
        code=code,
        dependencies=tuple(by_uri[one] for one in sorted(by_uri)[:_MOST_INPUTS]),
    )


def _input(instance: dg.DagsterInstance, one: Recorded, name: str) -> Recorded | None:
    """The version of an input that went in, if Dagster's event log still proves which it was.

    Of a partitioned input it has the hash of all versions that were read, joined; and of whatever partition
    was made last the place. So only the same partition, alone, can be told.
    """
    key, (place, version) = dg.AssetKey.from_user_string(name), one.inputs[name]
    made = output_at(instance, key, place)
    related = made is not None and (one.partition is None or made.partition in {None, one.partition})
    if made is not None and related and made.version == version:
        return made
    same = outputs_of(instance, key, [one.partition]) if one.partition is not None else []
    return next((made for made in same if sha256_hex(made.version.encode()) == version), None)


def _resource(name: str, made: Recorded | None, repository: str, node: str) -> Resource:
    """An input: the artifact that it was, where Dagster knows that; else the asset by its name."""
    if made is None or not (repository and node):
        return Resource(name=name, uri=f"dagster:asset/{quote(name)}")
    uri = layout.artifact_uri(repository, node, made.path)
    return Resource(name=name, uri=uri, digest={"dirHash" if made.directory else "sha256": made.sha256})
