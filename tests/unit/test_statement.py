import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from keys import POLICY, Key
from placet.core import envelope as dsse
from placet.core import policy as policies
from placet.core import policyform, predicates, provenance
from placet.core import statement as st
from placet.errors import Invalid

GOLDEN = Path(__file__).parent.parent / "golden"
TIME = "2026-11-24T10:00:00Z"
LATER = "2026-12-24T10:00:00Z"
SHA, SHB, MD5, ID = "a" * 64, "b" * 64, "c" * 32, "ab" * 16
BASE = {"repository": ID, "time": TIME}
ABOUT = (st.subject(".placet/proposals/x/manifest.json", SHA),)
FILE = predicates.Artifact(path="outputs/model.pkl", md5=MD5, size=10, files=1, metafile=SHA)
FOLDER = predicates.Artifact(
    path="outputs/d",
    md5=MD5,
    size=10,
    files=3,
    metafile=SHA,
    dir=predicates.DirObject(sha256=SHB, size=99),
    previous=SHB,
)
MANIFEST = predicates.Manifest(
    **BASE,
    kind="publish",
    node="site-a",
    person=None,
    project="test",
    tier="publication-storage",
    artifacts=(FILE, FOLDER),
    policy=SHA,
    follows=None,
    checks=(
        predicates.CheckResult(check="type", path="outputs/d", digest=SHB, passed=True, summary="3 files"),
    ),
    provenance=provenance.Provenance.of(
        build_type="urn:placet:build:dagster:v1",
        builder="pkg:pypi/dagster@1.13.27",
        invocation="1",
        invocation_url="https://dagster.example/runs/1",
        asset="d",
        code_version="3",
        code=provenance.Resource(uri="git+https://git.example/jobs", digest={"gitCommit": "ab" * 20}),
        dependencies=(
            provenance.Resource(
                name="a", uri=f"placet://{ID}/artifacts/site-a/a.csv", digest={"sha256": SHB}
            ),
        ),
    ),
    message="an é message",
    expires=LATER,
)
SUBJECTS = (
    st.subject("artifacts/site-a/outputs/model.pkl", SHA),
    st.subject("artifacts/site-a/outputs/d", SHB, directory=True),
)
DECISION = predicates.Decision(
    **BASE,
    manifest=SHA,
    person="alice",
    n=2,
    previous=SHB,
    verdict="approve",
    role="stewards",
    seen=predicates.Seen(level="bytes", digests=(SHA,)),
    comment="fine",
    policy=SHA,
    expires=None,
)
ENTRY = predicates.LedgerEntry(
    **BASE,
    branch="published",
    sequence=1,
    previous=SHA,
    kind="publish",
    proposal=ID,
    manifest=SHA,
    decisions=(SHA, SHB),
    policy=SHA,
    receipt=SHB,
    judged="d" * 40,
    actor="site-a",
)
ALL = {
    "manifest": (SUBJECTS, MANIFEST, "site-a"),
    "decision": (ABOUT, DECISION, "alice"),
    "withdraw": (ABOUT, predicates.Withdrawal(**BASE, manifest=SHA, reason="a mistake"), "site-a"),
    "receipt": (
        ABOUT,
        predicates.Receipt(
            **BASE,
            manifest=SHA,
            judged="d" * 40,
            node="site-a",
            tier="publication-storage",
            artifacts=(
                predicates.Promoted(
                    path="outputs/d", objects=5, size=10, copied=3, found=2, ways={"stream": 3}
                ),
            ),
        ),
        "site-a",
    ),
    "erasure": (
        ABOUT,
        predicates.Erasure(
            **BASE,
            manifest=SHA,
            judged="d" * 40,
            actor="alice",
            tier="publication-storage",
            artifacts=(predicates.Erased(path="outputs/d", objects=5, kept=1, versions=6),),
        ),
        "alice",
    ),
    "ledger-entry": (ABOUT, ENTRY, "site-a"),
    "checkpoint": (ABOUT, predicates.Checkpoint(**BASE, branch="published", sequence=1, entry=SHA), "site-a"),
    "freeze": (ABOUT, predicates.Freeze(**BASE, scope="all", reason="look first", person="alice"), "alice"),
    "unfreeze": (ABOUT, predicates.Unfreeze(**BASE, freeze=SHA, reason="looked"), "alice"),
    "observation": (
        ABOUT,
        predicates.Observation(
            **BASE,
            manifest=SHA,
            witness="w",
            n=2,
            previous=SHB,
            forge="gitea",
            user=7,
            review=9,
            commit="d" * 40,
            content=SHB,
            verdict="approve",
            policy=SHA,
        ),
        "w",
    ),
}


