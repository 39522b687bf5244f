"""Commands of everybody who checks afterwards: verify, bundle, checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from placet.cli.author import ident_argument
from placet.cli.data import targets_argument
from placet.cli.output import output, size

if TYPE_CHECKING:
    from rich.console import Console

    from placet.engine.checkpoint import Compared
    from placet.engine.verify import Report, Verified

_FEW = 4
_SHOWN = 5
_UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60))


@click.command()
@targets_argument
@click.option("--tier", default="", help="The publication tier.")
@click.option("--no-fetch", is_flag=True, help="Offline: with what the clone holds.")
@click.option("--record", is_flag=True, help="The record only, not the bytes here.")
@click.option(
    "--bundle", type=click.Path(path_type=Path), help="A bundle; the targets are files and folders."
)
@click.option("--trust-root", default="", help="With --bundle: the SHA-256 of policy 0, from elsewhere.")
def verify(
    targets: Sequence[str], tier: str, no_fetch: bool, record: bool, bundle: Path | None, trust_root: str
) -> None:
    """Check, from the bytes in this clone back to the trust root; exit 13 if anything is wrong.

    Prints each step, totals, and what is wrong; -v every artifact. With --bundle the proof is one file,
    and neither a clone nor a network is needed.
    """
    from placet.client import Client

    if bundle is not None and (tier or no_fetch or record):
        raise click.UsageError("--bundle goes with files, folders and --trust-root only.")
    if bundle is None and trust_root:
        raise click.UsageError("--trust-root goes with --bundle; else it is a setting: PLACET_TRUST_ROOT.")
    with Client(progress=output.progress()) as client:
        if bundle is not None:
            _finish(client.verify_bundle(bundle, targets, trust_root=trust_root or None))
        else:
            _finish(client.verify(targets, tier=tier or None, fetch=not no_fetch, data=not record))


@click.command()
@ident_argument
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), required=True, help="The new file.")
@click.option("--no-fetch", is_flag=True, help="Offline: with what is here.")
@click.option("--no-checkpoint", is_flag=True, help="Do not sign; the same state gives the same bytes then.")
def bundle(ident: str, file: Path, no_fetch: bool, no_checkpoint: bool) -> None:
    """Write the whole proof of one publication to one file, for `placet verify --bundle`.

    It holds the record of the published branch and of main up to there: whoever gets it can read what the
    Ctrl repository says, of other publications also.
    """
    from placet.client import Client

    with Client(progress=output.progress()) as client:
        made = client.bundle(ident, file, fetch=not no_fetch, sign=not no_checkpoint)
    shown = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "proposal": made.bundle.proposal,
        "published": made.bundle.published,
        "entries": made.entries,
        "checkpoint_by": made.checkpoint_by,
        "without_list": made.without_list,
    }
    output.show(shown, _bundled)


@click.group(no_args_is_help=True)
def checkpoint() -> None:
    """Sign how long a ledger is, and compare what several parties signed."""


@checkpoint.command()
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), required=True, help="The new file.")
@click.option("--tier", default="", help="The publication tier.")
@click.option("--no-fetch", is_flag=True, help="Offline: with what is here.")
def sign(file: Path, tier: str, no_fetch: bool) -> None:
    """Write a signed checkpoint of a tier's ledger, to be given to other parties."""
    from placet.client import Client

    with Client() as client:
        body = client.checkpoint(file, tier=tier or None, fetch=not no_fetch)
    shown = {"file": str(file), "branch": body.branch, "sequence": body.sequence, "entry": body.entry}
    words = f"{body.branch}, entry {body.sequence}, sha256:{body.entry}"
    output.show(shown, lambda _, console: console.print(words, markup=False))


@checkpoint.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), help="Checkpoint files.")
@click.option("--no-fetch", is_flag=True, help="Offline: with what is here.")
def compare(files: Sequence[Path], no_fetch: bool) -> None:
    """Compare checkpoints with one another and with the ledger here; exit 13 unless it is one history."""
    from placet.client import Client

    with Client() as client:
        found = client.compare_checkpoints(files, fetch=not no_fetch)
    output.show(found, _compared)
    if not found.ok:
        raise click.exceptions.Exit(13)


def _finish(found: Report) -> None:
    output.show(found, _report)
    if not found.ok:
        raise click.exceptions.Exit(13)


def _report(found: Report, console: Console) -> None:
    """One screen, whatever the number of artifacts: the steps, then what is wrong; all of it with -v."""
    for line, style in _lines(found, None if output.verbose else _SHOWN):
        text = line.replace("\n", "\\n")  # nothing in somebody's text begins a line of ours
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
    yield from _some("freeze: ", found.freezes, shown, "yellow")
    yield from _some("alarm: ", found.alarms, shown, "yellow")
    yield from _some("warning: ", found.warnings, shown, "yellow")
    yield from _some("PROBLEM: ", found.problems, most, "red")
    yield from ((text, "") for text in found.limits)
    yield "Everything that is here is exactly what was approved." if found.ok else "NOT verified.", "bold"


def _bundled(found: dict[str, Any], console: Console) -> None:
    by = ", ".join(found["checkpoint_by"])
    lines = [
        f"{found['file']}: {size(found['bytes'])}, {found['entries']} ledger entries",
        f"checkpoint of {by}" if by else "no checkpoint: no key here that the policy knows, or not wanted",
        *(f"{path}: its digest list cannot be read here; it can be checked as a whole only"
          for path in found["without_list"]),
    ]  # fmt: skip
    for text in lines:
        console.print(text, markup=False, highlight=False)


def _compared(found: Compared, console: Console) -> None:
    words = {
        "same": "All name the same entry, and so does the ledger here.",
        "consistent": "One history: all are in the ledger here.",
        "ahead": "NOT proven: one names an entry that the ledger here does not have. Fetch; if it stays so,"
        " this side is shown an old state.",
        "fork": "FORK: two histories were shown.",
    }
    for one in found.checkpoints:
        text = f"{one.name}: {', '.join(one.by)}, {one.time}: entry {one.sequence} {one.entry[:16]}"
        console.print(f"{text} ({one.standing})", markup=False, highlight=False, soft_wrap=True)
    for text in found.proofs:
        console.print(f"PROOF: {text}", markup=False, highlight=False, soft_wrap=True, style="red")
    console.print(words[found.verdict], style="bold", soft_wrap=True)


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
