"""What was kept elsewhere becomes a workspace's: by stock DVC's judgement, again and again, after every fault."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from stock import FolderStore, Project

from governance.nodes import Site
from placet import Client
from placet.core.adoption import FILE, Adopted, Version, encoded, merged, read_adopted
from placet.core.digest import digest, sha256_hex
from placet.core.lfs import Pointer, read_pointer
from placet.engine import adopt
from placet.errors import Invalid
from servers import listening

ROOT = Path(__file__).resolve().parent.parent.parent


def tree(folder: Path) -> dict[str, bytes]:
    return {
        one.relative_to(folder).as_posix(): one.read_bytes()
        for one in sorted(folder.rglob("*"))
        if one.is_file()
    }


def adopted(project: Project, *argv: str, expect: int = 0) -> dict:
    done = project.start("placet", "adopt", *argv, "--json")
    assert done.returncode == expect, (done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.fixture
def past(new_project) -> Project:
    """A project with a history: a file of three versions, a directory of two, on a branch and a tag too."""
    project = new_project("past")
    old = project.root.parent / "old"
    project.dvc("remote", "add", "-q", "-d", "old", str(old))
    (project.root / "placet.toml").write_text('internal = "internal-storage"\n')
    (project.root / "d").mkdir()
    for number in range(3):
        (project.root / "a.csv").write_text(f"a,b\n{number},{number}\n")
        (project.root / "d" / "same").write_text("same")
        (project.root / "d" / f"f{min(number, 1)}").write_text(f"x{min(number, 1)}")
        project.dvc("add", "-q", "a.csv", "d")
        project.commit()
        project.dvc("push", "-q")
        project.git("tag", f"v{number}")
    project.git("checkout", "-q", "-b", "side", "v1")
    (project.root / "b.csv").write_text("b\n1\n")
    project.dvc("add", "-q", "b.csv")
    project.commit()
    project.dvc("push", "-q")
    project.git("checkout", "-q", "main")
    project.dvc("checkout", "-q")
    return project


def test_every_version_of_a_dvc_project_comes(past):
    before = past.git("rev-parse", "--all"), past.git("status", "--porcelain")
    found = adopted(past, "dvc", "--dry-run")
    assert (found["dry"], found["new"], found["present"]) == (True, 6, 0)
    assert not past.remote.exists() and not (past.root / FILE).exists()
    found = adopted(past, "dvc")
    assert (found["new"], found["present"], found["left"], found["failed"]) == (6, 0, [], [])
    assert {one["standing"] for one in found["versions"]} == {"never approved"}
    assert sorted({one["path"] for one in found["versions"]}) == ["a.csv", "b.csv", "d"]
    assert all(len(one["sha256"]) == 64 for one in found["versions"])
    assert (
        past.git("rev-parse", "--all"),
        past.git("status", "--porcelain").replace(f"?? {FILE}\n", ""),
    ) == before
    shutil.rmtree(past.root.parent / "old")
    other = past.clone("other")
    for revision in ("v0", "v1", "v2", "side"):
        other.git("checkout", "-q", revision)
        other.dvc("pull", "-q", "-r", "internal-storage")
        past.git("checkout", "-q", revision)
        past.dvc("checkout", "-q")
        assert (other.root / "a.csv").read_bytes() == (past.root / "a.csv").read_bytes()
        assert tree(other.root / "d") == tree(past.root / "d")
    past.git("checkout", "-q", "main")
    record = (past.root / FILE).read_bytes()
    again = adopted(past, "dvc")
    assert (again["new"], again["present"]) == (0, 6)
    assert (past.root / FILE).read_bytes() == record
    shutil.rmtree(past.root / ".dvc" / "cache")
    adopted(past, "dvc")
    assert (past.root / FILE).read_bytes() == record


def test_what_is_lost_or_rotten_is_told_and_the_rest_comes(past):
    shutil.rmtree(past.root / ".dvc" / "cache")
    objects = FolderStore(past.root.parent / "old")
    lost = digest(b"a,b\n0,0\n").md5
    rotten = digest(b"a,b\n1,1\n").md5
    old = past.root.parent / "old" / "files" / "md5"
    (old / lost[:2] / lost[2:]).unlink()
    bad = old / rotten[:2] / rotten[2:]
    bad.chmod(0o644)
    bad.write_bytes(b"a,b\n9,9\n")
    assert objects
    found = adopted(past, "dvc", expect=3)
    failed = {one["path"]: one["reason"] for one in found["failed"]}
    assert failed.keys() == {f"a.csv @ {lost[:12]}", f"a.csv @ {rotten[:12]}"}
    assert "nowhere" in failed[f"a.csv @ {lost[:12]}"] and found["new"] == 4
    inside = past.remote / "files" / "md5" / rotten[:2] / rotten[2:]
    assert not inside.exists()
    bad.write_bytes(b"a,b\n1,1\n")
    found = adopted(past, "dvc", expect=3)
    assert (found["new"], found["present"], len(found["failed"])) == (1, 4, 1)
    assert inside.read_bytes() == b"a,b\n1,1\n"


def test_a_remote_that_cannot_be_asked_is_named(past):
    shutil.rmtree(past.root / ".dvc" / "cache")
    past.dvc("remote", "add", "-q", "-f", "old", "s3://bucket/x")
    for key, value in {
        "endpointurl": "http://127.0.0.1:9",
        "access_key_id": "a",
        "secret_access_key": "b",
    }.items():
        past.dvc("remote", "modify", "-q", "old", key, value)
    found = adopted(past, "dvc", "--dry-run", expect=3)
    assert len(found["failed"]) + len(found["left"]) == 6
    assert all("old could not be asked" in one["reason"] for one in found["failed"])


def test_nothing_is_adopted_into_a_clone_of_a_ctrl_repository(project, clone):
    (project.root / ".placet").mkdir()
    (project.root / ".placet" / "policy.yaml").write_text("")
    for argv in (["dvc"], ["lfs", str(clone.root), "--to", "x"], ["bucket", "internal-storage", "--to", "x"]):
        assert adopted(project, *argv, expect=12)["kind"] == "governed-clone"


def test_the_old_remote_as_the_internal_tier_copies_nothing(past):
    (past.root / "placet.toml").write_text('internal = "old"\n')
    before = tree(past.root.parent / "old")
    found = adopted(past, "dvc")
    assert (found["new"], found["present"]) == (0, 6)
    after = tree(past.root.parent / "old")
    assert before.items() <= after.items()
    assert all(key.startswith("placet/sums/") for key in after.keys() - before.keys())


def test_what_has_no_objects_is_left_out(past):
    past.run("sh", "-c", "mkdir sub && echo hello > sub/kept")
    (past.root / "sub" / "kept.dvc").write_text(
        "outs:\n- path: kept\n  cache: false\n  md5: " + "0" * 32 + "\n  hash: md5\n"
    )
    (past.root / "odd.dvc").write_text("outs:\n- {path: odd, md5: 5")
    past.commit()
    (past.root / "odd.dvc").unlink()
    found = adopted(past, "dvc")
    left = {one["path"]: one["reason"] for one in found["left"]}
    assert any(path.startswith("sub/kept") and "cache: false" in why for path, why in left.items())
    assert any(path.startswith("odd.dvc") and "cannot be read" in why for path, why in left.items())
    assert found["new"] == 6


def test_in_a_folder_of_a_git_repository_and_without_one(new_project, tmp_path):
    project = new_project("mono")
    inner = project.root / "sub" / "node"
    inner.mkdir(parents=True)
    nested = Project(inner, project.env)
    nested.dvc("init", "-q", "--subdir")
    nested.dvc("remote", "add", "-q", "-d", "internal-storage", str(tmp_path / "tier"))
    (inner / "x.csv").write_text("x\n1\n")
    nested.dvc("add", "-q", "x.csv")
    project.commit()
    found = adopted(nested, "dvc")
    assert [(one["path"], one["standing"]) for one in found["versions"]] == [("x.csv", "never approved")]
    plain = Project(tmp_path / "plain", project.env)
    plain.root.mkdir()
    plain.dvc("init", "-q", "--no-scm")
    plain.dvc("remote", "add", "-q", "-d", "internal-storage", str(tmp_path / "tier2"))
    (plain.root / "x.csv").write_text("x\n1\n")
    plain.dvc("add", "-q", "x.csv")
    (one,) = adopted(plain, "dvc")["versions"]
    assert one["origin"] == "work tree"


def test_what_was_published_is_not_marked_as_never_approved(tmp_path, monkeypatch):
    site = Site(tmp_path)
    folder = site.machine("node", key=True)
    monkeypatch.setenv("PLACET_HOME", str(tmp_path / "home"))
    (folder / "outputs").mkdir()
    with Client(folder) as node:
        ids = {}
        for name in ("published", "open"):
            (folder / "outputs" / f"{name}.csv").write_text(f"a,b\n{name},1\n")
            ids[name] = node.propose([f"outputs/{name}.csv"], message="m").id
        (folder / "outputs" / "new.csv").write_text("a,b\nnew,1\n")
        node.track(["outputs/new.csv"])
        site.lab.clock.time = datetime.now(UTC)
        site.lab.decide(ids["published"], "alice", "bob")
        site.lab.merge(ids["published"])
        assert [one.error for one in node.promote()] == [None]
        found = {one.path: (one.standing, one.proposal, one.state) for one in node.adopt_dvc().versions}
    assert found == {
        "outputs/published.csv": ("published", ids["published"], "PUBLISHED"),
        "outputs/open.csv": ("never approved", ids["open"], "PROPOSED"),
        "outputs/new.csv": ("never approved", "", ""),
    }
    site.lab.repo.close()


# --- Git LFS -----------------------------------------------------------------------------------


def pointer(data: bytes) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
        sha256_hex(data).encode(),
        len(data),
    )


class LfsClone:
    """A clone of a Git LFS repository as its own client leaves it: pointers in Git, objects beside it."""

    def __init__(self, project: Project) -> None:
        self.root = project.root.parent / "lfs"
        self.root.mkdir()
        self.env = project.env
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", "t@placet.invalid")
        self.git("config", "user.name", "t")

    def git(self, *argv: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *argv], cwd=self.root, env=self.env, capture_output=True, input=stdin, check=True
        )
        return done.stdout.decode().strip()

    def put(self, path: str, data: bytes, *, kept: bool = True) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pointer(data))
        if kept:
            key = self.object(data)
            key.parent.mkdir(parents=True, exist_ok=True)
            key.write_bytes(data)

    def object(self, data: bytes) -> Path:
        return self.root / ".git" / "lfs" / "objects" / Pointer(sha256_hex(data), len(data)).key

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-qm", "step")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def clone(project) -> LfsClone:
    made = LfsClone(project)
    made.put("data/a.csv", b"a,b\n1,2\n")
    made.put("data/sub/é.bin", b"\0" * 3_000_000)
    (made.root / "README.md").write_text("no pointer")
    made.commit()
    return made


def test_files_of_git_lfs_come_and_are_tracked(project, clone):
    source = tree(clone.root)
    found = adopted(project, "lfs", str(clone.root), "--to", "imported", "--dry-run")
    assert (found["new"], found["present"], found["versions"]) == (2, 0, [])
    assert not (project.root / "imported").exists()
    found = adopted(project, "lfs", str(clone.root), "--to", "imported")
    assert (found["new"], found["size"], found["failed"]) == (2, 3_000_008, [])
    (one,) = found["versions"]
    assert (one["path"], one["files"], one["standing"]) == ("imported", 2, "never approved")
    assert one["origin"] == f"commit {clone.git('rev-parse', 'HEAD')}"
    assert tree(project.root / "imported") == {
        "data/a.csv": b"a,b\n1,2\n",
        "data/sub/é.bin": b"\0" * 3_000_000,
    }
    assert tree(clone.root) == source
    project.commit()
    other = project.clone("other")
    other.dvc("pull", "-q")
    assert tree(other.root / "imported") == tree(project.root / "imported")
    assert project.dvc("status").strip().endswith("up to date.")
    record = (project.root / FILE).read_bytes()
    again = adopted(project, "lfs", str(clone.root), "--to", "imported")
    assert (again["new"], again["present"]) == (0, 2) and (project.root / FILE).read_bytes() == record


def test_a_dry_run_knows_what_was_not_fetched(project, clone):
    clone.put("data/missing.csv", b"missing", kept=False)
    clone.commit()
    found = adopted(project, "lfs", str(clone.root), "--to", "in", "--dry-run", expect=3)
    (failed,) = found["failed"]
    assert (found["new"], failed["path"]) == (2, "data/missing.csv") and "lfs fetch --all" in failed["reason"]
    assert not (project.root / "in").exists()


def test_a_hostile_tree_and_a_pointer_to_what_nobody_has(project, clone):
    """Names that no Git client would check out, and a size that no disk holds: named, and nothing is written."""
    (blob,) = {clone.git("rev-parse", "HEAD:data/a.csv")}
    huge = pointer(b"x").replace(b"size 1\n", b"size 999999999999999999\n")
    vast = clone.git("hash-object", "-w", "--stdin", stdin=huge)

    def made(*entries):
        raw = b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(one)) for mode, name, one in entries)
        return clone.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)

    inner = made((b"100644", b"escape", blob))
    top = made(
        (b"40000", b"..", inner), (b"40000", b".git", inner), (b"100644", b"n" * 300, blob), (b"100644", b"ok", blob),
        (b"100644", b"vast", vast), (b"100644", b"\xff", blob),
    )  # fmt: skip
    commit = clone.git("commit-tree", "-m", "hostile", top)
    before = tree(project.root.parent)
    found = adopted(
        project, "lfs", str(clone.root), "--to", "in", "--revision", commit, "--dry-run", expect=3
    )
    assert found["new"] == 1 and [one["path"] for one in found["failed"]] == ["vast"]
    assert len(found["left"]) == 4
    assert {path for path in tree(project.root.parent).keys() - before.keys() if "/tmp/" not in path} == set()
    found = adopted(project, "lfs", str(clone.root), "--to", "in", "--revision", commit, expect=3)
    assert tree(project.root / "in") == {"ok": b"a,b\n1,2\n"} and not (project.root / "in.dvc").exists()


def test_a_bare_mirror(project, clone):
    mirror = clone.root.parent / "mirror.git"
    clone.git("clone", "-q", "--mirror", str(clone.root), str(mirror))
    shutil.copytree(clone.root / ".git" / "lfs", mirror / "lfs", dirs_exist_ok=True)
    assert adopted(project, "lfs", str(mirror), "--to", "imported", "--dry-run")["new"] == 2
    assert adopted(project, "lfs", str(mirror), "--to", "imported")["failed"] == []


def test_each_file_as_an_artifact_and_an_older_revision(project, clone):
    first = clone.git("rev-parse", "HEAD")
    clone.put("data/a.csv", b"a,b\n3,4\n")
    clone.commit()
    adopted(project, "lfs", str(clone.root), "--to", "now", "--each")
    found = adopted(project, "lfs", str(clone.root), "--to", "then", "--each", "--revision", first)
    assert sorted(one["path"] for one in found["versions"]) == ["then/data/a.csv", "then/data/sub/é.bin"]
    assert (project.root / "then" / "data" / "a.csv").read_bytes() == b"a,b\n1,2\n"
    assert (project.root / "now" / "data" / "a.csv.dvc").is_file()
    assert (
        adopted(project, "lfs", str(clone.root), "--to", "x", "--revision", "--all", expect=10)["kind"]
        == "no-commit"
    )


def test_objects_that_are_missing_rotten_or_only_checked_out(project, clone):
    clone.put("data/missing.csv", b"missing", kept=False)
    clone.put("data/rotten.csv", b"rotten!")
    clone.put("data/smudged.csv", b"smudged", kept=False)
    (clone.root / "data" / "odd.csv").write_bytes(pointer(b"x").replace(b"oid", b"ext-0-x sha256:1\noid"))
    clone.commit()
    clone.object(b"rotten!").write_bytes(b"ROTTEN!")
    (clone.root / "data" / "smudged.csv").write_bytes(b"smudged")
    found = adopted(project, "lfs", str(clone.root), "--to", "imported", expect=3)
    failed = {one["path"]: one["reason"] for one in found["failed"]}
    assert (
        failed.keys() == {"data/missing.csv", "data/rotten.csv"}
        and "lfs fetch --all" in failed["data/missing.csv"]
    )
    assert [one["path"] for one in found["left"]] == ["data/odd.csv"] and "extension" in found["left"][0][
        "reason"
    ]
    assert found["versions"] == [] and not (project.root / "imported.dvc").exists()
    assert (project.root / "imported" / "data" / "smudged.csv").read_bytes() == b"smudged"
    clone.object(b"rotten!").write_bytes(b"rotten!")
    clone.put("data/missing.csv", b"missing")
    found = adopted(project, "lfs", str(clone.root), "--to", "imported")
    assert (found["new"], found["present"], len(found["versions"])) == (2, 3, 1)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (pointer(b"abc"), Pointer(sha256_hex(b"abc"), 3)),
        (pointer(b"abc").rstrip(), Pointer(sha256_hex(b"abc"), 3)),
        (pointer(b"abc").replace(b"\n", b"\r\n"), Pointer(sha256_hex(b"abc"), 3)),
        (pointer(b"abc").replace(b"git-lfs.github", b"hawser.github"), Pointer(sha256_hex(b"abc"), 3)),
        (b"", None),
        (b"version 2\n", None),
        (b"a,b\n1,2\n", None),
    ],
)
def test_pointers(data, found):
    assert read_pointer(data) == found


@pytest.mark.parametrize(
    "data",
    [
        pointer(b"abc") + b"more",
        pointer(b"abc").replace(b"v1", b"v10"),
        pointer(b"abc").replace(b"v1\n", b"v1"),
        pointer(b"abc").replace(b"sha256:", b"sha256:../../../../etc/"),
        pointer(b"abc")
        .upper()
        .replace(b"VERSION HTTPS://GIT-LFS.GITHUB.COM/SPEC/V1", pointer(b"").split(b"\n")[0]),
        pointer(b"abc").replace(b"sha256", b"sha512"),
        pointer(b"abc").replace(b"size 3", b"size -3"),
        pointer(b"abc").replace(b"size 3", b"size 9999999999999999999"),
        pointer(b"abc") + b" " * 2000,
        pointer(b"abc").replace(b"oid", b"ext-0-x sha256:1\noid"),
    ],
)
def test_pointers_that_are_none(data):
    with pytest.raises(Invalid, match="pointer"):
        read_pointer(data)


# --- a folder in a bucket ----------------------------------------------------------------------


def test_a_folder_of_a_bucket_comes(project, seaweed):
    server = seaweed.remote("source")
    from placet.wire.data import open_store

    store = open_store(server)
    files = {"results/a.csv": b"a,b\n1,2\n", "results/deep/b.bin": b"\1" * 9_000_000, "other/c": b"c"}
    for key, data in files.items():
        store.put(key, [data], digest(data))
    for key, value in server.items():
        project.dvc("remote", "add", "-q", "old", value) if key == "url" else project.dvc(
            "remote", "modify", "-q", "--local", "old", key, value
        )
    argv = ("bucket", "old", "--prefix", "results", "--to", "results")
    found = adopted(project, *argv, "--dry-run")
    assert (found["new"], found["size"]) == (2, 9_000_008) and not (project.root / "results").exists()
    found = adopted(project, *argv)
    assert (found["new"], found["failed"], found["left"]) == (2, [], [])
    (one,) = found["versions"]
    assert (one["path"], one["origin"], one["standing"]) == (
        "results",
        "remote old, results/",
        "never approved",
    )
    assert tree(project.root / "results") == {
        "a.csv": files["results/a.csv"],
        "deep/b.bin": files["results/deep/b.bin"],
    }
    project.commit()
    other = project.clone("other")
    other.dvc("pull", "-q", "-r", "internal-storage")
    assert tree(other.root / "results") == tree(project.root / "results")
    again = adopted(project, *argv)
    assert (again["new"], again["present"]) == (0, 2)
    store.put("results/a.csv", [b"a,b\n5,6\n"], digest(b"a,b\n5,6\n"), overwrite=True)
    changed = adopted(project, *argv, expect=3)
    assert [(one["path"], "left alone" in one["reason"]) for one in changed["failed"]] == [("a.csv", True)]
    assert (project.root / "results" / "a.csv").read_bytes() == files["results/a.csv"]


@pytest.fixture
def bucket(project) -> Path:
    """A folder as a remote, which is a store like any other."""
    folder = project.root.parent / "bucket"
    folder.mkdir()
    project.dvc("remote", "add", "-q", "old", str(folder))
    return folder


def test_names_that_cannot_be_are_left_out(project, bucket):
    names = ["ok.csv", ".gitignore", "x.dvc", "A/b", "a/B", "con", "sub/dvc.yaml", "placet-x", "two\nlines"]
    for name in names:
        (bucket / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / name).write_bytes(name.encode())
    found = adopted(project, "bucket", "old", "--to", "in")
    left = {one["path"] for one in found["left"]}
    assert left == {".gitignore", "x.dvc", "a/B", "con", "sub/dvc.yaml", "two\nlines"}
    assert tree(project.root / "in").keys() == {"ok.csv", "A/b", "placet-x"}
    told = project.start("placet", "adopt", "bucket", "old", "--to", "in").stdout.splitlines()
    assert (
        told[0] == "0 files came (0 B); here before: 3."
        and told[1] == "1 version of artifacts, never approved: 1"
    )
    assert [line.split(":")[0] for line in told if not line.startswith((" ", "left out  "))][2:] == []
    assert r"two\nlines" in "\n".join(told)


HOSTILE = (
    "r/../../escape", "r//empty", "r/./dot", "r/..", "r/folder/", "r/back\\slash", "r/C:x", "r/.git/config",
    "r/a.csv", "r/A.csv", "r/b", "r/b/c", "r/new\nline", "r/\u202egnp.exe", "r/" + "x" * 1022,
    "r/" + "/".join(["d" * 200] * 5), "r/%2e%2e/encoded", "r/sp ace+%2F", "/r/absolute", "elsewhere",
)  # fmt: skip


class HostileBucket(BaseHTTPRequestHandler):
    """As much of S3 as reading takes, with keys that a file system or a careless client would not bear."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        place = urlsplit(self.path)
        asked = parse_qs(place.query, keep_blank_values=True)
        if "list-type" in asked:
            listed = "".join(
                f"<Contents><Key>{quote(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;e&quot;</ETag><Size>{len(key.encode())}</Size></Contents>"
                for key in sorted(HOSTILE)
                if key.startswith(asked.get("prefix", [""])[0])
            )
            body = (
                f"<ListBucketResult><Name>b</Name><EncodingType>url</EncodingType>{listed}</ListBucketResult>"
            )
            return self._answer(200, body.encode())
        key = unquote(place.path).removeprefix("/b/")
        return self._answer(200, key.encode()) if key in HOSTILE else self._answer(404, b"")

    do_HEAD = do_GET  # noqa: N815 - likewise

    def _answer(self, status, body):
        self.send_response(status)
        for name, value in (("content-length", len(body)), ("etag", '"e"')):
            self.send_header(name, str(value))
        self.send_header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    def log_message(self, *_):
        return


