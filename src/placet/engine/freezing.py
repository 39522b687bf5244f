"""Freeze and unfreeze: one person stops publications at once, two people let them go on (design 4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from placet.checks.metadata import refuse_telling, told
from placet.core import layout
from placet.core.globsets import example
from placet.core.limits import FREEZE_BYTES
from placet.core.policy import Policy
from placet.core.predicates import Freeze, Unfreeze
from placet.core.scope import Scope, parse_scope
from placet.core.statement import P, Signed, Subject, format_time, subject
from placet.engine.ctrl import View
from placet.engine.freeze import NEEDED, Frozen
from placet.errors import Conflict, Invalid, NotFound, PlacetError, Refused
from placet.ports import RefUpdate, Signer, TreeEntry

log = logging.getLogger(__name__)

Look = Callable[[], View]
Files = dict[str, bytes | TreeEntry | None]
_RACES = 20
_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class Standing:
    """A freeze that stands, for a person.

    Attributes:
        where: `main`, `branch`, or `memory`: it was seen here, and its branch was removed since.
        ended_by: Who signed its end so far; two are needed.
        stops: Ids of the landed proposals that it holds back now.
    """

    id: str
    digest: str
    scope: str
    person: str
    reason: str
    time: str
    where: str
    ended_by: tuple[str, ...]
    stops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unfrozen:
    """What an unfreeze came to: who signed it so far, and whether the freeze has ended."""

    id: str
    scope: str
    people: tuple[str, ...]
    ended: bool


def freeze(
    view: View, look: Look, signer: Signer, scope: str, *, person: str, reason: str, now: datetime
) -> str:
    """Stop every publication in a scope; returns the freeze's id. Counts once its branch is pushed.

    The branch needs no merge and meets no race; `main` gets a copy, where it can, so that everybody finds a
    publication past it. A freeze of this person and scope that stands already is returned.

    Raises:
        Invalid: kinds `freeze-scope`, `no-comment`.
        Refused: kinds `may-not-freeze`, `unknown-key`, `telling-metadata`, `push-refused`.
    """
    policy = view.history.policy
    _require_freezer(policy, signer, person)
    _require_scope(policy, scope)
    if not reason.strip():
        raise Invalid("A freeze needs a reason.", kind="no-comment", mend="Give it with -m.")
    same = (one for one in view.stops.values() if (one.person, one.scope) == (person, scope))
    before = next(same, None)
    if before is not None:
        return before.id
    body = Freeze(
        repository=view.history.repository, time=format_time(now), scope=scope, reason=reason, person=person
    )
    refuse_telling(told(body))
    signed = _signed(subject(layout.POLICY, view.history.trust_root), body, signer)
    ident = layout.freeze_id(signed.digest)
    file: Files = {layout.freeze_path(ident): signed.envelope.to_bytes()}
    commit = _commit(view, file, f"freeze {ident}", person, now)
    view.repo.push([RefUpdate(layout.freeze_ref(ident), None, commit)])
    try:
        _land(look, lambda seen: _copied(seen, file, f"freeze {ident}", person, now))
    except PlacetError as error:
        log.warning("The freeze counts, but is on no commit of main yet: %s", error)
    return ident


def unfreeze(
    view: View, look: Look, signer: Signer, ident: str, *, person: str, reason: str, now: datetime
) -> Unfrozen:
    """Sign the end of a freeze and land it on `main`; the second person's signature ends it. Idempotent.

    Args:
        view: The repository as it is.
        look: Loads it again, where somebody else moved `main` meanwhile.
        signer: The person's key.
        ident: The beginning of a freeze's id, or the whole digest of one that was lost.
        person: Who signs.
        reason: Why it may go on.
        now: The time.

    Raises:
        Invalid: kind `no-comment`.
        NotFound: kind `no-freeze`.
        Conflict: kinds `ambiguous-id`, `ref-moved`.
        Refused: kinds `may-not-freeze`, `unknown-key`, `telling-metadata`, `push-refused`.
    """
    _require_freezer(view.history.policy, signer, person)
    if not reason.strip():
        raise Invalid("An unfreeze needs a reason.", kind="no-comment", mend="Give it with -m.")
    one = find(view, ident)
    about = subject(layout.freeze_path(one.id), one.digest)

    def ending(seen: View) -> list[RefUpdate]:
        known = seen.history.freezes
        if person in known.lifted.get(one.digest, ()) or known.ended(one.digest):
            return []
        files, body = _freeze_file(seen, one), _unfreeze(seen, one, reason, now)
        refuse_telling(told(body))
        signed = _signed(about, body, signer)
        files[layout.freeze_path(layout.freeze_id(signed.digest))] = signed.envelope.to_bytes()
        commit = _commit(seen, files, f"unfreeze {one.id}", person, now)
        updates = [RefUpdate(layout.MAIN, seen.main, commit)]
        ref = layout.freeze_ref(one.id)
        branch = seen.repo.refs(ref).get(ref)
        if branch is not None and len(known.lifted.get(one.digest, frozenset()) | {person}) >= NEEDED:
            updates.append(RefUpdate(ref, branch, None))
        return updates

    after = _land(look, ending).history.freezes
    people = after.lifted.get(one.digest, frozenset())
    return Unfrozen(one.id, one.scope, tuple(sorted(people)), after.ended(one.digest))


def standing(view: View, holds: Callable[[Frozen], tuple[str, ...]]) -> list[Standing]:
    """All freezes that stand, oldest first; `holds` tells which proposals one holds back."""
    return [
        Standing(
            id=one.id,
            digest=digest,
            scope=one.scope,
            person=one.person,
            reason=one.reason,
            time=one.time,
            where=_where(view, one),
            ended_by=tuple(sorted(view.history.freezes.lifted.get(digest, ()))),
            stops=holds(one),
        )
        for digest, one in sorted(view.stops.items(), key=lambda row: (row[1].time, row[0]))
    ]


def find(view: View, ident: str) -> Frozen:
    """The freeze whose id begins so; a whole digest also names one that nobody holds any more.

    Raises:
        NotFound: kind `no-freeze`.
        Conflict: kind `ambiguous-id`.
    """
    known = {**view.history.freezes.made, **view.stops} if len(ident) >= _SHORTEST else {}
    found = [one for digest, one in known.items() if digest.startswith(ident)]
    if len(found) > 1:
        raise Conflict(
            f"{ident!r} is not one freeze but {len(found)}.",
            kind="ambiguous-id",
            mend=f"Give more digits: {', '.join(sorted(one.id for one in found)[:5])}",
        )
    if not found and layout.is_sha256(ident):
        return Frozen(ident, "?", "?", "", "")
    if not found:
        raise NotFound(
            f"There is no freeze {ident[:80]!r}.",
            kind="no-freeze",
            mend="`placet freezes` shows those that do.",
        )
    return found[0]


def _land(look: Look, updates: Callable[[View], list[RefUpdate]]) -> View:
    """Push what follows from the newest state, until it is there; the state that it came to."""
    for _ in range(_RACES):
        seen = look()
        wanted = updates(seen)
        if not wanted:
            return seen
        try:
            seen.repo.push(wanted)
        except Conflict:
            continue
    raise Conflict(
        "The branch main kept moving meanwhile.", kind="ref-moved", mend="Run the same command again."
    )


def _copied(seen: View, file: Files, message: str, person: str, now: datetime) -> list[RefUpdate]:
    if any(path in seen.history.freezes.files for path in file):
        return []
    commit = _commit(seen, file, message, person, now)
    return [RefUpdate(layout.MAIN, seen.main, commit)]


def _freeze_file(seen: View, one: Frozen) -> Files:
    """The freeze itself, for `main`, if it is not there and its branch still is."""
    path, ref = layout.freeze_path(one.id), layout.freeze_ref(one.id)
    branch = seen.repo.refs(ref).get(ref)
    if one.digest in seen.history.freezes.made or branch is None:
        return {}
    return {path: seen.repo.read(seen.repo.tree(branch, path)[path].blob, FREEZE_BYTES)}


def _unfreeze(seen: View, one: Frozen, reason: str, now: datetime) -> Unfreeze:
    """An end of a freeze that nobody signed yet with the same words in the same second."""
    body = Unfreeze(
        repository=seen.history.repository, time=format_time(now), freeze=one.digest, reason=reason
    )
    about = subject(layout.freeze_path(one.id), one.digest)
    path = layout.freeze_path(layout.freeze_id(Signed.make((about,), body).digest))
    taken = path in seen.history.tree
    return _unfreeze(seen, one, reason, now + timedelta(seconds=1)) if taken else body


def _signed(about: Subject, body: P, signer: Signer) -> Signed[P]:
    return Signed.make((about,), body, (signer.public, signer.sign))


def _commit(seen: View, files: Files, message: str, person: str, now: datetime) -> str:
    base = seen.main
    return seen.repo.commit(base, files, parents=[base], message=message, author=person, when=now)


def _where(view: View, one: Frozen) -> str:
    if one.digest in view.history.freezes.made:
        return "main"
    refs = view.repo.refs()
    places = (layout.FREEZE_BRANCHES, layout.FREEZE_TRACKING)
    return "branch" if any(f"{place}{one.id}" in refs for place in places) else "memory"


def _require_freezer(policy: Policy, signer: Signer, person: str) -> None:
    if signer.public not in policy.person_keys(person):
        raise Refused(
            f"The effective policy does not know this key as a key of {person}.",
            kind="unknown-key",
            why=f"The key is {signer.public}.",
            mend="Ask for a policy change that adds it, or use the key that the policy has.",
        )
    people = policy.freezers()
    if person not in people:
        raise Refused(
            f"The effective policy does not let {person} freeze.",
            kind="may-not-freeze",
            why=f"It lets: {', '.join(sorted(people)) or 'nobody'}.",
            mend="Ask one of them, or for a policy change: governance.freeze names groups.",
        )


def _require_scope(policy: Policy, text: str) -> None:
    """A scope that is about something: a slip of the pen must not pass for a freeze.

    Raises:
        Invalid: kind `freeze-scope`.
    """
    scope, form = parse_scope(text), policy.form
    if scope.kind == "node" and scope.value not in form.nodes:
        raise _nothing(text, f"The nodes are: {', '.join(form.nodes) or 'none'}.")
    if scope.kind == "tier" and scope.value not in form.tiers:
        raise _nothing(text, f"The tiers are: {', '.join(form.tiers)}.")
    if scope.kind == "path" and not _matches_something(policy, scope):
        raise _nothing(text, "Paths begin with the node's name: <node>/<path>, */<path> or **.")


def _matches_something(policy: Policy, scope: Scope) -> bool:
    possible = [f"{node}/{path}" for node, known in policy.form.nodes.items() for path in known.paths]
    try:
        return example([scope.value], possible) is not None
    except Refused:
        return True


def _nothing(scope: str, why: str) -> Invalid:
    return Invalid(
        f"The scope {scope} is about nothing that this policy lets anybody publish.",
        kind="freeze-scope",
        why=why,
    )
