"""Placet inside Dagster: assets whose outputs are tracked, pushed, checked, proposed and promoted.

    @dg.asset
    def model(placet: PlacetResource) -> dg.MaterializeResult:
        train().save(placet.path("outputs/model.pkl"))
        return placet.materialize("outputs/model.pkl")

The data version of an asset is the SHA-256 of its content, so staleness follows content, not time. Needs the
extra `placet[dagster]`; importing `placet` never imports Dagster. A face of `placet.Client`, with no rule of
its own: what may be published is decided by the policy and by nothing here.
"""

from placet.integrations.dagster.checks import policy_checks
from placet.integrations.dagster.component import PlacetComponent
from placet.integrations.dagster.formats import Format
from placet.integrations.dagster.io_manager import PlacetIOManager
from placet.integrations.dagster.promotion import PromotionConfig, promotion_job
from placet.integrations.dagster.proposal import ProposalConfig, proposal_job
from placet.integrations.dagster.provenance import provenance
from placet.integrations.dagster.resource import PlacetResource
from placet.integrations.dagster.sensor import merge_sensor

__all__ = [
    "Format",
    "PlacetComponent",
    "PlacetIOManager",
    "PlacetResource",
    "PromotionConfig",
    "ProposalConfig",
    "merge_sensor",
    "policy_checks",
    "promotion_job",
    "proposal_job",
    "provenance",
]