def test_hostile_keys_of_a_bucket_are_named_and_stay_where_they_are(project):
    with listening(HostileBucket) as url:
        project.dvc("remote", "add", "-q", "old", "s3://b")
        for key, value in (
            ("endpointurl", url),
            ("access_key_id", "x"),
            ("secret_access_key", "y"),
        ):
            project.dvc("remote", "modify", "--local", "old", key, value)
        found = adopted(project, "bucket", "old", "--prefix", "r", "--to", "in")
    brought = {"A.csv", "b", "/".join(["d" * 200] * 5), "%2e%2e/encoded", "sp ace+%2F"}
    assert tree(project.root / "in") == {path: f"r/{path}".encode() for path in brought}
    assert {one["path"] for one in found["left"]} == {
        "../../escape", "/empty", "./dot", "..", "back\\slash", "C:x", ".git/config", "a.csv", "b/c",
        "new\nline", "\u202egnp.exe", "x" * 1022,
    }  # fmt: skip
    assert not [
        one for one in project.root.parent.rglob("*") if one.name in {"escape", "absolute", "elsewhere"}
    ]


def test_nothing_that_is_here_is_replaced(project, bucket, tmp_path):
    (bucket / "a").write_bytes(b"new!")
    (bucket / "b").write_bytes(b"b")
    (bucket / "l").write_bytes(b"l")
    folder = project.root / "in"
    folder.mkdir()
    (folder / "a").write_bytes(b"old!")
    (tmp_path / "outside").write_bytes(b"l")
    (folder / "l").symlink_to(tmp_path / "outside")
    found = adopted(project, "bucket", "old", "--to", "in", expect=3)
    assert [one["path"] for one in found["failed"]] == ["a", "l"] and not (project.root / "in.dvc").exists()
    assert (folder / "a").read_bytes() == b"old!" and (folder / "l").is_symlink()
    (folder / "mine").write_bytes(b"mine")
    assert adopted(project, "bucket", "old", "--to", "in", expect=11)["kind"] == "folder-exists"
    (folder / "mine").unlink()
    (folder / "a").unlink()
    (folder / "l").unlink()
    assert adopted(project, "bucket", "old", "--to", "in")["new"] == 2


