"""Who is told of what happened, and when: an outbox for each target, kept until it was sent.

At least once: what happened is recorded before anything is sent, and leaves the record when it was. A target
that cannot be reached keeps its lines, for a week and within a bound, and keeps nobody else waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from placet.core.defang import defang
from placet.core.formed import formed
from placet.core.happening import LOUD, Happening
from placet.core.notice import Line, line, loudest, notice
from placet.core.notifyform import NotifyForm
from placet.engine.happenings import Seen
from placet.errors import PlacetError
from placet.ports.messenger import Messenger, ToldRecord

MAX_LINES = 200
_WEEK_S = 7 * 86_400.0
_HOUR_S = 3600.0


class Outbox(msgspec.Struct, frozen=True, kw_only=True):
    """What one target is still to be told.

    Attributes:
        due: Not before then, in seconds since 1970.
        failures: How often in a row it could not be told.
        lost: How many lines were given up.
    """

    lines: tuple[Line, ...] = ()
    due: float = 0.0
    failures: int = 0
    lost: int = 0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The record: what was seen last, which troubles were told, what is still to be sent.

    Attributes:
        project: The Ctrl repository's name for people, as it was seen last.
        troubles: Name -> kind.
        failing: Name -> since when, in seconds since 1970, of what may pass, and was not told yet.
    """

    version: Literal[1] = 1
    project: str = ""
    seen: Seen | None = None
    troubles: dict[str, str] = {}
    failing: dict[str, float] = {}
    outboxes: dict[str, Outbox] = {}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps an agent from its work; `kind` is the error's.

    Attributes:
        lasting: It does not pass by itself, so it is told at once.
    """

    kind: str
    text: str
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one target in one run: how many lines it was sent, or why not."""

    target: str
    lines: int
    error: PlacetError | None = None


def read_told(data: bytes | None) -> Told:
    """The record; one that cannot be read is as lost as one that is not there."""
    if data is None:
        return Told()
    try:
        return msgspec.json.decode(data, type=Told)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Told()


def file_in(told: Told, new: Sequence[Happening], form: NotifyForm, now: datetime) -> Told:
    """The record with what is new put into the outbox of each target that wants it."""
    at = now.timestamp()
    outboxes = {}
    for name, target in form.targets.items():
        old = told.outboxes.get(name, Outbox())
        fresh = [one for one in old.lines if at - one.at < _WEEK_S]
        lines = [*fresh, *(line(one, at) for one in new if target.wants(one))]
        lost = old.lost + len(old.lines) - len(fresh) + max(0, len(lines) - MAX_LINES)
        outboxes[name] = msgspec.structs.replace(old, lines=tuple(loudest(lines, MAX_LINES)), lost=lost)
    return msgspec.structs.replace(told, outboxes=outboxes)


def send(
    told: Told,
    form: NotifyForm,
    messengers: Mapping[str, Callable[[], Messenger]],
    record: ToldRecord,
    now: datetime,
) -> tuple[Told, list[Delivery]]:
    """Send what is due, one message to a target, and record after each.

    Returns:
        The record as it is then, and what became of each target that was due.

    Raises:
        Unavailable: kind `disk`: the record cannot be written, so what was sent since is sent again; kind
            `stopped`: whoever waits for it wants no more of it.
    """
    done = []
    at = now.timestamp()
    boxes = {name: told.outboxes.get(name, Outbox()) for name in form.targets}
    for name, box in sorted(boxes.items(), key=lambda one: one[1].failures):  # who may be silent comes last
        if not box.lines or at < box.due <= at + max(_HOUR_S, form.pause):
            continue
        try:
            messenger = messengers[name]()
            title, text = notice(told.project, box.lines, box.lost, messenger.limit)
            messenger.send(title, text, loud=any(one.kind in LOUD for one in box.lines))
        except PlacetError as error:
            if error.kind == "stopped":
                raise
            wait = max(form.pause, min(form.pause * 2.0 ** min(box.failures, 16), _HOUR_S))
            after = msgspec.structs.replace(box, failures=box.failures + 1, due=at + wait)
            done.append(Delivery(name, 0, error))
        else:
            after = Outbox(due=at + form.pause)
            done.append(Delivery(name, len(box.lines)))
        told = msgspec.structs.replace(told, outboxes={**told.outboxes, name: after})
        record.write(encoded(told))
    return told, done


def encoded(told: Told) -> bytes:
    """The record's bytes."""
    return msgspec.json.encode(told)


def next_s(told: Told, form: NotifyForm, now: datetime, named: Container[str]) -> float | None:
    """Seconds until something is due; None: nothing waits.

    Args:
        told: The record.
        form: Who is told what.
        now: For times.
        named: The troubles of which something is known; what a process before noted of others is never due.
    """
    due = [one.due for one in told.outboxes.values() if one.lines]
    due += [since + form.patience for name, since in told.failing.items() if name in named]
    return max(0.0, min(due) - now.timestamp()) if due else None


def troubles(
    told: Told,
    now: Mapping[str, Trouble | None],
    *,
    whole: tuple[str, ...] = (),
    people: frozenset[str],
    at: float,
    patience_s: float,
) -> tuple[Told, list[Happening]]:
    """The record with an agent's troubles as they are now, and what is to be told of them.

    Args:
        told: The record.
        now: Name -> trouble, or None where there is none. Of what is not named nothing is known.
        whole: Beginnings of names; of those that begin so, `now` has all.
        people: Whom they concern.
        at: Seconds since 1970.
        patience_s: Seconds that what may pass has to last until it is told, over any number of runs.
    """
    known, new = dict(told.troubles), []
    over = [one for one in {*known, *told.failing} - now.keys() if one.startswith(whole)]
    failing = {name: since for name, since in told.failing.items() if name not in {*now, *over}}
    for name, one in [*now.items(), *((name, None) for name in sorted(over))]:
        if one is None:
            if known.pop(name, None) is not None:
                text = f"The agent can do its work again: {name}."
                new.append(Happening("recovered", name, text, concerns=people))
            continue
        since = min(at, told.failing.get(name, at))
        if name not in known and not one.lasting and at < since + patience_s:
            failing[name] = since
        elif known.get(name) != one.kind:
            known[name] = one.kind
            text = f"The agent fails: {name}. {one.text}"
            new.append(Happening("failing", name, text, concerns=people))
    return msgspec.structs.replace(told, troubles=known, failing=failing), new


def as_trouble(error: PlacetError, *, lasting: bool) -> Trouble:
    """An error as a trouble that people are told."""
    text = " ".join(part for part in (error.what, error.why, error.mend) if part)
    return Trouble(error.kind, defang(text, 500), lasting)


formed(Told)
