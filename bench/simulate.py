"""`python -m bench.simulate`: what a promotion and a long history cost, counted on the in-memory adapters.

Every call of a port is counted by a wrapper; no network, no disk, no `git`. Calls and bytes are exact and the
same on every machine; seconds and memory are this machine's. `section` makes the tables of the docs.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from keys import Key  # noqa: E402
from longhistory import BLOCK, NODE, TIER, History, content  # noqa: E402 - the tests' maker of histories
from placet.adapters.gitmemory import MemoryRepo, MemoryServer  # noqa: E402
from placet.adapters.objects.memory import MemoryStore  # noqa: E402
from placet.core import layout  # noqa: E402
from placet.core.digest import digest, md5_hex, sha256_hex  # noqa: E402
from placet.core.dirobject import encode_dir  # noqa: E402
from placet.core.dvcfile import Output, encode_metafile  # noqa: E402
from placet.core.predicates import DirObject  # noqa: E402
from placet.core.sums import encode_sums  # noqa: E402
from placet.engine.ctrl import Watch  # noqa: E402
from placet.engine.promote import Promoter  # noqa: E402
from placet.engine.propose import Candidate  # noqa: E402
from placet.engine.shards import BATCH, Shard, Sharding  # noqa: E402
from placet.engine.target import Target  # noqa: E402
from placet.ports import Remembered, StoreTraits  # noqa: E402

RESULT = ROOT / "bench" / "results" / "simulate.json"
OBJECTS = (100, 1000, 3000, 10_000)
PROPOSALS = (100, 200, 400, 800)
LISTED = 1000
SIZE = 100
WAYS = {
    "stream": StoreTraits(conditional_put=True),
    "version-copy": StoreTraits(versions=True, conditional_put=True),
    "part-copy": StoreTraits(part_copy_sha256=True, verifies_sha256=True, conditional_put=True),
}


class CountedRepo:
    """A repository whose calls are counted by name, with the bytes that are read."""

    def __init__(self, inner: MemoryRepo, calls: Counter[str]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            done = call(*args, **kwargs)
            self._calls[f"git {name}"] += 1
            if name == "read":
                self._calls["git bytes"] += len(done)
            if name == "line":
                self._calls["git commits"] += len(done)
            return done

        return counted


class CountedStore(MemoryStore):
    """A store whose calls are counted by name, with the bytes that cross the wire; one thread at a time."""

    def __init__(self, name: str, traits: StoreTraits, calls: Counter[str]) -> None:
        super().__init__(name, traits=traits)
        self.name, self.calls = name, calls
        self.inside = False

    def head(self, key: str) -> Any:
        """Counted."""
        self._count("head")
        return super().head(key)

    def list(self, prefix: str) -> Iterator[Any]:
        """Counted, with what it lists."""
        found = list(super().list(prefix))
        self._count("list")
        self.calls[f"{self.name} listed"] += len(found)
        return iter(found)

    def get(self, key: str, **options: Any) -> Iterator[bytes]:
        """Counted, with its bytes."""
        if self.inside:
            return super().get(key, **options)
        self._count("get")
        chunks = list(super().get(key, **options))
        self.calls[f"{self.name} bytes out"] += sum(map(len, chunks))
        return iter(chunks)

    def put(self, key: str, chunks: Iterable[bytes], want: Any, **options: Any) -> bool:
        """Counted, with its bytes."""
        self._count("put")
        self.calls[f"{self.name} bytes in"] += want.size
        return super().put(key, chunks, want, **options)

    def copy_from(self, source: Any, key: str, want: Any, **options: Any) -> Any:
        """Counted; no bytes leave the service."""
        source.inside = True  # the service reads it itself
        try:
            way = super().copy_from(source, key, want, **options)
        finally:
            source.inside = False
        if way is not None:
            self._count("copy")
        return way

    def _count(self, what: str) -> None:
        self.calls[f"{self.name} {what}"] += 1


class Memory:
    """Trust memory that is a dictionary."""

    def __init__(self) -> None:
        self._known = Remembered()

    def recall(self, repository: str) -> Remembered:
        """What was remembered."""
        return self._known

    def update(self, repository: str, change: Callable[[Remembered], Remembered]) -> None:
        """Remember."""
        self._known = change(self._known)


class Quiet:
    """No progress is shown."""

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Quiet:
        """Nothing."""
        return self

    def advance(self, objects: int = 0, size: int = 0) -> None:
        """Nothing."""

    def done(self) -> None:
        """Nothing."""


@dataclass
class World:
    """One node, its two tiers and its Ctrl repository, all counted."""

    traits: StoreTraits = WAYS["stream"]
    calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.source = CountedStore("source", self.traits, self.calls)
        self.target = CountedStore("target", self.traits, self.calls)
        self.repo = MemoryRepo(MemoryServer())
        self.history = History.begin(self.repo)

    def now(self) -> datetime:
        """The time of the last proposal."""
        return self.history.now

    def promoter(self) -> Promoter:
        """As a new process of the node's agent has it: nothing is known yet."""
        return Promoter(
            repo=CountedRepo(self.repo, self.calls),  # type: ignore[arg-type]
            trust_root=self.history.trust_root,
            memory=Memory(),
            clock=self,
            signer=Key(NODE),
            node=NODE,
            source=self.source,
            targets={TIER: Target(self.target, "s3://pub/x", "http://127.0.0.1:1")},
            jobs=1,
            progress=Quiet(),
            checks=None,  # type: ignore[arg-type] - the policy asks for none
        )

    def folder(self, count: int) -> str:
        """One more landed proposal, of a folder of so many files."""
        datas = {f"part-{number:07}": (b"%d " % number).ljust(SIZE, b".") for number in range(count)}
        for data in datas.values():
            self.source.put(layout.data_key(md5_hex(data)), [data], digest(data))
        listing = encode_dir((name, md5_hex(data)) for name, data in datas.items())
        sums = encode_sums((name, sha256_hex(data)) for name, data in datas.items())
        self.source.put(layout.data_key(md5_hex(listing), is_dir=True), [listing], digest(listing))
        self.source.put(layout.sums_key(sha256_hex(sums)), [sums], digest(sums))
        out = Output(path="folder", md5=md5_hex(listing), size=count * SIZE, nfiles=count, is_dir=True)
        of = DirObject(sha256=sha256_hex(listing), size=len(listing))
        return self.history.land_one(
            Candidate(
                "outputs/folder", out.md5, sha256_hex(sums), count * SIZE, count, encode_metafile(out), of
            )
        )

    def publish(self, count: int) -> None:
        """So many more published proposals, by one agent that goes on from look to look."""
        agent = self.promoter()
        for first in range(self.history.count, self.history.count + count, BLOCK):
            for number in range(first, first + BLOCK):
                data = content(number)
                self.source.put(layout.data_key(md5_hex(data)), [data], digest(data))
            self.history.land(BLOCK)
            for one in agent.run():
                if one.error is not None:
                    raise one.error

    def spent(self, work: Callable[[], object]) -> dict[str, int]:
        """The calls that this makes."""
        self.calls.clear()
        work()
        return dict(sorted(self.calls.items()))


