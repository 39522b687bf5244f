"""The rows of promotion: what is approved goes from the internal to the publication tier.

DVC's way is `dvc pull -r internal-storage` into an empty cache, then `dvc push -r publication-storage`.
What is timed of Placet's is `placet promote` as a process, its work in Git included; proposing, approving
and merging are not. The result is proven by a client that belongs to neither.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench.rows import cleaned, require
from bench.stage import Spent, Stage, copy_tree, git

INTERNAL, PUBLICATION = "internal-storage", "publication-storage"
AGAIN, UNRECORDED = ", published already", ", objects there without a receipt"
_SAMPLE = 20
_POLICY = """\
version: 1
project: bench
people:
  alice: {{name: Alice, organisation: one, keys: ["{alice}"]}}
  bob: {{name: Bob, organisation: two, keys: ["{bob}"]}}
groups:
  stewards: {{members: [alice, bob], sees: report}}
nodes:
  site: {{organisation: one, keys: ["{site}"], paths: ["outputs/**"]}}
tiers:
  publication-storage: {{url: "{url}", endpointurl: "{endpoint}"}}
rules:
  - name: all
    paths: ["*/outputs/**"]
    approvals: [{{count: 2, groups: [stewards]}}]
    limits: {{bytes: 100000000000, files: 1000000}}
    expires_days: 30
governance:
  policy: [{{count: 2, groups: [stewards]}}]
"""


@dataclass(slots=True)
class Promoting:
    """One landed proposal, and a DVC project that names the same output.

    Args:
        stage: Where it happens, and where the internal tier is.
        there: Where the publication tier is.
        name: What the folder and the buckets are called.
        data: The output: a file or a folder.
        md5s: Object -> MD5 of its bytes, of each file.
    """

    stage: Stage
    there: Stage
    name: str
    data: Path
    md5s: Mapping[str, str]
    folder: Path = field(init=False)
    ident: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.folder = self.stage.root / self.name
        self.folder.mkdir()
        for stage, bucket in ((self.stage, self._internal), (self.there, self._publication)):
            stage.server.create_bucket(bucket, versioned=bucket == self._publication)
        try:
            self._settle()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove what it holds in the stores; a bucket goes with all that is in it."""
        for stage, bucket in ((self.stage, self._internal), (self.there, self._publication)):
            stage.server.client().delete_bucket(Bucket=bucket)

    @property
    def _internal(self) -> str:
        return f"{self.name}-internal"

    @property
    def _publication(self) -> str:
        return f"{self.name}-publication"

    def run(self, party: str, *words: str) -> Spent:
        """One command in a party's folder, under its home."""
        return self.stage.spawner.run(words, self.folder / party / "work", self._env(party))

    def said(self, party: str) -> dict[str, str]:
        """What the party's last command said, as JSON."""
        found: dict[str, str] = json.loads((self.folder / party / "last.log").read_text())
        return found

    def _env(self, party: str) -> dict[str, str]:
        return self.stage.environment(self.folder / party / "home")

    def _settle(self) -> None:
        """Keys, policy, Ctrl repository; then proposed, approved, merged."""
        for party in ("alice", "bob", "site", "dvc"):
            for part in ("work", "home"):
                (self.folder / party / part).mkdir(parents=True)
        keys = {}
        for party in ("alice", "bob", "site"):
            self.run(party, "placet", "keygen", "own.key", "--json")
            keys[party] = self.said(party)["public"]
        policy = self.folder / "policy.yaml"
        place = {"url": f"s3://{self._publication}/placet", "endpoint": self.there.server.endpoint}
        policy.write_text(_POLICY.format(**keys, **place))
        ctrl = str(self.folder / "ctrl.git")
        begin = ("init", "--ctrl", ctrl, "--policy", str(policy), "--key", "own.key")
        self.run("alice", "placet", *begin, "--json")
        common = f'ctrl = "{ctrl}"\ntrust_root = "sha256:{_bare(self.said("alice")["trust_root"])}"\n'
        for party in ("alice", "bob"):
            self._settings(party, f'person = "{party}"\n{common}')
        self._settings("site", f'node = "site"\n{common}internal = "{INTERNAL}"\n')
        for party, target in (("site", "placet"), ("dvc", "dvc")):
            self._project(party, target)
        output = self.folder / "site" / "work" / "outputs" / self.data.name
        output.parent.mkdir()
        copy_tree(self.data, output)
        self.run("site", "placet", "propose", f"outputs/{self.data.name}", "-m", "m", "--json")
        self.ident = self.said("site")["id"]
        for party in ("alice", "bob"):
            self.run(party, "placet", "approve", self.ident)
        self.run("bob", "placet", "merge", self.ident)
        pointer = f"{self.data.name}.dvc"
        shutil.copy(output.parent / pointer, self.folder / "dvc" / "work" / pointer)
        shutil.rmtree(self.folder / "site" / "work" / ".dvc" / "cache")
        shutil.rmtree(output, ignore_errors=True)
        self._kept("keep")

    def _settings(self, party: str, lines: str) -> None:
        (self.folder / party / "work" / "placet.toml").write_text(f'key = "own.key"\n{lines}')

    def _project(self, party: str, target: str) -> None:
        git(self.folder / party / "work", self._env(party), "init", "-q", "-b", "main")
        places = {
            INTERNAL: (f"s3://{self._internal}/dvc", self.stage.server),
            PUBLICATION: (f"s3://{self._publication}/{target}", self.there.server),
        }
        self.run(party, "dvc", "init", "-q")
        config = ["[core]", "    analytics = false", "    check_update = false"]
        for name, (url, server) in places.items():
            access, secret = server.credentials("admin")
            config += [
                f"['remote \"{name}\"']",
                f"    url = {url}",
                f"    endpointurl = {server.endpoint}",
                f"    access_key_id = {access}",
                f"    secret_access_key = {secret}",
            ]
        (self.folder / party / "work" / ".dvc" / "config").write_text("\n".join(config) + "\n")

    def _kept(self, what: str) -> None:
        """Keep the Ctrl repository and all that the node knows of it, or put it back."""
        for one in ("ctrl.git", "site/home"):
            here, kept = self.folder / one, self.folder / "kept" / one
            source, target = (here, kept) if what == "keep" else (kept, here)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)

    def forget_receipt(self) -> None:
        """As if the promotion had ended before its receipt: the objects stay."""
        self._kept("restore")

    def placet(self) -> Spent:
        """The promotion."""
        return self.run("site", "placet", "promote", self.ident)

    def dvc(self) -> Spent:
        """DVC's way: through this machine's disk, by two commands."""
        pulled = self.run("dvc", "dvc", "pull", "-q", "-r", INTERNAL)
        return pulled + self.run("dvc", "dvc", "push", "-q", "-r", PUBLICATION)

    def s5cmd(self) -> Spent:
        """Copies inside the service, unverified."""
        words = (f"s3://{self._internal}/dvc/files/*", f"s3://{self._publication}/s5cmd/files/")
        return self.run("dvc", "s5cmd", "--endpoint-url", self.stage.server.endpoint, "cp", *words)

    def rclone(self) -> Spent:
        """Copies inside the service, unverified."""
        access, secret = self.stage.server.credentials("admin")
        options = f"endpoint='{self.stage.server.endpoint}',access_key_id={access},secret_access_key={secret}"
        remote = f":s3,provider=Other,{options}"
        places = (f"{remote}:{self._internal}/dvc/files", f"{remote}:{self._publication}/rclone/files")
        return self.run("dvc", "rclone", "copy", "--ignore-checksum", *places)

    def check(self, tool: str) -> None:
        """Every object is there with its size, and a sample of them is right to the byte."""
        server = self.there.server
        prefix = f"{tool}/files/md5/"
        stored = self.there.stored(self._publication, prefix)
        keys = {f"{md5[:2]}/{md5[2:]}" for md5 in self.md5s.values()}
        require(keys <= set(stored), f"{tool}: {len(keys - set(stored))} objects are missing")
        client = server.client()

        def right(key: str) -> bool:
            body = client.get_object(Bucket=self._publication, Key=prefix + key)["Body"]
            md5 = hashlib.md5()
            for chunk in body.iter_chunks(1 << 20):
                md5.update(chunk)
            return md5.hexdigest() == key.replace("/", "")

        with ThreadPoolExecutor(4) as pool:
            sample = random.sample(sorted(keys), min(_SAMPLE, len(keys)))
            require(all(pool.map(right, sample)), f"{tool}: an object is corrupt")

    def check_published(self) -> None:
        """Placet's: as `check`, and stock Git finds the output on the published branch."""
        self.check("placet")
        ctrl, env = self.folder, self._env("site")
        git(
            ctrl,
            env,
            "--git-dir",
            "ctrl.git",
            "cat-file",
            "-e",
            f"published:artifacts/site/outputs/{self.data.name}.dvc",
        )


