"""Scrub: every kind of damage to a tier is found and named, repaired where that may be, and nothing else called so."""

import itertools
import json
from copy import copy
from dataclasses import replace

import pytest

from governance.lab import PUBLISHED, TIER, Lab
from governance.test_promote import Quiet, hold, land, land_folder, make
from placet.adapters.objects.memory import MemoryStore
from placet.core import layout
from placet.core.digest import digest, md5_hex, sha256_hex
from placet.core.dirobject import encode_dir
from placet.core.states import State
from placet.core.sums import encode_sums
from placet.engine import scrub as scrubbing
from placet.engine.inventory import Inventory
from placet.engine.limited import Limited, Rate
from placet.engine.scrub import Scrub
from placet.engine.scrubmark import MarkFile
from placet.engine.scrubrepair import Repairer
from placet.engine.verify import publication_of
from placet.errors import NotFound, Partial, Refused, Unavailable
from placet.ports import ObjectInfo, StoreTraits
from placet.testing import twins

FILE = b"a,b\n1,2\n"
FILES = {"one.csv": b"one", "deep/two.csv": b"two!", "empty": b""}
KEY = layout.data_key(md5_hex(FILE))
ONE = layout.data_key(md5_hex(b"one"))
KEEPS = StoreTraits(verifies_sha256=True, conditional_put=True)
LISTING = encode_dir((name, md5_hex(data)) for name, data in FILES.items())
SUMS = encode_sums((name, sha256_hex(data)) for name, data in FILES.items())
DIR_KEY = layout.data_key(md5_hex(LISTING), is_dir=True)
SUMS_KEY = layout.sums_key(sha256_hex(SUMS))
DAY = 86_400.0


class Dated(MemoryStore):
    """Objects have times, and what is asked for is counted."""

    def __init__(self, bucket, traits=KEEPS):
        super().__init__(bucket, traits=traits)
        self.came, self.read, self.broken = {}, [], {}

    def list(self, prefix):
        return (replace(one, modified_s=self.came.get(one.key)) for one in super().list(prefix))

    def get(self, key, **how):
        self.read.append(key)
        if key in self.broken:
            raise self.broken[key]
        return super().get(key, **how)


class Tier:
    """A published file and folder, in a tier in memory."""

    def __init__(self, lab, traits=KEEPS):
        self.lab = lab
        self.store = Dated("publication", traits)
        self.promoter = make(lab, traits, target=self.store)
        self.source = self.promoter.source
        self.file = land(lab, self.promoter, FILE)
        self.folder = land_folder(lab, self.promoter, FILES)
        assert [str(one.state) for one in self.promoter.run()] == ["PUBLISHED"] * 2
        self.marks = MarkFile(lab.folder / "marks" / "one.json")

    def begin_again(self, folder):
        """The same publications in stores as they were, with nothing scrubbed yet."""
        self.store, self.source = copy_of(self.store), copy_of(self.source)
        self.marks = MarkFile(folder / "marks" / "one.json")

    def forgetful(self, **traits):
        """The store keeps no SHA-256."""
        self.store._traits = StoreTraits(**traits)

    def put(self, key, data):
        self.store.put(key, [data], digest(data), overwrite=True)

    def view(self):
        return self.lab.view()

    def standing(self):
        return set(publication_of(self.view(), TIER).publications)

    def scrub(self, *, read=False, repair=False, node="site-b", lists=True, jobs=2, **parts):
        view = self.view()
        progress = parts.pop("progress", Quiet())
        standing = parts.pop("standing", self.standing)
        repairer = Repairer(self.source, self.store, node, standing, jobs, progress)
        return Scrub(
            view=view,
            publication=publication_of(view, TIER),
            store=parts.pop("store", self.store),
            others=[self.source] if lists else [],
            clock=lambda: self.lab.now,
            jobs=jobs,
            progress=progress,
            mark=self.marks,
            standing=self.standing,
            node=node,
            read=read,
            repairer=repairer if repair else None,
        ).run()


