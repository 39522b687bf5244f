"""Retraction on a real versioned bucket with one credential a role, and what a researcher with stock tools sees."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from governance.lab import TIER, Lab
from governance.test_promote import hold, land_folder, make
from governance.test_researcher import dvc, git
from keys import Key
from placet.client import Client
from placet.config import Settings
from placet.core import layout
from placet.core.digest import md5_hex
from placet.engine import clone, ctrl, takenback
from placet.engine.target import Target
from placet.errors import Conflict, Invalid, NotFound, Refused
from placet.ports import Version
from placet.wire.data import open_store

FILE, STAYS = b"a,b\n1,2\n", b"c,d\n5,6\n"
FILES = {"one.csv": b"one", "deep/two.csv": b"two", "shared.csv": STAYS}
DATA = "artifacts/site-b/outputs"
RULE = ("governance:\n", "governance:\n  retract: [trustees]\n")


class Library:
    """Three artifacts in a versioned bucket from which only one credential may delete."""

    def __init__(self, folder, seaweed):
        self.folder, self.server = folder, seaweed.server
        self.prefix = folder.name
        self.remotes = {
            name: seaweed.remote("versioned", name, self.prefix) for name in ("promoter", "writer", "reader")
        }
        url, endpoint = self.remotes["reader"]["url"], self.remotes["reader"]["endpointurl"]
        self.lab = Lab.make(folder, ("s3://pub/x", url), ("http://127.0.0.1:1", endpoint), RULE)
        store = open_store(self.remotes["promoter"])
        self.promoter = make(self.lab, target=store)
        self.promoter.targets[TIER] = Target(store, url, endpoint)
        self.url = str(folder / "ctrl.git")
        self.ids, self.opened = {}, []
        hold(self.promoter.source, FILE, STAYS)
        for name, data in (("a.csv", FILE), ("stays.csv", STAYS)):
            self.ids[name] = self.lab.landed(f"outputs/{name}", data)
        self.ids["folder"] = land_folder(self.lab, self.promoter, FILES)
        assert [one.error for one in self.promoter.run()] == [None] * 3

    def clone(self, name):
        root = self.folder / name
        git("clone", "-q", self.url, str(root), cwd=self.folder)
        self.credential(root, {TIER: "reader"})
        return root

    def credential(self, root, remotes):
        lines = []
        for remote, name in remotes.items():
            lines.append(f"['remote \"{remote}\"']")
            keys = ("access_key_id", "secret_access_key") if remote == TIER else self.remotes[name]
            lines += [f"    {key} = {self.remotes[name][key]}" for key in keys]
        (root / ".dvc").mkdir(exist_ok=True)
        (root / ".dvc" / "config.local").write_text("\n".join(lines) + "\n")

    def researcher(self, root):
        home = self.folder / f"home-{root.name}"
        settings = Settings(root=root, trust_root=self.lab.trust_root, home=home)
        self.opened.append(Client(root, settings=settings))
        return self.opened[-1]

    def person(self, name, credential="writer", remote="publication-retract"):
        """The folder of somebody who may retract, and, with a credential for it, erase."""
        root = self.folder / f"of-{name}-{credential}"
        root.mkdir(exist_ok=True)
        (root / ".dvc").mkdir(exist_ok=True)
        (root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
        self.credential(root, {remote: credential})
        pem = Key(name)._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key = root / "key"
        key.write_bytes(pem)
        key.chmod(0o600)
        (root / "placet.toml").write_text(
            f'person = "{name}"\nctrl = "{self.url}"\ntrust_root = "{self.lab.trust_root}"\nkey = "key"\n'
            f'[retraction]\n{TIER} = "{remote}"\n'
        )
        return root

    def versions(self):
        found = self.server.client().list_object_versions(Bucket="versioned", Prefix=f"{self.prefix}/files/")
        every = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
        return {one["Key"].removeprefix(f"{self.prefix}/") for one in every}


def placet(*arguments, cwd):
    tool = Path(sys.executable).parent / "placet"
    done = subprocess.run(
        [tool, *arguments, "--json"], cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, "PLACET_HOME": str(cwd / "home")},
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def library(tmp_path_factory, seaweed):
    made = Library(tmp_path_factory.mktemp("undone"), seaweed)
    yield made
    for one in made.opened:
        one.close()
    made.lab.repo.close()


def test_a_retraction_reaches_those_who_have_it_already(library, monkeypatch):  # noqa: PLR0915 - one story
    old, other = library.clone("old"), library.clone("other")
    for root in (old, other):
        dvc("pull", "-r", TIER, cwd=root)
        assert (root / DATA / "a.csv").read_bytes() == FILE
    assert library.researcher(old).verify().ok

    code, told = placet("retract", library.ids["a.csv"][:12], cwd=library.person("dana"))
    assert (code, told["kind"]) == (2, "no-comment")
    powerless = library.person("dana", "promoter")
    code, told = placet("retract", library.ids["a.csv"][:12], "-m", "names of patients", cwd=powerless)
    (one,) = told["retractions"]
    assert (code, one["stage"], one["error"]["kind"]) == (12, "recorded", "store-denied")
    assert layout.data_key(md5_hex(FILE)) in library.versions()
    code, told = placet("retract", cwd=library.person("dana"))
    assert (code, told["retractions"][0]["stage"]) == (0, "erased")
    assert layout.data_key(md5_hex(FILE)) not in library.versions()

    code, told = placet("retract", f"{DATA}/folder", "-m", "too detailed", cwd=library.person("alice"))
    assert (code, told["retractions"][0]["stage"]) == (0, "erased")
    assert told["retractions"][0]["erased"][0]["kept"] == 1
    assert library.versions() == {layout.data_key(md5_hex(STAYS))}

    researcher = library.researcher(old)
    report = researcher.verify()
    assert not report.ok
    assert [one.data for one in report.artifacts] == ["retracted", "retracted", "verified"]
    assert any(f"{DATA}/a.csv: RETRACTED" in one and "names of patients" in one for one in report.problems)
    with pytest.raises(Refused) as caught:
        library.researcher(old).pull()
    assert caught.value.kind == "retracted"
    assert "names of patients" in caught.value.why
    for step in ("pull", "fetch", "checkout"):
        with pytest.raises(Refused):
            getattr(library.researcher(old), step)([f"{DATA}/a.csv"])
    found = library.researcher(old).status()
    assert {one.path: one.state for one in found.changes} == {
        f"{DATA}/a.csv": "retracted",
        f"{DATA}/folder": "retracted",
    }
    library.researcher(old).pull([f"{DATA}/stays.csv"])

    with monkeypatch.context() as patch:
        patch.setattr(clone, "refuse_retracted", lambda *_: {})
        library.researcher(old).checkout([f"{DATA}/a.csv"])
    with monkeypatch.context() as patch:
        patch.setattr(ctrl, "_follow_fetched", lambda *_: None)
        assert library.researcher(old).verify().ok, "without the guard the older clone hears nothing"

    git("pull", "-q", cwd=old)
    assert not (old / DATA / "a.csv.dvc").exists()
    fresh = library.clone("fresh")
    dvc("pull", "-r", TIER, cwd=fresh)
    assert sorted(one.name for one in (fresh / DATA).iterdir()) == ["stays.csv", "stays.csv.dvc"]
    assert library.researcher(fresh).verify().ok

    report = library.researcher(old).verify()
    assert {one.partition(":")[0] for one in report.problems} == {f"{DATA}/a.csv", f"{DATA}/folder"}
    with monkeypatch.context() as patch:
        patch.setattr(takenback, "left_over", lambda *_: {})
        patch.setattr("placet.engine.verify.left_over", lambda *_: {})
        assert library.researcher(old).verify().problems == ()
    with pytest.raises(Refused, match="retracted"):
        library.researcher(old).pull([f"{DATA}/a.csv"])
    dvc("pull", "-r", TIER, cwd=old)
    assert sorted(one.name for one in (old / DATA).iterdir()) == ["stays.csv", "stays.csv.dvc"]
    assert library.researcher(old).verify().ok
    assert library.researcher(old).status().changes == ()
    gone = library.researcher(old).verify([library.ids["a.csv"]])
    assert (gone.ok, gone.artifacts[0].data) == (False, "retracted")
    with monkeypatch.context() as patch:
        patch.setattr("placet.engine.verify.taken_back", lambda *_: "")
        assert library.researcher(old).verify([library.ids["a.csv"]]).ok

    who = library.person("alice")
    shown = placet("show", library.ids["a.csv"], cwd=who)[1]
    assert shown["state"] == "RETRACTED"
    assert any("names of patients" in one for one in shown["because"])
    listed = placet("list", "--state", "RETRACTED", cwd=who)[1]["proposals"]
    assert {one["id"] for one in listed} == {library.ids["a.csv"], library.ids["folder"]}
    lines = placet("log", cwd=who)[1]
    assert "names of patients" in json.dumps(lines)
    code, _ = placet("bundle", library.ids["a.csv"], "-o", "proof", "--no-sign", cwd=who)
    assert code in {0, 2}
    monkeypatch.setenv("PLACET_HOME", str(who / "home"))
    with Client(who) as client:
        with pytest.raises(Conflict):
            client.retract(library.ids["a.csv"], reason="again")
        with pytest.raises(NotFound):
            client.retract("ffffffffffff", reason="none")


def test_the_promoters_credential_is_no_retractors(library, monkeypatch):
    root = library.person("bob", remote=TIER)
    monkeypatch.setenv("PLACET_HOME", str(root / "home"))
    with Client(root) as client, pytest.raises(Invalid, match="promotes"):
        client.follow_retractions()


def test_versions_of_a_real_bucket(seaweed):
    remote = seaweed.remote("versioned", "writer")
    store = open_store(remote)
    client, prefix = seaweed.server.client(), store.address.prefix
    for data in (b"1", b"2"):
        for key in ("k", "k.dir", "k2"):
            client.put_object(Bucket="versioned", Key=f"{prefix}/{key}", Body=data)
    store.delete("k")
    found = store.versions("k")
    assert [one.marker for one in found] == [True, False, False]
    assert store.head("k") is None
    assert b"".join(store.get("k", version=found[1].id)) == b"2"
    store.delete("k", version=found[0].id)
    assert b"".join(store.get("k")) == b"2"
    for one in store.versions("k"):
        store.delete("k", version=one.id)
    assert list(store.versions("k")) == []
    assert len(store.versions("k.dir")) == 2
    plain = open_store(seaweed.remote("target"))
    client.put_object(Bucket="target", Key=f"{plain.address.prefix}/k", Body=b"x")
    assert list(plain.versions("k")) == [Version("null")]
    plain.delete("k", version="null")
    assert plain.head("k") is None
