"""The command `witness`: signs what reviews there are on a forge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from placet.cli.output import output

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.witness import Witnessed


@click.command()
@click.option("--once", is_flag=True, help="Look once, then end.")
@click.option(
    "--interval", type=click.FloatRange(1, 3600), default=30.0, show_default=True,
    help="Seconds between two looks at the forge.",
)  # fmt: skip
@click.option("--listen", metavar="[ADDRESS:]PORT", help="Serve health, metrics and webhook here.")
def witness(once: bool, interval: float, listen: str | None) -> None:
    """Sign what reviews there are on the forge, where the policy hears this witness.

    Each review is compared with what its commit holds, and pushed as an observation. It counts where a rule
    says `accept: [forge]`. The pull requests' texts and commit statuses are kept up to date as well.
    """
    if once:
        _once()
    else:
        raise click.exceptions.Exit(_serve(interval, listen))


def _once() -> None:
    from placet.client import Client

    with Client() as client:
        found = client.witness()
        pages = client.announce()
    output.show(found, _witnessed, name="proposals")
    errors = [*(one.error for one in found), *(one.error for one in pages)]
    error = next((one for one in errors if one is not None), None)
    if error is not None:
        output.warn((str(error),))
        raise click.exceptions.Exit(error.exit_code)


def _serve(interval: float, listen: str | None) -> int:
    import msgspec

    from placet.agent.jobs import Job
    from placet.agent.jobs import witness as work
    from placet.agent.service import Service
    from placet.cli.agent import log_events
    from placet.client import Client
    from placet.config import environment, load_settings
    from placet.core.agentform import AgentForm, read_agent
    from placet.wire.keys import webhook_secret

    settings = load_settings()
    table = msgspec.to_builtins(settings.agent or AgentForm())
    form = read_agent(table | ({"listen": listen} if listen else {}))
    with Client() as client:
        client.require_witness()
    log_events(form)
    secret = webhook_secret(settings.root / form.webhook_secret) if form.webhook_secret else None
    job = Job("witness", work, every_s=interval, hears=True)
    return Service([Path.cwd()], form, secret=secret, environ=environment(), jobs=[job]).run()


def _witnessed(found: Sequence[Witnessed], console: Console) -> None:
    if not any(one.noted or one.error for one in found):
        console.print("There is no new review.")
    for one in found:
        for noted in one.noted:
            console.print(
                f"{one.id[:12]}  {noted.person}: {noted.verdict} (review {noted.review})", markup=False
            )
        if one.error is not None:
            console.print(f"{one.id[:12]}  {one.error}", markup=False, style="red")
