"""A short soak, and the judge's own test: each invariant is broken in a copy of the state, and found."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from soak import steps, stock
from soak.evidence import METAFILE, Git, statement
from soak.judge import Judge
from soak.town import Town

TIP = "refs/heads/published"
SEED, PROPOSALS = 5, 5


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    with Town(tmp_path_factory.mktemp("soak"), SEED) as made:
        steps.live(made, PROPOSALS, lambda: True)
        for how in ("unconfirmed", "by two"):
            steps.take_back(made, steps.standing(made)[-1], how)
        yield made


def test_nothing_is_broken_after_a_life_of_faults(town):
    judge = Judge(town.state())
    assert judge.run() == []
    assert len(town.proposals) == PROPOSALS
    assert town.counts["merge"] >= 2
    assert {"retraction unconfirmed: restored", "retraction by two: erased"} <= town.counts.keys()
    assert sum(count for name, count in town.counts.items() if name.startswith("fault ")) >= 1
    assert stock.pull(town, 1, judge.erased) >= 1


class Copy:
    """The Ctrl repository, copied, whose published branch can be written past every gate."""

    def __init__(self, town, folder):
        shutil.copytree(town.ctrl, folder / "ctrl.git")
        self.town, self.path = town, folder / "ctrl.git"

    @property
    def git(self):
        return Git(self.path)

    def run(self, *arguments, data=None):
        command = ["git", "--git-dir", str(self.path), *arguments]
        env = {
            "GIT_INDEX_FILE": str(self.path / "index.soak"),
            "HOME": str(self.path),
            "PATH": "/usr/bin:/bin",
        }
        identity = {
            f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(command, input=data, capture_output=True, env={**env, **identity}, check=True)
        return done.stdout.decode().strip()

    def commit(self, base, parents, files, message):
        """A commit whose tree is that of `base` with these files; None removes one."""
        self.run("read-tree", base)
        for path, data in files.items():
            if data is None:
                self.run("update-index", "--index-info", data=f"0 {'0' * 40}\t{path}\n".encode())
            else:
                blob = self.run("hash-object", "-w", "--stdin", data=data)
                self.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        above = [word for parent in parents for word in ("-p", parent)]
        return self.run("commit-tree", self.run("write-tree"), *above, "-m", message)

    def amend(self, files):
        """The last commit of the published branch, with other files."""
        tip = self.git.refs()[TIP]
        new = self.commit(tip, self.git.parents(tip), files, self.git.message(tip))
        self.run("update-ref", TIP, new)

    def last(self):
        """The last entry that published something: its commit becomes the tip; path, entry, proposal's folder."""
        git = self.git
        for commit in reversed(git.line(TIP)):
            if git.message(commit).startswith("publish "):
                self.run("update-ref", TIP, commit)
                ident = git.message(commit).split()[1]
                numbers = [int(path.split("/")[-1][:-5]) for path in git.tree(commit) if "/ledger/" in path]
                path = f".placet/ledger/{max(numbers) // 1000}/{max(numbers)}.json"
                return (
                    path,
                    statement(git.blob(git.tree(commit)[path])),
                    f".placet/proposals/{ident[:2]}/{ident}/",
                )
        raise AssertionError("nothing was published")

    def read(self, path):
        git = self.git
        return git.blob(git.tree(git.refs()[TIP])[path])

    def signed(self, statement_, body, key):
        """The same statement with other contents, signed by somebody."""
        outer = {"_type": "https://in-toto.io/Statement/v1", "subject": statement_.subject}
        outer |= {"predicateType": f"urn:placet:{statement_.kind}:v1", "predicate": body}
        payload = json.dumps(outer).encode()
        kind = "application/vnd.in-toto+json"
        message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
        private = load_pem_private_key((self.town.folder / "keys" / key).read_bytes(), None)
        signature = base64.b64encode(private.sign(message)).decode()
        return json.dumps(
            {
                "payloadType": kind,
                "payload": base64.b64encode(payload).decode(),
                "signatures": [{"keyid": "", "sig": signature}],
            }
        ).encode()


def other_metafile(copy):
    _, _, folder = copy.last()
    manifest = statement(copy.read(f"{folder}manifest.json")).body
    path = f"artifacts/{manifest['node']}/{manifest['artifacts'][0]['path']}.dvc"
    copy.amend({path: copy.read(path).replace(b"md5: ", b"md5: 0", 1)})


def published_twice(copy):
    _, entry, _ = copy.last()
    number = entry.body["sequence"] + 1
    body = {**entry.body, "sequence": number, "previous": entry.digest}
    tip = copy.git.refs()[TIP]
    again = copy.signed(entry, body, entry.body["actor"])
    files = {f".placet/ledger/{number // 1000}/{number}.json": again}
    new = copy.commit(tip, [tip, entry.body["judged"]], files, copy.git.message(tip))
    copy.run("update-ref", TIP, new)


def broken_object(copy):
    blob = copy.run("hash-object", "-w", "--stdin", data=b"something")
    path = copy.path / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"not an object")


def foreign_remote(copy):
    copy.amend({".dvc/config": copy.read(".dvc/config") + b"['remote \"evil\"']\n    url = s3://evil/x\n"})


