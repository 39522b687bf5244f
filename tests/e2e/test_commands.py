"""Every command as a person and as a program uses it, on one stack, in the order of the path."""

import base64
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from placet.demo import cast


@pytest.fixture(scope="module")
def workspace(world):
    folder = cast.workspace(world["site-a"])
    (folder / "outputs" / "d").mkdir(parents=True)
    (folder / "outputs" / "table.csv").write_text("feature,n\nage,221\n")
    for number in range(3):
        (folder / "outputs" / "d" / f"{number}.csv").write_text(f"x\n{number}\n")
    return folder


@pytest.fixture(scope="module")
def ident(world, workspace):
    run = world["site-a"].run(
        "placet", "propose", "outputs/table.csv", "outputs/d", "-m", "tables", cwd=workspace
    )
    return run.out.strip()


def says(party, *argv, cwd=None, code=0, words=(), env=None):
    run = party.run("placet", *argv, cwd=cwd, expect=code, env=env)
    for word in words:
        assert word in run.out, (word, run.out)
    assert party.run("placet", *argv, "-q", cwd=cwd, expect=code, env=env).out == ""
    return party.placet(*argv, cwd=cwd, expect=code, env=env).json


def test_data_plane(world, workspace):
    node = world["site-a"]
    found = says(node, "track", "outputs/d", cwd=workspace, words=["outputs/d.dvc"])
    assert found["artifacts"][0]["nfiles"] == 3
    assert node.run("placet", "push", "outputs/d", cwd=workspace).out.startswith("5 objects pushed")
    assert says(node, "push", "outputs/d", cwd=workspace, words=["0 objects pushed"])["present"] == 5
    says(node, "status", cwd=workspace, words=["up to date"])
    says(node, "status", "-r", "internal-storage", "outputs/d", cwd=workspace, words=["up to date"])
    (workspace / "outputs" / "d" / "0.csv").unlink()
    assert says(node, "status", cwd=workspace, words=["outputs/d"])["changes"]
    says(node, "checkout", "outputs/d", "--force", cwd=workspace, words=["checked out"])
    shutil.rmtree(workspace / "outputs" / "d")
    shutil.rmtree(workspace / ".dvc" / "cache")
    assert "4 objects fetched" in node.run("placet", "fetch", "outputs/d", cwd=workspace).out
    says(node, "pull", "outputs/d", cwd=workspace, words=["were there"])
    assert (workspace / "outputs" / "d" / "0.csv").read_text() == "x\n0\n"


def test_looking(world, workspace, ident):
    alice, node = world["alice"], world["site-a"]
    assert says(alice, "list", words=[ident[:12], "PROPOSED", "tables"])["proposals"][0]["id"] == ident
    says(alice, "list", "--state", "APPROVED", words=["no proposal"])
    shown = says(
        alice, "show", ident[:8], words=["aggregates", "2 of 2 approvals", "outputs/table.csv", "passed"]
    )
    assert shown["may_approve"] == ["alice", "bob"]
    says(alice, "diff", ident, words=["new", "+ 0.csv"])
    says(world["bob"], "diff", ident, words=["not readable here"])
    says(alice, "check", ident, words=["formulas", "Looked at: the bytes"])
    says(world["bob"], "check", ident, words=["Looked at: the report"])
    says(
        node,
        "policy",
        "explain",
        "outputs/x.csv",
        cwd=workspace,
        words=[
            "rule aggregates",
            "alice (hospital-a, sees bytes), bob",
            "types",
            "take it back: node site-a alone",
        ],
    )
    says(alice, "policy", "explain", "secret/x", "--node", "site-a", words=["denied"])
    shown = says(alice, "policy", "show", words=["# effective: policy 0", "governance:"])
    assert shown["digest"] == world.trust_root
    says(world["dana"], "policy", "lint", "policy.yaml", words=["No weakness"])


def test_a_reviewer_fetches_the_bytes(world, ident, tmp_path):
    alice = world["alice"]
    run = alice.run("placet", "fetch", "--proposal", ident, "--to", str(tmp_path / "look"))
    assert "4 files, each proven" in run.out
    assert (tmp_path / "look" / "outputs" / "d" / "2.csv").read_text() == "x\n2\n"
    assert (
        alice.placet("fetch", "--proposal", ident, "--to", str(tmp_path / "look"), expect=11).json["kind"]
        == "folder-exists"
    )
    error = world["bob"].placet("fetch", "--proposal", ident, "--to", str(tmp_path / "other"), expect=10).json
    assert error["kind"] == "no-remote"
    alice.run("placet", "fetch", "--proposal", ident, expect=2)


