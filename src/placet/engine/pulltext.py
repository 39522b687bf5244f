"""What a proposal's pull request says, from what `placet show` knows; no byte of data, and nothing obeys it.

Pure functions: the same proposal in the same state has the same text, whoever writes it, so that it is sent
only when something changed. It helps a person to decide; what counts is signed, and in Git.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from placet.core.markdown import block, code, link, title, visible, words
from placet.core.predicates import CheckResult
from placet.core.provenance import Resource
from placet.core.states import State
from placet.engine.detail import Detail
from placet.engine.detailviews import ArtifactView, DecisionView, ObservationView, Reviewer
from placet.engine.diff import ArtifactDiff, Diff
from placet.ports import StatusState

LIMIT = 65_536
"""Characters of a pull request's text that every forge takes; counted here in bytes, which are more."""
_FOOT = 2000
_STATUS = 140
_GOOD = frozenset({State.APPROVED, State.LANDED, State.PUBLISHED, State.SUPERSEDED})


@dataclass(frozen=True, slots=True)
class PullText:
    """Title and text of a pull request."""

    title: str
    body: str


def pull_text(found: Detail, changes: Diff) -> PullText:
    """The pull request of a proposal; `changes` as far as everybody may know them, without the bytes."""
    short = found.id[:12]
    room = LIMIT - _FOOT
    parts: list[str] = []
    for name, lines, share in _sections(found, changes):
        part = _section(name, lines, min(room, share))
        room -= len(part.encode())
        parts.append(part)
    parts.append(
        f"---\n{_more(short)} What counts is signed and in Git, not what stands here."
        " Placet writes this text, and writes it again when something changes."
    )
    head = title(found.message) or title(found.kind)
    return PullText(f"{head} ({short})", "\n".join(part for part in parts if part))


def status_of(found: Detail) -> tuple[StatusState, str]:
    """The commit status of a proposal: whether it can be merged, and what is missing."""
    state: StatusState = "failure"
    if found.state is State.PROPOSED:
        state = "failure" if found.reasons else "pending"
    elif found.state is State.QUARANTINED:
        state = "error"
    elif found.state in _GOOD:
        state = "success"
    why = next(iter((*found.reasons, *found.missing) if found.state is State.PROPOSED else found.because), "")
    text = visible(f"{found.state}: {why}" if why else str(found.state))
    return state, text if len(text) <= _STATUS else f"{text[: _STATUS - 3]}..."


def _sections(found: Detail, changes: Diff) -> Iterator[tuple[str, Iterable[str], int]]:
    """Name, lines and the most bytes of each part."""
    diffs = {one.path: one for one in changes.artifacts}
    yield "", _head(found), 12_000
    yield "Message", [block(found.message, 3000)] if found.message.strip() else [], 12_500
    yield "Artifacts", (_artifact(one, diffs.get(one.path)) for one in found.artifacts), 16_000
    yield "Checks", (_check(one) for one in sorted(found.checks, key=lambda one: one.passed)), 8_000
    yield "Policy", [block("\n".join(changes.policy), 4000)] if changes.policy else [], 16_500
    yield "Needed", _needs(found), 6_000
    yield "Who can approve", (_reviewer(one) for one in found.reviewers), 6_000
    yield "Decided", _decided(found.decisions, found.observations), 6_000
    yield "Where it comes from", _origin(found), 6_000


def _section(name: str, lines: Iterable[str], room: int) -> str:
    """A part, cut at a line where it has no more room."""
    out = [f"### {name}", ""] if name else []
    left = room - 200
    given = list(lines)
    for number, line in enumerate(given):
        left -= len(line.encode()) + 1
        if left < 0:
            out += ["", f"... and {len(given) - number} more lines that do not fit here."]
            break
        out.append(line)
    return "\n".join([*out, ""]) if given else ""


def _head(found: Detail) -> Iterator[str]:
    where = f" for tier {code(found.tier)}" if found.tier else ""
    yield f"**{found.state}** {words(found.kind)} by {code(found.by)} ({code(found.organisation)}){where}"
    yield ""
    for text in found.because:
        yield f"- {words(text)}"
    yield f"- An approval approves this manifest and nothing else: {code(f'sha256:{found.manifest}')}"
    yield f"- It expires {code(found.expires)}."
    yield ""


