"""`python -m bench.copies`: which way of copying inside one service is faster from which size on; ADR 10.

The service's own verified copy against a stream through this machine, the same objects, in changing order.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from placet.adapters.objects import s3
from placet.adapters.objects.s3 import S3Store
from placet.adapters.objects.s3http import Service
from placet.adapters.objects.sigv4 import Credentials
from placet.core.digest import Digests, digest
from placet.engine.copying import copy_verified
from placet.engine.threads import run
from placet.testing.seaweed import Seaweed

WAYS = {"part-copy": 0, "stream": 1 << 62}


def main() -> None:
    """Measure each size in turn, and print one row each."""
    parser = argparse.ArgumentParser(prog="python -m bench.copies", description=__doc__)
    parser.add_argument("--kib", default="64,1024,4096,16384", help="sizes of objects")
    parser.add_argument("--total-mib", type=int, default=128, help="bytes of each size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory(prefix="placet-bench-") as folder, Seaweed(Path(folder)) as server:
        for bucket in ("internal", "publication"):
            server.create_bucket(bucket)
        for kib in map(int, options.kib.split(",")):
            count = max(1, options.total_mib * 1024 // kib)
            found[f"{count} x {kib} KiB"] = measure(server, kib << 10, count, options.rounds)
    for name, by in found.items():
        print(name)
        for way, runs in by.items():
            wall, cpu = (statistics.median(one[what] for one in runs) for what in ("wall", "cpu"))
            print(f"  {way:10} {wall:8.2f} s  {cpu:6.2f} cpu-s")
    if options.out:
        result = {"when": datetime.now(UTC).isoformat(), "load": os.getloadavg(), "results": found}
        options.out.write_text(json.dumps(result, indent=1) + "\n")


def measure(server: Seaweed, size: int, count: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Both ways in every round, each into a place of its own."""
    source, rng = store(server, "internal", f"{size}"), random.Random(size)
    wanted: list[tuple[str, Digests]] = []
    for number in range(count):
        data = rng.randbytes(size)
        wanted.append((f"files/{number}", digest(data)))
        source.put(f"files/{number}", [data], wanted[-1][1])
    out: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for turn in range(rounds):
        for way in list(WAYS)[:: 1 if turn % 2 else -1]:
            target = store(server, "publication", f"{size}-{turn}-{way}")
            target.traits()
            s3.SERVER_SIDE = WAYS[way]
            wall, cpu = time.perf_counter(), time.process_time()
            done = run(lambda one, to=target: copy_verified(source, to, *one), wanted, 64)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if set(done) != {way}:
                raise RuntimeError(f"not by {way}: {set(done)}")
            out[way].append({"wall": wall, "cpu": cpu})
    return out


def store(server: Seaweed, bucket: str, prefix: str) -> S3Store:
    """A place in a bucket."""
    access, secret = server.credentials("admin")
    service = Service(
        endpoint=server.endpoint,
        region="us-east-1",
        bucket=bucket,
        credentials=Credentials(access, secret),
        now=lambda: datetime.now(UTC),
    )
    return S3Store(service, prefix)


if __name__ == "__main__":
    main()
