"""Progress of long steps as bars on stderr: objects, bytes, rate and time left."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class Bars:
    """Progress as bars, one a phase."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.fields[objects]}"),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None
        self._done = 0

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Self:
        """Begin a bar."""
        self._bars.start()
        self._done = 0
        self._task = self._bars.add_task(phase, total=size or None, objects=objects or "?", done=0)
        return self

    def advance(self, objects: int = 0, size: int = 0) -> None:
        """Move the bar."""
        if self._task is not None:
            self._done += objects
            self._bars.update(self._task, advance=size, done=self._done)

    def done(self) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        self._bars.stop()
