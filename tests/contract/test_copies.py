"""The three ways of copying on a real server: what an attacker can change between any two requests, and whose keys.

The server is SeaweedFS behind a proxy that counts requests. Traits are taken away to get every way; the sizes
from which a way is taken are lowered, so that an object of a few bytes, or of two parts, goes by it.
"""

import itertools
from dataclasses import dataclass

import pytest
from botocore.exceptions import ClientError

from placet.adapters.objects import s3, s3copy
from placet.adapters.objects.multipart import Upload
from placet.adapters.objects.s3 import S3Store
from placet.core import layout
from placet.core.digest import digest, digest_spans, md5_hex, sha256_hex
from placet.core.predicates import Artifact
from placet.engine import copying
from placet.engine.contents import Contents, Item
from placet.engine.copying import copy_artifact, copy_verified
from placet.errors import Corrupt, PlacetError
from placet.ports import StoreTraits
from placet.testing import twins
from placet.testing.trouble import Call, Rule, TroubleProxy
from placet.wire import data as wire

ALL = StoreTraits(
    part_copy_sha256=True, verifies_sha256=True, conditional_put=True, conditional_complete=True
)
SUMS_ONLY = StoreTraits(part_copy_sha256=True, verifies_sha256=True, conditional_put=True)
NONE = StoreTraits()
COMPLETES = StoreTraits(verifies_sha256=True, conditional_put=True, conditional_complete=True)
SPAN = 5 << 20  # no service takes a shorter part


@dataclass(frozen=True)
class Way:
    name: str
    traits: StoreTraits
    source: str = "source"
    pad: int = 0
    apart: bool = False
    parts: bool = False


WAYS = [
    Way("part-copy", ALL),
    Way("part-copy", SUMS_ONLY),
    Way("part-copy", ALL, pad=SPAN),
    Way("version-copy", NONE, "versioned"),
    Way("version-copy", COMPLETES, "versioned"),
    Way("version-copy", NONE, "versioned", pad=SPAN),
    Way("stream", ALL, apart=True),
    Way("stream", NONE, apart=True),
    Way("stream", ALL, apart=True, parts=True),
    Way("stream", NONE),
]
NAMES = [
    f"{one.name}{'-of-parts' if one.pad or one.parts else ''}-{number}" for number, one in enumerate(WAYS)
]
SHORT = [pytest.param(one, id=name) for one, name in zip(WAYS, NAMES, strict=True) if not one.pad]


@pytest.fixture
def low(monkeypatch):
    """The sizes from which on a way is taken."""
    monkeypatch.setattr(s3, "SERVER_SIDE", 0)
    monkeypatch.setattr(s3copy, "MAX_COPY", SPAN)
    monkeypatch.setattr(s3copy, "SPAN", SPAN)
    monkeypatch.setattr(copying, "_BY_PARTS", 0)
    return monkeypatch


class Scene:
    """A source and a target behind a proxy each, the attacker's hand, and a researcher's eye."""

    def __init__(self, seaweed, way, patch, internal="writer", publication="writer"):
        self.way = way
        self.client = seaweed.server.client()
        self.proxies = [TroubleProxy(seaweed.server.endpoint) for _ in range(2 if way.apart else 1)]
        remotes = seaweed.remote(way.source, internal), seaweed.remote("target", publication)
        for remote, proxy in zip(remotes, (self.proxies[0], self.proxies[-1]), strict=True):
            remote["endpointurl"] = proxy.endpoint
        self.source = wire.open_store(remotes[0])
        made = wire.open_store(remotes[1])
        self.target = S3Store(made._service, made.address.prefix, way.traits)
        if way.parts:
            patch.setattr(s3, "SINGLE", 0)
        self.approved, self.evil = (one + bytes(way.pad) for one in (twins.A, twins.B))
        self.want = digest(self.approved)
        self.key = layout.data_key(self.want.md5)
        assert md5_hex(self.evil) == self.want.md5

    def __enter__(self):
        for proxy in self.proxies:
            proxy.__enter__()
        return self

    def __exit__(self, *_):
        for proxy in self.proxies:
            proxy.__exit__(None, None, None)

    def _place(self, store):
        return {"Bucket": store.address.bucket, "Key": f"{store.address.prefix}/{self.key}"}

    def write(self, store, data):
        self.client.put_object(**self._place(store), Body=data)

    def remove(self, store):
        self.client.delete_object(**self._place(store))

    def seen(self):
        """What a researcher reads."""
        try:
            return self.client.get_object(**self._place(self.target))["Body"].read()
        except ClientError:
            return None

    def copy(self, attack=None):
        """One copy, with `attack(number)` before each request; returns how many there were."""
        self.write(self.source, self.approved)
        self.remove(self.target)
        numbers = itertools.count()

        def before(_asked):
            number = next(numbers)
            if attack is not None:
                attack(number)

        for proxy in self.proxies:
            proxy.meet(Rule(Call(before)))
        error = None
        try:
            way = copy_verified(self.source, self.target, self.key, self.want)
        except PlacetError as caught:
            error = caught
        else:
            assert way in {self.way.name, None}
        return next(numbers), error


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_twins_are_swapped_between_every_two_requests(seaweed, low, way):
    """To the twin for good, or for one request only; in the source: nothing but the approved bytes is ever seen."""
    with Scene(seaweed, way, low) as scene:
        count, error = scene.copy()
        assert error is None
        assert scene.seen() == scene.approved
        assert count > 1
        for position, lasts in itertools.product(range(count), (1,) if way.pad else (1, count)):

            def attack(number, position=position, lasts=lasts):
                if number == position:
                    scene.write(scene.source, scene.evil)
                elif number == position + lasts:
                    scene.write(scene.source, scene.approved)
                assert scene.seen() in {None, scene.approved}

            _, error = scene.copy(attack)
            assert scene.seen() == (None if error else scene.approved), (position, lasts, error)
            assert error is None or isinstance(error, Corrupt)


