"""Which checks run before people look, on which bytes, and what goes into the manifest.

Every file is read once, proven by its SHA-256 and kept in a nameless temporary file while its checks run, so
that all of them see the bytes that the result names. The checks themselves are in `placet.checks`; they run
behind the port `placet.ports.Checks`. No result holds an excerpt of data.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Literal

from placet.checks.api import MAX_FACTS, Finding, OptionValue
from placet.core.assent import asked_checks, rule_for
from placet.core.digest import Hasher, tee
from placet.core.guards import guard
from placet.core.policy import Policy, Rule
from placet.core.predicates import CheckResult
from placet.engine.threads import run
from placet.errors import Corrupt, Refused
from placet.ports import Checks, Progress

_MOST = (1 << 53) - 1
_AT_ONCE = 4
"""Files checked at once, each with a copy on disk."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """One file of an artifact.

    Attributes:
        name: Its path in the artifact; empty for a file artifact.
        sha256: What its bytes must be.
        read: Begins a new stream.
    """

    name: str
    sha256: str
    read: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class ArtifactFiles:
    """An artifact with its files, as they can be read where the check runs."""

    path: str
    sha256: str
    files: Sequence[FileSource]


@dataclass(frozen=True, slots=True)
class Checked:
    """The results of a proposal's checks, and what they were run on."""

    id: str
    on: Literal["bytes", "report"]
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Did every check pass?"""
        return all(one.passed for one in self.results)


def check_artifacts(
    policy: Policy,
    node: str,
    tier: str,
    artifacts: Iterable[ArtifactFiles],
    checks: Checks,
    jobs: int,
    progress: Progress,
) -> list[CheckResult]:
    """Run the checks that the rule of each artifact asks for, on proven bytes.

    Raises:
        Refused: kinds `unknown-check`, `check-options`, `no-sandbox`: a check cannot run as it should (I7).
        Corrupt: kind `digest-mismatch`: a stream is not what its digest says.
    """
    out: list[CheckResult] = []
    for artifact in artifacts:
        rule = rule_for(policy, node, artifact.path, tier)
        if rule is not None and (wanted := _wanted(rule)):
            out += _check(artifact, wanted, checks, jobs, progress)
    return out


@guard(31)
def refuse_failed(ident: str, results: Iterable[CheckResult]) -> None:
    """Stop a promotion whose checks fail on the bytes of the internal tier.

    Raises:
        Refused: kind `checks-failed`.
    """
    failed = [one for one in results if not one.passed]
    if failed:
        raise Refused(
            f"Proposal {ident[:12]} does not pass its checks and was not promoted.",
            kind="checks-failed",
            why=" ".join(f"Check {one.check} of {one.path} failed: {one.summary}." for one in failed),
            mend=f"placet withdraw {ident[:12]} -m REASON",
        )


def _wanted(rule: Rule) -> dict[str, Mapping[str, OptionValue]]:
    """The checks of a rule with their options; its limits ask for checks too."""
    limits: dict[str, dict[str, OptionValue]] = {}
    if rule.limits.types is not None:
        limits["type"] = {"allow": rule.limits.types}
    if rule.limits.rows is not None:
        limits["rows"] = {"most": rule.limits.rows}
    names = sorted(asked_checks(rule))
    return {name: {**rule.options.get(name, {}), **limits.get(name, {})} for name in names}


def _check(
    artifact: ArtifactFiles,
    wanted: Mapping[str, Mapping[str, OptionValue]],
    checks: Checks,
    jobs: int,
    progress: Progress,
) -> list[CheckResult]:
    own = artifact.path.rsplit("/", 1)[-1]
    listing = {one.name or own: one.sha256 for one in artifact.files}
    progress.start(f"check {artifact.path}", len(artifact.files))

    def look(source: FileSource) -> dict[str, Finding]:
        name = source.name or own
        with _private(source) as (file, size):
            found = session.look(name, source.sha256, size, file)
        progress.advance(1)
        return {
            check: Finding(f"{name}: {one.problem}" if one.problem else "", one.facts)
            for check, one in found.items()
        }

    at_once = min(jobs, _AT_ONCE)
    with checks.session(wanted, listing, at_once) as session:
        found = run(look, artifact.files, at_once)
        facts = {name: _added([one[name] for one in found]) for name in wanted}
        together = session.conclude(facts)
        tools = session.tools
    progress.done()
    return [
        _result(
            name, artifact, [*(one[name] for one in found), together[name]], facts[name], tools.get(name, "")
        )
        for name in wanted
    ]


@contextmanager
def _private(source: FileSource) -> Iterator[tuple[IO[bytes], int]]:
    """The bytes of a file in a temporary file that nobody else can change, and their number; proven."""
    hasher = Hasher()
    with tempfile.TemporaryFile() as file:
        for chunk in tee(source.read(), hasher):
            file.write(chunk)
        file.flush()
        found = hasher.digests()
        _require_named(source, found.sha256)
        file.seek(0)
        yield file, found.size


@guard(1, 32)
def _require_named(source: FileSource, sha256: str) -> None:
    """What is checked must be what the result will name."""
    if sha256 != source.sha256:
        raise Corrupt(
            f"CORRUPT: {source.name or 'the file'} changed before it was checked.",
            kind="digest-mismatch",
            mend="Find out who writes to it, then run the same command again.",
        )


def _added(found: Sequence[Finding]) -> dict[str, int]:
    out: dict[str, int] = {}
    for one in found:
        for fact, value in one.facts.items():
            out[fact] = min(out.get(fact, 0) + value, _MOST)
    return dict(sorted(out.items())[: MAX_FACTS - 1])


def _result(
    name: str, artifact: ArtifactFiles, found: Sequence[Finding], facts: Mapping[str, int], tool: str
) -> CheckResult:
    problems = [one.problem for one in found if one.problem]
    count = len(artifact.files)
    of = f"{count} file{'s' * (count != 1)}"
    summary = f"{len(problems)} of {of}: {problems[0]}" if problems else f"{of}, no finding"
    return CheckResult(
        check=name,
        path=artifact.path,
        digest=artifact.sha256,
        passed=not problems,
        summary=summary[:300],
        tool=tool[:300],
        facts={**facts, "files": count},
    )
