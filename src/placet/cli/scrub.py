"""The command of whoever looks after a publication tier: scrub."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from placet.cli.output import output, size, table
from placet.cli.proof import age

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.scrubreport import Found, Scrubbed

_SHOWN = 20
_SLOWEST = 1000  # bytes a second; `--rate 50` is a forgotten unit, and would take years
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([KMG]I?)?B?(?:/S)?", re.ASCII)
_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}


class ByteRate(click.ParamType[int]):
    """Bytes a second as `50MB/s`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Bytes a second."""
        match = _RATE.fullmatch(str(value).upper())
        rate = int(float(match[1]) * _UNITS[match[2] or ""]) if match else 0
        if rate < _SLOWEST:
            return self.fail(
                f"{value!r} is no rate, or below 1kB/s: write 500kB/s, 50MB/s or 1GiB/s.", param, ctx
            )
        return rate


@click.command()
@click.option("-r", "--remote", default="", help="The publication tier, or its remote here.")
@click.option("--read", is_flag=True, help="Read every object, and believe nothing that the service says.")
@click.option("--repair", is_flag=True, help="Bring back from this node's internal tier what is its own.")
@click.option("--rate", type=ByteRate(), help="Read no faster than this: 500kB/s, 50MB/s, 1GiB/s.")
def scrub(remote: str, read: bool, repair: bool, rate: int | None) -> None:
    """Compare a publication tier with everything that was published there, both ways; 13 if it is not sound.

    Finds what is missing, corrupt, a twin (the same MD5, other bytes), or there without having been
    published; with a researcher's credential too. Interrupted, it goes on where it was. Deletes nothing.
    """
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        found = client.scrub(remote=remote or None, read=read, repair=repair, rate=rate)
    output.show(found, _scrubbed)
    if found.exit_code:
        raise click.exceptions.Exit(found.exit_code)


def _scrubbed(found: Scrubbed, console: Console) -> None:
    proven = ", ".join(f"{count} {_HOW[way]}" for way, count in found.proven.items() if count)
    lines = [
        f"tier {found.tier} ({found.store}) at {found.commit[:12]}",
        f"{found.artifacts} artifacts, {found.objects} objects, {size(found.size)}: {proven or 'none right'}",
    ]
    if found.resumed:
        lines.append(f"went on with the scrub of {found.began}")
    if not found.listed:
        lines.append("this store has no listing: what is there besides is not known")
    if found.proven["listed"]:
        lines.append("--read proves also those that were only listed")
    lines += [f"{path}: its files cannot be told, for its lists are lost" for path in found.untold]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if found.findings:
        shown = found.findings if output.verbose else found.findings[:_SHOWN]
        console.print(table("", ("", "object", "size", "age", "of", "what is known"), map(_row, shown)))
        if len(shown) < len(found.findings):
            console.print(f"and {len(found.findings) - len(shown)} more; -v shows them, --json too")
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items() if count)
    console.print("Sound." if found.ok else "NOT sound.", counts, style="bold" if found.ok else "bold red")


_HOW = {"read": "read", "service": "proven by the service", "listed": "listed, as long as they must be"}


def _row(one: Found) -> tuple[str, ...]:
    word = f"{one.trouble}, repaired" if one.repaired else one.trouble
    owner = f"{one.artifact} ({one.proposal[:12]}, {one.state})" if one.proposal else ""
    mild = "" if one.serious or one.repaired else "not serious yet"
    since = "" if one.age_s is None else age(one.age_s)
    return (word, one.key, size(one.size), since, owner, " ".join(text for text in (mild, one.why) if text))
