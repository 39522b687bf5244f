"""Make tests/ci/schemas/kubernetes.json: the kinds that our manifests have, every unknown key refused.

Argo's kinds are those of Argo's own schemas, by Go's module proxy; Kubernetes' kinds are what
`kubernetes-validate` ships, from PyPI. All are Apache-2.0. Needs Go, and only who changes a version or uses
another kind needs it: python3.11 scripts/kubernetes_schemas.py
"""

from __future__ import annotations

import json
import subprocess  # noqa: TID251 - a script
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "tests" / "ci" / "schemas" / "kubernetes.json"
ARGO = ("github.com/argoproj/argo-workflows/v3@v3.7.3", "github.com/argoproj/argo-events@v1.9.7")
KUBERNETES = ("kubernetes-validate==1.37.0", "v1.34")
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


def module(name: str) -> Path:
    """The folder of a Go module, `path@version`, which Go has checked against its checksum database."""
    argv = ["go", "mod", "download", "-json", name]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tempfile.gettempdir())  # noqa: S603
    return Path(json.loads(done.stdout)["Dir"])


def argo(name: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The kinds of one of Argo's modules that our manifests have; definitions have its name before theirs."""
    text = (module(name) / "api" / "jsonschema" / "schema.json").read_text()
    of = name.split("/")[2].partition("@")[0]
    definitions = json.loads(text.replace('"#/definitions/', f'"#/definitions/{of}.'))["definitions"]
    named = {f"{of}.{key}": one for key, one in definitions.items()}
    kinds = {
        f"{kind['group']}/{kind['version']} {kind['kind']}": key
        for key, one in named.items()
        for kind in one.get("x-kubernetes-group-version-kind", ())
        if kind["kind"] in ARGO_KINDS and kind["group"] == "argoproj.io"
    }
    return kinds, strict(reachable(named, list(kinds.values())), names=True)


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
        found = [*map(argo, ARGO), kubernetes(Path(temp))]
    package, version = KUBERNETES
    source = f"{', '.join(ARGO)}, {version} of {package}; Apache-2.0; made by scripts/kubernetes_schemas.py"
    kinds = {kind: name for of, _ in found for kind, name in of.items()}
    every = sorted((name, one) for _, definitions in found for name, one in definitions.items())
    lines = [f'"{name}":{json.dumps(value, separators=(",", ":"))}' for name, value in every]
    head = json.dumps({"source": source, "kinds": kinds}, indent=1)[:-2]
    OUT.write_text(head + ',\n "definitions": {\n' + ",\n".join(lines) + "\n}}\n")


if __name__ == "__main__":
    main()
