"""Promotion as a Dagster job: one dynamic output a shard, then one step that proves all and records.

    defs = dg.Definitions(jobs=[promotion_job()], resources={"placet": PlacetResource(workspace="/srv/a")})

Steps of shards run wherever the executor puts them, with that machine's credentials for the stores; only the
last one needs the node's signing key. Public Dagster API only.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from placet.integrations.dagster.failing import require
from placet.integrations.dagster.resource import PlacetResource

_RETRY = dg.RetryPolicy(max_retries=5, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


class PromotionConfig(dg.Config):
    """What is promoted.

    Attributes:
        proposals: By the beginning of their ids; none = all of the node's that wait.
        shards: Of each proposal; 0 = one for some hundred objects.
    """

    proposals: list[str] = Field(default_factory=list)
    shards: int = 0


def promotion_job(
    name: str = "placet_promotion", *, retry: dg.RetryPolicy = _RETRY, pool: str | None = None
) -> dg.JobDefinition:
    """The job; it needs a `PlacetResource` under the key `placet`. Running it again goes on where it ended.

    Args:
        name: Of the job.
        retry: Of a shard, where a store or the Ctrl repository does not answer or the process died; what is
            refused is not tried again.
        pool: Dagster's concurrency pool of the shards, for bounding how many copy at once.
    """

    @dg.op(name="plan_shards", out=dg.DynamicOut())
    def plan(config: PromotionConfig, placet: PlacetResource) -> Iterator[dg.DynamicOutput[Any]]:
        """One output a shard of each proposal that may be promoted now."""
        planned = list(placet.shards(config.proposals))
        known = tuple(ident for ident, _ in planned)
        lost = [one for one in config.proposals if not any(ident.startswith(one) for ident in known)]
        for ident, some in planned + [(one, 1) for one in lost]:  # a step of these says why they may not
            of = config.shards if config.shards and ident in known else some
            for number in range(1, of + 1):
                yield dg.DynamicOutput([ident, number, of], mapping_key=f"{ident[:12]}_{number}_of_{of}")

    @dg.op(name="copy_shard", retry_policy=retry, pool=pool)
    def copy(context: dg.OpExecutionContext, placet: PlacetResource, part: list[Any]) -> str:
        """Copy one shard, each object proven; idempotent."""
        ident, number, of = part
        (done,) = placet.promote([ident], shard=(number, of))
        require(done.error)
        for one in done.artifacts:
            context.log.info("%s: %d objects copied, %d found", one.path, one.copied, one.found)
        return str(ident)

    @dg.op(name="record_promotion")
    def record(context: dg.OpExecutionContext, placet: PlacetResource, copied: list[str]) -> list[str]:
        """Prove every object, and record what is published in one commit each."""
        idents = sorted(set(copied))
        done = placet.promote(idents) if idents else []
        for one in done:
            require(one.error)
        context.add_output_metadata({f"placet/{one.id[:12]}": str(one.state) for one in done})
        return [one.id for one in done]

    @dg.job(name=name)
    def job() -> None:
        record(plan().map(copy).collect())

    return job
