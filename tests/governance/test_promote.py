"""Promotion: verified before visible, recorded in one commit, the same whatever fails or races; and `verify`."""

import threading
from dataclasses import replace

import pytest

from governance.lab import MAIN, NOW, PUBLISHED, TIER, Memory
from keys import Key
from placet.adapters.objects.memory import MemoryStore
from placet.adapters.sandbox import Sandbox
from placet.core import layout
from placet.core.digest import digest, md5_hex, sha256_hex
from placet.core.dirobject import encode_dir
from placet.core.dvcfile import Output, encode_metafile
from placet.core.predicates import DirObject
from placet.core.provenance import Provenance
from placet.core.sums import encode_sums
from placet.engine import promote as promoting
from placet.engine import propose
from placet.engine.promote import Promoter
from placet.engine.target import Target
from placet.engine.verify import verify
from placet.errors import Conflict, Corrupt, NotFound, Refused
from placet.ports import RefUpdate, StoreTraits
from placet.testing import twins

TRAITS = [
    StoreTraits(),
    StoreTraits(versions=True),
    StoreTraits(part_copy_sha256=True, verifies_sha256=True, conditional_put=True),
]


class Quiet:
    def start(self, phase, objects=None, size=None):
        return self

    def advance(self, objects=0, size=0):
        pass

    def done(self):
        pass


@pytest.fixture(params=TRAITS, ids=["streams", "versions", "parts"])
def promoter(request, lab):
    return make(lab, request.param)


def make(lab, traits=TRAITS[0], node="site-b", target=None):
    target = target or MemoryStore("publication", traits=traits)
    return Promoter(
        repo=lab.repo,
        trust_root=lab.trust_root,
        memory=Memory(),
        clock=lab.clock,
        signer=Key(node),
        node=node,
        source=MemoryStore("internal", traits=traits),
        targets={TIER: Target(target, "s3://pub/x", "http://127.0.0.1:1/")},
        jobs=4,
        progress=Quiet(),
        checks=Sandbox({}),
    )


def hold(store, *datas):
    for data in datas:
        store.put(layout.data_key(md5_hex(data)), [data], digest(data), overwrite=True)


def land(lab, promoter, data=b"a,b\n1,2\n", path="outputs/a.csv"):
    hold(promoter.source, data)
    return lab.landed(path, data)


def land_folder(lab, promoter, files, path="outputs/folder"):
    hold(promoter.source, *files.values())
    listing = encode_dir((name, md5_hex(data)) for name, data in files.items())
    sums = encode_sums((name, sha256_hex(data)) for name, data in files.items())
    for key, data in (
        (layout.sums_key(sha256_hex(sums)), sums),
        (layout.data_key(md5_hex(listing), is_dir=True), listing),
    ):
        promoter.source.put(key, [data], digest(data), overwrite=True)
    size = sum(map(len, files.values()))
    out = Output(
        path=path.rsplit("/", 1)[-1], md5=md5_hex(listing), size=size, nfiles=len(files), is_dir=True
    )
    candidate = propose.Candidate(
        path,
        md5_hex(listing),
        sha256_hex(sums),
        size,
        len(files),
        encode_metafile(out),
        DirObject(sha256=sha256_hex(listing), size=len(listing)),
    )
    ident = propose.propose(
        lab.view(), [candidate], Key("site-b"), node="site-b", tier=TIER, message="m", checks=[],
        provenance=Provenance(), now=lab.now,
    ).id  # fmt: skip
    lab.decide(ident, "alice", "bob")
    lab.merge(ident)
    return ident


def keys(store):
    return {one.key for one in store.list("")}


def test_a_file_and_a_folder(lab, promoter):
    one = land(lab, promoter)
    files = {f"part-{number}": bytes([number]) * 100 for number in range(12)} | {
        "deep/er": b"x",
        "empty": b"",
    }
    two = land_folder(lab, promoter, files)
    done = {result.id: result for result in promoter.run()}
    assert {ident: str(result.state) for ident, result in done.items()} == {
        one: "PUBLISHED",
        two: "PUBLISHED",
    }
    target = promoter.targets[TIER].store
    assert keys(target) == keys(promoter.source)
    for key in keys(target):
        assert b"".join(target.get(key)) == b"".join(promoter.source.get(key))
    assert promoter.run() == []
    view = lab.view()
    assert view.broken == {}
    assert [entry.body.kind for entry in view.publications[TIER].entries] == ["genesis", "publish", "publish"]
    assert lab.state(one) == lab.state(two) == "PUBLISHED"
    again = promoter.run([one])
    assert again[0].commit is None
    assert again[0].error is None


