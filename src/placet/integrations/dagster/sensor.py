"""The sensor: it sees what landed in the Ctrl repository, has it promoted, and tells the assets.

What is to be done follows from the Ctrl repository and from Dagster's runs, never from the cursor, which only
says when there is nothing new to look at: losing it, a restart, or two daemons at once do no harm.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import dagster as dg

from placet.client import Client
from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.states import State
from placet.core.windows import window_problem
from placet.engine.cases import Case
from placet.engine.ctrl import View
from placet.engine.detail import stopped
from placet.integrations.dagster.events import Told, observation, outputs_of, told
from placet.integrations.dagster.promotion import PromotionConfig
from placet.integrations.dagster.resource import PlacetResource

PROPOSAL = "placet/proposal"
_EVERY_S = 3600
_FIRST_WAIT_S = 60
_LOST_S = 6 * 3600
_RUNS = 20
_ALARMS = 5
_PAGES = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """What the last look saw: the branches by their digest, when, and which proposals waited."""

    heads: str = ""
    at: int = 0
    waiting: tuple[str, ...] = ()

    @classmethod
    def read(cls, cursor: str | None) -> Self:
        """The cursor's words; those of nobody's if it is lost or makes no sense."""
        try:
            found = json.loads(cursor or "{}")
            waiting = tuple(one for one in found["waiting"] if layout.is_id(one))
            return cls(str(found["heads"]), int(found["at"]), waiting)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return cls()


def merge_sensor(
    job: str = "placet_promotion",
    *,
    name: str = "placet_merge",
    interval_s: int = 30,
    running: bool = False,
) -> dg.SensorDefinition:
    """A sensor that runs the promotion job for each proposal of this node that landed on `main`.

    It needs a `PlacetResource` under the key `placet`. A promotion that failed is tried again after a minute,
    then after two, four, ..., an hour; one that has not ended after six hours is lost. On each asset
    whose output was proposed it reports, whoever proposed it, the proposal and its state. What comes from Git
    is believed as far as signatures and policy prove it, no further.

    Args:
        job: Name of the job, as of `promotion_job`; it must be among the definitions too.
        name: Of the sensor.
        interval_s: Seconds between two looks; each asks the Git server for its branches only.
        running: On from the beginning; else somebody turns it on.
    """

    @dg.sensor(
        name=name,
        job_name=job,
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description="Promotes what was approved and merged, and shows how far proposals are.",
    )
    def look(context: dg.SensorEvaluationContext, placet: PlacetResource) -> dg.SensorResult:
        before = Seen.read(context.cursor)
        with placet.client() as client:
            heads, now = _digest(client.heads()), client.now()
            new = heads != before.heads or not 0 <= now.timestamp() - before.at < _EVERY_S
            view = client.view() if new else None
            seen = Seen(heads, int(now.timestamp()), tuple(_waiting(client, view))) if view else before
            events = list(_events(context, client, view)) if view else []
        for alarm in view.alarms[-_ALARMS:] if view else ():
            context.log.warning("ALARM at %s: %s", alarm.commit[:12] or "-", alarm.text)
        requests = [one for ident in seen.waiting for one in _request(context.instance, job, ident, now)]
        reason = f"{len(seen.waiting)} proposals wait for a promotion that runs, or failed a moment ago."
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else (reason if seen.waiting else "Nothing landed."),
            cursor=json.dumps(asdict(seen)),
            asset_events=events,
        )

    return look


def _digest(heads: Mapping[str, str]) -> str:
    return sha256_hex("".join(f"{ref} {commit}\n" for ref, commit in sorted(heads.items())).encode())


def _waiting(client: Client, view: View) -> Iterator[str]:
    """This node's landed proposals that nothing holds back."""
    now, policy = client.now(), view.history.policy
    for case in _own(client, view):
        found = view.state(case, now)
        held = stopped(view, case, found) or window_problem(policy, case.manifest.body, now)
        if found is State.LANDED and not held:
            yield case.id


def _own(client: Client, view: View) -> list[Case]:
    node = client.settings.node
    own = [one for one in view.cases().values() if one.manifest.body.node == node]
    return [one for one in own if one.manifest.body.kind == "publish"]


def _request(instance: dg.DagsterInstance, job: str, ident: str, now: datetime) -> Sequence[dg.RunRequest]:
    """A run of the job for a proposal, if none is under way, and the last did not fail a moment ago."""
    tag = {PROPOSAL: ident}
    wanted = dg.RunsFilter(job_name=job, tags=tag)
    records = instance.get_run_records(wanted, limit=_RUNS)
    lost = now - timedelta(seconds=_LOST_S)  # a killed process may leave its run unfinished for ever
    if any(not one.dagster_run.is_finished and one.create_timestamp > lost for one in records):
        return ()
    if records:
        ended = max(one.end_time or one.update_timestamp.replace(tzinfo=UTC).timestamp() for one in records)
        if now.timestamp() - ended < min(_FIRST_WAIT_S * 2 ** (len(records) - 1), _EVERY_S):
            return ()
    config = dg.RunConfig(ops={"plan_shards": PromotionConfig(proposals=[ident])})
    key = f"{ident}:{records[0].dagster_run.run_id}" if records else ident
    return [dg.RunRequest(run_key=key, run_config=config, tags=tag)]


def _events(context: dg.SensorEvaluationContext, client: Client, view: View) -> Iterator[dg.AssetObservation]:
    """Of each output of this code location that was proposed: its proposal and state, where they are news."""
    if context.repository_def is None:
        return
    by_content: dict[tuple[str, str], Case] = {}
    for own in sorted(_own(client, view), key=lambda one: one.manifest.body.time):
        pairs = zip(own.manifest.body.artifacts, own.manifest.subjects, strict=True)
        by_content.update({(artifact.path, subject.value): own for artifact, subject in pairs})
    now = client.now()
    for key in context.repository_def.assets_defs_by_key:
        made = outputs_of(context.instance, key, pages=_PAGES)
        before = told(context.instance, key, {one.partition for one in made})
        for one in made:
            last = before.get(one.partition, Told())
            case = by_content.get((one.path, one.sha256)) or view.known(last.proposal)
            state = str(view.state(case, now)) if case else ""
            if case is not None and (case.id, state) != (last.proposal, last.state):
                yield observation(one, case.id, state, last.link if case.id == last.proposal else None)
