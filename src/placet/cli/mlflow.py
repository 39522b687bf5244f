"""`placet mlflow`: keep an MLflow server true to what was published."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from placet.cli.output import output

if TYPE_CHECKING:
    from placet.integrations.mlflow_plan import Change, Problem
    from placet.integrations.mlflow_sync import Synced


@click.group(no_args_is_help=True)
def mlflow() -> None:
    """Keep an MLflow server true to what was published."""


@mlflow.command()
@click.option("--dry-run", is_flag=True, help="Say what would be changed, and change nothing.")
def sync(dry_run: bool) -> None:
    """Set and remove aliases of registered models, and tags of versions and runs, by what stands published.

    A version has the alias if it was published last and was not retracted. The server and the alias are those
    of the settings' table `[mlflow]`; run it as often as you like.
    """
    from placet.client import Client
    from placet.core.mlflowform import MlflowForm
    from placet.integrations.mlflow_sync import sync as run
    from placet.wire.mlflow import server

    with Client(progress=output.progress()) as client:
        form = client.settings.mlflow or MlflowForm()
        with server(form) as registry:
            found = run(client, registry, form, dry_run=dry_run)
    output.say(found, lambda one: "\n".join(_lines(one, dry_run=dry_run)))
    if found.error is not None:
        raise click.exceptions.Exit(found.error.exit_code)


def _lines(found: Synced, *, dry_run: bool) -> Iterator[str]:
    for one in found.changes:
        yield _change(one)
    for bad in found.problems:
        yield f"not done: {_subject(bad)}: {bad.error}"
    for kept in found.left:
        yield f"left: {kept.name} version {kept.version}: {kept.reason}"
    done = "to be changed" if dry_run else "changed"
    failed = f", {len(found.problems)} not done" if found.problems else ""
    yield (
        f"{found.server}: {found.models} models, {found.versions} versions, {found.runs} runs;"
        f" {len(found.changes)} {done}{failed}"
    )


def _subject(one: Change | Problem) -> str:
    what = f"{one.name} version {one.version}" if one.version else one.name
    if one.what == "alias":
        return f"{what}: alias {one.key}"
    return f"{what}: {one.key}" if one.key else what


def _change(one: Change) -> str:
    if one.what == "alias":
        after = f"is version {one.after}" if one.after else "is removed"
        before = f" (was version {one.before})" if one.before else ""
        return f"{_subject(one)} {after}{before}"
    return f"{_subject(one)} is {one.after}"
