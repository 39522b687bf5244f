"""A promotion and an object store at its worst: it ends well, or says what is wrong and the next run ends well.

The kinds of requests are those that a calm promotion was seen to make, so a new one is tried by itself.
"""

from __future__ import annotations

import re

import pytest
from promotions import ROUTES, TRAITS, At, Route, Site, impatient, many_files

from placet.adapters.objects.open import open_store
from placet.core.states import State
from placet.testing.trouble import (
    Answer,
    Asked,
    Call,
    CorruptAnswer,
    CorruptBody,
    Edit,
    Hang,
    LoseAnswer,
    Reset,
    Rule,
    Slow,
    Truncate,
)
from placet.wire.data import SystemClock

BODY = ("GET internal",)
SENT = ("PUT publication", "PUT partNumber publication")
PASSING = {
    "reset": (Reset(), ("",)),
    "lost answer": (LoseAnswer(), ("",)),
    "SlowDown": (Answer(503, "SlowDown"), ("",)),
    "InternalError": (Answer(500, "InternalError"), ("",)),
    "too many": (Answer(429), ("",)),
    "error in a 200": (Answer(200, "InternalError"), ("PUT copy", "POST")),
    "cut off": (Truncate(5), BODY),
    "empty": (Truncate(0), ("GET", "PUT copy", "POST")),
    "slow bytes": (Slow(1 << 16, lambda: None), ("",)),
    "other bytes arrive here": (CorruptAnswer(-1), BODY),
    "other bytes arrive there": (CorruptBody(-1), SENT),
    "not yet seen": (Answer(404), ("HEAD publication",)),
}
STAYING = {
    "full": (Answer(507, "InsufficientStorage"), ("PUT", "POST"), {"store-full"}),
    "over quota": (Answer(403, "QuotaExceeded"), ("PUT publication file",), {"store-full"}),
    "read-only": (Answer(403, "AccessDenied"), ("PUT", "POST"), {"store-denied"}),
    "denied": (Answer(403, "AccessDenied"), ("GET", "HEAD"), {"store-denied"}),
    "no answer": (Reset(), ("",), {"store-unreachable"}),
    "no answer to what was done": (LoseAnswer(), ("PUT", "POST"), {"store-unreachable"}),
    "overloaded": (
        Answer(503, "SlowDown"),
        ("HEAD", "PUT publication .dir", "POST uploadId"),
        {"store-answer"},
    ),
    "no bucket": (Answer(404, "NoSuchBucket"), ("PUT publication file", "POST"), {"no-bucket"}),
    "lost object": (Answer(404, "NoSuchKey"), ("GET internal", "HEAD internal"), {"no-object"}),
    "other bytes come": (CorruptAnswer(-1), ("GET internal",), {"digest-mismatch"}),
    "other bytes arrive": (CorruptBody(-1), SENT, {"digest-mismatch"}),
}


@pytest.fixture(scope="module", autouse=True)
def quick():
    with impatient():
        yield


@pytest.fixture(scope="module")
def sites(seaweed, proxy):
    made: dict[str, tuple[Site, list[str]]] = {}

    def at(name: str) -> tuple[Site, list[str]]:
        if name not in made:
            site = Site(seaweed, proxy, ROUTES[name])
            made[name] = site, site.kinds()
        site, kinds = made[name]
        site.renew()
        proxy.meet()
        return site, kinds

    yield at
    proxy.meet()


def own(sites, route: str) -> tuple[Site, list[str]]:
    """A site, and the kinds of requests that the routes before it do not have."""
    site, kinds = sites(route)
    known = {one for name in list(ROUTES)[: list(ROUTES).index(route)] for one in sites(name)[1]}
    sites(route)
    return site, [one for one in kinds if one not in known]


def fitting(kinds: list[str], begins: tuple[str, ...]) -> list[str]:
    return [one for one in kinds if one.startswith(begins)]


@pytest.mark.parametrize("route", ROUTES)
def test_every_way_is_taken_and_the_store_can_do_what_was_said(sites, seaweed, route):
    site, _ = sites(route)
    done = site.promote()
    assert set(done.artifacts[0].ways) == ROUTES[route].ways
    site.require_done()
    if route == "one service":
        remote = seaweed.remote("versioned", "promoter", site.prefix)
        assert open_store(remote, environ={}, now=SystemClock().now).traits() == TRAITS


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("trouble", PASSING)
def test_a_promotion_outlives_trouble_that_passes(sites, proxy, route, trouble):
    """Each kind of request meets it once, in one run."""
    site, kinds = sites(route)
    what, begins = PASSING[trouble]
    rule = At(site, what, frozenset(fitting(kinds, begins)))
    proxy.meet(rule)
    done = site.promote()
    assert done.error is None, (done.error, rule.met)
    assert rule.met.keys() == rule.kinds
    proxy.meet()
    site.require_done()


def test_a_service_that_does_not_answer_in_time_is_asked_again(sites, proxy):
    site, _ = sites("one service")
    proxy.meet(
        At(site, Hang(), frozenset({"GET internal file", "PUT copy partNumber publication long file"}))
    )
    assert site.promote().error is None
    site.require_done()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("trouble", STAYING)
