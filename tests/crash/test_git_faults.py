"""Git in trouble: a copy that is damaged, a server that is down or was rolled back, ten who push at once."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from crash.watch import GIT, git
from governance.lab import ENV, MAIN, PUBLISHED, TIER, Lab
from governance.test_promote import land, make
from placet.adapters.git import GitRepo
from placet.errors import Corrupt, Unavailable
from placet.testing.gitserver import GitServer


@pytest.fixture
def lab(tmp_path):
    made = Lab.make(tmp_path)
    yield made
    made.repo.close()


def loose(lab):
    """The copy's objects as files of their own, as small fetches leave them."""
    cache = lab.folder / "cache.git"
    for pack in (cache / "objects" / "pack").glob("*.pack"):
        with pack.rename(cache / pack.name).open("rb") as stream:
            command = ["git", "--git-dir", str(cache), "unpack-objects", "-q"]
            subprocess.run(command, env=GIT, stdin=stream, check=True)
    for one in (cache / "objects" / "pack").iterdir():
        one.unlink()


def forget(lab, ident):
    loose(lab)
    (lab.folder / "cache.git" / "objects" / ident[:2] / ident[2:]).unlink()


def packed(lab):
    cache = lab.folder / "cache.git"
    git(cache, "repack", "-q", "-a", "-d", "--window=0")
    (pack,) = (cache / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    return pack


def truncated_pack(lab):
    pack = packed(lab)
    os.truncate(pack, pack.stat().st_size // 2)


def flipped_pack(lab):
    pack = packed(lab)
    data = bytearray(pack.read_bytes())
    data[len(data) // 3] ^= 1
    pack.write_bytes(data)


def flipped_object(lab):
    loose(lab)
    ident = git(lab.folder / "cache.git", "rev-parse", f"{PUBLISHED}:.placet/policy.yaml").decode().strip()
    file = lab.folder / "cache.git" / "objects" / ident[:2] / ident[2:]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-9])


def missing(ref, path):
    def damage(lab):
        spec = f"{ref}:{path}" if path else ref
        forget(lab, git(lab.folder / "cache.git", "rev-parse", spec).decode().strip())

    return damage


def missing_in_a_proposal(lab):
    refs = git(
        lab.folder / "cache.git", "for-each-ref", "--format=%(refname)", "refs/heads/proposals"
    ).decode()
    missing(refs.splitlines()[-1], "artifacts")(lab)


def ref(name, text):
    def damage(lab):
        cache = lab.folder / "cache.git"
        file = cache / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return damage


def folder(change):
    return lambda lab: change(lab.folder / "cache.git")


def emptied(cache):
    shutil.rmtree(cache)
    cache.mkdir()


DAMAGES = {
    "a pack cut off": truncated_pack,
    "a bit of a pack": flipped_pack,
    "an object cut off": flipped_object,
    "the newest commit of main gone": missing(MAIN, ""),
    "an old commit of main gone": missing(f"{MAIN}~1", ""),
    "a tree of main gone": missing(MAIN, "artifacts"),
    "the policy gone": missing(MAIN, ".placet/policy.yaml"),
    "a published entry gone": missing(PUBLISHED, ".placet/ledger/0/1.json"),
    "a proposal's tree gone": missing_in_a_proposal,
    "main is garbage": ref(MAIN, "garbage\n"),
    "main is empty, as after a power cut": ref(MAIN, ""),
    "published is garbage": ref(PUBLISHED, "garbage\n"),
    "main names what is not there": ref(MAIN, "1" * 40 + "\n"),
    "a garbage ref of a proposal": ref("refs/heads/proposals/" + "0" * 32, "x"),
    "a lock of main left behind": ref(f"{MAIN}.lock", ""),
    "a lock of the packed refs left behind": ref("packed-refs.lock", ""),
    "a lock of a branch left behind": ref(f"{PUBLISHED}.lock", "1" * 40),
    "a fetch that was interrupted": ref("objects/pack/tmp_pack_x1y2z3", "PACK"),
    "no HEAD": folder(lambda cache: (cache / "HEAD").unlink()),
    "HEAD is empty": folder(lambda cache: (cache / "HEAD").write_text("")),
    "no folder of refs": folder(lambda cache: shutil.rmtree(cache / "refs")),
    "an empty folder": folder(emptied),
    "no folder": folder(shutil.rmtree),
}


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A repository with something of everything, whose copy lags behind the server: there are refs to move."""
    lab = Lab.make(tmp_path_factory.mktemp("grown"))
    promoter = make(lab)
    land(lab, promoter)
    promoter.run()
    land(lab, promoter, b"two", "outputs/two")
    lab.propose("outputs/three", b"three")
    shutil.copytree(lab.folder / "cache.git", lab.folder / "lagging.git")
    lab.propose("outputs/four", b"four", node="site-a")
    land(lab, promoter, b"five", "outputs/five")
    promoter.run()
    lab.repo.close()
    return lab


def seen(view):
    return (
        view.main,
        {tier: one.tip for tier, one in view.publications.items()},
        view.branches,
        sorted(view.cases()),
        view.alarms,
        view.broken,
    )


@pytest.fixture(scope="module")
def truth(grown):
    """What a copy that was never damaged shows."""
    found = seen(grown.view())
    grown.repo.close()
    return found


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_copy_is_fetched_anew(grown, truth, name, tmp_path):
    for folder, kept in (("ctrl.git", "ctrl.git"), ("cache.git", "lagging.git")):
        shutil.copytree(grown.folder / kept, tmp_path / folder)
    lab = Lab(tmp_path, None, grown.trust_root)
    DAMAGES[name](lab)
    lab.repo = GitRepo.cache(tmp_path / "cache.git", str(tmp_path / "ctrl.git"), ENV)
    found = seen(lab.view())
    lab.repo.close()
    assert found == truth
    git(tmp_path / "cache.git", "fsck", "--full", "--strict")
    assert {one.name for one in tmp_path.iterdir()} == {"ctrl.git", "cache.git"}


def behind(lab):
    """Every branch as it is, and one step earlier."""
    cache = lab.folder / "cache.git"
    return {
        one: [git(cache, "rev-parse", f"{one}{at}").decode().strip() for at in ("", "~1")]
        for one in (MAIN, PUBLISHED)
    }


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "damaged"])
@pytest.mark.parametrize("branch", [MAIN, PUBLISHED])
def test_a_branch_that_was_rolled_back_stops_everything_until_it_is_moved_back(lab, branch, damaged):
    """What was seen is remembered outside the copy: to lose the copy, too, forgets nothing."""
    promoter = make(lab)
    land(lab, promoter)
    promoter.run()
    two = land(lab, promoter, b"two", "outputs/two")
    if branch == PUBLISHED:
        promoter.run()
        three = land(lab, promoter, b"three", "outputs/three")
    lab.view(promoter.memory)
    newest, older = behind(lab)[branch]
    lab.force(branch, older)
    if damaged:
        truncated_pack(lab)
    for _ in range(2):
        with pytest.raises(Corrupt, match="rolled back or rewritten"):
            promoter.run()
    assert lab.tip(branch) == older
    git(lab.folder / "ctrl.git", "update-ref", branch, newest)
    assert [(one.id, one.error) for one in promoter.run()] == [(three if branch == PUBLISHED else two, None)]
    assert lab.view(promoter.memory).alarms == []


def test_a_main_that_was_rewritten_promotes_nothing(lab):
    promoter = make(lab)
    land(lab, promoter)
    lab.view(promoter.memory)
    newest, older = behind(lab)[MAIN]
    tree = dict(lab.repo.tree(newest).items())
    lab.force(MAIN, lab.repo.commit(older, tree, parents=[older], message="x", author="x", when=lab.now))
    with pytest.raises(Corrupt, match="rolled back or rewritten"):
        promoter.run()
    assert [one.key for one in promoter.targets[TIER].store.list("")] == []
    git(lab.folder / "ctrl.git", "update-ref", MAIN, newest)
    assert [one.error for one in promoter.run()] == [None]


class Closing:
    """A target at whose first copy the forge goes down."""

    def __init__(self, inner, server):
        self._inner, self._server = inner, server

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def copy_from(self, source, key, want, **options):
        self._server.stop()
        return self._inner.copy_from(source, key, want, **options)


def test_a_forge_that_is_down_and_comes_back(lab, tmp_path):
    server = GitServer(tmp_path)
    remote = GitRepo.cache(tmp_path / "remote.git", server.url("ctrl.git"), ENV)
    promoter = replace(make(lab), repo=remote)
    ident = land(lab, promoter)
    with pytest.raises(Unavailable) as down:
        promoter.run()
    assert down.value.kind == "ctrl-unreachable"
    target = promoter.targets[TIER]
    with server:
        closing = replace(target, store=Closing(target.store, server))
        (done,) = replace(promoter, targets={TIER: closing}).run()
        assert (done.error.kind, lab.state(ident)) == ("ctrl-unreachable", "LANDED")
    with server:
        assert [one.error for one in promoter.run()] == [None]
        assert (lab.state(ident), promoter.run()) == ("PUBLISHED", [])
    remote.close()


class Deaf:
    """A copy that is told that its push failed, though the server did it."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def push(self, updates):
        self._inner.push(updates)
        raise Unavailable("The connection was lost.", kind="ctrl-unreachable")


def test_an_answer_of_the_forge_that_was_lost(lab):
    promoter = make(lab)
    ident = land(lab, promoter)
    (done,) = replace(promoter, repo=Deaf(lab.repo)).run()
    assert done.error.kind == "ctrl-unreachable"
    assert (lab.state(ident), promoter.run()) == ("PUBLISHED", [])
    assert len(lab.view().publications[TIER].entries) == 2