def promotions(way: str, sizes: Iterable[int]) -> list[dict[str, Any]]:
    """One promotion of a folder of each size, then the same of one whose objects are there already."""
    out = []
    for count in sizes:
        world = World(WAYS[way])
        ident = world.folder(count)
        gc.collect()
        tracemalloc.start()
        first = world.spent(lambda: _published(world.promoter(), ident))  # noqa: B023
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        again = world.spent(lambda: _published(world.promoter(), ident))  # noqa: B023
        out.append({"objects": count, "calls": first, "again": again, "peak_bytes": peak})
    return out


def found_promotion(count: int) -> dict[str, int]:
    """A promotion of a folder whose objects are all there, as shards leave it, and one shard of it."""
    world = World(WAYS["part-copy"])
    ident = world.folder(count)
    shards = -(-count // BATCH)
    part = world.spent(lambda: Sharding(world.promoter()).run([ident], Shard(1, shards)))
    for number in range(1, shards + 1):
        Sharding(world.promoter()).run([ident], Shard(number, shards))
    return {
        "shards": shards,
        "shard": part,
        "record": world.spent(lambda: _published(world.promoter(), ident)),
    }  # type: ignore[dict-item]


def histories(sizes: Iterable[int]) -> list[dict[str, Any]]:
    """What it costs to read a history of so many published proposals: from its beginning, and again."""
    world, out = World(), []
    for count in sizes:
        world.publish(count - world.history.count)
        world.repo.fetch()
        repo, now, root = CountedRepo(world.repo, world.calls), world.now(), world.history.trust_root

        def cold(watch: Watch) -> object:
            return watch.load(repo, root, now, Memory())  # type: ignore[arg-type]  # noqa: B023

        gc.collect()
        begin = time.process_time()
        calls = world.spent(lambda: cold(Watch()))
        cold_s = time.process_time() - begin
        tracemalloc.start()
        kept = Watch()
        cold(kept)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        begin = time.process_time()
        again = world.spent(lambda: cold(kept))  # noqa: B023
        out.append(
            {
                "proposals": count,
                "calls": calls,
                "seconds": round(cold_s, 3),
                "held_bytes": held,
                "again": again,
                "again_seconds": round(time.process_time() - begin, 4),
            }
        )
    return out


def _published(promoter: Promoter, ident: str) -> None:
    (done,) = promoter.run([ident])
    if done.error is not None:
        raise done.error


def fit(points: Iterable[tuple[int, float]]) -> dict[str, float]:
    """The straight line through these points, and the largest distance of one from it, relative."""
    found = list(points)
    line = statistics.linear_regression([x for x, _ in found], [y for _, y in found])
    off = max(abs(line.intercept + line.slope * x - y) / max(abs(y), 1) for x, y in found)
    return {"each": line.slope, "fixed": line.intercept, "off": round(off, 4)}


def model(promoted: dict[str, Any], read: list[dict[str, Any]]) -> dict[str, Any]:
    """What one object, and one proposal of the history, adds, where listings are used."""
    out: dict[str, Any] = {"promotion": {}, "history": {}}
    for way, rows in promoted.items():
        large = [row for row in rows if row["objects"] >= LISTED]
        names = sorted({name for row in large for name in row["calls"]})
        out["promotion"][way] = {
            name: fit((row["objects"], row["calls"].get(name, 0)) for row in large) for name in names
        }
        out["promotion"][way]["peak bytes"] = fit((row["objects"], row["peak_bytes"]) for row in large)
    for name in sorted(read[-1]["calls"]):
        out["history"][name] = fit((row["proposals"], row["calls"][name]) for row in read)
    for name in ("seconds", "held_bytes", "again_seconds"):
        out["history"][name] = fit((row["proposals"], row[name]) for row in read)
    return out


def measure(objects: Iterable[int], proposals: Iterable[int]) -> dict[str, Any]:
    """Everything that the docs show."""
    sizes = list(objects)
    promoted = {way: promotions(way, sizes) for way in WAYS}
    read = histories(proposals)
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "promotion": promoted,
        "sharded": found_promotion(max(sizes)),
        "history": read,
        "model": model(promoted, read),
    }


