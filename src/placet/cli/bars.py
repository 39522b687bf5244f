"""Progress of long steps as bars on stderr: objects, bytes, rate and time left."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from placet.cli.clean import clean


class Bars:
    """Progress as bars, one a phase; by bytes where their number is known, else by objects.

    Args:
        console: Where they are drawn; stderr by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<9}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.fields[objects]} objects"),
            _Moved(),
            TimeRemainingColumn(compact=True),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None
        self._by_size = False
        self._done = 0
        self._moved = 0

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Self:
        """Begin a bar; one that was not ended is replaced."""
        self.done()
        self._by_size = bool(size)
        self._done = self._moved = 0
        self._bars.start()
        self._task = self._bars.add_task(
            clean(phase),
            total=size if self._by_size else objects,
            objects="?" if objects is None else objects,
            done=0,
            moved=0,
        )
        return self

    def advance(self, objects: int = 0, size: int = 0) -> None:
        """Move the bar."""
        if self._task is not None:
            self._done += objects
            self._moved += size
            step = size if self._by_size else objects
            self._bars.update(self._task, advance=step, done=self._done, moved=self._moved)

    def done(self) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        self._bars.stop()


class _Moved(ProgressColumn):
    """Bytes so far, and bytes a second."""

    def render(self, task: Task) -> Text:
        moved, elapsed = task.fields["moved"], task.elapsed or 0
        rate = f"  {decimal(int(moved / elapsed))}/s" if elapsed > 0 else ""
        return Text(f"{decimal(moved)}{rate}")
