"""`sacro`: the verdicts of ACRO/SACRO read as evidence, when they lie beside the outputs.

Format: `results.json`, `checksums/*.txt` as `acro.record.Records.finalise_json`, `write_checksums` write
them (https://github.com/AI-SDC/ACRO). Evidence only: the job wrote it, so it can refuse and never allow;
nothing in it is run.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any, Literal

import msgspec

from placet.checks.api import Check, File, Finding, Options
from placet.core.guards import guard

RESULTS = "results.json"
_CHECKSUM = re.compile(r"(.*/|)checksums/([^/]+)\.txt")
_MAX = 16 << 20
_OWN = frozenset({RESULTS, "config.json", "evidence.json"})
Status = Literal["pass", "review", "fail"]


class SacroOptions(Options, frozen=True, kw_only=True):
    """Let pass what ACRO wants reviewed, or failed with an exception asked for; is it `required`."""

    review: bool = True
    exceptions: bool = False
    required: bool = False


class _File(msgspec.Struct):
    name: str


class _Output(msgspec.Struct):
    status: Status
    files: Annotated[tuple[_File, ...], msgspec.Meta(max_length=10_000)] = ()
    exception: str = ""


class _Results(msgspec.Struct):
    version: str
    results: dict[str, _Output]


class Sacro(Check):
    """Outputs, their status, their checksums."""

    api = 1
    tool = "placet; results.json of ACRO"
    Options = SacroOptions

    @guard(31, 32)
    def look(self, file: File, options: SacroOptions) -> Finding:
        """`results.json` against the files of the artifact; each checksum against its file."""
        folder, _, name = file.name.rpartition("/")
        folder = f"{folder}/" if folder else ""
        if name == RESULTS:
            return _results(file, folder, options)
        return _checksum(file)

    def conclude(self, facts: Any, options: SacroOptions) -> str:  # noqa: ANN401
        """Was there any evidence?"""
        return "there is no results.json of ACRO" if options.required and not facts.get("outputs") else ""


def _results(file: File, folder: str, options: SacroOptions) -> Finding:
    if file.size > _MAX:
        return Finding("results.json is larger than 16 MiB")
    try:
        read = msgspec.json.decode(file.stream.read(), type=_Results)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Finding("results.json is not as ACRO writes it")
    count = Counter(one.status for one in read.results.values())
    facts = {
        "outputs": len(read.results), "passed": count["pass"], "to_review": count["review"],
        "failed": count["fail"],
    }  # fmt: skip
    return Finding(_verdict(read, options) or _complete(read, file, folder), facts)


def _verdict(read: _Results, options: SacroOptions) -> str:
    for number, one in enumerate(read.results.values(), start=1):
        excepted = options.exceptions and bool(one.exception.strip())
        if one.status == "fail" and not excepted:
            return f"ACRO failed output {number}"
        if one.status == "review" and not (options.review or excepted):
            return f"ACRO wants output {number} reviewed"
    return ""


def _complete(read: _Results, file: File, folder: str) -> str:
    """Every file that is named is there, and every file that is there is named, with a checksum."""
    named = {f"{folder}{one.name}" for output in read.results.values() for one in output.files}
    if not named <= file.listing.keys():
        return "results.json names a file that is not in the artifact"
    for path in file.listing:
        inner = path.removeprefix(folder)
        if not path.startswith(folder) or inner in _OWN or inner.startswith("checksums/") or path in named:
            continue
        return "the artifact holds a file that results.json does not name"
    sums = {f"{folder}checksums/{path.removeprefix(folder)}.txt" for path in named}
    return "" if sums <= file.listing.keys() else "a file has no checksum of ACRO's"


def _checksum(file: File) -> Finding:
    match = _CHECKSUM.fullmatch(file.name)
    if match is None or f"{match[1]}{RESULTS}" not in file.listing:
        return Finding()
    said = file.stream.read(200).decode("ascii", "replace").strip()
    if said != file.listing.get(f"{match[1]}{match[2]}"):
        return Finding("a checksum of ACRO's is not that of its file")
    return Finding("", {"checksums": 1})