def test_the_published_tree_is_policy_metafiles_records_and_ledger(lab, promoter):
    ident = land(lab, promoter)
    promoter.run()
    tree = set(lab.repo.tree(lab.tip(PUBLISHED)))
    assert tree == {
        *layout.POLICY_FILES,
        layout.metafile("site-b", "outputs/a.csv"),
        layout.manifest_path(ident),
        layout.decision_path(ident, "alice", 1),
        layout.decision_path(ident, "bob", 1),
        layout.receipt_path(ident),
        layout.crate_path(ident),
        layout.ledger_path(0),
        layout.ledger_path(1),
    }


def test_published_already_is_decided_from_git_alone(lab):
    """No store is asked anything."""
    promoter = make(lab)
    ident = land(lab, promoter)
    promoter.run()

    class Untouched:
        def __getattr__(self, name):
            raise AssertionError(f"the store was asked: {name}")

    target = replace(promoter.targets[TIER], store=Untouched())
    idle = replace(promoter, source=Untouched(), targets={TIER: target})
    assert idle.run() == []
    (done,) = idle.run([ident])
    assert (done.commit, done.error, str(done.state)) == (None, None, "PUBLISHED")


def test_what_is_found_is_proven(lab, promoter):
    data = b"a,b\n1,2\n"
    land(lab, promoter, data)
    hold(promoter.targets[TIER].store, data)
    (done,) = promoter.run()
    assert (done.artifacts[0].found, done.artifacts[0].copied) == (1, 0)


@pytest.mark.parametrize("where", ["source", "target"])
def test_a_twin_is_refused_and_nothing_is_published(lab, promoter, where):
    land(lab, promoter, twins.A, "outputs/twin.bin")
    target = promoter.targets[TIER].store
    store = promoter.source if where == "source" else target
    key = layout.data_key(md5_hex(twins.A))
    store.put(key, [twins.B], digest(twins.B), overwrite=True)
    (done,) = promoter.run()
    assert isinstance(done.error, Corrupt)
    assert lab.tip(PUBLISHED) == lab.view().publications[TIER].tip
    assert len(lab.view().publications[TIER].entries) == 1
    if where == "source":
        assert target.head(key) is None
        hold(promoter.source, twins.A)
        assert promoter.run()[0].error is None


class Swapping:
    """A target to which copies begin after an attacker has swapped the source's object."""

    def __init__(self, inner, source):
        self._inner, self._source = inner, source

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def copy_from(self, source, key, want, **options):
        self._source.put(key, [twins.B], digest(twins.B), overwrite=True)
        return self._inner.copy_from(source, key, want, **options)


def test_a_swap_between_check_and_copy(lab, promoter):
    land(lab, promoter, twins.A, "outputs/twin.bin")
    target = promoter.targets[TIER]
    racing = replace(target, store=Swapping(target.store, promoter.source))
    (done,) = replace(promoter, targets={TIER: racing}).run()
    assert isinstance(done.error, Corrupt)
    assert target.store.head(layout.data_key(md5_hex(twins.A))) is None


def test_lists_of_a_folder_are_hostile(lab, promoter):
    files = {"a": b"a", "b": b"b"}
    ident = land_folder(lab, promoter, files)
    case = lab.view().find(ident)
    evil = b'[{"md5": "' + b"0" * 32 + b'", "relpath": "../../x"}]'
    artifact = case.manifest.body.artifacts[0]
    for key in (layout.data_key(artifact.md5, is_dir=True), layout.sums_key(case.manifest.subjects[0].value)):
        before = b"".join(promoter.source.get(key))
        promoter.source.put(key, [evil], digest(evil), overwrite=True)
        (done,) = promoter.run()
        assert isinstance(done.error, Corrupt)
        promoter.source.put(key, [before], digest(before), overwrite=True)
    assert promoter.run()[0].error is None


def test_a_missing_object_is_named(lab, promoter):
    ident = land(lab, promoter)
    promoter.source.delete(layout.data_key(md5_hex(b"a,b\n1,2\n")))
    (done,) = promoter.run([ident])
    assert isinstance(done.error, NotFound)
    assert "placet push outputs/a.csv" in done.error.mend


def test_only_what_landed_with_approval_is_promoted(lab, promoter):
    hold(promoter.source, b"x")
    ident = lab.decide(lab.propose("outputs/x", b"x"), "alice")
    assert isinstance(promoter.run([ident])[0].error, Refused)
    tree = lab.repo.tree(lab.branch(ident))
    lab.force(MAIN, lab.commit(lab.tip(), dict(tree.items())))
    (done,) = promoter.run()
    assert isinstance(done.error, Refused)
    assert "1 of 2 approvals are missing" in done.error.why
    lab.decide(ident, "bob")
    assert promoter.run()[0].error is None


