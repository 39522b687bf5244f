"""GitHub's own description of its REST API, cut to what Placet asks: is a request one, is an answer one?"""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).with_name("openapi.json")
ROOT = "urn:github"
ANYWHERE = {401, 403, 404, 429, 500, 502, 503}


class Mismatch(AssertionError):
    """Something that GitHub's description does not have."""


class Spec:
    """The excerpt of `scripts/github_openapi.py`."""

    def __init__(self, document):
        self.document = _as_json_schema(document)
        self.version = document["info"]["version"]
        resource = Resource(contents=self.document, specification=DRAFT202012)
        self._registry = Registry().with_resource(ROOT, resource)
        self._routes = [
            (method.upper(), _pattern(path), path, one)
            for path, methods in self.document["paths"].items()
            for method, one in methods.items()
        ]
        self._validators = {}

    def route(self, method, path):
        """The operation of a path: its template, its parameters, what is written of it."""
        for known, pattern, template, operation in self._routes:
            found = pattern.match(path)
            if found and known == method:
                names = re.findall(r"\{(\w+)\}", template)
                values = map(unquote, found.groups())
                return template, dict(zip(names, values, strict=True)), operation
        raise Mismatch(f"GitHub has no {method} {path}")

    def check_request(self, method, path, query, body):
        """Every parameter is known and right, and so is the body, whose every field is known."""
        _, values, operation = self.route(method, path)
        given = {
            **{("path", key): one for key, one in values.items()},
            **{("query", key): one for key, one in query.items()},
        }
        for parameter in map(self._whole, operation.get("parameters", ())):
            key = (parameter["in"], parameter["name"])
            if key in given:
                self._check(
                    _typed(given.pop(key), parameter["schema"]), parameter["schema"], f"{method} {path} {key}"
                )
            elif parameter.get("required"):
                raise Mismatch(f"{method} {path} needs {key}")
        if given:
            raise Mismatch(f"{method} {path} has no parameter {sorted(given)}")
        if body is None:
            if operation.get("requestBody", {}).get("required"):
                raise Mismatch(f"{method} {path} needs a body")
            return
        schema = self._whole(operation["requestBody"])["content"]["application/json"]["schema"]
        self._check(body, schema, f"{method} {path}")
        self._known_fields(body, schema, f"{method} {path}")

    def check_answer(self, method, path, status, body):
        """The status is one that is written down, and the body is as it says there."""
        _, _, operation = self.route(method, path)
        answers = operation["responses"]
        if str(status) not in answers:
            if status not in ANYWHERE:
                raise Mismatch(f"{method} {path} never answers {status}")
            return
        content = self._whole(answers[str(status)]).get("content", {})
        if not content:
            if body is not None and status < 400:
                raise Mismatch(f"{method} {path} answers {status} without a body")
            return
        self._check(body, next(iter(content.values()))["schema"], f"{method} {path} -> {status}")

    @cache  # noqa: B019 - one for all tests
    def _example(self, method, template, status):
        operation = self.document["paths"][template][method.lower()]
        content = self._whole(operation["responses"][str(status)])["content"]["application/json"]
        example = self._whole(next(iter(content["examples"].values())))
        return json.dumps(example["value"])

    def example(self, method, template, status=200):
        """GitHub's own example of an answer; of a list its first item."""
        found = json.loads(self._example(method, template, status))
        return found[0] if isinstance(found, list) else found

    def _whole(self, value):
        while "$ref" in value:
            *_, kind, name = value["$ref"].split("/")
            value = self.document["components"][kind][name]
        return value

    def _check(self, value, schema, where):
        key = json.dumps(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(schema, registry=self._registry)
        for error in self._validators[key].iter_errors(value):
            raise Mismatch(f"{where}: {error.json_path}: {error.message[:300]}")

    def _known_fields(self, value, schema, where):
        """GitHub passes over what it does not know, and so would hide a slip of ours."""
        schema = self._whole(schema)
        if isinstance(value, list):
            for one in value:
                self._known_fields(one, schema.get("items", {}), where)
        if not isinstance(value, dict):
            return
        some = [self._whole(one) for key in ("anyOf", "oneOf", "allOf") for one in schema.get(key, ())]
        known = {}
        for one in (schema, *some):
            if "properties" not in one or self._fits(value, one):
                known |= one.get("properties", {})
        for key, one in value.items():
            if key not in known and "additionalProperties" not in schema:
                raise Mismatch(f"{where}: there is no field {key!r}")
            self._known_fields(one, known.get(key, {}), where)

    def _fits(self, value, schema):
        try:
            self._check(value, schema, "")
        except Mismatch:
            return False
        return True


@cache
def spec():
    """The one of this process."""
    return Spec(json.loads(FILE.read_text()))


def _pattern(template):
    """A parameter is one part of a path; but Git's refs, and a file's path, are many."""

    def part(found):
        return "(.+)" if found[1] in {"path", "ref"} else "([^/]+)"

    return re.compile(re.sub(r"\\\{(\w+)\\\}", part, re.escape(template)) + r"\Z")


def _as_json_schema(value):
    """OpenAPI 3.0's `nullable` as JSON Schema says it; references within the whole document."""
    if isinstance(value, list):
        return [_as_json_schema(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: (one if key in {"value", "example"} else _as_json_schema(one)) for key, one in value.items()}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = ROOT + made["$ref"]
    if made.pop("nullable", False) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made


def _typed(text, schema):
    schema = schema.get("anyOf", [schema])[0] if "type" not in schema else schema
    kind = schema.get("type")
    if kind == "integer" and re.fullmatch(r"\d+", text):
        return int(text)
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
