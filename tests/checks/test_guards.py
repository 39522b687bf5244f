"""Each guard of the checks taken away: then what it refuses goes through."""

import pickle

import pytest

from checks.conftest import Inline
from checks.test_built_in import AGGREGATE, BAD_ARCHIVES, LIES, PATIENTS, results
from checks.test_pickles import Evil
from checks.test_sandbox import Quiet, install, look
from keys import POLICY
from placet.adapters import sandbox as sandboxing
from placet.adapters.sandbox import Sandbox
from placet.checks import archives, registry
from placet.checks.api import Finding
from placet.core.digest import sha256_hex
from placet.core.policy import parse_policy
from placet.engine import checks as checking
from placet.engine.checks import ArtifactFiles, FileSource, check_artifacts
from placet.errors import Corrupt, Refused

ATTACKS = {
    "counts": ("a.csv", AGGREGATE.replace("77", "7").encode()),
    "formulas": ("a.csv", AGGREGATE.replace("north", "=1+1").encode()),
    "identifiers": ("a.csv", AGGREGATE.replace("region", "surname").encode()),
    "pickle": ("a.pkl", pickle.dumps(Evil())),
    "rows": ("a.csv", PATIENTS.encode()),
    "sacro": ("results.json", results("fail")),
    "secrets": ("a.txt", b"-----BEGIN RSA PRIVATE KEY-----\n"),
    "type": ("a.csv", LIES["pickle.csv"]),
}


def policy(check):
    before = '    paths: ["*/outputs/**"]\n'
    assert before in POLICY
    return parse_policy(POLICY.replace(before, f"{before}    checks: [{check}]\n").encode())


def checked(check, name, data, box, sha256=None):
    source = FileSource(name, sha256 or sha256_hex(data), lambda: iter([data]))
    artifact = ArtifactFiles("outputs/folder", sha256_hex(b"list"), [source])
    (result,) = check_artifacts(policy(check), "site-b", "publication-storage", [artifact], box, 1, Quiet())
    return result


def passes(*_args):
    return Finding()


def test_every_built_in_check_has_its_attack():
    assert {"archives", *ATTACKS} == registry.BUILT_IN.keys()


def test_without_the_safety_of_names_a_traversal_passes(monkeypatch):
    attack = "a.zip", BAD_ARCHIVES["traversal.zip"]
    assert not checked("archives", *attack, Inline()).passed
    monkeypatch.setattr(archives, "_safe", lambda name: name)
    assert checked("archives", *attack, Inline()).passed


def test_without_the_limits_a_bomb_passes(monkeypatch):
    attack = "bomb.zip", BAD_ARCHIVES["bomb.zip"]
    assert not checked("archives", *attack, Inline()).passed
    monkeypatch.setattr(archives, "_require_within", lambda *_args: None)
    assert checked("archives", *attack, Inline()).passed


@pytest.mark.parametrize("check", ATTACKS)
def test_without_a_check_its_attack_passes(check, monkeypatch):
    assert not checked(check, *ATTACKS[check], Inline()).passed
    monkeypatch.setattr(type(registry.load(check)), "look", passes)
    assert checked(check, *ATTACKS[check], Inline()).passed


def test_without_the_sandbox_looking_nothing_is_found(monkeypatch, sandbox):
    assert not checked("pickle", *ATTACKS["pickle"], sandbox).passed
    monkeypatch.setattr(sandboxing._Session, "look", lambda *_args: {"pickle": Finding()})
    assert checked("pickle", *ATTACKS["pickle"], sandbox).passed


def test_without_the_registry_a_plug_in_takes_a_built_in_name(tmp_path, monkeypatch):
    source = (
        "from placet.checks.api import Check, Finding\n\n\nclass Blind(Check):\n    api = 1\n    tool = 'blind'\n\n"
        "    def look(self, file, options):\n        return Finding()\n"
    )
    monkeypatch.syspath_prepend(str(install(tmp_path, {"secrets": "Blind"}, source)))
    with pytest.raises(AssertionError, match="unknown-check"):
        checked("secrets", *ATTACKS["secrets"], Inline())

    def trusting(name):
        (offer,) = (one for one in registry.entry_points(group=registry.GROUP) if one.name == name)
        return offer.load()()

    monkeypatch.setattr(registry, "load", trusting)
    assert checked("secrets", *ATTACKS["secrets"], Inline()).passed


def test_without_the_options_being_read_a_wrong_one_counts_for_nothing(monkeypatch):
    loaded = registry.load("counts")
    with pytest.raises(Refused):
        registry.read_options("counts", loaded, {"lest": 100})
    monkeypatch.setattr(registry, "read_options", lambda name, check, given: check.Options())
    with Inline().session({"counts": {"lest": 100}}, {}, 1) as session:
        assert session.tools


def test_without_the_comparison_other_bytes_are_checked(monkeypatch):
    name, data = "a.csv", AGGREGATE.encode()
    with pytest.raises(Corrupt):
        checked("counts", name, data, Inline(), sha256="0" * 64)
    monkeypatch.setattr(checking, "_require_named", lambda source, sha256: None)
    assert checked("counts", name, data, Inline(), sha256="0" * 64).passed


def test_what_a_process_says_is_not_believed_beyond_its_form():
    """A parser that was taken over could answer anything: an answer without a check is a failure."""

    session = sandboxing._Session.__new__(sandboxing._Session)
    session._begin = sandboxing.Begin({"type": {}}, {})
    session._slots = sandboxing.queue.LifoQueue()

    class Process:
        def ask(self, *_args):
            return sandboxing.Answer(found={"other": ("", {})})

    session._slots.put(Process())
    assert look(session, "type", "a", b"x").problem == "the check did not answer"
    assert Sandbox({"AWS_SECRET_ACCESS_KEY": "x"})._environ.keys().isdisjoint({"AWS_SECRET_ACCESS_KEY"})
