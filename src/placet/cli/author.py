"""Commands of who proposes: propose, withdraw; and of everybody who looks: list, show, diff, log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from placet.cli.output import output, size, table
from placet.core.states import State

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.diff import Diff
    from placet.engine.propose import Proposed
    from placet.engine.show import Detail, LogLine, Summary

ident_argument = click.argument("ident", help="A proposal's id, or the first digits of it.")


@click.command()
@click.argument("paths", nargs=-1, required=True, help="Outputs to propose for publication.")
@click.option("-m", "--message", required=True, help="What it is and why it may leave.")
@click.option("--tier", default="", help="The publication tier.")
def propose(paths: Sequence[str], message: str, tier: str) -> None:
    """Track, push to the internal tier, check, sign, and push the proposal's branch; prints the id."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        output.show(client.propose(paths, message=message, tier=tier or None), proposed)


@click.command("list")
@click.option("--state", type=click.Choice([one.value for one in State]), help="Only those in this state.")
def list_(state: str | None) -> None:
    """List proposals, newest first."""
    from placet.client import Client

    with Client() as client:
        output.show(client.list(state=State(state) if state else None), _list, name="proposals")


@click.command()
@ident_argument
def show(ident: str) -> None:
    """Show one proposal with everything a reviewer needs."""
    from placet.client import Client

    with Client() as client:
        output.show(client.show(ident), _show)


@click.command()
@ident_argument
def diff(ident: str) -> None:
    """Show what a proposal changes against what is published."""
    from placet.client import Client

    with Client() as client:
        output.show(client.diff(ident), _diff)


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
        output.show(client.log(tier=tier or None), _log, name="entries")


def proposed(found: Proposed, console: Console) -> None:
    """A proposal as it was made."""
    console.print(found.id)
    if not found.created:
        console.print(f"It was there already, and is {found.case_state}.")


def _list(found: Sequence[Summary], console: Console) -> None:
    if not found:
        console.print("There is no proposal.")
        return
    rows = [
        (one.id[:12], one.state, one.by, ", ".join(one.paths), size(one.size), one.message.split("\n")[0])
        for one in found
    ]
    console.print(table("", ("id", "state", "by", "paths", "size", "message"), rows))


def _show(found: Detail, console: Console) -> None:
    console.print(f"[bold]{found.id}[/bold]  {found.state}  ({found.kind} by {found.by})")
    console.print(found.message, markup=False)
    lines = {
        "tier": found.tier,
        "proposed": found.proposed,
        "expires": found.expires,
        "manifest": f"sha256:{found.manifest}",
        "policy": f"number {found.policy}, rule {', '.join(found.rules) or '-'}",
        "asset": found.provenance.asset,
        "run": found.provenance.run,
        "stale": found.stale,
        "landed": found.landed,
        "published": found.published and f"{found.published}, ledger entry {found.sequence}",
    }
    for name, value in lines.items():
        if value:
            console.print(f"  {name:<10}{value}", markup=False)
    rows = [
        (one.path, one.kind, one.files, size(one.size), one.change, one.sha256[:16])
        for one in found.artifacts
    ]
    console.print(table("", ("artifact", "kind", "files", "size", "change", "sha256"), rows))
    if found.checks:
        checks = [
            (one.check, one.path, "passed" if one.passed else "FAILED", one.summary) for one in found.checks
        ]
        console.print(table("", ("check", "path", "result", "summary"), checks))
    if found.decisions:
        given = [
            (
                one.person,
                one.organisation,
                one.verdict,
                one.seen,
                one.time,
                one.comment,
                "" if one.counts else "void",
            )
            for one in found.decisions
        ]
        columns = ("person", "organisation", "verdict", "saw", "time", "comment", "")
        console.print(table("", columns, given))
    for text in (*found.reasons, *found.missing):
        console.print(text, markup=False)


def _diff(found: Diff, console: Console) -> None:
    for one in found.artifacts:
        console.print(f"[bold]{one.path}[/bold]  {one.change}")
        console.print(f"  size  {size(one.size[0])} -> {size(one.size[1])}")
        console.print(f"  files {one.files[0]} -> {one.files[1]}")
        if not one.listed:
            console.print("  (the lists of files are not readable here)")
            continue
        for sign, names, count in zip("+~-", (one.added, one.changed, one.removed), one.counts, strict=True):
            for name in names[:10]:
                console.print(f"  {sign} {name or one.path}", markup=False)
            if count > len(names[:10]):
                console.print(f"  {sign} ... {count} in all")


def _log(found: Sequence[LogLine], console: Console) -> None:
    rows = [
        (
            one.branch,
            one.sequence,
            one.time,
            one.kind,
            one.actor,
            (one.proposal or "")[:12],
            ", ".join(one.paths),
        )
        for one in found
    ]
    console.print(table("", ("branch", "n", "time", "kind", "by", "proposal", "paths"), rows))
