"""Telling people what happened, by the settings' table `[notify]`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from placet import config
from placet.adapters.keys import read_secret
from placet.adapters.messenger import AppriseMessenger
from placet.adapters.told import FileRecord
from placet.core.digest import sha256_hex
from placet.core.happening import Happening
from placet.core.notifyform import NotifyForm, TargetForm
from placet.engine.ctrl import Watch
from placet.engine.happenings import happenings, look
from placet.engine.telling import (
    Delivery,
    Told,
    Trouble,
    as_trouble,
    encoded,
    file_in,
    next_s,
    read_told,
    send,
    troubles,
)
from placet.errors import Invalid, NotFound, PlacetError, Unavailable
from placet.ports.messenger import Messenger
from placet.wire.ctrl import Wire

_VIEW = "the Ctrl repository cannot be used"
_TEST = "This is a test of Placet's notifications; nothing happened."


@dataclass(frozen=True, slots=True)
class Notified:
    """What one run told.

    Attributes:
        happened: What is new since the run before.
        deliveries: What became of each target that was due.
        waits: Lines that are still to be sent.
        next_s: Seconds until something is due again, or None.
    """

    happened: tuple[Happening, ...]
    deliveries: tuple[Delivery, ...]
    waits: int
    next_s: float | None


class Notifier:
    """One party's notifications; one for each client, so that each look goes on from the one before.

    Raises:
        NotFound: kind `no-notify`: the settings have no table `[notify]`.
    """

    def __init__(self, wire: Wire) -> None:
        if wire.settings.notify is None:
            raise NotFound(
                "Nobody is to be told of anything.",
                kind="no-notify",
                mend="Write a table [notify.targets.NAME] to placet.toml: see docs/how-to/notify.md.",
            )
        self._form: NotifyForm = wire.settings.notify
        self._wire = wire
        self._watch = Watch()
        self._people: frozenset[str] = frozenset()
        self._opened: dict[str, Messenger] = {}
        url = config.require_ctrl(wire.settings)
        name = sha256_hex(f"{url}\n{wire.settings.identity}\n{wire.settings.root}".encode())[:16]
        self._record = FileRecord(wire.settings.home / "told" / f"{name}.json")

    def run(
        self, agent: Mapping[str, Trouble | None], *, whole: tuple[str, ...] = (), dry: bool = False
    ) -> Notified:
        """Look, record what is new, and send what is due. One target's failure keeps no other waiting.

        Args:
            agent: The troubles of the agent that runs this, by name; None: it is over.
            whole: Beginnings of names; of those that begin so, `agent` has all.
            dry: Only look: send and record nothing.

        Raises:
            Conflict: kind `notify-busy`: another process does the same now.
            Unavailable: kind `disk`: the record cannot be used.
        """
        with self._record.alone():
            before = read_told(self._record.read())
            now = self._wire.clock.now()
            told, new = self._look(before, agent, whole, now)
            told = file_in(told, new, self._form, now)
            if dry:
                return _notified(told, new, (), self._form, now, agent)
            if told != before:
                self._record.write(encoded(told))
            told, done = send(told, self._form, self._messengers(), self._record, now)
            return _notified(told, new, done, self._form, self._wire.clock.now(), agent)

    def test(self, names: Sequence[str] = ()) -> list[Delivery]:
        """Send a message that says that it is a test to these targets, or to all.

        Raises:
            NotFound: kind `no-target`.
        """
        foreign = next((one for one in names if one not in self._form.targets), None)
        if foreign is not None:
            raise NotFound(
                f"[notify] has no target {foreign!r}.",
                kind="no-target",
                mend=f"It has: {', '.join(self._form.targets)}.",
            )
        wanted = set(names or self._form.targets)
        return [self._test(name, opened) for name, opened in self._messengers().items() if name in wanted]

    def tried(self, name: str) -> str:
        """That the URL of a target can be used, in words; sends nothing.

        Raises:
            NotFound, Invalid, Refused: it cannot.
        """
        self._messenger(name, self._form.targets[name])
        return "a URL that Apprise knows; try it: placet notify --test"

    def _test(self, name: str, opened: Callable[[], Messenger]) -> Delivery:
        try:
            opened().send(f"[Placet] test of the target {name}", _TEST, loud=False)
        except PlacetError as error:
            return Delivery(name, 0, error)
        return Delivery(name, 1)

    def _look(
        self, told: Told, agent: Mapping[str, Trouble | None], whole: tuple[str, ...], now: datetime
    ) -> tuple[Told, list[Happening]]:
        """What is new; a repository that cannot be looked at is a trouble, and everything else waits."""
        new: list[Happening] = []
        here: Trouble | None = None
        try:
            view = self._watch.load(self._wire.repo, self._wire.trust_root(), now, self._wire.memory)
        except PlacetError as error:
            here = as_trouble(error, lasting=not isinstance(error, Unavailable))
        else:
            found = look(view, now, told.seen)
            new = happenings(told.seen, found)
            form = view.history.policy.form
            own = form.nodes.get(self._wire.settings.node or "")
            self._people = frozenset(own.operators if own else ())
            told = msgspec.structs.replace(told, seen=found.seen, project=form.project)
        told, more = troubles(
            told, {**agent, _VIEW: here}, whole=whole, people=self._people, at=now.timestamp(),
            patience_s=self._form.patience,
        )  # fmt: skip
        return told, [*new, *more]

    def _messengers(self) -> dict[str, Callable[[], Messenger]]:
        return {name: partial(self._messenger, name, form) for name, form in self._form.targets.items()}

    def _messenger(self, name: str, form: TargetForm) -> Messenger:
        if name not in self._opened:
            going_on = self._wire.progress.advance
            self._opened[name] = AppriseMessenger(name, self._url(name, form), going_on)
        return self._opened[name]

    def _url(self, name: str, form: TargetForm) -> str:
        if form.url_env is not None:
            found = config.secret(form.url_env) or ""
            place = f"the variable {form.url_env}"
        else:
            path = self._wire.settings.root / (form.url_file or "")
            place = f"the file {path}"
            try:
                found = read_secret(path).decode("utf-8", "replace")
            except NotFound as error:
                raise NotFound(
                    f"There is no file {path} with the URL of the target {name} of [notify].",
                    kind="notify-url",
                    mend=f"(umask 077; cat > {path})",
                ) from error
        lines = [one.strip() for one in found.splitlines() if one.strip() and not one.startswith("#")]
        if len(lines) != 1:
            raise Invalid(
                f"The target {name} of [notify] needs one URL in {place}; there are {len(lines)}.",
                kind="notify-url",
                mend="See docs/how-to/notify.md.",
            )
        return lines[0]


def _notified(
    told: Told,
    new: Sequence[Happening],
    done: Sequence[Delivery],
    form: NotifyForm,
    now: datetime,
    agent: Iterable[str],
) -> Notified:
    waits = sum(len(one.lines) for one in told.outboxes.values())
    return Notified(tuple(new), tuple(done), waits, next_s(told, form, now, {*agent, _VIEW}))
