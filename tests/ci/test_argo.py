"""The manifests for Argo and Kubernetes, before Argo and Kubernetes themselves; `make test-ci`, where Go is."""

import json
import shutil
import subprocess

import pytest
from scripts.kubernetes_schemas import ARGO as KEPT
from scripts.kubernetes_schemas import OUT, argo

from ci import cluster
from ci.manifests import documents, named, problems_by
from ci.runner import ROOT
from ci.test_kubernetes import AGENT, ARGO

pytestmark = pytest.mark.install
VERSIONS = [
    "github.com/argoproj/argo-workflows/v3@v3.6.10", cluster.ARGO, "github.com/argoproj/argo-workflows/v4@v4.0.5", cluster.EVENTS,
]  # fmt: skip
SENSOR = "system:serviceaccount:placet:placet-sensor"
EXECUTOR = "system:serviceaccount:placet:placet-executor"


@pytest.fixture(autouse=True)
def _go():
    if shutil.which("go") is None:
        pytest.skip("Go, which fetches and builds Argo, is not installed here")


@pytest.mark.parametrize("version", VERSIONS)
def test_argos_own_schema_made_strict_takes_every_manifest(version):
    kinds, definitions = argo(version)
    found = [(path, one) for path, one in documents(ARGO) if f"{one['apiVersion']} {one['kind']}" in kinds]
    assert len(found) >= 2
    assert not [problem for _, one in found for problem in problems_by(kinds, definitions, one)]
    found[0][1]["spec"]["tpyo"] = 1
    assert problems_by(kinds, definitions, found[0][1])


@pytest.mark.parametrize("version", KEPT)
def test_the_schemas_that_are_kept_are_argos(version):
    kinds, definitions = argo(version)
    kept = json.loads(OUT.read_text())
    assert kinds.items() <= kept["kinds"].items() and definitions.items() <= kept["definitions"].items()
    assert version in {cluster.ARGO, cluster.EVENTS}


@pytest.fixture(scope="module")
def tools():
    if lacking := cluster.lacking():
        pytest.skip(lacking)


def lint(path):
    argv = [cluster.home() / "argo", "lint", "--offline", "--no-color", path]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_argo_lint_finds_nothing_and_would_find_what_matters(tools, tmp_path):
    all_of_it = tmp_path / "all.yaml"
    text = subprocess.run(
        ["kubectl", "kustomize", ROOT / ARGO / "example"], capture_output=True, text=True, check=True
    ).stdout
    trigger = next(inner for _, one in documents(ARGO) for inner in named(one, ".*/source/resource"))
    trigger["metadata"]["namespace"] = "placet"
    text += f"---\n{json.dumps(trigger)}\n"
    all_of_it.write_text(text)
    assert lint(all_of_it) == (0, "✔ no linting errors found!\n")
    for good, bad, said in (
        ("{{workflow.parameters.rate}}", "{{workflow.parameters.rat}}", "workflow.parameters.rat"),
        ("activeDeadlineSeconds: 86400", "activeDeadlineSecond: 86400", "activeDeadlineSecond"),
    ):
        assert good in text
        all_of_it.write_text(text.replace(good, bad))
        code, found = lint(all_of_it)
        assert code and said in found, found


@pytest.fixture(scope="module")
def kubernetes(tools, tmp_path_factory):
    with cluster.cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.mark.parametrize("folder", [AGENT, ARGO])
def test_kubernetes_and_argos_full_kinds_take_every_manifest(kubernetes, folder):
    how = ("apply", "--dry-run=server", "--validate=strict")
    kubernetes.kubectl(*how, "-k", str(ROOT / folder / "example"))
    for path, one in documents(folder):
        if one["kind"] in {"StatefulSet", "WorkflowTemplate", "CronWorkflow", "NetworkPolicy"}:
            one["spec"]["tpyo"] = 1
            said = kubernetes.kubectl(*how, "-n", "placet", "-f", "-", data=json.dumps(one), expect=1)
            assert "tpyo" in said, path


@pytest.fixture(scope="module")
def installed(kubernetes):
    """Argo's controller, that lets nobody but the templates say what runs, and the example as it is written."""
    kubernetes.kubectl("apply", "-k", str(ROOT / ARGO / "example"))
    with cluster.controller(kubernetes, "workflowRestrictions: {templateReferencing: Secure}"):
        yield kubernetes


def submit(made, *, shards=None, spec=None, as_=SENSOR):
    """As the sensor does, with its rights; the workflow's name."""
    trigger = next(inner for _, one in documents(ARGO) for inner in named(one, ".*/source/resource"))
    trigger["spec"] |= spec or {}
    if shards:
        trigger["spec"]["arguments"] = {"parameters": [{"name": "shards", "value": str(shards)}]}
    said = made.kubectl(
        "create", "-n", "placet", "-f", "-", f"--as={as_}", "-o", "name", data=json.dumps(trigger)
    )
    return said.strip().rpartition("/")[2]


