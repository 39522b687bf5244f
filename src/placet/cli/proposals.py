"""How proposals, their differences and decisions are drawn for a person, on 80 columns and more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from placet.cli.output import quoted, size, table, when, wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from placet.checks.compare import TableDiff
    from placet.core.predicates import CheckResult, Comment
    from placet.core.provenance import Provenance
    from placet.engine.checks import Checked
    from placet.engine.detail import Detail
    from placet.engine.detailviews import (
        ArtifactView,
        DecisionView,
        Link,
        ObservationView,
        RemarkView,
        Reviewer,
    )
    from placet.engine.diff import ArtifactDiff, Diff, FileDiff
    from placet.engine.review import Decided
    from placet.engine.show import LogLine, Summary

_NAMES = 10


def listed(found: Sequence[Summary], console: Console) -> None:
    """`placet list`."""
    if not found:
        console.print("There is no proposal.")
        return
    rows = [
        (
            one.id[:12],
            _state(one),
            one.by,
            size(one.size),
            ", ".join(one.paths),
            one.message.split("\n")[0],
        )
        for one in found
    ]
    console.print(table("", ("id", "state", "by", "size", "paths", "message"), rows))


def shown(found: Detail, console: Console) -> None:
    """`placet show`."""
    _say(console, (f"{found.id}  {found.state}{' (closed)' if found.closed else ''}",), "bold")
    _say(console, (*quoted(found.message), *(f"  {text}" for text in found.because)))
    _say(console, (f"  warning: {text}" for text in found.warnings), "yellow")
    _say(console, ("manifest: an approval approves this and nothing else", f"  sha256:{found.manifest}"))
    _say(console, (f"  {name:<10}{value}" for name, value in _facts(found)))
    for title, lines in (
        ("artifacts", (line for one in found.artifacts for line in _artifact(one))),
        ("checks", (_check(one) for one in found.checks)),
        ("who can approve", (line for one in found.reviewers for line in _reviewer(one))),
        ("decisions", (line for one in found.decisions for line in _decision(one, found.at))),
        ("seen on a forge", (line for one in found.observations for line in _observation(one, found.at))),
        (
            "written there; decides nothing",
            (line for one in found.remarks for line in _remark(one, found.at)),
        ),
        ("follows", (line for one in found.follows for line in _link(one, found.at))),
        ("followed by", (line for one in found.followed_by for line in _link(one, found.at))),
    ):
        _section(console, title, lines)


def diffed(found: Diff, console: Console) -> None:
    """`placet diff`."""
    for text in found.policy:
        _say(console, (text,), {"+": "green", "-": "red"}.get(text[:1]))
    for one in found.artifacts:
        _section(console, f"{one.path}  {one.change}", _inside(one))


def decided(found: Decided, console: Console) -> None:
    """A decision as it was recorded."""
    until = f", until {found.expires}" if found.expires else ""
    done = f"{found.person}: {found.verdict} {found.id[:12]} (decision {found.n}, {_saw(found.seen)}{until})"
    _say(console, (done, f"manifest sha256:{found.manifest}", *_comments(found.comments)))
    _say(console, (f"The proposal is {found.state}.", *found.missing))


def checked(found: Checked, console: Console) -> None:
    """`placet check`."""
    _say(console, (*(_check(one) for one in found.results), f"Looked at: the {found.on}."))


def logged(found: Sequence[LogLine], console: Console) -> None:
    """`placet log`."""
    rows = [
        (
            one.branch,
            one.sequence,
            one.time,
            f"{one.kind}, forge-attested: {', '.join(one.attested)}" if one.attested else one.kind,
            one.actor,
            (one.proposal or "")[:12],
            ", ".join(one.paths),
        )
        for one in found
    ]
    console.print(table("", ("branch", "n", "time", "kind", "by", "proposal", "paths"), rows))


def _state(one: Summary) -> str:
    return f"{one.state} (closed)" if one.closed else f"{one.state} (frozen)" if one.frozen else one.state


def _section(console: Console, title: str, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines):
        if number == 0:
            _say(console, (title,), "bold")
        _say(console, (line,))


def _say(console: Console, lines: Iterable[str], style: str | None = None) -> None:
    """Each as one line, or marked where it goes on: nothing in somebody's text begins a line of ours."""
    for line in lines:
        for part in wrapped(console, line.replace("\n", "\\n")):
            console.print(part, style=style)


def _facts(found: Detail) -> Iterator[tuple[str, str]]:
    where = f" for {found.tier}" if found.tier else ""
    origin = found.provenance
    for name, value in {
        "what": f"{found.kind} by {found.by} ({found.organisation}), project {found.project}{where}",
        "proposed": when(found.proposed, found.at),
        "expires": when(found.expires, found.at),
        "so until": when(found.until, found.at) if found.until else "",
        "policy": f"number {found.policy}, rule {', '.join(found.rules) or '-'}",
        "asset": origin.asset,
        "run": " ".join(one for one in (origin.builder, origin.invocation, origin.invocation_url) if one),
        "code": _code(origin),
        "inputs": ", ".join(one.name or one.uri for one in origin.dependencies),
        "page": found.url or "",
        "landed": found.landed or "",
        "published": f"{found.published}, ledger entry {found.sequence}" if found.published else "",
    }.items():
        if value:
            yield name, value
    for need in found.needs:
        yield "needs", need


