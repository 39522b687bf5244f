"""The checks that run before people look, on streams, in bounded memory; each result names its digest.

Built in: `type` (the content is what the suffix says, and the rule allows it) and `formulas` (no cell of a
table starts a spreadsheet formula). No result holds an excerpt of data.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from placet.core.assent import rule_for
from placet.core.policy import FileType, Policy, Rule
from placet.core.statement import CheckResult
from placet.engine.transfer import run
from placet.errors import Refused
from placet.ports import Progress

_SUFFIXES: Mapping[str, FileType] = {
    "csv": "csv",
    "json": "json",
    "md": "text",
    "parquet": "parquet",
    "pdf": "pdf",
    "pickle": "pickle",
    "pkl": "pickle",
    "png": "png",
    "txt": "text",
}
_HEADS: Mapping[FileType, bytes] = {
    "parquet": rb"PAR1",
    "pdf": rb"%PDF-",
    "pickle": rb"\x80[\x02-\x05]",
    "png": rb"\x89PNG\r\n\x1a\n",
}
_TAILS: Mapping[FileType, bytes] = {"parquet": b"PAR1", "pickle": b"."}
_MAX_CELL = 100_000
_HELD = 4 << 20


@dataclass(frozen=True, slots=True)
class FileSource:
    """One file of an artifact; `name` is empty for a file artifact; `read` begins a new stream."""

    name: str
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


Check = Callable[[FileSource, str, Rule], str]


def check_artifacts(
    policy: Policy, node: str, tier: str, artifacts: Iterable[ArtifactFiles], jobs: int, progress: Progress
) -> list[CheckResult]:
    """Run the checks that the rule of each artifact asks for; every file is read to its end, mostly once.

    Raises:
        Refused: kind `unknown-check`: the policy names a check that is not installed here (I7).
        Corrupt: a stream is not what its digest says.
    """
    out: list[CheckResult] = []
    for artifact in artifacts:
        rule = rule_for(policy, node, artifact.path, tier)
        if rule is None:
            continue
        names = sorted({*rule.checks, *(["type"] if rule.limits.types is not None else [])})
        checks = {name: _installed(name) for name in names}
        progress.start(f"check {artifact.path}", len(artifact.files))
        found = run(_task(artifact, checks, rule, progress), artifact.files, jobs)
        out += [_result(name, artifact, [texts[name] for texts in found]) for name in names]
        progress.done()
    return out


def _task(
    artifact: ArtifactFiles, checks: Mapping[str, Check], rule: Rule, progress: Progress
) -> Callable[[FileSource], dict[str, str]]:
    def one(source: FileSource) -> dict[str, str]:
        held = _held(source)
        name = source.name or artifact.path
        texts = {check: look(held, name, rule) for check, look in checks.items()}
        progress.advance(1)
        return {check: f"{name}: {text}" if text else "" for check, text in texts.items()}

    return one


def _held(source: FileSource) -> FileSource:
    """The source, read to its end once; small ones are kept, so that checks do not read them again."""
    parts: list[bytes] = []
    size = 0
    for chunk in source.read():
        size += len(chunk)
        if size <= _HELD:
            parts.append(chunk)
    return FileSource(source.name, lambda: iter(parts)) if size <= _HELD else source


def _installed(name: str) -> Check:
    check = CHECKS.get(name)
    if check is None:
        raise Refused(
            f"The policy asks for a check {name!r} that is not installed here.",
            kind="unknown-check",
            mend=f"Installed: {', '.join(CHECKS)}.",
        )
    return check


def _result(name: str, artifact: ArtifactFiles, texts: Sequence[str]) -> CheckResult:
    problems = [text for text in texts if text]
    count = len(texts)
    summary = f"{count} file{'s' * (count != 1)}, no finding"
    if problems:
        summary = f"{len(problems)} of {count} files: {problems[0]}"
    return CheckResult(
        check=name, path=artifact.path, digest=artifact.sha256, passed=not problems, summary=summary[:300]
    )


def _type(source: FileSource, path: str, rule: Rule) -> str:
    allowed = rule.limits.types or ("any",)
    declared = _declared(path)
    if declared is None:
        return "" if "any" in allowed else "its suffix names no type that this check knows"
    if declared not in allowed and "any" not in allowed:
        return f"type {declared} is not allowed by rule {rule.name}"
    return "" if _looks_like(declared, source) else f"its content is not {declared}"


def _formulas(source: FileSource, path: str, rule: Rule) -> str:
    del rule
    if _declared(path) != "csv":
        return ""
    try:
        for number, row in enumerate(csv.reader(_lines(source.read())), start=1):
            for cell in row:
                if cell[:1] in {"=", "@", "\t"} or (cell[:1] in {"+", "-"} and not _number(cell)):
                    return f"row {number} has a cell that a spreadsheet runs as a formula"
    except (csv.Error, UnicodeDecodeError):
        return "it cannot be read as a table"
    return ""


CHECKS: Mapping[str, Check] = {"formulas": _formulas, "type": _type}


def _declared(path: str) -> FileType | None:
    return _SUFFIXES.get(path.rsplit("/", 1)[-1].rpartition(".")[2].lower())


def _looks_like(kind: FileType, source: FileSource) -> bool:
    if kind == "csv":
        return _is_table(source)
    if kind in {"text", "json"}:
        return _is_text(source, kind)
    head, tail = b"", b""
    for chunk in source.read():
        head = head if len(head) >= 16 else head + chunk[:16]  # noqa: PLR2004
        tail = (tail + chunk)[-16:]
    return re.match(_HEADS[kind], head) is not None and tail.endswith(_TAILS.get(kind, b""))


def _is_table(source: FileSource) -> bool:
    try:
        widths = {len(row) for row in csv.reader(_lines(source.read()), strict=True) if row}
    except (csv.Error, UnicodeDecodeError):
        return False
    return len(widths) == 1


def _is_text(source: FileSource, kind: FileType) -> bool:
    first = ""
    try:
        for line in _lines(source.read()):
            if "\x00" in line:
                return False
            first = first or line.strip()[:1]
    except UnicodeDecodeError:
        return False
    return kind != "json" or (first != "" and first in '{["-0123456789tfn')


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Lines of a UTF-8 stream; a line without end is cut, so that memory stays bounded."""
    decode = codecs.getincrementaldecoder("utf-8")("strict")
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decode.decode(chunk)).split("\n")
        yield from (line + "\n" for line in lines)
        if len(rest) > _MAX_CELL:
            yield rest
            rest = ""
    rest += decode.decode(b"", final=True)
    if rest:
        yield rest


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
