"""`placet policy`: show, lint, explain, test, propose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from placet.cli.author import proposed, require_announced
from placet.cli.output import output, plain, table

if TYPE_CHECKING:
    from rich.console import Console

    from placet.core.explain import Explanation, Holding, TakingBack
    from placet.core.lint import Weakness
    from placet.engine.replay import Judged, Replay, Replayed

_WEAK = 12


@click.group(no_args_is_help=True)
def policy() -> None:
    """Look at, check and change the policy."""


@policy.command()
def show() -> None:
    """Print the effective policy, with its number and digest: what the next policy begins from."""
    from placet.client import Client

    with Client() as client:
        found = client.effective_policy()
        shown = {"number": found.form.number, "digest": found.digest, "policy": found.data.decode()}
        output.show(shown, _policy)


@policy.command()
@click.argument("file", type=click.Path(path_type=Path), help="A policy file.")
def lint(file: Path) -> None:
    """Find mistakes (exit 2, with line and column) and weaknesses (exit 12) of a policy file."""
    from placet.client import lint_policy

    found = lint_policy(file)
    output.say({"file": str(file), "weaknesses": found}, lambda _: "\n".join(_weaknesses(str(file), found)))
    if found:
        raise click.exceptions.Exit(_WEAK)


@policy.command()
@click.argument("path", help="A workspace path of the node.")
@click.option("--node", default="", help="The node; this one by default.")
@click.option("--tier", default="", help="The publication tier.")
@click.option(
    "--policy", "file", type=click.Path(path_type=Path), help="A policy file instead of the effective policy."
)
def explain(path: str, node: str, tier: str, file: Path | None) -> None:
    """Tell which rule holds for a path and why, what it asks for, and who could approve."""
    from placet.client import Client

    with Client() as client:
        found = client.explain(path, node=node or None, tier=tier or None, file=file)
        output.say(found, lambda one: "\n".join(_explained(one)))


@policy.command()
@click.argument("file", type=click.Path(path_type=Path), help="A candidate for the next policy.")
def test(file: Path) -> None:
    """Replay a candidate over everything proposed so far: what would have been decided otherwise.

    Shows the differences, with -v all proposals. Exit 12 if something that was allowed would not be, or the
    other way round.
    """
    from placet.client import Client

    with Client() as client:
        found = client.test_policy(file)
    output.show({**plain(found), "flips": found.flips}, lambda _, console: _replayed(found, console))
    if found.flips:
        raise click.exceptions.Exit(_WEAK)


@policy.command()
@click.argument("file", type=click.Path(path_type=Path), help="The next policy.")
@click.option("-m", "--message", required=True, help="What changes, and why.")
def propose(file: Path, message: str) -> None:
    """Propose the next policy; it counts once it is approved under the effective one and merged.

    Its weaknesses are printed; a policy that nobody could change any more is refused.
    """
    from placet.client import Client, lint_policy

    weaknesses = lint_policy(file)
    with Client() as client:
        made = client.propose_policy(file, message=message)
    output.warn(_weaknesses(str(file), weaknesses) if weaknesses else ())
    output.show({**plain(made), "weaknesses": weaknesses}, lambda _, console: proposed(made, console))
    require_announced(made)


def _policy(found: dict[str, Any], console: Console) -> None:
    console.print(f"# effective: policy {found['number']}, sha256:{found['digest']}")
    console.print(found["policy"], end="", markup=False, soft_wrap=True)


def _weaknesses(file: str, found: Iterable[Weakness]) -> list[str]:
    lines = [f"{file}:{one.line}:{one.column}: {one.code}: {one.text} {one.mend}" for one in found]
    return lines or ["No weakness found."]


def _explained(found: Explanation) -> Iterator[str]:
    head = f"{found.node}/{found.path} for {found.tier}, policy {found.policy}: "
    if found.denied:
        yield f"{head}denied. {found.denied}"
    for one in found.passed_over:
        yield f"  not rule {one.rule}: {one.why}"
    if found.holds is not None:
        yield from _holding(found.holds, "  " if found.denied else head)
    for window in found.windows:
        now = f"closed until {window.until or 'further notice'}" if window.closed else "open now"
        yield f"  window {window.window}: {window.reason} ({'; '.join(window.times)}; {now})"
    if found.retraction is not None:
        yield from _taking_back(found.node, found.retraction)


def _taking_back(node: str, found: TakingBack) -> Iterator[str]:
    who = [f"node {node} alone"] if found.own else []
    if found.people:
        who.append(f"{found.count} of group {', '.join(found.groups)} ({', '.join(found.people)})")
    yield f"  may take it back: {' or '.join(who) or 'nobody'}: placet retract"
    if found.people:
        again = f"a second person of the group confirms it in {found.emergency_hours} hours"
        yield f"  in an emergency one of these alone, at once; {again}"


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)


def _holding(found: Holding, head: str) -> Iterator[str]:
    yield f"{head}rule {found.rule} (line {found.line}): {found.pattern} matches"
    for need in found.needs:
        yield f"  needs  {need.text}"
    people = [f"{one.person} ({one.organisation}, sees {one.sees})" for one in found.may_approve]
    yield f"  could approve: {', '.join(people) or 'nobody'}"
    if not found.satisfiable:
        yield "  These are too few: nobody can satisfy the rule."
    for one in found.may_not:
        yield f"  may not approve: {one.person}, who {one.why}"
    for witness, forges in found.witnesses.items():
        yield f"  accepts reviews on {', '.join(forges)} by the word of witness {witness} (report only)"
    for name, value in found.limits.items():
        yield f"  {'at most' if isinstance(value, int) else 'only'} {name}: {_told(value)}"
    if found.checks:
        again = "; run again at promotion" if found.recheck else ""
        yield f"  checks: {', '.join(found.checks)}{again}"
    for check, options in found.options.items():
        yield f"  options of {check}: {'; '.join(f'{key} {_told(value)}' for key, value in options.items())}"
    yield f"  expires after {found.expires_days} days"


def _replayed(found: Replay, console: Console) -> None:
    shown = [one for one in found.proposals if output.verbose or one.differs]
    if shown:
        columns = ("proposal", "by", "paths", "policy", "was", f"policy {found.number}", "why")
        console.print(table("", columns, (_row(one) for one in shown)))
    for ident in found.unreadable:
        console.print(f"Closed proposal {ident[:12]} cannot be read and is left out.")
    console.print(
        f"{len(found.proposals)} proposals: {found.flips} decided the other way round,"
        f" {sum(one.differs for one in found.proposals) - found.flips} for other reasons only."
    )


def _row(one: Replayed) -> tuple[str, ...]:
    more = f" and {len(one.paths) - 1} more" if one.paths[1:] else ""
    return (
        one.id[:12],
        one.by,
        f"{one.paths[0]}{more}",
        str(one.policy),
        one.was.verdict,
        one.would.verdict,
        _why(one),
    )


def _why(one: Replayed) -> str:
    def said(judged: Judged) -> tuple[str, ...]:
        return (*judged.reasons, *judged.missing)

    new = [text for text in said(one.would) if text not in said(one.was)]
    gone = [f"no longer: {text}" for text in said(one.was) if text not in said(one.would)]
    return " ".join(new or gone)