def copy_of(store):
    made = type(store)(store.address.bucket, traits=store.traits())
    for one in store.list(""):
        data = b"".join(store.get(one.key))
        made.put(one.key, [data], digest(data))
    return made


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    made = Lab.make(tmp_path_factory.mktemp("shelf"))
    shelf = Tier(made)
    view = made.view()
    shelf.view = lambda: view
    yield shelf
    made.repo.close()


@pytest.fixture
def tier(shelf, tmp_path):
    """What the module's tests share: nothing here may be proposed or published."""
    made = copy(shelf)
    made.begin_again(tmp_path)
    return made


@pytest.fixture
def own(lab):
    return Tier(lab)


def named(found):
    return {(one.key, one.trouble) for one in found.findings}


def one_of(found, key):
    (hit,) = (one for one in found.findings if one.key == key)
    return hit


def test_a_sound_tier(tier):
    found = tier.scrub()
    assert (found.ok, found.exit_code, found.findings, found.untold) == (True, 0, (), ())
    assert (found.artifacts, found.objects) == (2, 6)
    assert found.size == sum(map(len, (FILE, *FILES.values(), LISTING, SUMS)))
    assert found.proven == {"read": 0, "service": 6, "listed": 0}
    assert found.counts == dict.fromkeys(found.counts, 0)
    assert not tier.marks.path.exists()
    assert tier.scrub(read=True).proven == {"read": 6, "service": 0, "listed": 0}
    tier.put("placet/probe/object", b"placet probe")
    assert tier.scrub().ok


@pytest.mark.parametrize("key", [KEY, ONE, DIR_KEY, SUMS_KEY])
@pytest.mark.parametrize("damage", ["missing", "corrupt", "longer"])
def test_damage_is_found_and_repaired(tier, key, damage):
    before = b"".join(tier.store.get(key))
    if damage == "missing":
        tier.store.delete(key)
    else:
        tier.put(key, bytes(len(before)) if damage == "corrupt" else before + b"x")
    trouble = "missing" if damage == "missing" else "corrupt"
    for read in (False, True):
        found = tier.scrub(read=read)
        assert named(found) == {(key, trouble)}
        assert (found.ok, found.exit_code, found.counts[trouble]) == (False, 13, 1)
        assert one_of(found, key).proposal == (tier.file if key == KEY else tier.folder)
    found = tier.scrub(repair=True)
    assert (found.ok, found.exit_code, found.counts["repaired"]) == (True, 0, 1)
    assert one_of(found, key).repaired
    assert b"".join(tier.store.get(key)) == before
    assert tier.scrub(read=True).findings == ()


def test_everything_lost_is_brought_back_lists_last(tier):
    written = []
    for one in list(tier.store.list("")):
        tier.store.delete(one.key)
    inner = tier.store.put
    tier.store.put = lambda key, *more, **how: written.append(key) or inner(key, *more, **how)
    found = tier.scrub(repair=True)
    assert (found.counts["missing"], found.counts["repaired"], found.ok) == (6, 6, True)
    assert written[-2:] == [SUMS_KEY, DIR_KEY]
    assert tier.scrub(read=True).ok


def test_a_twin_is_called_one_by_reading_only(lab):
    tier = Tier(lab, StoreTraits())
    tier.file = land(lab, tier.promoter, twins.A, "outputs/twin.bin")
    tier.promoter.run()
    key = layout.data_key(md5_hex(twins.A))
    tier.put(key, twins.B)
    found = tier.scrub()
    assert (found.ok, found.proven["listed"]) == (True, found.objects), "a listing cannot know"
    assert named(tier.scrub(read=True)) == {(key, "twin")}


def test_what_came_after_it_was_published_is_read(tier):
    """A store that keeps no SHA-256, and somebody who overwrites with as many bytes."""
    tier.forgetful()
    then = tier.lab.now.timestamp()
    tier.store.came = dict.fromkeys((KEY, ONE), then - 5)
    assert tier.scrub().ok
    tier.put(KEY, bytes(len(FILE)))
    assert tier.scrub().ok
    tier.store.came[KEY] = then + DAY
    tier.store.read.clear()
    assert named(tier.scrub()) == {(KEY, "corrupt")}
    assert set(tier.store.read) == {KEY, DIR_KEY, SUMS_KEY}


