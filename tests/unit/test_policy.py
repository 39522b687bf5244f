import pytest

from keys import POLICY, Key
from placet.core.digest import sha256_hex
from placet.core.lint import lint
from placet.core.policy import MAX_POLICY, parse_policy
from placet.errors import Invalid


def line_of(text, words):
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def test_a_policy_is_read_with_its_digest():
    policy = parse_policy(POLICY.encode())
    assert policy.digest == sha256_hex(POLICY.encode())
    assert policy.person_keys("alice") == (Key("alice").public, Key("alice-2").public)
    assert policy.person_keys("nobody") == policy.node_keys("nobody") == ()
    assert policy.node_keys("site-b") == (Key("site-b").public,)
    assert policy.person_of(Key("alice-2").public) == "alice"
    assert policy.person_of(Key("site-a").public) is None
    assert policy.governors() == {"alice", "bob", "dana"}


def test_derived_files_follow_from_the_policy_byte_for_byte(tmp_path):
    derived = parse_policy(POLICY.encode()).derived()
    assert derived.keys() == {".placet/policy.yaml", ".dvc/config", ".gitignore", ".dvc/.gitignore"}
    assert derived[".gitignore"] == b"/artifacts/**\n!/artifacts/**/\n!/artifacts/**/*.dvc\n"
    assert derived[".dvc/.gitignore"] == b"/config.local\n/tmp\n/cache\n"
    assert derived[".dvc/config"] == (
        b"[core]\n    remote = publication-storage\n    analytics = false\n"
        b"['remote \"publication-storage\"']\n    url = s3://pub/x\n    endpointurl = http://127.0.0.1:1\n"
        b"    verify = true\n"
    )
    from dvc.config import Config

    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_bytes(derived[".dvc/config"])
    remote = Config(str(tmp_path / ".dvc"))["remote"]["publication-storage"]
    assert (remote["url"], remote["endpointurl"], remote["verify"]) == (
        "s3://pub/x",
        "http://127.0.0.1:1",
        True,
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("project: test", "project: [", None),
        ("project: test", "project: &x test", "anchors"),
        ("project: test", "project: test\nproject: test", "duplicate key"),
        ("version: 1", "version: 2", "Invalid"),
        ("number: 0", "number: -1", ">= 0"),
        ("number: 0", "number: 1", "policy 0 has previous"),
        ("organisation: org-b, keys", "organization: org-b, keys", "unknown field `organization`"),
        ("members: [alice, bob, carol]", "members: [alice, mallory]", "no person 'mallory'"),
        ("members: [alice, bob, carol]", "members: []", "length >= 1"),
        ("operators: [carol]", "operators: [mallory]", "no person 'mallory'"),
        (
            "count: 2, groups: [stewards], organisations: 2, bytes: 1",
            "count: 9, groups: [stewards]",
            "nobody could",
        ),
        (
            "groups: [stewards], organisations: 2, bytes: 1",
            "groups: [stewards], organisations: 3",
            "nobody could",
        ),
        ("groups: [stewards], organisations: 2, bytes: 1", "groups: [trustees], bytes: 1", "nobody could"),
        ("groups: [stewards], organisations: 2, bytes: 1", "groups: [nobody]", "no group 'nobody'"),
        ("organisations: 2, bytes: 1", "organisations: 2, bytes: one", "Expected `int`"),
        ('    paths: ["*/outputs/**"]', "    paths: []", "length >= 1"),
        ('    paths: ["*/outputs/**"]', '    paths: ["x"]\n    tiers: [moon]', "no tier 'moon'"),
        ("s3://pub/x", "s3://pub/x y", "space"),
        (Key("bob").public, Key("alice").public, "also a key of people alice"),
        (Key("site-b").public, Key("bob").public, "also a key of people bob"),
        (Key("bob").public, "ed25519:AAAA", "not a public key"),
        ("  site-b: {organisation", "  bob: {organisation", "also the name of a person"),
        ("  site-b: {organisation", "  Site_B!: {organisation", "match"),
        ("expires_days: 30", "expires_days: 30\n    freeze: [x]", "unknown field `freeze`"),
        ("name: Bob,", "name: Bob, forges: {github: bob},", "Expected `int`"),
        ("files: 100}", "files: 100, rows: 0}", ">= 1"),
        ("expires_days: 30", "options: {type: {strict: 1.5}}", "Expected `bool | int | str | array`"),
        ("governance:", "windows: {yearend: {reason: x}}\ngovernance:", "neither `between` nor `weekly`"),
        (
            "governance:",
            "windows:\n  w: {reason: x, between: [{until: 2026-12-01T00:00:00Z, from: 2026-12-24T00:00:00Z}]}\ngovernance:",
            "ends before it begins",
        ),
        (
            "governance:",
            "windows:\n  w: {reason: x, between: [{until: 2026-12-01T00:00:00Z, from: 2026-13-24T00:00:00Z}]}\ngovernance:",
            "2026-13-24",
        ),
        ("governance:", "windows:\n  w: {reason: x, weekly: [{days: [fr]}]}\ngovernance:", "Invalid enum"),
        (
            "governance:",
            "windows:\n  w: {reason: x, weekly: [{days: [fri], from: '24:00'}]}\ngovernance:",
            "match",
        ),
        (
            "governance:",
            "windows:\n  w: {reason: x, weekly: [{days: [fri]}], tiers: [moon]}\ngovernance:",
            "no tier 'moon'",
        ),
    ],
)
def test_every_mistake_is_named_with_line_and_column(old, new, words):
    assert POLICY.count(old) >= 1
    text = POLICY.replace(old, new, 1)
    with pytest.raises(Invalid) as caught:
        parse_policy(text.encode())
    assert caught.value.kind == "policy"
    assert words is None or words in caught.value.what
    where = caught.value.what.split(":")[:3]
    assert where[0] == "policy.yaml"
    place = [number for number, line in enumerate(text.splitlines(), 1) if new.split("\n")[-1] in line]
    place += [line_of(text, new.split("\n")[0])]
    near = 3 if words is None else 1
    assert min(abs(int(where[1]) - one) for one in place) <= near, caught.value.what


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"x", b"\xff", b"a: *b", b"a" * (MAX_POLICY + 1), b"{" * 5000, b"a: !!python/object:x {}"],
)
def test_what_is_no_policy(data):
    with pytest.raises(Invalid) as caught:
        parse_policy(data)
    assert caught.value.kind == "policy"


