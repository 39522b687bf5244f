"""Commands of who proposes: propose, withdraw; and of everybody who looks: list, show, diff, log."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from placet.cli import proposals
from placet.cli.output import output
from placet.core.states import State
from placet.errors import Partial

if TYPE_CHECKING:
    from rich.console import Console

    from placet.core.provenance import Provenance
    from placet.engine.propose import Proposed

ident_argument = click.argument("ident", help="A proposal's id, or the first digits of it.")


@click.command()
@click.argument("paths", nargs=-1, required=True, help="Outputs to propose for publication.")
@click.option("-m", "--message", required=True, help="What it is and why it may leave.")
@click.option("--tier", default="", help="The publication tier.")
@click.option(
    "--input", "inputs", multiple=True, metavar="PATH|URI",
    help="What it was made from: a tracked output, or a URI; can be given several times.",
)  # fmt: skip
@click.option(
    "--provenance", "file", type=click.Path(path_type=Path),
    help="A file with the predicate of SLSA's build provenance v1 (JSON).",
)  # fmt: skip
def propose(paths: Sequence[str], message: str, tier: str, inputs: Sequence[str], file: Path | None) -> None:
    """Track, push to the internal tier, check, sign, and push the proposal's branch; prints the id."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        made = client.propose(
            paths, message=message, tier=tier or None, inputs=inputs, provenance=_provenance(file)
        )
        output.show(made, proposed)
    require_announced(made)


@click.command("list")
@click.option("--state", type=click.Choice([one.value for one in State]), help="Only those in this state.")
@click.option("--mine", is_flag=True, help="Only those that wait for your decision.")
@click.option("--node", default="", help="Only those of this node.")
@click.option("--path", default="", help="Only those with an artifact that this glob matches, or below it.")
@click.option("--closed", is_flag=True, help="Also those that were closed without landing.")
def list_(state: str | None, mine: bool, node: str, path: str, closed: bool) -> None:
    """List proposals, newest first."""
    from placet.client import Client

    with Client() as client:
        found = client.list(
            state=State(state) if state else None,
            mine=mine,
            node=node or None,
            path=path or None,
            closed=closed,
        )
        output.show(found, proposals.listed, name="proposals")


@click.command()
@ident_argument
def show(ident: str) -> None:
    """Show one proposal with everything a reviewer needs."""
    from placet.client import Client

    with Client() as client:
        output.show(client.show(ident), proposals.shown)


@click.command()
@ident_argument
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=0,
    help="Of each table, so many of the rows that differ; on a terminal or with --json only.",
)
def diff(ident: str, rows: int) -> None:
    """Show what a proposal changes against what is published: files, sizes, columns, counts of rows."""
    from placet.client import Client

    if rows and not (output.json or sys.stdout.isatty()):
        raise click.BadParameter("--rows shows data: only on a terminal, or with --json.")
    with Client(progress=output.progress()) as client:
        output.show(client.diff(ident, rows=rows), proposals.diffed)


@click.command()
@ident_argument
@click.option("-m", "--message", default="", help="Why.")
def withdraw(ident: str, message: str) -> None:
    """Take an own proposal back, before it is published."""
    from placet.client import Client

    with Client() as client:
        ident = client.withdraw(ident, reason=message)
        output.show({"id": ident}, lambda found, console: console.print(f"{found['id']} is withdrawn."))


@click.command()
@click.option("--tier", default="", help="Only this tier's ledger.")
def log(tier: str) -> None:
    """Show the ledger as a timeline."""
    from placet.client import Client

    with Client() as client:
        output.show(client.log(tier=tier or None), proposals.logged, name="entries")


def _provenance(file: Path | None) -> Provenance | None:
    from placet.core.envelope import MAX_PAYLOAD
    from placet.core.provenance import read_provenance
    from placet.wire.ctrl import read_file

    return read_provenance(read_file(file, MAX_PAYLOAD)) if file is not None else None


def proposed(found: Proposed, console: Console) -> None:
    """A proposal as it was made."""
    console.print(found.id)
    if not found.created:
        console.print(f"It was there already, and is {found.case_state}.")
    if found.url:
        console.print(found.url, markup=False)


def require_announced(found: Proposed) -> None:
    """Exit with 3 where the forge does not show a proposal yet."""
    if found.unannounced:
        output.warn(
            ("The proposal is pushed, but the forge does not show it yet:", found.unannounced,
             "Run the same command again; an agent or a witness does it too.")
        )  # fmt: skip
        raise click.exceptions.Exit(Partial.exit_code)
