"""What an MLflow server should say of a ledger, as pure functions."""

import itertools

import pytest

from placet.config import load_settings
from placet.core.location import Location
from placet.core.mlflowform import read_mlflow
from placet.core.states import State
from placet.engine.editions import Key, Standing
from placet.errors import Invalid
from placet.integrations.mlflow_plan import (
    STATE_TAG,
    Change,
    aliases,
    left,
    ordered,
    run_tags,
    version_tags,
)
from placet.ports.models import Version

REPOSITORY = "ab" * 16
A, B = "aa" * 32, "bb" * 32


def version(number, sha256, *, name="bmi", path="outputs/model", repository=REPOSITORY, **tags):
    source = Location("site-a", path, repository, sha256).uri
    return Version(name, str(number), source, tags)


def key(sha256, path="outputs/model"):
    return Key("site-a", path, sha256)


def published(sequence, state=State.PUBLISHED, ident="1" * 32):
    return Standing(ident, state, "2026-01-01T00:00:00Z", sequence)


def alias(versions, now, known):
    return [(one.before, one.after) for one in aliases(versions, now, REPOSITORY, known, "published")]


def test_the_alias_is_at_what_was_published_last_and_stands():
    one, two = version(1, A), version(2, B, path="outputs/other")
    stands = {key(A): published(3), key(B, "outputs/other"): published(5)}
    assert alias([one, two], {}, stands) == [(None, "2")]
    assert alias([two, one], {"bmi": "1"}, stands) == [("1", "2")]
    assert alias([one, two], {"bmi": "2"}, stands) == []
    gone = stands | {key(B, "outputs/other"): published(5, State.RETRACTED)}
    assert alias([one, two], {"bmi": "2"}, gone) == [("2", "1")]
    nothing = {one: published(3, State.RETRACTED) for one in stands}
    assert alias([one, two], {"bmi": "2"}, nothing) == [("2", None)]
    assert alias([one, two], {}, nothing) == []


@pytest.mark.parametrize("state", [one for one in State if one is not State.PUBLISHED])
def test_nothing_but_what_stands_published_has_the_alias(state):
    assert alias([version(1, A)], {"bmi": "1"}, {key(A): published(3, state)}) == [("1", None)]


def test_two_versions_of_the_same_bytes_the_newer_has_it():
    assert alias([version(9, A), version(10, A)], {}, {key(A): published(3)}) == [(None, "10")]


@pytest.mark.parametrize(
    "foreign",
    [
        version(1, A, repository="cd" * 16),
        version(1, A, repository=None),
        version(1, None),
        Version("bmi", "1", "placet://site-a/../x", {}),
        Version("bmi", "1", "placet:", {STATE_TAG: "PUBLISHED"}),
    ],
)
def test_a_version_that_is_bound_to_nothing_never_has_it(foreign):
    known = {key(A): published(3)}
    assert alias([foreign], {"bmi": "1"}, known) == [], "a model that is none of this repository's"
    assert alias([foreign, version(2, B)], {"bmi": "1"}, known) == [("1", None)]
    assert alias([foreign, version(2, A)], {"bmi": "1"}, known) == [("1", "2")]
    assert list(version_tags([foreign], REPOSITORY, known)) == []
    (found,) = left([foreign], REPOSITORY)
    assert (found.name, found.version) == ("bmi", "1")
    assert 0 < len(found.reason) <= 200


def test_another_nodes_or_paths_bytes_are_another_artifact():
    known = {key(A): published(3)}
    assert alias([version(1, A, path="outputs/else")], {}, known) == []


def test_the_tags_of_versions_follow():
    known = {key(A): published(3, State.RETRACTED)}
    changes = list(
        version_tags([version(1, A, **{STATE_TAG: "PUBLISHED"}), version(2, B)], REPOSITORY, known)
    )
    assert [(one.version, one.key, one.before, one.after) for one in changes] == [
        ("1", STATE_TAG, "PUBLISHED", "RETRACTED"),
        ("1", "placet.proposal", None, "1" * 32),
        ("2", STATE_TAG, None, "UNPROPOSED"),
    ]
    tags = {STATE_TAG: "RETRACTED", "placet.proposal": "1" * 32}
    assert list(version_tags([version(1, A, **tags)], REPOSITORY, known)) == []


def test_a_run_is_linked_by_both_ends_only():
    proposals = [("1" * 32, "RETURNED", [A]), ("2" * 32, "PUBLISHED", [B])]
    assert list(run_tags("r", {}, proposals)) == []
    changes = list(run_tags("r", {f"placet.sha256.{A}": "x"}, proposals))
    assert [(one.key, one.after) for one in changes] == [
        (f"placet.proposal.{'1' * 32}", "RETURNED"),
        (STATE_TAG, "RETURNED"),
    ]
    both = {f"placet.sha256.{one}": "x" for one in (A, B)}
    assert {one.key: one.after for one in run_tags("r", both, proposals)}[STATE_TAG] == "PUBLISHED"
    done = both | {one.key: one.after for one in run_tags("r", both, proposals)}
    assert list(run_tags("r", done, proposals)) == []


def test_what_takes_back_comes_first():
    removed, moved = (
        Change("alias", name, "published", "", "1", after) for name, after in (("a", None), ("b", "2"))
    )
    tag = Change("version", "a", STATE_TAG, "1", None, "RETRACTED")
    for some in itertools.permutations([removed, moved, tag]):
        assert ordered(some) == [removed, moved, tag]


def test_the_best_of_several_standings_is_the_one_that_stands():
    stands, later = published(3), published(9, State.SUPERSEDED)
    proposed = Standing("2" * 32, State.PROPOSED, "2026-12-31T00:00:00Z")
    assert sorted([stands, later, proposed], key=lambda one: one.rank) == [proposed, later, stands]


def test_the_settings_of_a_server(tmp_path):
    (tmp_path / "placet.toml").write_text(
        'node = "a"\n[mlflow]\ntracking_uri = "http://x:5000"\nalias = "live"\n'
    )
    form = load_settings(tmp_path, {}).mlflow
    assert (form.tracking_uri, form.alias, form.tier, form.interval) == (
        "http://x:5000", "live", "publication-storage", 60.0,
    )  # fmt: skip
    (tmp_path / "placet.toml").write_text('node = "a"\n')
    assert load_settings(tmp_path, {}).mlflow is None


@pytest.mark.parametrize(
    "table",
    [
        3,
        {"tracking": "x"},
        {"tracking_uri": ""},
        {"tracking_uri": "http://me:secret@x"},
        {"registry_uri": "https://me@x/"},
        {"alias": "v7"},
        {"alias": "latest"},
        {"alias": "a.b"},
        {"alias": ""},
        {"interval": 0},
    ],
)
def test_settings_that_cannot_be_used(table):
    with pytest.raises(Invalid) as caught:
        read_mlflow(table)
    assert caught.value.kind == "settings"
    assert "secret" not in str(caught.value)
