"""The command `notify`: tell people what happened, once; an agent does it as a service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from placet.cli.output import output, wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.telling import Delivery
    from placet.wire.notify import Notified


@click.command()
@click.argument("targets", nargs=-1, help="With --test: the targets of [notify]; none = all.")
@click.option("--test", is_flag=True, help="Send each target a message that says that it is a test.")
@click.option("--dry-run", is_flag=True, help="Only say what would be told; send and record nothing.")
def notify(targets: Sequence[str], test: bool, dry_run: bool) -> None:
    """Tell people what happened since the last time, as [notify] of placet.toml says.

    An agent does the same as a service. What is new is recorded before it is sent, so that nothing is missed;
    what could not be sent, or was cut off while it was sent, is sent by the next run.
    """
    from placet.client import Client

    if targets and not test:
        raise click.UsageError("Name targets together with --test only.")
    with Client() as client:
        if test:
            deliveries = client.notify_test(targets)
            output.show(deliveries, _deliveries, name="deliveries")
        else:
            found = client.notify(dry=dry_run)
            output.show(found, _notified)
            deliveries = found.deliveries
    error = next((one.error for one in deliveries if one.error is not None), None)
    if error is not None:
        raise click.exceptions.Exit(error.exit_code)


def _notified(found: Notified, console: Console) -> None:
    if not found.happened:
        console.print("Nothing is new.")
    for one in found.happened:
        for part in wrapped(console, f"{one.kind}  {one.text}"):
            console.print(part)
    _deliveries(found.deliveries, console)
    if found.waits:
        console.print(f"Still to be sent, each line to one target: {found.waits}.")


def _deliveries(found: Sequence[Delivery], console: Console) -> None:
    for one in found:
        if one.error is None:
            console.print(f"{one.target}  was told")
        else:
            console.print(f"{one.target}  {one.error}")
