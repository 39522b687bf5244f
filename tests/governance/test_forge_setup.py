"""Setting up on a forge, looking at its protection, and merging there: by a forge in memory and real Git by path."""

import time
from contextlib import closing
from dataclasses import replace

import pytest

from dripping import Server, slow
from governance.lab import Lab
from keys import POLICY, Key
from placet import Client, config
from placet.adapters import keys as keyfiles
from placet.cli.app import run
from placet.errors import Conflict, Invalid, Refused, Unavailable
from placet.ports import Hole
from placet.testing.memory_forge import MemoryForge
from placet.wire import ctrl, setup
from placet.wire import forge as wire_forge
from placet.wire.ctrl import Wire

TABLE = '[forge]\nkind = "gitea"\nurl = "https://git.example.org"\nrepository = "study/ctrl"\ntoken = "forge.token"\n'


class Recorded(MemoryForge):
    """Remembers what protection was asked for."""

    def __init__(self):
        super().__init__(dict, name="gitea")
        self.asked_for = []

    def protect(self, commission):
        self.asked_for.append(commission)
        super().protect(commission)


@pytest.fixture
def forge(monkeypatch):
    made = Recorded()
    monkeypatch.setattr(ctrl, "open_forge", lambda *_: made)
    return made


@pytest.fixture
def dana(tmp_path, monkeypatch):
    """Dana's folder, an empty repository, and a policy that knows her account."""
    monkeypatch.setenv("PLACET_HOME", str(tmp_path / "home"))
    folder = tmp_path / "dana"
    folder.mkdir()
    Lab.repository(tmp_path).close()
    public = keyfiles.generate(folder / "dana.key").public
    text = POLICY.replace(Key("dana").public, public)
    text = text.replace("name: Dana,", "name: Dana, forges: {gitea: 7},")
    assert public in text
    (folder / "policy.yaml").write_text(text)
    (folder / "placet.toml").write_text(
        f'person = "dana"\nctrl = "{tmp_path / "ctrl.git"}"\nkey = "dana.key"\n{TABLE}'
    )
    return folder


def test_an_empty_repository_is_begun_and_protected(dana, forge):
    policy = dana / "policy.yaml"
    made = setup.init_forge(dana, policy, agents=["bot"])
    [first] = forge.asked_for
    assert (first.main, first.published, first.status) == ("main", ("published", "published-*"), "placet")
    assert (first.agents, first.owners, first.hook, first.secret) == (("bot",), (7,), None, None)
    with closing(Wire(config.load_settings(dana), dana, None)) as wire:
        assert set(wire.repo.heads()) == {"refs/heads/main", "refs/heads/published"}
    with (dana / "placet.toml").open("r+") as stream:
        text = stream.read()
        stream.seek(0)
        stream.write(f'trust_root = "sha256:{made["trust_root"]}"\n{text}')
    again = setup.init_forge(dana, None, agents=["bot", "other"])
    assert again["trust_root"] == made["trust_root"]
    assert again["policy"] == made["policy"]
    assert forge.asked_for[1].agents == ("bot", "other")
    with pytest.raises(Conflict) as caught:
        setup.init_forge(dana, policy)
    assert caught.value.kind == "not-empty"


def test_a_repository_is_made_on_the_forge_only_when_asked_for(dana, forge, tmp_path, monkeypatch):
    policy, there = dana / "policy.yaml", tmp_path / "ctrl.git"
    there.rename(tmp_path / "elsewhere.git")

    def ensure():
        made = not there.exists()
        if made:
            (tmp_path / "elsewhere.git").rename(there)
        return made

    monkeypatch.setattr(forge, "ensure", ensure)
    with pytest.raises(Unavailable) as caught:
        setup.init_forge(dana, policy)
    assert caught.value.kind == "ctrl-unreachable"
    assert caught.value.mend.endswith("If the repository is not there yet, add --create.")
    (dana / "bad.yaml").write_text("no: policy\n")
    with pytest.raises(Invalid):
        setup.init_forge(dana, dana / "bad.yaml", create=True)
    with pytest.raises(Invalid) as caught:
        setup.init_forge(dana, None, create=True)
    assert (caught.value.kind, "--policy" in caught.value.mend) == ("settings", True)
    assert not there.exists(), "nothing is made without a policy that it can be begun with"
    made = setup.init_forge(dana, policy, create=True, agents=["bot"], witnesses=["office"])
    assert (forge.asked_for[0].agents, forge.asked_for[0].witnesses) == (("bot",), ("office",))
    assert setup.init_forge(dana, None)["trust_root"] == made["trust_root"]
    there.rename(tmp_path / "away.git")
    monkeypatch.setattr(forge, "ensure", lambda: False)
    with pytest.raises(Unavailable) as caught:
        setup.init_forge(dana, policy, create=True)
    assert "--create" not in caught.value.mend


def test_what_is_lacking_is_said_and_nothing_is_begun(dana, forge):
    for change, more in (
        (("[forge]", "[retraction]\n#"), {}),
        (("", ""), {"hook": "https://agent.example.org/webhook"}),
        (("", ""), {}),
    ):
        file = dana / "placet.toml"
        before = file.read_text()
        file.write_text(before.replace(*change).partition("\n#")[0])
        with pytest.raises(Invalid) as caught:
            setup.init_forge(dana, None if not more else dana / "policy.yaml", **more)
        assert caught.value.kind == "settings"
        assert caught.value.mend
        file.write_text(before)
    assert forge.asked_for == []


