"""Doctor finds what will not work, on a real store with the credentials of each role, and says how to mend it."""

import os
import shutil
import socket
from datetime import timedelta

import pytest

from agent.site import Site
from governance.lab import NOW, TIER
from placet import Client
from placet.engine import doctor
from placet.errors import Refused, Unavailable
from placet.ports import StoreAddress
from placet.wire import doctor as wire
from placet.wire.data import open_store

INTERNAL = "internal-storage"


@pytest.fixture
def look(monkeypatch):
    """The findings of a site, by name; whatever is not ok says how to mend it."""

    def found(site):
        for key in [key for key in os.environ if key.startswith(("DVC_", "AWS_", "PLACET_"))]:
            monkeypatch.delenv(key)
        for key, one in site.env.items():
            monkeypatch.setenv(key, one)
        with Client(site.folder) as client:
            out = {one.name: one for one in client.doctor()}
        assert [one.name for one in out.values() if one.level != "ok" and not one.mend] == []
        return out

    return found


def bad(found):
    return {name: one.level for name, one in found.items() if one.level != "ok"}


def test_an_agent_with_what_it_needs_and_no_more(site, look):
    site.configure('listen = "0"')
    found = look(site)
    assert bad(found) == {"gate": "warn"}
    for name, word in (
        (f"writing {TIER}", "allowed"), (f"deletion in {TIER}", "denied"), (f"versions of {TIER}", "versioned"),
        (f"overwriting in {TIER}", "refused"), (f"reading {INTERNAL}", "allowed"), (f"writing {INTERNAL}", "denied"),
        (f"place of {TIER}", "same"), ("tiers", "own"), ("clock", " s from"), ("checks", "none"), ("policy", "key is in"),
        ("Ctrl server", "branches"), ("state folder", "free"), ("agent's port", "free"), ("trust root", "sha256:"),
    ):  # fmt: skip
        assert word in found[name].text, found[name]
    assert not [ref for ref in site.lab.repo.heads() if "probe" in ref]
    site.land()
    found = look(site)
    assert found[f"reading {INTERNAL}"].text == "allowed, tried"


@pytest.mark.parametrize(
    ("internal", "publication", "wanted"),
    [
        ("promoter", ("target", "writer"), {f"versions of {TIER}": "fail", f"deletion in {TIER}": "fail"}),
        ("promoter", ("versioned", "writer"), {f"deletion in {TIER}": "fail"}),
        ("promoter", ("versioned", "reader"), {f"writing {TIER}": "fail"}),
        ("alone", ("versioned", "promoter"), {f"remote {INTERNAL}": "fail"}),
        (
            "writer",
            ("versioned", "promoter"),
            {f"writing {INTERNAL}": "warn", f"deletion in {INTERNAL}": "warn"},
        ),
    ],
)
def test_credentials_that_do_too_little_or_too_much(seaweed, tmp_path, look, internal, publication, wanted):
    site = Site.make(seaweed, tmp_path / "site", internal=internal, publication=publication)
    assert bad(look(site)) == {"gate": "warn", **wanted}
    site.lab.repo.close()


def test_people_only_read(seaweed, tmp_path, look):
    site = Site.make(seaweed, tmp_path / "site", internal="writer", publication=("versioned", "reader"))
    site.configure(node=None, person="alice", key=None, internal=None)
    (site.folder / "placet.toml").write_text(
        (site.folder / "placet.toml").read_text() + '[internal]\nsite-b = "internal-storage"\n'
    )
    found = look(site)
    assert bad(found) == {
        "gate": "warn", "key": "warn", "policy": "fail", f"writing {INTERNAL}": "warn", f"deletion in {INTERNAL}": "warn",
    }  # fmt: skip
    site.remotes[TIER] |= seaweed.remote("versioned", "writer", site.remotes[TIER]["url"].rsplit("/")[-1])
    site.configure(node=None, person="alice", key=None, internal=None)
    assert bad(look(site))[f"writing {TIER}"] == "fail"
    site.lab.repo.close()


def test_a_job_writes_the_internal_tier_and_knows_no_other(seaweed, tmp_path, look):
    site = Site.make(seaweed, tmp_path / "site", internal="writer")
    del site.remotes[TIER]
    site.configure()
    assert bad(look(site)) == {"gate": "warn"}
    site.remotes[INTERNAL] |= seaweed.remote(
        "source", "promoter", site.remotes[INTERNAL]["url"].rsplit("/")[-1]
    )
    site.configure()
    assert bad(look(site)) == {"gate": "warn", f"writing {INTERNAL}": "fail"}
    site.lab.repo.close()


def test_remotes_that_only_the_settings_know(seaweed, tmp_path, look):
    site = Site.make(seaweed, tmp_path / "site", internal="writer")
    site.remotes.clear()
    site.configure()
    assert bad(look(site)) == {"gate": "warn", f"remote {INTERNAL}": "fail"}
    shutil.rmtree(site.folder / ".dvc")
    assert bad(look(site)) == {"gate": "warn", "DVC project": "fail"}
    site.lab.repo.close()


