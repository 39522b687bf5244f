"""Shards of a promotion: in any order, again, at once, not at all, or killed; the run without one proves all."""

import threading
from dataclasses import replace

import pytest

from governance.lab import TIER, MemoryLab
from governance.test_promote import keys, land, land_folder, make
from placet.core import layout
from placet.core.digest import digest, md5_hex
from placet.engine import copying
from placet.engine.promote import Promotion
from placet.engine.shards import BATCH, Shard, Sharding, parse_shard, shards_of
from placet.errors import Corrupt, Invalid, NotFound, PlacetError, Refused

FILES = {f"part-{number:02}": b"%d" % number * 50 for number in range(40)}
DATA = {layout.data_key(md5_hex(data)) for data in FILES.values()}


class NoKey:
    """The signer of a machine that has no key."""

    @property
    def public(self):
        raise AssertionError("a shard asked for the signing key")

    sign = public


@pytest.fixture
def lab(tmp_path):
    return MemoryLab.make(tmp_path)


@pytest.fixture
def promoter(lab):
    return make(lab)


def shard(promoter, number, of, ids=()):
    """On a machine of its own, without a key."""
    return Sharding(replace(promoter, signer=NoKey())).run(ids, Shard(number, of))


def target(promoter):
    return promoter.targets[TIER].store


def recorded(promoter, ident, *, copied):
    """The run without a shard: it proves all, copies what is missing and the two lists, and records."""
    (done,) = promoter.run([ident])
    assert (done.error, str(done.state)) == (None, "PUBLISHED")
    (artifact,) = done.artifacts
    assert (artifact.objects, artifact.copied, artifact.found) == (len(FILES) + 2, copied, 42 - copied)
    assert keys(target(promoter)) == keys(promoter.source)
    for key in keys(promoter.source):
        assert b"".join(target(promoter).get(key)) == b"".join(promoter.source.get(key))


@pytest.mark.parametrize(
    "order", [(1, 2, 3, 4), (4, 2, 3, 1), (3, 3, 1, 4, 2, 1)], ids=["in order", "in none", "twice"]
)
def test_shards_in_any_order_and_again(lab, promoter, order):
    ident = land_folder(lab, promoter, FILES)
    tip, seen = lab.tip("refs/heads/published"), set()
    for number in order:
        before = keys(target(promoter))
        (part,) = shard(promoter, number, 4, [ident])
        mine = {key for key in DATA if Shard(number, 4).holds(key)}
        assert (part.error, part.commit, str(part.state)) == (None, None, "LANDED")
        assert keys(target(promoter)) == before | mine
        assert (part.artifacts[0].copied, part.artifacts[0].found) == (
            (0, len(mine)) if number in seen else (len(mine), 0)
        )
        seen.add(number)
    assert keys(target(promoter)) == DATA
    assert lab.tip("refs/heads/published") == tip
    recorded(promoter, ident, copied=2)


def test_what_a_missing_shard_left_out_is_copied_in_the_end(lab, promoter):
    ident = land_folder(lab, promoter, FILES)
    shard(promoter, 1, 3, [ident])
    shard(promoter, 3, 3)
    left = {key for key in DATA if Shard(2, 3).holds(key)}
    assert DATA - keys(target(promoter)) == left != set()
    recorded(promoter, ident, copied=len(left) + 2)
    (again,) = shard(promoter, 2, 3, [ident])
    assert (str(again.state), again.artifacts) == ("PUBLISHED", ())


