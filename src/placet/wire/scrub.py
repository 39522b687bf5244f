"""The parts of `placet scrub`: which tier is meant, with whose credentials, where its progress is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.states import State
from placet.engine.ctrl import View
from placet.engine.limited import Limited, Rate
from placet.engine.scrub import Scrub
from placet.engine.scrubmark import MarkFile
from placet.engine.scrubrepair import Repairer
from placet.engine.scrubreport import Scrubbed
from placet.engine.target import Target, admit_target
from placet.engine.verify import publication_of
from placet.errors import Conflict, Invalid, NotFound, Refused
from placet.ports import ObjectStore
from placet.wire.ctrl import Wire


def scrub(
    wire: Wire, load: Callable[[], View], *, remote: str | None, read: bool, repair: bool, rate: int | None
) -> Scrubbed:
    """Compare a publication tier with everything published there; see `Client.scrub`.

    Raises:
        Refused: kinds `not-a-tier`, `tier-mismatch`.
        Conflict: kind `clone-behind`.
        Invalid: kind `not-a-node`: nobody else repairs.
    """
    if rate is not None and rate < 1:
        raise Invalid("A rate is at least one byte a second.", kind="settings")
    if repair and (wire.settings.node is None or wire.is_clone):
        raise Invalid(
            "Only a node repairs, from its own workspace.",
            kind="not-a-node",
            mend="Leave out --repair, or run it where the node's agent runs.",
        )
    view = load()
    tier = _tier(wire, view, remote)
    publication = publication_of(view, tier)
    _require_current(view, tier, publication.tip)
    store, source = wire.tier_store(tier, None), _internal(wire)
    if not wire.is_clone:
        found = wire.remote(wire.settings.tiers.get(tier, tier).lower())
        target = Target(store, str(found.get("url", "")), found.get("endpointurl"))
        admit_target(target, tier, view.history.policy.form.tiers[tier], source)

    def standing() -> set[str]:
        latest = load()
        now = wire.clock.now()
        known = publication_of(latest, tier).publications.values()
        return {one.case.id for one in known if latest.state(one.case, now) is not State.RETRACTED}

    if rate is not None:
        limit = Rate(rate)
        store, source = Limited(store, limit), Limited(source, limit) if source is not None else None
    repairer = None
    if repair and source is not None:
        node, jobs = wire.settings.node or "", wire.settings.jobs
        repairer = Repairer(source, store, node, standing, jobs, wire.progress)
    place = f"{view.history.repository} {tier} {store.address}"
    return Scrub(
        view=view,
        publication=publication,
        store=store,
        others=[source] if source is not None else [],
        clock=wire.clock.now,
        jobs=wire.settings.jobs,
        progress=wire.progress,
        mark=MarkFile(wire.settings.home / "scrub" / f"{sha256_hex(place.encode())[:32]}.json"),
        standing=standing,
        node=wire.settings.node,
        read=read,
        repairer=repairer,
    ).run()


def _tier(wire: Wire, view: View, remote: str | None) -> str:
    """The tier of this name, or whose remote is called so here."""
    if remote is None:
        return layout.DEFAULT_TIER
    tiers = view.history.policy.form.tiers
    for tier in tiers:
        if remote == tier or remote.lower() == wire.settings.tiers.get(tier, tier).lower():
            return tier
    raise Refused(
        f"{remote} is no publication tier.",
        kind="not-a-tier",
        why=f"The effective policy has: {', '.join(sorted(tiers))}.",
        mend='Name one of them, or say in placet.toml which remote it is: [tiers] <tier> = "<remote>"',
    )


def _internal(wire: Wire) -> ObjectStore | None:
    """This node's internal tier, where there is one."""
    if wire.settings.node is None or wire.is_clone:
        return None
    with contextlib.suppress(NotFound):
        return wire.store(wire.internal_remote())
    return None


def _require_current(view: View, tier: str, tip: str) -> None:
    """In a clone that lags, what was published since would be taken for strange."""
    name = layout.published_name(tier)
    server = view.repo.refs(f"refs/remotes/origin/{name}").get(f"refs/remotes/origin/{name}")
    if server is not None and server != tip:
        raise Conflict(
            f"The branch {name} of this clone is not where the server's is.",
            kind="clone-behind",
            mend="git pull",
        )
