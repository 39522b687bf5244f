"""`placet policy`: show, lint, explain, propose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from placet.cli.author import proposed
from placet.cli.output import output

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.show import Explanation


@click.group(no_args_is_help=True)
def policy() -> None:
    """Look at, check and change the policy."""


@policy.command()
def show() -> None:
    """Print the effective policy, with its number and digest: what the next policy begins from."""
    from placet.client import Client

    with Client() as client:
        found = client.effective_policy()
        shown = {"number": found.form.number, "digest": found.digest, "policy": found.data.decode()}
        output.show(shown, _policy)


@policy.command()
@click.argument("file", type=click.Path(path_type=Path), help="A policy file.")
def lint(file: Path) -> None:
    """Find mistakes (exit 2, with line and column) and weaknesses (exit 12) of a policy file."""
    from placet.client import lint_policy

    found = lint_policy(file)
    output.show({"weaknesses": found}, _weaknesses)
    if found:
        raise click.exceptions.Exit(12)


@policy.command()
@click.argument("path", help="A workspace path, or <node>/<path> with --node.")
@click.option("--node", default="", help="The node; this one by default.")
@click.option("--tier", default="", help="The publication tier.")
def explain(path: str, node: str, tier: str) -> None:
    """Tell which rule of the effective policy holds for a path, and who could approve."""
    from placet.client import Client

    with Client() as client:
        output.show(client.explain(path, node=node or None, tier=tier or None), _explained)


@policy.command()
@click.argument("file", type=click.Path(path_type=Path), help="The next policy.")
@click.option("-m", "--message", required=True, help="What changes, and why.")
def propose(file: Path, message: str) -> None:
    """Propose the next policy; it counts once it is approved under the effective one and merged."""
    from placet.client import Client

    with Client() as client:
        output.show(client.propose_policy(file, message=message), proposed)


def _policy(found: dict[str, Any], console: Console) -> None:
    console.print(f"# effective: policy {found['number']}, sha256:{found['digest']}")
    console.print(found["policy"], end="", markup=False, soft_wrap=True)


def _weaknesses(found: dict[str, list[str]], console: Console) -> None:
    for text in found["weaknesses"] or ["No weakness found."]:
        console.print(text, markup=False)


def _explained(found: Explanation, console: Console) -> None:
    if found.rule is None:
        console.print(f"No rule matches {found.node}/{found.path} for {found.tier}: denied.", markup=False)
        return
    console.print(f"{found.node}/{found.path} for {found.tier}: rule {found.rule}", markup=False)
    for text in found.needs:
        console.print(f"  needs  {text}", markup=False)
    console.print(f"  could approve: {', '.join(found.people) or 'nobody'}")
    if found.checks:
        console.print(f"  checks: {', '.join(found.checks)}")
    for name, value in found.limits.items():
        console.print(f"  {name}: {value}", markup=False)
