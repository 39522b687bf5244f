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
    from placet.dataplane import DataPlane
    from placet.engine.checkout import CheckedOut
    from placet.engine.fetch import Fetched
    from placet.engine.gc import Collected
    from placet.engine.push import Pushed
    from placet.engine.status import Status
    from placet.engine.track import Tracked
    from placet.ports import Progress

_SHOWN = 20
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Duration(click.ParamType[float]):
    """A time span as `10m`; a plain 0 needs no unit."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Seconds."""
        text = str(value)
        if text == "0":
            return 0.0
        if text[:-1].isdecimal() and text[-1:] in _SECONDS:
            return float(int(text[:-1]) * _SECONDS[text[-1]])
        return self.fail(f"{text!r} is no time: write 30s, 10m, 2h, 1d, 1w or 0.", param, ctx)


targets_argument = click.argument(
    "targets",
    nargs=-1,
    help="`.dvc` files, data paths, folders, paths in a tracked directory, `dvc.yaml`, stages; none = all.",
)
remote_option = click.option("-r", "--remote", help="A DVC remote by name.")
force_option = click.option("-f", "--force", is_flag=True, help="Replace changed files.")
verify_option = click.option(
    "--verify",
    is_flag=True,
    help="Read the cache's objects again; fetch what is wrong, if need be from another remote.",
)
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), help="Objects moved at once; by default as placet.toml says."
)


def _here(progress: Progress | None, jobs: int | None = None) -> DataPlane:
    """The data plane of this folder; in a clone of a Ctrl repository the one that admits it first."""
    from placet.dataplane import DataPlane

    plane = DataPlane(progress=progress, jobs=jobs)
    if not plane.in_clone:
        return plane
    from placet.client import Client

    return Client(progress=progress, jobs=jobs)


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
    with _here(None) as client:
        output.say(client.status(targets, remote=remote, cloud=cloud), _status)


@click.command()
@targets_argument
@remote_option
@jobs_option
def push(targets: Sequence[str], remote: str | None, jobs: int | None) -> None:
    """Upload what the remote lacks; the internal tier of this node unless -r names another remote."""
    with _here(output.progress(), jobs) as client:
        output.say(client.push(targets, remote=remote), _pushed)


@click.command()
@targets_argument
@remote_option
@jobs_option
@verify_option
@click.option("--proposal", default="", help="Fetch this proposal's bytes instead, to look at.")
@click.option("--to", type=click.Path(path_type=Path), help="The new folder for --proposal.")
def fetch(
    targets: Sequence[str],
    remote: str | None,
    jobs: int | None,
    verify: bool,
    proposal: str,
    to: Path | None,
) -> None:
    """Download into the cache, every object verified; with --proposal ID --to DIR, for reviewers."""
    if proposal:
        from placet.client import Client

        if to is None:
            raise click.BadParameter("--proposal needs --to DIR.")
        with Client(progress=output.progress(), jobs=jobs) as party:
            output.show({"files": party.fetch_proposal(proposal, to)}, _files)
        return
    with _here(output.progress(), jobs) as client:
        fetched = client.fetch(targets, remote=remote, verify=verify)
        output.warn(map(str, fetched.faults))
        output.say(fetched, _fetched)


@click.command()
@targets_argument
@force_option
def checkout(targets: Sequence[str], force: bool) -> None:
    """Make the workspace hold what its `.dvc` files say, from the cache."""
    with _here(output.progress()) as client:
        output.say(client.checkout(targets, force=force), _checked_out)


@click.command()
@targets_argument
@remote_option
@jobs_option
@verify_option
@force_option
def pull(targets: Sequence[str], remote: str | None, jobs: int | None, verify: bool, force: bool) -> None:
    """Fetch, then check out."""
    with _here(output.progress(), jobs) as client:
        fetched, checked_out = client.pull(targets, remote=remote, force=force, verify=verify)
        output.warn(map(str, fetched.faults))
        output.say({"fetched": fetched, "checked_out": checked_out}, _pulled)


@click.command()
@remote_option
@click.option("--yes", is_flag=True, help="Remove it; without, only say what would be removed.")
@click.option(
    "--tips", is_flag=True, help="Of branches, tags and stashes keep the newest commit, not the history."
)
@click.option(
    "--older-than",
    type=Duration(),
    metavar="TIME",
    help="Keep what came later: 30s, 10m, 2h, 1d; by default 10m in the cache, 1d in a remote.",
)
@click.option(
    "--give-up", multiple=True, metavar="NAME", help="A .dir object that is lost for good; repeatable."
)
@jobs_option
def gc(
    remote: str | None,
    yes: bool,
    tips: bool,
    older_than: float | None,
    give_up: Sequence[str],
    jobs: int | None,
) -> None:
    """Remove from the cache, or with -r from a remote, what no commit, proposal or publication needs."""
    from placet.client import Client

    with Client(progress=output.progress(), jobs=jobs) as client:
        found = client.gc(remote=remote, remove=yes, tips=tips, older_than_s=older_than, give_up=give_up)
        output.say(found, _collected)


def _collected(found: Collected) -> str:
    kinds = (
        (".dir objects", found.directories),
        ("files", found.files),
        ("digest lists and pointers", found.lists),
        ("unfinished files", found.temporary),
    )
    held = ", ".join(f"{count} {words}" for words, count in found.roots.items())
    lines = [
        f"{found.where}: {found.kept.objects} objects ({size(found.kept.size)}) are needed.",
        f"Looked at: {held}.",
    ]
    if found.young.objects:
        lines.append(
            f"{found.young.objects} ({size(found.young.size)}) are not, but too young: see --older-than."
        )
    verb = "removed" if found.removed else "would be removed"
    lines += [f"{verb}: {one.objects} {words} ({size(one.size)})" for words, one in kinds if one.objects]
    lines += [f"  {name}" for name in found.names[:_SHOWN]]
    if found.all.objects > _SHOWN:
        lines.append(f"  and {found.all.objects - _SHOWN} more; --json names the first 10,000")
    lines += [f"unknown: {one.name} of {one.path or 'an artifact'}, {one.where}" for one in found.unknown]
    lines += found.notes
    if not found.all.objects:
        lines.append("There is nothing to remove.")
    elif found.unknown:
        lines.append("--yes would be refused: the files of the unknown directories cannot be told apart.")
    elif not found.removed:
        lines.append(
            "Nothing was changed. With --yes it is removed: no metafile that was looked at names it."
        )
    return "\n".join(lines)


def _tracked(found: Sequence[Tracked]) -> str:
    return "\n".join(
        f"{one.path}  {1 if one.nfiles is None else one.nfiles} files  {size(one.digests.size)}"
        f"  sha256 {one.digests.sha256[:16] or 'not known yet'}  {one.metafile}"
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
    removed = f", {found.removed} removed" if found.removed else ""
    done = f"{found.files} files checked out, {found.present} were there{removed}."
    gone = [f"{'removed':<16}{path}  (no metafile names it any more)" for path in found.gone]
    return "\n".join([done, *gone, *_skipped(found.skipped)])


def _pulled(found: dict[str, Any]) -> str:
    fetched, checked_out = found["fetched"], found["checked_out"]
    skipped = {one.path: one for one in (*fetched.skipped, *checked_out.skipped)}
    lines = (_fetched(replace(fetched, skipped=())), _checked_out(replace(checked_out, skipped=())))
    return "\n".join([*lines, *_skipped(list(skipped.values()))])


def _files(found: dict[str, Sequence[Path]], console: Console) -> None:
    for path in found["files"][:20]:
        console.print(str(path))
    console.print(f"{len(found['files'])} files, each proven equal to the manifest.")