def section(found: dict[str, Any]) -> str:
    """The tables of docs/explanation/scale.md."""
    return "\n".join([*_promotion_table(found), "", *_shard_table(found), "", *_history_table(found), ""])


def _promotion_table(found: dict[str, Any]) -> Iterator[str]:
    ways = list(found["promotion"])
    names = sorted(
        {name for way in ways for name in found["model"]["promotion"][way] if name != "peak bytes"}
    )
    largest = {way: found["promotion"][way][-1] for way in ways}
    count = largest[ways[0]]["objects"]
    yield f"Calls of one promotion of {count:,} objects of {SIZE} bytes, and what each further object adds:"
    yield ""
    yield f"| | {' | '.join(f'{way} | each' for way in ways)} |"
    yield f"|---|{'---|---|' * len(ways)}"
    for name in names:
        cells = []
        for way in ways:
            cells += [
                f"{largest[way]['calls'].get(name, 0):,}",
                _each(found["model"]["promotion"][way].get(name)),
            ]
        yield f"| {name} | {' | '.join(cells)} |"
    cells = []
    for way in ways:
        peak = found["model"]["promotion"][way]["peak bytes"]
        cells += [f"{largest[way]['peak_bytes']:,}", _each(peak)]
    yield f"| memory, peak bytes | {' | '.join(cells)} |"


def _shard_table(found: dict[str, Any]) -> Iterator[str]:
    sharded = found["sharded"]
    count = found["promotion"]["part-copy"][-1]["objects"]
    shards = sharded["shards"]
    yield f"A shard of {shards} of the same {count:,} objects, and the run that then proves and records:"
    yield ""
    yield "| | a shard | the run that records |"
    yield "|---|---|---|"
    for name in sorted({*sharded["shard"], *sharded["record"]}):
        yield f"| {name} | {sharded['shard'].get(name, 0):,} | {sharded['record'].get(name, 0):,} |"


def _history_table(found: dict[str, Any]) -> Iterator[str]:
    rows = found["history"]
    yield "Reading a history of published proposals from its beginning, and what 1,000 more add:"
    yield ""
    yield f"| | {' | '.join(format(row['proposals'], ',') for row in rows)} | 1,000 more |"
    yield f"|---|{'---|' * len(rows)}---|"
    for name in sorted(rows[-1]["calls"]):
        cells = [f"{row['calls'][name]:,}" for row in rows]
        yield f"| {name} | {' | '.join(cells)} | {found['model']['history'][name]['each'] * 1000:,.0f} |"
    for name, label in (("seconds", "processor, s"), ("held_bytes", "memory held, bytes")):
        cells = [f"{row[name]:,}" for row in rows]
        yield f"| {label} | {' | '.join(cells)} | {found['model']['history'][name]['each'] * 1000:,.1f} |"
    again = " | ".join(f"{sum(row['again'].values()):,}" for row in rows)
    yield f"| calls of the next look, nothing new | {again} | 0 |"


def _each(line: dict[str, float] | None) -> str:
    return f"{line['each']:,.4g}" if line else "0"


def main() -> None:
    """Measure, write the result, and the tables of the docs."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes; nothing is written")
    options = parser.parse_args()
    found = measure((300, 1000, 3000), (20, 60)) if options.small else measure(OBJECTS, PROPOSALS)
    print(section(found))
    if not options.small:
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written: {RESULT}; `make docs` puts it into docs/explanation/scale.md")


if __name__ == "__main__":
    main()