@pytest.mark.parametrize("way", SHORT)
def test_nothing_that_appears_in_the_target_is_taken_for_approved(seaweed, low, way):
    """Somebody who can write there puts the twin between any two requests: it is never reported as copied."""
    with Scene(seaweed, way, low) as scene:
        count, _ = scene.copy()
        for position in range(count):

            def attack(number, position=position):
                if number == position:
                    scene.write(scene.target, scene.evil)

            _, error = scene.copy(attack)
            assert error is not None or scene.seen() == scene.approved, position
            assert error is None or error.kind == "md5-twin"


@pytest.mark.parametrize("way", SHORT)
def test_an_object_that_vanishes_meanwhile(seaweed, low, way):
    with Scene(seaweed, way, low) as scene:
        count, _ = scene.copy()
        for position in range(count):
            _, error = scene.copy(lambda n, at=position: n == at and scene.remove(scene.source))
            assert scene.seen() == (None if error else scene.approved), (position, error)
            assert error is None or error.kind == "no-object"


@pytest.mark.parametrize("way", [WAYS[0], WAYS[2], WAYS[3]], ids=["part", "parts", "version"])
def test_without_the_comparison_the_twin_gets_through(seaweed, low, way):
    """So the tests above can fail."""
    low.setattr(s3copy, "require_same", lambda *_: None)
    low.setattr(copying, "_require_kept", lambda *_: None)
    with Scene(seaweed, way, low) as scene:
        scene.copy(lambda number: number == 0 and scene.write(scene.source, scene.evil))
        assert scene.seen() == scene.evil


def test_without_the_second_look_a_replaced_object_counts(seaweed, low):
    low.setattr(copying, "_require_kept", lambda *_: None)
    with Scene(seaweed, WAYS[3], low) as scene:
        store = scene.target

        class Replaced:
            def __getattr__(self, name):
                return getattr(store, name)

            def copy_from(self, *args, **options):
                way = store.copy_from(*args, **options)
                scene.write(store, scene.evil)
                return way

        scene.target = Replaced()
        assert scene.copy()[1] is None
        assert scene.seen() == scene.evil
        low.undo()
        with pytest.raises(Corrupt):
            copying._require_kept(store, scene.key, scene.want)


def contents(*datas):
    items = tuple(Item(layout.data_key(md5_hex(one)), "", md5_hex(one), sha256_hex(one)) for one in datas)
    artifact = Artifact(
        path="outputs/x",
        md5=items[0].md5,
        size=sum(map(len, datas)),
        files=len(datas),
        metafile="0" * 64,
        dir=None,
    )
    return Contents(artifact, items[0].sha256, items)


