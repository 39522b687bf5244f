"""The RO-Crate of a publication: the same bytes for ever, read by the reference reader, harmless whatever it says."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rocrate.rocrate import ROCrate

from keys import POLICY
from placet.core import layout
from placet.core import policy as policies
from placet.core.crate import Facts, crate
from placet.core.predicates import CheckResult
from placet.core.provenance import Provenance, Resource
from placet.core.sightings import Said
from placet.core.statement import Signed
from unit.test_statement import ALL, DECISION, ENTRY, ID, MANIFEST, SHA, SHB, SUBJECTS, TIME

GOLDEN = Path(__file__).parent.parent / "golden" / "crate" / "ro-crate-metadata.json"
RECORDS = ["manifest.json", "decisions/alice-2.json", "receipt.json"]
CHECKS = (
    CheckResult(
        check="type", path="outputs/d", digest=SHB, passed=True, summary="3 files", tool="puremagic 1.28"
    ),
    CheckResult(
        check="type", path="outputs/model.pkl", digest=SHA, passed=True, summary="ok", tool="puremagic 1.28"
    ),
    CheckResult(check="rows", path="outputs/d", digest=SHB, passed=False, summary="too many"),
)


def facts(**changes):
    body = msgspec.structs.replace(MANIFEST, **{"checks": CHECKS, **changes})
    policy = policies.parse_policy(POLICY.encode())
    manifest = Signed.make(SUBJECTS, body)
    return Facts(ID, manifest, policy.form, SHA, [("decisions/alice-2.json", DECISION)], ENTRY, RECORDS)


def entities(data):
    found = json.loads(data)["@graph"]
    out = {one["@id"]: one for one in found}
    assert len(out) == len(found), "an @id stands for one thing"
    return out


def refs(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for one in value.values():
            yield from refs(one)
    elif isinstance(value, list):
        for one in value:
            yield from refs(one)


def test_the_bytes_never_change():
    assert GOLDEN.read_bytes() == crate(facts()), "published branches that others have would not recompute"


@pytest.fixture
def folder(tmp_path):
    """The proposal's folder of a published branch."""
    (tmp_path / "decisions").mkdir()
    for name in RECORDS:
        (tmp_path / name).write_text("{}")
    (tmp_path / layout.CRATE).write_bytes(crate(facts()))
    return tmp_path


def test_the_reference_reader_reads_it(folder):
    found = ROCrate(folder)
    assert found.version == "1.1"
    assert found.name == "test: outputs/model.pkl, outputs/d"
    assert str(found.root_dataset["datePublished"]) == TIME
    names = {one.id for one in found.data_entities}
    repository = MANIFEST.repository
    assert names == {
        *RECORDS,
        f"placet://{repository}/artifacts/site-a/outputs/model.pkl?sha256={SHA}",
        f"placet://{repository}/artifacts/site-a/outputs/d?sha256={SHB}/",  # its way with folders
    }
    run = found.get("#run")
    assert run.type == "CreateAction"
    assert [one["name"] for one in run["object"]] == ["a"]
    assert [one.type for one in run["instrument"]] == ["SoftwareApplication", "SoftwareSourceCode"]
    assert found.get("#code")["version"] == "ab" * 20
    (decision,) = [one for one in found.root_dataset["mentions"] if one.id.startswith("#decision")]
    assert decision["additionalType"] == {"@id": "https://w3id.org/shp#DisclosureCheck"} or (
        decision["additionalType"] == "https://w3id.org/shp#DisclosureCheck"
    )
    assert (decision["agent"]["name"], decision["agent"]["affiliation"]["name"]) == ("Alice", "org-a")
    assert decision["result"].id == "decisions/alice-2.json"


def test_the_reference_writer_keeps_all_of_it(folder, tmp_path):
    again = tmp_path / "again"
    ROCrate(folder).metadata.write(again)
    before = entities((folder / layout.CRATE).read_bytes())
    after = entities((again / layout.CRATE).read_bytes())
    assert {key.removesuffix("/") for key in after} == {key.removesuffix("/") for key in before}
    same = {key for key, one in before.items() if one["@type"] != "Dataset" and "/outputs/d?" not in str(one)}
    assert len(same) > 15
    for key in same:
        assert after[key] == before[key]