def _more(short: str) -> str:
    return (
        f"All of it: {code(f'placet show {short}')}, {code(f'placet diff {short}')}."
        f" To decide: {code(f'placet approve {short}')}, {code(f'placet return {short} -m REASON')}."
    )


def _artifact(one: ArtifactView, diff: ArtifactDiff | None) -> str:
    files = f", {one.files:,} files" if one.kind == "directory" else ""
    line = f"- {code(one.path)} {_change(one, diff)} {one.kind}, {one.size:,} bytes{files}"
    return f"{line}, {code(f'sha256:{one.sha256}')}{_facts(diff)}"


def _change(one: ArtifactView, diff: ArtifactDiff | None) -> str:
    if diff is None or diff.published is None:
        return one.change
    if diff.change == "same":
        return "the same as published, a"
    size, files = diff.size, diff.files
    more = f" and {files[0]:,} files" if one.kind == "directory" else ""
    return f"changed against {code(diff.published[:12])} ({size[0]:,} bytes{more}),"


def _facts(diff: ArtifactDiff | None) -> str:
    facts = diff.facts if diff is not None and diff.published is not None else ()
    moved = [one for one in facts if one.before != one.after]
    shown = "; ".join(f"{one.check} {one.name} {one.before} -> {one.after}" for one in moved)
    return f"; {code(shown, 500)}" if shown else ""


def _check(one: CheckResult) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in sorted(one.facts.items()))
    more = f" ({code(counts)})" if counts else ""
    result = "passed" if one.passed else "**FAILED**"
    return f"- {result} {code(one.check)} {code(one.path)}: {code(one.summary)}{more}"


def _needs(found: Detail) -> Iterator[str]:
    yield f"- policy {found.policy}, rule {code(', '.join(found.rules) or 'none')}"
    yield from (f"- {words(need)}" for need in found.needs)


def _reviewer(one: Reviewer) -> str:
    said = _signed(one.verdict, one.seen) if one.verdict else "has not signed"
    void = ", which counts no more" if one.verdict and not one.standing else ""
    told = f"; on the forge {words(one.told)}, attested by a witness" if one.told else ""
    who = f"{code(one.person)} ({code(one.organisation)}, {code(', '.join(one.groups))})"
    return f"- {who} may see {words(one.sees)}: {said}{void}{told}"


def _signed(verdict: str, seen: str) -> str:
    return f"{words(verdict)}, signed, having seen the {words(seen)}"


def _decided(signed: Iterable[DecisionView], told: Iterable[ObservationView]) -> Iterator[str]:
    for one in signed:
        void = "" if one.counts and not one.expired else ", void"
        comment = f": {code(one.comment, 500)}" if one.comment.strip() else ""
        yield f"- {code(one.person)} {_signed(one.verdict, one.seen)}{void}{comment}"
    for other in told:
        void = "" if other.counts else ", void or superseded"
        yield (
            f"- {code(other.person or 'unknown')} {words(other.verdict)}, review {code(str(other.review))} of"
            f" {code(other.commit[:12])}, attested by {code(other.witness)}{void}"
        )


def _origin(found: Detail) -> Iterator[str]:
    origin = found.provenance
    facts: Mapping[str, str] = {
        "asset": origin.asset,
        "built by": origin.builder,
        "run": origin.invocation,
        "code version": origin.code_version,
        "code": _resource(origin.code) if origin.code else "",
    }
    yield from (f"- {name} {code(value)}" for name, value in facts.items() if value)
    if origin.invocation_url:
        yield f"- the run's page, as the node names it: {link(origin.invocation_url)}"
    yield from (f"- input {code(_resource(one))}" for one in origin.dependencies)


def _resource(one: Resource) -> str:
    digests = " ".join(f"{name}:{value}" for name, value in sorted(one.digest.items()))
    return " ".join(part for part in (one.name, one.uri, digests) if part)
