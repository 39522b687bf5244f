"""Provenance: SLSA's names on the wire, bounds, addresses that people may follow, URIs of artifacts."""

import json

import msgspec
import pytest

from placet.core import layout
from placet.core.provenance import Provenance, Resource, read_provenance
from placet.errors import Invalid

COMMIT = "ab" * 20
CODE = Resource(uri="git+https://git.example/jobs", digest={"gitCommit": COMMIT})
TABLE = Resource(name="table", uri="s3://raw/table.csv", digest={"sha256": "c" * 64})
RUN = {"build_type": "urn:placet:build:dagster:v1", "builder": "pkg:pypi/dagster@1.13.27"}


def made(**kwargs):
    return Provenance.of(**{**RUN, **kwargs})


def wire(one):
    return json.loads(msgspec.json.encode(one))


def test_it_is_the_predicate_of_slsas_build_provenance():
    """Names and nesting of https://slsa.dev/spec/v1.1/provenance; an extension field names its vendor."""
    found = made(
        invocation="7", invocation_url="https://runs.example/7", asset="means", code_version="3", code=CODE,
        dependencies=(TABLE,),
    )  # fmt: skip
    assert wire(found) == {
        "buildDefinition": {
            "buildType": "urn:placet:build:dagster:v1",
            "externalParameters": {
                "asset": "means",
                "codeVersion": "3",
                "source": "git+https://git.example/jobs",
            },
            "resolvedDependencies": [
                {"uri": "git+https://git.example/jobs", "digest": {"gitCommit": COMMIT}},
                {"uri": "s3://raw/table.csv", "name": "table", "digest": {"sha256": "c" * 64}},
            ],
        },
        "runDetails": {
            "builder": {"id": "pkg:pypi/dagster@1.13.27"},
            "metadata": {"invocationId": "7", "placet_invocationUrl": "https://runs.example/7"},
        },
    }
    again = msgspec.convert(wire(found), Provenance)
    assert (again.build_type, again.builder) == (RUN["build_type"], RUN["builder"])
    assert (again.asset, again.code_version, again.invocation) == ("means", "3", "7")
    assert (again.code, again.dependencies, again.invocation_url) == (
        CODE,
        (TABLE,),
        "https://runs.example/7",
    )


def test_what_is_required_of_slsas_predicate_is_always_there():
    assert wire(made()) == {
        "buildDefinition": {"buildType": RUN["build_type"], "externalParameters": {}},
        "runDetails": {"builder": {"id": RUN["builder"]}, "metadata": {}},
    }


def test_nothing_known_is_an_empty_object():
    none = Provenance()
    assert wire(none) == {}
    told = (none.build_type, none.builder, none.asset, none.code_version, none.invocation)
    assert told == ("",) * 5
    assert (none.code, none.dependencies, none.invocation_url) == (None, (), None)


def test_the_code_is_the_dependency_that_source_names_and_no_other():
    other = Resource(uri="git+https://git.example/lib", digest={"gitCommit": COMMIT})
    assert made(dependencies=(other,)).code is None
    assert made(code=CODE, dependencies=(other, CODE)).dependencies == (other, CODE)


@pytest.mark.parametrize(
    "bad",
    [
        {"builder": ""},
        {"builder": "no scheme"},
        {"builder": "x:with space"},
        {"builder": "https://user:password@host/x"},
        {"builder": "git+https://user:password@host/x"},
        {"builder": "x:" + "a" * 4000},
        {"builder": "x:a\n"},
        {"build_type": "x:<script>"},
        {"invocation": "7" * 301},
        {"invocation_url": "javascript:alert(1)"},
        {"invocation_url": "https://user@host/"},
        {"invocation_url": "https://host/)[x](y"},
        {"invocation_url": "https://host/\n"},
        {"asset": "a" * 301},
        {"dependencies": (TABLE,) * 202},
        {"code": Resource(uri="git+https://g", digest={"gitCommit": "main"})},
        {"code": Resource(uri="git+https://g", digest={"crc": COMMIT})},
        {"dependencies": (Resource(uri="x:y", name="n" * 301),)},
    ],
)  # fmt: skip
def test_what_is_no_provenance(bad):
    with pytest.raises(Invalid) as caught:
        made(**bad)
    assert caught.value.kind == "statement"


