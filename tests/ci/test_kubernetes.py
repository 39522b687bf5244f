"""The manifests for Argo and for the agent: valid, whole, without privileges; and their commands, run."""

import copy
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.site import PLACET, Site
from ci.manifests import documents, named, problems, walk
from ci.runner import ROOT, YAML, Job, load
from placet.cli.app import app
from placet.errors import Conflict, Partial, Unavailable

ARGO, AGENT = "integrations/argo", "deploy/kubernetes"
BY_HAND = {"placet-key", "placet-store", "placet-webhook", "placet-tls"}
SETTINGS = "placet-settings"
PODS = [
    (path, one) for folder in (ARGO, AGENT) for path, one in documents(folder)
    if one["kind"] in {"WorkflowTemplate", "StatefulSet"}
]  # fmt: skip


@pytest.fixture
def kubectl():
    found = shutil.which("kubectl")
    if (
        found is None
        or subprocess.run([found, "kustomize", "--help"], capture_output=True, check=False).returncode
    ):
        pytest.skip("kubectl with kustomize is not installed here")
    return found


def build(kubectl, folder):
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(YAML(typ="safe").load_all(done.stdout))


@pytest.mark.parametrize("folder", [ARGO, AGENT])
def test_every_manifest_is_what_its_kind_may_be(folder):
    found = {f"{path} {one['kind']}": problems(one) for path, one in documents(folder)}
    assert len(found) >= 5 and not any(found.values()), found


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("WorkflowTemplate", lambda one: one["spec"].update(entrypoin="x")),
        (
            "WorkflowTemplate",
            lambda one: one["spec"]["templates"][-1]["container"].update(imagePullPolice="x"),
        ),
        ("WorkflowTemplate", lambda one: one["spec"].update(activeDeadlineSeconds=[1])),
        ("CronWorkflow", lambda one: one["spec"].update(schedules="* * * * *")),
        ("CronWorkflow", lambda one: one["spec"]["workflowSpec"]["workflowTemplateRef"].update(nam="x")),
        ("Sensor", lambda one: one["spec"]["dependencies"][0]["filters"]["data"][0].update(valu=["x"])),
        ("EventSource", lambda one: one["spec"]["github"]["ctrl"].update(webhookSecre={})),
        ("EventSource", lambda one: one["spec"]["github"]["ctrl"]["webhook"].pop("url")),
        ("Sensor", lambda one: one["spec"]["triggers"][0]["retryStrategy"].update(factor="2")),
        ("StatefulSet", lambda one: one["spec"]["template"]["spec"].update(securityContex={})),
        ("StatefulSet", lambda one: one["spec"].pop("selector")),
        ("NetworkPolicy", lambda one: one["spec"].update(policyTypes="Ingress")),
    ],
)
def test_a_mistake_in_a_manifest_is_found(kind, change):
    found = next(one for folder in (ARGO, AGENT) for _, one in documents(folder) if one["kind"] == kind)
    broken = copy.deepcopy(found)
    change(broken)
    assert not problems(found) and problems(broken)


@pytest.mark.parametrize(
    "folder", [f"{ARGO}/base", f"{ARGO}/events", f"{ARGO}/example", f"{AGENT}/base", f"{AGENT}/example"]
)
def test_a_kustomization_has_all_that_it_names_and_names_all_that_is_there(folder):
    here = ROOT / folder
    form = YAML(typ="safe").load(here / "kustomization.yaml")
    files = [*form["resources"], *form.get("configurations", ())]
    files += [file for one in form.get("configMapGenerator", ()) for file in one["files"]]
    assert all((here / one).exists() for one in files)
    assert {path.name for path in here.iterdir()} - {"kustomization.yaml"} <= set(files)
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one["digest"]) for one in form.get("images", ()))


@pytest.mark.parametrize("folder", [ARGO, AGENT])
def test_everything_that_is_referred_to_is_there(folder):
    there = {(one["kind"], one["metadata"].get("name")) for _, one in documents(folder)}
    claims = {
        name
        for _, one in documents(folder)
        for name in named(one, "/spec/volumeClaimTemplates/[0-9]+/metadata/name")
    }
    for path, one in documents(folder):
        wanted = {("ServiceAccount", name) for name in named(one, ".*/serviceAccountName")}
        wanted |= {("WorkflowTemplate", name) for name in named(one, ".*/workflowTemplateRef/name")}
        wanted |= {("EventSource", name) for name in named(one, ".*/eventSourceName")}
        wanted |= {
            ("PersistentVolumeClaim", name) for name in named(one, ".*/persistentVolumeClaim/claimName")
        }
        wanted |= {
            (ref["kind"], ref["name"]) for ref in named(one, "/roleRef") + named(one, "/subjects/[0-9]+")
        }
        wanted |= {
            ("Service", name)
            for name in named(one, ".*/backend/service/name") + named(one, "/spec/serviceName")
        }
        assert wanted <= there, (path, wanted - there)
        assert (
            set(named(one, ".*/secret(s/[0-9]+)?/secretName") + named(one, ".*/webhookSecret/name"))
            <= BY_HAND
        )
        assert set(named(one, ".*/volumes/[0-9]+/configMap/name")) <= {SETTINGS}
        for spec in named(one, ".*/spec"):
            if isinstance(spec, dict) and {"templates", "entrypoint"} <= spec.keys():
                names = {template["name"] for template in spec["templates"]}
                assert {spec["entrypoint"], *named(spec, ".*/template")} <= names
            if isinstance(spec, dict) and "volumes" in spec:
                volumes = {volume["name"] for volume in spec["volumes"]} | claims
                mounted = set(named(spec, ".*/volumeMounts/[0-9]+/name"))
                assert mounted == volumes, path


