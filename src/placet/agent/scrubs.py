"""The agent's scrub: every publication tier that its workspace reaches, now and then, in its own lane."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from placet.agent.events import say
from placet.agent.jobs import JOBS, Desk, Job
from placet.client import Client
from placet.core.agentform import AgentForm
from placet.engine.scrubreport import Scrubbed
from placet.errors import NotFound

_NOT_HERE = frozenset({"no-remote", "no-published-branch"})


def jobs_of(form: AgentForm) -> Sequence[Job]:
    """What the agent does with these settings."""
    if form.scrub is None:
        return JOBS
    return (*JOBS, Job("scrub", partial(scrub, form), every_s=form.scrub))


def scrub(form: AgentForm, client: Client, desk: Desk) -> None:
    """Scrub one tier after the other; one that was interrupted goes on where it was."""
    for tier in sorted(client.effective_policy().form.tiers):
        if desk.ending():
            break
        try:
            found = client.scrub(
                remote=tier, read=form.scrub_read, repair=form.scrub_repair, rate=form.scrub_rate
            )
        except NotFound as error:
            if error.kind not in _NOT_HERE:
                raise
        else:
            _told(found, desk)


def _told(found: Scrubbed, desk: Desk) -> None:
    for trouble, count in found.counts.items():
        desk.metrics.scrub_findings.labels(desk.workspace, found.tier, trouble).set(count)
    result = "sound" if found.exit_code == 0 else "unread" if found.ok else "unsound"
    desk.metrics.scrubs.labels(desk.workspace, found.tier, result).inc()
    desk.metrics.last_scrub.labels(desk.workspace, found.tier).set_to_current_time()
    counts = {trouble: count for trouble, count in found.counts.items() if count}
    event = "scrubbed" if result == "sound" else "unsound"
    say(event, workspace=desk.workspace, tier=found.tier, objects=found.objects, **counts)
