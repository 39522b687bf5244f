"""Taking back what was published: who may, what is recorded, what is erased, what comes back, who is told."""

import contextlib
from dataclasses import replace

import pytest

from governance.lab import MAIN, PUBLISHED, TIER, Memory
from governance.memlab import MemLab
from governance.test_promote import Quiet, hold, keys, land_folder, make
from keys import Key
from placet.adapters.objects.memory import MemoryStore
from placet.core import assent, layout
from placet.core.digest import digest, md5_hex
from placet.core.predicates import Erased, Manifest
from placet.engine import cases, erase, history, promotable, promote, retractask, retraction
from placet.engine.promote import Promoter
from placet.engine.record import Actor, record
from placet.engine.retract import Retractor
from placet.engine.retractask import propose_retraction
from placet.engine.target import Target
from placet.engine.verify import verify
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Refused
from placet.ports import RefUpdate, StoreTraits

VERSIONS = StoreTraits(versions=True, conditional_put=True)
DATA = b"a,b\n1,2\n"
OTHER = b"a,b\n3,4\n"
KEY = layout.data_key(md5_hex(DATA))
METAFILE = layout.metafile("site-b", "outputs/a.csv")
RULE = "governance:\n"


def rule(text):
    return RULE, f"governance:\n  retract: {text}\n"


class World:
    """A lab with a promoter, and retractors who hold the credential that may delete."""

    def __init__(self, folder, *edits, traits=VERSIONS):
        self.lab = MemLab.make(folder, *(edits or (rule("[trustees]"),)))
        self.store = MemoryStore("publication", traits=traits)
        self.promoter = make(self.lab, traits, target=self.store)

    def publish(self, path="outputs/a.csv", data=DATA):
        hold(self.promoter.source, data)
        ident = self.lab.landed(path, data)
        assert [one.error for one in self.promoter.run([ident])] == [None]
        return ident

    def retractor(self, actor="dana", *, credential=True):
        target = Target(self.store, "s3://pub/x", "http://127.0.0.1:1")
        return Retractor(
            self.lab.repo, self.lab.trust_root, Memory(), self.lab.clock, Key(actor), actor,
            {TIER: target} if credential else {}, 4, Quiet(),
        )  # fmt: skip

    def propose(self, target, by="dana", *, emergency=False, reason="a name was left in"):
        node = by if by.startswith("site") else None
        return propose_retraction(
            self.lab.view(), target, Key(by), node=node, person=None if node else by, tier=TIER,
            reason=reason, emergency=emergency, now=self.lab.now,
        ).id  # fmt: skip

    def retract(self, target, by="dana", *, emergency=False, credential=True):
        ident = self.propose(target, by, emergency=emergency)
        self.lab.merge(ident)
        (done,) = self.retractor(by, credential=credential).run([ident])
        if done.error is not None:
            raise done.error
        return done

    def publication(self):
        view = self.lab.view()
        assert view.broken == {}
        return view.publications[TIER]

    def kinds(self):
        return [one.body.kind for one in self.publication().entries]

    def main(self):
        return self.lab.repo.tree(self.lab.tip(MAIN))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def worlds(tmp_path):
    return lambda *edits, **more: World(tmp_path, *edits, **more)


def test_a_person_takes_back_what_a_node_published_without_its_help(world):
    ident = world.publish()
    stays = world.publish("outputs/b.csv", OTHER)
    ident2 = world.retract(ident)
    assert (ident2.stage, ident2.done, str(ident2.state)) == ("erased", True, "PUBLISHED")
    assert [(one.path, one.objects, one.kept, one.versions) for one in ident2.erased] == [
        ("outputs/a.csv", 1, 0, 1)
    ]
    assert world.kinds() == ["genesis", "publish", "publish", "retract", "erased"]
    assert world.store.versions(KEY) == []
    assert keys(world.store) == {layout.data_key(md5_hex(OTHER))}
    assert world.lab.state(ident) == "RETRACTED"
    assert world.lab.state(stays) == "PUBLISHED"
    tree = world.lab.repo.tree(world.lab.tip(PUBLISHED))
    assert METAFILE not in tree
    assert METAFILE not in world.main()
    assert layout.manifest_path(ident2.id) in tree
    assert layout.receipt_path(ident2.id) in tree
    assert world.retractor().run([ident2.id])[0].stage == "erased"
    assert world.retractor().run() == []
    assert len(world.kinds()) == 5
    for target in (ident, ident[:8], METAFILE):
        assert world.propose(target) == ident2.id, "the same request, in the same words"
    for other in ({"by": "alice"}, {"reason": "another"}, {"emergency": True}):
        with pytest.raises(Conflict) as caught:
            world.propose(ident, **other)
        assert caught.value.kind == "retracted"
        assert "a name was left in" in caught.value.what
    with pytest.raises(NotFound):
        world.propose(METAFILE, reason="another")