@pytest.fixture(autouse=True)
def _nothing_is_left(request):
    yield
    if "installed" in request.fixturenames:  # what has not ended holds the mutex of `record`
        request.getfixturevalue("installed").kubectl("delete", "workflows", "-n", "placet", "--all")


def workflow(made, name):
    return json.loads(made.kubectl("get", "workflow", name, "-n", "placet", "-o", "json"))


def pods(made, name, number=1):
    """The pods of a workflow, when there are so many."""
    chosen = ("-l", f"workflows.argoproj.io/workflow={name}")
    return made.wait(
        lambda: found if len(found := made.get("pods", *chosen)) >= number else None,
        (name, workflow(made, name)),
    )


def ended(made, pod, code):
    """As if the kubelet had run a pod: its container ended with this code."""
    name = pod["metadata"]["name"]
    result = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTaskResult",
        "metadata": {"name": pod["metadata"]["annotations"]["workflows.argoproj.io/node-id"], "labels": {
            "workflows.argoproj.io/workflow": pod["metadata"]["labels"]["workflows.argoproj.io/workflow"],
            "workflows.argoproj.io/report-outputs-completed": "true"}},
    }  # fmt: skip
    made.kubectl("create", "-n", "placet", "-f", "-", f"--as={EXECUTOR}", data=json.dumps(result))
    end = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
    states = [{"name": one["name"], "image": "x", "imageID": "x", "ready": False, "restartCount": 0,
               "state": end if one["name"] == "main" else {"terminated": {"exitCode": 0, "reason": "Completed"}}}
              for one in pod["spec"]["containers"]]  # fmt: skip
    status = {"status": {"phase": "Failed" if code else "Succeeded", "containerStatuses": states}}
    made.kubectl(
        "patch", "pod", name, "-n", "placet", "--subresource=status", "--type=merge", "-p", json.dumps(status)
    )


def phase(made, name, *wanted):
    return made.wait(
        lambda: workflow(made, name).get("status", {}).get("phase") in wanted,
        (name, wanted, workflow(made, name)),
    )


def test_argo_makes_pods_without_privilege_or_token_and_only_record_has_the_key(installed):
    name = submit(installed, shards=3)
    copies = pods(installed, name, 3)
    assert sorted(named(one, "/spec/containers/[0-9]+/args")[-1][2] for one in copies) == [
        "1/3",
        "2/3",
        "3/3",
    ]
    alone = pods(installed, submit(installed))
    for one in (*copies, *alone):
        spec = one["spec"]
        assert spec["automountServiceAccountToken"] is False and spec["serviceAccountName"] == "placet-job"
        containers = {made["name"]: made for made in [*spec["containers"], *spec.get("initContainers", ())]}
        main = containers.pop("main")
        assert main["securityContext"]["readOnlyRootFilesystem"] and main["securityContext"][
            "capabilities"
        ] == {"drop": ["ALL"]}
        mounts = {mount["name"] for mount in main["volumeMounts"]}
        assert not [mount for mount in mounts if "token" in mount or "kube-api" in mount]
        assert ("key" in mounts) is ("agent" in main["args"])
        assert not [
            made
            for made in containers.values()
            for mount in made.get("volumeMounts", ())
            if mount["mountPath"] == "/run/placet/key"
        ]
        assert (
            spec["securityContext"]["runAsUser"] == 10001 and spec["securityContext"]["runAsNonRoot"] is True
        )
        assert one["metadata"]["labels"]["app.kubernetes.io/name"] == "placet-job"


@pytest.mark.parametrize(
    ("code", "again"), [(0, False), (12, False), (13, False), (3, False), (1, True), (11, True)]
)
def test_argo_tries_again_what_failed_and_never_what_was_refused(installed, code, again):
    name = submit(installed)
    (pod,) = pods(installed, name)
    ended(installed, pod, code)
    if again:
        pods(installed, name, 2)
        assert workflow(installed, name)["status"]["phase"] == "Running"
    else:
        phase(installed, name, "Failed" if code else "Succeeded")


def test_nobody_gets_the_key_by_a_workflow_of_their_own(installed):
    evil = {"name": "record", "container": {"image": "evil", "command": ["sh"]}}
    name = submit(installed, spec={"templates": [evil], "entrypoint": "record"})
    phase(installed, name, "Error", "Failed")
    may = ("auth", "can-i", "--list", "-n", "placet", "--no-headers", f"--as={SENSOR}")
    own = [
        line.split()[0]
        for line in installed.kubectl(*may).splitlines()
        if ".argoproj.io" in line or "secrets" in line
    ]
    assert own == ["workflows.argoproj.io"]
