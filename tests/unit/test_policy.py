import json
import re
from functools import cache
from pathlib import Path

import jsonschema
import msgspec
import pytest
from ruamel.yaml import YAML

from keys import POLICY, Key
from placet.config import complete_policy
from placet.core import policymistakes
from placet.core.assent import rule_for
from placet.core.digest import sha256_hex
from placet.core.policy import MAX_POLICY, mark, parse_policy
from placet.core.policyform import PolicyForm, schema
from placet.demo import cast
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


FORM = YAML(typ="safe").load(POLICY)
ADDED = ("repository", "number", "previous")
REST = {key: value for key, value in FORM.items() if key not in ADDED}


@pytest.mark.parametrize("data", [
    json.dumps(FORM), json.dumps(FORM, indent=2), json.dumps(REST), json.dumps(REST, indent=2),
    json.dumps(REST | {"repository": FORM["repository"]}), POLICY,
    re.sub(f"(?m)^(?:{'|'.join(ADDED)}):.*\n", "", POLICY), re.sub("(?m)^([a-z]+):", r'"\1":', POLICY),
])  # fmt: skip
def test_a_policy_is_completed_with_what_it_lacks(data):
    form = parse_policy(complete_policy(data.encode())).form
    assert (form.number, form.previous) == (0, None)
    assert re.fullmatch("[0-9a-f]{32}", form.repository)
    assert (form.repository == FORM["repository"]) == (FORM["repository"] in data)


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


WITNESSES = "witnesses:\n"
WITNESS = f'{{organisation: org-c, keys: ["{Key("w").public}"], forges: [f], operators: [dana]}}'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("project: test", "project: [", None),
        ("project: test", "project: &x test", "anchors"),
        ("project: test", "project: test\nproject: test", "duplicate key"),
        ("version: 1", "version: 0", "Invalid"),
        ("version: 1", "version: two", "Expected"),
        ("version: 1\n", "", "missing required field `version`"),
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
        ("  site-b: {organisation", "  Site_B!: {organisation", "Expected a name of lower-case letters"),
        ("expires_days: 30", "expires_days: 30\n    freeze: [x]", "unknown field `freeze`"),
        ("name: Bob,", "name: Bob, forges: {github: bob},", "Expected `int`"),
        ("files: 100}", "files: 100, rows: 0}", ">= 1"),
        ("expires_days: 30", "options: {type: {strict: 1.5}}", "Expected `bool | int | str | array`"),
        ("previous: null", "previous: x", "Expected 64 hex digits"),
        ("files: 100}", "files: 1e3}", "got `float`"),
        ("governance:", "windows: {yearend: {reason: x}}\ngovernance:", "neither `between` nor `weekly`"),
        ("tiers:\n", f"{WITNESSES}  bob: {WITNESS}\ntiers:\n", "also the name of a person"),
        ("tiers:\n", f"{WITNESSES}  site-b: {WITNESS}\ntiers:\n", "or a node"),
        ("tiers:\n", f"{WITNESSES}  w: {WITNESS.replace('[dana]', '[eve]')}\ntiers:\n", "no person 'eve'"),
        ("tiers:\n", f"{WITNESSES}  w: {WITNESS.replace('[f]', '[]')}\ntiers:\n", "length >= 1"),
        (
            "tiers:\n",
            f"{WITNESSES}  w: {WITNESS.replace(Key('w').public, Key('site-a').public)}\ntiers:\n",
            "also a key of nodes site-a",
        ),
        ("expires_days: 30", "accept: [email]", "Invalid enum"),
        ("expires_days: 30", "accept: [forge, forge]", "length <= 1"),
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
            "Expected an hour like `18:00`.",
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
    ("data", "words"),
    [
        (b"", "1:1: it must be a mapping"),
        (b"[]", "1:1: it must be a mapping"),
        (b"x", "1:1: it must be a mapping"),
        (b"version: 1\nproject: \xff", "2:10: it is not UTF-8"),
        (b"version: 1\nproject: a\x07b", "2:11: it holds a character that YAML does not allow"),
        (b"a: *b", "1:4: "),
        (b"a" * (MAX_POLICY + 1), "1:1: it is larger than"),
        (b"{" * 5000, "1:21: it is nested too deeply"),
        (b"a: !!python/object:x {}", "1:1: Object contains unknown field `a`"),
        (b"? [a, b]\n: c", "1:"),
        (b"a:\n  - b\n c", "3:2: expected <block end>"),
        (b"version: 0x" + b"f" * 9000, "1:1: it holds a number of thousands of digits"),
    ],
)
def test_what_is_no_policy(data, words):
    with pytest.raises(Invalid) as caught:
        parse_policy(data)
    assert caught.value.kind == "policy"
    assert caught.value.what.startswith(f"policy.yaml:{words}"), caught.value.what


