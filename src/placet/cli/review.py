"""Commands of who decides: check, approve, reject, return, merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from placet.cli.author import ident_argument
from placet.cli.output import output, table

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.checks import Checked
    from placet.engine.review import Decided

reason_option = click.option("-m", "--message", required=True, help="The reason; the node reads it.")


@click.command()
@ident_argument
def check(ident: str) -> None:
    """Run the policy's checks again, on the bytes where they are readable; exit 12 if one fails."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        found = client.check(ident)
        output.show(found, _checked)
        if not found.passed:
            raise click.exceptions.Exit(12)


@click.command()
@ident_argument
@click.option("-m", "--message", default="", help="A comment.")
@click.option("--days", type=click.IntRange(min=1), help="Days until it expires.")
def approve(ident: str, message: str, days: int | None) -> None:
    """Approve exactly these bytes with your own key; the checks run again first."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        output.show(client.decide(ident, "approve", comment=message, days=days), _decided)


@click.command()
@ident_argument
@reason_option
def reject(ident: str, message: str) -> None:
    """Say no."""
    from placet.client import Client

    with Client() as client:
        output.show(client.decide(ident, "reject", comment=message), _decided)


@click.command("return")
@ident_argument
@reason_option
def return_(ident: str, message: str) -> None:
    """Send a proposal back to its node with comments."""
    from placet.client import Client

    with Client() as client:
        output.show(client.decide(ident, "return", comment=message), _decided)


@click.command()
@ident_argument
def merge(ident: str) -> None:
    """Land an approved proposal on `main`, where the forge is plain Git."""
    from placet.client import Client

    with Client() as client:
        commit = client.merge(ident)
        output.show({"commit": commit}, lambda found, console: console.print(f"landed as {found['commit']}"))


def _checked(found: Checked, console: Console) -> None:
    rows = [(one.check, one.path, "passed" if one.passed else "FAILED", one.summary) for one in found.results]
    console.print(table("", ("check", "path", "result", "summary"), rows))
    console.print(f"Looked at: the {found.on}.")


def _decided(found: Decided, console: Console) -> None:
    console.print(f"{found.person}: {found.verdict} {found.id[:12]} (decision {found.n})")
    for text in found.missing:
        console.print(text, markup=False)
