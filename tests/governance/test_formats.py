"""The format of a Ctrl repository: what was written once is read for ever, what is newer is refused by name."""

import json
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from governance.forgelab import ForgeLab, witnesses
from governance.lab import MAIN, NOW, TIER
from governance.memlab import MemLab
from governance.test_bundle import FILES, Wire, sums
from governance.test_promote import hold, land_folder, make
from governance.test_retract import DATA, VERSIONS, World, rule
from keys import POLICY, Key
from placet.adapters.gitmemory import MemoryRepo, MemoryServer
from placet.adapters.objects.memory import MemoryStore
from placet.core import layout
from placet.core import policy as policies
from placet.core.bundle import decode_bundle, encode_bundle
from placet.core.digest import sha256_hex
from placet.core.envelope import sign
from placet.core.formats import FORMAT
from placet.core.policyform import PolicyForm
from placet.core.predicates import PREDICATES, Manifest
from placet.core.provenance import Provenance
from placet.core.statement import parse
from placet.engine import begin, firewall, history, propose
from placet.engine.bundle import make_bundle
from placet.errors import Invalid
from placet.wire import proof

GOLDEN = Path(__file__).parent.parent / "golden" / "format-1" / "bundle.json"
TRUST_ROOT = "4620d1a67b6cdae547d64a60cafae085d7effafaf0ca9abd8977c25125b747d8"
SECOND = ("version: 1", "version: 2")


class Everything(World):
    """A world with a forge and a witness, in which all happens that a published branch can tell."""

    def __init__(self):
        self.lab = ForgeLab.make(None, witnesses(), rule("[trustees]"))
        self.store = MemoryStore("publication", traits=VERSIONS)
        self.promoter = make(self.lab, VERSIONS, target=self.store)

    def told(self):
        """The bundle of a publication by reviews on a forge, among a folder, a policy and a retraction."""
        lab = self.lab
        first = self.publish("outputs/first.csv", b"1\n")
        lab.change_policy(("expires_days: 30", "expires_days: 20"))
        land_folder(lab, self.promoter, FILES)
        self.promoter.run()
        hold(self.promoter.source, DATA)
        made = Provenance.of(
            build_type="urn:placet:build:dagster:v1", builder="pkg:pypi/dagster@1", asset="a"
        )
        ident, number = lab.opened("outputs/a.csv", DATA, provenance=made)
        lab.decide(ident, "alice")
        lab.review(number, "bob")
        lab.look()
        lab.merge(ident)
        assert [one.error for one in self.promoter.run([ident])] == [None]
        self.retract(first)
        assert self.kinds() == ["genesis", "publish", "policy", "publish", "publish", "retract", "erased"]
        published = self.publication().publications[ident]
        return encode_bundle(make_bundle(lab.view(), published, TIER, lambda *_: sums(), None).bundle)


def of_second(data):
    """A policy as a Placet reads it that knows format 2."""
    found = policies.parse_policy(data.replace(*(one.encode() for one in SECOND[::-1])))
    return policies.Policy(found.form, sha256_hex(data), data)


def test_what_format_1_wrote_verifies():
    (one,) = proof.judge(Wire(), GOLDEN.read_bytes(), (), TRUST_ROOT, NOW).artifacts
    assert one.approvals[0] == "alice (bytes)"
    assert one.approvals[1].startswith("bob (forge-attested: memory")
    bundle = decode_bundle(GOLDEN.read_bytes())
    assert len(bundle.branch) == 7


def test_what_is_written_today_is_of_format_1():
    then, now = decode_bundle(GOLDEN.read_bytes()), decode_bundle(Everything().told())
    for line in ("main", "branch"):
        old, new = (
            [[(path, mode) for path, mode, _ in one.changes] for one in getattr(bundle, line)]
            for bundle in (then, now)
        )
        assert new == old, "another layout is another format: a version of its own, and this file stays"
    assert then.blobs.keys() == now.blobs.keys(), "the same story in other bytes: is it another format?"


def test_the_number_is_one_for_all():
    (number,) = get_args(get_type_hints(PolicyForm)["version"])
    assert number == FORMAT
    assert {one.TYPE.rpartition(":")[2] for one in PREDICATES} == {"v1"}