def test_all_mistakes_of_one_file_are_told():
    text = POLICY.replace("members: [alice, bob, carol]", "members: [alice, mallory, eve]")
    with pytest.raises(Invalid) as caught:
        parse_policy(text.encode())
    line = line_of(text, "mallory")
    assert [(one["line"], one["text"]) for one in caught.value.details["mistakes"]] == [
        (line, "there is no person 'mallory'"),
        (line, "there is no person 'eve'"),
        (line_of(text, "approvals"), "2 organisations cannot be met: nobody could ever approve"),
    ]
    assert caught.value.details["mistakes"][0]["column"] < caught.value.details["mistakes"][1]["column"]
    assert f"Also {line}:" in caught.value.why


def test_marks_point_at_keys_and_items():
    policy = parse_policy(POLICY.encode())
    lines = POLICY.splitlines()
    for place, words in (
        (("people", "dana"), "dana: "),
        (("nodes", "site-a", "paths", 0), '"outputs/**"'),
        (("rules", 0, "approvals"), "approvals: "),
        (("rules", 0, "limits", "files"), "files: 100"),
        (("rules", 0, "limits", "nothing"), "limits: "),
    ):
        line, column = mark(policy, place)
        assert lines[line - 1][column - 1 :].startswith(words), place


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


def test_two_accounts_are_one_person_only_because_the_reader_says_so(monkeypatch):
    """The guard taken away, one account could stand for two people."""
    text = POLICY.replace("name: Alice,", "name: Alice, forges: {github: 7},")
    twice = text.replace("name: Bob,", "name: Bob, forges: {github: 7},").encode()
    with pytest.raises(Invalid):
        parse_policy(twice)
    monkeypatch.setattr(policymistakes, "_accounts", lambda form: ())
    assert parse_policy(twice).form.people["bob"].forges == {"github": 7}
    parse_policy.cache_clear()


def test_a_key_is_one_persons_only_because_the_reader_says_so(monkeypatch):
    twice = POLICY.replace(Key("bob").public, Key("alice").public).encode()
    with pytest.raises(Invalid, match="also a key of people alice"):
        parse_policy(twice)
    monkeypatch.setattr(policymistakes, "_double_keys", lambda form: ())
    assert parse_policy(twice)
    parse_policy.cache_clear()


def test_a_name_ends_where_it_seems_to():
    for old, new in (
        ("  alice: ", '  "alice\\n": '),
        ("project: test", 'project: test\nwindows: {"w\\n": {}}'),
    ):
        with pytest.raises(Invalid):
            parse_policy(POLICY.replace(old, new, 1).encode())


# --- the published schema -----------------------------------------------------------------------

ROOT = Path(__file__).parent.parent.parent
VALIDATOR = jsonschema.Draft202012Validator(schema())
FULL = POLICY.replace(
    "expires_days: 30",
    "tiers: [publication-storage]\n    checks: [counts]\n    recheck: true\n    accept: [forge]\n"
    "    options: {counts: {least: 5, strict: true, columns: [a, b], mode: x}}",
).replace("name: Alice,", "name: Alice, forges: {github: 7},").replace(
    "tiers:\n", f"{WITNESSES}  w: {WITNESS}\ntiers:\n", 1
) + (
    "windows:\n  w: {reason: r, between: [{from: 2026-12-24T00:00:00Z, until: 2027-01-02T00:00:00Z}],"
    " weekly: [{days: [fri], from: '18:00', until: '24:00'}], paths: ['**'], tiers: [publication-storage]}\n"
)