@pytest.mark.parametrize(("path", "document"), PODS, ids=lambda one: str(getattr(one, "name", "")))
def test_pods_have_no_privilege_and_no_token(path, document):
    spec = document["spec"]["template"]["spec"] if document["kind"] == "StatefulSet" else document["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    containers = named(spec, ".*/container") + named(spec, "/containers/[0-9]+")
    assert containers
    for one in containers:
        context = one["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert one["resources"]["limits"]["memory"] and one["image"] == "placet-agent"
        assert all(
            mount.get("readOnly")
            for mount in one["volumeMounts"]
            if mount["name"] not in {"state", "scratch"}
        )
    keyed = [one for one in containers if any(mount["name"] == "key" for mount in one["volumeMounts"])]
    assert [one["args"][0] for one in keyed] in (["agent"], [])
    for _, value in walk(document):
        assert not (isinstance(value, dict) and value.get("defaultMode", 288) != 0o440)


def test_events_pods_say_another_user_than_their_image_does():
    found = [one for _, one in documents(f"{ARGO}/events") if one["kind"] in {"EventSource", "Sensor"}]
    assert len(found) == 2
    for one in found:
        context = one["spec"]["template"]["container"]["securityContext"]
        assert (
            context["runAsNonRoot"] is True and context["runAsUser"] > 0 and context["readOnlyRootFilesystem"]
        )


def test_roles_let_as_little_as_argo_needs():
    found = {one["metadata"]["name"]: one["rules"] for _, one in documents(ARGO) if one["kind"] == "Role"}
    assert found == {
        "placet-executor": [
            {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
        ],
        "placet-sensor": [{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]}],
    }
    assert not [
        one for folder in (ARGO, AGENT) for _, one in documents(folder) if one["kind"].startswith("Cluster")
    ]


def test_nothing_of_an_event_goes_into_the_workflow():
    (sensor,) = [one for _, one in documents(f"{ARGO}/events") if one["kind"] == "Sensor"]
    (trigger,) = sensor["spec"]["triggers"]
    assert not named(sensor, ".*/parameters") and trigger["rateLimit"]["requestsPerUnit"] <= 2
    assert named(sensor, ".*/filters/data/0") == [
        {"path": "body.ref", "type": "string", "value": ["refs/heads/main"]}
    ]
    (source,) = [one for _, one in documents(f"{ARGO}/events") if one["kind"] == "EventSource"]
    hook = source["spec"]["github"]["ctrl"]
    assert hook["webhookSecret"] == {"name": "placet-webhook", "key": "secret"} and hook["insecure"] is False
    assert "apiToken" not in hook and source["spec"]["github"].keys() == {"ctrl"}
    assert named(sensor, "/spec/dependencies/0/eventName") == ["ctrl"]


@pytest.mark.parametrize("folder", [ARGO, AGENT])
def test_the_example_builds_with_every_image_by_digest(kubectl, folder):
    found = build(kubectl, ROOT / folder / "example")
    assert not [one for document in found for one in problems(document)]
    assert all(one["metadata"]["namespace"] == "placet" for one in found)
    images = [value for document in found for path, value in walk(document) if path.endswith("/image")]
    assert images and all("@sha256:" in one for one in images)
    (settings,) = [one["metadata"]["name"] for one in found if one["kind"] == "ConfigMap"]
    used = {name for one in found for name in named(one, ".*/volumes/[0-9]+/configMap/name")}
    assert used == {settings}
    subjects = [one for document in found for one in named(document, "/subjects/[0-9]+")]
    assert all(one["namespace"] == "placet" for one in subjects)


def commands():
    """What each container runs, and with which environment; parameters of a workflow filled in."""
    filled = {
        "inputs.parameters.shard": "1/2", "workflow.parameters.remote": "publication-storage",
        "workflow.parameters.rate": "50MB/s",
    }  # fmt: skip
    for _, document in PODS:
        for one in named(document, ".*/container") + named(document, ".*/containers/[0-9]+"):
            assert one.get("command", ["placet"]) == ["placet"]
            args = [re.sub(r"\{\{(.*?)\}\}", lambda found: filled[found[1]], arg) for arg in one["args"]]
            yield args, {pair["name"]: pair["value"] for pair in one["env"]}, one


def test_argo_runs_again_what_passes_by_itself_and_not_what_only_failed_beside_promotion():
    """`agent --once` ends with 3 if a target is dead for good: another pod would not mend it."""
    codes = {}
    for _, document in PODS:
        for one in named(document, "/spec/templates/[0-9]+"):
            if "retryStrategy" in one:
                given = re.search(r"exitCode\) in \[(.*)\]", one["retryStrategy"]["expression"])[1]
                codes[one["name"]] = {int(code) for code in given.split(",")}
    again = {kind.exit_code for kind in (Unavailable, Conflict)}
    assert codes == {"copy": again, "record": again, "scrub": {Unavailable.exit_code, Partial.exit_code}}


def test_containers_run_commands_that_there_are():
    known = [args for args, _, _ in commands()]
    assert sorted(args[0] for args in known) == ["agent", "agent", "promote", "scrub"]
    for name, *args in known:
        options = {option for one in app.get_command(None, name).params for option in one.opts} | {"--json"}
        assert {arg.partition("=")[0] for arg in args if arg.startswith("-")} <= options


@pytest.fixture(scope="module")
def mounted(seaweed, tmp_path_factory):
    """A node's settings as a ConfigMap is mounted: links to a folder that is replaced as a whole."""
    site = Site.make(seaweed, tmp_path_factory.mktemp("argo") / "site")
    key = site.folder / "node.key"
    site.configure(key=None)
    mount = site.lab.folder / "mount"
    data = mount / "..2026_11_29_00_00_00.1"
    (data / ".dvc").mkdir(parents=True)
    for name in ("placet.toml", ".dvc/config"):
        shutil.copy(site.folder / name, data / name)
    (mount / "..data").symlink_to(data.name)
    for name in ("placet.toml", ".dvc"):
        (mount / name).symlink_to(f"..data/{name}")
    for path in (data / ".dvc", data, mount):
        path.chmod(0o555)
    yield site, mount, key
    for path in (data / ".dvc", data, mount):
        path.chmod(0o755)
    site.lab.repo.close()


def run(mounted, args, env):
    site, mount, key = mounted
    places = {"/scratch": str(site.lab.folder / "scratch"), "/var/lib/placet": str(site.lab.folder / "state")}
    own = {"/run/placet/key/node.key": str(key), **places}
    Path(places["/scratch"]).mkdir(exist_ok=True)
    set_here = {
        name: next((value.replace(old, new, 1) for old, new in own.items() if value.startswith(old)), value)
        for name, value in env.items()
    }
    return subprocess.run(
        [PLACET, *args],
        cwd=mount,
        env=site.env | set_here,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_workflows_commands_promote_and_scrub(mounted):
    site = mounted[0]
    ident = site.land()
    by_name = {args[0]: (args, env) for args, env, _ in commands() if args[:2] != ["agent", "--json"]}
    args, env = by_name["promote"]
    for shard in ("1/2", "2/2"):
        done = run(mounted, [shard if one == "1/2" else one for one in args], env)
        assert done.returncode == 0, (done.stdout, done.stderr)
    assert site.lab.state(ident) == "LANDED"
    done = run(mounted, *by_name["agent"])
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert site.lab.state(ident) == "PUBLISHED"
    done = run(mounted, *by_name["scrub"])
    assert done.returncode == 0 and '"ok": true' in done.stdout, (done.stdout, done.stderr)
    assert not [
        path
        for path in Path(mounted[1]).rglob("*")
        if path.name not in {"config", "placet.toml"} and path.is_file()
    ]


def test_the_promote_workflows_script_is_the_same_on_both_forges_and_works(mounted, tmp_path):
    site, _, key = mounted
    ident = site.land("outputs/b.csv", b"b\n2\n")
    files = (".github/workflows/promote.yml", "integrations/ci/gitea/promote.yml")
    one, other = (load(file)["jobs"]["promote"]["steps"] for file in files)
    assert [step["run"] for step in one] == [step["run"] for step in other] and len(one) == 1
    env = site.env | {"PATH": f"{Path(PLACET).parent}:{os.environ['PATH']}", "PLACET_KEY": str(key)}
    job = Job(tmp_path, {"server_url": ""}, env)
    assert job.run(one, {"workspace": str(tmp_path / "absent")}) == 1
    assert job.run(one, {"workspace": str(site.folder)}) == 0, job.out
    assert site.lab.state(ident) == "PUBLISHED"
    assert re.search(r"::stop-commands::(\w+)\n.*PUBLISHED.*::\1::\n$", job.out, re.DOTALL)