def test_every_version_of_an_object_goes(world):
    ident = world.publish()
    world.store.put(KEY, [DATA], digest(DATA), overwrite=True)
    world.store.delete(KEY)
    assert len(world.store.versions(KEY)) == 3
    assert world.retract(ident).erased[0].versions == 2
    assert world.store.versions(KEY) == []


def test_a_folder_goes_but_for_what_others_need(world):
    shared = b"shared"
    folder = land_folder(world.lab, world.promoter, {"one": b"1", "deep/shared": shared})
    world.promoter.run()
    world.publish("outputs/b.csv", shared)
    done = world.retract("artifacts/site-b/outputs/folder")
    assert [(one.objects, one.kept, one.versions) for one in done.erased] == [(4, 1, 3)]
    assert keys(world.store) == {layout.data_key(md5_hex(shared))}
    assert world.lab.state(folder) == "RETRACTED"


def test_a_single_path_of_several(world):
    one, two = world.publish(), world.publish("outputs/b.csv", OTHER)
    world.retract("artifacts/site-b/outputs/b.csv.dvc")
    assert (world.lab.state(one), world.lab.state(two)) == ("PUBLISHED", "RETRACTED")
    with pytest.raises(NotFound):
        world.propose("artifacts/site-b/outputs/none.csv")


def test_the_owning_node_takes_back_its_own_and_no_others(world):
    ident = world.publish()
    with pytest.raises(Refused) as caught:
        world.propose(ident, "site-a")
    assert caught.value.kind == "not-a-retractor"
    assert world.retract(ident, "site-b").stage == "erased"


def test_a_nodes_own_retraction_on_its_way_is_nothing_to_promote(world):
    gone = world.propose(world.publish(), "site-b")
    world.lab.merge(gone)
    assert str(world.lab.state(gone)) == "LANDED"
    assert world.promoter.backlog().waiting == ()
    assert world.promoter.run() == []
    assert world.retractor("site-b").run()[0].stage == "erased"


@pytest.mark.parametrize(
    ("text", "by", "missing"),
    [
        ("{groups: [trustees], count: 2}", "dana", 1),
        ("{groups: [trustees], own: false}", "site-b", 1),
        ("{groups: [trustees], count: 2, own: false}", "site-b", 2),
        ("{groups: [trustees], count: 2}", "site-b", 0),
    ],
)
def test_how_many_people_the_rule_wants(worlds, text, by, missing):
    world = worlds(rule(text))
    ident = world.propose(world.publish(), by)
    for person in ("alice", "bob")[:missing]:
        assert world.lab.state(ident) == "PROPOSED"
        with pytest.raises(Refused):
            world.lab.merge(ident)
        world.lab.decide(ident, person, saw="report")
    assert world.lab.state(ident) == "APPROVED"
    world.lab.merge(ident)
    assert world.retractor(by).run()[0].stage == "erased"


def test_who_may_not(worlds):
    world = worlds(rule("{groups: [stewards]}"))
    ident = world.publish()
    with pytest.raises(Refused, match="does not allow"):
        world.propose(ident, "dana")
    with pytest.raises(Invalid, match="reason"):
        world.propose(ident, "alice", reason=" ")
    assert world.kinds() == ["genesis", "publish"]
    nobody = worlds(rule("[]"))
    with pytest.raises(Refused, match="does not allow"):
        nobody.propose(nobody.publish(), "dana")


def test_without_the_credential_it_is_recorded_and_another_goes_on(world):
    ident = world.publish()
    done = world.retract(ident, credential=False)
    assert (done.stage, done.done) == ("recorded", False)
    assert "retraction credential" in done.waits
    assert world.lab.state(ident) == "RETRACTED"
    assert [one.marker for one in world.store.versions(KEY)] == [False]
    (other,) = world.retractor("site-b").run()
    assert other.stage == "erased"
    assert world.retractor("site-a").run() == []


