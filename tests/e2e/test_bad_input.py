"""Bad input gets a clear error: what, why, how to mend, exit code, no traceback; and nothing is lost."""

import json
import shutil

import pytest

from placet.demo import cast


@pytest.fixture(scope="module")
def workspace(world):
    folder = cast.workspace(world["site-a"])
    (folder / "outputs").mkdir(exist_ok=True)
    (folder / "outputs" / "table.csv").write_text("feature,n\nage,221\n")
    return folder


@pytest.fixture(scope="module")
def proposed(world, workspace):
    run = world["site-a"].placet("propose", "outputs/table.csv", "-m", "a table", cwd=workspace)
    return run.json["id"]


def fails(party, *argv, code, kind, cwd=None, env=None, words=""):
    run = party.placet(*argv, cwd=cwd, expect=code, env=env)
    error = run.json
    assert error["kind"] == kind, error
    assert error["exit_code"] == code
    assert error["what"].endswith(".")
    assert words in f"{error['what']} {error['why']} {error['mend']}"
    human = party.run("placet", *argv, cwd=cwd, expect=code, env=env)
    assert "error:" in human.err
    assert "Traceback" not in human.err + human.out
    return error


def test_unreachable_store(world, workspace):
    node = world["site-a"]
    node.dvc("remote", "add", "-f", "dead", "s3://nowhere/dvc", cwd=workspace)
    for key, value in (
        ("endpointurl", "http://127.0.0.1:9"),
        ("access_key_id", "a"),
        ("secret_access_key", "b"),
    ):
        node.dvc("remote", "modify", "dead", key, value, cwd=workspace)
    node.placet("track", "outputs/table.csv", cwd=workspace)
    fails(node, "push", "-r", "dead", cwd=workspace, code=1, kind="store-unreachable", words="endpointurl")


def test_wrong_credentials_and_missing_bucket(world, workspace):
    node = world["site-a"]
    node.placet("track", "outputs/table.csv", cwd=workspace)
    node.dvc("remote", "add", "-f", "wrong", "s3://internal-site-a/dvc", cwd=workspace)
    access, secret = world.store.credentials("admin")
    for key, value in (
        ("endpointurl", world.store.endpoint),
        ("access_key_id", access),
        ("secret_access_key", "not-the-secret"),
    ):
        node.dvc("remote", "modify", "wrong", key, value, cwd=workspace)
    fails(node, "push", "-r", "wrong", cwd=workspace, code=12, kind="store-denied", words="credential")
    node.dvc("remote", "modify", "wrong", "secret_access_key", secret, cwd=workspace)
    node.dvc("remote", "modify", "wrong", "url", "s3://no-such-bucket/dvc", cwd=workspace)
    fails(node, "fetch", "-r", "wrong", "outputs/gone", cwd=workspace, code=10, kind="not-tracked")
    job_access, job_secret = world.store.credentials("site-a-job")
    for key, value in (("access_key_id", job_access), ("secret_access_key", job_secret)):
        node.dvc("remote", "modify", "wrong", key, value, cwd=workspace)
    fails(node, "push", "-r", "wrong", cwd=workspace, code=12, kind="store-denied", words="no-such-bucket")


def test_missing_key_and_unreadable_key(world, proposed, tmp_path):
    alice = world["alice"]
    nowhere = {"PLACET_KEY": str(tmp_path / "none.key")}
    fails(alice, "approve", proposed, env=nowhere, code=10, kind="no-key", words="placet keygen")
    copy = tmp_path / "open.key"
    shutil.copy(alice.folder / "alice.key", copy)
    copy.chmod(0o644)
    fails(
        alice,
        "approve",
        proposed,
        env={"PLACET_KEY": str(copy)},
        code=12,
        kind="key-permissions",
        words="chmod 600",
    )
    copy.chmod(0o600)
    copy.write_text("no key")
    fails(alice, "approve", proposed, env={"PLACET_KEY": str(copy)}, code=2, kind="key-format")


