"""The hooks that keep data out of Git and metafiles canonical: on real Git, in real commits."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import POLICY
from placet.core import layout
from placet.core.dvcfile import Output, encode_metafile, normal_form, update_metafile
from placet.core.staged import DATA
from placet.engine.outputs import Outputs
from placet.errors import Invalid
from placet.wire.hooks import judge_data, judge_metafiles

PLACET = Path(sys.executable).parent / "placet"
ENV = {key: one for key, one in os.environ.items() if not key.startswith(("GIT_", "PLACET_"))} | {
    "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x",
    "GIT_CONFIG_GLOBAL": os.devnull, "PATH": f"{PLACET.parent}:{os.environ['PATH']}",
}  # fmt: skip
PLAIN = b"outs:\n- md5: 0cc175b9c0f1b6a831c399e269772661\n  size: 1\n  hash: md5\n  path: a.csv\n"
FOLDER = PLAIN.replace(b"61\n  size", b"61.dir\n  size").replace(b"1\n  hash", b"1\n  nfiles: 1\n  hash")


def git(folder, *argv, expect=0):
    done = subprocess.run(["git", *argv], cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == expect, (argv, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture
def repo(tmp_path, monkeypatch):
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git(tmp_path, "init", "-q", "-b", "main", "work")
    folder = tmp_path / "work"
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    return folder


def stage(folder, files, *, force=True):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    git(folder, "add", *(["-f"] if force else []), "--", *files)


def reasons(folder, *names, most=1_000_000, allow=()):
    found = judge_data(folder, names, most=most, allow=allow)
    return {one.path: one.reason for one in found.objections}


def test_ordinary_files_pass(repo):
    files = {
        "README.md": "# x\n", "src/a.py": "print(1)\n", "dvc.yaml": "stages: {}\n", "empty": "", "ä ö\n.txt": "x\n",
        "outputs/a.csv.dvc": PLAIN, "outputs/.gitignore": "/a.csv\n", "figure.svg": "<svg/>", "ORCHESTRA.txt": "ORC",
    }  # fmt: skip
    stage(repo, files)
    assert reasons(repo) == {}
    assert judge_data(repo, [], most=1_000_000, allow=()).files == len(files)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("patients.csv", "a,b\n1,2\n", "*.csv holds data"),
        ("PATIENTS.CSV", "a,b\n1,2\n", "*.csv holds data"),
        ("x/scan.nii.gz", b"\x1f\x8b\x08\0", "*.gz holds data"),
        ("renamed.txt", b"PAR1\x15\x04PAR1", "begins as a file that holds data"),
        ("model", pickle.dumps({"a": 1}), "begins as a file that holds data"),
        ("scan", b"\0" * 128 + b"DICM", "begins as a file that holds data"),
        ("db", b"SQLite format 3\0", "begins as a file that holds data"),
        ("big.txt", "x" * 1001, "has 1001 bytes"),
        ("node.key", "-----BEGIN PRIVATE KEY-----\nx\n", "private key"),
        ("id", "x\n-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key"),
        (".dvc/config.local", "", "DVC's own"),
        (".dvc/cache/files/md5/0c/x", "a", "DVC's own"),
        ("sub/.dvc/tmp/lock", "", "DVC's own"),
        (".dvc/config", "['remote \"r\"']\n    url = s3://b\n    secret_access_key = x\n", "credential"),
        (".dvc/config", "['remote \"r\"']\n    url = https://u:p@host/x\n", "credential"),
    ],
)
def test_data_and_credentials_are_refused(repo, name, data, reason):
    stage(repo, {name: data, "beside.txt": "x"})
    found = reasons(repo, most=1000)
    assert list(found) == [name] and reason in found[name]


def test_outputs_of_dvc_are_refused_whatever_is_allowed(repo):
    pipeline = "stages:\n  s:\n    cmd: x\n    outs: [made.txt, kept.txt: {cache: false}]\n"
    files = {
        "outputs/a.csv.dvc": PLAIN, "outputs/a.csv": "a\n", "d.dvc": FOLDER.replace(b"a.csv", b"d"), "d/x/y.txt": "y",
        "dvc.yaml": pipeline, "made.txt": "m", "kept.txt": "k",
    }  # fmt: skip
    stage(repo, files)
    found = reasons(repo, allow=["**"])
    assert found == {
        "outputs/a.csv": "it belongs to an output of outputs/a.csv.dvc",
        "d/x/y.txt": "it belongs to an output of d.dvc",
        "made.txt": "it belongs to an output of dvc.yaml:s",
    }


def test_a_copy_of_an_output_is_refused_under_any_name(repo):
    empty = PLAIN.replace(b"0cc175b9c0f1b6a831c399e269772661", b"d41d8cd98f00b204e9800998ecf8427e")
    files = {
        "a.csv.dvc": PLAIN,
        "notes.txt": "a",
        "other.txt": "b",
        "e.dvc": empty.replace(b"a.csv", b"e"),
        "__init__.py": "",
    }
    stage(repo, files)
    assert reasons(repo) == {"notes.txt": "it has the bytes of a.csv, an output of a.csv.dvc"}
    assert reasons(repo, allow=["notes.txt"]) == {}


def test_outputs_are_gone_through_once_however_many_files_are_staged(repo, monkeypatch):
    listed, every = [], Outputs.every
    monkeypatch.setattr(Outputs, "every", lambda self: listed.append(self) or every(self))
    files = {f"note{number}.txt": f"text {number}" for number in range(20)}
    stage(repo, {"a.csv.dvc": PLAIN, "copy.txt": "a", **files})
    assert set(reasons(repo)) == {"copy.txt"}
    assert len(listed) == 1


def test_each_project_of_a_repository_has_outputs_of_its_own(repo):
    files = {
        "sub/.dvc/config": "", "sub/deep/a.bin.dvc": PLAIN.replace(b"a.csv", b"a.bin"), "sub/deep/a.bin": "a",
        "b.bin.dvc": PLAIN.replace(b"a.csv", b"b.bin"), "b.bin": "b", "sub/b.bin": "c", "deep/a.bin": "d",
    }  # fmt: skip
    stage(repo, files)
    assert set(reasons(repo)) == set(reasons(repo / "sub")) == {"sub/deep/a.bin", "b.bin"}


def test_links_into_the_cache_are_refused_and_others_not(repo):
    (repo / "l").symlink_to("/srv/cache/files/md5/0c/c175b9c0f1b6a831c399e269772661")
    (repo / "old").symlink_to("../.dvc/cache/0c/c175b9c0f1b6a831c399e269772661")
    (repo / "ok").symlink_to("README.md")
    git(repo, "add", "-f", "l", "old", "ok")
    assert reasons(repo, allow=["**"]) == dict.fromkeys(("l", "old"), "it is a link into DVC's cache")


def test_a_submodule_and_a_line_end_in_a_name_hide_nothing(repo):
    git(repo.parent, "init", "-q", "inner")
    git(repo.parent / "inner", "commit", "-q", "--allow-empty", "-m", "x")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", "../inner", "sub")
    git(repo, "config", "diff.ignoreSubmodules", "all")
    stage(repo, {"a.dvc": PLAIN.replace(b"a.csv", b"a"), "big\nb.txt": "x" * 2000, "\n.csv": "a\n"})
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", "../inner", "a")
    found = reasons(repo, most=1000)
    assert set(found) == {"a", "big\nb.txt", "\n.csv"} and "output of a.dvc" in found["a"]
    assert set(reasons(repo, "big\nb.txt", "sub", "a", most=1000)) == {"a", "big\nb.txt"}


def test_what_is_allowed_is_a_glob(repo):
    stage(repo, {"tests/data/a.csv": "a\n", "b.csv": "b\n", "tests/big.bin": "x" * 2000})
    assert set(reasons(repo, most=1000, allow=["tests/**"])) == {"b.csv"}
    assert set(reasons(repo, most=1000, allow=["*.csv"])) == {"tests/data/a.csv", "tests/big.bin"}


def test_the_index_counts_and_not_the_work_tree(repo):
    stage(repo, {"a.txt": b"PAR1\0"})
    (repo / "a.txt").write_text("harmless")
    assert list(reasons(repo)) == ["a.txt"]
    git(repo, "add", "a.txt")
    (repo / "a.txt").write_bytes(b"PAR1\0")
    assert reasons(repo) == {}


def test_names_are_looked_at_whether_they_changed_or_not(repo):
    stage(repo, {"old.csv": "a\n", "sub/old.csv": "a\n"})
    git(repo, "commit", "-qm", "x")
    assert reasons(repo) == {} and set(reasons(repo, "old.csv", "absent")) == {"old.csv"}
    assert set(reasons(repo / "sub", "old.csv")) == {"sub/old.csv"}
    assert set(reasons(repo / "sub", "../old.csv", "../../x", "/etc/passwd")) == {"old.csv"}
    assert set(reasons(repo, ":(glob)**", "*.csv")) == set()


def test_a_ctrl_repository_holds_nothing_by_hand(repo):
    good = ["artifacts/site-a/outputs/a.csv.dvc", ".github/CODEOWNERS", ".gitea/workflows/check.yml"]
    bad = [
        "artifacts/site-a/outputs/a.csv",
        "notes.md",
        ".github/workflows/x.sh",
        ".github/workflows/a/b.yml",
    ]
    stage(repo, {layout.POLICY: POLICY, **dict.fromkeys(good, PLAIN), **dict.fromkeys(bad, "x")})
    assert set(reasons(repo, allow=["**"])) == set(bad)


def test_a_commit_with_data_is_stopped_whichever_way_it_is_made(repo):
    hook = repo / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nplacet hook data && placet hook metafiles\n")
    hook.chmod(0o755)
    stage(repo, {"a.txt": "a\n", "b.csv.dvc": PLAIN.replace(b"a.csv", b"b.csv")})
    assert "2 files looked at" in git(repo, "commit", "-qm", "good")
    stage(repo, {"b.csv": "b\n"})
    assert "b.csv: it belongs to an output of b.csv.dvc" in git(repo, "commit", "-m", "x", expect=1)
    git(repo, "rm", "-q", "--cached", "b.csv")
    (repo / "a.txt").write_bytes(b"\x89HDF")
    assert "a.txt: it begins as" in git(repo, "commit", "-am", "x", expect=1)
    assert "a.txt: it begins as" in git(repo, "commit", "-m", "x", "a.txt", expect=1)
    git(repo, "worktree", "add", "-q", "../other")
    stage(repo.parent / "other", {"c.pkl": "c"})
    assert "c.pkl: *.pkl holds data" in git(repo.parent / "other", "commit", "-m", "x", expect=1)
    assert git(repo, "log", "--format=%s", "--all").split() == ["good"]


def metafiles(folder, *names, rewrite=False):
    found = judge_metafiles(folder, names, rewrite=rewrite)
    return {one.path: one.reason for one in found.objections}, found.rewritten


def test_metafiles_that_dvc_cannot_use_are_refused(repo):
    bad = {
        "yaml.dvc": b"outs: [", "key.dvc": PLAIN + b"  pusj: false\n", "text.dvc": b"x", "empty.dvc": b"",
        "conflict.dvc": b"<<<<<<< HEAD\n" + PLAIN, "up.dvc": PLAIN.replace(b"a.csv", b"../../a.csv"),
        "abs.dvc": PLAIN.replace(b"a.csv", b"/etc/passwd"), "git.dvc": PLAIN.replace(b"a.csv", b".git/config"),
        "unhashed.dvc": b"outs:\n- path: a.csv\n", "large.dvc": b"#" * (1 << 17),
    }  # fmt: skip
    stage(repo, {**bad, "good.dvc": PLAIN, "no.txt": b"x", "kept.dvc": b"outs:\n- path: k\n  cache: false\n"})
    wrong, _ = metafiles(repo, rewrite=True)
    assert set(wrong) == set(bad)
    (repo / "link.dvc").symlink_to("good.dvc")
    git(repo, "add", "link.dvc")
    assert "not a regular file" in metafiles(repo)[0]["link.dvc"]


def test_the_form_is_mended_and_meaning_and_comments_stay(repo):
    odd = {
        "order.dvc": b"outs:\n- path: a.csv\n  hash: md5\n  size: 1\n  md5: 0cc175b9c0f1b6a831c399e269772661\n",
        "crlf.dvc": PLAIN.replace(b"\n", b"\r\n"),
        "flow.dvc": b'{"outs": [{"md5": "0cc175b9c0f1b6a831c399e269772661", "size": 1, "hash": "md5", "path": "a.csv"}]}',
        "indent.dvc": PLAIN.replace(b"\n- md5", b"\n  - md5").replace(b"\n  size", b"\n    size")
        .replace(b"\n  hash", b"\n    hash").replace(b"\n  path", b"\n    path"),
        "noted.dvc": b"# of Dana\nouts:\n    - md5: 0cc175b9c0f1b6a831c399e269772661\n      size: 1\n      hash: md5\n      path: a.csv # mine\n",
    }  # fmt: skip
    stage(repo, {**odd, "fine.dvc": PLAIN, "desc.dvc": b"desc: x\n" + PLAIN})
    wrong, rewritten = metafiles(repo)
    assert set(wrong) == set(odd) and rewritten == ()
    wrong, rewritten = metafiles(repo, rewrite=True)
    assert set(wrong) == set(rewritten) == set(odd)
    for name in odd:
        text = (repo / name).read_bytes()
        assert text == PLAIN or (name == "noted.dvc" and b"# of Dana" in text and b"# mine" in text)
    git(repo, "add", *odd)
    assert metafiles(repo, rewrite=True) == ({}, ())


def test_nothing_is_written_through_a_link(repo, tmp_path):
    odd = PLAIN.replace(b"\n", b"\r\n")
    stage(repo, {"d/a.dvc": odd})
    (repo / "d").rename(tmp_path / "elsewhere")
    (repo / "d").symlink_to(tmp_path / "elsewhere")
    assert metafiles(repo, rewrite=True)[1] == ()
    assert (tmp_path / "elsewhere" / "a.dvc").read_bytes() == odd


def test_a_name_that_is_no_text_is_said(repo):
    name = os.fsdecode(b"\xff.csv")
    stage(repo, {name: "a\n"})
    for option in ([], ["--json"]):
        done = subprocess.run(
            [PLACET, "hook", "data", *option], cwd=repo, env=ENV, capture_output=True, check=False
        )
        assert done.returncode == 12 and b".csv" in done.stdout, done.stderr


def test_what_is_not_staged_is_not_overwritten(repo):
    stage(repo, {"a.dvc": PLAIN.replace(b"\n", b"\r\n")})
    (repo / "a.dvc").write_bytes(b"# being edited\n")
    wrong, rewritten = metafiles(repo, rewrite=True)
    assert list(wrong) == ["a.dvc"] and rewritten == ()
    assert (repo / "a.dvc").read_bytes() == b"# being edited\n"


def test_a_ctrl_repository_has_one_form(repo):
    files = {
        "artifacts/s/a.csv.dvc": PLAIN, "artifacts/s/b.csv.dvc": PLAIN,
        "artifacts/s/c.csv.dvc": b"# c\n" + PLAIN.replace(b"a.csv", b"c.csv"),
    }  # fmt: skip
    stage(repo, {layout.POLICY: POLICY, **files})
    wrong, rewritten = metafiles(repo, rewrite=True)
    assert set(wrong) == {"artifacts/s/b.csv.dvc", "artifacts/s/c.csv.dvc"} and rewritten == ()


def test_what_dvc_writes_passes(repo):
    (repo / "outputs").mkdir()
    (repo / "outputs" / "a b.csv").write_text("a\n")
    (repo / "outputs" / "d").mkdir()
    (repo / "outputs" / "d" / "x").write_text("x\n")
    dvc = Path(sys.executable).parent / "dvc"
    subprocess.run([dvc, "add", "-q", "outputs/a b.csv", "outputs/d"], cwd=repo, env=ENV, check=True)
    git(repo, "add", "outputs")
    assert judge_metafiles(repo, [], rewrite=True).objections == () and reasons(repo) == {}


def test_the_program_says_it_to_people_and_programs(repo):
    stage(repo, {"a\x1b[31m.csv": "a\n", "--allow=**": b"PAR1\0"})
    done = subprocess.run(
        [PLACET, "hook", "data"], cwd=repo, env=ENV, capture_output=True, text=True, check=False
    )
    assert done.returncode == 12 and "\x1b" not in done.stdout and "placet track" in done.stdout
    names = ["--", "--allow=**", "a\x1b[31m.csv"]
    argv = [PLACET, "hook", "data", "--json", *names]
    done = subprocess.run(argv, cwd=repo, env=ENV, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 12 and {one["path"] for one in found["objections"]} == set(names[1:])
    argv = [PLACET, "hook", "metafiles", "--json"]
    done = subprocess.run(argv, cwd=repo.parent, env=ENV, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["kind"]) == (10, "no-git-repository")


@settings(max_examples=40)
@given(
    st.from_regex(r"[a-zA-Z0-9_ äé:#'\-.]{1,20}", fullmatch=True), st.integers(0, 10**12), st.booleans(),
    st.text("0123456789abcdef", min_size=32, max_size=32),
)  # fmt: skip
def test_what_placet_writes_is_in_the_normal_form(path, size, is_dir, md5):
    out = Output(path, md5, size, 1 if is_dir else None, is_dir)
    try:
        data = encode_metafile(out)
    except Invalid:
        return
    assert normal_form(data) == data
    executable = update_metafile(None, Output(path, md5, size, isexec=True))
    assert normal_form(executable) == executable


def test_suffixes_are_written_as_they_are_looked_up():
    assert all(one == one.lower() and "." not in one for one in DATA)
