"""What happened in a Ctrl repository between two looks at it, as a pure function of both.

A look is kept as `Seen`: enough to find what is new, and no more. Publications, retractions and what became
of them are taken from the ledger, so that none is missed however long nobody looked; everything else from
the states of proposals as they are now, so that what came and went between two looks is not told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from placet.core.defang import defang
from placet.core.digest import sha256_hex
from placet.core.happening import Happening, Kind
from placet.core.predicates import LedgerEntry
from placet.core.statement import format_time
from placet.core.states import State
from placet.engine import firewall
from placet.engine.cases import Case, attested, chains, expiry, outcome
from placet.engine.ctrl import View
from placet.engine.detail import able, waits_for

RECENT = timedelta(days=1)
"""What the ledger recorded so long before the first look is told with it."""
_PATHS, _PATH, _WORDS = 5, 120, 200
_ALARMS = 200
_KINDS: Mapping[State, Kind] = {
    State.PROPOSED: "proposed",
    State.RETURNED: "returned",
    State.REJECTED: "rejected",
    State.WITHDRAWN: "withdrawn",
    State.EXPIRED: "expired",
    State.STALE: "stale",
    State.APPROVED: "approved",
    State.LANDED: "approved",
    State.QUARANTINED: "quarantined",
}
_RECORDED: Mapping[str, Kind] = {"publish": "published", "retract": "retracted", "restored": "restored"}
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one look.

    Attributes:
        states: Proposal -> its state.
        entries: Tier -> how many entries its ledger had.
        freezes: Digest -> scope, of the freezes that stood.
        alarms: Digests of the alarms' texts.
    """

    states: dict[str, State] = {}
    entries: dict[str, _Count] = {}
    freezes: dict[str, str] = {}
    alarms: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Look:
    """A view as it was looked at: `seen` is what to remember of it, `cases` the proposals that it names."""

    view: View
    now: datetime
    seen: Seen
    cases: Mapping[str, Case]


def look(view: View, now: datetime, before: Seen | None = None) -> Look:
    """Look at a view; what `before` knew as open and has been closed since is looked at once more."""
    cases = view.cases()
    for ident in (before.states.keys() if before else set()) & view.closed.keys() - cases.keys():
        with contextlib.suppress(*firewall.NOT_ADMITTED):
            cases[ident] = firewall.admit(view.history, ident, view.closed[ident])
    known = before.entries if before else {}
    seen = Seen(
        states={ident: view.state(case, now) for ident, case in cases.items()},
        entries=known | {tier: len(one.entries) for tier, one in view.publications.items()},
        freezes={digest: one.scope for digest, one in view.stops.items()},
        alarms=frozenset(sha256_hex(one.text.encode("utf-8", "replace"))[:32] for one in view.alarms),
    )
    return Look(view, now, seen, cases)


def happenings(before: Seen | None, after: Look) -> list[Happening]:
    """What is new, in the order in which it matters: states, the ledger, freezes, alarms.

    Args:
        before: What was remembered of the look before. None: there was none, or it was lost; then what is
            open, what stands, and what the ledger recorded within a day is told, some of it again.
        after: The look now.
    """
    known = before or Seen(entries=_a_day_ago(after))
    return [
        *_states(known, after, first=before is None),
        *_recorded(known, after),
        *_freezes(known, after),
        *_alarms(known, after),
    ]


def _states(before: Seen, after: Look, *, first: bool) -> Iterator[Happening]:
    for ident, state in after.seen.states.items():
        was = before.states.get(ident)
        if state is was or (was is State.APPROVED and state is State.LANDED):
            continue
        case = after.cases[ident]
        adopted = case.manifest.body.kind == "policy" and state is State.PUBLISHED and not first
        kind = "published" if adopted else _KINDS.get(state)
        if kind is not None and not (first and case.landed and state is not State.QUARANTINED):
            yield _about(after, case, kind, state)


def _recorded(before: Seen, after: Look) -> Iterator[Happening]:
    for tier, publication in sorted(after.view.publications.items()):
        for entry in publication.entries[before.entries.get(tier, 0) :]:
            kind = _RECORDED.get(entry.body.kind)
            case = after.view.history.cases.get(entry.body.proposal or "")
            if kind is not None and case is not None:
                yield _entered(case, kind, entry.body)


def _a_day_ago(after: Look) -> dict[str, int]:
    since = format_time(after.now - RECENT)
    return {
        tier: sum(one.body.time < since for one in publication.entries)
        for tier, publication in after.view.publications.items()
    }