def test_the_same_content_again_and_an_old_version(world):
    one = world.publish()
    two = world.publish(data=OTHER)
    assert (world.lab.state(one), world.lab.state(two)) == ("SUPERSEDED", "PUBLISHED")
    done = world.retract(one)
    assert done.stage == "erased"
    assert METAFILE in world.main()
    assert METAFILE in world.lab.repo.tree(world.lab.tip(PUBLISHED))
    assert (world.lab.state(one), world.lab.state(two)) == ("RETRACTED", "PUBLISHED")
    assert keys(world.store) == {layout.data_key(md5_hex(OTHER))}
    again = world.publish(data=DATA)
    assert world.lab.state(again) == "PUBLISHED"
    world.retract(again)
    last = world.publish(data=DATA)
    assert world.lab.state(last) == "PUBLISHED"
    assert len({one, again, last}) == 3
    assert keys(world.store) == {KEY, layout.data_key(md5_hex(OTHER))}


def test_an_old_version_with_the_bytes_of_the_new_one(world):
    one = world.publish()
    world.publish(data=OTHER)
    three = world.publish(data=DATA)
    done = world.retract(one)
    assert [(part.objects, part.kept, part.versions) for part in done.erased] == [(1, 1, 0)]
    assert world.lab.state(three) == "PUBLISHED"
    assert KEY in keys(world.store)


def test_an_emergency_hides_at_once_and_a_second_person_confirms(world):
    ident = world.publish()
    done = world.retract(ident, emergency=True)
    assert (done.stage, done.done) == ("hidden", False)
    assert done.until == "2026-11-27T10:00:00Z"
    assert world.store.head(KEY) is None
    assert [one.marker for one in world.store.versions(KEY)] == [True, False]
    assert world.retractor().run()[0].stage == "hidden"
    assert len(world.store.versions(KEY)) == 2
    with pytest.raises(Refused, match="own"):
        world.lab.decide(done.id, "dana", saw="report")
    world.lab.decide(done.id, "alice", saw="report")
    (after,) = world.retractor().run()
    assert after.stage == "erased"
    assert world.kinds()[-3:] == ["retract", "retract", "erased"]
    assert world.store.versions(KEY) == []
    with pytest.raises(Refused, match="decided"):
        world.lab.decide(done.id, "bob", saw="report")


def test_an_emergency_that_nobody_confirms_comes_back(world):
    files = {"one": b"1", "two": b"2"}
    ident = land_folder(world.lab, world.promoter, files)
    world.promoter.run()
    before = keys(world.store)
    tree = world.lab.repo.tree(world.lab.tip(PUBLISHED))
    world.retract(ident, emergency=True)
    assert keys(world.store) == set()
    world.lab.later(hours=71)
    assert world.retractor().run()[0].stage == "hidden"
    world.lab.later(hours=1)
    (after,) = world.retractor().run()
    assert (after.stage, str(after.state)) == ("restored", "WITHDRAWN")
    assert keys(world.store) == before
    assert world.kinds()[-2:] == ["retract", "restored"]
    now = world.lab.repo.tree(world.lab.tip(PUBLISHED))
    path = layout.metafile("site-b", "outputs/folder")
    assert now[path] == tree[path]
    assert world.lab.state(ident) == "PUBLISHED"
    again = world.retract(ident)
    assert again.stage == "erased"
    assert again.id != after.id
    assert keys(world.store) == set()


def test_what_does_not_come_back_whole_is_not_restored(world, monkeypatch):
    ident = world.publish()
    done = world.retract(ident, emergency=True)
    world.lab.later(hours=80)
    wrong = digest(OTHER)
    world.store.put(KEY, [OTHER], wrong, overwrite=True)
    (after,) = world.retractor().run()
    assert isinstance(after.error, Corrupt)
    assert world.kinds()[-1] == "retract"
    for one in world.store.versions(KEY):
        world.store.delete(KEY, version=one.id)
    (gone,) = world.retractor().run()
    assert isinstance(gone.error, NotFound)
    with monkeypatch.context() as patch:
        patch.setattr(erase, "_prove", lambda *_: None)
        patch.setattr(Retractor, "_record", lambda *_: None)
        assert world.retractor().run()[0].error.kind == "ref-moved", "without the guard it would be recorded"
    world.lab.decide(done.id, "bob", saw="report")
    assert world.retractor().run()[0].stage == "erased"


