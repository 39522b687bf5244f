"""Commands of a node: promote, doctor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from placet.cli.output import output, size, table
from placet.errors import PlacetError

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.doctor import Finding
    from placet.engine.promote import Promotion


@click.command()
@click.argument("ids", nargs=-1, help="Proposals by id; none = all of this node's that have landed.")
@click.option(
    "--shard", metavar="I/N", help="Copy only this part of the objects, 1/8 to 8/8, and record nothing."
)
@click.option("--dask", metavar="ADDRESS", help="Copy on this cluster first, e.g. tcp://10.0.0.5:8786.")
def promote(ids: Sequence[str], shard: str | None, dask: str | None) -> None:
    """Promote what has landed: verified copy, receipt, ledger entry, published branch.

    Shards run anywhere, in any order, with the stores' credentials and without a signing key; a run without
    `--shard` then proves all objects, copies what is missing, and records.
    """
    from placet.client import Client
    from placet.engine.shards import parse_shard

    part = parse_shard(shard) if shard is not None else None
    with Client(progress=output.progress()) as client:
        finish(client.promote(ids, shard=(part.number, part.of) if part else None, dask=dask))


@click.command()
def doctor() -> None:
    """Say what works here and what does not: settings, keys, trust root, remotes, stores, versions."""
    from placet.client import Client

    with Client() as client:
        findings = client.doctor()
        output.show(findings, _findings, name="findings")
        if any(one.level == "fail" for one in findings):
            raise click.exceptions.Exit(1)


def finish(found: Sequence[Promotion]) -> None:
    """Show what became of proposals; the first that was not promoted gives the exit code."""
    output.show(found, promotions, name="promotions")
    error = next((one.error for one in found if one.error is not None), None)
    if error is not None:
        raise click.exceptions.Exit(error.exit_code)


def promotions(found: Sequence[Promotion], console: Console) -> None:
    """What became of proposals, for a person."""
    if not found:
        console.print("Nothing waits to be promoted.")
    for one in found:
        console.print(f"{one.id}  {one.state}", style="bold")
        for part in one.artifacts:
            ways = ", ".join(f"{count} by {way}" for way, count in part.ways.items()) or "none copied"
            console.print(
                f"  {part.path}: {part.objects} objects, {size(part.size)} ({ways}; {part.found} found)"
            )
        if one.commit is None and one.artifacts and one.state == "LANDED":
            console.print("  A shard was copied. To prove all and record: placet promote, without --shard.")
        if isinstance(one.error, PlacetError):
            console.print(f"  {one.error}", markup=False, style="red")


def _findings(found: Sequence[Finding], console: Console) -> None:
    console.print(table("", ("", "what", "finding"), [(one.level, one.name, one.text) for one in found]))
    for one in found:
        if one.mend and one.level != "ok":
            console.print(f"{one.name}: {one.mend}", markup=False)
