"""Taking back what was published: retract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from placet.cli.output import output
from placet.errors import PlacetError

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.retract import Retracted

_UNFINISHED = 3


@click.command()
@click.argument(
    "target", required=False, help="A published proposal, or the path of an artifact; none = go on with all."
)
@click.option("-m", "--message", default="", help="Why; everybody reads it.")
@click.option("--emergency", is_flag=True, help="Hide it at once; a second person confirms it in time.")
@click.option("--tier", help="The publication tier where a path is looked for.")
def retract(target: str | None, message: str, emergency: bool, tier: str | None) -> None:
    """Take back what was published: nobody is given it any more, and every version of it is erased.

    Run it again to go on with a retraction that waited, or that was interrupted.
    """
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        if target is None:
            done = client.follow_retractions()
        else:
            done = [client.retract(target, reason=message, tier=tier, emergency=emergency)]
    output.show(done, _retracted, name="retractions")
    error = next((one.error for one in done if one.error is not None), None)
    if error is not None:
        raise click.exceptions.Exit(error.exit_code)
    if target is not None and not done[0].done:
        raise click.exceptions.Exit(_UNFINISHED)


def _retracted(found: Sequence[Retracted], console: Console) -> None:
    if not found:
        console.print("No retraction waits for anything that can be done here.")
    for one in found:
        console.print(f"{one.id}  {one.stage}", style="bold")
        console.print(f"  {', '.join(one.paths)}: {one.reason}", markup=False)
        for part in one.erased:
            words = f"{part.objects} objects, {part.versions} versions erased, {part.kept} kept"
            console.print(f"  {part.path}: {words}", markup=False)
        if one.until:
            console.print(f"  comes back at {one.until}, if nobody confirms it")
        if one.waits:
            console.print(f"  {one.waits}", markup=False)
        if isinstance(one.error, PlacetError):
            console.print(f"  {one.error}", markup=False, style="red")