def test_deciding_and_promoting(world, workspace, ident):
    alice, bob, agent = world["alice"], world["bob"], world["site-a-agent"]
    assert "return" in alice.run("placet", "return", ident, "-m", "smaller cells, please").out
    assert says(alice, "list", "--state", "RETURNED", words=["RETURNED"])
    assert "reject" in alice.run("placet", "reject", ident, "-m", "no").out
    assert "1 of 2 approvals are missing" in alice.run("placet", "approve", ident, "--days", "3").out
    assert "decision 1" in bob.run("placet", "approve", ident).out
    assert "landed as" in bob.run("placet", "merge", ident).out
    words = [
        "denied, tried",
        "versioned",
        "traits",
        "key is in the effective policy",
        "secrets, type can run here",
    ]
    says(agent, "doctor", words=[*words, "a branch that nobody may push was refused"])
    run = agent.run("placet", "promote", ident)
    assert "PUBLISHED" in run.out
    says(agent, "agent", "--once", words=["Nothing waits"])
    shown = says(alice, "show", ident, words=["PUBLISHED", "ledger entry 1", "smaller cells"])
    assert [one["verdict"] for one in shown["decisions"] if one["person"] == "alice"] == [
        "return",
        "reject",
        "approve",
    ]
    assert [one["kind"] for one in says(alice, "log", words=["genesis", "publish"])["entries"]] == [
        "genesis",
        "publish",
    ]
    withdrawn = world["site-a"].placet("withdraw", ident, cwd=workspace, expect=12).json
    assert withdrawn["kind"] == "not-decidable"


def test_freezing(world, workspace):
    alice, dana, node = world["alice"], world["dana"], world["site-a"]
    frozen = alice.run("placet", "freeze", "node:site-a", "-m", "a column too many").out.split("\n")[0]
    assert frozen in node.run("placet", "freezes", cwd=workspace).out
    assert node.placet("freeze", "all", "-m", "no", cwd=workspace, expect=2).json["kind"] == "not-a-person"
    assert "one more person is needed" in alice.run("placet", "unfreeze", frozen[:8], "-m", "looked").out
    shown = dana.placet("freezes").json["freezes"]
    assert [(one["scope"], one["where"], one["ended_by"]) for one in shown] == [
        ("node:site-a", "main", ["alice"])
    ]
    assert (
        f"{frozen} has ended, by alice, dana." in dana.run("placet", "unfreeze", frozen, "-m", "looked").out
    )
    assert "No freeze stands." in node.run("placet", "freezes", cwd=workspace).out


def test_a_candidate_policy(world, ident, tmp_path):
    dana, text = world["dana"], (world["dana"].folder / "policy.yaml").read_text()
    same, strict = tmp_path / "same.yaml", tmp_path / "strict.yaml"
    same.write_text(text)
    found = says(dana, "policy", "test", str(same), words=["0 decided the other way round"])
    assert [one["id"] for one in found["proposals"]] == [ident]
    assert ident[:12] in dana.run("placet", "policy", "test", str(same), "-v").out
    strict.write_text(text.replace("files: 2000", "files: 2").replace("checks: [", "checks: [own, "))
    found = says(
        dana, "policy", "test", str(strict), code=12, words=[ident[:12], "allowed", "refused", "has 3 files"]
    )
    assert found["flips"] == 1
    assert "Check own of outputs/d is missing." in found["proposals"][0]["would"]["reasons"]
    shown = says(
        dana, "policy", "explain", "outputs/d", "--node", "site-a", "--policy", str(strict),
        words=["not rule calibration: ", "could approve: alice (hospital-a, sees bytes)", "at most files: 2", "own"],
    )  # fmt: skip
    assert shown["holds"]["rule"] == "aggregates"
    strict.write_text(text.replace("rows: 20000, ", ""))
    found = says(dana, "policy", "lint", str(strict), code=12, words=["no-rows: Rule aggregates"])
    line = text[: text.index("name: aggregates")].count("\n") + 1
    assert [(one["code"], one["line"]) for one in found["weaknesses"]] == [("no-rows", line)]


def test_withdrawing(world, workspace):
    node = world["site-a"]
    (workspace / "outputs" / "other.csv").write_text("x\n1\n")
    ident = node.placet("propose", "outputs/other.csv", "-m", "a mistake", cwd=workspace).json["id"]
    assert "withdrawn" in node.run("placet", "withdraw", ident, "-m", "wrong file", cwd=workspace).out
    assert says(world["alice"], "list", "--state", "WITHDRAWN", words=[ident[:12]])