def test_another_nodes_proposal_is_not_ours(lab, promoter):
    ident = lab.landed(node="site-a")
    assert promoter.run() == []
    assert isinstance(promoter.run([ident])[0].error, Refused)


def test_a_tier_at_another_place_is_refused(lab, promoter):
    land(lab, promoter)
    target = promoter.targets[TIER]
    for other in (replace(target, url="s3://evil/x"), replace(target, endpointurl="http://evil")):
        (done,) = replace(promoter, targets={TIER: other}).run()
        assert isinstance(done.error, Refused)
        assert done.error.kind == "tier-mismatch"
    (done,) = replace(promoter, targets={}).run()
    assert isinstance(done.error, NotFound)
    (done,) = replace(promoter, targets={TIER: replace(target, store=promoter.source)}).run()
    assert isinstance(done.error, Refused)


def test_expiry_in_the_middle(lab, promoter):
    land(lab, promoter)

    class Slow(Quiet):
        def done(self):
            lab.later(days=31)

    (done,) = replace(promoter, progress=Slow()).run()
    assert isinstance(done.error, Refused)
    assert "EXPIRED" in done.error.what
    assert len(lab.view().publications[TIER].entries) == 1


def test_a_policy_is_followed_by_an_entry_of_its_own(lab, promoter):
    land(lab, promoter)
    promoter.run()
    policy = lab.change_policy(("expires_days: 30", "expires_days: 20"))
    lab.change_policy(("expires_days: 20", "expires_days: 10"))
    two = land(lab, promoter, b"two", "outputs/two")
    assert [one.id for one in promoter.run()] == [two]
    publication = lab.view().publications[TIER]
    assert [entry.body.kind for entry in publication.entries] == [
        "genesis",
        "publish",
        "policy",
        "policy",
        "publish",
    ]
    assert publication.entries[2].body.proposal == policy
    assert lab.state(policy) == "SUPERSEDED"
    assert lab.view().broken == {}


def test_a_new_version_supersedes_and_both_stay(lab, promoter):
    first = land(lab, promoter, b"one")
    promoter.run()
    second = land(lab, promoter, b"two")
    promoter.run()
    assert (lab.state(first), lab.state(second)) == ("SUPERSEDED", "PUBLISHED")
    assert lab.view().broken == {}


def test_versions_that_landed_before_promotion_never_put_old_bytes_back(lab, promoter):
    first = land(lab, promoter, b"one")
    second = land(lab, promoter, b"two")
    assert [one.id for one in promoter.run()] == [second]
    assert isinstance(promoter.run([first])[0].error, Refused)


def test_two_agents_at_once_make_one_commit(lab, promoter, tmp_path):
    for number in range(3):
        land(lab, promoter, bytes([number]) * 9, f"outputs/{number}")
    results, errors = [], []

    def work():
        try:
            results.append(replace(promoter, memory=Memory()).run())
        except Exception as error:  # noqa: BLE001 - asserted below
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [one.error for result in results for one in result] == [None] * sum(map(len, results))
    publication = lab.view().publications[TIER]
    assert sorted(entry.body.kind for entry in publication.entries) == [
        "genesis",
        "publish",
        "publish",
        "publish",
    ]


def test_a_push_that_always_loses_says_so(lab, promoter, monkeypatch):
    land(lab, promoter)
    monkeypatch.setattr(promoting, "_RACES", 2)

    def lose(self, *_args, **_kwargs):
        raise Conflict("moved", kind="ref-moved")

    monkeypatch.setattr(Promoter, "_record", lose)
    (done,) = promoter.run()
    assert isinstance(done.error, Conflict)


HAND = {
    "a file more": lambda lab, tree: {"README.md": b"x"},
    "a metafile less": lambda lab, tree: {layout.metafile("site-b", "outputs/a.csv"): None},
    "a record less": lambda lab, tree: {next(path for path in tree if "bob-1" in path): None},
    "a policy changed": lambda lab, tree: {layout.POLICY: b"x"},
    "an entry changed": lambda lab, tree: {layout.ledger_path(0): tree[layout.ledger_path(1)]},
    "an old entry again": lambda lab, tree: {layout.ledger_path(2): tree[layout.ledger_path(1)]},
    "no entry": lambda lab, tree: {},
}