def test_without_versions_nothing_is_hidden_but_erased(worlds):
    world = worlds(traits=StoreTraits(conditional_put=True))
    one, two = world.publish(), world.publish("outputs/b.csv", OTHER)
    with pytest.raises(Refused) as caught:
        world.retract(one, emergency=True)
    assert caught.value.kind == "no-versions"
    assert KEY in keys(world.store)
    assert world.retract(two).stage == "erased"
    assert keys(world.store) == {KEY}


def test_promotions_that_need_its_objects_wait(world, monkeypatch):
    shared = b"shared"
    folder = land_folder(world.lab, world.promoter, {"one": b"1", "shared": shared})
    world.promoter.run()
    world.retract(folder, emergency=True)
    hold(world.promoter.source, shared, OTHER)
    waits = world.lab.landed("outputs/b.csv", shared)
    free = world.lab.landed("outputs/c.csv", OTHER)
    done = {one.id: one for one in world.promoter.run()}
    assert done[waits].error.kind == "retraction-open"
    with monkeypatch.context() as patch:
        patch.setattr(promotable, "require_none_held", lambda *_: None)
        patch.setattr(Promoter, "_record", lambda *_, **__: "a commit")
        assert world.promoter.run([waits])[0].error is None, "without the guard it would be published"
    assert done[free].error is None
    world.lab.later(hours=72)
    world.retractor().run()
    assert world.promoter.run()[0].error is None
    assert layout.data_key(md5_hex(shared)) in keys(world.store)


def test_a_promotion_overtaken_by_a_retraction_proves_everything_again(world, monkeypatch):
    one = world.publish()
    hold(world.promoter.source, DATA)
    two = world.lab.landed("outputs/b.csv", DATA)
    real, calls = promote.copy_artifact, []

    def overtaken(*args):
        out = real(*args)
        calls.append(out)
        if len(calls) == 1:
            assert world.retract(one).stage == "erased"
            assert keys(world.store) == set()
        return out

    monkeypatch.setattr(promote, "copy_artifact", overtaken)
    (done,) = world.promoter.run([two])
    assert done.error is None
    assert len(calls) == 2
    assert (done.artifacts[0].copied, done.artifacts[0].found) == (1, 0)
    assert keys(world.store) == {KEY}
    monkeypatch.setattr(promotable, "undone", lambda *_: 0)
    calls.clear()
    one, three = two, world.lab.landed("outputs/c.csv", DATA)
    world.promoter.run([three])
    assert keys(world.store) == set(), "without the guard something is published whose bytes are gone"


def test_a_crash_at_any_call_of_the_store(world):
    """One call further each time, until it ends: at every point there is the same thing left to do."""
    folder = land_folder(world.lab, world.promoter, {"one": b"1", "two": b"2"})
    world.promoter.run()
    ident = world.propose(folder)
    world.lab.merge(ident)
    retractor = world.retractor()

    class Dies(BaseException):
        pass

    class Mortal:
        def __init__(self, left):
            self.left = left

        def __getattr__(self, name):
            found = getattr(world.store, name)
            if name not in {"delete", "versions", "get"}:
                return found

            def call(*args, **kwargs):
                self.left -= 1
                if self.left < 0:
                    raise Dies
                return found(*args, **kwargs)

            return call

    died = 0
    while world.kinds()[-1] != "erased":
        target = replace(retractor.targets[TIER], store=Mortal(died))
        with contextlib.suppress(Dies):
            replace(retractor, targets={TIER: target}, jobs=1).run([ident])
        died += world.kinds()[-1] != "erased"
        assert died < 30
    assert died > 8
    assert keys(world.store) == set()
    assert world.kinds() == ["genesis", "publish", "retract", "erased"]


def test_two_at_once_leave_what_was_published_afterwards(world, monkeypatch):
    ident = world.propose(world.publish())
    world.lab.merge(ident)
    slow, fast = world.retractor(), world.retractor("site-b")
    real = erase.erase

    def overtaken(store, found, jobs, progress, still_open):
        monkeypatch.setattr(erase, "erase", real)
        (done,) = fast.run([ident])
        assert done.stage == "erased"
        world.publish()
        return real(store, found, jobs, progress, still_open)

    monkeypatch.setattr(erase, "erase", overtaken)
    (done,) = slow.run([ident])
    assert done.stage == "erased"
    assert keys(world.store) == {KEY}
    assert world.kinds() == ["genesis", "publish", "retract", "erased", "publish"]


