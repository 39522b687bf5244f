"""Properties of the core: whatever foreign bytes come, only Placet's own errors leave; approvals are monotone."""

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as some

from keys import POLICY, Key
from placet.core import envelope as dsse
from placet.core import layout
from placet.core.assent import Assent, judge_manifest
from placet.core.globs import matches
from placet.core.policy import parse_policy
from placet.core.predicates import PREDICATES
from placet.core.statement import parse
from placet.errors import Invalid
from unit.test_assent import ONE
from unit.test_statement import ALL, made

RULES = parse_policy(POLICY.encode())
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=20),
    lambda inner: (
        some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=20,
)


def only_invalid(call):
    try:
        call()
    except Invalid:
        pass


@given(some.binary(max_size=200))
def test_parsers_of_foreign_bytes_raise_only_invalid(data):
    only_invalid(lambda: dsse.parse_envelope(data))
    only_invalid(lambda: dsse.strict_json(data))
    only_invalid(lambda: parse_policy(data))


@given(JSON, some.sampled_from(PREDICATES))
def test_statements_of_any_json_raise_only_invalid(value, kind):
    payload = json.dumps(value).encode()
    only_invalid(lambda: parse(dsse.sign(payload, Key("alice").pair).to_bytes(), kind))


@given(some.sampled_from(sorted(ALL)), some.data())
def test_a_changed_statement_is_read_as_itself_or_not_at_all(name, data):
    kind = type(ALL[name][1])
    value = json.loads(dsse.parse_envelope(made(name)).payload)
    key = data.draw(some.sampled_from(sorted(value["predicate"])))
    value["predicate"][key] = data.draw(JSON)
    only_invalid(lambda: parse(dsse.sign(json.dumps(value).encode(), Key("alice").pair).to_bytes(), kind))


@given(some.text(max_size=300))
def test_policies_of_any_text_raise_only_invalid(text):
    only_invalid(lambda: parse_policy(text.encode("utf-8", "surrogatepass")))


@given(some.binary(max_size=500))
def test_envelopes_keep_their_payload(payload):
    envelope = dsse.sign(payload, Key("alice").pair)
    again = dsse.parse_envelope(envelope.to_bytes())
    assert (again.payload, again.digest) == (payload, envelope.digest)
    assert again.signed_by([Key("alice").public]) == {Key("alice").public}


PEOPLE = some.lists(
    some.tuples(
        some.sampled_from(["alice", "bob", "carol", "dana", "mallory"]),
        some.sampled_from(["bytes", "report"]),
    ),
    max_size=5,
)


@given(PEOPLE, some.sampled_from(["site-a", "site-b"]), some.data())
def test_fewer_approvals_never_allow_more(people, node, data):
    manifest = msgspec.structs.replace(ONE, node=node)
    kept = [one for one in people if data.draw(some.booleans())]
    after = judge_manifest(RULES, manifest, [Assent(*one) for one in dict(people).items()])
    before = judge_manifest(
        RULES, manifest, [Assent(*one) for one in dict(people).items() if one[0] in dict(kept)]
    )
    assert after.allowed or not before.allowed
    if after.allowed:
        organisations = {
            RULES.form.people[name].organisation for name in dict(people) if name in RULES.form.people
        }
        assert len(dict(people)) >= 2
        assert len(organisations) >= 2


def slow_match(pattern, path):
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(slow_match(pattern[1:], path[skip:]) for skip in range(len(path) + 1))
    return bool(path) and slow_part(pattern[0], path[0]) and slow_match(pattern[1:], path[1:])


def slow_part(pattern, text):
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(slow_part(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
    return bool(text) and pattern[0] in {"?", text[0]} and slow_part(pattern[1:], text[1:])


PART = some.text("ab.*?", min_size=1, max_size=4).filter(lambda part: "**" not in part)


@given(
    some.lists(PART | some.just("**"), min_size=1, max_size=4),
    some.lists(some.text("ab.", min_size=1, max_size=3), min_size=1, max_size=5),
)
def test_globs_match_as_a_plain_recursion_does(pattern, path):
    assert matches("/".join(pattern), "/".join(path)) is slow_match(pattern, path)


@given(some.text(max_size=60))
@settings(max_examples=300)
def test_a_safe_path_stays_where_it_is(path):
    if layout.unsafe(path) is None:
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        assert "\x00" not in path
        assert path.encode("utf-8").decode("utf-8") == path


@given(some.lists(some.text("aAbB/é", min_size=1, max_size=6), max_size=6))
def test_clashes_are_found_whatever_the_order(paths):
    folded = [layout.fold(path).split("/") for path in paths]
    pairs = [
        (one, two)
        for index, one in enumerate(folded)
        for other, two in enumerate(folded)
        if index != other and two[: len(one)] == one
    ]
    assert (layout.clash(paths) is not None) is bool(pairs)