def test_the_files_of_a_folder_add_up(tier):
    """Nobody signs the size of one file of a folder: that of all of them tells where to look."""
    tier.forgetful()
    tier.put(ONE, b"1")
    assert named(tier.scrub()) == {(ONE, "corrupt")}
    tier.put(ONE, bytes(1000))
    tier.store.read.clear()
    assert one_of(tier.scrub(), ONE).why == "It has 1000 bytes."
    assert ONE not in tier.store.read, "what is longer than the whole folder need not be read"


def test_what_nobody_published(tier):
    now = tier.lab.now.timestamp()
    tier.put(layout.data_key("0" * 32), b"smuggled")
    tier.put(layout.data_key("1" * 32, is_dir=True), b"smuggled")
    tier.put(layout.sums_key("2" * 64), b"smuggled")
    tier.put("read me.txt", b"hello")
    tier.put(layout.PROBE, bytes(65))
    tier.put("placet/probe/patients in the name of a short object", b"and in it")
    tier.put(layout.PROBE_RIGHTS, bytes(64))
    found = tier.scrub()
    assert found.counts["unexpected"] == 3
    assert {one.key for one in found.findings if one.trouble == "foreign"} == {
        "read me.txt",
        layout.PROBE,
        "placet/probe/patients in the name of a short object",
    }
    assert (found.ok, found.exit_code, found.counts["serious"]) == (False, 13, 6)
    tier.store.came = {one.key: now - DAY / 2 for one in tier.store.list("")}
    found = tier.scrub()
    assert (found.ok, found.counts["serious"], found.counts["unexpected"]) == (True, 0, 3), (
        "it may be running"
    )
    assert found.findings[0].age_s == DAY / 2
    assert len(list(tier.store.list(""))) == 13, "nothing is deleted"


def test_objects_of_other_proposals_are_named_with_their_state(own, lab):
    """Landed and approved: a promotion brings them. What ended must not be there."""
    landed = land_folder(lab, own.promoter, {"x": b"xx"}, "outputs/other")
    hold(own.store, b"xx")
    listing = encode_dir([("x", md5_hex(b"xx"))])
    own.put(layout.data_key(md5_hex(listing), is_dir=True), listing)
    approved = lab.decide(lab.propose("outputs/p.csv", b"approved"), "alice", "bob")
    proposed = lab.propose("outputs/q.csv", b"proposed")
    hold(own.store, b"approved", b"proposed")
    found = own.scrub()
    states = {(one.proposal, one.state, one.serious) for one in found.findings}
    assert states == {
        (landed, "LANDED", False), (approved, "APPROVED", False), (proposed, "PROPOSED", True),
    }  # fmt: skip
    assert found.counts["unexpected"] == 4
    lab.later(days=40)
    assert {one.state for one in own.scrub().findings} == {"EXPIRED"}
    assert all(one.serious for one in own.scrub().findings)


@pytest.mark.usefixtures("by_two")
def test_older_versions_are_published_too_and_retracted_ones_are_not(own, lab, monkeypatch):
    away(own, 4)
    with pytest.raises(Partial):
        own.scrub(read=True)
    own.store.broken = {}
    newer = land(lab, own.promoter, b"a,b\n3,4\n")
    own.promoter.run()
    assert lab.state(own.file) == "SUPERSEDED"
    found = own.scrub(read=True)
    assert (found.ok, found.resumed, found.objects) == (True, True, 7), "the branch went on, and so it does"
    own.store.delete(KEY)
    assert named(own.scrub()) == {(KEY, "missing")}
    view_type = type(lab.view())
    state = view_type.state
    monkeypatch.setattr(
        view_type,
        "state",
        lambda self, case, now: State.RETRACTED if case.id == own.file else state(self, case, now),
    )
    assert own.scrub().ok, "what was retracted need not be there"
    hold(own.store, FILE)
    found = own.scrub()
    assert {(one.key, one.proposal, one.state, one.serious) for one in found.findings} == {
        (KEY, own.file, "RETRACTED", True)
    }
    own.store.came = {KEY: lab.now.timestamp()}
    assert [(one.age_s, one.serious) for one in own.scrub().findings] == [(0, True)], "it came back just now"
    assert newer != own.file