def test_checks_stop_what_no_rule_allows(world, workspace):
    node = world["site-a"]
    for name, data, words in (
        ("lie.csv", b"PK\x03\x04\x00\xff", "is not csv"),
        ("formula.csv", b"a,b\n=cmd(),1\n", "formula"),
        ("run.exe", b"MZ", "suffix"),
        ("model.pkl", b"not a pickle", "is not pickle"),
        ("x.parquet", b"PAR1....nope", "is not parquet"),
    ):
        (workspace / "outputs" / name).write_bytes(data)
        error = node.placet("propose", f"outputs/{name}", "-m", "x", cwd=workspace, expect=12).json
        assert words in error["why"], error


def test_verifying(world, ident):
    researcher, clone = world["researcher"], world["researcher"].folder / "results"
    researcher.git("clone", "-q", world.ctrl_url, str(clone))
    pin = {"PLACET_TRUST_ROOT": f"sha256:{world.trust_root}"}
    says(researcher, "verify", cwd=clone, env=pin, words=["not-pulled", "alice (bytes), bob (report)"])
    access, secret = world.store.credentials("researcher")
    for key, value in (("access_key_id", access), ("secret_access_key", secret)):
        researcher.dvc("remote", "modify", "--local", "publication-storage", key, value, cwd=clone)
    researcher.dvc("pull", "-q", "-r", "publication-storage", cwd=clone)
    says(
        researcher,
        "verify",
        ident[:8],
        "--no-fetch",
        cwd=clone,
        env=pin,
        words=["verified", "exactly what was approved"],
    )
    (clone / "artifacts/site-a/outputs/d/1.csv").unlink()
    says(
        researcher,
        "verify",
        cwd=clone,
        env=pin,
        code=13,
        words=["PROBLEM", "2 files are not the 3 approved ones"],
    )
    says(researcher, "verify", "--record", cwd=clone, env=pin, words=["not-pulled"])
    says(researcher, "verify", "artifacts/site-a/outputs/table.csv", cwd=clone, env=pin, words=["verified"])
    wrong = {"PLACET_TRUST_ROOT": "1" * 64}
    assert researcher.placet("verify", cwd=clone, env=wrong, expect=13).json["kind"] == "trust-root"
    shallow = researcher.folder / "single"
    researcher.git("clone", "-q", "--single-branch", world.ctrl_url, str(shallow))
    assert (
        says(researcher, "verify", "--no-fetch", cwd=shallow, env=pin, words=["2 ledger entries"])["problems"]
        == []
    )
    first = researcher.run("placet", "verify", "--record", cwd=clone)
    assert "FIRST USE" in first.err
    assert "FIRST USE" not in researcher.run("placet", "verify", "--record", cwd=clone).err


def test_a_bundle_is_checked_where_there_is_nothing_else(world, ident, tmp_path):
    """No clone, no Git on the PATH, no store: the file, the data, and a trust root from elsewhere."""
    researcher, clone = world["researcher"], world["researcher"].folder / "results"
    pin = {"PLACET_TRUST_ROOT": world.trust_root}
    researcher.dvc("pull", "-q", "-f", "-r", "publication-storage", cwd=clone)
    made = researcher.placet("bundle", ident[:8], "-o", str(tmp_path / "proof.json"), cwd=clone, env=pin).json
    assert made["without_list"] == []
    run = world["alice"].run("placet", "bundle", ident, "-o", str(tmp_path / "signed.json"))
    assert "2 ledger entries\ncheckpoint of alice" in run.out
    assert (made["entries"], made["checkpoint_by"]) == (2, [])
    shutil.copytree(clone / "artifacts/site-a/outputs/d", tmp_path / "d")
    shutil.copy(clone / "artifacts/site-a/outputs/table.csv", tmp_path / "renamed")
    nowhere = {"PATH": "/nonexistent", "HOME": str(tmp_path), "PLACET_HOME": str(tmp_path / "home")}

    def verify(*arguments, code=0):
        argv = (sys.executable, "-m", "placet", "verify", "--json", "--bundle", *arguments)
        return researcher.run(*argv, cwd=tmp_path, env=nowhere, expect=code).json

    root = ("--trust-root", f"sha256:{world.trust_root}")
    for name in ("proof.json", "signed.json"):
        found = verify(name, "d", "renamed", *root)
        assert [one["data"] for one in found["artifacts"]] == ["verified", "verified"]
    assert verify("proof.json", "d/1.csv", *root)["problems"] == []
    assert "no trust root" in verify("proof.json", "d", code=13)["problems"][0]
    (tmp_path / "d" / "1.csv").write_text("changed")
    assert "not what was approved" in verify("proof.json", "d", *root, code=13)["problems"][0]
    for usage in (("--bundle", "x", "--record"), ("--trust-root", "0" * 64)):
        assert researcher.placet("verify", *usage, cwd=tmp_path, expect=2).json["kind"] == "usage"