def test_what_is_needed_must_be_known_before_anything_is_erased(world, monkeypatch):
    one = world.publish()
    land_folder(world.lab, world.promoter, {"one": b"1"})
    world.promoter.run()
    lost = next(key for key in keys(world.store) if key.endswith(".dir"))
    for version in world.store.versions(lost):
        world.store.delete(lost, version=version.id)
    with pytest.raises(Refused) as caught:
        world.retract(one)
    assert caught.value.kind == "retract-unknown"
    assert KEY in keys(world.store)
    with pytest.raises(Refused) as caught:
        world.retract("artifacts/site-b/outputs/folder")
    assert caught.value.kind == "retract-unknown"
    for guard, answer in (("_needed", frozenset()), ("_require_known", None)):
        monkeypatch.setattr(erase, guard, lambda *_, answer=answer: answer)
    assert [one.stage for one in world.retractor().run()] == ["erased", "erased"]
    assert len(keys(world.store)) == 1, "without the guards it is called erased, and is not"


def test_verify_refuses_it_by_name_and_reason(world):
    ident = world.publish()
    world.publish("outputs/b.csv", OTHER)
    world.retract(ident)

    def look(*targets):
        return verify(
            world.lab.view(), tier=TIER, root=None, targets=targets, now=world.lab.now, jobs=1,
            progress=Quiet(),
        )  # fmt: skip

    assert look().ok
    for target in (ident, "artifacts/site-b/outputs/a.csv"):
        found = look(target)
        assert not found.ok
        assert found.artifacts[0].data == "retracted"
        assert "a name was left in" in found.problems[0]


# --- what nobody may record -------------------------------------------------------------------


class Unpushed:
    """A copy of the Ctrl repository that keeps what it commits to itself."""

    def __init__(self, repo):
        self.repo = repo

    def __getattr__(self, name):
        return getattr(self.repo, name)

    def push(self, updates):
        pass


def forge(world, ident, kind, actor, receipt=None):
    """The push of somebody who records an entry, whatever anybody thinks of it."""
    view = world.lab.view()
    publication = view.publications[TIER]
    commit = record(
        Unpushed(world.lab.repo), view.history, publication, view.find(ident), kind=kind, receipt=receipt,
        actor=Actor(actor, Key(actor)), now=world.lab.now,
    )  # fmt: skip
    return RefUpdate(PUBLISHED, publication.tip, commit)


@pytest.mark.parametrize(
    ("name", "kind", "actor", "emergency", "guard", "words"),
    [
        ("stranger", "retract", "carol", False, (retraction, "retractor_keys"), "did not sign"),
        ("other node", "retract", "site-a", False, (retraction, "retractor_keys"), "did not sign"),
        ("unconfirmed", "erased", "dana", True, None, "no second person"),
        ("too soon", "restored", "dana", True, (retraction, "_restore_problem"), "can still confirm"),
        ("alone", "retract", "dana", True, (retraction, "_confirm_problem"), "no second person"),
    ],
)
def test_entries_that_nobody_may_add(world, monkeypatch, name, kind, actor, emergency, guard, words):
    ident = world.propose(world.publish(), emergency=emergency)
    world.lab.merge(ident)
    if emergency:
        world.retractor().run()
    update = forge(world, ident, kind, actor)
    with pytest.raises(Refused, match=words):
        world.lab.judge(update)
    world.lab.force(PUBLISHED, update.new)
    assert words in str(world.lab.view().broken[TIER])
    if guard is not None:
        every = lambda *_: (Key(actor).public,)  # noqa: E731
        answer = every if guard[1] == "retractor_keys" else lambda *_: ""
        monkeypatch.setattr(*guard, answer)
        assert world.lab.view().broken == {}


def test_a_retraction_names_what_landed(world, monkeypatch):
    ident = world.publish()
    real = retractask._named
    monkeypatch.setattr(retractask, "_named", lambda edition, digest: real(edition, "ab" * 32))
    wrong = world.propose(ident)
    monkeypatch.undo()
    with pytest.raises(Refused) as caught:
        world.lab.view().find(wrong)
    assert "did not land" in caught.value.what
    monkeypatch.setattr(history, "require_published", lambda *_: None)
    assert world.lab.state(wrong) == "APPROVED", "without the guard it would pass"