def test_everything_that_is_referred_to_is_there():
    found = entities(crate(facts()))
    outside = {"https://w3id.org/ro/crate/1.1", "https://w3id.org/shp#DisclosureCheck"}
    assert {one for value in found.values() for one in refs(value)} <= found.keys() | outside
    checks = {one["name"]: one["actionStatus"] for key, one in found.items() if key.startswith("#check")}
    assert {name: status.rsplit("/", 1)[1] for name, status in checks.items()} == {
        "Check rows: failed": "FailedActionStatus",
        "Check type: passed": "CompletedActionStatus",
    }


def test_an_input_has_the_id_that_its_own_crate_gave_it():
    uri = layout.artifact_uri(MANIFEST.repository, "site-a", "outputs/d")
    origin = Provenance.of(
        build_type="x:y", builder="x:z", dependencies=(Resource(uri=uri, digest={"dirHash": SHB}),)
    )
    found = entities(crate(facts(provenance=origin)))
    assert found[f"{uri}?sha256={SHB}"]["@type"] == "Dataset", (
        "also one that says that it was made from itself"
    )
    assert found["#run"]["object"] == [{"@id": f"{uri}?sha256={SHB}"}]


def test_an_earlier_version_of_the_same_path_is_another_thing():
    uri = layout.artifact_uri(MANIFEST.repository, "site-a", "outputs/model.pkl")
    earlier = Resource(uri=uri, digest={"sha256": SHB})
    origin = Provenance.of(
        build_type="x:y", builder="x:z", dependencies=(earlier, earlier, Resource(uri=uri))
    )
    found = entities(crate(facts(provenance=origin)))
    assert found[f"{uri}?sha256={SHB}"]["@type"] == "CreativeWork"
    assert found[f"{uri}?sha256={SHA}"]["@type"] == "File"
    assert found["#input-3"]["url"] == uri


def test_without_provenance_it_claims_no_run():
    found = entities(crate(facts(provenance=Provenance())))
    assert "#run" not in found and "conformsTo" not in found["./"]
    assert not any(key.startswith("https://w3id.org/ro/wfrun") for key in found)


def test_what_was_said_on_a_forge_is_an_assessment_by_the_word_of_its_witness():
    observation = ALL["observation"][1]
    one = Signed.make(SUBJECTS, observation)
    name = "observations/w-2.json"
    given = replace(facts(), records=[*RECORDS, name], reviews=[([name], Said("bob", "approve", (one,)))])
    found = entities(crate(given))
    review = found["#review-bob"]
    assert review["name"] == f"Review of bob on {observation.forge}: approve, attested by w, not signed"
    assert review["result"] == [{"@id": name}] and found[name]["@type"] == "File"
    assert (review["actionStatus"], review["endTime"]) == (
        "http://schema.org/CompletedActionStatus", observation.time,
    )  # fmt: skip
    assert found["#person-bob"]["name"] == "Bob" and {"@id": "#review-bob"} in found["./"]["mentions"]
    assert {one for value in found.values() for one in refs(value)} - found.keys() == {
        "https://w3id.org/ro/crate/1.1", "https://w3id.org/shp#DisclosureCheck",
    }  # fmt: skip


def test_the_licence_is_an_entity_that_says_that_there_is_none():
    found = entities(crate(facts()))
    assert found["./"]["license"] == {"@id": "#licence"}
    assert found["#licence"]["description"].startswith("No licence is recorded")


def test_hostile_words_stay_words():
    hostile = '"}]}, {"@id": "./", "@type": "Dataset"\n</script><img src=x>\u202e'
    found = entities(crate(facts(message=hostile, project=hostile[:300])))
    assert found["./"]["description"] == hostile
    assert found["./"]["@type"] == "Dataset"
