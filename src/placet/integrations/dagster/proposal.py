"""Proposing as a Dagster job: what assets made, with the runs that made it as provenance.

    defs = dg.Definitions(jobs=[proposal_job()], resources={"placet": PlacetResource(workspace="/srv/a")})

Proposing is a person's decision, or a schedule's; it is a job of its own, so that an asset can be made again
without asking anybody.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import dagster as dg
from pydantic import Field

from placet.client import Client
from placet.engine.propose import Proposed
from placet.errors import Conflict, NotFound, PlacetError
from placet.integrations import outputs
from placet.integrations.dagster.events import Recorded, observation, outputs_of
from placet.integrations.dagster.failing import require
from placet.integrations.dagster.provenance import provenance_of
from placet.integrations.dagster.resource import PlacetResource


class ProposalConfig(dg.Config):
    """What is proposed.

    Attributes:
        assets: As Dagster writes them: `summary`, `group/model`.
        message: Why; reviewers read it.
        partitions: Only these partitions of them; none = all that were made.
        tier: The publication tier; empty = the usual one.
    """

    assets: list[str]
    message: str
    partitions: list[str] = Field(default_factory=list)
    tier: str = ""


def proposal_job(name: str = "placet_proposal") -> dg.JobDefinition:
    """The job; it needs a `PlacetResource` under the key `placet`. Running it again finds the open proposal.

    Args:
        name: Of the job.
    """

    @dg.op(name="propose", out=dg.Out(dg.Nothing))
    def propose(context: dg.OpExecutionContext, config: ProposalConfig, placet: PlacetResource) -> Any:  # noqa: ANN401
        """Propose the outputs of the assets as Dagster recorded them."""
        try:
            found = list(_chosen(context.instance, config))
            proposed = _propose(context, config, placet, found)
        except PlacetError as error:
            require(error)
            raise
        for one in found:
            context.log_event(observation(one, proposed.id, str(proposed.case_state), proposed.url))
        context.log.info("Proposal %s: %s %s", proposed.id, proposed.case_state, proposed.url or "")
        if proposed.unannounced:
            context.log.warning("%s", proposed.unannounced)
        context.add_output_metadata(
            {"placet/proposal": proposed.id, "placet/state": str(proposed.case_state)}
        )

    @dg.job(name=name)
    def job() -> None:
        propose()

    return job


def _chosen(instance: dg.DagsterInstance, config: ProposalConfig) -> Iterator[Recorded]:
    for name in config.assets:
        found = outputs_of(instance, dg.AssetKey.from_user_string(name), config.partitions)
        lost = set(config.partitions) - {one.partition for one in found}
        if lost or not found:
            what = f"{name}, partition {min(str(one) for one in lost)}," if lost else name
            raise NotFound(
                f"Dagster knows of no output of {what}.",
                kind="not-materialized",
                mend="Materialize it first, by PlacetResource or PlacetIOManager.",
            )
        yield from found


def _propose(
    context: dg.OpExecutionContext, config: ProposalConfig, placet: PlacetResource, found: Sequence[Recorded]
) -> Proposed:
    with ExitStack() as held:
        client = held.enter_context(placet.client())
        for one in found:
            held.enter_context(outputs.turn(placet.root, one.path, reads=True))
            _require_recorded(client, placet, one)
        source = provenance_of(
            context.instance,
            found,
            repository=client.view().history.repository,
            node=client.settings.node or "",
            run=context.run.run_id,
            url=placet.dagster_url,
            code=placet.code,
        )
        where = [placet.root / one.path for one in found]
        return client.propose(where, message=config.message, tier=config.tier or None, provenance=source)


def _require_recorded(client: Client, placet: PlacetResource, one: Recorded) -> None:
    """Refuse to propose other bytes than those whose provenance would be signed."""
    if outputs.proven_version(client, placet.root / one.path, placet.remote) != one.content:
        raise Conflict(
            f"{one.path} is not the version that Dagster recorded.",
            kind="other-version",
            why=f"Somebody tracked it after run {one.run} had made {one.name}.",
            mend=f"Materialize {one.name} again; or propose what lies there: placet propose {one.path}",
        )