def test_lists_are_taken_from_wherever_they_are_right(tier):
    for key in (DIR_KEY, SUMS_KEY):
        tier.put(key, b"[]")
    found = tier.scrub()
    assert named(found) == {(DIR_KEY, "corrupt"), (SUMS_KEY, "corrupt")}
    assert found.untold == ()
    found = tier.scrub(lists=False)
    assert found.untold == ("artifacts/site-b/outputs/folder",)
    assert found.counts["corrupt"] == 2
    assert found.counts["unexpected"] == len(FILES), "whose files these are cannot be told"
    assert not found.ok


def test_a_list_of_other_files_is_not_believed(tier):
    """A `.dir` object that names more: its file must not count as published."""
    more = encode_dir([*((name, md5_hex(data)) for name, data in FILES.items()), ("more", md5_hex(b"more"))])
    tier.put(DIR_KEY, more)
    hold(tier.store, b"more")
    assert named(tier.scrub()) == {(DIR_KEY, "corrupt"), (layout.data_key(md5_hex(b"more")), "unexpected")}


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("other node", "It is node site-b's"),
        ("retracted", "retracted meanwhile"),
        ("lacks", "The internal tier lacks it"),
        ("corrupt too", "CORRUPT"),
        ("away", "The store is away. Run it again."),
        ("refused", "Have the object (version v"),
    ],
)
def test_what_cannot_be_repaired_says_why(tier, why, words):
    tier.forgetful(verifies_sha256=True, versions=True)
    parts = {}
    if why == "other node":
        parts["node"] = "site-a"
    if why == "retracted":
        parts["standing"] = lambda: {tier.folder}
    if why == "lacks":
        tier.source.delete(KEY)
    if why == "corrupt too":
        tier.source.put(KEY, [b"x" * 8], digest(b"x" * 8), overwrite=True)
    tier.put(KEY, bytes(len(FILE)))
    if why == "away":
        error = Unavailable("The store is away.", kind="store-unreachable")
        tier.source.get = lambda *_, **how: raise_it(error)
    if why == "refused":
        denied = Refused("Not yours.", kind="store-denied")
        tier.store.put = lambda *_, **how: raise_it(denied)
    found = tier.scrub(repair=True, **parts)
    assert words in one_of(found, KEY).why
    assert (found.ok, found.exit_code, found.counts["repaired"]) == (False, 13, 0)
    assert b"".join(tier.store.get(KEY)) == bytes(len(FILE))


def raise_it(error):
    raise error


def test_what_is_written_is_read_again(tier):
    tier.put(KEY, bytes(len(FILE)))
    inner = tier.store.put
    tier.store.put = lambda key, chunks, want, **how: inner(key, [b"y" * 8], digest(b"y" * 8), **how)
    assert "still wrong" in one_of(tier.scrub(repair=True), KEY).why


def test_what_was_retracted_meanwhile_is_not_missed(tier):
    tier.store.delete(KEY)
    tier.standing = lambda: {tier.folder}
    assert tier.scrub().ok


def test_one_object_that_cannot_be_read(tier):
    tier.store.broken[KEY] = Unavailable("It is in the archive.", kind="store-answer")
    found = tier.scrub(read=True)
    assert (one_of(found, KEY).trouble, one_of(found, KEY).why) == ("unreadable", "It is in the archive.")
    assert (found.ok, found.exit_code, found.proven["read"]) == (True, 3, 5)


@pytest.mark.parametrize("kind", ["store-unreachable", "store-denied"])
def test_a_store_that_is_away(tier, kind):
    error = (Refused if kind == "store-denied" else Unavailable)("It is away.", kind=kind)
    for one in tier.store.list(""):
        tier.store.broken[one.key] = error
    with pytest.raises((Partial, Refused)) as caught:
        tier.scrub(read=True)
    assert caught.value.kind == ("scrub-unfinished" if kind == "store-unreachable" else kind)
    assert caught.value.exit_code == (3 if kind == "store-unreachable" else 12)


