"""Commands of everybody who checks afterwards: verify."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from placet.cli.data import targets_argument
from placet.cli.output import output, size

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.verify import Report, Verified

_FEW = 4
_SHOWN = 5
_UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60))


@click.command()
@targets_argument
@click.option("--tier", default="", help="The publication tier.")
@click.option("--no-fetch", is_flag=True, help="Offline: with what the clone holds.")
@click.option("--record", is_flag=True, help="The record only, not the bytes here.")
def verify(targets: Sequence[str], tier: str, no_fetch: bool, record: bool) -> None:
    """Check, from the bytes in this clone back to the trust root; exit 13 if anything is wrong.

    Prints each step, totals, and what is wrong; -v every artifact.
    """
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        _finish(client.verify(targets, tier=tier or None, fetch=not no_fetch, data=not record))


def _finish(found: Report) -> None:
    output.show(found, _report)
    if not found.ok:
        raise click.exceptions.Exit(13)


def _report(found: Report, console: Console) -> None:
    """One screen, whatever the number of artifacts: the steps, then what is wrong; all of it with -v."""
    for text, style in _lines(found, None if output.verbose else _SHOWN):
        if output.verbose or not console.is_terminal:
            console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(text, style=style, markup=False, highlight=False, no_wrap=True, overflow="ellipsis")


def _lines(found: Report, most: int | None) -> Iterator[tuple[str, str]]:
    for step in found.steps:
        sign = {True: "ok", False: "BAD", None: "-"}[step.ok]
        yield f"{sign:<4}{step.name:<18}{step.text}", "red" if step.ok is False else ""
    limit = f"; limit {found.max_age_days} days" if found.max_age_days is not None else ""
    yield f"    {'age':<18}{age(found.age_s)}; newest entry {found.newest}{limit}", ""
    if most is None or len(found.artifacts) <= _FEW:
        yield from ((_artifact(one), "red" if one.problem else "") for one in found.artifacts)
    if found.strays:
        yield f"note: {len(found.strays)} files under artifacts/ belong to nothing published", "yellow"
    shown = most if most is None or not found.problems else 2
    yield from _some("alarm: ", found.alarms, shown, "yellow")
    yield from _some("PROBLEM: ", found.problems, most, "red")
    yield from ((text, "") for text in found.limits)
    yield "Everything that is here is exactly what was approved." if found.ok else "NOT verified.", "bold"


def _artifact(one: Verified) -> str:
    by = ", ".join(one.approvals)
    return f"    {one.data}  {one.path}  {size(one.size)}  entry {one.sequence}: {by}"


def _some(label: str, texts: Sequence[str], most: int | None, style: str) -> Iterator[tuple[str, str]]:
    yield from ((f"{label}{text}", style) for text in texts[:most])
    if most is not None and len(texts) > most:
        yield f"{label}and {len(texts) - most} more; -v shows all", style


def age(seconds: int) -> str:
    """A time span for a person."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