def test_a_revert_without_a_retraction_stays_an_alarm(world):
    ident = world.publish()
    tip = world.lab.tip(MAIN)
    commit = world.lab.commit(tip, {METAFILE: None})
    with pytest.raises(Refused, match="does not follow"):
        world.lab.judge(RefUpdate(MAIN, tip, commit))
    retraction_id = world.propose(ident)
    view = world.lab.view()
    folder = world.lab.repo.tree(view.branches[retraction_id], layout.folder(retraction_id))
    merged = world.lab.commit(tip, {METAFILE: None, **folder})
    world.lab.judge(RefUpdate(MAIN, tip, merged))


def test_what_must_be_approved_first(worlds, monkeypatch):
    world = worlds(rule("{groups: [trustees], count: 2}"))
    ident = world.propose(world.publish())
    view = world.lab.view()
    folder = world.lab.repo.tree(view.branches[ident], layout.folder(ident))
    commit = world.lab.commit(view.main, {METAFILE: None, **folder})
    with pytest.raises(Refused, match="does not follow"):
        world.lab.judge(RefUpdate(MAIN, view.main, commit))
    world.lab.force(MAIN, commit)
    assert world.lab.state(ident) == "QUARANTINED"
    update = forge(world, ident, "retract", "dana")
    with pytest.raises(Refused, match="it is QUARANTINED"):
        world.lab.judge(update)
    for module, name in ((retraction, "_retract_problem"), (assent, "retract_needs")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, lambda *_, **__: ())
            world.lab.judge(update)
    world.lab.force(PUBLISHED, update.new)
    assert "QUARANTINED" in str(world.lab.view().broken[TIER])


def test_who_is_not_named_by_the_policy(world, monkeypatch):
    ident = world.publish()
    anything = lambda *_: iter([assent.Requirement("none", ())])  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(assent, "_retract", anything)
        forged = world.propose(ident, "carol")
        assert world.lab.state(forged) == "APPROVED", "without the guard anybody may"
    assert world.lab.state(forged) == "PROPOSED"
    with pytest.raises(Refused):
        world.lab.merge(forged)


def test_a_retraction_says_why(world, monkeypatch):
    ident = world.publish()
    silent = lambda **fields: Manifest(**{**fields, "message": ""})  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(retractask, "Manifest", silent)
        patch.setattr(cases, "_retract_problem", lambda *_: "")
        forged = world.propose(ident)
        assert world.lab.state(forged) == "APPROVED"
    assert "a reason" in world.lab.view().refused[forged].what


def test_what_its_receipt_must_account_for(world, monkeypatch):
    ident = world.propose(world.publish())
    world.lab.merge(ident)
    retractor = world.retractor(credential=False)
    retractor.run()
    view = world.lab.view()
    nothing = (Erased(path="outputs/other.csv", objects=1, kept=0, versions=1),)
    receipt = retractor._receipt(view, view.find(ident), TIER, nothing)
    update = forge(world, ident, "erased", "dana", receipt)
    with pytest.raises(Refused, match="not one of its erasure"):
        world.lab.judge(update)
    monkeypatch.setattr(retraction, "accounts", lambda *_: True)
    world.lab.judge(update)


def test_no_publication_while_it_is_taken_back(world, monkeypatch):
    world.retract(world.publish(), credential=False)
    two = world.lab.landed("outputs/b.csv", DATA)
    with monkeypatch.context() as patch:
        patch.setattr(retraction, "held_back", lambda *_: None)
        patch.setattr(promotable, "held_back", lambda *_: None)
        patch.setattr(promotable, "require_none_held", lambda *_: None)
        (done,) = world.promoter.run([two])
        assert done.error is None, "without the guard it would be published"
    assert "still open" in str(world.lab.view().broken[TIER])


def test_a_retraction_removes_nothing_else(world):
    one = world.publish()
    world.publish("outputs/b.csv", OTHER)
    ident = world.propose(one)
    branch = world.lab.view().branches[ident]
    other = layout.metafile("site-b", "outputs/b.csv")
    more = world.lab.commit(branch, {other: None})
    with pytest.raises(Refused):
        world.lab.judge(RefUpdate(layout.proposal_ref(ident), branch, more))
    world.lab.force(layout.proposal_ref(ident), more)
    assert ident in world.lab.view().refused
