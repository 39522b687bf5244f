"""Commands that move or hash bytes: track, status, push, fetch, checkout, pull."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from placet.cli.output import output, size, table

if TYPE_CHECKING:
    from placet.engine.checkout import CheckedOut
    from placet.engine.fetch import Fetched
    from placet.engine.push import Pushed
    from placet.engine.status import Status
    from placet.engine.track import Tracked

Targets = Annotated[
    list[str] | None,
    typer.Argument(help="`.dvc` files or data paths; none = everything."),
]
Remote = Annotated[
    str | None,
    typer.Option("-r", "--remote", help="A DVC remote by name."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (track, status, push, fetch, checkout, pull):
        app.command()(command)


def track(paths: Annotated[list[str], typer.Argument(help="Files or directories to track.")]) -> None:
    """Track outputs as `dvc add` does, with SHA-256 beside MD5; unchanged files are not read again."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        output.show(client.track(paths), _tracked, name="artifacts")


def status(targets: Targets = None, remote: Remote = None) -> None:
    """Compare workspace and cache or, with -r, cache and remote. Exit code 0 also if something differs."""
    from placet.client import Client

    with Client() as client:
        output.show(client.status(targets or (), remote=remote), _status)


def push(targets: Targets = None, remote: Remote = None) -> None:
    """Upload what the remote lacks; the internal tier of this node unless -r names another remote."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        output.show(client.push(targets or (), remote=remote), _pushed)


def fetch(
    targets: Targets = None,
    remote: Remote = None,
    proposal: Annotated[str, typer.Option(help="Fetch this proposal's bytes instead, to look at.")] = "",
    to: Annotated[Path | None, typer.Option(help="The new folder for --proposal.")] = None,
) -> None:
    """Download into the cache, every object verified; with --proposal ID --to DIR, for reviewers."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        if proposal:
            if to is None:
                raise typer.BadParameter("--proposal needs --to DIR.")
            output.show({"files": client.fetch_proposal(proposal, to)}, _files)
        else:
            output.show(client.fetch(targets or (), remote=remote), _fetched)


def checkout(
    targets: Targets = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace changed files.")] = False,
) -> None:
    """Make the workspace hold what its `.dvc` files say, from the cache."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        output.show(client.checkout(targets or (), force=force), _checked_out)


def pull(
    targets: Targets = None,
    remote: Remote = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace changed files.")] = False,
) -> None:
    """Fetch, then check out."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        fetched, checked_out = client.pull(targets or (), remote=remote, force=force)
        output.show({"fetched": fetched, "checked_out": checked_out}, _pulled)


def _tracked(found: Sequence[Tracked], console: Console) -> None:
    rows = [
        (one.path, one.nfiles or 1, size(one.digests.size), one.digests.sha256[:16], one.metafile)
        for one in found
    ]
    console.print(table("", ("path", "files", "size", "sha256", "metafile"), rows))


def _status(found: Status, console: Console) -> None:
    if not found.changes:
        console.print("Everything is up to date.")
        return
    console.print(table("", ("path", "state"), [(one.path, one.state) for one in found.changes]))


def _pushed(found: Pushed, console: Console) -> None:
    console.print(f"{found.objects} objects pushed ({size(found.size)}), {found.present} were there.")


def _fetched(found: Fetched, console: Console) -> None:
    console.print(f"{found.objects} objects fetched ({size(found.size)}), {found.present} were there.")


def _checked_out(found: CheckedOut, console: Console) -> None:
    console.print(f"{found.files} files checked out, {found.present} were there.")


def _pulled(found: dict[str, Any], console: Console) -> None:
    _fetched(found["fetched"], console)
    _checked_out(found["checked_out"], console)


def _files(found: dict[str, Sequence[Path]], console: Console) -> None:
    for path in found["files"][:20]:
        console.print(str(path))
    console.print(f"{len(found['files'])} files, each proven equal to the manifest.")
