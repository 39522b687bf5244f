"""How results, tables and progress reach a person or a program."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
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
            from rich.console import Console

            human(result, Console(highlight=False, width=None if sys.stdout.isatty() else 200))

    def say(self, result: T, words: Callable[[T], str], *, name: str = "") -> None:
        """As `show`, where plain words are enough; they start faster than a drawing."""
        if self.json:
            self._print(result, name)
        elif not self.quiet:
            print(words(result))

    def warn(self, lines: Iterable[str]) -> None:
        """What a person must see even with `-q`, on stderr; a program finds it in the result."""
        if not self.json:
            for line in lines:
                print(f"warning: {line}", file=sys.stderr)

    def _print(self, result: object, name: str) -> None:
        print(json.dumps({name: plain(result)} if name else plain(result), ensure_ascii=False))

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


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table for a terminal."""
    from rich.table import Table

    out = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        out.add_column(column, overflow="fold")
    for row in rows:
        out.add_row(*(str(cell) for cell in row))
    return out


def size(count: int) -> str:
    """Bytes for a person, in powers of 1000."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":  # noqa: PLR2004
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""
