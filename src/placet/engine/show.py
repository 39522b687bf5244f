"""What a person needs to see: proposals in a list, the ledger as a timeline, what a policy asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from placet.core import globs, layout
from placet.core.scope import covers
from placet.core.statement import format_time
from placet.core.states import State
from placet.engine.cases import Case, attested, expiry, outcome
from placet.engine.ctrl import View
from placet.engine.detail import WAITING, is_closed, stopped, waits_for
from placet.engine.freeze import Frozen


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of `placet list`.

    Attributes:
        waits_for: Who could still help it by an approval.
        closed: Its branch was closed without landing; another one may follow it.
        frozen: By which freeze its publication is stopped, or empty.
    """

    id: str
    state: State
    kind: str
    by: str
    tier: str | None
    paths: tuple[str, ...]
    size: int
    files: int
    message: str
    proposed: str
    expires: str
    manifest: str
    missing: tuple[str, ...]
    waits_for: tuple[str, ...]
    closed: bool
    frozen: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which proposals a list has.

    Attributes:
        state: Only those in this state.
        person: Only those that wait for a decision of this person.
        node: Only those of this node.
        path: Only those with an artifact that matches this glob, or lies below it; `<node>/` may be in front.
        closed: Also those whose branch was closed without landing.
    """

    state: State | None = None
    person: str | None = None
    node: str | None = None
    path: str | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """One entry of a ledger.

    Attributes:
        attested: Whose approval counts by the word of a witness, and was not signed by them.
    """

    branch: str
    sequence: int
    kind: str
    time: str
    actor: str
    proposal: str | None
    paths: tuple[str, ...]
    message: str
    digest: str
    attested: tuple[str, ...] = ()


def summaries(view: View, now: datetime, wanted: Wanted | None = None) -> list[Summary]:
    """All proposals that are wanted, newest first."""
    wanted = wanted or Wanted()
    cases = [*view.cases().values(), *(view.ended().values() if wanted.closed else ())]
    found = [_summary(view, case, now) for case in cases if _matches(wanted, case)]
    kept = [
        one
        for one in found
        if wanted.state in {None, one.state}
        and (wanted.person is None or (wanted.person in one.waits_for and not one.closed))
    ]
    return sorted(kept, key=lambda one: (one.proposed, one.id), reverse=True)


def timeline(view: View, tier: str | None = None) -> list[LogLine]:
    """The ledger entries of one tier, or of all, in order."""
    lines = []
    for name, publication in view.publications.items():
        if tier is not None and name != tier:
            continue
        for entry in publication.entries:
            body = entry.body
            case = view.history.cases.get(body.proposal or "")
            paths = tuple(one.path for one in case.manifest.body.artifacts) if case else ()
            message = case.manifest.body.message if case else ""
            lines.append(
                LogLine(
                    publication.branch,
                    body.sequence,
                    body.kind,
                    body.time,
                    body.actor,
                    body.proposal,
                    paths,
                    message,
                    entry.digest,
                    attested(case) if case and body.observations else (),
                )
            )
    return sorted(lines, key=lambda one: (one.time, one.branch, one.sequence))


def _matches(wanted: Wanted, case: Case) -> bool:
    body = case.manifest.body
    if wanted.node is not None and body.node != wanted.node:
        return False
    if wanted.path is None:
        return True
    pattern = wanted.path.removeprefix(layout.ARTIFACTS).rstrip("/")
    names = [*case.paths, *(f"{body.node}/{path}" for path in case.paths)]
    return any(globs.matches(one, name) for name in names for one in (pattern, f"{pattern}/**"))


def _summary(view: View, case: Case, now: datetime) -> Summary:
    body = case.manifest.body
    state = view.state(case, now)
    waits = state in WAITING
    return Summary(
        id=case.id,
        state=state,
        kind=body.kind,
        by=body.signer,
        tier=body.tier,
        paths=case.paths,
        size=sum(one.size for one in body.artifacts),
        files=sum(one.files for one in body.artifacts),
        message=body.message,
        proposed=body.time,
        expires=format_time(expiry(case)),
        manifest=case.manifest.digest,
        missing=outcome(case, now).missing if waits else (),
        waits_for=waits_for(case, now) if waits else (),
        closed=is_closed(view, case),
        frozen=stopped(view, case, state),
    )


def held(view: View, one: Frozen, now: datetime) -> tuple[str, ...]:
    """Ids of the proposals that this freeze holds back: they have landed and could be published."""
    bodies = ((case.id, case.manifest.body, view.state(case, now)) for case in view.cases().values())
    return tuple(
        sorted(
            ident
            for ident, body, state in bodies
            if body.kind == "publish" and state is State.LANDED and covers(one.scope, body, body.tier or "")
        )
    )
