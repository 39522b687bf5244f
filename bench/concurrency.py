"""`python -m bench.concurrency`: which way of making many requests at once; the numbers of ADR 5.

Three ways, the same requests, on a store as it is and behind a proxy that adds latency:
threads over obstore's blocking calls, one event loop over obstore's asynchronous calls, and threads over
our own signed HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore

from placet.adapters.objects.s3http import S3Http, Service
from placet.adapters.objects.sigv4 import Credentials
from placet.testing.seaweed import Seaweed

SIZE = 10_000
WAYS = ("obstore, threads", "obstore, event loop", "signed HTTP, threads")
Result = dict[str, list[dict[str, float]]]


def main() -> None:
    """Measure all ways in turn, and print one row each."""
    parser = argparse.ArgumentParser(prog="python -m bench.concurrency", description=__doc__)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", default="16,64")
    parser.add_argument("--latency-ms", default="0,20")
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    found: dict[str, Result] = {}
    with tempfile.TemporaryDirectory(prefix="placet-bench-") as folder, Seaweed(Path(folder)) as server:
        server.create_bucket("concurrency")
        for latency in map(int, options.latency_ms.split(",")):
            with Delay(server.endpoint, latency / 1000) as endpoint:
                for jobs in map(int, options.jobs.split(",")):
                    found[f"{latency} ms, {jobs} jobs"] = measure(
                        service(server, endpoint), options.objects, options.rounds, jobs
                    )
    for name, result in found.items():
        print(f"\n{name}: requests/s (CPU ms a request), medians")
        for row, runs in result.items():
            rate = statistics.median(one["rate"] for one in runs)
            cpu = statistics.median(one["cpu_ms"] for one in runs)
            print(f"  {row:32} {rate:8.0f}  ({cpu:.2f})")
    if options.out:
        options.out.write_text(json.dumps({"load": os.getloadavg(), "results": found}, indent=1) + "\n")


def service(server: Seaweed, endpoint: str) -> Service:
    """The bucket as our own client is told of it."""
    access, secret = server.credentials("admin")
    return Service(
        endpoint=endpoint,
        region="us-east-1",
        bucket="concurrency",
        credentials=Credentials(access, secret),
        now=lambda: datetime.now(UTC),
    )


def measure(where: Service, objects: int, rounds: int, jobs: int) -> Result:
    """PUT and GET of small objects, every way in every round, in changing order."""
    out: Result = {}
    body = random.Random(1).randbytes(SIZE)
    for turn in range(rounds):
        for way in WAYS[turn % 3 :] + WAYS[: turn % 3]:
            for verb in ("PUT", "GET"):
                keys = [f"{way}/{number}" for number in range(objects)]
                wall, cpu = time.perf_counter(), time.process_time()
                _RUN[way](S3Http(where), verb, keys, body, jobs)
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                out.setdefault(f"{verb} {way}", []).append(
                    {"rate": objects / wall, "cpu_ms": 1000 * cpu / objects}
                )
    return out


def _obstore_threads(http: S3Http, verb: str, keys: list[str], body: bytes, jobs: int) -> None:
    store = http.obstore()

    def one(key: str) -> None:
        if verb == "PUT":
            obstore.put(store, key, body, use_multipart=False)
        else:
            check(bytes(obstore.get(store, key).bytes()), body)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, keys))


def _obstore_loop(http: S3Http, verb: str, keys: list[str], body: bytes, jobs: int) -> None:
    store = http.obstore()

    async def one(key: str) -> None:
        if verb == "PUT":
            await obstore.put_async(store, key, body, use_multipart=False)
        else:
            check(bytes(await (await obstore.get_async(store, key)).bytes_async()), body)

    asyncio.run(_bounded(one, keys, jobs))


async def _bounded(work: Callable[[str], Coroutine[Any, Any, None]], keys: list[str], jobs: int) -> None:
    source = iter(keys)

    async def worker() -> None:
        for key in source:
            await work(key)

    await asyncio.gather(*(worker() for _ in range(jobs)))


def _signed_threads(http: S3Http, verb: str, keys: list[str], body: bytes, jobs: int) -> None:
    def one(key: str) -> None:
        if verb == "PUT":
            http.call("PUT", key, body=body)
        else:
            check(http.call("GET", key).body, body)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, keys))


_RUN: dict[str, Callable[[S3Http, str, list[str], bytes, int], None]] = dict(
    zip(WAYS, (_obstore_threads, _obstore_loop, _signed_threads), strict=True)
)


def check(got: bytes, want: bytes) -> None:
    """A fast wrong answer is no result."""
    if got != want:
        raise RuntimeError("wrong bytes")


class Delay:
    """A proxy in a process of its own that hands every byte on `seconds / 2` later, each way."""

    def __init__(self, endpoint: str, seconds: float) -> None:
        self._target, self._seconds = urlsplit(endpoint), seconds
        self._process: multiprocessing.Process | None = None

    def __enter__(self) -> str:
        if not self._seconds:
            return self._target.geturl()
        port = multiprocessing.Queue()  # type: ignore[var-annotated]
        self._process = multiprocessing.Process(target=self._serve, args=(port,), daemon=True)
        self._process.start()
        return f"http://127.0.0.1:{port.get(timeout=30)}"

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _serve(self, port: Any) -> None:
        async def serve() -> None:
            server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
            port.put(server.sockets[0].getsockname()[1])
            await server.serve_forever()

        asyncio.run(serve())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._target.hostname, self._target.port)
        await asyncio.gather(self._pipe(reader, there[1]), self._pipe(there[0], writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop, last = asyncio.get_running_loop(), None
        while data := await reader.read(1 << 16):
            last = loop.call_later(self._seconds / 2, writer.write, data)
        if last is not None:
            await asyncio.sleep(self._seconds)
        writer.close()


if __name__ == "__main__":
    main()
