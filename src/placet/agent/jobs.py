"""What the agent does for one Ctrl repository, as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from placet.agent.board import Board
from placet.agent.events import blame, say, words
from placet.agent.metrics import Metrics
from placet.agent.retries import Retries, stays
from placet.client import Client
from placet.core.agentform import AgentForm
from placet.core.statement import parse_time
from placet.engine.announce import Announced
from placet.engine.history import Alarm
from placet.engine.promote import Promotion, Waiting
from placet.engine.retract import Retracted
from placet.errors import Bug, Corrupt, PlacetError

PROMOTE = "promote"
NOTIFY = "notify"
_RETRACT_S = 60.0
_FORGE_S = 60.0
_PAGES = "pull requests"


@dataclass(slots=True)
class Desk:
    """What a job has at hand beside its client; one for each workspace.

    Attributes:
        workspace: Its name in events and metrics.
        clock: Seconds of a clock that never goes back.
        ending: Is the agent to stop?
        alarms: What was said already.
        retractions: When they were gone on with: the client, its branches then, and when they are due again.
        board: What keeps failing, of all lanes of the workspace.
        shown: What the forge shows of proposals.
        failed: What the job under way could not do, though it went on; the lane empties it.
        done: Called with what became of each proposal that was due.
    """

    workspace: str
    metrics: Metrics
    clock: Callable[[], float]
    ending: Callable[[], bool]
    retries: Retries = field(default_factory=Retries)
    alarms: set[Alarm] = field(default_factory=set)
    retractions: tuple[Client, Mapping[str, str], float | None] | None = None
    board: Board = field(default_factory=Board)
    shown: dict[str, Announced] = field(default_factory=dict)
    failed: list[PlacetError] = field(default_factory=list)
    done: Callable[[Promotion], None] = lambda _: None

    def note(self, what: str, errors: Iterable[PlacetError | None]) -> None:
        """The job under way did a part of its work, with these errors; it goes on all the same."""
        found = [one for one in errors if one is not None]
        self.failed += found
        if found:
            self.board.bad(what, found[0])
        else:
            self.board.good(what)


@dataclass(frozen=True, slots=True)
class Job:
    """One thing that the agent does regularly.

    Attributes:
        name: In events and metrics.
        run: Does it; returns the seconds after which it wants to run again although nothing is new, or None.
        every_s: Seconds between two runs, in a thread of its own; None = when something is new in the Ctrl
            repository, one such job after the other.
        apart: When something is new, but in a thread of its own: promotion never waits for it.
        hears: Also when a webhook says that something happened, wherever.
        wanted: Do the settings of a workspace ask for it?
        notes: The troubles that it notes itself; they are over where the settings do not ask for it.
        in_round: It is a part of one round of everything; else by its own time only.
    """

    name: str
    run: Callable[[Client, Desk], float | None]
    every_s: float | None = None
    apart: bool = False
    hears: bool = False
    wanted: Callable[[Client], bool] = lambda _: True
    notes: tuple[str, ...] = ()
    in_round: bool = True


def promote(client: Client, desk: Desk) -> float | None:
    """Promote what waits and is due, one proposal after the other."""
    backlog = client.backlog()
    alarms = set(backlog.alarms)
    for alarm in alarms - desk.alarms:
        say("alarm", workspace=desk.workspace, commit=alarm.commit, text=alarm.text)
    desk.alarms = alarms
    desk.retries.keep(one.id for one in backlog.waiting)
    desk.board.waiting(one.id for one in backlog.waiting)
    left = len(backlog.waiting)
    _show(desk, left)
    for one in backlog.waiting:
        if desk.ending():
            break
        if desk.retries.due(one, desk.clock()):
            left -= _promote(client, desk, one)
            _show(desk, left)
    return desk.retries.next_s(desk.clock())


def retract(client: Client, desk: Desk) -> float | None:
    """Carry on with the retractions that this party may, if a branch moved, or one is due by time."""
    heads, before = client.heads(), desk.retractions
    if before is not None and before[0] is client and before[1] == heads:
        left = None if before[2] is None else before[2] - desk.clock()
        if left is None or left > 0:
            return left
    done = client.follow_retractions()
    for one in done:
        more = words(one.error) if one.error is not None else {}
        say("retraction", workspace=desk.workspace, proposal=one.id, stage=one.stage, waits=one.waits, **more)
    desk.note("retractions", (one.error for one in done))
    wait = min((wait for one in done if (wait := _due_s(one, client.now())) is not None), default=None)
    desk.retractions = client, heads, None if wait is None else desk.clock() + wait
    return wait


def _due_s(one: Retracted, now: datetime) -> float | None:
    """Seconds until it can go on though no branch moves; None: somebody has to act."""
    if one.error is not None:
        return _RETRACT_S
    if one.done or one.until is None:
        return None
    return max((parse_time(one.until) - now).total_seconds(), 1.0)


def work(client: Client, desk: Desk) -> float | None:
    """Take back what is to be taken back, then promote."""
    waits = [retract(client, desk), promote(client, desk)]
    return min((one for one in waits if one is not None), default=None)


def announce(client: Client, desk: Desk) -> float | None:
    """Bring pull requests up to date; a forge that fails is tried again, and holds nothing else up."""
    try:
        pages = client.announce(desk.shown)
    except PlacetError as error:
        if error.kind == "stopped":
            raise
        say("page-failed", workspace=desk.workspace, retry_s=_FORGE_S, **words(error))
        desk.note(_PAGES, [error])
        return _FORGE_S
    for one in pages:
        fields = {"workspace": desk.workspace, "proposal": one.id}
        if one.error is not None:
            say("page-failed", **fields, retry_s=_FORGE_S, **words(one.error))
        elif one.changed:
            say("page", **fields, url=one.url)
    desk.note(_PAGES, (one.error for one in pages))
    return _FORGE_S if any(one.error for one in pages) else None


def witness(client: Client, desk: Desk) -> float | None:
    """Sign what reviews there are, then bring the pull requests up to date."""
    found = client.witness()
    for one in found:
        fields = {"workspace": desk.workspace, "proposal": one.id}
        for new in one.noted:
            say("witnessed", **fields, person=new.person, review=new.review, verdict=new.verdict)
        if one.error is not None:
            say("not-witnessed", **fields, retry_s=_FORGE_S, **words(one.error))
    desk.note("reviews", (one.error for one in found))
    again = announce(client, desk)
    return _FORGE_S if any(one.error for one in found) else again


def scrub(client: Client, desk: Desk, form: AgentForm) -> None:
    """Compare a publication tier with everything published there; loud if it is not sound."""
    found = client.scrub(
        remote=form.scrub_remote, read=form.scrub_read, repair=form.scrub_repair, rate=form.scrub_rate
    )
    desk.metrics.serious.labels(desk.workspace).set(found.counts["serious"])
    desk.metrics.scrubbed.labels(desk.workspace).set_to_current_time()
    counts = {name: count for name, count in found.counts.items() if count}
    event = "sound" if found.ok else "unsound"
    say(event, workspace=desk.workspace, tier=found.tier, objects=found.objects, **counts)
    name = f"tier {found.tier}"
    if found.ok:
        desk.board.good(name)
    else:
        what = f"A scrub found {found.counts['serious']} objects wrong, missing or alien in {found.tier}."
        desk.board.bad(name, Corrupt(what, kind="unsound", mend="placet scrub tells which."), lasting=True)


def notify(client: Client, desk: Desk) -> float | None:
    """Tell people what happened, and what keeps failing here."""
    troubles, whole = desk.board.told()
    found = client.notify(troubles, whole=whole)
    for one in found.deliveries:
        outcome = "sent" if one.error is None else "failed"
        desk.metrics.messages.labels(desk.workspace, outcome).inc()
        if one.error is None:
            say("notified", workspace=desk.workspace, target=one.target, lines=one.lines)
        else:
            desk.failed.append(one.error)
            say("not-notified", workspace=desk.workspace, target=one.target, **words(one.error))
    return found.next_s


def lineage(client: Client, desk: Desk) -> float | None:
    """Tell a lineage backend what was published and retracted."""
    found = client.report_lineage()
    if found.events or found.refused:
        say("lineage", workspace=desk.workspace, told=found.events, refused=found.refused)
    return None


def jobs_of(form: AgentForm) -> Sequence[Job]:
    """What an agent with these settings does."""
    table = [
        Job(PROMOTE, work),
        Job(
            "announce",
            announce,
            apart=True,
            wanted=lambda client: client.settings.forge is not None,
            notes=(_PAGES,),
        ),
        Job(NOTIFY, notify, apart=True, wanted=lambda client: client.settings.notify is not None),
        Job("lineage", lineage, apart=True, wanted=lambda client: client.settings.lineage is not None),
    ]
    if form.scrub_hours is not None:
        run = partial(scrub, form=form)
        table.append(Job("scrub", run, every_s=form.scrub_hours * 3600, in_round=False))
    return table


def _show(desk: Desk, waiting: int) -> None:
    desk.metrics.waiting.labels(desk.workspace).set(waiting)
    desk.metrics.alarms.labels(desk.workspace).set(len(desk.alarms))
    desk.metrics.quarantined.labels(desk.workspace).set(desk.retries.quarantined)


def _promote(client: Client, desk: Desk, one: Waiting) -> bool:
    """Promote one; is it published?"""
    say("promoting", workspace=desk.workspace, proposal=one.id, state=one.state.value)
    began = desk.clock()
    try:
        (done,) = client.promote([one.id])
    except PlacetError:
        raise
    except Exception as error:  # noqa: BLE001 - one mistake must not keep the others from being promoted
        bug = Bug(f"Placet made a mistake: {blame(error)}.", kind="mistake")
        done = Promotion(one.id, one.state, None, (), bug)
    desk.done(done)
    if done.error is None:
        _published(desk, done, desk.clock() - began)
        return True
    _failed(desk, one, done.error)
    return False


def _published(desk: Desk, done: Promotion, seconds: float) -> None:
    desk.retries.done(done.id)
    objects, size = sum(one.objects for one in done.artifacts), sum(one.size for one in done.artifacts)
    desk.metrics.promotions.labels(desk.workspace, "published").inc()
    desk.metrics.objects.labels(desk.workspace).inc(objects)
    desk.metrics.bytes.labels(desk.workspace).inc(size)
    desk.metrics.promotion_s.labels(desk.workspace).observe(seconds)
    say(
        "published", workspace=desk.workspace, proposal=done.id, state=done.state.value, commit=done.commit,
        objects=objects, bytes=size, seconds=round(seconds, 3),
    )  # fmt: skip


def _failed(desk: Desk, one: Waiting, error: PlacetError) -> None:
    if error.kind == "stopped":
        desk.metrics.promotions.labels(desk.workspace, "interrupted").inc()
        say("interrupted", workspace=desk.workspace, proposal=one.id)
        return
    event = "quarantined" if stays(error) else "deferred"
    wait = desk.retries.failed(one, error, desk.clock())
    desk.board.unpromoted(one.id, error)
    desk.metrics.promotions.labels(desk.workspace, event).inc()
    say(event, workspace=desk.workspace, proposal=one.id, retry_s=round(wait), **words(error))
