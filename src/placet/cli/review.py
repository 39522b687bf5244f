"""Commands of who decides: check, approve, reject, return, merge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from placet.cli import proposals
from placet.cli.author import ident_argument
from placet.cli.output import output
from placet.core.predicates import Verdict

_OPTIONS = (
    click.option(
        "--on",
        nargs=2,
        multiple=True,
        metavar="PATH TEXT",
        help="A comment on one artifact: its path, then the text; may be repeated.",
    ),
    click.option(
        "--manifest",
        default="",
        help="The digest that `placet show` printed; nothing is decided about another one.",
    ),
)


def deciding(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every decision."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return ident_argument(command)


@click.command()
@ident_argument
@click.option("--commit", help="Fail unless its branch is at this commit; IDENT is the whole id then.")
@click.option("--approved", is_flag=True, help="Fail unless it is approved.")
def check(ident: str, commit: str | None, approved: bool) -> None:
    """Run the policy's checks again, on the bytes where they are readable; exit 12 if one fails."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        found = client.check(ident, commit=commit, approved=approved)
        output.show(found, proposals.checked)
        if not found.passed:
            raise click.exceptions.Exit(12)


@click.command()
@deciding
@click.option("-m", "--message", default="", help="A comment.")
@click.option("--days", type=click.IntRange(min=1), help="Days until it expires.")
def approve(ident: str, on: Sequence[tuple[str, str]], manifest: str, message: str, days: int | None) -> None:
    """Approve exactly these bytes with your own key; the checks run again first."""
    _decide(ident, "approve", message, on, manifest, days)


@click.command()
@deciding
@click.option("-m", "--message", default="", help="The reason; the node reads it.")
def reject(ident: str, on: Sequence[tuple[str, str]], manifest: str, message: str) -> None:
    """Say no."""
    _decide(ident, "reject", message, on, manifest)


@click.command("return")
@deciding
@click.option("-m", "--message", default="", help="The reason; the node reads it.")
def return_(ident: str, on: Sequence[tuple[str, str]], manifest: str, message: str) -> None:
    """Send a proposal back to its node with comments; what the node proposes next follows it."""
    _decide(ident, "return", message, on, manifest)


@click.command()
@ident_argument
def merge(ident: str) -> None:
    """Land an approved proposal on `main`: by its pull request on a forge, else by a push."""
    from placet.client import Client

    with Client() as client:
        commit = client.merge(ident)
        output.show({"commit": commit}, lambda found, console: console.print(f"landed as {found['commit']}"))


def _decide(
    ident: str,
    verdict: Verdict,
    message: str,
    on: Sequence[tuple[str, str]],
    manifest: str,
    days: int | None = None,
) -> None:
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        found = client.decide(ident, verdict, comment=message, on=on, manifest=manifest or None, days=days)
        output.show(found, proposals.decided)
