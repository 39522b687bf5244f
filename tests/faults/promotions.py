"""A node with a landed directory whose promotion takes every way of copying, on real SeaweedFS behind the proxy.

Git is in memory here: what fails is the object store. Waits between tries are made short, their number is not.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest import mock

from governance.lab import PUBLISHED, TIER, Memory
from keys import POLICY, Key
from placet.adapters.objects import obs, s3http
from placet.adapters.objects.open import open_store
from placet.adapters.sandbox import Sandbox
from placet.core.digest import sha256_hex
from placet.core.provenance import Provenance
from placet.engine import propose
from placet.engine.promote import Promoter, Promotion
from placet.engine.target import Target
from placet.ports import ObjectStore, StoreTraits
from placet.testing.trouble import Asked, Trouble, TroubleProxy
from placet.wire.data import SystemClock
from property.town import MemoryLab, Quiet, candidate, thing

PATH = "outputs/folder"
_random = random.Random(5)
BIG = _random.randbytes((4 << 20) + 3)
LONG = _random.randbytes((8 << 20) + 5)
SMALL = {"a": b"a,b\n1,2\n", "deep/er": _random.randbytes(2000), "empty": b""}
_numbers = itertools.count()


@dataclass(frozen=True)
class Route:
    """How the two tiers are reached, and what is in the directory so that each way of copying is taken."""

    internal: str = "source"
    other_service: bool = False
    traits: StoreTraits | None = None
    files: dict[str, bytes] = field(default_factory=lambda: {**SMALL, "big": BIG})
    ways: frozenset[str] = frozenset({"stream", "list", "part-copy"})


ROUTES = {
    "one service": Route(),
    "versions": Route(
        internal="versioned",
        traits=StoreTraits(versions=True, verifies_sha256=True, conditional_put=True),
        ways=frozenset({"stream", "list", "version-copy"}),
    ),
    "two services": Route(
        other_service=True, files={**SMALL, "long": LONG}, ways=frozenset({"stream", "list"})
    ),
}


def many_files() -> dict[str, bytes]:
    """More than one listing is cheaper for than a question for each."""
    return {f"part{number % 7}/{number}": f"{number}\n".encode() for number in range(300)}


@contextmanager
def impatient():
    """Tries are made as often as ever, and follow each other at once."""
    retry = {**obs.RETRY, "backoff": {**obs.RETRY["backoff"], "init_backoff": timedelta(milliseconds=1)}}
    retry["backoff"]["max_backoff"] = timedelta(milliseconds=2)
    with (
        mock.patch.object(s3http, "_wait", return_value=None),
        mock.patch.object(obs, "_wait", return_value=None),
        mock.patch.object(s3http, "RETRY", retry),
    ):
        yield


class Site:
    """The Ctrl repository with the landed proposal, the internal tier, and a publication tier for each try."""

    def __init__(
        self, buckets: Any, proxy: TroubleProxy, route: Route, files: dict[str, bytes] | None = None
    ):
        self.buckets, self.proxy, self.route = buckets, proxy, route
        self.files = route.files if files is None else files
        text = POLICY.replace("bytes: 1000000, files: 100", "bytes: 1000000000, files: 1000")
        self.lab = MemoryLab.begin(text)
        self.made = thing(self.files)
        number = next(_numbers)
        self.source_prefix = f"site/{number}/internal"
        self.admin, self.reader = buckets.server.client(), buckets.server.client("reader")
        for key in self.made.objects:
            self.restore(key)
        self.ident = self._landed()
        self.genesis = self.lab.tip(PUBLISHED)
        self.prefix = ""
        self.renew()

    def _landed(self) -> str:
        lab = self.lab
        ident = propose.propose(
            lab.view(), [candidate(PATH, self.files)], Key("site-b"), node="site-b", tier=TIER, message="m",
            checks=[], provenance=Provenance(), now=lab.now,
        ).id  # fmt: skip
        lab.decide(ident, "alice", "bob")
        lab.merge(ident)
        return ident

    def renew(self) -> None:
        """As before the first promotion: an empty publication tier, and nothing published."""
        self.lab.force(PUBLISHED, self.genesis)
        self.prefix = f"site/tier/{next(_numbers)}"
        self._stores: dict[str, ObjectStore] = {}

    # --- what the node does ---------------------------------------------------------------------------

    def promoter(self, jobs: int = 1) -> Promoter:
        target = Target(self.target, "s3://pub/x", "http://127.0.0.1:1")
        return Promoter(
            repo=self.lab.repo, trust_root=self.lab.trust_root, memory=Memory(), clock=self.lab.clock,
            signer=Key("site-b"), node="site-b", source=self.source, targets={TIER: target}, jobs=jobs,
            progress=Quiet(), checks=Sandbox({}),
        )  # fmt: skip

    def promote(self, jobs: int = 1) -> Promotion:
        (done,) = self.promoter(jobs).run([self.ident])
        return done

    @property
    def source(self) -> ObjectStore:
        host = "localhost" if self.route.other_service else "127.0.0.1"
        return self._open(self.route.internal, self.source_prefix, host)

    @property
    def target(self) -> ObjectStore:
        return self._open("versioned", self.prefix, "127.0.0.1")

    def _open(self, bucket: str, prefix: str, host: str) -> ObjectStore:
        if prefix not in self._stores:
            remote = {
                **self.buckets.remote(bucket, "promoter", prefix),
                "endpointurl": self.proxy.endpoint.replace("127.0.0.1", host),
                "read_timeout": "1",
            }
            self._stores[prefix] = open_store(
                remote, environ={}, now=SystemClock().now, traits=self.route.traits or TRAITS
            )
        return self._stores[prefix]

    # --- what others do, behind its back ------------------------------------------------------------

    def restore(self, key: str) -> None:
        """The object of the internal tier as the node pushed it."""
        self.overwrite(key, self.made.objects[key])

    def overwrite(self, key: str, data: bytes) -> None:
        self.admin.put_object(Bucket=self.route.internal, Key=f"{self.source_prefix}/{key}", Body=data)

    def remove(self, key: str) -> None:
        self.admin.delete_object(Bucket=self.route.internal, Key=f"{self.source_prefix}/{key}")

    def write_target(self, key: str, data: bytes) -> None:
        self.admin.put_object(Bucket="versioned", Key=f"{self.prefix}/{key}", Body=data)

    def key_of(self, name: str) -> str:
        data = self.files[name]
        return next(key for key, held in self.made.objects.items() if held is data)

    # --- what is so -----------------------------------------------------------------------------------

    def name(self, asked: Asked) -> str:
        """A request as one of a kind: those of all small files are alike."""
        sides = {"internal": self.source_prefix, "publication": self.prefix}
        key = asked.key.partition("/")[2]
        side = next((one for one, prefix in sides.items() if key.startswith(prefix)), None)
        if side is None:
            return f"{asked.method} bucket {asked.query.partition('=')[0]}"
        what = self._kind(key.removeprefix(f"{sides[side]}/"))
        step = "copy " if "x-amz-copy-source" in asked.headers else ""
        for word in ("uploads", "partNumber", "uploadId"):
            if word in asked.query:
                step += f"{word} "
                break
        ranged = " range" if "range" in asked.headers else ""
        return f"{asked.method} {step}{side} {what}{ranged}"

    def _kind(self, key: str) -> str:
        if key.startswith("placet/sums/") or key.endswith(".dir"):
            return "list" if key.startswith("placet") else ".dir"
        return "file" if len(self.made.objects.get(key, b"")) < 1 << 20 else "long file"

    def readable(self) -> dict[str, bytes]:
        """What a researcher's credential can read of this tier: key -> bytes."""
        found = {}
        pages = self.reader.get_paginator("list_objects_v2").paginate(
            Bucket="versioned", Prefix=f"{self.prefix}/"
        )
        for one in (one for page in pages for one in page.get("Contents", [])):
            body = self.reader.get_object(Bucket="versioned", Key=one["Key"])["Body"].read()
            found[one["Key"].removeprefix(f"{self.prefix}/")] = body
        return found

    def require_honest(self) -> dict[str, bytes]:
        """Whatever is readable was approved, and what the branch names is there, wholly (I1, I3)."""
        found = self.readable()
        for key, data in found.items():
            if not key.startswith("placet/probe/"):
                assert self.made.objects.get(key) == data, f"wrong bytes are readable at {key}"
        if self.entries() != ["genesis"]:
            assert self.made.objects.keys() <= found.keys(), "the branch names what is not there"
        listed = [key for key in found if key.endswith(".dir")]
        if listed:
            assert self.made.objects.keys() <= found.keys(), "a `.dir` is readable before its files"
        return found

    def entries(self) -> list[str]:
        return [one.body.kind for one in self.lab.view().publications[TIER].entries]

    def uploads(self) -> list[str]:
        """Unfinished uploads of this tier."""
        listed = self.admin.list_multipart_uploads(Bucket="versioned", Prefix=f"{self.prefix}/")
        return [one["Key"] for one in listed.get("Uploads", [])]

    def kinds(self) -> list[str]:
        """The kinds of requests of a calm promotion, in the order of their first."""
        self.renew()
        self.proxy.meet()
        assert self.promote().error is None
        self.require_done()
        return list(dict.fromkeys(map(self.name, self.proxy.asked)))

    def require_done(self) -> None:
        """The one final state, whatever happened on the way; no upload is left that nobody ends."""
        found = self.require_honest()
        assert {key: sha256_hex(data) for key, data in found.items()} == {
            key: sha256_hex(data) for key, data in self.made.objects.items()
        }
        assert self.entries() == ["genesis", "publish"]
        assert self.uploads() == []


TRAITS = StoreTraits(
    part_copy_sha256=True,
    versions=True,
    verifies_sha256=True,
    conditional_put=True,
    conditional_complete=True,
)


@dataclass
class At:
    """Requests of these kinds meet a trouble, the first `times` of each; all of them if None."""

    site: Site
    trouble: Trouble
    kinds: frozenset[str]
    times: int | None = 1
    met: Counter[str] = field(default_factory=Counter)

    def meets(self, asked: Asked) -> bool:
        name = self.site.name(asked)
        if name not in self.kinds or (self.times is not None and self.met[name] >= self.times):
            return False
        self.met[name] += 1
        return True