def _code(origin: Provenance) -> str:
    code = origin.code
    commit = code.digest.get("gitCommit", "") if code else ""
    return " ".join(one for one in (origin.code_version, code.uri if code else "", commit) if one)


def _artifact(one: ArtifactView) -> Iterator[str]:
    files = f"{one.files} files, " if one.kind == "directory" else ""
    yield f"  {one.path}  {one.change} {one.kind}, {files}{size(one.size)}"
    yield f"    sha256:{one.sha256}"


def _check(one: CheckResult) -> str:
    more = ", ".join([*_counts(one.facts), *([one.tool] if one.tool else [])])
    return (
        f"  {'passed' if one.passed else 'FAILED'}  {one.check}  {one.path}: {one.summary}"
        f"{f' ({more})' if more else ''}"
    )


def _counts(facts: Mapping[str, int]) -> Iterator[str]:
    return (f"{name} {count}" for name, count in sorted(facts.items()))


def _reviewer(one: Reviewer) -> Iterator[str]:
    said = f"{one.verdict}, {_saw(one.seen)}" if one.verdict else "has not decided"
    if one.verdict and not one.standing:
        said += ", does not count any more"
    yield f"  {one.person}: {said}"
    if one.told:
        said += f"; on a forge: {one.told}"
    accounts = "".join(f", {forge} account {number}" for forge, number in sorted(one.forges.items()))
    yield f"    {one.name}, {one.organisation}; {', '.join(one.groups)}; may see {one.sees}{accounts}"


def _decision(one: DecisionView, at: str) -> Iterator[str]:
    void = "" if one.counts else ", void"
    late = ", expired" if one.expired else ""
    until = f", until {when(one.expires, at)}" if one.expires else ""
    who = f"{one.person} ({one.organisation or 'unknown'}) as {one.role}"
    yield f"  {who}: {one.verdict}, {_saw(one.seen)} ({one.digests} digests){late}{void}"
    yield f"    decision {one.n}, {when(one.time, at)}{until}"
    if one.comment:
        yield from quoted(one.comment)
    yield from _comments(one.comments)


def _observation(one: ObservationView, at: str) -> Iterator[str]:
    who = one.person or "nobody whom the policy knows"
    void = "" if one.counts else ", void or superseded"
    yield f"  {who}: {one.verdict}, forge-attested by {one.witness} ({one.organisation or 'unknown'}){void}"
    where = f"{one.forge} account {one.user}, review {one.review} of {one.commit[:12]}"
    yield f"    {where}, {when(one.time, at)}"


def _remark(one: RemarkView, at: str) -> Iterator[str]:
    verdict = f": {one.verdict}" if one.verdict else ""
    yield f"  {one.login}, account {one.account}, {one.person or 'not of the policy'}{verdict}"
    yield f"    {when(one.time, at)}"
    if one.text:
        yield from quoted(one.text)


def _comments(comments: Iterable[Comment]) -> Iterator[str]:
    for one in comments:
        yield f"  on {one.path}"
        yield from quoted(one.text)


def _link(one: Link, at: str) -> Iterator[str]:
    yield f"  {one.id}  {one.state}"
    yield f"    proposed {when(one.proposed, at)}"
    for words in one.words:
        yield from quoted(words)


def _saw(level: str) -> str:
    return f"saw {'the bytes' if level == 'bytes' else 'the report'}"


def _inside(one: ArtifactDiff) -> Iterator[str]:
    yield f"  size  {size(one.size[0])} -> {size(one.size[1])}"
    yield f"  files {one.files[0]} -> {one.files[1]}"
    if not one.listed:
        yield "  (the lists of files are not readable here; what the checks counted:)"
    for fact in one.facts:
        before = "-" if fact.before is None else fact.before
        after = "-" if fact.after is None else fact.after
        yield f"  {fact.check}: {fact.name} {before} -> {after}"
    for sign, change, count in zip("+~-", ("added", "changed", "removed"), one.counts, strict=True):
        entries = [entry for entry in one.entries if entry.change == change]
        for entry in entries[:_NAMES]:
            yield from _file(sign, entry, one.path)
        if count > len(entries[:_NAMES]):
            yield f"  {sign} ... {count} {change} in all"
    if one.tables_left:
        yield f"  {one.tables_left} more tables were not looked into"


def _file(sign: str, entry: FileDiff, path: str) -> Iterator[str]:
    known = [size(one) for one in entry.size if one is not None]
    yield f"  {sign} {entry.path or path}  {' -> '.join(known)}"
    if entry.table is not None:
        yield from (f"      {line}" for line in _table(entry.table))


def _table(found: TableDiff) -> Iterator[str]:
    if found.problem:
        yield f"not compared as a table: {found.problem}"
    if not found.form or not found.columns:
        return
    yield f"rows {found.rows[0]} -> {found.rows[1]}: {found.rows_added} added, {found.rows_removed} removed"
    yield f"columns: {', '.join(f'{name} ({kind})' for name, kind in found.columns)}"
    for words, names in (("added", found.columns_added), ("removed", found.columns_removed)):
        if names:
            yield f"columns {words}: {', '.join(names)}"
    for one in found.kinds_changed:
        yield f"column {one.name}: {one.before} -> {one.after}"
    for sign, rows in (("+", found.sample_added), ("-", found.sample_removed)):
        for row in rows:
            yield f"{sign} {' | '.join(row)}"
