"""`placet lineage`: where something came from, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from placet.cli.output import output, quoted, when, wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.lineage import Approval, Lineage, Node
    from placet.wire.lineage import Sent

_DEEP = 12


@click.command()
@click.argument("ident", required=False, help="A proposal's id, or the first digits of it.")
@click.option(
    "--svg", type=click.Path(path_type=Path), help="Also draw it to this file; one that is there is replaced."
)
@click.option(
    "--send", is_flag=True, help="Instead: tell the backend of [lineage] what is new; an agent does."
)
def lineage(ident: str | None, svg: Path | None, send: bool) -> None:
    """Show what a proposal was made from, by which code and run, who approved it, and what was made from it.

    It follows the provenance that nodes have signed, by digest. What was made from something that was
    retracted is marked.
    """
    from placet.client import Client

    if send is (ident is not None) or (send and svg is not None):
        raise click.UsageError("Give a proposal's id, or --send alone.")
    with Client() as client:
        if ident is None:
            output.show(client.report_lineage(), sent)
        else:
            output.show(client.lineage(ident, svg=svg), told)


def sent(found: Sent, console: Console) -> None:
    """What a backend was told."""
    console.print(f"{found.events} events told" + (f", {found.refused} refused" if found.refused else ""))


def told(found: Lineage, console: Console) -> None:
    """The lineage as a tree."""
    for text, style in _lines(found):
        for part in wrapped(console, text.replace("\n", "\\n")):
            console.print(part, style=style)


def _lines(found: Lineage) -> Iterator[tuple[str, str | None]]:
    (own,) = (one for one in found.nodes if one.key == found.id)
    yield f"{found.id}  {found.state}", "bold"
    yield f"  {own.name}", None
    yield from ((text, None) for text in quoted(found.message))
    yield from ((f"  warning: {text}", "yellow") for text in found.warnings)
    yield from _section("inputs", _tree(found, found.id, up=True))
    yield from _section(
        "code", [(one, None) for one in (found.code, found.commit, found.code_version) if one]
    )
    run = " ".join(one for one in (found.builder, found.run) if one)
    yield from _section("run", [(one, None) for one in (found.asset, run, found.run_url) if one])
    yield from _section("approvals", [(_approval(one, found.at), None) for one in found.approvals])
    if found.published:
        place = (
            f"{found.tier}, {found.branch} ledger entry {found.sequence}, {when(found.published, found.at)}"
        )
        yield from _section("publication", [(place, None)])
    yield from _section("descendants", _tree(found, found.id, up=False))
    if found.cut:
        yield "There is more than is shown here.", "yellow"


def _approval(one: Approval, at: str) -> str:
    how = f"forge-attested: {one.attested}" if one.attested else f"on the {one.seen}"
    return f"{one.person} ({one.organisation or 'unknown'}) {how}, {when(one.time, at)}"


def _section(title: str, lines: list[tuple[str, str | None]]) -> Iterator[tuple[str, str | None]]:
    if lines:
        yield title, "bold"
        yield from ((f"  {text}", style) for text, style in lines)


def _tree(found: Lineage, key: str, *, up: bool) -> list[tuple[str, str | None]]:
    """Everything above or below, each once; what is above or below that is indented."""
    nodes = {one.key: one for one in found.nodes}
    beside: dict[str, list[tuple[str, str]]] = {}
    for edge in found.edges:
        near, far = (edge.made, edge.used) if up else (edge.used, edge.made)
        if (nodes[far].steps < 0) is up and nodes[far].steps != 0:
            told_as = (far, edge.path if up else "")
            if told_as not in beside.setdefault(near, []):
                beside[near].append(told_as)
    out: list[tuple[str, str | None]] = []
    told = {key}

    def walk(near: str, depth: int) -> None:
        for far, path in beside.get(near, ()):
            again = far in told
            told.add(far)
            text, style = _node(nodes[far], path if up else "")
            out.append((f"{'  ' * depth}{text}{' (see above)' if again else ''}", style))
            if not again and depth < _DEEP:
                walk(far, depth + 1)
            elif not again and far in beside:
                out.append((f"{'  ' * depth}  ... and more", None))

    walk(key, 0)
    return out


def _node(one: Node, path: str) -> tuple[str, str | None]:
    if one.kind == "resource":
        shown = " ".join(dict.fromkeys(part for part in (one.name, one.uri, one.digest) if part))
        return shown, None
    style = "red" if one.retracted else "yellow" if one.made_from_retracted else None
    mark = "  made from what was retracted" if one.made_from_retracted and not one.retracted else ""
    return f"{path or one.name}  {one.state}  {one.key[:12]} by {one.by}{mark}", style