def test_errors_say_in_words_what_is_expected():
    for bad, words in (
        ({"builder": "x:a b"}, "a URI (RFC 3986, no spaces, no password) - at `$.runDetails.builder.id`"),
        ({"invocation_url": "ftp://x/"}, "begins with https:// or http:// - at"),
        ({"dependencies": (Resource(uri="x:y", digest={"sha256": "x"}),)}, "32 to 128 hex digits - at"),
    ):
        with pytest.raises(Invalid) as caught:
            made(**bad)
        assert words in caught.value.what and "regex" not in caught.value.what


GITHUB = {
    "buildDefinition": {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "externalParameters": {
            "workflow": {"ref": "refs/heads/main", "repository": "https://github.com/o/r"}
        },
        "internalParameters": {"github": {"event_name": "push"}},
        "resolvedDependencies": [
            {
                "uri": "git+https://github.com/o/r@refs/heads/main",
                "digest": {"gitCommit": COMMIT, "sha1": "0"},
            }
        ],
    },
    "runDetails": {
        "builder": {"id": "https://github.com/actions/runner/github-hosted", "version": {"x": "1"}},
        "metadata": {"invocationId": "https://github.com/o/r/actions/runs/1/attempts/1", "startedOn": "2026"},
        "byproducts": [{"name": "log"}],
    },
}


GITHUB_WITHOUT = json.loads(json.dumps(GITHUB))


def test_what_a_builder_writes_is_read_as_far_as_a_manifest_can_hold_it():
    found = read_provenance(json.dumps(GITHUB).encode())
    assert found.builder == "https://github.com/actions/runner/github-hosted"
    assert found.code == Resource(
        uri="git+https://github.com/o/r@refs/heads/main", digest={"gitCommit": COMMIT}
    )
    assert (found.dependencies, found.invocation) == ((), "https://github.com/o/r/actions/runs/1/attempts/1")
    del GITHUB_WITHOUT["buildDefinition"]["resolvedDependencies"]
    assert read_provenance(json.dumps(GITHUB_WITHOUT).encode()).code is None
    whole = made(
        invocation="7", invocation_url="https://runs.example/7", asset="a", code_version="3", code=CODE,
        dependencies=(TABLE,),
    )  # fmt: skip
    assert read_provenance(msgspec.json.encode(whole)) == whole, "nothing that a manifest holds is left out"


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"[]",
        b'{"buildDefinition": {}}',
        b'{"buildDefinition": []}',
        b'{"a": 1, "a": 2}',
        b'{"runDetails": {"builder": {"id": "no uri"}}}',
    ],
)
def test_files_that_are_no_provenance(bad):
    with pytest.raises(Invalid):
        read_provenance(bad)


def test_more_inputs_are_added_once_and_bounded():
    more = made(code=CODE, dependencies=(TABLE,)).using((TABLE, Resource(uri="x:y")))
    assert more.dependencies == (TABLE, Resource(uri="x:y")) and more.code == CODE
    assert Provenance().using((TABLE,)) == Provenance()
    with pytest.raises(Invalid):
        made().using(tuple(Resource(uri=f"x:{number}") for number in range(202)))


@pytest.mark.parametrize("path", ["a.csv", "outputs/a b.csv", "ünï/é%20#.csv", "x" * 255])
def test_the_uri_of_an_artifact_goes_both_ways(path):
    uri = layout.artifact_uri("ab" * 16, "site-a", path)
    assert layout.of_artifact_uri(uri) == ("ab" * 16, "site-a", path)
    assert made(dependencies=(Resource(uri=uri),)).dependencies[0].uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "placet://" + "ab" * 16 + "/artifacts/site-a/../x",
        "placet://" + "ab" * 16 + "/artifacts/site-a/%2e%2e/x",
        "placet://" + "ab" * 16 + "/artifacts/Site/x",
        "placet://" + "ab" * 16 + "/artifacts/site-a/",
        "placet://" + "ab" * 16 + "/artifacts/site-a/%ff",
        "placet://" + "ab" * 16 + "/artifacts/site-a/%61",
        "placet://" + "ab" * 16 + "/artifacts/site-a/x?sha256=1",
        "placet://" + "AB" * 16 + "/artifacts/site-a/x",
        "placet://" + "ab" * 16 + "/proposals/site-a/x",
        "s3://bucket/artifacts/site-a/x",
    ],
)
def test_what_is_no_uri_of_an_artifact(uri):
    assert layout.of_artifact_uri(uri) is None
