"""Asset checks from the policy: would these outputs be let through, if somebody proposed them?

They tell early, and stop what is downstream where they block. They decide nothing: what they look at is
written already when they run, and a promotion asks the policy again, with approvals.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from placet.engine.rehearse import Rehearsed
from placet.integrations.dagster.events import outputs_of
from placet.integrations.dagster.resource import PlacetResource

Checkable = dg.AssetsDefinition | dg.AssetSpec | dg.AssetKey | str


def policy_checks(
    assets: Iterable[Checkable],
    *,
    name: str = "placet_policy",
    blocking: bool = False,
    tier: str | None = None,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> list[dg.AssetChecksDefinition]:
    """One check for each asset: the policy's limits and checks, on the bytes that were tracked.

    They need a `PlacetResource` under the key `placet`.

    Args:
        assets: Assets, or their keys.
        name: Of each check.
        blocking: Do not materialize what is downstream of an asset that fails, in the same run.
        tier: The publication tier that is meant.
        severity: Of a failure.
    """
    return [
        _check(key, name=name, blocking=blocking, tier=tier, severity=severity)
        for key in dict.fromkeys(key for one in assets for key in _keys(one))
    ]


def _keys(one: Checkable) -> Iterator[dg.AssetKey]:
    if isinstance(one, dg.AssetsDefinition):
        yield from one.keys
    elif isinstance(one, dg.AssetSpec):
        yield one.key
    else:
        yield dg.AssetKey.from_user_string(one) if isinstance(one, str) else one


def _check(
    key: dg.AssetKey, *, name: str, blocking: bool, tier: str | None, severity: dg.AssetCheckSeverity
) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=key,
        name=name,
        blocking=blocking,
        description="Would the policy of the Ctrl repository let this be proposed? Its limits and checks.",
    )
    def look(context: dg.AssetCheckExecutionContext, placet: PlacetResource) -> dg.AssetCheckResult:
        found = outputs_of(context.instance, key, run=context.run.run_id)
        if not found:
            return dg.AssetCheckResult(
                passed=False, severity=severity, description="Dagster knows of no output of this asset."
            )
        with placet.client() as client:
            said = client.rehearse([placet.root / one.path for one in found], tier=tier)
        return dg.AssetCheckResult(
            passed=said.passed,
            severity=severity,
            description=" ".join(said.reasons)[:1000] or None,
            metadata=dict(_shown(said)),
        )

    return look


def _shown(said: Rehearsed) -> Iterator[tuple[str, dg.MetadataValue[Any]]]:
    yield "placet/policy", dg.MetadataValue.int(said.policy)
    yield "placet/rules", dg.MetadataValue.text(", ".join(said.rules) or "-")
    if said.missing:
        yield "placet/needs", dg.MetadataValue.text(" ".join(said.missing))
    if said.reasons:
        yield "placet/reasons", dg.MetadataValue.json(list(said.reasons))
    for one in said.checks:
        passed = "passed" if one.passed else "FAILED"
        yield f"placet/check/{one.check}/{one.path}", dg.MetadataValue.text(f"{passed}: {one.summary}")
