"""Scrub on a real S3 server, by the command line: a node's workspace, a researcher's clone, damage behind our back."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from governance.lab import ENV, TIER, Clock, Lab
from governance.test_promote import hold, land, land_folder, make
from governance.test_researcher import git
from placet.cli.app import run
from placet.cli.output import output
from placet.cli.scrub import ByteRate
from placet.core import layout
from placet.core.digest import md5_hex
from placet.engine.target import Target
from placet.testing import twins
from placet.wire.data import open_store

FILE = b"a,b\n1,2\n"
MANY = {f"part-{number:03}": f"{number:03}".encode() * 40 for number in range(400)}
KEY = layout.data_key(md5_hex(FILE))
TWIN = layout.data_key(md5_hex(twins.A))
PART = layout.data_key(md5_hex(MANY["part-007"]))


class Place:
    """A Ctrl repository, an internal and a publication tier with versions, and who uses them."""

    def __init__(self, folder, seaweed):
        self.folder, self.client = folder, seaweed.server.client()
        self.remotes = {
            "internal": seaweed.remote("source"),
            "promoter": seaweed.remote("versioned", "promoter"),
        }
        self.remotes["reader"] = seaweed.remote(
            "versioned", "reader", self.remotes["promoter"]["url"].rpartition("/")[2]
        )
        url, endpoint = self.remotes["promoter"]["url"], self.remotes["promoter"]["endpointurl"]
        self.bucket, _, self.prefix = url.removeprefix("s3://").partition("/")
        self.lab = Lab.make(
            folder, ("s3://pub/x", url), ("http://127.0.0.1:1", endpoint), ("files: 100", "files: 1000")
        )
        self.lab.clock = Clock(datetime.now(UTC).replace(microsecond=0))
        store = open_store(self.remotes["promoter"])
        promoter = make(self.lab, target=store)
        object.__setattr__(promoter, "source", open_store(self.remotes["internal"]))
        promoter.targets[TIER] = Target(store, url, endpoint)
        land(self.lab, promoter, FILE)
        land(self.lab, promoter, twins.A, "outputs/twin.bin")
        land_folder(self.lab, promoter, MANY, "outputs/many")
        hold(promoter.source, FILE)
        assert [str(one.state) for one in promoter.run()] == ["PUBLISHED"] * 3
        self.node = folder / "node"
        self.node.mkdir()
        git("init", "-q", ".", cwd=self.node)
        self.dvc(self.node, {"internal-storage": "internal", TIER: "promoter"})
        (self.node / "placet.toml").write_text(
            f'node = "site-b"\nctrl = "{folder / "ctrl.git"}"\ntrust_root = "sha256:{self.lab.trust_root}"\n'
            '[internal]\nsite-b = "internal-storage"\n'
        )

    def dvc(self, root, remotes):
        (root / ".dvc").mkdir(exist_ok=True)
        lines = []
        for name, whose in remotes.items():
            lines += [
                f"['remote \"{name}\"']",
                *(f"    {key} = {one}" for key, one in self.remotes[whose].items()),
            ]
        (root / ".dvc" / "config").touch()
        (root / ".dvc" / "config.local").write_text("\n".join(lines) + "\n")

    def key(self, key):
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{key}"}

    def put(self, key, data):
        self.client.put_object(**self.key(key), Body=data)

    def get(self, key):
        return self.client.get_object(**self.key(key))["Body"].read()


@pytest.fixture(scope="module")
def place(tmp_path_factory, seaweed):
    made = Place(tmp_path_factory.mktemp("place"), seaweed)
    yield made
    made.lab.repo.close()


@pytest.fixture
def scrub(place, tmp_path, monkeypatch, capsys):
    """The command in a folder: its exit code, and what it prints."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "PLACET_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PLACET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLACET_TRUST_ROOT", f"sha256:{place.lab.trust_root}")

    def call(*options, cwd=place.node, words=False):
        monkeypatch.chdir(cwd)
        output.json = not words
        code = run(["scrub", *options])
        said = capsys.readouterr().out
        return (code, said) if words else (code, json.loads(said))

    yield call
    output.json = False


def troubles(found):
    return {(one["key"], one["trouble"]) for one in found["findings"]}


