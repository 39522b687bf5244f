"""`placet:` URIs: what is written is read again, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from placet.core import layout
from placet.core.location import Location, parse_location
from placet.errors import Invalid

REPOSITORY, SHA = "ab" * 16, "cd" * 32
PATHS = some.text(min_size=1, max_size=40).filter(lambda text: layout.unsafe(text) is None)


@given(PATHS, some.none() | some.just(REPOSITORY), some.none() | some.just(SHA))
def test_what_is_written_is_read(path, repository, sha256):
    at = Location("site-a", path, repository, sha256)
    assert parse_location(at.uri) == at
    assert at.uri.isascii()


@given(
    some.text(max_size=60),
    some.sampled_from(["", "placet://", "placet://site-a/", f"placet://{REPOSITORY}/artifacts/"]),
)
def test_whatever_is_given_is_read_or_refused(text, begin):
    try:
        at = parse_location(begin + text)
    except Invalid:
        return
    assert parse_location(at.uri) == at
    assert at.path == "" or layout.unsafe(at.path, strict=False) is None


def test_an_artifact_is_named_as_in_provenance():
    at = Location("site-a", "outputs/a b.csv", REPOSITORY)
    assert at.uri == layout.artifact_uri(REPOSITORY, "site-a", "outputs/a b.csv")
    assert layout.of_artifact_uri(at.uri) == (REPOSITORY, "site-a", "outputs/a b.csv")


def test_the_beginning_of_a_location_is_one():
    """MLflow cuts the last part off, keeps the query, and gives the part as a path below."""
    at = parse_location(f"placet://{REPOSITORY}/artifacts/site-a?sha256={SHA}")
    assert at == Location("site-a", "", REPOSITORY, SHA)
    assert parse_location(at.uri) == at
    assert at.below("outputs/model") == Location("site-a", "outputs/model", REPOSITORY, SHA)
    assert parse_location("placet://site-a") == parse_location("placet://site-a/") == Location("site-a", "")
    assert at.below("/") == at


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "placet:",
        "placet:///outputs/a",
        "s3://bucket/a",
        "placet://site-a/../b",
        "placet://site-a/%2e%2e/b",
        "placet://site-a/a/./b",
        "placet://site-a/a//b",
        "placet://site-a/.git/config",
        "placet://site-a/.dvc/config",
        "placet://site-a/a%00b",
        "placet://site-a/a%5cb",
        "placet://Site/a",
        "placet://user@site-a/a",
        "placet://site-a:80/a",
        "placet://[::1/a",
        "placet://site-a/a#b",
        "placet://site-a/a?sha256=abc",
        f"placet://site-a/a?sha256={SHA.upper()}",
        f"placet://site-a/a?sha256={SHA}&x=1",
        f"placet://site-a/a?{SHA}",
        "placet://site-a/a?workspace=/etc",
        f"placet://{REPOSITORY}/site-a/a",
        f"placet://{REPOSITORY}/artifacts",
        f"placet://{REPOSITORY}/artifacts/..",
        f"placet://{REPOSITORY}/ARTIFACTS/site-a/a",
        "placet://site-a/" + "a" * 2000,
    ],
)
def test_what_is_no_location_is_refused(uri):
    with pytest.raises(Invalid) as caught:
        parse_location(uri)
    assert caught.value.kind == "location"
    assert len(str(caught.value)) < 2600


@pytest.mark.parametrize("name", ["..", "../a", "a/../../b", ".git", "a\\b", "a\n", "a/.dvc/b"])
def test_nothing_leads_out_of_a_location(name):
    with pytest.raises(Invalid):
        Location("site-a", "outputs").below(name)