@cache
def base():
    return json.dumps(plain(FULL))


def plain(text):
    class Loader(YAML):
        pass

    yaml = Loader(typ="safe", pure=True)
    yaml.constructor.yaml_constructors = {
        **yaml.constructor.yaml_constructors,
        "tag:yaml.org,2002:timestamp": lambda self, node: node.value,
    }
    return yaml.load(text)


def examples():
    yield "tests", POLICY
    yield "tests, every key", FULL
    keys = {name: Key(name).public for name in ("dana", "alice", "bob", "site_a", "site_b")}
    yield "demo", completed(cast._POLICY.format(bucket="b", endpoint="http://127.0.0.1:1", **keys))
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for number, block in enumerate(
            re.findall(r"```yaml\n(version: 1\n.*?)```", page.read_text(), re.DOTALL)
        ):
            parts = re.split(r'"ed25519:[^"]*"', block)
            keys = [f'"{Key(f"k{n}").public}"' for n in range(len(parts))]
            text = "".join(part + key for part, key in zip(parts, keys, strict=True)).removesuffix(keys[-1])
            yield f"{page.name}-{number}", completed(text)


def completed(text):
    return text if "repository:" in text else f'{text}repository: "{"ab" * 16}"\nnumber: 0\nprevious: null\n'


EXAMPLES = dict(examples())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_policy_and_fits_the_schema(name):
    parse_policy(EXAMPLES[name].encode())
    VALIDATOR.validate(plain(EXAMPLES[name]))


def test_there_are_examples_in_the_docs():
    assert {"policy.md-0"} <= EXAMPLES.keys()


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


WRONG = [
    None,
    "",
    "x",
    "X Y",
    -1,
    0,
    1.5,
    1 << 60,
    True,
    [],
    [[]],
    {},
    {"x": 1},
    "a" * 5000,
    "alice\n",
    [1, "x"],
]


def changed(path, change):
    data = holder = json.loads(base())
    for step in path[:-1]:
        holder = holder[step]
    change(holder, path[-1])
    return data


def wrong_policies():
    """Each place without what stands there, and with four of many other things in its stead."""
    for number, path in enumerate(places(json.loads(base()))):
        if not path:
            continue
        yield changed(path, lambda holder, key: holder.pop(key))
        for value in (WRONG * 2)[number % len(WRONG) :][:4]:
            yield changed(path, lambda holder, key, value=value: holder.__setitem__(key, value))
            if isinstance(path[-1], str):
                yield changed(
                    path, lambda holder, key, value=value: holder.update({str(value): holder.pop(key)})
                )


def test_reader_and_schema_agree_on_every_wrong_policy():
    """The form alone; what no schema can say (`policymistakes`) the reader refuses besides."""
    refused = 0
    for number, data in enumerate(wrong_policies()):
        try:
            msgspec.convert(data, PolicyForm)
            form = True
        except msgspec.ValidationError:
            form = False
        assert VALIDATOR.is_valid(data) is form, data
        refused += not form
        if number % 20 == 0 and not form:
            with pytest.raises(Invalid) as caught:
                parse_policy(json.dumps(data).encode())
            assert re.match(r"policy\.yaml:\d+:\d+: ", caught.value.what)
    assert refused > 400


def test_the_first_rule_that_matches_counts():
    text = POLICY.replace("  - name: default", "  - name: early\n    paths: ['site-a/**']\n    approvals:\n"
                          "      [{count: 1, groups: [stewards]}]\n  - name: default")  # fmt: skip
    policy = parse_policy(text.encode())
    assert rule_for(policy, "site-a", "outputs/x", "publication-storage").name == "early"
    assert rule_for(policy, "site-b", "outputs/x", "publication-storage").name == "default"
