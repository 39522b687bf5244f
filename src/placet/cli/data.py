"""Commands that move or hash bytes: track, status, push, fetch, checkout, pull, gc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from placet.cli.output import output, size

if TYPE_CHECKING:
    from rich.console import Console

    from placet.core.outputs import Skipped
    from placet.engine.checkout import CheckedOut
    from placet.engine.fetch import Fetched
    from placet.engine.push import Pushed
    from placet.engine.status import Status
    from placet.engine.track import Tracked

targets_argument = click.argument(
    "targets",
    nargs=-1,
    help="`.dvc` files, data paths, folders, paths in a tracked directory, `dvc.yaml`, stages; none = all.",
)
remote_option = click.option("-r", "--remote", help="A DVC remote by name.")
force_option = click.option("-f", "--force", is_flag=True, help="Replace changed files.")
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), help="Objects moved at once; by default as placet.toml says."
)


@click.command()
@click.argument("paths", nargs=-1, required=True, help="Files or directories to track.")
def track(paths: Sequence[str]) -> None:
    """Track outputs as `dvc add` does, with SHA-256 beside MD5; unchanged files are not read again."""
    from placet.dataplane import DataPlane

    with DataPlane(progress=output.progress()) as client:
        output.say(client.track(paths), _tracked, name="artifacts")


@click.command()
@targets_argument
@remote_option
@click.option(
    "-c", "--cloud", is_flag=True, help="Compare with each output's own remote, else the default one."
)
def status(targets: Sequence[str], remote: str | None, cloud: bool) -> None:
    """Compare workspace and cache, or (-c, -r) cache and remote. Exit code 0 also if something differs."""
    from placet.dataplane import DataPlane

    with DataPlane() as client:
        output.say(client.status(targets, remote=remote, cloud=cloud), _status)


@click.command()
@targets_argument
@remote_option
@jobs_option
def push(targets: Sequence[str], remote: str | None, jobs: int | None) -> None:
    """Upload what the remote lacks; the internal tier of this node unless -r names another remote."""
    from placet.dataplane import DataPlane

    with DataPlane(progress=output.progress(), jobs=jobs) as client:
        output.say(client.push(targets, remote=remote), _pushed)


@click.command()
@targets_argument
@remote_option
@jobs_option
@click.option("--proposal", default="", help="Fetch this proposal's bytes instead, to look at.")
@click.option("--to", type=click.Path(path_type=Path), help="The new folder for --proposal.")
def fetch(
    targets: Sequence[str], remote: str | None, jobs: int | None, proposal: str, to: Path | None
) -> None:
    """Download into the cache, every object verified; with --proposal ID --to DIR, for reviewers."""
    if proposal:
        from placet.client import Client

        if to is None:
            raise click.BadParameter("--proposal needs --to DIR.")
        with Client(progress=output.progress(), jobs=jobs) as party:
            output.show({"files": party.fetch_proposal(proposal, to)}, _files)
        return
    from placet.dataplane import DataPlane

    with DataPlane(progress=output.progress(), jobs=jobs) as client:
        output.say(client.fetch(targets, remote=remote), _fetched)


@click.command()
@targets_argument
@force_option
def checkout(targets: Sequence[str], force: bool) -> None:
    """Make the workspace hold what its `.dvc` files say, from the cache."""
    from placet.dataplane import DataPlane

    with DataPlane(progress=output.progress()) as client:
        output.say(client.checkout(targets, force=force), _checked_out)


@click.command()
@targets_argument
@remote_option
@jobs_option
@force_option
def pull(targets: Sequence[str], remote: str | None, jobs: int | None, force: bool) -> None:
    """Fetch, then check out."""
    from placet.dataplane import DataPlane

    with DataPlane(progress=output.progress(), jobs=jobs) as client:
        fetched, checked_out = client.pull(targets, remote=remote, force=force)
        output.say({"fetched": fetched, "checked_out": checked_out}, _pulled)


def _tracked(found: Sequence[Tracked]) -> str:
    return "\n".join(
        f"{one.path}  {one.nfiles or 1} files  {size(one.digests.size)}  sha256 {one.digests.sha256[:16]}"
        f"  {one.metafile}"
        for one in found
    )


def _status(found: Status) -> str:
    lines = [
        f"{one.state:<16}{one.path}" + (f"  ({one.reason})" if one.reason else "") for one in found.changes
    ]
    return "\n".join([*(lines or ["Everything is up to date."]), *_skipped(found.skipped)])


def _skipped(found: Sequence[Skipped]) -> list[str]:
    return [f"{'skipped':<16}{one.path}  ({one.reason})" for one in found]


def _pushed(found: Pushed) -> str:
    done = f"{found.objects} objects pushed ({size(found.size)}), {found.present} were there."
    return "\n".join([done, *_skipped(found.skipped)])


def _fetched(found: Fetched) -> str:
    done = f"{found.objects} objects fetched ({size(found.size)}), {found.present} were there."
    return "\n".join([done, *_skipped(found.skipped)])


def _checked_out(found: CheckedOut) -> str:
    done = f"{found.files} files checked out, {found.present} were there."
    return "\n".join([done, *_skipped(found.skipped)])


def _pulled(found: dict[str, Any]) -> str:
    fetched, checked_out = found["fetched"], found["checked_out"]
    skipped = {one.path: one for one in (*fetched.skipped, *checked_out.skipped)}
    lines = (_fetched(replace(fetched, skipped=())), _checked_out(replace(checked_out, skipped=())))
    return "\n".join([*lines, *_skipped(list(skipped.values()))])


def _files(found: dict[str, Sequence[Path]], console: Console) -> None:
    for path in found["files"][:20]:
        console.print(str(path))
    console.print(f"{len(found['files'])} files, each proven equal to the manifest.")
