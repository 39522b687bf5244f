"""The researcher's side of the firewall: a clone is believed only where it is what was published.

Real Git, real SeaweedFS; stock `dvc` shows that what Placet lets pass is right for it too.
"""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from governance.lab import ENV, PUBLISHED, TIER, Lab
from governance.test_promote import hold, land_folder, make
from placet.adapters import git_process
from placet.client import Client
from placet.config import Settings
from placet.core import layout
from placet.core.digest import digest, md5_hex, sha256_hex
from placet.core.dirobject import encode_dir
from placet.core.dvcfile import Output, encode_metafile
from placet.core.sums import encode_sums
from placet.dataplane import DataPlane
from placet.engine import clone as cloning
from placet.engine import rehash, worktree
from placet.engine.target import Target
from placet.errors import Corrupt, Invalid, NotFound, PlacetError, Refused
from placet.ports import TreeEntry
from placet.testing import twins
from placet.wire import ctrl
from placet.wire.data import open_store

FILE = b"a,b\n1,2\n"
FILES = {"one.csv": b"one", "deep/two.csv": b"two", "empty": b""}
DATA = "artifacts/site-b/outputs"
METAFILE = layout.metafile("site-b", "outputs/a.csv")


class Library:
    """A Ctrl repository with three artifacts in a real bucket, and researchers who clone it."""

    def __init__(self, folder, seaweed):
        self.remote = seaweed.remote("target")
        self.client = seaweed.server.client()
        url, endpoint = self.remote["url"], self.remote["endpointurl"]
        self.bucket, _, self.prefix = url.removeprefix("s3://").partition("/")
        self.lab = Lab.make(folder, ("s3://pub/x", url), ("http://127.0.0.1:1", endpoint))
        self.folder, self._clones = folder, 0
        store = open_store(self.remote)
        promoter = make(self.lab, target=store)
        promoter.targets[TIER] = Target(store, url, endpoint)
        hold(promoter.source, FILE, twins.A)
        for path, data in (("outputs/a.csv", FILE), ("outputs/twin.csv", twins.A)):
            self.lab.landed(path, data)
        land_folder(self.lab, promoter, FILES)
        assert [str(one.state) for one in promoter.run()] == ["PUBLISHED"] * 3
        self.published = self.lab.tip(PUBLISHED)

    @property
    def url(self):
        return str(self.folder / "ctrl.git")

    def clone(self, *options):
        self._clones += 1
        root = self.folder / f"clone-{self._clones}"
        git("clone", "-q", *options, self.url, str(root), cwd=self.folder)
        lines = [f"['remote \"{TIER}\"']"]
        lines += [f"    {key} = {self.remote[key]}" for key in ("access_key_id", "secret_access_key")]
        (root / ".dvc" / "config.local").write_text("\n".join(lines) + "\n")
        return root

    def researcher(self, root, **changes):
        settings = {"trust_root": self.lab.trust_root, "home": self.folder / "home", **changes}
        return Client(root, settings=Settings(root=root, **settings))

    @contextmanager
    def swapped(self, key, data):
        """Somebody who can write to the bucket puts other bytes under a key."""
        place = {"Bucket": self.bucket, "Key": f"{self.prefix}/{key}"}
        before = self.client.get_object(**place)["Body"].read()
        self.client.put_object(**place, Body=data)
        yield
        self.client.put_object(**place, Body=before)

    @contextmanager
    def forged(self, changes):
        """Somebody who has the Git server's files puts a commit on the published branch."""
        self.lab.force(PUBLISHED, self.lab.commit(self.published, changes))
        yield
        self.lab.force(PUBLISHED, self.published)


