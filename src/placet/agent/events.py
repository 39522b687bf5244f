"""What the agent says: one event a line, by stable names; never data, never a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime

from placet.errors import PlacetError

log = logging.getLogger("placet.agent")

_I, _W, _E, _C = (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
EVENTS: Mapping[str, tuple[int, str]] = {
    "started": (_I, "the agent works; `workspaces` says for which"),
    "listening": (_I, "health, metrics and webhook are served at `address` and `port`"),
    "changed": (_I, "branches were seen for the first time, or moved; `branches` says how many"),
    "unreachable": (_W, "a look at the Ctrl repository's branches failed; it is tried again"),
    "reachable": (_I, "looks succeed again"),
    "alarm": (_W, "something is in the Ctrl repository that should not be there; said once"),
    "promoting": (_I, "the promotion of a proposal begins"),
    "published": (_I, "it is on the published branch, by this agent or by another"),
    "deferred": (_W, "it was not promoted, for a reason that passes; tried again in `retry_s`"),
    "quarantined": (_C, "it was refused, until somebody acts; tried again after a change, and in `retry_s`"),
    "interrupted": (_I, "its promotion was ended by a stop; nothing was published"),
    "retraction": (
        _I,
        "a retraction went on to `stage`, or `waits` for somebody, or failed; looked at every minute",
    ),
    "sound": (_I, "a scrub found everything that was published, and nothing else; counts of what it noted"),
    "unsound": (_C, "a scrub found what is wrong, missing or alien: counts; `placet scrub` tells which"),
    "notified": (_I, "the `target` of [notify] was told `lines` happenings, in one message"),
    "not-notified": (_W, "it could not be; it is told later"),
    "lineage": (
        _I,
        "the backend of [lineage] was told `told` entries of the ledger; `refused` it never takes",
    ),
    "page": (_I, "the forge shows the proposal as it is now, at `url`"),
    "page-failed": (_W, "it does not, yet; tried again in `retry_s`"),
    "witnessed": (_I, "a `review` of a `person` was signed as an observation, with its `verdict`"),
    "not-witnessed": (_W, "the reviews of a proposal could not be read or signed; tried again in `retry_s`"),
    "mlflow": (
        _I,
        "an MLflow server was brought up to date; `changes` says how much was changed, `failed` how much not",
    ),
    "job-done": (_I, "a job ended; `seconds` says how long it took"),
    "job-failed": (_E, "a job could not do its work; it is tried again in `retry_s`"),
    "overdue": (_E, "a lane has shown no sign of life for `idle_s` seconds within a round"),
    "moving": (_I, "it does again, or its round has ended"),
    "corrupt": (_C, "the Ctrl repository does not verify: nothing is promoted from it"),
    "mistake": (_C, "Placet made a mistake; please report it"),
    "webhook": (_I, "a webhook was `accepted`, `replayed` or `refused`"),
    "reloaded": (_I, "the settings of a workspace were read again"),
    "reload-failed": (_E, "they could not be; the old ones hold"),
    "stopping": (_I, "a signal came; work under way ends at its next step"),
    "stopped": (_I, "everything has ended"),
    "cut-off": (
        _W,
        "work of these `lanes` did not end in time and is cut off; the next run goes on from there",
    ),
    "message": (_I, "what another part of Placet says, with its own level"),
}


def say(event: str, /, **fields: object) -> None:
    """Say one event with its fields."""
    log.log(EVENTS[event][0], event, extra={"fields": fields})


def say_last(event: str, /, **fields: object) -> None:
    """Say one event; nothing is written that any thread says later, or is about to say."""
    handlers = [one for one in logging.getLogger().handlers if isinstance(one, logging.StreamHandler)]
    with ExitStack() as held:
        for one in handlers:
            held.enter_context(one.lock or nullcontext())
        say(event, **fields)
        for one in handlers:
            one.setStream(_Nowhere())


class _Nowhere(io.TextIOBase):
    """What is written here is gone."""

    def write(self, text: str, /) -> int:
        """Nothing."""
        return len(text)


def words(error: PlacetError) -> dict[str, str]:
    """An error as fields of an event."""
    return {"kind": error.kind, "error": error.what, "why": error.why, "mend": error.mend}


def blame(error: Exception) -> str:
    """What went wrong where; not the error's own words, which may hold data."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f" at {frame.tb_frame.f_globals.get('__name__', '?')}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__}{where}"


def fields_of(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    """The event of any log record, and its fields."""
    found = getattr(record, "fields", None)
    if isinstance(found, dict):
        return record.getMessage(), {key: one for key, one in found.items() if one != "" and one is not None}
    return "message", {"logger": record.name, "text": record.getMessage()}


class JsonLines(logging.Formatter):
    """One JSON object a line: `time`, `level`, `event`, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, in ASCII."""
        event, fields = fields_of(record)
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = {"time": time.replace("+00:00", "Z"), "level": record.levelname.lower(), "event": event}
        return json.dumps(head | fields, default=str)


class TextLines(logging.Formatter):
    """The same for people: time, level, event, `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        event, fields = fields_of(record)
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        shown = " ".join(f"{key}={json.dumps(one, default=str)}" for key, one in fields.items())
        return f"{time} {record.levelname} {event} {shown}".rstrip()