def test_a_webhook_has_the_agents_secret(dana, forge):
    secret = dana / "hook.secret"
    secret.touch(mode=0o600)
    secret.write_text("0123456789abcdef\n")
    hook = "https://agent.example.org/webhook"
    setup.init_forge(dana, dana / "policy.yaml", hook=hook, secret=secret)
    assert (forge.asked_for[0].hook, forge.asked_for[0].secret) == (hook, "0123456789abcdef")
    secret.write_bytes(b"\xff" * 20)
    with pytest.raises(Invalid):
        setup.init_forge(dana, None, hook=hook, secret=secret)
    secret.write_text("0123456789abcdef\n")
    with (dana / "placet.toml").open("a") as stream:
        stream.write('[agent]\nwebhook_secret = "hook.secret"\n')
    setup.init_forge(dana, None, hook=hook)
    assert forge.asked_for[1].secret == "0123456789abcdef"


def test_what_was_begun_is_pinned_though_protecting_it_failed(dana, forge, monkeypatch, caplog):
    def fails(_):
        raise Refused("The forge does not know nobody.", kind="forge-refused")

    with monkeypatch.context() as patch:
        patch.setattr(forge, "protect", fails)
        with pytest.raises(Refused):
            setup.init_forge(dana, dana / "policy.yaml", agents=["nobody"])
    made = setup.init_forge(dana, None, agents=["bot"])
    assert len(made["trust_root"]) == 64
    assert "FIRST USE" not in caplog.text


def test_doctor_asks_whether_this_party_may_push_where_it_has_to(dana, forge, monkeypatch):
    setup.init_forge(dana, dana / "policy.yaml")
    asked = []
    monkeypatch.setattr(forge, "holes", lambda commission: asked.append(commission.mine) or [])
    text = (dana / "placet.toml").read_text()

    def look(who):
        (dana / "placet.toml").write_text(text.replace('person = "dana"', who))
        with Client(dana) as client:
            client.doctor()

    look('person = "dana"')
    look('witness = "w"')
    (dana / ".dvc").mkdir()
    look('node = "site-a"')
    (dana / ".dvc/config").write_text("['remote \"publication-storage\"']\nurl = /nowhere\n")
    look('node = "site-a"')
    assert asked == [(), ("main",), (), ("main", "published")]


def test_who_may_push_is_said_and_none_can_be_named(dana, forge, capsys):
    init = ["init", str(dana), "--forge"]
    assert run([*init, "--policy", str(dana / "policy.yaml"), "--witness", "office"]) == 0
    assert "# These may push to main: office; to published: nobody" in capsys.readouterr().out
    with Client(dana) as client:
        told = [one.text for one in client.doctor() if one.name == "forge gitea"]
    assert any("these may push to main: office;" in one and "--no-witnesses" in one for one in told)
    assert run([*init, "--no-witnesses"]) == 0
    asked = [(one.agents, one.witnesses) for one in forge.asked_for]
    assert asked == [(None, ("office",)), (None, ())]
    assert run([*init, "--no-agents", "--agent", "bot"]) == 2
    assert len(forge.asked_for) == 2


def test_a_forge_that_drips_holds_doctor_for_no_longer_than_a_call_may_take(dana, forge, monkeypatch):
    """The real adapter on a server that never ends its headers."""
    setup.init_forge(dana, dana / "policy.yaml")
    place = wire_forge._place
    monkeypatch.setattr(wire_forge, "_place", lambda *some: replace(place(*some), whole_s=0.3))
    monkeypatch.setattr(ctrl, "open_forge", wire_forge.open_forge)
    token = dana / "forge.token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef0123\n")
    with closing(Server(slow("header"))) as server:
        text = (dana / "placet.toml").read_text()
        (dana / "placet.toml").write_text(text.replace("https://git.example.org", f"http://{server.url}"))
        began = time.monotonic()
        with Client(dana) as client:
            [found] = [one for one in client.doctor() if one.name == "forge gitea"]
        assert time.monotonic() - began < 30
    assert (found.level, found.text) == ("fail", f"The forge {server.url} does not answer.")
    assert "in all" in found.mend


def test_doctor_names_each_hole(dana, forge, monkeypatch):
    monkeypatch.setattr(forge, "pushers", lambda _: {})
    setup.init_forge(dana, dana / "policy.yaml")

    def look():
        with Client(dana) as client:
            return [(one.level, one.text, one.mend) for one in client.doctor() if one.name == "forge gitea"]

    assert look() == [("ok", "no hole seen in the protection of main and what is published", "")]
    holes = [Hole("Whoever may write may push to main.", "placet init --forge"), Hole("And so on.", "mend")]
    monkeypatch.setattr(forge, "holes", lambda _: holes)
    assert look() == [("warn", one.what, one.mend) for one in holes]

    def fails(_):
        raise Unavailable("The forge gitea does not answer.", kind="forge-unreachable")

    monkeypatch.setattr(forge, "holes", fails)
    assert [one[:2] for one in look()] == [("fail", "The forge gitea does not answer.")]