def _about(after: Look, case: Case, kind: Kind, state: State) -> Happening:
    body = case.manifest.body
    given = {person: chain[-1].decision.body for person, chain in chains(case).items()}
    waiting = waits_for(case, after.now) if kind in {"proposed", "quarantined"} else ()
    said = {
        "returned": [one for one in given.values() if one.verdict == "return"],
        "rejected": [one for one in given.values() if one.verdict == "reject"],
        "approved": [one for one in given.values() if one.verdict == "approve"],
    }.get(kind, [])
    forge = {
        "returned": [one.person for one in case.said().values() if one.verdict == "return"],
        "approved": attested(case),
    }.get(kind, [])
    who = tuple(dict.fromkeys((*(one.person for one in said), *forge))) or (body.signer,)
    verdict = outcome(case, after.now)
    missing = "; ".join(verdict.missing) if kind in {"proposed", "quarantined"} else ""
    comment = next((one.comment for one in said if one.comment and kind != "approved"), "")
    parts = [
        _sentence(case, kind, who, landed=state is State.LANDED),
        f"Missing: {defang(missing, 2 * _WORDS).rstrip('.')}." if missing else "",
        f"It waits for {', '.join(waiting)}." if waiting else "",
        f"Until {format_time(expiry(case))}." if kind in {"proposed", "approved"} else "",
        _quoted(comment or (body.message if kind == "proposed" else "")),
    ]
    return _happening(case, kind, " ".join(filter(None, parts)), who, {*waiting, *given, *case.said()})


def _sentence(case: Case, kind: Kind, who: tuple[str, ...], *, landed: bool) -> str:
    what, people = _named(case), ", ".join(who)
    body = case.manifest.body
    verb = {"publish": "publish", "policy": "change", "retract": "take back"}[body.kind]
    alone = f"The proposal of {body.signer} to {verb} {what} needs nobody else's approval"
    assent = alone if who == (body.signer,) else f"{people} approved {what}"
    return {
        "proposed": f"{people} proposes to {verb} {what}.",
        "returned": f"{people} returned {what}.",
        "rejected": f"{people} rejected {what}.",
        "withdrawn": f"The proposal of {body.signer} to {verb} {what} was withdrawn.",
        "expired": f"The proposal of {body.signer} to {verb} {what} has expired.",
        "stale": f"The proposal of {body.signer} to {verb} {what} is stale: {defang(case.stale, _WORDS)}.",
        "approved": f"{assent}; it {'is on main' if landed else 'can be merged'}.",
        "quarantined": f"{what} of {body.signer} is on main without valid approvals; it is not published.",
        "published": f"Policy {case.policy.form.number + 1} of {body.signer} holds.",
    }[kind]


def _entered(case: Case, kind: Kind, entry: LedgerEntry) -> Happening:
    body = case.manifest.body
    what, tier = _named(case), body.tier or ""
    text = {
        "published": f"{entry.actor} published {what} in {tier}.",
        "retracted": f"{body.signer} takes back {what} from {tier}. {_quoted(body.message)}",
        "restored": f"The retraction of {what} was not confirmed in time; it is in {tier} again.",
    }[kind]
    actor = body.signer if kind == "retracted" else entry.actor
    return _happening(case, kind, text.strip(), (actor,), {*chains(case), *case.said()})


def _happening(case: Case, kind: Kind, text: str, who: tuple[str, ...], people: set[str]) -> Happening:
    body = case.manifest.body
    node = case.policy.form.nodes.get(body.node or "")
    concerns = {*people, *(node.operators if node else ()), *((body.person,) if body.person else ())}
    if kind == "quarantined":
        concerns |= set(able(case))
    return Happening(
        kind=kind,
        subject=_named(case),
        text=text,
        proposal=case.id,
        node=body.node or "",
        tier=body.tier or "",
        paths=tuple(defang(path, _PATH) for path in case.paths[:_PATHS]),
        who=who,
        concerns=frozenset(concerns),
        rules=outcome(case, None).rules,
    )


def _freezes(before: Seen, after: Look) -> Iterator[Happening]:
    form = after.view.history.policy.form
    people = after.view.history.policy.freezers() | {
        one for node in form.nodes.values() for one in node.operators
    }
    for digest, one in after.view.stops.items():
        if digest not in before.freezes:
            text = f"{one.person} stopped publications of {defang(one.scope)}. {_quoted(one.reason)}"
            subject = defang(one.scope)
            yield Happening("frozen", subject, text.strip(), who=(one.person,), concerns=people)
    for digest, scope in before.freezes.items():
        if digest not in after.view.stops and after.view.history.freezes.ended(digest):
            subject = defang(scope)
            who = tuple(sorted(after.view.history.freezes.lifted[digest]))
            text = f"{', '.join(who)} ended a freeze of {subject}."
            yield Happening("thawed", subject, text, who=who, concerns=people)


def _alarms(before: Seen, after: Look) -> Iterator[Happening]:
    policy = after.view.history.policy
    people = policy.governors() | {one for node in policy.form.nodes.values() for one in node.operators}
    for one in after.view.alarms[-_ALARMS:]:
        if sha256_hex(one.text.encode("utf-8", "replace"))[:32] not in before.alarms:
            where = f" (commit {one.commit[:12]})" if one.commit else ""
            text = f"{defang(one.text, 2 * _WORDS)}{where}"
            yield Happening("alarm", "Ctrl repository", text, concerns=people)


def _named(case: Case) -> str:
    shown = [defang(path, _PATH) for path in case.paths[:_PATHS]]
    more = len(case.paths) - len(shown)
    return f"{', '.join(shown)} and {more} more" if more else ", ".join(shown)


def _quoted(text: str) -> str:
    shown = defang(text.strip().partition("\n")[0], _WORDS)
    return f"\N{LEFT DOUBLE QUOTATION MARK}{shown}\N{RIGHT DOUBLE QUOTATION MARK}" if shown else ""
