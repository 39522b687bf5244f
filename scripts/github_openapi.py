"""Cut from GitHub's OpenAPI description what the fake GitHub of the tests needs.

npm pack @octokit/openapi@VERSION, unpack it, then:
python scripts/github_openapi.py package/generated/api.github.com.json VERSION > tests/github/openapi.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WANTED = {
    "/app": "get",
    "/app/installations/{installation_id}/access_tokens": "post",
    "/apps/{app_slug}": "get",
    "/orgs/{org}/repos": "post",
    "/repos/{owner}/{repo}": "get patch",
    "/repos/{owner}/{repo}/actions/permissions": "get",
    "/repos/{owner}/{repo}/actions/permissions/fork-pr-contributor-approval": "get",
    "/repos/{owner}/{repo}/actions/permissions/fork-pr-workflows-private-repos": "get",
    "/repos/{owner}/{repo}/actions/runners": "get",
    "/repos/{owner}/{repo}/actions/secrets": "get",
    "/repos/{owner}/{repo}/actions/permissions/workflow": "get put",
    "/repos/{owner}/{repo}/activity": "get",
    "/repos/{owner}/{repo}/branches/{branch}": "get",
    "/repos/{owner}/{repo}/branches/{branch}/protection": "get",
    "/repos/{owner}/{repo}/commits/{ref}/status": "get",
    "/repos/{owner}/{repo}/commits/{ref}/statuses": "get",
    "/repos/{owner}/{repo}/contents/{path}": "get put",
    "/repos/{owner}/{repo}/git/ref/{ref}": "get",
    "/repos/{owner}/{repo}/git/refs": "post",
    "/repos/{owner}/{repo}/git/refs/{ref}": "delete patch",
    "/repos/{owner}/{repo}/hooks": "get post",
    "/repos/{owner}/{repo}/hooks/{hook_id}": "patch",
    "/repos/{owner}/{repo}/installation": "get",
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": "get post",
    "/repos/{owner}/{repo}/pulls": "get post",
    "/repos/{owner}/{repo}/pulls/{pull_number}": "get patch",
    "/repos/{owner}/{repo}/pulls/{pull_number}/merge": "put",
    "/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers": "post",
    "/repos/{owner}/{repo}/pulls/{pull_number}/reviews": "get post",
    "/repos/{owner}/{repo}/rules/branches/{branch}": "get",
    "/repos/{owner}/{repo}/rulesets": "get post",
    "/repos/{owner}/{repo}/rulesets/{ruleset_id}": "get put",
    "/repos/{owner}/{repo}/statuses/{sha}": "post",
    "/user": "get",
    "/user/repos": "post",
    "/user/{account_id}": "get",
    "/users/{username}": "get",
}
_LEFT_OUT = {"description", "summary", "tags", "externalDocs", "title"}
_SCHEMAS = "#/components/schemas/"


def excerpt(whole: dict[str, Any], version: str) -> dict[str, Any]:
    """The operations of `WANTED`, and every component that they refer to."""
    paths = {
        path: {method: _plain(whole["paths"][path][method]) for method in methods.split()}
        for path, methods in WANTED.items()
    }
    components: dict[str, dict[str, Any]] = {}
    left = list(_references(paths))
    while left:
        _, _, kind, name = left.pop().split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = _plain(whole["components"][kind][name], example=kind == "examples")
            left += _references(components[kind][name])
    info = whole["info"]
    return {
        "openapi": whole["openapi"],
        "info": {"title": info["title"], "version": info["version"], "license": info["license"]},
        "x-source": f"npm @octokit/openapi {version}, cut by scripts/github_openapi.py",
        "paths": paths,
        "components": {kind: dict(sorted(some.items())) for kind, some in sorted(components.items())},
    }


def _plain(value: Any, *, example: bool = False) -> Any:
    """Without what is only read by people; of examples, and of lists in them, the first."""
    if isinstance(value, list):
        return [_plain(one, example=example) for one in (value[:1] if example else value)]
    if not isinstance(value, dict):
        return value
    if example:
        return {key: _plain(one, example=True) for key, one in value.items()}
    kept = {key: one for key, one in value.items() if not _is_words(key, one)}
    if isinstance(kept.get("examples"), dict):
        kept["examples"] = dict(list(kept["examples"].items())[:1])
    return {key: _plain(one, example=key == "examples") for key, one in kept.items()}


def _is_words(key: str, value: Any) -> bool:
    """A word about a schema; but a property may be called `description` too, and is a schema itself."""
    return (key in _LEFT_OUT and not isinstance(value, dict)) or key.startswith("x-") or key == "example"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "$ref" and isinstance(one, str):
                yield one
            else:
                yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


if __name__ == "__main__":
    source, npm_version = sys.argv[1:]
    print(json.dumps(excerpt(json.loads(Path(source).read_text()), npm_version), separators=(",", ":")))
