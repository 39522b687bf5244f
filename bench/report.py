"""`python -m bench.report FILE`: the table and the plot of a result, into the docs."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from bench.promotions import AGAIN, UNRECORDED

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"
TARGETS = {
    "--version": 1.0,
    "--help": 1.0,
    "10,000 x 10 KB: track, first time": 0.5,
    "10,000 x 10 KB: track again, unchanged": 0.35,
    "10,000 x 10 KB: status": 0.45,
    "10,000 x 10 KB: push": 0.4,
    "10,000 x 10 KB: push, nothing new": 0.3,
    "10,000 x 10 KB: pull into a fresh clone": 0.4,
    "10,000 x 10 KB: one changed, track + push": 0.3,
    "1024 MiB: track": 0.65,
    "1024 MiB: push": 0.8,
    "1024 MiB: pull into a fresh clone": 0.6,
    "10,000 x 10 KB: promote": 0.33,
    "1024 MiB: promote": 0.4,
    "1024 MiB: promote to another service": 0.75,
}
# The time of a row over that of another row of Placet's, and at most how much it may be; and the peak in MB.
AGAINST = {
    "10,000 x 10 KB: promote" + AGAIN: ("10,000 x 10 KB: promote", 0.1),
    "10,000 x 10 KB: promote" + UNRECORDED: ("10,000 x 10 KB: promote", 0.6),
    "1024 MiB: promote" + UNRECORDED: ("1024 MiB: promote", 0.6),
    "100,000 x 1 KB: promote": ("10,000 x 10 KB: promote", 12.0),
}
MEMORY = {"1024 MiB: promote to another service": 250, "100,000 x 1 KB: promote": 500}
PROMOTES = ": promote"


def write(result: Path) -> None:
    """Put the table of a result between the marks of the page, and its plot beside it."""
    found = json.loads(result.read_text())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + section(found, result.name) + END + rest.partition(END)[2])
    plot(found, PAGE.with_suffix(".svg"))


def section(found: dict[str, Any], name: str) -> str:
    """What stands between the marks."""
    versions = ", ".join(f"{one} {number}" for one, number in found["versions"].items())
    load = " ".join(f"{one:.1f}" for one in found["machine"]["load"])
    return (
        f"One run, {found['when'][:16].replace('T', ' ')} UTC, commit {found['commit'][:12]}, "
        f"{found['rounds']} rounds, {found['machine']['cpus']} cores, load before each part: {load}.\n"
        f"{versions}. Every pair is in [`bench/results/{name}`](../../bench/results/{name}).\n\n"
        f"{table(found)}\n\n{promotions(found)}\n"
    )


def promotions(found: dict[str, Any]) -> str:
    """The rows of promotion as a table of their own, with their targets."""
    rows = {row: by for row, by in found["rows"].items() if PROMOTES in row}
    if not rows:
        return ""
    lines = [
        "| work | Placet | DVC: pull, push | ratio | at most | unverified | peak MB | at most | DVC's |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, by in rows.items():
        median = {tool: statistics.median(one["wall"] for one in many) for tool, many in by.items()}
        peak = {tool: f"{max(one['peak_mb'] for one in many):.0f}" for tool, many in by.items()}
        other, most = AGAINST.get(row, ("", TARGETS.get(row, "")))
        against = {"placet": by["placet"], "dvc": rows.get(other, {}).get("placet", ())} if other else by
        cells = (
            row,
            f"{median['placet']:.2f}",
            f"{median['dvc']:.2f}" if "dvc" in median else f"({other})" if other in rows else "",
            _ratio(against),
            f"{most}",
            ", ".join(f"{tool} {median[tool]:.2f}" for tool in ("s5cmd", "rclone") if tool in median),
            peak["placet"],
            f"{MEMORY.get(row, '')}",
            peak.get("dvc", ""),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def table(found: dict[str, Any]) -> str:
    """The results as a Markdown table: medians, and the ratio pair by pair."""
    lines = [
        "| work | Placet | DVC | Placet / DVC | DVC, best `--jobs` | s5cmd | floor | peak MB | DVC's |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, by in found["rows"].items():
        if PROMOTES in row:
            continue
        wall = {tool: statistics.median(one["wall"] for one in many) for tool, many in by.items()}
        cell = {tool: f"{seconds:.2f}" for tool, seconds in wall.items()}
        peak = {tool: f"{max(one['peak_mb'] for one in many):.0f}" for tool, many in by.items()}
        best = min((tool for tool in wall if tool.startswith("dvc --jobs")), key=wall.__getitem__, default="")
        cells = (
            row,
            cell["placet"],
            cell.get("dvc", ""),
            _ratio(by),
            f"{cell[best]} ({best.split()[-1]})" if best else "",
            cell.get("s5cmd", ""),
            cell.get("floor", ""),
            peak["placet"],
            peak.get("dvc", ""),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ratio(by: dict[str, list[dict[str, float]]]) -> str:
    ratios = _ratios(by)
    if not ratios:
        return ""
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"


def _ratios(by: dict[str, list[dict[str, float]]]) -> list[float]:
    pairs = zip(by["placet"], by.get("dvc", ()), strict=False)
    return [mine["wall"] / other["wall"] for mine, other in pairs]


def plot(found: dict[str, Any], path: Path) -> None:
    """The ratios as bars, with the spread of the pairs and the target of each row."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "placet"
    from matplotlib import pyplot

    rows = [(row, _ratios(by)) for row, by in found["rows"].items() if "dvc" in by][::-1]
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(rows) + 1.2))
    for at, (row, ratios) in enumerate(rows):
        axes.barh(at, statistics.median(ratios), height=0.6, color="#3b7dd8")
        axes.plot([min(ratios), max(ratios)], [at, at], color="#1d3f6e", linewidth=2)
        if row in TARGETS:
            axes.plot([TARGETS[row]] * 2, [at - 0.35, at + 0.35], color="#c0392b", linewidth=2)
    axes.axvline(1, color="#888888", linewidth=1)
    axes.set_yticks(range(len(rows)), [row for row, _ in rows])
    axes.set_xlim(0, 1.1)
    axes.set_xlabel("time of Placet / time of DVC; line: all pairs; red: target; 1 = as fast as DVC")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    write(Path(sys.argv[1]))
