"""Kubernetes manifests as their authors wrote them, and what the projects' own schemas say of them."""

import json
import re
from functools import cache

import jsonschema

from ci.runner import ROOT, YAML

SCHEMAS = ROOT / "tests" / "ci" / "schemas"
NOT_OURS = {"kustomize.config.k8s.io/v1beta1"}


def documents(folder):
    """(file, document) of every manifest below a folder, also inside another; kustomize's own left out."""
    for path in sorted((ROOT / folder).rglob("*.yaml")):
        for one in YAML(typ="safe").load_all(path):
            if isinstance(one, dict) and "apiVersion" in one and one["apiVersion"] not in NOT_OURS:
                yield path.relative_to(ROOT), one
                yield from ((path.relative_to(ROOT), inner) for inner in named(one, ".*/source/resource"))


@cache
def _schema():
    return json.loads((SCHEMAS / "kubernetes.json").read_text())


def problems(document):
    """What is wrong with a manifest, by the schema of its kind; an unknown kind is wrong."""
    whole = _schema()
    return problems_by(whole["kinds"], whole["definitions"], document)


def problems_by(kinds, definitions, document):
    """What is wrong with a manifest, by these definitions."""
    name = kinds.get(f"{document['apiVersion']} {document['kind']}")
    if name is None:
        return [f"unknown kind {document['apiVersion']} {document['kind']}"]
    schema = {"$ref": f"#/definitions/{name}", "definitions": definitions}
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def walk(value, path=""):
    """Every (path, value) inside a document, lists by number."""
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from walk(one, f"{path}/{key}")


def named(document, pattern):
    """The values at paths that match a pattern."""
    return [value for path, value in walk(document) if re.fullmatch(pattern, path)]
