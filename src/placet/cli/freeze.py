"""Commands of who stops publications: freeze, unfreeze, freezes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from placet.cli.output import output, quoted, wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.freezing import Standing, Unfrozen


@click.command()
@click.argument("scope", help="all, node:NAME, tier:NAME or path:GLOB of <node>/<path>, as in rules.")
@click.option("-m", "--message", required=True, help="Why; everybody who is stopped reads it.")
def freeze(scope: str, message: str) -> None:
    """Stop every publication in a scope, at once and alone; prints the freeze's id.

    Needs no merge. What is published stays; what waits stays approved. Two people end it.
    """
    from placet.client import Client

    with Client() as client:
        ident = client.freeze(scope, reason=message)
        output.show({"id": ident, "scope": scope}, _frozen)


@click.command()
@click.argument("ident", help="A freeze's id, or the first digits of it; see `placet freezes`.")
@click.option("-m", "--message", required=True, help="Why publications may go on.")
def unfreeze(ident: str, message: str) -> None:
    """Sign the end of a freeze; it ends when a second person has done so too."""
    from placet.client import Client

    with Client() as client:
        output.show(client.unfreeze(ident, reason=message), _unfrozen)


@click.command()
def freezes() -> None:
    """List the freezes that stand, who has signed their end, and what they hold back."""
    from placet.client import Client

    with Client() as client:
        output.show(client.freezes(), _listed, name="freezes")


def _frozen(found: dict[str, str], console: Console) -> None:
    console.print(found["id"])
    console.print(f"Nothing in {found['scope']} is published any more, until two people end it:")
    console.print(f"  placet unfreeze {found['id'][:12]} -m REASON")


def _unfrozen(found: Unfrozen, console: Console) -> None:
    who = ", ".join(found.people)
    if found.ended:
        console.print(f"{found.id} has ended, by {who}.")
        return
    console.print(f"{found.id} stands: {who} signed its end, and one more person is needed.")
    console.print(f"  placet unfreeze {found.id[:12]} -m REASON")


def _listed(found: Sequence[Standing], console: Console) -> None:
    if not found:
        console.print("No freeze stands.")
    for one in found:
        console.print(f"{one.id}  {one.scope}", style="bold")
        lines = [f"  by {one.person} at {one.time}, seen on: {one.where}", *quoted(one.reason)]
        lines += [f"  its end is signed by {', '.join(one.ended_by)}; one more is needed"] * bool(
            one.ended_by
        )
        lines += [f"  holds back {ident}" for ident in one.stops]
        for line in lines:
            for part in wrapped(console, line):
                console.print(part)
