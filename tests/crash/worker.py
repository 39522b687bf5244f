"""The real program, in a process that kills itself at a point of its run; see `points.py`.

A point is one event of a process, counted from its start: a call of a port before it begins (`<`) and after it
has ended (`>`), or a step that changes this machine by itself: a file opened for writing, renamed, linked,
removed, a process started. Nothing tells the program that it is counted: the classes behind the ports are wrapped,
and Python's own audit events are heard.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import wraps
from pathlib import Path

from placet import cli, ports
from placet.adapters.dvcplaced import PlacedDb
from placet.adapters.forge.plain import PlainForge
from placet.adapters.git import GitRepo
from placet.adapters.keys import FileSigner
from placet.adapters.objects.s3 import S3Store
from placet.adapters.sandbox import Sandbox
from placet.adapters.state import StateDb
from placet.adapters.trust import FileMemory
from placet.ports import StoreTraits
from placet.wire.data import SystemClock

PORTS = {
    ports.ObjectStore: S3Store,
    ports.Repo: GitRepo,
    ports.TrustMemory: FileMemory,
    ports.Clock: SystemClock,
    ports.Signer: FileSigner,
    ports.Forge: PlainForge,
    ports.State: StateDb,
    ports.PlacedOutputs: PlacedDb,
    ports.Checks: Sandbox,
}
_STEPS = {"os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Points:
    """Counts, and ends the process at the one that it was told; others may wait at it instead."""

    def __init__(self, order: dict) -> None:
        self.names: list[str] = []
        self._order = order
        self._lock = threading.Lock()
        self._over = False

    def meet(self, name: str) -> None:
        if self._over:
            return
        with self._lock:
            self.names.append(name)
            here = len(self.names)
        if here == self._order.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._order.get("wait_at") in {name, here}:
            self._wait()

    def _wait(self) -> None:
        """Say that we are here, and go on when we may: by named pipes, nothing sleeps."""
        del self._order["wait_at"]
        Path(self._order["here"]).write_text("here")
        Path(self._order["go"]).read_text()

    def end(self) -> None:
        self._over = True
        if "names" in self._order:
            Path(self._order["names"]).write_text(json.dumps(self.names))

    def hear(self, event: str, arguments: tuple) -> None:
        """Python's audit events: https://docs.python.org/3.11/library/audit_events.html"""
        if event in _STEPS or (event == "open" and self._writes(*arguments)):
            path = os.fsdecode(arguments[1 if event in {"os.link", "os.rename"} else 0])
            if path.startswith(self._order["below"]):
                self.meet(f"{event} {Path(path).relative_to(self._order['below']).parts[0]}")
        elif event == "subprocess.Popen":
            words = [os.fsdecode(one) for one in arguments[1]]
            self.meet(f"start {self._verb(words)}")

    def _writes(self, path: object, _: object, flags: int) -> bool:
        return isinstance(path, (str, bytes)) and bool(flags & _WRITING)

    def _verb(self, words: list[str]) -> str:
        """`git fetch` of `git --git-dir=x -c a=b fetch ...`."""
        left = [word for before, word in zip(["", *words], words, strict=False) if before not in {"-c", "-C"}]
        plain = [word for word in left[1:] if not word.startswith("-")]
        return f"{Path(words[0]).name} {plain[0]}" if words[0] == "git" and plain else Path(words[0]).name


def counted(name: str, work, points: Points):
    """The same method, with a point before and after it; what it gives bit by bit ends with its last bit."""

    def until(found: Iterator):
        yield from found
        points.meet(f"{name}>")

    @wraps(work)
    def call(*arguments, **options):
        points.meet(f"{name}<")
        found = work(*arguments, **options)
        if isinstance(found, Iterator):
            return until(found)
        points.meet(f"{name}>")
        return found

    return call


def poorer(versioned: list[str], streamed: list[str]) -> None:
    """For some objects the service has fewer traits, so that one promotion takes every way of copying."""
    plain = S3Store.copy_from

    def copy_from(self, source, key, want, **options):
        if key in streamed:
            return None
        if key in versioned:
            poor = S3Store(self._service, self.address.prefix, StoreTraits(versions=True))
            return plain(poor, source, key, want, **options)
        return plain(self, source, key, want, **options)

    S3Store.copy_from = copy_from


def main() -> None:
    """As `placet`, but for the order in the variable CRASH (JSON)."""
    order = json.loads(os.environ.pop("CRASH"))
    if "pid" in order:
        Path(order["pid"]).write_text(str(os.getpid()))
    poorer(order.get("versioned", []), order.get("streamed", []))
    points = Points(order)
    for port, kind in PORTS.items():
        for name in (one for one in vars(port) if not one.startswith("_")):
            work = getattr(kind, name, None)  # attributes are no calls
            if callable(work):
                setattr(kind, name, counted(f"{port.__name__}.{name}", work, points))
    sys.addaudithook(points.hear)
    try:
        cli.main()
    finally:
        points.end()
