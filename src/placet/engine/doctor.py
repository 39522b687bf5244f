"""What works here and what does not; what a credential may do is tried, never read from a bucket policy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

from placet.core import layout
from placet.core.digest import digest
from placet.core.policy import Policy
from placet.engine.ctrl import View
from placet.engine.promote import Promoter
from placet.engine.target import Target, admit_target
from placet.errors import Conflict, NotFound, PlacetError, Refused
from placet.ports import Checks, ObjectStore, RefUpdate, Repo, StoreAddress, StoreTraits

Level = Literal["ok", "warn", "fail"]
_PROBE, _BODY = layout.PROBE_RIGHTS, b"probe"
_ERASED = layout.PROBE_ERASED
_PROBE_REF = "refs/heads/placet-doctor-probe"
_SKEW_WARN_S, _SKEW_FAIL_S = 30.0, 240.0
_ROOM_WARN, _ROOM_FAIL = 2 << 30, 200 << 20

Role = Literal["promoter", "reader", "retractor", "source", "job", "review", "other"]
"""What this party does with a remote: publish to a tier, read a tier, erase from a tier what is taken back;
read the internal tier as the promoter, write it as a job, read it as a reviewer; or none of these."""


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
        return failed(name, error)


def failed(name: str, error: PlacetError, level: Level = "fail") -> Finding:
    """The finding of something that failed."""
    return Finding(name, level, error.what, f"{error.why} {error.mend}".strip())


def check_view(
    view: View, node: str | None, person: str | None, public: str | None, witness: str | None = None
) -> Iterator[Finding]:
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
    who = node or person or witness
    if who:
        known = policy.node_keys(node or "") or policy.person_keys(person or "")
        known = known or policy.witness_keys(witness or "")
        ok = public is not None and public in known
        mend = f"Propose a policy that adds {public}" if public else "Set `key` in placet.toml."
        text = f"{who}'s key is {'' if ok else 'not '}in the effective policy"
        yield Finding("policy", "ok" if ok else "fail", text, mend)
    for freeze in view.stops.values():
        yield Finding("freeze", "warn", str(freeze), "Two people end it: placet unfreeze ID -m REASON")
    for alarm in view.alarms:
        where = f" (commit {alarm.commit[:12]})" if alarm.commit else ""
        yield Finding("alarm", "warn", f"{alarm.text}{where}", "See docs/how-to/alarms.md.")


def check_gate(repo: Repo, main: str) -> Finding:
    """Does the server judge pushes? Tried by a branch that no party may push; removed where it was taken."""
    known = "Install the gate (placet init --ctrl), or protect main and published* on the forge."
    try:
        repo.push([RefUpdate(_PROBE_REF, None, main)])
    except Refused as error:
        if error.kind == "push-refused":
            return Finding("gate", "ok", "a branch that nobody may push was refused")
        return failed("gate", error)
    except Conflict:
        return Finding("gate", "warn", f"somebody pushed {_PROBE_REF}, so there is no gate", known)
    except PlacetError as error:
        return failed("gate", error)
    try:
        repo.push([RefUpdate(_PROBE_REF, main, None)])
    except PlacetError as error:
        mend = f"Let an administrator remove {_PROBE_REF}. {known}"
        return Finding("gate", "fail", f"none: {_PROBE_REF} was taken, and stays: {error.what}", mend)
    text = "none: a branch that nobody may push was taken, and removed; whether main is protected is unknown"
    return Finding("gate", "warn", text, known)


def check_checks(policy: Policy, checks: Checks) -> Finding:
    """Can every check that the policy asks for run here, with its options?"""
    wanted: dict[str, Mapping[str, bool | int | str | tuple[str, ...]]] = {}
    for rule in policy.form.rules:
        for name in rule.checks:
            wanted.setdefault(name, rule.options.get(name, {}))
    if not wanted:
        return Finding("checks", "ok", "the policy asks for none")
    try:
        with checks.session(wanted, {}, 1):
            return Finding("checks", "ok", f"{', '.join(sorted(wanted))} can run here")
    except PlacetError as error:
        return failed("checks", error)


def check_tiers(promoter: Promoter, view: View) -> Iterator[Finding]:
    """Does this node publish where the policy says, and nowhere else?"""
    for tier in view.history.policy.form.tiers:
        name = f"place of {tier}"
        try:
            promoter.target(view, tier)
        except NotFound as error:
            yield failed(name, error, "warn")
        except PlacetError as error:
            yield failed(name, error)
        else:
            yield Finding(name, "ok", "the same here as in the policy")


def check_apart(places: Mapping[str, StoreAddress]) -> Iterator[Finding]:
    """Do tiers differ in bucket or prefix, and does none lie within another?"""
    names = sorted(places)
    pairs = [(one, two) for index, one in enumerate(names) for two in names[index + 1 :]]
    bad = [f"{one} and {two}" for one, two in pairs if _within(places[one], places[two])]
    for both in bad:
        mend = "Give each tier a bucket or a prefix of its own."
        yield Finding("tiers", "fail", f"{both} are in one place, or one lies within the other", mend)
    if pairs and not bad:
        yield Finding("tiers", "ok", "each in a place of its own")


def check_clock(name: str, here: datetime, there: datetime | None) -> Finding:
    """How far this clock is from a server's `Date`; whole seconds are all that it tells."""
    if there is None:
        return Finding("clock", "warn", f"{name} tells no time", "Compare this machine's clock yourself.")
    skew = abs((here - there).total_seconds())
    level: Level = "fail" if skew > _SKEW_FAIL_S else "warn" if skew > _SKEW_WARN_S else "ok"
    return Finding("clock", level, f"{skew:.0f} s from {name}", "Let NTP set this machine's clock.")