def test_tiers_in_one_place_or_another_than_the_policys(site, look):
    site.remotes[INTERNAL] = site.remotes[TIER] | {"url": site.remotes[TIER]["url"] + "/below"}
    site.configure()
    assert bad(look(site))["tiers"] == "fail"
    site.remotes[TIER] = site.remotes[TIER] | {"url": "s3://versioned/elsewhere"}
    site.configure()
    assert bad(look(site))[f"place of {TIER}"] == "fail"
    one, two = StoreAddress("s3:x", "b", "a"), StoreAddress("s3:x", "b", "ab")
    assert [found.level for found in doctor.check_apart({"a": one, "b": two})] == ["ok"]
    assert [found.level for found in doctor.check_apart({"a": one, "b": StoreAddress("s3:x", "b", "")})] == [
        "fail"
    ]


def test_settings_keys_and_the_ctrl_repository(site, look):
    other = ("tiers:\n", "tiers:\n  open: {url: 's3://versioned/open'}\n")
    site.lab.change_policy(other, ("limits:", "checks: [not-here]\n    limits:"))
    assert bad(look(site)) == {
        "gate": "warn", "alarm": "warn", "checks": "fail", "tier open": "fail", "place of open": "warn"
    }  # fmt: skip
    site.run("doctor", expect=1)
    shutil.copy(site.folder / "node.key", site.folder / "old.key")
    (site.folder / "node.key").unlink()
    found = look(site)
    assert (bad(found)["key"], bad(found)["policy"]) == ("fail", "fail")
    site.configure(internal="gone", key="old.key")
    assert bad(look(site))["promotion"] == "fail"
    site.configure(trust_root="1" * 64, internal="internal-storage")
    assert bad(look(site))["Ctrl repository"] == "fail"
    site.configure(trust_root=None, ctrl=str(site.folder / "nowhere"))
    assert {"trust root": "warn", "Ctrl repository": "fail"}.items() <= bad(look(site)).items()
    site.configure(ctrl=None)
    assert bad(look(site))["Ctrl repository"] == "warn"


def test_what_the_agent_itself_needs(site, look, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        site.configure(f'listen = "{taken.getsockname()[1]}"\nwebhook_secret = "none"\nworkspaces = ["gone"]')
        out = look(site)
    found = bad(out)
    assert "keygen" not in out["webhook"].mend
    assert {"agent's port": "warn", "webhook": "fail", "agent's workspace": "fail"}.items() <= found.items()
    site.configure('webhook_secret = "node.key"')
    assert "listens nowhere" in look(site)["webhook"].text
    monkeypatch.setattr(wire, "git_version", lambda _: (2, 29, 9))
    monkeypatch.setattr(wire, "server_time", lambda _: None)
    monkeypatch.setattr(wire.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 1 << 30))
    assert {"git": "fail", "clock": "warn", "state folder": "warn"}.items() <= bad(look(site)).items()


@pytest.mark.parametrize(
    "error", [Refused("No.", kind="push-refused"), Unavailable("Gone.", kind="ctrl-unreachable")]
)
def test_a_branch_that_a_server_takes_and_keeps_is_said(error):
    class Server:
        def push(self, updates):
            if updates[0].new is None:
                raise error

    found = doctor.check_gate(Server(), "a" * 40)
    assert (found.level, "placet-doctor-probe was taken, and stays" in found.text) == ("fail", True)
    assert "remove refs/heads/placet-doctor-probe" in found.mend


def test_clocks_and_room():
    skews = [
        doctor.check_clock("x", NOW, NOW + timedelta(seconds=one)).level
        for one in (-31, -30, 0, 30, 240, 241)
    ]
    assert skews == ["warn", "ok", "ok", "ok", "warn", "fail"]
    assert [doctor.check_room("x", one << 20).level for one in (199, 200, 2047, 2048)] == [
        "fail",
        "warn",
        "warn",
        "ok",
    ]


def test_who_erases_has_a_credential_of_its_own(seaweed, tmp_path, look):
    site = Site.make(seaweed, tmp_path / "site")
    prefix = site.remotes[TIER]["url"].rsplit("/")[-1]

    def looked(bucket, identity, place=prefix, tier=TIER):
        site.remotes["erasing"] = seaweed.remote(bucket, identity, place)
        site.configure()
        with (site.folder / "placet.toml").open("a") as file:
            file.write(f'[retraction]\n{tier} = "erasing"\n')
        return look(site)

    found = looked("versioned", "writer")
    assert bad(found) == {"gate": "warn"}
    assert "2 versions erased" in found["erasing in erasing"].text
    assert "same place" in found[f"retraction from {TIER}"].text
    assert list(open_store(site.remotes["erasing"]).versions("placet/probe/retraction")) == []
    for place, wanted in (
        (("versioned", "promoter"), {"erasing in erasing": "fail", "credential of erasing": "fail"}),
        (("versioned", "writer", "elsewhere"), {f"retraction from {TIER}": "fail"}),
        (("target", "writer"), {"erasing in erasing": "warn", f"retraction from {TIER}": "fail"}),
        (("versioned", "writer", prefix, "moon"), {"retraction from moon": "fail"}),
    ):
        assert bad(looked(*place)) == {"gate": "warn", **wanted}, place
    site.lab.repo.close()
