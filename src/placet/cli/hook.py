"""Git's hooks: for who commits, and the Ctrl repository's own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from placet.cli.output import output
from placet.core.staged import MOST

if TYPE_CHECKING:
    from rich.console import Console

    from placet.wire.hooks import Judged

REFUSED = 12


@click.group()
def hook() -> None:
    """Git hooks that keep data out of Git and metafiles canonical; see `.pre-commit-hooks.yaml`."""


@hook.command()
@click.argument("files", nargs=-1, help="The files, as the index holds them; none = what is staged.")
@click.option(
    "--most", type=click.IntRange(min=0), default=MOST, help="Bytes that a file in Git has at most."
)
@click.option(
    "--allow",
    "allow",
    multiple=True,
    metavar="GLOB",
    help="Files that may be of any size and kind; `**` = any folders.",
)
def data(files: Sequence[str], most: int, allow: Sequence[str]) -> None:
    """Refuse a commit that holds data or a credential; exit 12."""
    from placet.wire.hooks import judge_data

    _end(judge_data(Path.cwd(), files, most=most, allow=allow))


@hook.command()
@click.argument("files", nargs=-1, help="The files, as the index holds them; none = what is staged.")
@click.option("--fix", is_flag=True, help="Rewrite what only has another form than DVC's.")
def metafiles(files: Sequence[str], fix: bool) -> None:
    """Refuse a commit with a `.dvc` file that DVC cannot use, or would write in another form; exit 12."""
    from placet.wire.hooks import judge_metafiles

    _end(judge_metafiles(Path.cwd(), files, rewrite=fix))


@hook.command("pre-receive", hidden=True)
@click.option("--trust-root", required=True, help="The digest of policy 0.")
def pre_receive(trust_root: str) -> None:
    """Judge a push, inside the server's hook; `init --ctrl` installs it."""
    from placet.wire import setup

    setup.judge_push(sys.stdin.buffer.read(), trust_root)


def _end(found: Judged) -> None:
    output.show(found, _drawn)
    if found.objections:
        raise click.exceptions.Exit(REFUSED)


def _drawn(found: Judged, console: Console) -> None:
    for one in found.objections:
        path = one.path.replace("\n", "\\n")
        console.print(f"{path}: {one.reason}", markup=False, soft_wrap=True, style="red")
        console.print(f"    {one.mend}".replace("\n", "\\n"), markup=False, soft_wrap=True)
    if not found.objections:
        console.print(f"{found.files} files looked at: nothing to object to.")