def test_no_link_leads_out(project, bucket, tmp_path):
    (bucket / "sub").mkdir()
    (bucket / "sub" / "a").write_bytes(b"a")
    (project.root / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (project.root / "in" / "sub").symlink_to(tmp_path / "elsewhere")
    found = adopted(project, "bucket", "old", "--to", "in", expect=3)
    assert "link" in found["failed"][0]["reason"] and list((tmp_path / "elsewhere").iterdir()) == []
    assert adopted(project, "bucket", "old", "--to", "../x", expect=2)["kind"] == "path-outside-workspace"
    assert adopted(project, "bucket", "old", "--to", ".", expect=2)["kind"] == "unsafe-path"
    assert (
        adopted(project, "bucket", "old", "--prefix", "../project", "--to", "x", expect=2)["kind"]
        == "unsafe-path"
    )
    (project.root / "file").write_bytes(b"")
    found = adopted(project, "bucket", "old", "--to", "file", expect=3)
    assert "on the way" in found["failed"][0]["reason"]


def test_the_objects_of_a_dvc_remote_are_no_files(project):
    (project.root / "x").write_bytes(b"x")
    project.dvc("add", "-q", "x")
    project.dvc("push", "-q")
    found = adopted(project, "bucket", "internal-storage", "--to", "in", expect=2)
    assert found["kind"] == "dvc-remote" and "placet adopt dvc" in found["mend"]


def test_a_run_that_was_cut_off_goes_on(project, bucket, monkeypatch):
    for number in range(20):
        (bucket / f"{number:02}").write_bytes(os.urandom(1000))
    monkeypatch.chdir(project.root)
    for key, one in project.env.items():
        monkeypatch.setenv(key, one)
    brought = []
    real = adopt.Bringer._take

    def dies(self, file):
        if len(brought) == 7:
            raise KeyboardInterrupt
        brought.append(file.path)
        return real(self, file)

    monkeypatch.setattr(adopt.Bringer, "_take", dies)
    with Client(jobs=1) as client, pytest.raises(KeyboardInterrupt):
        client.adopt_bucket("old", "in")
    monkeypatch.setattr(adopt.Bringer, "_take", real)
    journal = next((project.root / ".dvc" / "tmp" / "placet" / "adopt").glob("*.jsonl"))
    with journal.open("ab") as stream:
        stream.write(b'\n["half a li')
    with Client(jobs=1) as client:
        found = client.adopt_bucket("old", "in")
    assert (found.new, found.present) == (13, 7)
    assert tree(project.root / "in") == tree(bucket)
    assert list((project.root / ".dvc" / "tmp" / "placet" / "new").iterdir()) == []
    assert adopted(project, "bucket", "old", "--to", "in")["present"] == 20


# --- the record, the page ----------------------------------------------------------------------


def version(**more) -> Version:
    return Version(
        **{
            "path": "a",
            "source": "dvc",
            "origin": "commit 1",
            "md5": "0" * 32,
            "sha256": "",
            "size": 1,
            "files": 1,
        }
        | more
    )


def test_the_record_is_a_function_of_what_is_in_it():
    one, two = version(), version(path="b", source="lfs")
    assert encoded(merged(merged(Adopted(), [two]), [one])) == encoded(merged(Adopted(), [one, two]))
    moved = merged(merged(Adopted(), [one]), [version(origin="commit 2", standing="published")])
    assert [(each.origin, each.standing) for each in moved.versions] == [("commit 2", "published")]
    assert read_adopted(encoded(moved)) == moved and read_adopted(None) == Adopted()
    for bad in (b"", b"{", b'{"versions": [{}]}', b"[" * 100_000):
        with pytest.raises(Invalid, match=re.escape(FILE)):
            read_adopted(bad)


def test_the_how_to_page_works_as_it_is_written(past, clone_beside, tmp_path):
    text = (ROOT / "docs" / "how-to" / "adopt.md").read_text()
    dvc, lfs, tags, bucket, look = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    past.dvc("remote", "remove", "internal-storage")
    (tmp_path / "files" / "results").mkdir(parents=True)
    (tmp_path / "files" / "results" / "r.csv").write_text("r\n1\n")
    names = {
        "INTERNAL": str(tmp_path / "tier"),
        "CLONE": str(clone_beside.root),
        "BUCKET": str(tmp_path / "files"),
    }
    bin_folder = Path(shutil.which("placet", path=f"{Path(os.sys.executable).parent}")).parent
    environ = past.env | names | {"PATH": f"{bin_folder}:{past.env['PATH']}"}
    begin, rest = lfs.split("\n", 1)
    assert begin == 'git -C "$CLONE" lfs fetch --all'
    first, _, second = bucket.partition("\n")
    bucket = first.replace("remote add old", "remote add -f old") + "\n" + second
    past.commit()
    for tag, data in (("r1", b"a\n"), ("r2", b"b\n")):
        clone_beside.put("a.csv", data)
        (clone_beside.root / "README.md").write_text(tag)
        clone_beside.commit()
        clone_beside.git("tag", tag)
    for script in (dvc, rest, tags, bucket, look):
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=past.root,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, (script, done.stdout, done.stderr)
    found = read_adopted(done.stdout.encode())
    assert {one.source for one in found.versions} == {"dvc", "lfs", "bucket"}
    past.git("add", "-A")
    past.git("commit", "-qm", "adopted")
    shutil.rmtree(past.root / ".dvc" / "cache")
    shutil.rmtree(past.root / "imported")
    for revision, path, data in (
        ("v0", "a.csv", b"a,b\n0,0\n"), ("side", "b.csv", b"b\n1\n"),
        (":/as of r1", "imported/a.csv", b"a\n"), (":/as of r2", "imported/a.csv", b"b\n"),
    ):  # fmt: skip
        past.git("checkout", "-q", revision)
        past.dvc("pull", "-q", "--force", "-r", "internal-storage")
        assert (past.root / path).read_bytes() == data


@pytest.fixture
def clone_beside(past) -> LfsClone:
    made = LfsClone(past)
    made.put("a.csv", b"a\n")
    made.commit()
    return made


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed (apt install git-lfs)")
def test_a_clone_of_the_real_git_lfs(project):
    made = LfsClone(project)
    made.git("lfs", "install", "--local")
    made.git("lfs", "track", "*.bin")
    (made.root / "a.bin").write_bytes(b"real" * 1000)
    made.commit()
    assert adopted(project, "lfs", str(made.root), "--to", "in")["new"] == 1
    assert tree(project.root / "in") == {"a.bin": b"real" * 1000}
