"""The command `agent`: promotion as a service, for one workspace or several."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from placet.cli.clean import clean
from placet.cli.node import finish
from placet.cli.output import output
from placet.errors import Invalid, NotFound, PlacetError

if TYPE_CHECKING:
    from placet.agent.jobs import Job
    from placet.client import Client
    from placet.config import Settings
    from placet.core.agentform import AgentForm
    from placet.core.mlflowform import MlflowForm
    from placet.engine.promote import Promotion


@click.command()
@click.option("--once", is_flag=True, help="Promote what waits, then end.")
@click.option("--interval", type=click.FloatRange(0.1, 3600), help="Seconds between two looks, at most.")
@click.option(
    "--workspace", "workspaces", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve this workspace instead of the one here; can be given several times.",
)  # fmt: skip
@click.option("--listen", metavar="[ADDRESS:]PORT", help="Serve health, metrics and webhook here.")
def agent(once: bool, interval: float | None, workspaces: Sequence[Path], listen: str | None) -> None:
    """Promote as a service: look at the Ctrl repository, promote, and look again."""
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
    if once:
        _once(folders)
    else:
        raise click.exceptions.Exit(_serve(folders, settings, form))


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


def _once(folders: Sequence[Path]) -> None:
    from placet.client import Client

    done: list[Promotion] = []
    problem: PlacetError | None = None
    for folder in folders:
        try:
            with Client(folder, progress=output.progress()) as client:
                done += client.promote()
        except PlacetError as error:
            problem = error
            if len(folders) > 1:
                logging.getLogger(__name__).error("%s: %s", folder, error)  # noqa: TRY400 - for the operator
    if problem is not None and not done:
        raise problem
    finish(done)
    if problem is not None:
        raise click.exceptions.Exit(problem.exit_code)


def _serve(folders: Sequence[Path], settings: Settings, form: AgentForm) -> int:
    from placet.agent.jobs import jobs_of
    from placet.agent.service import Service
    from placet.config import environment
    from placet.wire.keys import webhook_secret

    log_events(form)
    secret = webhook_secret(settings.root / form.webhook_secret) if form.webhook_secret else None
    jobs = [*jobs_of(form), *_mlflow(folders)]
    return Service(folders, form, secret=secret, environ=environment(), jobs=jobs).run()


def _mlflow(folders: Sequence[Path]) -> list[Job]:
    """The job that keeps MLflow servers true to the ledger, if the settings of a workspace name one."""
    from placet.agent.events import say
    from placet.agent.jobs import Desk, Job
    from placet.integrations.mlflow_sync import Keeper
    from placet.wire.mlflow import server

    forms = [form for one in folders if (form := _mlflow_form(one)) is not None]
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

    return [Job("mlflow", run, every_s=min(one.interval for one in forms))]


def _mlflow_form(folder: Path) -> MlflowForm | None:
    from placet.config import load_settings
    from placet.wire.mlflow import named

    try:
        form = load_settings(folder).mlflow
        return form if form is not None and named(form) else None
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