def check_room(name: str, free: int) -> Finding:
    """Is there room on a disk?"""
    level: Level = "fail" if free < _ROOM_FAIL else "warn" if free < _ROOM_WARN else "ok"
    return Finding(name, level, f"{free / 1e9:.1f} GB free", "Make room: the copies of Git need it.")


def check_store(name: str, store: ObjectStore, role: Role) -> Iterator[Finding]:
    """A remote: reachable, its traits, and that this credential can do what it must and nothing more.

    Raises:
        PlacetError: it cannot be reached, or not be read.
    """
    store.head(f"{layout.PROBE_FOLDER}none")
    where = f"{store.address.service} {store.address.bucket}/{store.address.prefix}"
    path = "through DVC's own classes: works, slower" if where.startswith("dvc:") else "fast path"
    yield Finding(f"remote {name}", "ok", f"{where} ({path})")
    traits = store.traits()
    shown = [one.name for one in fields(traits) if getattr(traits, one.name)]
    yield Finding(f"traits of {name}", "ok", ", ".join(shown) or "none (or no right to write)")
    if role != "other":
        yield _reading(name, store)
    if role == "retractor":
        yield _erasing(name, store)
    elif role != "other":
        yield from _writing(name, store, traits, role)


def _reading(name: str, store: ObjectStore) -> Finding:
    try:
        first = next(iter(store.list("files/")), None)
        if first is None:
            return Finding(f"reading {name}", "ok", "allowed; there is no object yet")
        next(iter(store.get(first.key)), b"")
    except PlacetError as error:
        if error.kind != "no-listing":
            return failed(f"reading {name}", error)
    return Finding(f"reading {name}", "ok", "allowed, tried")


def _writing(name: str, store: ObjectStore, traits: StoreTraits, role: Role) -> Iterator[Finding]:
    must = role in {"promoter", "job"}
    try:
        store.put(_PROBE, [_BODY], digest(_BODY), overwrite=True)
    except Refused:
        mend = "Allow s3:PutObject to this credential." if must else ""
        yield Finding(f"writing {name}", "fail" if must else "ok", "denied, tried on a probe object", mend)
    else:
        mend = "" if must else "Give this party a credential that may only read."
        level: Level = "ok" if must else "fail" if role == "reader" else "warn"
        yield Finding(f"writing {name}", level, "allowed, tried on a probe object", mend)
        if role in {"promoter", "reader"}:
            yield from _keeping(name, traits)
    if role == "job":
        with contextlib.suppress(PlacetError):
            store.delete(_PROBE)
    else:
        yield _deleting(name, store, "warn" if role in {"source", "review"} else "fail")


def _keeping(name: str, traits: StoreTraits) -> Iterator[Finding]:
    """What is published stays, whoever writes over it."""
    mend = "Turn versioning or object lock on: otherwise what is published can be overwritten for good."
    text = "versioned" if traits.versions else "neither versioned nor locked"
    yield Finding(f"versions of {name}", "ok" if traits.versions else "fail", text, mend)
    safe = traits.conditional_put and traits.conditional_complete
    text = "refused by the store when asked" if safe else "not refused by this store; Placet looks first"
    yield Finding(
        f"overwriting in {name}", "ok" if safe else "warn", text, "A store with If-None-Match has it."
    )


def _deleting(name: str, store: ObjectStore, level: Level) -> Finding:
    try:
        store.delete(_PROBE)
    except Refused:
        return Finding(f"deletion in {name}", "ok", "denied, tried on a probe object")
    mend = "Deny s3:DeleteObject and s3:DeleteObjectVersion to this credential by name."
    return Finding(f"deletion in {name}", level, "this credential can delete", mend)


def _erasing(name: str, store: ObjectStore) -> Finding:
    """Can this credential hide an object, and erase every version? Tried on an object of its own."""
    what = f"erasing in {name}"
    mend = "Allow s3:DeleteObject, s3:DeleteObjectVersion and s3:ListBucketVersions to this credential alone."
    try:
        with contextlib.suppress(Refused):  # it need not be able to write
            store.put(_ERASED, [_BODY], digest(_BODY), overwrite=True)
        store.delete(_ERASED)
        found = store.versions(_ERASED)
        for one in found:
            store.delete(_ERASED, version=one.id)
        left = len(store.versions(_ERASED))
    except PlacetError as error:
        return Finding(what, "fail", error.what, mend)
    if left:
        return Finding(what, "fail", f"{left} versions of a probe object stay, though deleted", mend)
    if not found or not found[0].marker:
        mend = "Turn versioning on; without it an emergency retraction waits for its second person."
        return Finding(what, "warn", "allowed, but nothing can be hidden so that it comes back", mend)
    return Finding(what, "ok", f"allowed: a probe object was hidden, and its {len(found)} versions erased")


def check_retraction(policy: Policy, targets: Mapping[str, Target]) -> Iterator[Finding]:
    """Does the credential for retractions reach the tiers of the policy?"""
    for tier, target in targets.items():
        name, wanted = f"retraction from {tier}", policy.form.tiers.get(tier)
        if wanted is None:
            mend = "Mend [retraction] in placet.toml: its keys are tiers of the policy."
            yield Finding(name, "fail", "the policy has no such tier", mend)
            continue
        try:
            admit_target(target, tier, wanted, None)
        except PlacetError as error:
            yield failed(name, error)
        else:
            yield Finding(name, "ok", "at the same place here as in the policy")


def _within(one: StoreAddress, two: StoreAddress) -> bool:
    if (one.service, one.bucket) != (two.service, two.bucket):
        return False
    first, second = one.prefix.strip("/"), two.prefix.strip("/")
    return not (first and second) or layout.at_or_below(first, second) or layout.at_or_below(second, first)
