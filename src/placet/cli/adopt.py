"""The commands `adopt`: what was kept elsewhere comes into this workspace, and counts as never approved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from placet.cli.output import output, size

if TYPE_CHECKING:
    from placet.core.adoption import Version
    from placet.wire.adopt import Adoption

_SHOWN = 20
_PARTLY = 3
_DRY = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
_TO = click.option(
    "--to", "folder", required=True, metavar="FOLDER", help="The folder of this workspace that it goes to."
)
_EACH = click.option(
    "--each", is_flag=True, help="Each file becomes an artifact; by default the folder is one."
)


@click.group()
def adopt() -> None:
    """Begin with what was kept elsewhere; nothing of it counts as approved.

    Each can be run again: it goes on where it ended. Exit code 3: some of it could not be brought.
    """


@adopt.command("dvc")
@_DRY
def dvc_(dry_run: bool) -> None:
    """Bring every version that this DVC project's history names into the internal tier.

    Looked for in the cache and in all remotes of the project; each object is proven. Git is only read.
    """
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        _show(client.adopt_dvc(dry=dry_run))


@adopt.command("lfs")
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A clone.")
@_TO
@click.option("--revision", default="HEAD", show_default=True, help="Of which commit.")
@_EACH
@_DRY
def lfs(source: Path, folder: str, revision: str, each: bool, dry_run: bool) -> None:
    """Bring the files that Git LFS keeps in a clone, track them, and push them to the internal tier."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        _show(client.adopt_lfs(source, folder, revision=revision, each=each, dry=dry_run))


@adopt.command("bucket")
@click.argument("remote", help="A DVC remote of this project that is the bucket, or a folder in it.")
@_TO
@click.option("--prefix", default="", help="Only what is below this folder of the remote.")
@_EACH
@_DRY
def bucket(remote: str, folder: str, prefix: str, each: bool, dry_run: bool) -> None:
    """Bring the files of a bucket, track them, and push them to the internal tier."""
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        _show(client.adopt_bucket(remote, folder, prefix=prefix, each=each, dry=dry_run))


def _show(found: Adoption) -> None:
    output.say(found, _words)
    if found.failed:
        raise click.exceptions.Exit(_PARTLY)


def _words(found: Adoption) -> str:
    thing = "version" if found.source == "dvc" else "file"
    verb = "would come" if found.dry else "came"
    lines = [f"{_many(found.new, thing)} {verb} ({size(found.size)}); here before: {found.present}."]
    never = sum(one.standing != "published" for one in found.versions)
    if found.versions:
        lines.append(f"{_many(len(found.versions), 'version')} of artifacts, never approved: {never}")
    lines += [f"  {_version(one)}" for one in found.versions[:_SHOWN]]
    lines += [f"  and {len(found.versions) - _SHOWN} more"] * (len(found.versions) > _SHOWN)
    for word, those in (("left out", found.left), ("failed", found.failed)):
        lines += [f"{word}  {one.path}: {one.reason}" for one in those[:_SHOWN]]
        lines += [f"{word}  {len(those) - _SHOWN} more"] * (len(those) > _SHOWN)
    if found.dry:
        lines.append("Nothing was changed.")
    elif found.failed:
        lines.append("Mend what failed, then run the same command again.")
    return "\n".join(one.replace("\n", "\\n") for one in lines)


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _version(one: Version) -> str:
    by = f" ({one.state} {one.proposal[:12]})" if one.proposal else ""
    kind, _, name = one.origin.partition(" ")
    origin = f"commit {name[:12]}" if kind == "commit" else one.origin
    return f"{one.path}  {one.md5[:12]}  {one.standing}{by}  {origin}"
