"""The policy to start from, on real files: what it lets pass, what it refuses, and who must have seen what."""

import io
import pickle
import re
from pathlib import Path

import pandas as pd
import pytest

from checks.conftest import Inline
from checks.test_built_in import AGGREGATE, PATIENTS, parquet, picture, zipped
from checks.test_pickles import MODELS, Evil
from checks.test_sandbox import Quiet, install
from keys import Key
from placet.core.assent import Assent, judge_manifest
from placet.core.digest import digest, sha256_hex
from placet.core.lint import lint
from placet.core.policy import parse_policy
from placet.core.predicates import Artifact, Manifest
from placet.core.provenance import Provenance
from placet.engine.checks import ArtifactFiles, FileSource, check_artifacts

DOCS = Path(__file__).parent.parent.parent / "docs"
TIER = "publication-storage"


@pytest.fixture(scope="module")
def policy():
    text = (DOCS / "reference" / "policy-example.yaml").read_text()
    text = re.sub(r"ed25519:<([\w-]+)>", lambda match: Key(match[1]).public, text)
    return parse_policy(f'repository: "{"ab" * 16}"\nnumber: 0\nprevious: null\n{text}'.encode())


def checked(policy, sandbox, path, data):
    source = FileSource("", sha256_hex(data), lambda: iter([data]))
    artifact = ArtifactFiles(path, sha256_hex(data), [source])
    return check_artifacts(policy, "site-a", TIER, [artifact], sandbox, 1, Quiet())


def judged(policy, path, data, results, *people, seen="bytes"):
    body = Manifest(
        repository="ab" * 16, time="2026-11-24T10:00:00Z", kind="publish", node="site-a", person=None,
        project="diabetes", tier=TIER, policy=policy.digest, follows=None, checks=tuple(results),
        provenance=Provenance(), message="m", expires="2026-12-24T10:00:00Z",
        artifacts=(Artifact(path=path, md5=digest(data).md5, size=len(data), files=1, metafile="0" * 64),),
    )  # fmt: skip
    return judge_manifest(policy, body, [Assent(person, seen) for person in people])


def test_it_has_no_weakness_that_lint_knows(policy):
    assert lint(policy) == []


PASSES = {
    "outputs/tables/summary.csv": AGGREGATE.encode(),
    "outputs/tables/summary.parquet": parquet(AGGREGATE),
    "outputs/figures/roc.png": picture(),
    "outputs/models/model.pkl": pickle.dumps(MODELS["forest"]),
    "outputs/report.md": b"# Results\n\nAUC 0.91 (95% CI 0.89 to 0.93)\n",
    "outputs/metrics.json": b'{"auc": 0.91}',
}


@pytest.mark.parametrize("path", PASSES)
def test_results_pass(policy, sandbox, path):
    results = checked(policy, sandbox, path, PASSES[path])
    assert [one.summary for one in results if not one.passed] == []
    assert all(one.tool and one.facts["files"] == 1 for one in results)
    assert judged(policy, path, PASSES[path], results, "alice", "bob").allowed


def patients_json():
    return pd.read_csv(io.StringIO(PATIENTS)).to_json(orient="records").encode()


REFUSED = {
    "patients": ("outputs/tables/patients.csv", PATIENTS.encode(), "rows"),
    "patients as Parquet": ("outputs/tables/patients.parquet", parquet(PATIENTS), "rows"),
    "patients as JSON": ("outputs/tables/patients.json", patients_json(), "rows"),
    "patients as text": ("outputs/tables/patients.txt", PATIENTS.encode(), "rows"),
    "patients among models": ("outputs/models/patients.json", patients_json(), "rows"),
    "patients in a pickle": (
        "outputs/models/frame.pkl",
        pickle.dumps(pd.read_csv(io.StringIO(PATIENTS))),
        "pickle",
    ),
    "patients in a zip": ("outputs/tables/patients.zip", zipped(("p.csv", PATIENTS)), "type"),
    "small counts": ("outputs/tables/a.csv", AGGREGATE.replace("77", "7").encode(), "counts"),
    "names": ("outputs/tables/a.csv", AGGREGATE.replace("region", "surname").encode(), "identifiers"),
    "evil model": ("outputs/models/model.pkl", pickle.dumps(Evil()), "pickle"),
    "evil table": ("outputs/tables/model.csv", pickle.dumps(Evil()), "type"),
    "model among tables": ("outputs/tables/model.pkl", pickle.dumps(MODELS["forest"]), "type"),
    "key": ("outputs/report.md", b"-----BEGIN RSA PRIVATE KEY-----\n", "secrets"),
    "formula": ("outputs/tables/a.csv", AGGREGATE.replace("north", "=1+1").encode(), "formulas"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_not_leave_is_refused_whoever_approves(policy, sandbox, name):
    path, data, check = REFUSED[name]
    results = checked(policy, sandbox, path, data)
    assert check in {one.check for one in results if not one.passed}
    assert not judged(policy, path, data, results, "alice", "bob", "chiara", "dana").allowed


def test_a_pickle_needs_two_people_who_have_seen_the_bytes(policy, sandbox):
    path = "outputs/models/model.pkl"
    results = checked(policy, sandbox, path, PASSES[path])
    assert not judged(policy, path, PASSES[path], results, "alice", "bob", seen="report").allowed
    assert not judged(policy, path, PASSES[path], results, "bob", "chiara").allowed, "one organisation"
    assert not judged(policy, path, PASSES[path], results, "alice", "dana").allowed, "not of the group"


def test_no_result_repeats_what_it_saw(policy):
    for path, data, _ in REFUSED.values():
        text = " ".join(one.summary for one in checked(policy, Inline(), path, data))
        assert not re.search(r"1000|1079|surname|north|BEGIN|patient_id", text)


def test_the_plug_in_of_the_how_to_works_as_it_stands(tmp_path, monkeypatch, sandbox):
    page = (DOCS / "how-to" / "checks.md").read_text()
    source = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    install(tmp_path, {"acme-width": "Width"}, source)
    monkeypatch.syspath_prepend(str(tmp_path))
    listing = {"a.csv": sha256_hex(b"")}
    for most, problem in ((4, ""), (3, "4 columns; the rule allows 3")):
        with sandbox.session({"acme-width": {"most": most}}, listing, 1) as session:
            file = io.BytesIO(AGGREGATE.encode())
            path = tmp_path / "a.csv"
            path.write_bytes(file.getvalue())
            with path.open("rb") as stream:
                found = session.look("a.csv", listing["a.csv"], path.stat().st_size, stream)["acme-width"]
            assert found.problem == problem
            assert session.conclude({"acme-width": {}})["acme-width"].problem == "no table in the artifact"