def test_only_whole_artifacts_of_the_internal_tier_are_proposed(world, workspace):
    node, folder = world["site-a"], workspace / "outputs" / "folder"
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("feature,n\nage,221\n")
    node.placet("track", "outputs/folder", cwd=workspace)
    inside = ("propose", "outputs/folder/a.csv", "-m", "x")
    fails(node, *inside, cwd=workspace, code=2, kind="overlapping-outputs", words="placet propose")
    metafile = workspace / "outputs" / "folder.dvc"
    for line, words in (
        ("remote: publication-storage", "publication-storage"),
        ("push: false", "push: false"),
    ):
        before = metafile.read_text()
        metafile.write_text(f"{before}  {line}\n")
        whole = ("propose", "outputs/folder", "-m", "x")
        fails(node, *whole, cwd=workspace, code=12, kind="not-pushed", words=words)
        metafile.write_text(before)
    shutil.rmtree(folder)
    metafile.unlink()


def test_unknown_names(world, workspace, proposed):
    alice, node = world["alice"], world["site-a"]
    fails(alice, "show", "ffffffff", code=10, kind="no-proposal", words="placet list")
    fails(node, "push", "-r", "nowhere", cwd=workspace, code=10, kind="no-remote", words="dvc remote add")
    fails(node, "propose", "outputs/none.csv", "-m", "x", cwd=workspace, code=10, kind="no-file")
    fails(
        node,
        "propose",
        "outputs/table.csv",
        "-m",
        "x",
        "--tier",
        "moon",
        cwd=workspace,
        code=12,
        kind="policy",
    )
    assert node.placet("list", cwd=workspace).json["proposals"][0]["id"] == proposed


def test_no_project_and_no_repository(world, tmp_path):
    alice = world["alice"]
    fails(alice, "track", "x", cwd=tmp_path, code=10, kind="no-dvc", words="dvc init")
    fails(alice, "list", cwd=tmp_path, code=10, kind="no-ctrl", words="PLACET_CTRL")
    gone = {"PLACET_CTRL": str(tmp_path / "gone.git")}
    fails(alice, "list", cwd=tmp_path, env=gone, code=1, kind="ctrl-unreachable", words="network")
    wrong = {"PLACET_TRUST_ROOT": "0" * 64}
    fails(alice, "list", env=wrong, code=13, kind="trust-root", words="administrator")


def test_settings(world, tmp_path):
    alice = world["alice"]
    (tmp_path / "placet.toml").write_text('nodes = "x"\n')
    fails(alice, "list", cwd=tmp_path, code=2, kind="settings", words="no setting 'nodes'")
    (tmp_path / "placet.toml").write_text('node = "x\n')
    fails(alice, "list", cwd=tmp_path, code=2, kind="settings")


def test_a_spoilt_ctrl_cache(world, workspace, proposed):
    alice = world["alice"]
    caches = (alice.folder / "home" / "placet" / "ctrl").glob("*.git")
    (cache,) = (one for one in caches if alice.git("--git-dir", str(one), "for-each-ref").out)
    alice.git("--git-dir", str(cache), "update-ref", "refs/heads/main", "refs/heads/published")
    alice.git(
        "--git-dir", str(cache), "update-ref", "refs/heads/proposals/" + "0" * 32, "refs/heads/published"
    )
    assert [one["id"] for one in alice.placet("list").json["proposals"]] == [proposed]
    (cache / "HEAD").unlink()
    assert [one["id"] for one in alice.placet("list").json["proposals"]] == [proposed]


def test_a_rewritten_ctrl_repository_is_noticed(world, proposed, tmp_path):
    alice = world["alice"]
    copy = world.ctrl_path.with_name("rewritten.git")
    shutil.copytree(world.ctrl_path, copy, ignore=shutil.ignore_patterns("tmp_objdir*"))
    home = {"PLACET_CTRL": world.server.url(copy.name), "PLACET_HOME": str(tmp_path / "home")}
    alice.placet("list", env=home)
    clone = tmp_path / "clone"
    alice.git("clone", "-q", "-b", "main", str(copy), str(clone))
    alice.git("commit", "-q", "--amend", "-m", "rewritten", cwd=clone)
    alice.git("--git-dir", str(copy), "fetch", "-q", "-f", str(clone), "main:main")
    fails(alice, "list", env=home, code=13, kind="rolled-back", words="Do not go on")