def test_an_approved_policy_of_a_newer_format_stops_an_older_placet(monkeypatch):
    lab = MemLab.make(None)
    with pytest.raises(Invalid) as caught:
        lab.change_policy(SECOND)
    assert caught.value.kind == "newer-format"
    with monkeypatch.context() as there:
        for module in (propose, firewall, history):
            there.setattr(module, "parse_policy", of_second)
        lab.change_policy(SECOND)
        assert lab.view().history.policy.form.number == 1
    with pytest.raises(Invalid) as caught:
        lab.view()
    assert caught.value.kind == "newer-format"
    assert "it is of format 2, of a newer Placet; this one reads format 1." in caught.value.what
    assert "Install a newer Placet" in caught.value.mend


def test_a_repository_begun_in_a_newer_format_is_refused():
    repo = MemoryRepo(MemoryServer())
    policy = of_second(POLICY.replace(*SECOND).encode())
    lab = MemLab(None, repo, begin.begin(repo, policy, Key("dana"), NOW))
    with pytest.raises(Invalid) as caught:
        lab.view()
    assert caught.value.kind == "newer-format"


def test_a_newer_policy_that_nobody_approved_stops_nothing():
    lab = MemLab.make(None)
    evil = lab.commit(lab.tip(MAIN), {layout.POLICY: POLICY.replace(*SECOND).encode()})
    lab.force(MAIN, evil)
    view = lab.view()
    assert view.history.policy.digest == lab.trust_root
    assert "changed without a valid approval" in view.alarms[-1].text


def test_the_version_is_read_before_all_else_that_a_newer_policy_may_hold():
    text = POLICY.replace("version: 1", "colours: [red]\nversion: 7").encode()
    with pytest.raises(Invalid) as caught:
        policies.parse_policy(text)
    line = text.decode().splitlines().index("version: 7") + 1
    assert caught.value.what == (
        f"policy.yaml:{line}:1: it is of format 7, of a newer Placet; this one reads format 1."
    )
    for none in ("1000000", "true", "-1", "1.5"):
        with pytest.raises(Invalid) as caught:
            policies.parse_policy(POLICY.replace("version: 1", f"version: {none}").encode())
        assert caught.value.kind == "policy", none


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("urn:placet:manifest:v2", "newer-format"),
        ("urn:placet:manifest:v123456", "newer-format"),
        ("urn:placet:manifest:v0", "statement"),
        ("urn:placet:manifest:v2\n", "statement"),
        ("urn:placet:decision:v2", "statement"),
        ("urn:placet:manifest:v" + "9" * 5000, "statement"),
    ],
)
def test_a_newer_statement_is_called_so(name, kind):
    payload = {
        "_type": "https://in-toto.io/Statement/v1", "predicateType": name, "predicate": {"colour": "red"},
        "subject": [{"name": "a", "digest": {"sha256": "a" * 64}}],
    }  # fmt: skip
    with pytest.raises(Invalid) as caught:
        parse(sign(json.dumps(payload).encode(), Key("alice").pair).to_bytes(), Manifest)
    assert caught.value.kind == kind
    newer = "The manifest statement is of format 2, of a newer Placet; this one reads format 1."
    assert (caught.value.what == newer) == (name == "urn:placet:manifest:v2")


def test_a_newer_bundle_is_called_so():
    for name, kind in (("v2", "newer-format"), ("v0", "bundle"), ("", "bundle")):
        data = json.dumps({"format": f"urn:placet:bundle:{name}", "new": 1}).encode()
        with pytest.raises(Invalid) as caught:
            decode_bundle(data)
        assert caught.value.kind == kind


def test_a_branch_made_before_format_1_is_called_so(tmp_path, monkeypatch):
    world = World(tmp_path)
    with monkeypatch.context() as before:
        before.setattr(layout, "crate_path", layout.receipt_path)
        world.publish()
    broken = world.lab.view().broken[TIER]
    assert "without .placet/proposals/" in str(broken)
    assert "as development versions before format 1 wrote them" in str(broken)