Rows = dict[str, dict[str, Spent]]


def promotion(
    stage: Stage, there: Stage, data: Path, md5s: Mapping[str, str], turn: int, label: str, beside: str
) -> Rows:
    """One promotion by each tool, Placet's again when it is published, and again without its receipt.

    Args:
        stage: Where the internal tier is.
        there: Where the publication tier is.
        data: The output.
        md5s: Path -> MD5 of each file.
        turn: The number of the round.
        label: How the rows are called.
        beside: Another tool that takes part, if any.
    """
    name = f"promote-{len(md5s)}-{'two' if there is not stage else 'one'}-{turn}"
    out: Rows = {}
    with cleaned(stage.root / name):
        work = Promoting(stage, there, name, data, md5s)
        try:
            tools: dict[str, tuple[Callable[[], Spent], Callable[[], None]]] = {
                "dvc": (work.dvc, lambda: work.check("dvc")),
                "placet": (work.placet, work.check_published),
            }
            if beside:
                tools[beside] = (getattr(work, beside), lambda: work.check(beside))
            names = list(tools)
            for tool in names[turn % len(names) :] + names[: turn % len(names)]:
                does, check = tools[tool]
                out.setdefault(label, {})[tool] = does()
                check()
            for again, before in (AGAIN, lambda: None), (UNRECORDED, work.forget_receipt):
                before()
                out[f"{label}{again}"] = {"placet": work.placet()}
                work.check_published()
        finally:
            work.close()
    return out


def many(stage: Stage, data: Path, md5s: Mapping[str, str], label: str) -> Rows:
    """One promotion of very many objects, by Placet only."""
    name = f"promote-{len(md5s)}"
    with cleaned(stage.root / name):
        work = Promoting(stage, stage, name, data, md5s)
        try:
            spent = work.placet()
            work.check_published()
        finally:
            work.close()
    return {label: {"placet": spent}}


def _bare(text: str) -> str:
    return text.removeprefix("sha256:")