def test_two_rules_of_one_name_and_unknown_governors():
    rule = POLICY[POLICY.index("  - name: default") : POLICY.index("governance:")]
    with pytest.raises(Invalid, match="two rules called"):
        parse_policy(POLICY.replace(rule, rule + rule).encode())
    with pytest.raises(Invalid, match="no group 'x'"):
        parse_policy((POLICY + "  freeze: [x]\n").encode())
    with pytest.raises(Invalid, match="no group 'x'"):
        parse_policy((POLICY + "  retract: [x]\n").encode())


def test_an_account_belongs_to_one_person():
    text = POLICY.replace("name: Alice,", "name: Alice, forges: {github: 7},")
    assert parse_policy(text.encode()).form.people["alice"].forges == {"github": 7}
    twice = text.replace("name: Bob,", "name: Bob, forges: {github: 7},")
    with pytest.raises(Invalid, match=r"policy.yaml:8:\d+: this account is also an account of alice"):
        parse_policy(twice.encode())
    parse_policy(text.replace("name: Bob,", "name: Bob, forges: {gitea: 7},").encode())


def test_times_need_no_quotes():
    text = POLICY + (
        "windows:\n  yearend: {reason: x, between: [{from: 2026-12-24T00:00:00Z, until: '2027-01-02T00:00:00Z'}],"
        " weekly: [{days: [sat, sun]}, {days: [fri], from: 18:00, until: 24:00}]}\n"
    )
    window = parse_policy(text.encode()).form.windows["yearend"]
    assert (window.between[0].begin, window.between[0].until) == (
        "2026-12-24T00:00:00Z",
        "2027-01-02T00:00:00Z",
    )
    assert [(one.begin, one.until) for one in window.weekly] == [("00:00", "24:00"), ("18:00", "24:00")]


def test_a_tier_with_a_region_and_another_default():
    text = POLICY.replace("publication-storage: {url", "open: {region: eu-1, url")
    config = parse_policy(text.encode()).derived()[".dvc/config"]
    assert b"remote = open\n" in config
    assert b"    region = eu-1\n" in config


def found(*edits):
    text = POLICY
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return " ".join(lint(parse_policy(text.encode())))


def test_lint_finds_nothing_in_a_sound_policy():
    assert found() == ""


def test_lint_finds_what_is_probably_not_meant():
    needs = "count: 2, groups: [stewards], organisations: 2, bytes: 1"
    assert "Rule default can be satisfied by one person alone." in found(
        (needs, "count: 1, groups: [stewards]")
    )
    assert "within one organisation" in found((needs, "count: 2, groups: [stewards]"))
    assert "A change of the policy can be satisfied by one person" in found(
        (
            "policy: [{count: 2, groups: [trustees], organisations: 2}]",
            "policy: [{count: 1, groups: [trustees]}]",
        )
    )
    assert "No rule matches site-a/reports/**" in found(
        ('paths: ["outputs/**"], operators', 'paths: ["reports/**"], operators')
    )
    second = POLICY[POLICY.index("  - name: default") : POLICY.index("governance:")].replace(
        "default", "second"
    )
    assert "Rule second is never reached" in found(("governance:", second + "governance:"))
    narrower = second.replace('"*/outputs/**"', '"site-a/**"')
    assert "never reached" not in found(("governance:", narrower + "governance:"))
    assert "Group trustees is used by no rule." in found(
        ("policy: [{count: 2, groups: [trustees]", "policy: [{count: 2, groups: [stewards]")
    )
    idle = ("members: [alice, bob, dana]", "members: [alice, bob]")
    assert "dana is in no group" in found(idle)