def test_real_damage_is_found_repaired_and_explained(place, scrub):
    code, found = scrub("-r", TIER)
    assert (code, found["ok"], found["objects"], found["artifacts"]) == (0, True, 404, 3)
    assert sum(found["proven"].values()) == 404
    assert found["store"].endswith(f"versioned/{place.prefix}")

    place.client.delete_object(**place.key(PART))
    place.client.delete_object(**place.key(layout.data_key(md5_hex(MANY["part-009"]))))
    (listing,) = [key for key in keys(place) if key.endswith(".dir")]
    before = place.get(listing)
    place.client.delete_object(**place.key(listing))
    place.put(KEY, bytes(len(FILE)))
    place.put(TWIN, twins.B)
    place.put(layout.data_key("0" * 32), b"smuggled")
    place.put("notes/read me.txt", b"hello")

    code, found = scrub("--read", "-r", TIER)
    assert code == 13
    assert troubles(found) == {
        (PART, "missing"),
        (layout.data_key(md5_hex(MANY["part-009"])), "missing"),
        (listing, "missing"),
        (KEY, "corrupt"),
        (TWIN, "twin"),
        (layout.data_key("0" * 32), "unexpected"),
        ("notes/read me.txt", "foreign"),
    }
    assert found["counts"]["serious"] == 5, "what is younger than a day may be a promotion that runs"
    code, said = scrub("--read", words=True)
    assert code == 13
    assert "NOT sound." in said
    assert "twin" in said
    assert "artifacts/site-b/outputs/twin.bin" in said
    assert b"smuggled".decode() not in said, "no data is shown"

    code, found = scrub("--repair", "--read", "--rate", "50MB/s")
    assert (code, found["counts"]["repaired"], found["ok"]) == (0, 5, True)
    assert (place.get(KEY), place.get(TWIN), place.get(listing)) == (FILE, twins.A, before)
    assert place.get(layout.data_key("0" * 32)) == b"smuggled", "nothing is deleted"
    for key in (layout.data_key("0" * 32), "notes/read me.txt"):
        place.client.delete_object(**place.key(key))
    code, found = scrub("--read")
    assert (code, found["findings"]) == (0, [])
    code, said = scrub(words=True)
    assert (code, said.splitlines()[-1].strip()) == (0, "Sound.")


def keys(place):
    pages = place.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix)
    return [one["Key"].removeprefix(f"{place.prefix}/") for page in pages for one in page.get("Contents", [])]


def test_a_researcher_scrubs_from_a_clone(place, scrub, tmp_path):
    root = tmp_path / "clone"
    git("clone", "-q", str(place.folder / "ctrl.git"), str(root), cwd=tmp_path)
    lines = [f"['remote \"{TIER}\"']"]
    lines += [f"    {key} = {place.remotes['reader'][key]}" for key in ("access_key_id", "secret_access_key")]
    (root / ".dvc" / "config.local").write_text("\n".join(lines) + "\n")
    code, found = scrub("-r", TIER, cwd=root)
    assert (code, found["ok"], found["proven"]) == (0, True, {"read": 0, "service": 0, "listed": 404})
    place.put(KEY, bytes(len(FILE)))
    try:
        code, found = scrub("--read", cwd=root)
        assert (code, troubles(found)) == (13, {(KEY, "corrupt")})
    finally:
        place.put(KEY, FILE)
    code, refused = scrub("--repair", cwd=root)
    assert (code, refused["kind"]) == (2, "not-a-node")
    git("reset", "-q", "--hard", "HEAD~1", cwd=root)
    code, refused = scrub(cwd=root)
    assert (code, refused["kind"], refused["mend"]) == (11, "clone-behind", "git pull")


def test_which_tier(place, scrub):
    code, refused = scrub("-r", "internal-storage")
    assert (code, refused["kind"]) == (12, "not-a-tier")
    config = place.node / ".dvc" / "config.local"
    before = config.read_text()
    config.write_text(before.replace(place.remotes["promoter"]["url"], f"s3://target/{place.prefix}"))
    try:
        code, refused = scrub("-r", TIER)
    finally:
        config.write_text(before)
    assert (code, refused["kind"]) == (12, "tier-mismatch")


def test_killed_and_run_again(place, scrub, tmp_path):
    """kill -9 in the middle, twice at different places, at a rate that makes the middle long."""
    marks = tmp_path / "home" / "scrub"
    command = [sys.executable, "-m", "placet", "scrub", "--read", "--rate", "20kB/s", "--json"]
    environ = {**ENV, "PLACET_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(command, cwd=place.node, env=environ, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(marks.glob("*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (mark,) = (json.loads(one.read_text()) for one in marks.glob("*.json"))
    assert 0 < mark["proven"]["read"] < 404
    code, found = scrub("--read")
    assert (code, found["resumed"], found["began"]) == (0, True, mark["began"])
    assert found["proven"]["read"] == 404
    assert list(marks.glob("*.json")) == []


@pytest.mark.parametrize(
    ("text", "rate"),
    [("50MB/s", 50_000_000), ("1 GiB/s", 1 << 30), ("500kB", 500_000), ("1.5M", 1_500_000), ("1000", 1000)],
)
def test_rates(text, rate):
    assert ByteRate().convert(text, None, None) == rate


@pytest.mark.parametrize("text", ["", "fast", "0", "7", "-1MB/s", "1TB/s", "1e9"])
def test_what_is_no_rate(scrub, text):
    code, said = scrub("--rate", text)
    assert (code, said["kind"]) == (2, "usage")
