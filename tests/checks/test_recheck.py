"""Checks again at promotion, on the bytes of the internal tier; and what goes to Git is scanned before it goes."""

from urllib.parse import quote

import pytest

from governance.lab import Lab
from governance.test_promote import keys, land, make
from keys import Key
from placet.core.digest import sha256_hex
from placet.core.predicates import CheckResult
from placet.core.provenance import Provenance, Resource
from placet.engine import promote as promoting
from placet.engine import propose, review
from placet.engine import recheck as rechecking
from placet.errors import Refused

RULE = (
    "    expires_days: 30\ngov",
    "    checks: [type, counts]\n    recheck: true\n    expires_days: 30\ngov",
)
GOOD = b"region,n\nnorth,120\n"
SMALL = b"region,n\nnorth,3\n"


@pytest.fixture
def checked(tmp_path):
    """A Ctrl repository whose rule asks for checks again, and where each report says that all is well."""
    made = Lab.make(tmp_path, RULE)
    yield made
    made.repo.close()


def lying(lab, monkeypatch, data, path="outputs/a.csv"):
    """A proposal whose node reports checks that passed, whatever the bytes are."""
    original = propose.propose

    def report(*args, **kwargs):
        kwargs["checks"] = [
            CheckResult(check=name, path=path, digest=sha256_hex(data), passed=True, summary="fine")
            for name in ("counts", "type")
        ]
        return original(*args, **kwargs)

    monkeypatch.setattr(propose, "propose", report)


def test_what_passes_is_promoted(checked, monkeypatch):
    lying(checked, monkeypatch, GOOD)
    promoter = make(checked)
    ident = land(checked, promoter, GOOD)
    (done,) = promoter.run()
    assert (done.id, str(done.state)) == (ident, "PUBLISHED")


def test_a_report_that_lies_does_not_publish(checked, monkeypatch):
    lying(checked, monkeypatch, SMALL)
    promoter = make(checked)
    land(checked, promoter, SMALL)
    (done,) = promoter.run()
    assert done.error.kind == "checks-failed" and "counts are below 10" in done.error.why
    assert not keys(next(iter(promoter.targets.values())).store), "refused before anything is visible"


@pytest.mark.parametrize(("where", "guard"), [(promoting, "recheck"), (rechecking, "refuse_failed")])
def test_without_the_guard_it_would_publish(checked, monkeypatch, where, guard):
    lying(checked, monkeypatch, SMALL)
    monkeypatch.setattr(where, guard, lambda *args: None)
    promoter = make(checked)
    land(checked, promoter, SMALL)
    assert str(promoter.run()[0].state) == "PUBLISHED"


def test_a_check_that_is_not_installed_at_the_promoter_refuses(tmp_path, monkeypatch):
    lab = Lab.make(tmp_path, (RULE[0], RULE[1].replace("[type, counts]", "[no-such-check]")))
    original = propose.propose
    result = CheckResult(
        check="no-such-check", path="outputs/a.csv", digest=sha256_hex(GOOD), passed=True, summary=""
    )
    monkeypatch.setattr(
        propose, "propose", lambda *args, **kwargs: original(*args, **{**kwargs, "checks": [result]})
    )
    promoter = make(lab)
    land(lab, promoter, GOOD)
    (done,) = promoter.run()
    assert done.error.kind == "unknown-check"
    lab.repo.close()


def test_a_manifest_without_the_checks_of_its_rule_is_refused(checked):
    with pytest.raises(Refused, match=r"Check counts of outputs/a\.csv is missing"):
        checked.propose(data=GOOD)


SECRET = "AKIAIOSFODNN7EXAMPL2"
MAIL = "anna.schmidt@klinik.example"


@pytest.mark.parametrize("text", [SECRET, f"ask {MAIL}", "-----BEGIN OPENSSH PRIVATE KEY-----"])
def test_a_message_that_tells_is_refused_before_the_push(lab, text):
    with pytest.raises(Refused) as caught:
        lab.propose(message=text)
    assert caught.value.kind == "telling-metadata" and caught.value.what.startswith("The field message holds")
    assert text not in str(caught.value) and not lab.view().branches


@pytest.mark.parametrize("path", [f"outputs/{MAIL}.csv", f"outputs/{SECRET}/a.csv"])
def test_a_path_that_tells_is_refused(lab, path):
    with pytest.raises(Refused, match=r"artifacts\[0\]\.path") as caught:
        lab.propose(path)
    assert caught.value.kind == "telling-metadata" and path not in str(caught.value)


TELLING = {
    "externalParameters.asset": {"asset": MAIL},
    "externalParameters.codeVersion": {"code_version": MAIL},
    "builder.id": {"builder": f"pkg:{MAIL}"},
    "invocationId": {"invocation": MAIL},
    "placet_invocationUrl": {"invocation_url": f"https://runs.example/{MAIL}"},
    r"resolvedDependencies\[0\].name": {"dependencies": (Resource(uri="x:y", name=MAIL),)},
    r"resolvedDependencies\[1\].uri": {
        "code": Resource(uri="git+https://git.example"),
        "dependencies": (Resource(uri=f"x:{quote(MAIL)}"),),
    },
}


@pytest.mark.parametrize("field", TELLING)
def test_provenance_that_tells_is_refused(lab, monkeypatch, field):
    original = propose.propose
    made = Provenance.of(**{"build_type": "urn:x", "builder": "urn:y", **TELLING[field]})
    monkeypatch.setattr(
        propose, "propose", lambda *args, **kwargs: original(*args, **{**kwargs, "provenance": made})
    )
    with pytest.raises(Refused, match=rf"provenance\..*{field} holds"):
        lab.propose()
    assert not lab.view().branches


def test_comments_and_reasons_that_tell_are_refused(lab):
    ident = lab.propose()
    view = lab.view()
    case = view.find(ident)
    with pytest.raises(Refused, match="field comment holds"):
        review.decide(
            view, case, Key("alice"), person="alice", verdict="return", comment=f"patient {MAIL}",
            seen=review.seen_report(case), now=lab.now,
        )  # fmt: skip
    with pytest.raises(Refused, match="field reason holds"):
        review.withdraw(view, case, Key("site-b"), reason=SECRET, now=lab.now)
    assert not lab.view().find(ident).decisions


def test_a_policy_that_holds_a_secret_is_refused(lab):
    with pytest.raises(Refused, match=r"\.placet/policy\.yaml"):
        lab.change_policy(("project: test", f"project: {SECRET}"))


def test_everyday_metadata_pass(lab):
    assert lab.propose(
        message="First model: AUC 0.91 (n = 12 345), see https://example.org/x?run=20261124-1 and a@b"
    )


@pytest.mark.parametrize("where", ["propose", "review"])
def test_without_the_scan_it_would_be_pushed(lab, monkeypatch, where):
    monkeypatch.setattr(propose if where == "propose" else review, "refuse_telling", lambda fields: None)
    if where == "propose":
        assert lab.propose(message=MAIL)
    else:
        ident = lab.propose()
        review.withdraw(lab.view(), lab.view().find(ident), Key("site-b"), reason=MAIL, now=lab.now)
        assert lab.view().find(ident).withdrawn
