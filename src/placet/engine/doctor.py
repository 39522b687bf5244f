"""What works here and what does not; what a credential may do is tried, never read from a bucket policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Literal

from placet.core.digest import digest
from placet.engine.ctrl import View
from placet.errors import PlacetError, Refused
from placet.ports import ObjectStore

Level = Literal["ok", "warn", "fail"]
_PROBE = "placet/probe/doctor"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` says what to do if it is not ok."""

    name: str
    level: Level
    text: str
    mend: str = ""


def guarded(name: str, look: Callable[[], str]) -> Finding:
    """The finding of something that may fail."""
    try:
        return Finding(name, "ok", look())
    except PlacetError as error:
        return Finding(name, "fail", error.what, f"{error.why} {error.mend}".strip())


def check_view(view: View, node: str | None, person: str | None, public: str | None) -> Iterator[Finding]:
    """The Ctrl repository: its chain, its branches, and whether the policy knows this party's key."""
    policy = view.history.policy
    text = f"{len(view.line)} commits, policy {policy.form.number}, {len(view.cases())} proposals"
    yield Finding("Ctrl repository", "ok", text)
    for tier in policy.form.tiers:
        error = view.broken.get(tier)
        if error is not None:
            yield Finding(f"tier {tier}", "fail", error.what, error.mend)
        elif tier not in view.publications:
            yield Finding(f"tier {tier}", "fail", "no published branch", f"placet init --ctrl --tier {tier}")
        else:
            count = len(view.publications[tier].entries)
            yield Finding(f"tier {tier}", "ok", f"{count} ledger entries, all recomputed")
    if node or person:
        known = policy.node_keys(node) if node else policy.person_keys(person or "")
        ok = public is not None and public in known
        mend = f"Propose a policy that adds {public}" if public else "Set `key` in placet.toml."
        text = f"{node or person}'s key is {'' if ok else 'not '}in the effective policy"
        yield Finding("policy", "ok" if ok else "fail", text, mend)
    for freeze in view.stops.values():
        yield Finding("freeze", "warn", str(freeze), "Two people end it: placet unfreeze ID -m REASON")
    for alarm in view.alarms:
        yield Finding("alarm", "warn", alarm.text, f"See commit {alarm.commit[:12]}" if alarm.commit else "")


def check_store(name: str, store: ObjectStore, *, public: bool) -> Iterator[Finding]:
    """A remote: reachable, its traits and, for a publication tier, that nothing here can delete in it."""
    store.head("placet/probe/none")
    where = f"{store.address.service} {store.address.bucket}/{store.address.prefix}"
    path = "through DVC's own classes: works, slower" if where.startswith("dvc:") else "fast path"
    yield Finding(f"remote {name}", "ok", f"{where} ({path})")
    traits = store.traits()
    shown = [one.name for one in fields(traits) if getattr(traits, one.name)]
    yield Finding(f"traits of {name}", "ok", ", ".join(shown) or "none (or no right to write)")
    if not public:
        return
    try:
        store.put(_PROBE, [b"probe"], digest(b"probe"), overwrite=True)
    except Refused:
        yield Finding(f"versions of {name}", "ok", "this credential cannot write here")
    else:
        versioned = traits.versions
        mend = "Turn versioning or object lock on: otherwise what is published can be overwritten for good."
        text = "versioned" if versioned else "neither versioned nor locked"
        yield Finding(f"versions of {name}", "ok" if versioned else "fail", text, mend)
    try:
        store.delete(_PROBE)
    except Refused:
        yield Finding(f"deletion in {name}", "ok", "denied, tried on a probe object")
    else:
        mend = "Deny s3:DeleteObject and s3:DeleteObjectVersion to this credential by name."
        yield Finding(f"deletion in {name}", "fail", "this credential can delete", mend)