def git(*arguments, cwd):
    names = {f"GIT_{role}_{key}": "x" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env={**ENV, **names}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def dvc(*arguments, cwd):
    tool = Path(sys.executable).parent / "dvc"
    done = subprocess.run(
        [tool, *arguments], cwd=cwd, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def library(tmp_path_factory, seaweed):
    made = Library(tmp_path_factory.mktemp("library"), seaweed)
    yield made
    made.lab.repo.close()


@pytest.fixture
def root(library):
    return library.clone()


@pytest.fixture
def researcher(library, root):
    with library.researcher(root) as found:
        yield found


def refused(action, error, kind, words=""):
    with pytest.raises(error) as caught:
        action()
    assert caught.value.kind == kind, caught.value
    assert words in str(caught.value)
    return caught.value


def arrived(root):
    """Every file below `artifacts/` that is no metafile."""
    return sorted(
        path.relative_to(root / DATA).as_posix()
        for path in (root / "artifacts").rglob("*")
        if path.suffix != ".dvc" and not path.is_dir()
    )


EVERYTHING = sorted(["a.csv", "twin.csv", *(f"folder/{name}" for name in FILES)])


def test_what_was_published_is_pulled_and_stock_dvc_agrees(researcher, root):
    fetched, placed = researcher.pull()
    assert (fetched.objects, placed.files) == (5, 5)
    assert arrived(root) == EVERYTHING
    assert {name: (root / DATA / "folder" / name).read_bytes() for name in FILES} == FILES
    assert "up to date" in dvc("status", cwd=root)
    assert git("status", "--porcelain", cwd=root) == ""
    assert researcher.verify(fetch=False).ok
    again, same = researcher.pull()
    assert (again.objects, same.files, same.present) == (0, 0, 5)


def test_targets_as_in_dvc(library):
    root = library.clone()
    with library.researcher(root) as one:
        one.pull([root / METAFILE])
        assert arrived(root) == ["a.csv"]
        one.pull([root / DATA / "folder" / "deep"])
        assert arrived(root) == ["a.csv", "folder/deep/two.csv"]
        (root / DATA / "a.csv").unlink()
        assert one.checkout([root / DATA / "a.csv"]).files == 1
        refused(lambda: one.pull(["nothing"]), NotFound, "not-tracked")
        refused(lambda: one.pull(remote="internal-storage"), Refused, "not-a-tier")
        assert one.pull(remote=TIER)[0].present
    assert arrived(root) == EVERYTHING


def test_an_earlier_published_commit_is_what_was_published_then(library, root):
    git("checkout", "-q", "HEAD~1", cwd=root)
    with library.researcher(root) as one:
        one.pull()
    assert arrived(root) == ["a.csv", "twin.csv"]


def test_a_commit_that_was_not_published_is_not_believed(library, root):
    evil = encode_metafile(Output("a.csv", md5_hex(b"evil"), 4))
    (root / METAFILE).write_bytes(evil)
    git("commit", "-qam", "own", cwd=root)
    with library.researcher(root) as one:
        for action in (one.pull, one.fetch, one.checkout):
            refused(action, PlacetError, "published-branch")
    git("switch", "-q", "-c", "own", cwd=root)
    git("branch", "-q", "-f", "published", "origin/published", cwd=root)
    with library.researcher(root) as one:
        refused(one.pull, Refused, "not-published", "on no published branch")
    assert arrived(root) == []


@pytest.mark.parametrize(
    "changes",
    [
        {".dvc/config": b"['remote \"publication-storage\"']\n    url = s3://evil/x\n"},
        {".gitattributes": b"* filter=evil\n"},
        {".gitmodules": b'[submodule "x"]\n'},
        {".dvcignore": b"*\n"},
        {"dvc.yaml": b"stages: {x: {cmd: touch ran}}\n"},
        {f"{DATA}/a.csv.dvc": b"outs:\n- md5: 00000000000000000000000000000000\n  path: ../../../x\n"},
        {f"{DATA}/b.csv.dvc": encode_metafile(Output("b.csv", "0" * 32, 1))},
        {f"{DATA}/a.csv.dvc": None},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_hostile_server_reaches_nobody(library, changes):
    refused_by_a_clone(library, changes)


@pytest.mark.parametrize("mode", ["120000", "100755", "160000"])
def test_a_hostile_server_and_no_regular_files(library, mode):
    blob = library.lab.repo.tree(library.published)[METAFILE].blob if mode != "160000" else library.published
    refused_by_a_clone(library, {METAFILE: TreeEntry(mode, blob, 0)})
    refused_by_a_clone(library, {f"{DATA}/folder": TreeEntry(mode, blob, 0)})


def refused_by_a_clone(library, changes):
    with library.forged(changes):
        root = library.clone()
        with library.researcher(root) as one:
            refused(one.pull, Corrupt, "published-branch")
    assert not (root / ".dvc/cache").exists()


@pytest.mark.parametrize("path", [METAFILE, ".dvc/config", ".gitignore", ".dvc/.gitignore"])
def test_the_work_tree_must_be_as_published(library, root, path):
    right = (root / path).read_bytes()
    with library.researcher(root) as one:
        (root / path).write_bytes(right + b"# more\n")
        refused(one.pull, Corrupt, "clone-changed", path)
    with library.researcher(root) as one:
        (root / path).unlink()
        refused(one.pull, PlacetError, "clone-changed")
    with library.researcher(root) as one:
        (root / "elsewhere").write_bytes(right)
        (root / path).symlink_to(root / "elsewhere")
        refused(one.pull, Corrupt, "clone-changed", path)
    assert arrived(root) == []


def test_verify_says_so_too(library, root):
    with (root / ".dvc" / "config").open("a") as stream:
        stream.write("[cache]\n    type = copy\n")
    with library.researcher(root) as one:
        report = one.verify(fetch=False)
    assert not report.ok
    assert any(".dvc/config" in problem for problem in report.problems)


def test_without_the_guard_a_changed_configuration_would_be_obeyed(library, root, monkeypatch):
    monkeypatch.setattr(cloning, "require_as_published", lambda *_: None)
    config = root / ".dvc" / "config"
    config.write_text(config.read_text().replace(library.remote["url"], "s3://target/elsewhere"))
    with library.researcher(root) as one:
        refused(one.pull, NotFound, "no-object", "")


class Listener(ThreadingHTTPServer):
    """A server of somebody else's, which keeps what is sent to it."""

    def __init__(self):
        self.heard = []
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.heard.append(dict(self.headers))
        self.send_response(403)
        self.end_headers()

    do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815 - the names that http.server asks for

    def log_message(self, *_):
        pass


def test_no_credential_goes_where_a_changed_configuration_points(library, root, monkeypatch):
    config = root / ".dvc" / "config"
    with Listener() as server, library.researcher(root) as one:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        config.write_text(config.read_text().replace(library.remote["endpointurl"], endpoint))
        refused(lambda: one.push(remote=TIER), Corrupt, "clone-changed")
        refused(lambda: one.status(remote=TIER), Corrupt, "clone-changed")
        assert [found.level for found in one.doctor() if found.name == f"remote {TIER}"] == ["fail"]
        assert server.heard == []
        monkeypatch.setattr(ctrl, "require_known_config", lambda *_: None)
        with pytest.raises(PlacetError):
            one.push(remote=TIER)
        assert any("authorization" in map(str.lower, sent) for sent in server.heard)


def test_what_is_the_users_own_stays_so(library, root, tmp_path):
    with (root / ".dvc" / "config.local").open("a") as stream:
        stream.write(f"[cache]\n    dir = {tmp_path / 'shared'}\n    type = symlink\n")
    with library.researcher(root) as one:
        one.pull()
        assert (root / DATA / "a.csv").resolve().is_relative_to(tmp_path / "shared")
        report = one.verify(fetch=False)
        assert report.ok, report.problems
        assert [item.data for item in report.artifacts] == ["verified"] * 3


@pytest.mark.parametrize("where", ["artifacts", "artifacts/site-b", DATA])
def test_a_folder_that_is_a_link_is_not_gone_through(library, root, tmp_path, where):
    away = tmp_path / "away"
    (root / where).rename(away)
    (root / where).symlink_to(away)
    with library.researcher(root) as one:
        refused(one.pull, Invalid, "link-outside-workspace", where)
        assert not one.verify(fetch=False).ok
    assert not (away / "a.csv").exists()


@pytest.mark.parametrize("name", ["folder", "folder/deep"])
def test_a_link_where_a_directory_goes(library, root, tmp_path, name):
    away = tmp_path / "away"
    away.mkdir()
    (root / DATA / name).parent.mkdir(exist_ok=True)
    (root / DATA / name).symlink_to(away)
    with library.researcher(root) as one:
        refused(one.pull, Invalid, "link-outside-workspace")
    assert list(away.iterdir()) == []


def test_without_the_guard_verify_would_look_elsewhere(library, root, tmp_path, monkeypatch):
    """The bytes are right but not here: who owns that place can change them after the report."""
    with library.researcher(root) as one:
        one.pull()
        for name in ("a.csv", "folder"):
            (root / DATA / name).rename(tmp_path / name)
            (root / DATA / name).symlink_to(tmp_path / name)
        states = {item.path.rsplit("/", 1)[1]: item for item in one.verify(fetch=False).artifacts}
        assert [states[name].data for name in ("a.csv", "folder", "twin.csv")] == ["corrupt"] * 2 + [
            "verified"
        ]
        assert "link" in states["a.csv"].problem
        monkeypatch.setattr(worktree, "require_object", lambda *_: None)
        states = {item.path.rsplit("/", 1)[1]: item for item in one.verify(fetch=False).artifacts}
        assert states["a.csv"].data == "verified"


def test_without_the_guard_verify_would_go_through_a_linked_folder(library, root, tmp_path, monkeypatch):
    with library.researcher(root) as one:
        one.pull()
        (root / DATA).rename(tmp_path / "away")
        (root / DATA).symlink_to(tmp_path / "away")
        assert [item.data for item in one.verify(fetch=False).artifacts] == ["corrupt"] * 3
        monkeypatch.setattr(rehash, "require_no_link", lambda *_: None)
        assert [item.data for item in one.verify(fetch=False).artifacts] == ["verified"] * 3


def test_verify_waits_for_no_pipe_and_reads_no_device(library, root):
    with library.researcher(root) as one:
        one.pull()
        (root / DATA / "a.csv").unlink()
        os.mkfifo(root / DATA / "a.csv")
        (root / DATA / "folder" / "zero").symlink_to("/dev/zero")
        problems = " ".join(one.verify(fetch=False).problems)
    assert "a.csv is not a regular file" in problems
    assert "zero is a link" in problems


def swapped_listing(library, name):
    """A `.dir` object and digest list that name a path which must not be written."""
    listing = encode_dir([(name, md5_hex(FILE))])
    sums = encode_sums([(name, sha256_hex(FILE))])
    return listing, sums


@pytest.mark.parametrize(
    "name", ["../../../../../escaped", ".git/config", "x/.dvc/config", "dvc.yaml", "con"]
)
def test_other_lists_in_the_tier_write_nothing_outside(library, root, name):
    listing, sums = swapped_listing(library, name)
    good = encode_dir((one, md5_hex(data)) for one, data in FILES.items())
    of_files = encode_sums((one, sha256_hex(data)) for one, data in FILES.items())
    with (
        library.swapped(layout.data_key(md5_hex(good), is_dir=True), listing),
        library.swapped(layout.sums_key(sha256_hex(of_files)), sums),
        library.researcher(root) as one,
    ):
        error = refused(one.pull, Corrupt, "digest-mismatch")
    assert list(error.details["failed"]) == [f"{DATA}/folder"]
    assert arrived(root) == ["a.csv", "twin.csv"], "the other artifacts are not taken down"
    assert git("status", "--porcelain", cwd=root) == ""


def test_a_signed_list_with_such_a_path_is_refused_by_its_parser(library, monkeypatch):
    """A node that signs a hostile listing: its digests are right, so only the parser stands there."""
    for name in ("../x", ".git/hooks/post-checkout", "a\\b", "/etc/x", "NUL", "deep/" * 64 + "x", "x.dvc"):
        with pytest.raises(Invalid) as caught:
            cloning.from_lists(*signed(name))
        assert caught.value.kind == "dir-object"
    monkeypatch.setattr(layout, "forbidden_in_directory", lambda path, strict=True: None)
    assert cloning.from_lists(*signed(".git/hooks/post-checkout")).items


def signed(name):
    from placet.core.predicates import Artifact, DirObject

    listing = encode_dir([(name, md5_hex(FILE))])
    sums = b"%b  %b\n" % (sha256_hex(FILE).encode(), name.encode())
    of_dir = digest(listing)
    artifact = Artifact(
        path="outputs/x", md5=of_dir.md5, size=8, files=1, metafile="0" * 64,
        dir=DirObject(sha256=of_dir.sha256, size=len(listing)),
    )  # fmt: skip
    return artifact, sha256_hex(sums), sums, listing


def test_bytes_that_were_not_approved_are_never_placed(library, root):
    with library.swapped(layout.data_key(md5_hex(FILE)), b"other"), library.researcher(root) as one:
        refused(one.pull, Corrupt, "digest-mismatch")
    assert "a.csv" not in arrived(root)


def test_a_twin_in_the_tier_is_not_placed_though_its_md5_is_right(library, root):
    """Plain DVC has MD5 alone, with `verify = true` too."""
    key = layout.data_key(md5_hex(twins.A))
    with library.swapped(key, twins.B), library.researcher(root) as one:
        refused(one.pull, Corrupt, "digest-mismatch")
        assert "twin.csv" not in arrived(root)
        dvc("pull", "-q", cwd=root)
        assert (root / DATA / "twin.csv").read_bytes() == twins.B
        refused(lambda: one.checkout(force=True), Corrupt, "digest-mismatch", "in the cache")
        assert not (root / ".dvc/cache" / key).exists()
    with library.researcher(root) as one:
        error = refused(one.pull, Corrupt, "digest-mismatch", "It was removed")
        assert "twin.csv" in error.what
        one.pull()
    assert (root / DATA / "twin.csv").read_bytes() == twins.A


def test_without_the_guards_the_twin_would_be_placed(library, root, monkeypatch):
    with library.researcher(root) as one:
        one.fetch()
        key = layout.data_key(md5_hex(twins.A))
        (root / ".dvc/cache" / key).unlink()
        (root / ".dvc/cache" / key).write_bytes(twins.B)
        for guard in ("require_proven", "require_approved"):
            monkeypatch.setattr(cloning, guard, lambda *_: None)
        one.checkout()
    assert (root / DATA / "twin.csv").read_bytes() == twins.B


def test_a_twin_that_lies_at_its_place_already(library, root, monkeypatch):
    """DVC and a comparison by MD5 find it right."""
    data = root / DATA / "twin.csv"
    with library.researcher(root) as one:
        one.pull()
        data.unlink()
        data.write_bytes(twins.B)
        with monkeypatch.context() as patch:
            patch.setattr(cloning, "require_approved", lambda *_: None)
            one.checkout()
            assert data.read_bytes() == twins.B
        refused(one.checkout, Corrupt, "digest-mismatch", "It was removed")
        assert not data.exists()
        one.checkout()
    assert data.read_bytes() == twins.A


def test_a_clone_of_the_published_branch_alone(library):
    root = library.clone("--single-branch")
    with library.researcher(root) as one:
        one.pull()
        assert one.verify(fetch=False).ok
    assert arrived(root) == EVERYTHING


def test_pulling_asks_no_git_server(library, root):
    git("remote", "set-url", "origin", "ext::touch% ran", cwd=root)
    with library.researcher(root) as one:
        one.pull()
    assert not (root / "ran").exists()
    assert arrived(root) == EVERYTHING


def test_another_trust_root_admits_nothing(library, root):
    with library.researcher(root, trust_root="0" * 64) as one:
        refused(one.pull, Corrupt, "trust-root")


def test_the_plain_data_plane_does_not_work_in_a_clone(library, root):
    with DataPlane(root, settings=Settings(root=root, home=library.folder / "home")) as plane:
        for action in (plane.pull, plane.fetch, plane.checkout, plane.push):
            refused(action, Refused, "governed-clone")


def test_a_known_clone_without_a_policy_is_no_plain_project(library, root):
    with library.researcher(root) as one:
        one.fetch()
    git("rm", "-q", ".placet/policy.yaml", cwd=root)
    with library.researcher(root) as one:
        refused(one.pull, Corrupt, "clone-changed", "holds no .placet/policy.yaml")


def test_the_command_is_governed(library, root):
    tool = [sys.executable, "-m", "placet"]
    env = {
        **os.environ,
        "PLACET_HOME": str(library.folder / "home"),
        "PLACET_TRUST_ROOT": library.lab.trust_root,
    }
    done = subprocess.run([*tool, "pull"], cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert arrived(root) == EVERYTHING
    (root / METAFILE).write_bytes(b"x")
    done = subprocess.run([*tool, "pull"], cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 13
    assert METAFILE in done.stderr


HOSTILE = """
[core]
    fsmonitor = "{ran}"
    sshCommand = "{ran}"
    hooksPath = {hooks}
    pager = "{ran}"
    editor = "{ran}"
    gitProxy = "{ran}"
    alternateRefsCommand = "{ran}"
    attributesFile = {hooks}/attributes
[filter "evil"]
    clean = "{ran}"
    smudge = "{ran}"
    process = "{ran}"
    required = true
[diff]
    external = "{ran}"
[diff "evil"]
    textconv = "{ran}"
[protocol]
    allow = always
[extensions]
    partialClone = origin
[remote "origin"]
    promisor = true
    uploadpack = "{ran}"
[credential]
    helper = "!{ran}"
[gpg]
    program = "{ran}"
"""


def test_a_hostile_clone_configuration_starts_nothing_offline(library, root, tmp_path, monkeypatch):
    """Also where objects are missing, for which Git would ask the clone's own remote by the way."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    ran = tmp_path / "ran"
    script = hooks / "evil"
    script.write_text(f'#!/bin/sh\necho "$0 $@" >> {ran}\n')
    script.chmod(0o755)
    for hook in (
        "post-checkout",
        "reference-transaction",
        "pre-push",
        "post-index-change",
        "fsmonitor-watchman",
    ):
        (hooks / hook).symlink_to(script)
    (hooks / "attributes").write_text("* filter=evil diff=evil\n")
    (root / ".git/info/attributes").write_text("* filter=evil diff=evil\n")
    with (root / ".git/config").open("a") as stream:
        stream.write(HOSTILE.format(ran=script, hooks=hooks))
    with library.researcher(root) as one:
        one.pull()
        assert one.verify(fetch=False).ok
        one.status()
    assert not ran.exists(), ran.read_text()
    manifest = next(
        path for path in library.lab.repo.tree(library.published) if path.endswith("manifest.json")
    )
    lose(root, manifest)
    with library.researcher(root) as one:
        refused(lambda: one.verify(fetch=False), NotFound, "no-blob")
    assert not ran.exists(), ran.read_text()
    monkeypatch.setattr(git_process, "offline", dict)
    with library.researcher(root) as one, pytest.raises(PlacetError):
        one.verify(fetch=False)
    assert ran.exists(), "without the guard Git starts what the clone names"


def lose(root, path):
    """Remove the object of a file from the clone."""
    blob = git("rev-parse", f"HEAD:{path}", cwd=root)
    (root / ".git/objects" / blob[:2] / blob[2:]).unlink()


def test_replaced_grafted_and_cut_histories_are_not_believed(library, root):
    git("fetch", "-q", "origin", "main", cwd=root)
    tip = git("rev-parse", "HEAD", cwd=root)
    forged = git("commit-tree", f"{tip}^{{tree}}", "-m", "forged", cwd=root)
    git("replace", tip, forged, cwd=root)
    with library.researcher(root) as one:
        one.pull()
    git("replace", "-d", tip, cwd=root)
    (root / ".git/info/grafts").write_text(f"{tip}\n")
    with library.researcher(root) as one:
        assert one.verify(fetch=False).ok


def test_a_shallow_clone_is_refused(library, tmp_path):
    git("clone", "-q", "--depth", "1", f"file://{library.url}", str(tmp_path / "cut"), cwd=tmp_path)
    with library.researcher(tmp_path / "cut") as one:
        refused(one.pull, PlacetError, "shallow-clone")