def test_checkpoints(world, workspace, tmp_path):
    alice, node = world["alice"], world["site-a"]
    one, two = str(tmp_path / "alice.json"), str(tmp_path / "site-a.json")
    assert "published, entry 1, sha256:" in alice.run("placet", "checkpoint", "sign", "-o", one).out
    node.placet("checkpoint", "sign", "-o", two, cwd=workspace)
    found = says(
        alice, "checkpoint", "compare", one, two, words=["alice", "node site-a", "name the same entry"]
    )
    assert (found["verdict"], found["branch"]) == ("same", "published")
    forged = json.loads((tmp_path / "alice.json").read_text())
    forged["signatures"][0]["sig"] = base64.b64encode(b"x" * 64).decode()
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    error = alice.placet("checkpoint", "compare", str(tmp_path / "forged.json"), expect=13).json
    assert error["kind"] == "checkpoint-signature"


def test_two_processes_that_propose_the_same_make_one_proposal(world, workspace):
    node = world["site-a"]
    (workspace / "outputs" / "race.csv").write_text("a,b\n1,2\n")
    with ThreadPoolExecutor(2) as pool:
        runs = list(
            pool.map(
                lambda n: node.placet("propose", "outputs/race.csv", "-m", f"number {n}", cwd=workspace).json,
                range(2),
            )
        )
    assert len({one["id"] for one in runs}) == 1
    assert sorted(one["created"] for one in runs) == [False, True]
    node.placet("withdraw", runs[0]["id"], "-m", "enough", cwd=workspace)


def test_a_new_tier(world):
    dana = world["dana"]
    text = (dana.folder / "policy.yaml").read_text()
    text = text.replace("number: 0", "number: 1").replace("previous: null", f'previous: "{world.trust_root}"')
    text = text.replace(
        "rules:",
        f"  open-storage:\n    url: s3://publication/open\n    endpointurl: {world.store.endpoint}\nrules:",
    )
    (dana.folder / "policy-1.yaml").write_text(text)
    error = dana.placet("init", "--ctrl", "--tier", "open-storage", expect=10).json
    assert error["kind"] == "no-tier"
    ident = dana.run("placet", "policy", "propose", "policy-1.yaml", "-m", "a second tier").out.strip()
    for name in ("alice", "bob"):
        world[name].placet("approve", ident)
    dana.placet("merge", ident)
    dana.run("placet", "init", "--ctrl", "--tier", "open-storage")
    world["site-a-agent"].placet("agent", "--once")
    entries = world["alice"].placet("log").json["entries"]
    assert {(one["branch"], one["kind"]) for one in entries} == {
        ("published", "genesis"), ("published", "publish"), ("published", "policy"),
        ("published-open-storage", "genesis"), ("published-open-storage", "policy"),
    }  # fmt: skip


def test_collecting(world, workspace, ident, tmp_path):
    """What is published stays in cache and internal tier without any metafile here; a mistake goes."""
    node, settings = world["site-a"], workspace / "placet.toml"
    (workspace / "outputs" / "junk.csv").write_text("x\nmistake\n")
    junk = node.placet("propose", "outputs/junk.csv", "-m", "a mistake", cwd=workspace).json["id"]
    for name in ("table.csv", "d", "junk.csv"):
        (workspace / "outputs" / f"{name}.dvc").unlink()
    assert not node.placet("gc", "--older-than", "0", cwd=workspace).json["names"]
    node.placet("withdraw", junk, "-m", "wrong file", cwd=workspace)
    away = {"PLACET_CTRL": "git://127.0.0.1:1/ctrl.git"}
    assert node.placet("gc", cwd=workspace, env=away, expect=1).json["kind"] == "ctrl-unreachable"
    found = says(
        node, "gc", "--older-than", "0", cwd=workspace, words=["would be removed: 1 files", "PUBLISHED"]
    )
    assert found["roots"]["proposals PUBLISHED"] == 1
    assert (
        node.placet("gc", "-r", "internal-storage", cwd=workspace, expect=12).json["kind"]
        == "gc-shared-remote"
    )
    settings.write_text(settings.read_text() + '[gc]\nremotes = ["internal-storage"]\n')
    young = node.placet("gc", "-r", "internal-storage", "--yes", cwd=workspace).json
    assert (young["young"]["objects"], young["names"]) == (1, [])
    remote = node.placet("gc", "-r", "internal-storage", "--older-than", "0", "--yes", cwd=workspace).json
    assert remote["names"] == found["names"]
    assert node.placet("gc", "--older-than", "0", "--yes", cwd=workspace).json["names"] == found["names"]
    says(node, "gc", "--older-than", "0", "--yes", cwd=workspace, words=["nothing to remove"])
    world["alice"].run("placet", "fetch", "--proposal", ident, "--to", str(tmp_path / "still"))
    assert (tmp_path / "still" / "outputs" / "d" / "2.csv").read_text() == "x\n2\n"
    error = world["site-a-agent"].placet("gc", "-r", "publication-storage", "--yes", expect=12).json
    assert error["kind"] == "gc-publication-tier"
    error = world["site-a-agent"].placet("gc", "-r", "internal-storage", "--yes", expect=12).json
    assert "credential" in error["why"]
    node.run("placet", "gc", "--older-than", "1x", cwd=workspace, expect=2)


