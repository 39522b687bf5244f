"""The how-to of witnesses as written, by the real program on real Git, with a forge in memory beside it."""

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ruamel.yaml import YAML

from governance.forgelab import GitForgeLab
from keys import POLICY, Key
from placet.cli import app, output
from placet.core import layout
from placet.core.lint import lint
from placet.core.policy import parse_policy
from placet.wire.ctrl import Wire

PAGE = (Path(__file__).parent.parent.parent / "docs" / "how-to" / "witness.md").read_text()
ALICE = 7


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def policy_of():
    """The policy of the tests, with what the page says put into it."""
    (shown,) = blocks("yaml")
    written, base = YAML(typ="safe").load(shown), YAML(typ="safe").load(POLICY)
    for name, more in written["people"].items():
        base["people"][name] |= {**more, "keys": [Key(name).public], "organisation": "org-a"}
    base["witnesses"] = {
        name: {**one, "keys": [Key(name).public]} for name, one in written["witnesses"].items()
    }
    base["rules"] = written["rules"]
    return json.dumps(base)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    made = GitForgeLab.begun(tmp_path, policy_of())
    made.clock.time = datetime.now(UTC)
    while made.forge.account(f"somebody{len(made.forge._site.accounts)}").id < ALICE - 1:
        pass
    assert made.forge.account("alice").id == ALICE
    folder = tmp_path / "office"
    folder.mkdir()
    (text,) = blocks("toml")
    text = text.replace("https://gitea.example.org/study/ctrl.git", str(tmp_path / "ctrl.git"))
    (folder / "placet.toml").write_text(text.replace("sha256:...", f"sha256:{made.trust_root}"))
    key = Key("office")._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "office.key").write_bytes(key)
    (folder / "office.key").chmod(0o600)
    monkeypatch.setenv("PLACET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(Wire, "forge", made.forge.acting("office"))
    monkeypatch.setattr(output.output, "json", False)
    yield made
    made.repo.close()


def run(line, capsys, code=0):
    """One line of the page; what it printed."""
    capsys.readouterr()
    assert app.run(shlex.split(line, comments=True)[1:]) == code
    return capsys.readouterr().out


def test_the_page_works_as_written(lab, capsys):
    assert "forge-alone" not in {one.code for one in lint(parse_policy(policy_of().encode()))}
    ident, number = lab.opened()
    lab.decide(ident, "bob")
    lab.review(number, "alice")
    lab.forge.say(number, "mallory", "I am \x1b[2J the best <script>")
    doctor, look, show = (line for block in blocks("sh") for line in block.splitlines())
    told = run(doctor, capsys)
    assert "office's key is in the effective policy" in told
    assert "alice: approve" in run(look, capsys)
    assert "There is no new review." in run(look, capsys)
    shown = run(show.replace("ID", ident), capsys)
    for words in (
        "alice: approve, forge-attested by office",
        "APPROVED",
        "mallory",
        "\\x1b[2J",
        "not of the policy",
    ):
        assert words in shown, words
    pull = lab.forge.pull(layout.proposal_ref(ident))
    assert "**APPROVED**" in pull.body
    assert lab.forge.statuses(pull.head)[-1][0] == "success"
    lab.merge(ident)
    assert lab.state(ident) == "LANDED"


def test_what_the_program_says_when_it_is_no_witness(lab, capsys, monkeypatch):
    monkeypatch.setenv("PLACET_WITNESS", "nobody")
    run("placet witness --once", capsys, 12)
    monkeypatch.delenv("PLACET_WITNESS")
    monkeypatch.setenv("PLACET_NODE", "site-b")
    run("placet witness --once", capsys, 2)


def test_a_forge_that_is_down_is_said_and_blocks_nothing(lab, capsys):
    ident, number = lab.opened()
    lab.review(number, "alice")
    with lab.forge.down():
        assert "does not answer" in run("placet witness --once", capsys, 1)
        assert ident in run(f"placet show {ident}", capsys)
    assert "alice: approve" in run("placet witness --once", capsys)
