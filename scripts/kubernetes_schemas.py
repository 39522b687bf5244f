"""Make tests/ci/schemas/kubernetes.json: the kinds that our manifests have, every unknown key refused.

Argo's kinds follow from hera's models, which its makers generate from Argo's own schemas; those of Kubernetes
from what `kubernetes-validate` ships. Both are Apache-2.0 and come from PyPI. Only for who changes a version
or uses another kind: python3.11 scripts/kubernetes_schemas.py
"""

from __future__ import annotations

import json
import subprocess  # noqa: TID251 - a script
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "tests" / "ci" / "schemas" / "kubernetes.json"
HERA = "hera==7.1.0"
KUBERNETES = ("kubernetes-validate==1.37.0", "v1.34")
ARGO = """
import json
from hera.events.models.github.com.argoproj.argo_events.pkg.apis.events import v1alpha1 as events
from hera.workflows.models.io.argoproj.workflow import v1alpha1 as workflows
from pydantic.json_schema import models_json_schema
kinds = [workflows.Workflow, workflows.WorkflowTemplate, workflows.CronWorkflow]
kinds += [events.EventSource, events.Sensor]
_, schema = models_json_schema([(one, "validation") for one in kinds], ref_template="#/definitions/{model}")
print(json.dumps(schema["$defs"]))
"""
KINDS = {
    "v1 ServiceAccount": "core.v1.ServiceAccount",
    "v1 Secret": "core.v1.Secret",
    "v1 Service": "core.v1.Service",
    "v1 ConfigMap": "core.v1.ConfigMap",
    "v1 PersistentVolumeClaim": "core.v1.PersistentVolumeClaim",
    "apps/v1 StatefulSet": "apps.v1.StatefulSet",
    "networking.k8s.io/v1 NetworkPolicy": "networking.v1.NetworkPolicy",
    "networking.k8s.io/v1 Ingress": "networking.v1.Ingress",
    "rbac.authorization.k8s.io/v1 Role": "rbac.v1.Role",
    "rbac.authorization.k8s.io/v1 RoleBinding": "rbac.v1.RoleBinding",
}
ARGO_KINDS = ("Workflow", "WorkflowTemplate", "CronWorkflow", "EventSource", "Sensor")
_WIRE = {"K8SResource": "object", "Amount": ["number", "string"], "Int64OrString": ["integer", "string"]}
"""Types of events whose models are of protobuf's form, and not of the manifests'."""
_SAID = frozenset({"description", "title", "default", "examples"})


def strict(value: Any, *, names: bool = False) -> Any:
    """A schema without its words, whose objects have no keys but their own; `names`: keys are properties."""
    if isinstance(value, list):
        return [strict(one) for one in value]
    if not isinstance(value, dict):
        return value
    out = {
        key: strict(one, names=key in {"properties", "definitions"})
        for key, one in value.items()
        if names or not (key in _SAID or key.startswith("x-kubernetes"))
    }
    if not names and "properties" in out:
        out["additionalProperties"] = False
    return out


def references(value: Any) -> Iterator[str]:
    """The definitions that a schema names."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rsplit("/", 1)[-1]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def reachable(definitions: dict[str, Any], roots: list[str]) -> dict[str, Any]:
    """The definitions that these need."""
    found: dict[str, Any] = {}
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = definitions[name]
            todo += references(definitions[name])
    return found


def argo(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Argo's kinds."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--only-binary", ":all:", HERA], check=True)  # noqa: S603
    done = subprocess.run([python, "-c", ARGO], capture_output=True, text=True, check=True)  # noqa: S603
    definitions = {f"argo.{name}": one for name, one in strict(json.loads(done.stdout), names=True).items()}
    text = json.dumps(definitions).replace('"#/definitions/', '"#/definitions/argo.')
    definitions = json.loads(text)
    named = {one.rsplit("__", 1)[-1].removeprefix("argo."): one for one in definitions}
    kinds = {f"argoproj.io/v1alpha1 {kind}": named[kind] for kind in ARGO_KINDS}
    for name in kinds.values():  # of events, the models have not what every kind has
        definitions[name]["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    for name in definitions:
        own = _WIRE.get(name.removeprefix("argo.").rsplit("__", 1)[-1])
        definitions[name] = {"type": own} if own else definitions[name]
    return kinds, reachable(definitions, list(kinds.values()))


def kubernetes(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Kubernetes' own kinds."""
    package, version = KUBERNETES
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), package]
    subprocess.run(argv, check=True)  # noqa: S603
    with zipfile.ZipFile(next(folder.glob("kubernetes_validate-*.whl"))) as wheel:
        ending = "-local/_definitions.json"
        name = next(one for one in wheel.namelist() if f"/{version}." in one and one.endswith(ending))
        definitions = json.loads(wheel.read(name).replace(b"#/$defs/", b"#/definitions/"))["$defs"]
    kinds = {kind: f"io.k8s.api.{one}" for kind, one in KINDS.items()}
    return kinds, strict(reachable(definitions, list(kinds.values())), names=True)


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as temp:
        (one, first), (other, second) = argo(Path(temp)), kubernetes(Path(temp))
    package, version = KUBERNETES
    source = f"{HERA}, {version} of {package}; Apache-2.0; made by scripts/kubernetes_schemas.py"
    found = {"source": source, "kinds": {**one, **other}}
    every = sorted({**first, **second}.items())
    lines = [f'"{name}":{json.dumps(value, separators=(",", ":"))}' for name, value in every]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1)[:-2] + ',\n "definitions": {\n' + ",\n".join(lines) + "\n}}\n")


if __name__ == "__main__":
    main()