def test_a_return_goes_on_as_a_new_proposal(world, workspace):
    """Through the real gate: comments on artifacts, resubmission, links both ways, pins, rows on request only."""
    node, alice, bob = world["site-a"], world["alice"], world["bob"]
    file = workspace / "outputs" / "round.csv"
    file.write_text("site,n\nnorth,4\nsouth,31\n")
    first = node.placet("propose", "outputs/round.csv", "-m", "counts", cwd=workspace).json["id"]
    assert first in [
        one["id"] for one in alice.placet("list", "--mine", "--path", "outputs/round.csv").json["proposals"]
    ]
    returned = ("return", first, "--on", "outputs/round.csv", "north is a small cell")
    assert "on outputs/round.csv" in alice.run("placet", *returned).out
    assert (
        alice.placet("return", first, "-m", "x", "--on", "outputs/else.csv", "y", expect=2).json["kind"]
        == "comment-path"
    )
    file.write_text("site,n\nsouth,31\nwest,12\n")
    second = node.placet("propose", "outputs/round.csv", "-m", "without small cells", cwd=workspace).json[
        "id"
    ]
    again = node.placet("propose", "outputs/round.csv", "-m", "again", cwd=workspace).json
    assert (again["id"], again["created"]) == (second, False)
    new = says(bob, "show", second, words=["follows", first, "north is a small cell", "has not decided"])
    old = says(bob, "show", first, words=["(closed)", "followed by", second])
    assert [one["id"] for one in new["follows"]] == [first] and [one["id"] for one in old["followed_by"]] == [
        second
    ]
    assert first not in alice.run("placet", "list").out
    says(alice, "list", "--closed", "--state", "RETURNED", words=[first[:12], "(closed)"])
    assert alice.run("placet", "diff", second, "--rows", "3", expect=2).out == ""
    found = alice.placet("diff", second, "--rows", "1").json["artifacts"][0]["entries"][0]["table"]
    assert (found["rows"], found["sample_added"]) == ([0, 2], [["south", "31"]])
    says(bob, "diff", second, words=["not readable here"])
    wrong = "sha256:" + "0" * 64
    assert alice.placet("approve", second, "--manifest", wrong, expect=11).json["kind"] == "other-manifest"
    made = alice.placet("approve", second, "--manifest", new["manifest"], "--days", "2").json
    assert (made["manifest"], made["seen"], made["state"]) == (new["manifest"], "bytes", "PROPOSED")
    assert alice.placet("approve", first, expect=12).json["kind"] == "not-decidable"
    assert second not in [one["id"] for one in alice.placet("list", "--mine").json["proposals"]]
    shown = alice.placet("show", second).json
    assert [(one["verdict"], one["seen"], one["digests"]) for one in shown["decisions"]] == [
        ("approve", "bytes", 1)
    ]


def test_keys_with_a_passphrase(world, tmp_path):
    alice = world["alice"]
    key = tmp_path / "locked.key"
    made = alice.run(
        "sh", "-c", f"printf 'secret\\nsecret\\n' | placet keygen --passphrase {key}", expect=None
    )
    if made.code:
        pytest.fail(made.err)
    env = {"PLACET_KEY": str(key)}
    assert alice.placet("approve", "x", env=env, expect=10).json["kind"] == "no-proposal"
    findings = json.loads(alice.run("placet", "doctor", "--json", env=env, expect=1).out)["findings"]
    assert any(one["name"] == "key" and one["level"] == "fail" for one in findings)
    env["PLACET_PASSPHRASE"] = "secret"
    findings = json.loads(alice.run("placet", "doctor", "--json", env=env, expect=1).out)["findings"]
    assert any(one["name"] == "key" and one["level"] == "ok" for one in findings)
    assert any("not in the effective policy" in one["text"] for one in findings)