@pytest.mark.parametrize("way", SHORT)
def test_whose_keys_go_where(seaweed, low, way):
    """The internal tier's credential never reaches the publication tier, nor the other way round between services."""
    internal = "promoter"
    publication = "alone" if way.apart else "writer"
    keys = {one: seaweed.server.credentials(one)[0] for one in (internal, publication)}
    with Scene(seaweed, way, low, internal, publication) as scene:
        scene.write(scene.source, scene.approved)
        done = copy_artifact(scene.source, scene.target, contents(scene.approved), 4, wire.Silent())
        assert done.ways == {way.name: 1}
        asked = [one for proxy in scene.proxies for one in proxy.asked]
        there = [one for one in asked if one.key.split("/")[0] == "target"]
        if way.apart:
            assert all(one.key.split("/")[0] == "target" for one in scene.proxies[1].asked)
            assert not any(keys[publication] in str(one.headers) for one in scene.proxies[0].asked)
        assert there
        assert not any(keys[internal] in str(one.headers) for one in there)
        assert all(keys[publication] in one.headers["authorization"] for one in there)


def test_where_versions_may_not_be_read_the_bytes_are_streamed(seaweed, low):
    with Scene(seaweed, WAYS[3], low, "reader") as scene:
        scene.write(scene.source, scene.approved)
        for _ in range(2):
            scene.remove(scene.target)
            assert copy_verified(scene.source, scene.target, scene.key, scene.want) == "stream"
        assert scene.seen() == scene.approved


def started(store, key):
    """An upload with a part, as a promotion leaves it that is killed."""
    http, full = store.place(key)
    upload = Upload(http, full, {})
    upload.part(1, body=b"x", sha256=sha256_hex(b"x"))
    return upload


def unfinished(scene):
    place = {"Bucket": scene.target.address.bucket, "Prefix": f"{scene.target.address.prefix}/"}
    return {one["Key"] for one in scene.client.list_multipart_uploads(**place).get("Uploads", ())}


@pytest.mark.parametrize("way", [WAYS[0], WAYS[6]], ids=["part", "stream"])
def test_the_next_promotion_ends_what_a_killed_one_left(seaweed, low, way):
    """Of its own objects; what others have begun stays."""
    with Scene(seaweed, way, low) as scene:
        scene.write(scene.source, scene.approved)
        for key in (scene.key, scene.key, "files/md5/ot/her"):
            started(scene.target, key)
        copy_artifact(scene.source, scene.target, contents(scene.approved), 4, wire.Silent())
        assert unfinished(scene) == {f"{scene.target.address.prefix}/files/md5/ot/her"}


def test_a_promoter_that_may_not_delete_ends_uploads_all_the_same(seaweed, low):
    source = wire.open_store(seaweed.remote("source", "promoter"))
    target = wire.open_store(seaweed.remote("versioned", "promoter"))
    seaweed.server.client().put_object(
        Bucket="source", Key=f"{source.address.prefix}/{layout.data_key(md5_hex(twins.A))}", Body=twins.A
    )
    started(target, layout.data_key(md5_hex(twins.A)))
    assert target.sweep({layout.data_key(md5_hex(twins.A))}) == 1
    assert target.sweep({layout.data_key(md5_hex(twins.A))}) == 0


@pytest.mark.parametrize("way", [WAYS[0], WAYS[2], WAYS[8]], ids=["part", "parts", "stream"])
def test_another_promotion_ends_first_and_sweeps(seaweed, low, way):
    """Between any two requests: the slower one finds that the object is there, and no upload stays."""
    with Scene(seaweed, way, low) as scene:
        count, _ = scene.copy()
        other = S3Store(scene.target._service, scene.target.address.prefix, way.traits)
        for position in range(count):
            ended = []

            def attack(number, position=position, ended=ended):
                if number == position:
                    scene.write(other, scene.approved)
                    ended.append(other.sweep({scene.key}))

            for proxy in scene.proxies[1:]:
                proxy.meet()
            _, error = scene.copy(attack)
            assert error is None, position
            assert scene.seen() == scene.approved
            assert unfinished(scene) == set()


@pytest.mark.parametrize(("size", "spans"), [(0, 1), (9, 1), (10, 1), (11, 2), (30, 3), (31, 4)])
def test_one_read_gives_the_whole_and_the_parts(size, spans):
    data = bytes(range(size))
    for step in (1, 7, 10, 100):
        chunks = [data[at : at + step] for at in range(0, size, step)]
        whole, found, parts = digest_spans(iter(chunks), 10, size)
        assert (whole, found) == (sha256_hex(data), size)
        assert parts == [sha256_hex(data[at : at + 10]) for at in range(0, size, 10)] or size == 0
        assert len(parts) == spans
