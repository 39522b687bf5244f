"""Weaknesses of a policy: each finding with its place, and nothing found where nothing is weak."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from keys import POLICY, Key
from placet.core import globsets
from placet.core import lint as linting
from placet.core.globs import matches
from placet.core.globsets import example
from placet.core.lint import WEAKNESSES, lint, locked
from placet.core.policy import parse_policy
from placet.core.policyform import Approvals
from placet.core.quorum import Seats, Voter, fills
from placet.errors import Refused
from unit.test_policy import EXAMPLES

SOUND = POLICY.replace("files: 100}", "files: 100, rows: 1000, types: [csv, parquet]}")
NEEDS = "count: 2, groups: [stewards], organisations: 2, bytes: 1"
RULE = SOUND[SOUND.index("  - name: default") : SOUND.index("governance:")]
GROUPS = SOUND[SOUND.index("  trustees:") :]
TRUSTEES = "policy: [{count: 2, groups: [trustees], organisations: 2}]"


def found(*edits):
    text = SOUND
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text, lint(parse_policy(text.encode()))


def rule(name, *edits):
    text = RULE.replace("name: default", f"name: {name}")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_nothing_is_found_in_a_sound_policy():
    assert found()[1] == []


def test_nothing_is_found_in_what_people_start_from():
    assert {name: lint(parse_policy(EXAMPLES[name].encode())) for name in ("demo", "policy.md-0")} == {
        "demo": [],
        "policy.md-0": [],
    }


HEARING = SOUND.replace("tiers:\n", (
    f'witnesses:\n  w: {{organisation: org-c, keys: ["{Key("w").public}"], forges: [f], operators: [dana]}}\ntiers:\n'
), 1)  # fmt: skip
for _number, _name in enumerate(("Alice", "Bob"), start=1):
    HEARING = HEARING.replace(f"name: {_name},", f"forges: {{f: {_number}}}, name: {_name},")
ACCEPTING = HEARING.replace("    expires_days: 30", "    accept: [forge]")
UNSEEN = ACCEPTING.replace(", bytes: 1}", "}")

CASES = {
    "forge-alone": [((SOUND, UNSEEN), "accept: ", "by the word of witness w alone")],
    "no-operators": [((SOUND, ACCEPTING.replace(", operators: [dana]}", "}")), "w: ", "run witness w")],
    "no-witness": [
        ((SOUND, ACCEPTING.replace("org-c, keys: [\"" + Key("w").public, "org-a, keys: [\"" + Key("w").public)),
         "accept: ", "speaks for site-a"),
        ((SOUND, ACCEPTING.replace("forges: [f]", "forges: [other]")), "accept: ", "speaks for site-b"),
    ],
    "unused-witness": [((SOUND, HEARING), "w: ", "witness w")],
    "one-person": [((NEEDS, "count: 1, groups: [stewards]"), "approvals: ", "alone: alice, bob, carol")],
    "one-organisation": [((NEEDS, "count: 2, groups: [stewards]"), "approvals: ", "organisation: org-a")],
    "nobody": [
        (("operators: [carol]", "operators: [carol, alice]"), "approvals: ", "for node site-a"),
        (("operators: [carol]", "operators: [bob]"), "approvals: ", "for node site-a"),
    ],
    "no-rule": [
        (('paths: ["outputs/**"], operators', 'paths: ["reports/**"], operators'), '"reports/**"', "site-a/reports/x"),
        (('paths: ["*/outputs/**"]', 'paths: ["*/outputs/*"]'), '"outputs/**"', "site-a/outputs/x/x"),
        (('paths: ["*/outputs/**"]', 'paths: ["*/outputs/**/*.csv"]'), '"outputs/**"', "site-a/outputs/x"),
    ],
    "never-reached": [
        (("governance:", rule("second") + "governance:"), "- name: second", "default match before"),
        (
            ("governance:", rule("late", ('"*/outputs/**"', '"site-?/outputs/*.csv"')) + "governance:"),
            "- name: late",
            "default",
        ),
        (
            (
                "rules:\n",
                "rules:\n"
                + rule("files", ('"*/outputs/**"', '"*/outputs/*"'))
                + rule("folders", ('"*/outputs/**"', '"*/outputs/*/**"')),
            ),
            "- name: default",
            "files, folders match before",
        ),
    ],
    "matches-nothing": [
        (("governance:", rule("odd", ('"*/outputs/**"', '"outputs/**"')) + "governance:"), 'paths: ["outputs/**"]\n', "odd"),
        (
            ("governance:", "windows: {w: {reason: r, weekly: [{days: [sun]}], paths: [outputs/x]}}\ngovernance:"),
            "paths: [outputs/x]",
            "Window w",
        ),
    ],
    "unused-person": [(("members: [alice, bob, dana]", "members: [alice, bob]"), "dana: ", "dana")],
    "unused-group": [((TRUSTEES, TRUSTEES.replace("trustees", "stewards")), "trustees: ", "trustees")],
    "unused-options": [
        (("expires_days: 30", "options: {type: {a: 1}, counts: {least: 5}}"), "counts: ", "counts"),
    ],
    "no-rows": [((", rows: 1000", ""), "- name: default", "one row a patient")],
    "no-types": [((", types: [csv, parquet]", ""), "- name: default", "any type")],
    "code-unseen": [
        (
            (f"[{{{NEEDS}}}]\n    limits: {{bytes: 1000000, files: 100, rows: 1000, types: [csv, parquet]}}",
             "[{count: 2, groups: [stewards], organisations: 2}]\n    limits: {types: [pickle]}"),
            "- name: default",
            "run code",
        ),
    ],
    "policy-threshold": [
        ((NEEDS, "count: 3, groups: [stewards, trustees], organisations: 3, bytes: 1"), "policy: [", "rule default (3"),
    ],
    "no-unfreeze": [
        ((GROUPS, GROUPS.replace("nodes:", "  lone: {members: [carol]}\nnodes:").replace(
            "governance:", "governance:\n  freeze: [lone]")), "freeze: ", "carol alone"),
    ],
    "policy-locked": [((TRUSTEES, "policy: [{count: 4, groups: [trustees, stewards]}]"), "policy: [", "whoever")],
    "no-spare": [
        (
            ("  carol: ", "  carol2: "),
            "policy: [",
            "bob",
        ),
    ],
}  # fmt: skip
CASES["no-spare"] = [
    ((TRUSTEES, "policy: [{count: 3, groups: [trustees, stewards], organisations: 3}]"), "policy: [", "bob"),
]


@pytest.mark.parametrize(("code", "case"), [(code, one) for code, cases in CASES.items() for one in cases])
def test_each_weakness_is_found_where_it_is(code, case):
    edit, place, words = case
    text, all_found = found(edit)
    here = [one for one in all_found if one.code == code]
    assert here, all_found
    lines = text.splitlines()
    assert any(lines[one.line - 1][one.column - 1 :].startswith(place.strip("\n")) or
               lines[one.line - 1][one.column - 1 :].startswith(place.removeprefix("- ")) for one in here), here  # fmt: skip
    assert any(words in one.text for one in here), here
    assert all(one.mend == WEAKNESSES[code] for one in here)


def test_a_rule_that_hears_a_witness_and_asks_for_the_bytes_is_sound():
    assert found((SOUND, ACCEPTING))[1] == []
    run_by_bob = ACCEPTING.replace("operators: [dana]", "operators: [bob]")
    assert {one.code for one in found((SOUND, run_by_bob))[1]} == {"nobody"}, "bob counts no more, in no way"


def test_every_code_has_a_case():
    assert WEAKNESSES.keys() - {"undecided"} == CASES.keys()


def test_what_differs_by_tier_is_decided_by_tier():
    two = ("tiers:\n", 'tiers:\n  other: {url: "s3://other/x"}\n')
    narrow = ("  - name: default\n", "  - name: default\n    tiers: [other]\n")
    _, weak = found(two, narrow)
    assert {one.code for one in weak} == {"no-rule"}
    assert all("publication-storage" in one.text for one in weak)
    both = ("governance:", rule("rest") + "governance:")
    assert found(two, narrow, both)[1] == []


def test_the_two_person_rule_is_searched_over_people_not_read_from_numbers():
    """Two requirements of one each, and one person in both groups, are two people all the same."""
    each = "[{count: 1, groups: [stewards], bytes: 1}, {count: 1, groups: [trustees]}]"
    _, weak = found((f"[{{{NEEDS}}}]", each))
    assert {one.code for one in weak} == {"one-organisation"} or not weak
    _, weak = found((f"[{{{NEEDS}}}]", each), ("members: [alice, bob, dana]", "members: [alice]"),
                    ("members: [alice, bob, carol]", "members: [alice]"), ("organisations: 2}]\n", "}]\n") if False else
                    (TRUSTEES, "policy: [{count: 1, groups: [trustees]}]"))  # fmt: skip
    assert "nobody" in {one.code for one in weak}


def test_a_second_key_is_a_spare():
    needs = (TRUSTEES, "policy: [{count: 3, groups: [trustees, stewards], organisations: 3}]")
    _, weak = found(needs)
    assert {one.text.split()[1] for one in weak if one.code == "no-spare"} == {"bob", "carol", "dana"}
    spare = (f'keys: ["{Key("bob").public}"]', f'keys: ["{Key("bob").public}", "{Key("bob-2").public}"]')
    _, weak = found(needs, spare)
    assert {one.text.split()[1] for one in weak if one.code == "no-spare"} == {"carol", "dana"}


def test_a_locked_policy():
    assert not locked(parse_policy(SOUND.encode()))
    assert locked(
        parse_policy(SOUND.replace(TRUSTEES, "policy: [{count: 4, groups: [trustees, stewards]}]").encode())
    )


def test_what_takes_too_long_is_said_not_guessed(monkeypatch):
    monkeypatch.setattr(globsets, "MAX_STATES", 5)
    _, weak = found()
    assert [one.code for one in weak] == ["undecided"]
    with pytest.raises(Refused) as caught:
        example(["abcdefgh/**"])
    assert caught.value.kind == "globs-too-many"


def test_a_large_policy_is_decided_soon():
    """Hundreds of people and rules: no search over all choices of people, none over all paths."""
    people = "".join(
        f'  p{n}: {{name: P, organisation: org-{n % 30}, keys: ["{Key(f"p{n}").public}"]}}\n'
        for n in range(100)
    )
    members = ", ".join(f"p{n}" for n in range(100))
    rules = "".join(rule(f"r{n}", ('"*/outputs/**"', f'"*/outputs/{n}/**"'), (NEEDS, "count: 20, groups: [many], organisations: 20"))
                    for n in range(30))  # fmt: skip
    _, weak = found(
        ("groups:\n", f"{people}groups:\n  many: {{members: [{members}]}}\n"),
        ("rules:\n", f"rules:\n{rules}"),
    )
    assert "one-person" not in {one.code for one in weak}


# --- sets of paths, against brute force ---------------------------------------------------------

PARTS = some.sampled_from(["a", "b", "*", "?", "a*", "*b", "**", "a?b", "aa"])
GLOBS = some.lists(PARTS, min_size=1, max_size=4).map("/".join)
PATHS = ["/".join(parts) for size in (1, 2, 3)
         for parts in itertools.product(["a", "b", "aa", "ab", "c", "aab"], repeat=size)]  # fmt: skip


@given(
    some.lists(GLOBS, min_size=1, max_size=3),
    some.lists(GLOBS, min_size=1, max_size=2),
    some.lists(GLOBS, max_size=4),
)
def test_an_example_is_one_and_none_is_none(one, two, without):
    def good(path):
        return (
            any(matches(pattern, path) for pattern in one)
            and any(matches(pattern, path) for pattern in two)
            and not any(matches(pattern, path) for pattern in without)
        )

    found = example(one, two, but_not=without)
    if found is None:
        assert not any(map(good, PATHS))
    else:
        assert good(found)
        assert all(found.split("/"))


@pytest.mark.parametrize(
    ("inside", "without", "covered"),
    [
        (["**"], ["*", "*/**"], True),
        (["a/**"], ["a/*", "a/*/**"], True),
        (["a/**"], ["a/**/*"], True),
        (["**/a"], ["a", "*/**/a"], True),
        (["a*"], ["a", "a?*"], True),
        (["a*b"], ["a?b"], False),
        (["x/*.csv"], ["x/?*"], True),
        (["x/*"], ["x/*.*"], False),
        (["**/*.csv"], ["**"], True),
        (["**"], ["**/*.*"], False),
    ],
)
def test_cover_by_a_union(inside, without, covered):
    assert (example(inside, but_not=without) is None) is covered


# --- people, against brute force ----------------------------------------------------------------

VOTERS = [Voter(f"p{n}", f"org-{n % 3}", n % 2 == 0) for n in range(6)]
NEED = some.builds(
    lambda count, organisations, with_bytes, voters: Seats(
        Approvals(count=count, groups=("g",), organisations=min(organisations, count), bytes=min(with_bytes, count)),
        frozenset(voters),
    ),
    some.integers(1, 3), some.integers(1, 3), some.integers(0, 2), some.sets(some.sampled_from(VOTERS)),
)  # fmt: skip


def by_trying(seats, free):
    if not seats:
        return True
    need = seats[0].need
    return any(
        len({one.organisation for one in chosen}) >= need.organisations
        and sum(one.saw_bytes for one in chosen) >= need.bytes
        and by_trying(seats[1:], free - set(chosen))
        for chosen in itertools.combinations(sorted(seats[0].voters & free), need.count)
    )


@given(some.lists(NEED, max_size=3))
def test_requirements_are_filled_exactly_if_they_can_be(seats):
    assert fills(seats) is by_trying(seats, frozenset(VOTERS))


def test_codes_are_told_in_the_reference():
    from pathlib import Path

    page = (Path(__file__).parent.parent.parent / "docs/reference/policy.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) >= linting.WEAKNESSES.keys()