@pytest.mark.parametrize("what", HAND)
def test_a_hand_made_published_commit_does_not_recompute(lab, what):
    promoter = make(lab)
    land(lab, promoter)
    promoter.run()
    tip = lab.tip(PUBLISHED)
    evil = lab.commit(tip, HAND[what](lab, lab.repo.tree(tip)), lab.tip(), message=f"publish {'0' * 32}")
    with pytest.raises(Refused):
        lab.judge(RefUpdate(PUBLISHED, tip, evil))
    lab.force(PUBLISHED, evil)
    assert isinstance(lab.view().broken[TIER], Corrupt)
    land(lab, promoter, b"more", "outputs/more")
    with pytest.raises(Corrupt):
        promoter.run()
    lab.force(PUBLISHED, tip)
    assert promoter.run()[0].error is None


def test_agents_write_what_the_gate_lets_pass_and_nobody_elses_entry(lab, monkeypatch):
    promoter = make(lab)
    land(lab, promoter)
    before = lab.tip(PUBLISHED)
    promoter.run()
    after = lab.tip(PUBLISHED)
    lab.force(PUBLISHED, before)
    lab.repo.fetch()
    lab.judge(RefUpdate(PUBLISHED, before, after))
    stranger = replace(promoter, signer=Key("site-a"))
    with pytest.raises(Refused, match="does not know this key"):
        stranger.run()
    monkeypatch.setattr(promoting, "_require_key", lambda *_: None)
    stranger.run()
    evil = lab.tip(PUBLISHED)
    lab.force(PUBLISHED, before)
    lab.repo.fetch()
    with pytest.raises(Refused):
        lab.judge(RefUpdate(PUBLISHED, before, evil))


def test_a_revoked_node_key_publishes_no_more(lab):
    promoter = make(lab)
    land(lab, promoter)
    before = lab.tip(PUBLISHED)
    promoter.run()
    after = lab.tip(PUBLISHED)
    lab.change_policy((Key("site-b").public, Key("site-b-new").public))
    lab.force(PUBLISHED, before)
    lab.repo.fetch()
    with pytest.raises(Refused, match="published") as caught:
        lab.judge(RefUpdate(PUBLISHED, before, after))
    assert "revoked" in caught.value.why


def report(lab, root=None, targets=()):
    return verify(lab.view(), tier=TIER, root=root, targets=targets, now=lab.now, jobs=2, progress=Quiet())


def test_verify_walks_from_the_bytes_to_the_trust_root(lab, tmp_path):
    promoter = make(lab)
    files = {"a": b"a", "sub/b": b"b"}
    folder, one = land_folder(lab, promoter, files), land(lab, promoter, b"data")
    promoter.run()
    clone = tmp_path / "clone"
    for path, entry in lab.repo.tree(lab.tip(PUBLISHED)).items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_bytes(lab.repo.read(entry.blob, 1 << 20))
    assert [artifact.data for artifact in report(lab, clone).artifacts] == ["not-pulled", "not-pulled"]
    base = clone / "artifacts/site-b/outputs"
    (base / "a.csv").write_bytes(b"data")
    for name, data in files.items():
        (base / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "folder" / name).write_bytes(data)
    found = report(lab, clone)
    assert found.ok
    assert [artifact.data for artifact in found.artifacts] == ["verified", "verified"]
    assert found.artifacts[0].approvals == ("alice (bytes)", "bob (bytes)")
    assert (found.trust_root, found.policies, found.entries) == (lab.trust_root, 1, 3)
    assert [one.path for one in report(lab, clone, [folder[:8]]).artifacts] == [
        "artifacts/site-b/outputs/folder"
    ]
    assert len(report(lab, clone, ["artifacts/site-b"]).artifacts) == 2
    assert report(lab, None, [one]).ok
    with pytest.raises(NotFound):
        report(lab, clone, ["artifacts/none"])
    for path, data in (
        (base / "folder" / "sub/b", b"c"),
        (base / "folder" / "more", b"x"),
        (base / "a.csv", b"tada"),
    ):
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(data)
        assert not report(lab, clone).ok
        path.unlink() if before is None else path.write_bytes(before)
    metafile = clone / layout.metafile("site-b", "outputs/a.csv")
    metafile.write_bytes(metafile.read_bytes() + b"# hi\n")
    assert "not the approved one" in report(lab, clone).problems[0]


def test_verify_tells_age_and_fails_above_the_limit(tmp_path):
    from governance.lab import Lab

    lab = Lab.make(
        tmp_path,
        ('endpointurl: "http://127.0.0.1:1"}', 'endpointurl: "http://127.0.0.1:1", max_age_days: 3}'),
    )
    lab.later(days=2)
    assert report(lab).age_s == 2 * 86400
    assert report(lab).ok
    lab.later(days=2)
    assert not report(lab).ok
    assert lab.now > NOW
    lab.repo.close()