def test_who_shows_the_progress_may_stop_it(tier):
    """As the agent does: no object is called unreadable for that, and it goes on later."""

    class Stopping(Quiet):
        def advance(self, objects=0, size=0):
            if size:
                raise Unavailable("Stop.", kind="stopped")

    with pytest.raises(Unavailable, match="Stop"):
        tier.scrub(read=True, progress=Stopping())
    tier.store.delete(KEY)
    tier.store.copy_from = lambda *_, **__: None
    with pytest.raises(Unavailable, match="Stop"):
        tier.scrub(repair=True, progress=Stopping())
    assert tier.scrub(repair=True).ok


@pytest.fixture
def by_two(monkeypatch):
    monkeypatch.setattr(scrubbing, "_BATCH", 2)


def away(tier, after):
    """From the n-th object on nothing is read any more, in the order of keys."""
    keys = sorted(one.key for one in tier.store.list(""))
    error = Unavailable("It is away.", kind="store-unreachable")
    tier.store.broken = dict.fromkeys(keys[after:], error)


@pytest.mark.usefixtures("by_two")
def test_it_goes_on_where_it_was(tier):
    keys = sorted(one.key for one in tier.store.list(""))
    tier.put(keys[1], b"".join(tier.store.get(keys[1])) + b"x")
    away(tier, 4)
    with pytest.raises(Partial):
        tier.scrub(read=True, jobs=1)
    assert tier.marks.path.exists()
    tier.store.broken = {}
    tier.store.read.clear()
    found = tier.scrub(read=True, jobs=1)
    lists = {DIR_KEY, SUMS_KEY}
    assert set(tier.store.read) - lists == {keys[1], *keys[4:]} - lists
    assert (found.resumed, found.exit_code, found.proven["read"]) == (True, 13, 5)
    assert named(found) == {(keys[1], "corrupt")}, "what was wrong is looked at again"
    assert not tier.marks.path.exists()
    assert not tier.scrub(read=True).resumed


@pytest.mark.usefixtures("by_two")
@pytest.mark.parametrize("change", ["other way", "broken file", "no digest", "foreign tip"])
def test_when_a_mark_does_not_count(tier, change):
    away(tier, 4)
    with pytest.raises(Partial):
        tier.scrub(read=True)
    tier.store.broken = {}
    marks = tier.marks.path
    if change == "broken file":
        marks.write_bytes(b'{"tip": ' + b"[" * 5000)
    if change == "no digest":
        mark = json.loads(marks.read_bytes())
        marks.write_text(json.dumps(mark | {"after": [mark["after"][0], "x"]}))
    if change == "foreign tip":
        marks.write_bytes(marks.read_bytes().replace(tier.lab.tip(PUBLISHED).encode(), b"0" * 40))
    found = tier.scrub(read=change != "other way")
    assert (found.resumed, found.ok) == (False, True)


def test_where_its_progress_cannot_be_kept(tier, caplog):
    tier.marks.path.parent.parent.joinpath("marks").write_text("a file")
    assert tier.scrub().ok
    assert "progress of the scrub was not kept" in caplog.text


def test_a_store_without_a_listing(tier):
    tier.store.list = lambda prefix: raise_it(Refused("None.", kind="no-listing"))
    found = tier.scrub()
    assert (found.ok, found.listed, found.proven["service"]) == (True, False, 6)
    tier.store.delete(KEY)
    hold(tier.store, b"smuggled")
    assert named(tier.scrub()) == {(KEY, "missing")}


def test_a_bucket_that_is_not_there(tier):
    error = NotFound("There is no bucket.", kind="no-bucket")
    tier.store.list = lambda prefix: raise_it(error)
    with pytest.raises(NotFound):
        tier.scrub()


def test_what_is_deleted_after_it_was_listed(tier):
    inner = tier.store.head
    tier.store.head = lambda key: None if key == KEY else inner(key)
    tier.store.broken[KEY] = NotFound("Gone.", kind="no-object")
    assert named(tier.scrub()) == {(KEY, "missing")}


