"""Telling an OpenLineage backend what was published, by the settings' table `[lineage]`."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import msgspec

from placet import config
from placet.adapters.keys import read_secret
from placet.adapters.lineage_apart import LineageApart
from placet.adapters.told import FileRecord
from placet.core.digest import sha256_hex
from placet.core.lineageevent import LineageEvent
from placet.core.lineageform import LineageForm
from placet.engine.ctrl import Watch
from placet.engine.lineageevents import lineage_events
from placet.errors import Invalid, NotFound, Refused
from placet.ports.lineage import LineageSink
from placet.wire.ctrl import Wire

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """What one run told: how many events were taken, and how many are never taken by this backend."""

    events: int
    refused: int


class Reporter:
    """One party's reports; one for each client, so that each look goes on from the one before.

    Raises:
        NotFound: kind `no-lineage`: the settings have no table `[lineage]`; `no-openlineage`: no extra.
    """

    def __init__(self, wire: Wire) -> None:
        if wire.settings.lineage is None:
            raise NotFound(
                "No lineage backend is set.",
                kind="no-lineage",
                mend="Write a table [lineage] to placet.toml: see docs/how-to/lineage.md.",
            )
        self._form: LineageForm = wire.settings.lineage
        self._wire = wire
        self._watch = Watch()
        self._sink: LineageSink | None = None
        url = config.require_ctrl(wire.settings)
        place = f"{url}\n{wire.settings.root}\n{self._form.url or self._form.file}"
        self._record = FileRecord(wire.settings.home / "lineage" / f"{sha256_hex(place.encode())[:16]}.json")

    def run(self) -> Sent:
        """Tell what is new, one entry after the other; what was taken is not told again.

        Raises:
            Conflict: another process does the same now.
            Unavailable, Refused: the backend did not take an event; the next run goes on there.
        """
        with self._record.alone(), closing(self):
            wire = self._wire
            view = self._watch.load(wire.repo, wire.trust_root(), wire.clock.now(), wire.memory)
            told = _read(self._record.read())
            progress = wire.progress.start("lineage")
            taken = {True: 0, False: 0}
            for event in lineage_events(view, told):
                taken[self._send(event)] += 1
                told = {**told, event.branch: event.sequence + 1}
                self._record.write(msgspec.json.encode(told))
                progress.advance(1)
            progress.done()
            return Sent(taken[True], taken[False])

    def close(self) -> None:
        """End what the backend is told by; the next run opens it again."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def tried(self) -> str:
        """That the settings can be used, in words; sends nothing.

        Raises:
            NotFound, Invalid, Refused: they cannot.
        """
        self._open()
        return f"events go to {self._form.url or self._form.file}"

    def _send(self, event: LineageEvent) -> bool:
        """Hand over one event; one that is never taken must not keep the others waiting."""
        try:
            self._open().send(event)
        except Refused as error:
            if error.kind != "lineage-event":
                raise
            log.warning("entry %s of %s is left out: %s", event.sequence, event.branch, error)
            return False
        return True

    def _open(self) -> LineageSink:
        if self._sink is None:
            self._sink = self._opened()
        return self._sink

    def _opened(self) -> LineageSink:
        if not _installed():
            raise NotFound(
                "OpenLineage's client is not installed.",
                kind="no-openlineage",
                mend="pip install '/path/to/placet[lineage]'",
            )
        form, root = self._form, self._wire.settings.root
        if form.file is not None:
            from placet.adapters.openlineage import open_file

            return open_file(root / form.file)
        token = None
        if form.token_file is not None:
            token = read_secret(root / form.token_file).decode("ascii", "replace").strip()
            if not token.isascii() or not token.isprintable() or not token:
                raise Invalid(f"{root / form.token_file} holds no API key.", kind="lineage-token")
        return LineageApart(form.url or "", form.endpoint, token, form.timeout, config.environment())


def _installed() -> bool:
    try:
        return importlib.util.find_spec("openlineage.client") is not None
    except ModuleNotFoundError:
        return False


def _read(data: bytes | None) -> Mapping[str, int]:
    """What was told; a record that cannot be read costs repeats only."""
    try:
        return msgspec.json.decode(data or b"{}", type=dict[str, int])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