def test_shards_at_once_beside_the_run_that_records(lab, promoter):
    ident = land_folder(lab, promoter, FILES)
    results = []
    work = [
        *(
            threading.Thread(target=lambda n=n: results.extend(shard(promoter, n, 4)))
            for n in (1, 2, 3, 4, 2)
        ),
        threading.Thread(target=lambda: results.extend(promoter.run())),
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert [one.error for one in results] == [None] * len(results)
    assert keys(target(promoter)) == keys(promoter.source)
    assert lab.state(ident) == "PUBLISHED"


class Dying:
    """A target whose machine dies at its n-th write: nothing of that one is there."""

    def __init__(self, inner, left):
        self._inner, self._left = inner, left

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def put(self, key, *args, **kwargs):
        self._left -= 1
        if self._left < 0:
            raise SystemExit(key)
        return self._inner.put(key, *args, **kwargs)


@pytest.mark.parametrize("after", [0, 3, 9])
def test_a_shard_that_dies_in_the_middle(lab, promoter, after):
    ident = land_folder(lab, promoter, FILES)
    goal = promoter.targets[TIER]
    dying = replace(promoter, targets={TIER: replace(goal, store=Dying(goal.store, after))}, jobs=1)
    with pytest.raises(SystemExit):
        shard(dying, 1, 2, [ident])
    assert len(keys(goal.store)) == after
    assert keys(goal.store) <= {key for key in DATA if Shard(1, 2).holds(key)}
    (part,) = shard(promoter, 1, 2, [ident])
    assert (part.error, part.artifacts[0].found) == (None, after)
    recorded(promoter, ident, copied=sum(Shard(2, 2).holds(key) for key in DATA) + 2)


def refused(lab, promoter, kind, ident=""):
    """Every shard says no, and not one object is copied."""
    goal = promoter.targets.get(TIER) or make(lab).targets[TIER]
    ids = [ident] if ident else []
    for number in (1, 2):
        (part,) = shard(promoter, number, 2, ids)
        assert isinstance(part.error, PlacetError)
        assert part.error.kind == kind
    assert keys(goal.store) == set()


def test_nothing_is_copied_before_it_is_approved(lab, promoter):
    land_folder(lab, promoter, FILES)
    ident = lab.propose("outputs/early", b"early")
    refused(lab, promoter, "not-landed", ident)
    lab.decide(ident, "alice")
    refused(lab, promoter, "not-landed", ident)
    tree = lab.repo.tree(lab.branch(ident))
    lab.force("refs/heads/main", lab.commit(lab.tip(), dict(tree)))
    refused(lab, promoter, "not-approved", ident)


def test_a_shard_refuses_what_a_promotion_refuses(lab, promoter):
    ident = land_folder(lab, promoter, FILES)
    other = replace(promoter.targets[TIER], url="s3://elsewhere/x")
    refused(lab, replace(promoter, targets={TIER: other}), "tier-mismatch", ident)
    refused(lab, replace(promoter, targets={}), "no-remote", ident)
    refused(lab, replace(promoter, node="site-a"), "not-own-proposal", ident)
    lab.later(days=40)
    refused(lab, promoter, "not-approved", ident)


def test_a_shard_of_an_artifact_that_is_not_whole_or_larger_than_said_copies_nothing(
    lab, promoter, monkeypatch
):
    ident = land_folder(lab, promoter, FILES)
    key = min(DATA)
    data = b"".join(promoter.source.get(key))
    promoter.source.delete(key)
    refused(lab, promoter, "no-object", ident)
    promoter.source.put(key, [data + b"more"], digest(data + b"more"))
    refused(lab, promoter, "digest-mismatch", ident)
    promoter.source.put(key, [data], digest(data), overwrite=True)
    evil = min(key for key in DATA if Shard(1, 2).holds(key))
    promoter.source.put(evil, [b"x" * 50], digest(b"x" * 50), overwrite=True)
    monkeypatch.setattr(copying, "_require_size", lambda *_: None)
    (part,) = shard(promoter, 1, 2, [ident])
    assert isinstance(part.error, Corrupt)
    assert target(promoter).head(evil) is None


def test_one_that_is_refused_does_not_keep_the_others(lab, promoter):
    good, early = land(lab, promoter, b"good"), lab.propose("outputs/early", b"early")
    parts = shard(promoter, 1, 1, [early, good])
    assert [type(one.error) for one in parts] == [Refused, type(None)]
    assert keys(target(promoter)) == {layout.data_key(md5_hex(b"good"))}
    with pytest.raises(NotFound):
        shard(promoter, 1, 1, ["0" * 32])


def test_what_it_consists_of_is_read_once_and_decided_each_time(lab, promoter):
    ident = land_folder(lab, promoter, FILES)
    reads = []

    class Counting:
        def __getattr__(self, name):
            return getattr(promoter.source, name)

        def get(self, key, **options):
            reads.append(key)
            return promoter.source.get(key, **options)

    machine = Sharding(replace(promoter, source=Counting(), signer=NoKey()))
    assert machine.plan([ident[:9]]) == machine.plan([]) == [(ident, 1)]
    for number in range(1, 9):
        assert machine.run([ident], Shard(number, 8))[0].error is None
    assert sum(key.endswith(".dir") for key in reads) == 1
    lab.later(days=40)
    (late,) = machine.run([ident], Shard(1, 8))
    assert isinstance(late.error, Refused)
    assert isinstance(late, Promotion)


def test_every_key_is_in_exactly_one_shard():
    names = [layout.data_key(md5_hex(b"%d" % number)) for number in range(3000)]
    for of in (1, 2, 7, 64):
        held = [[key for key in names if Shard(number, of).holds(key)] for number in range(1, of + 1)]
        assert sorted(key for part in held for key in part) == sorted(names)
        assert max(map(len, held)) < 2 * len(names) / of + 40
    assert [shards_of(one) for one in (0, 1, BATCH, BATCH + 1, 10_000_000)] == [1, 1, 1, 2, 20_000]


def test_shards_are_counted_from_one():
    assert parse_shard("2/8") == Shard(2, 8)
    for text in ("0/8", "9/8", "1/0", "1", "a/b", "1/8/2", "-1/8", "1/10000000"):
        with pytest.raises(Invalid) as caught:
            parse_shard(text)
        assert caught.value.kind == "shard"
