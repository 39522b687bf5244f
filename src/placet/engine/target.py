"""Where a node publishes to: a tier as its own settings reach it, admitted only if it is the policy's."""

from __future__ import annotations

from dataclasses import dataclass

from placet.core.guards import guard
from placet.core.policy import Tier
from placet.errors import Refused
from placet.ports import ObjectStore


@dataclass(frozen=True, slots=True)
class Target:
    """A publication tier as this node reaches it: its store, and how its own settings name it."""

    store: ObjectStore
    url: str
    endpointurl: str | None


def admit_target(target: Target, tier: str, wanted: Tier, source: ObjectStore | None) -> None:
    """Refuse a publication tier that is elsewhere than the policy says, or the internal tier itself.

    Raises:
        Refused: kind `tier-mismatch`.
    """
    if not _same_place(target, wanted):
        raise Refused(
            f"Tier {tier} is at another place in this node's settings than in the policy.",
            kind="tier-mismatch",
            why=f"Here {target.url} ({target.endpointurl}), there {wanted.url} ({wanted.endpointurl}).",
            mend="Change the node's DVC remote, or propose a policy that names the new place.",
        )
    if source is not None:
        _require_apart(tier, target.store, source)


@guard(8)
def _require_apart(tier: str, target: ObjectStore, source: ObjectStore) -> None:
    if target.address == source.address:
        raise Refused(f"Tier {tier} is the internal tier itself.", kind="tier-mismatch")


@guard(8)
def _same_place(target: Target, wanted: Tier) -> bool:
    def plain(text: str | None) -> str:
        return (text or "").rstrip("/")

    return (plain(target.url), plain(target.endpointurl)) == (plain(wanted.url), plain(wanted.endpointurl))