def test_trouble_that_stays_is_said_and_the_next_run_ends_as_if_nothing_had_been(
    sites, proxy, route, trouble
):
    """At each kind of request, with an empty tier before each."""
    what, begins, expected = STAYING[trouble]
    site, kinds = own(sites, route)
    found = set()
    for kind in fitting(kinds, begins):
        site.renew()
        rule = At(site, what, frozenset({kind}), times=None)
        proxy.meet(rule)
        done = site.promote()
        assert rule.met, kind
        proxy.meet()
        if done.error is None:
            site.require_done()
            continue
        error = done.error
        assert error.kind in expected, (kind, error)
        assert error.what.endswith(".") and error.mend, (kind, error)
        assert (done.state, done.commit) == (State.LANDED, None)
        found.add(error.kind)
        assert site.entries() == ["genesis"]
        site.require_honest()
        again = site.promote()
        assert again.error is None, (kind, again.error)
        site.require_done()
    assert found == expected or route != "one service", "it was never seen"


def touching(kinds: list[str]) -> list[str]:
    """Those for an object of the internal tier, and those that make a long one visible."""
    return [one for one in kinds if " internal " in one or " copy " in one or one.startswith("POST uploadId")]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("change", ["changes", "vanishes", "grows"])
def test_an_object_that_is_another_between_check_and_copy(sites, proxy, route, change):
    """Just before each kind of request for it, somebody else's credential does that to it."""
    site, kinds = own(sites, route)
    found = set()
    for kind in touching(kinds):
        site.renew()
        hit: list[str] = []

        def work(asked: Asked, hit: list[str] = hit) -> None:
            key = re.search(r"(files/md5|placet/sums)/.*", asked.key)
            assert key is not None
            data = site.made.objects[key[0]]
            hit.append(key[0])
            if change == "vanishes":
                site.remove(key[0])
            else:
                site.overwrite(key[0], bytes(len(data)) if change == "changes" else data + b"!")

        proxy.meet(At(site, Call(work), frozenset({kind})))
        done = site.promote()
        proxy.meet()
        site.require_honest()
        for key in hit:
            site.restore(key)
        assert hit, kind
        if done.error is not None:
            assert done.error.kind in {"digest-mismatch", "no-object"}, (kind, done.error)
            assert done.error.mend, (kind, done.error)
            assert site.entries() == ["genesis"]
            found.add(done.error.kind)
            assert site.promote().error is None
        site.require_done()
    assert found or route == "versions", "it was never seen"


@pytest.mark.parametrize("route", ROUTES)
def test_other_bytes_that_come_to_the_publication_tier_first_are_never_published(sites, proxy, route):
    """Written by somebody else just before each kind of request for that object; they are no bytes of ours."""
    site, kinds = own(sites, route)
    for kind in [one for one in kinds if " publication " in one]:
        site.renew()
        hit: list[str] = []

        def work(asked: Asked, hit: list[str] = hit) -> None:
            key = asked.key.partition(f"{site.prefix}/")[2]
            hit.append(key)
            site.write_target(key, b"!" * len(site.made.objects[key]))

        proxy.meet(At(site, Call(work), frozenset({kind})))
        done = site.promote()
        proxy.meet()
        assert hit, kind
        if done.error is None:
            site.require_done()
            continue
        assert (done.error.kind, site.entries()) == ("md5-twin", ["genesis"]), (kind, done.error)
        for key in hit:
            site.write_target(key, site.made.objects[key])
        assert site.promote().error is None
        site.require_done()


@pytest.mark.parametrize("side", ["internal", "publication"])
@pytest.mark.parametrize("stale", ["lacks what is there", "names what is gone"])
def test_a_listing_of_another_moment(many, proxy, side, stale):
    """All 300 objects are in the publication tier already; or the first of them has gone from it."""
    prefix = many.prefix if side == "publication" else many.source_prefix
    victim = many.key_of("part0/0")
    many.lab.force("refs/heads/published", many.genesis)
    proxy.meet()
    gone = stale == "names what is gone"
    if gone and side == "publication":
        many.admin.delete_object(Bucket="versioned", Key=f"{prefix}/{victim}")
    if gone and side == "internal":
        many.remove(victim)
        many.admin.delete_object(Bucket="versioned", Key=f"{many.prefix}/{victim}")
    full, edited = many_listing(many, prefix), []

    def edit(body: bytes) -> bytes:
        row = re.compile(rb"<Contents><Key>[^<]*" + re.escape(victim.encode()) + rb"</Key>.*?</Contents>")
        if gone and not row.search(body) and b"<Contents>" in body:
            edited.append(body)
            return body.replace(b"<Contents>", full + b"<Contents>", 1)
        if not gone and row.search(body):
            edited.append(body)
            return row.sub(b"", body)
        return body

    proxy.meet(Rule(Edit(edit), method="GET", key=f"^{'versioned' if side == 'publication' else 'source'}/?$",
                    query=re.escape(prefix.replace("/", "%2F"))))  # fmt: skip
    done = many.promote(jobs=4)
    proxy.meet()
    assert edited
    if done.error is not None:
        assert (gone, side, done.error.kind) == (True, "internal", "no-object"), done.error
        assert done.error.mend
        many.restore(victim)
        assert many.promote(jobs=4).error is None
    many.require_done()


@pytest.fixture(scope="module")
def many(seaweed, proxy):
    proxy.meet()
    made = Site(seaweed, proxy, Route(), many_files())
    assert made.promote(jobs=8).error is None
    return made


def many_listing(site: Site, prefix: str) -> bytes:
    """The row of a listing for the object that is gone."""
    key = f"{prefix}/{site.key_of('part0/0')}".encode()
    return (
        b"<Contents><Key>" + key + b"</Key><LastModified>2026-11-24T10:00:00.000Z</LastModified>"
        b'<ETag>"d41d8cd98f00b204e9800998ecf8427e"</ETag><Size>2</Size><StorageClass>STANDARD</StorageClass></Contents>'
    )
