"""How results, tables and progress reach a person or a program; every way to a terminal is cleaned."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from placet.cli.clean import clean

if TYPE_CHECKING:
    from rich.console import Console, ConsoleRenderable
    from rich.segment import Segment
    from rich.table import Table

    from placet.cli.bars import Bars

T = TypeVar("T")
_FLAGS = {"--json": "json", "-q": "quiet", "--quiet": "quiet", "-v": "verbose", "--verbose": "verbose"}


class Output:
    """The common options, and what follows from them."""

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.verbose = False
        self.no_progress = False
        self._bars: Bars | None = None

    def take(self, argv: list[str]) -> list[str]:
        """Set the common options found in the arguments; returns the others."""
        rest: list[str] = []
        for index, one in enumerate(argv):
            if one == "--":
                return rest + argv[index:]
            if one in _FLAGS:
                setattr(self, _FLAGS[one], True)
            elif one == "--no-progress":
                self.no_progress = True
            else:
                rest.append(one)
        return rest

    def show(self, result: T, human: Callable[[T, Console], None], *, name: str = "") -> None:
        """Print a result: as one JSON object (a sequence under `name`), or drawn for a person."""
        if self.json:
            self._print(result, name)
        elif not self.quiet:
            human(result, terminal())

    def say(self, result: T, words: Callable[[T], str], *, name: str = "") -> None:
        """As `show`, where plain words are enough; they start faster than a drawing."""
        if self.json:
            self._print(result, name)
        elif not self.quiet:
            print(clean(words(result)))

    def warn(self, lines: Iterable[str]) -> None:
        """What a person must see even with `-q`, on stderr; a program finds it in the result."""
        if not self.json:
            for line in lines:
                print(clean(f"warning: {line}"), file=sys.stderr)

    def _print(self, result: object, name: str) -> None:
        print(as_json({name: plain(result)} if name else plain(result)))

    def progress(self) -> Bars | None:
        """Progress bars on stderr, if a person looks at them."""
        if self.json or self.quiet or self.no_progress or not sys.stderr.isatty():
            return None
        from placet.cli.bars import Bars

        self._bars = Bars()
        return self._bars

    def close(self) -> None:
        """Take the bars away, also after an error, so that what is said next is read."""
        if self._bars is not None:
            self._bars.done()


output = Output()


def plain(value: object) -> Any:  # noqa: ANN401 - JSON is any value
    """A result as values that JSON has."""
    if hasattr(value, "__struct_fields__"):
        import msgspec

        return plain(msgspec.to_builtins(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def as_json(value: object) -> str:
    """A value as JSON on one line, readable, with nothing in it that a terminal would obey."""
    text = json.dumps(value, ensure_ascii=False)
    return text if clean(text) == text else json.dumps(value)


def terminal(file: IO[str] | None = None, width: int | None = None) -> Console:
    """Where results are drawn: no markup, no emoji, no links, whatever a text says; everything cleaned."""
    from rich.console import Console, RenderHook
    from rich.segment import Segment
    from rich.text import Text

    class Cleaned:
        def __init__(self, inner: ConsoleRenderable) -> None:
            self.inner = inner
            if isinstance(inner, Text):
                inner.plain = clean(inner.plain)

        def __rich_console__(self, console: Console, options: Any) -> Iterable[Segment]:  # noqa: ANN401
            for one in console.render(self.inner, options):
                yield Segment(clean(one.text), one.style, one.control)

    class Hook(RenderHook):
        def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [Cleaned(one) for one in renderables]

    wide = None if (file or sys.stdout).isatty() else 200
    out = Console(file=file, width=width or wide, highlight=False, markup=False, emoji=False)
    out.push_render_hook(Hook())
    return out


class CleanFormatter(logging.Formatter):
    """Log lines whose texts may be hostile."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, cleaned."""
        return clean(super().format(record))


_WHOLE = {"id", "state", "time", "kind", "size", "age"}  # short, and read or copied as one


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    out = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        out.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        out.add_row(*(Text(clean(str(cell))) for cell in row))
    return out


def quoted(text: str) -> list[str]:
    """Somebody else's words, each line marked as theirs."""
    return [f"  | {line}" for line in clean(text).split("\n")]


def wrapped(console: Console, line: str) -> Iterator[str]:
    """A line as wide as the terminal, and what is left with the same mark or indentation before it."""
    from rich.text import Text

    text = clean(line)
    mark = text[: len(text) - len(text.lstrip(" |"))] or "    "
    first = Text(text).wrap(console, console.width, overflow="fold")[:1]
    shown = first[0].plain if first else ""
    yield shown
    rest = text[len(shown) :].strip()
    if rest:
        for part in Text(rest).wrap(console, max(20, console.width - len(mark)), overflow="fold"):
            yield f"{mark}{part.plain}"


def when(moment: str, at: str) -> str:
    """A time for a person: to the minute, and how far it is from `at`."""
    from datetime import datetime

    there, here = datetime.fromisoformat(moment), datetime.fromisoformat(at)
    seconds = int((there - here).total_seconds())
    count, unit = next(
        (abs(seconds) // length, name)
        for length, name in ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))
        if abs(seconds) >= 2 * length or length == 1
    )
    far = f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"
    return f"{moment[:16].replace('T', ' ')} UTC ({far})"


def size(count: int) -> str:
    """Bytes for a person, in powers of 1000."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":  # noqa: PLR2004
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""