def no_approval(copy):
    _, _, folder = copy.last()
    copy.amend(
        {
            path: None
            for path in copy.git.tree(copy.git.refs()[TIP])
            if path.startswith(f"{folder}decisions/bob")
        }
    )


def foreign_policy(copy):
    text = copy.read(".placet/policy.yaml").replace(b'"count": 2', b'"count": 1')
    copy.amend({".placet/policy.yaml": text})


def without_a_record(copy):
    tip = copy.git.refs()[TIP]
    copy.run(
        "update-ref", TIP, copy.commit(tip, [tip, copy.git.parents(tip)[-1]], {"artifacts/x.dvc": b"x"}, "x")
    )


def one_for_two(copy):
    """Bob's approval, signed by Alice."""
    _, _, folder = copy.last()
    path = f"{folder}decisions/bob-1.json"
    bob = statement(copy.read(path))
    copy.amend({path: copy.signed(bob, bob.body, "alice-2")})


def another_receipt(copy):
    _, _, folder = copy.last()
    receipt = statement(copy.read(f"{folder}receipt.json"))
    copy.amend({f"{folder}receipt.json": copy.signed(receipt, receipt.body, "alice")})


BREAKS = {
    "I2": other_metafile,
    "I3": another_receipt,
    "I4": published_twice,
    "I5": broken_object,
    "I6": foreign_remote,
    "I1": no_approval,
    "I7": foreign_policy,
    "I8": without_a_record,
    "I9": one_for_two,
}


@pytest.mark.parametrize("invariant", BREAKS)
def test_the_judge_finds_what_is_broken_in_git(town, tmp_path, invariant):
    copy = Copy(town, tmp_path)
    BREAKS[invariant](copy)
    found = Judge(replace(town.state(), git=copy.git)).run()
    assert invariant in {one for one, _ in found}, found


def erased_for_nothing(copy):
    """The receipt of an erasure, signed by somebody else."""
    kind, ident = copy.git.message(copy.git.refs()[TIP]).split()
    assert kind == "erased"
    path = f".placet/proposals/{ident[:2]}/{ident}/receipt.json"
    receipt = statement(copy.read(path))
    copy.amend({path: copy.signed(receipt, receipt.body, "alice-2")})


def metafile_comes_back(copy):
    """What was taken back stands again, without an entry that says so."""
    git, tip = copy.git, copy.git.refs()[TIP]
    line = git.line(TIP)
    at = next(n for n, one in enumerate(line) if git.message(one).startswith("retract ") and n > 1)
    gone = git.tree(line[at - 1]).keys() - git.tree(line[at]).keys()
    old = git.tree(line[at - 1])
    assert tip and gone
    copy.amend({path: git.blob(old[path]) for path in gone if path.endswith(".dvc")})


@pytest.mark.parametrize(("invariant", "change"), [("I3", erased_for_nothing), ("I8", metafile_comes_back)])
def test_the_judge_finds_what_is_broken_of_a_retraction(town, tmp_path, invariant, change):
    copy = Copy(town, tmp_path)
    change(copy)
    found = Judge(replace(town.state(), git=copy.git)).run()
    assert invariant in {one for one, _ in found}, found


def test_the_judge_finds_what_was_erased_and_is_there(town):
    """One object of it comes back, with the bytes that were approved once."""
    judge = Judge(town.state())
    assert judge.run() == []
    tier = next(tier for tier in town.state().tiers if judge.erased[tier.name])
    path, blob = min(judge.erased[tier.name])
    found = METAFILE.fullmatch(town.state().git.blob(blob).decode())
    key = f"files/md5/{found['md5'][:2]}/{found['md5'][2:]}{found['dir'] or ''}"
    node = path.split("/")[1]
    data = town.state().internal[node].read(key)
    admin = town.store.client()
    put = admin.put_object(Bucket=tier.admin.name, Key=f"dvc/{key}", Body=data)
    assert {one for one, _ in Judge(town.state()).run()} == {"I3"}
    admin.delete_object(Bucket=tier.admin.name, Key=f"dvc/{key}", VersionId=put["VersionId"])


def test_the_judge_finds_what_is_broken_in_a_tier(town):
    """A published object that is gone, one with other bytes, one that nobody approved, an upload that was left."""
    admin = town.store.client()
    reader = town.state().tiers[0].reader
    key = next(one for one in reader.keys if one.startswith("files/") and not one.endswith(".dir"))
    place = {"Bucket": reader.name, "Key": f"dvc/{key}"}
    data = admin.get_object(**place)["Body"].read()

    def judged():
        return {one for one, _ in Judge(town.state()).run()}

    admin.delete_object(**place)
    assert judged() == {"I3"}
    other = admin.put_object(**place, Body=data + b"!")
    assert judged() == {"I1"}
    admin.delete_object(**place, VersionId=other["VersionId"])
    admin.put_object(**place, Body=data)
    assert judged() == set()
    upload = admin.create_multipart_upload(**place)["UploadId"]
    assert judged() == {"I4"}
    admin.abort_multipart_upload(**place, UploadId=upload)
    foreign = {"Bucket": reader.name, "Key": "dvc/files/md5/00/foreign"}
    put = admin.put_object(**foreign, Body=b"patient 4711")
    assert judged() == {"I1"}
    admin.delete_object(**foreign, VersionId=put["VersionId"])