def test_both_sides_in_pages():
    """More than a page of everything; memory does not grow with it, for all of it lies in SQLite's file."""
    numbers = [f"{number:05}" for number in range(2500)]
    with Inventory() as inventory:
        inventory.saw(ObjectInfo(f"there/{one}", 1) for one in numbers)
        inventory.saw(ObjectInfo(f"both/{one}", 2) for one in numbers)
        inventory.want(((f"both/{one}", "ab" * 32, None) for one in numbers), since=2.0, owner=0)
        inventory.want(((f"lost/{one}", "ab" * 32, 3) for one in numbers), since=1.0, owner=1)
        inventory.want([("both/00007", "ab" * 32, 2), ("both/00007", "cd" * 32, 2)], since=1.0, owner=2)
        inventory.explain(["there/00001"], 5)
        assert [one.key for one in inventory.missing()] == [f"lost/{one}" for one in numbers]
        assert [one.key for one in inventory.unneeded()] == [f"there/{one}" for one in numbers]
        assert [one.owner for one in itertools.islice(inventory.unneeded(), 3)] == [None, 5, None]
        present = list(inventory.present(("", "")))
        assert len(present) == 2501
        assert list(inventory.present((present[1200].key, present[1200].sha256))) == present[1201:]
        seven = inventory.one("both/00007")
        assert [(one.sha256[:2], one.size, one.since, one.owner) for one in seven] == [
            ("ab", 2, 1.0, 0), ("cd", 2, 1.0, 2),
        ]  # fmt: skip
        assert inventory.totals() == (5001, 2 * 2501)
        assert inventory.adds_up(["both/00001", "both/00001"], 4)
        assert not inventory.adds_up(["both/00001"], 4)
        assert inventory.adds_up(["both/00001", "lost/00001"], 99), "what is absent is another finding"


def test_a_key_that_is_no_text_hides_no_other():
    odd = ["a\udcff", "b\x00", "c\x1b[2J", "\ud800"]
    with Inventory() as both:
        both.saw(ObjectInfo(key, 1 << 64) for key in [*odd, "z"])
        assert [one.key for one in both.unneeded()] == ["\\ud800", "a\\udcff", "b\x00", "c\x1b[2J", "z"]


def test_the_rate_of_reading():
    """A clock of our own: a second's worth at once, the rest when it is its turn, all threads together."""
    time, slept = [100.0], []

    def sleep(seconds):
        slept.append(seconds)
        time[0] += seconds

    rate = Rate(1000, now=lambda: time[0], sleep=sleep)
    rate.take(1000)
    assert slept == []
    rate.take(500)
    assert time[0] == pytest.approx(100.5)
    assert max(slept) <= 0.1, "a task that must stop does so soon"
    time[0] += 60
    rate.take(1000)
    assert time[0] == pytest.approx(160.5), "what was not used is kept for a second only"
    store = MemoryStore("slow")
    store.put("key", [b"x" * 200_000], digest(b"x" * 200_000))
    slow = Limited(store, rate)
    begun = time[0]
    assert b"".join(slow.get("key")) == b"x" * 200_000
    assert time[0] - begun == pytest.approx(200)
    assert slow.copy_from(store, "key", digest(b"")) is None
    assert slow.head("key") == store.head("key")
    assert (slow.address, slow.traits(), list(slow.list(""))) == (
        store.address, store.traits(), list(store.list("")),
    )  # fmt: skip
    assert slow.put("more", [b"x"], digest(b"x"))
    slow.delete("more")
    assert store.head("more") is None


def test_a_repair_at_a_rate_streams(tier):
    tier.store.delete(KEY)
    slow = Limited(tier.source, Rate(10**9))
    tier.source = slow
    assert tier.scrub(repair=True).ok


def test_a_conflict_while_repairing(tier):
    """Somebody brings it back at the same time: it is proven, and right."""
    tier.store.delete(KEY)
    inner = tier.store.put

    def race(key, chunks, want, **how):
        inner(key, [FILE], want)
        return inner(key, chunks, want, **how)

    tier.store.put = race
    tier.store.copy_from = lambda *_, **__: None
    assert tier.scrub(repair=True).ok
    assert tier.scrub(read=True).findings == ()
