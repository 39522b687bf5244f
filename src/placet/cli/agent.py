"""The command `agent`: promotion as a service, for one workspace or several."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from placet.cli.clean import clean
from placet.cli.node import promotions
from placet.cli.output import output
from placet.errors import Invalid, NotFound, Partial, PlacetError

if TYPE_CHECKING:
    from rich.console import Console

    from placet.agent.jobs import Desk, Job
    from placet.agent.once import Round
    from placet.client import Client
    from placet.config import Settings
    from placet.core.agentform import AgentForm
    from placet.core.mlflowform import MlflowForm


@click.command()
@click.option("--once", is_flag=True, help="Do all of it once, then end.")
@click.option("--interval", type=click.FloatRange(0.1, 3600), help="Seconds between two looks, at most.")
@click.option(
    "--workspace", "workspaces", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve this workspace instead of the one here; can be given several times.",
)  # fmt: skip
@click.option("--listen", metavar="[ADDRESS:]PORT", help="Serve health, metrics and webhook here.")
def agent(once: bool, interval: float | None, workspaces: Sequence[Path], listen: str | None) -> None:
    """Promote as a service: look at the Ctrl repository, promote, and look again.

    It also brings pull requests, lineage and MLflow up to date and tells people, as the settings say. With
    --once it does each once; exit code 3 = all was promoted, something beside it failed.
    """
    import msgspec

    from placet.config import load_settings
    from placet.core.agentform import AgentForm, read_agent

    settings = load_settings()
    given = {"interval": interval, "listen": listen}
    form = read_agent(
        msgspec.to_builtins(settings.agent or AgentForm())
        | {key: one for key, one in given.items() if one is not None}
    )
    folders = [one.resolve() for one in workspaces or _named(settings, form) or [Path.cwd()]]
    _require_apart(folders)
    code = _once(folders, form) if once else _serve(folders, settings, form)
    raise click.exceptions.Exit(code)


def _named(settings: Settings, form: AgentForm) -> list[Path]:
    folders = [settings.root / Path(one).expanduser() for one in form.workspaces]
    for one in folders:
        if not one.is_dir():
            raise NotFound(
                f"The workspace {one} is not there.", kind="no-workspace", mend="Mend [agent] workspaces."
            )
    return folders


def _require_apart(folders: Sequence[Path]) -> None:
    """Each workspace is a node of its own; one that cannot be read is said later, unless none can."""
    from placet.config import load_settings

    known: dict[tuple[str | None, str | None], Path] = {}
    problem: PlacetError | None = None
    for folder in folders:
        try:
            found = load_settings(folder)
            if found.node is None:
                raise Invalid(
                    f"{folder} is not a node's workspace.", kind="not-a-node",
                    mend='Write node = "<name>" to its placet.toml.',
                )  # fmt: skip
        except PlacetError as error:
            problem = error
            continue
        if (found.ctrl, found.node) in known:
            raise Invalid(
                f"{known[found.ctrl, found.node]} and {folder} are node {found.node} of one Ctrl repository.",
                kind="settings",
                why="PLACET_NODE and PLACET_CTRL, where they are set, hold for every workspace.",
                mend="Name each workspace once, and unset the variables.",
            )  # fmt: skip
        known[found.ctrl, found.node] = folder
    if problem is not None and not known:
        raise problem


def _once(folders: Sequence[Path], form: AgentForm) -> int:
    """One round of all jobs; what kept something from being promoted gives the exit code."""
    import os
    import sys

    from placet.agent.jobs import PROMOTE
    from placet.agent.once import once

    if output.json or form.log == "json":
        log_events(form)
    elif not output.verbose:
        logging.getLogger("placet.agent").setLevel(logging.CRITICAL + 1)  # the result says it all
    found = once(folders, _jobs(folders, form), overdue_s=form.overdue, progress=output.progress())
    output.close()
    failed = [one for one in found.jobs if one.error is not None]
    kept = [one.error for one in failed if one.job == PROMOTE and one.error is not None]
    if kept and not found.promotions and not found.hangs and not output.json:
        output.warn(f"{one.workspace}: {one.job}: {one.error}" for one in failed if one.error is not kept[0])
        raise kept[0]
    output.show(found, _round)
    output.warn(f"{one.workspace}: {one.job}: {one.error}" for one in failed)
    errors = [*(one.error for one in found.promotions if one.error is not None), *kept]
    code = errors[0].exit_code if errors else Partial.exit_code if failed else 0
    if found.hangs:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _round(found: Round, console: Console) -> None:
    promotions(found.promotions, console)


def _serve(folders: Sequence[Path], settings: Settings, form: AgentForm) -> int:
    from placet.agent.service import Service
    from placet.config import environment
    from placet.wire.keys import webhook_secret

    log_events(form)
    secret = webhook_secret(settings.root / form.webhook_secret) if form.webhook_secret else None
    return Service(folders, form, secret=secret, environ=environment(), jobs=_jobs(folders, form)).run()


def _jobs(folders: Sequence[Path], form: AgentForm) -> list[Job]:
    from placet.agent.jobs import jobs_of

    return [*jobs_of(form), *_mlflow(folders)]


def _mlflow(folders: Sequence[Path]) -> list[Job]:
    """The job that keeps MLflow servers true to the ledger, if the settings of a workspace name one."""
    from placet.agent.events import say
    from placet.agent.jobs import Job
    from placet.integrations.mlflow_sync import Keeper
    from placet.wire.mlflow import named, server

    def wanted(client: Client) -> bool:
        form = client.settings.mlflow
        return form is not None and named(form) is not None

    forms = [form for one in folders if (form := _mlflow_form(one)) is not None and named(form)]
    if not forms:
        return []
    keeper = Keeper(server)

    def run(client: Client, desk: Desk) -> None:
        found = keeper.look(client)
        if found is None:
            return
        fields = {"changes": len(found.changes), "failed": len(found.problems)}
        say("mlflow", workspace=desk.workspace, models=found.models, **fields)
        if found.error is not None:
            raise found.error

    return [Job("mlflow", run, every_s=min(one.interval for one in forms), wanted=wanted)]


def _mlflow_form(folder: Path) -> MlflowForm | None:
    from placet.config import load_settings

    try:
        return load_settings(folder).mlflow
    except PlacetError:
        return None  # said when the workspace is opened


def log_events(form: AgentForm) -> None:
    """Events on stderr, one a line; the agent says itself what promotion would."""
    from placet.agent.events import JsonLines, TextLines

    class CleanLines(TextLines):
        def format(self, record: logging.LogRecord) -> str:
            return clean(super().format(record)).replace("\n", " ")

    as_json = output.json or form.log == "json"
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines() if as_json else CleanLines())
    if not output.verbose:
        logging.getLogger("placet.agent").setLevel(logging.WARNING if output.quiet else logging.INFO)
        logging.getLogger("placet.engine.promote").setLevel(logging.CRITICAL)