def made(name):
    subjects, body, signer = ALL[name]
    return st.Signed.make(subjects, body, Key(signer).pair).envelope.to_bytes()


def changed(name, change):
    value = json.loads(dsse.parse_envelope(made(name)).payload)
    change(value)
    return dsse.sign(json.dumps(value).encode(), Key("alice").pair).to_bytes()


@pytest.mark.parametrize("name", ALL)
def test_golden_files_never_change(name):
    path = GOLDEN / f"{name}.json"
    assert path.read_bytes() == made(name), "a format that others have signed has changed"
    subjects, body, signer = ALL[name]
    read = st.parse(path.read_bytes(), type(body))
    assert (read.subjects, read.body) == (subjects, body)
    assert read.envelope.signed_by([Key(signer).public]) == {Key(signer).public}


@pytest.mark.parametrize("name", ALL)
def test_the_published_schema_accepts_it_and_nothing_else(name):
    kind = type(ALL[name][1])
    file = GOLDEN.parent.parent / "docs" / "reference" / "schemas" / f"{name}.json"
    schema = json.loads(file.read_text())
    assert schema == json.loads(json.dumps(st.schema(kind)))
    payload = json.loads(dsse.parse_envelope(made(name)).payload)
    jsonschema.validate(payload, schema)
    payload["predicate"]["more"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(payload, schema)


def test_the_policy_schema_accepts_a_policy():
    schema = policyform.schema()
    form = msgspec.to_builtins(policies.parse_policy(POLICY.encode()).form)
    jsonschema.validate(json.loads(json.dumps(form)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**form, "more": 1}, schema)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "change",
    [
        lambda one: one["predicate"].update(more=1),
        lambda one: one.update(more=1),
        lambda one: one["predicate"].pop("repository"),
        lambda one: one["predicate"].update(repository="XY"),
        lambda one: one["predicate"].update(time="2026-11-24 10:00:00"),
        lambda one: one["predicate"].update(time="2026-13-24T10:00:00Z"),
        lambda one: one["predicate"].update(time=1),
        lambda one: one.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda one: one.update(predicateType="urn:placet:other:v1"),
        lambda one: one.update(subject=[]),
        lambda one: one["subject"][0].update(digest={}),
        lambda one: one["subject"][0].update(digest={"sha256": SHA, "dirHash": SHB}),
        lambda one: one["subject"][0].update(digest={"md5": MD5}),
        lambda one: one["subject"][0].update(digest={"sha256": SHA.upper()}),
        lambda one: one["subject"][0].update(name=""),
    ],
)
def test_every_statement_is_read_strictly(name, change):
    with pytest.raises(Invalid) as caught:
        st.parse(changed(name, change), type(ALL[name][1]))
    assert caught.value.kind in {"statement", "time"}


def test_what_expires_before_it_begins():
    with pytest.raises(Invalid, match="expires before"):
        st.parse(changed("manifest", lambda one: one["predicate"].update(expires=TIME)), predicates.Manifest)


def test_a_statement_of_another_kind_is_refused():
    with pytest.raises(Invalid, match="predicate type"):
        st.parse(made("freeze"), predicates.Decision)


def test_an_oversized_payload_is_refused():
    big = dsse.Envelope(b" " * (dsse.MAX_PAYLOAD + 1), dsse.sign(b"", Key("alice").pair).signatures)
    with pytest.raises(Invalid, match="larger"):
        st.parse(big.to_bytes(), predicates.Freeze)


def test_the_id_follows_from_content_only():
    ident = st.proposal_id(SUBJECTS, MANIFEST)
    for same in (
        {"time": LATER},
        {"message": "other"},
        {"checks": ()},
        {"policy": SHB},
        {"provenance": provenance.Provenance()},
    ):
        assert st.proposal_id(SUBJECTS, msgspec.structs.replace(MANIFEST, **same)) == ident
    for other in ({"node": "site-b"}, {"tier": "other"}, {"follows": SHA}, {"repository": "cd" * 16}):
        assert st.proposal_id(SUBJECTS, msgspec.structs.replace(MANIFEST, **other)) != ident
    newer = msgspec.structs.replace(FILE, previous=SHA)
    assert st.proposal_id(SUBJECTS, msgspec.structs.replace(MANIFEST, artifacts=(newer, FOLDER))) != ident
    assert st.proposal_id(SUBJECTS[::-1], MANIFEST) != ident


@pytest.mark.parametrize(
    "text", ["", "x", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00+00:00", "٢٠٢٦-01-01T00:00:00Z"]
)
def test_what_is_no_time(text):
    with pytest.raises(Invalid):
        st.parse_time(text)


def test_times_go_both_ways():
    assert st.format_time(st.parse_time(TIME)) == TIME
    assert st.subject("x", SHA).value == SHA