def test_paths_that_cannot_be_tracked(world, workspace):
    node = world["site-a"]
    fails(node, "track", "/etc/hostname", cwd=workspace, code=2, kind="path-outside-workspace")
    fails(node, "track", "../secret", cwd=workspace, code=2, kind="path-outside-workspace")
    (workspace / "outputs" / "empty").mkdir(exist_ok=True)
    fails(node, "propose", "outputs/empty", "-m", "x", cwd=workspace, code=2, kind="empty-directory")
    (workspace / "code.py").write_text("print()\n")
    node.git("add", "code.py", cwd=workspace)
    fails(node, "track", "code.py", cwd=workspace, code=12, kind="tracked-by-git", words="git rm")
    assert (workspace / "code.py").read_text() == "print()\n"
    assert not (workspace / "code.py.dvc").exists()


def test_malformed_policies(world, tmp_path):
    dana = world["dana"]
    text = (dana.folder / "policy.yaml").read_text()
    bad = tmp_path / "policy.yaml"

    def lint(old, new, words):
        assert old in text
        bad.write_text(text.replace(old, new, 1))
        error = fails(dana, "policy", "lint", str(bad), code=2, kind="policy", words=words)
        line = next(
            number for number, one in enumerate(bad.read_text().splitlines(), 1) if new.split("\n")[0] in one
        )
        assert error["what"].startswith(f"policy.yaml:{line}:"), error

    lint("    sees: bytes", "    seas: bytes", "unknown field `seas`")
    lint("members: [alice, bob]", "members: [alice, mallory]", "no person 'mallory'")
    lint(
        "{count: 2, groups: [stewards], organisations: 2, bytes: 1}",
        "{count: 9, groups: [stewards]}",
        "nobody could",
    )
    lint("number: 0", "number: zero", "Expected `int`")
    bad.write_text(text.replace("number: 0", "number: 7"))
    fails(dana, "policy", "propose", str(bad), "-m", "x", code=2, kind="policy", words="previous")
    bad.write_text(text.replace("number: 0", "number: 7").replace("previous: null", f"previous: {'a' * 64}"))
    fails(dana, "policy", "propose", str(bad), "-m", "x", code=12, kind="policy", words="number 1")


def test_decisions_that_do_not_count(world, proposed, tmp_path):
    alice, dana, node = world["alice"], world["dana"], world["site-a"]
    mallory = tmp_path / "mallory.key"
    alice.placet("keygen", str(mallory))
    fails(alice, "keygen", str(mallory), code=11, kind="key-exists")
    as_alice = {"PLACET_KEY": str(mallory)}
    fails(alice, "approve", proposed, env=as_alice, code=12, kind="unknown-key", words="policy change")
    fails(dana, "approve", proposed, code=12, kind="not-a-reviewer", words="alice, bob")
    fails(alice, "withdraw", proposed, code=12, kind="not-own-proposal")
    fails(alice, "merge", proposed, code=12, kind="not-approved", words="2 of 2 approvals are missing")
    alice.placet("approve", proposed)
    fails(alice, "approve", proposed, code=11, kind="already-decided", words="Nothing was changed")
    shown = json.loads(alice.run("placet", "show", proposed, "--json").out)
    assert [(one["person"], one["n"]) for one in shown["decisions"]] == [("alice", 1)]
    assert node.run("placet", "show", proposed, cwd=cast.workspace(node)).out.startswith(proposed)


def test_usage(world):
    run = world["alice"].run("placet", "approve", expect=2)
    assert "Missing argument" in run.err
    run = world["alice"].placet("approve", expect=2)
    assert run.json["kind"] == "usage"
