"""A repository's protection on GitHub, as Placet sets it up: rulesets, CODEOWNERS, settings, a webhook."""

from __future__ import annotations

import contextlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from placet.adapters.forge import owners
from placet.adapters.forge.answer import odd
from placet.adapters.forge.github_answers import (
    Branch,
    Content,
    Created,
    Hook,
    Integration,
    Named,
    Repository,
    Ruleset,
    User,
)
from placet.adapters.forge.http import ForgeHttp
from placet.core import layout
from placet.errors import Conflict, Refused
from placet.ports import Commission

EVENTS = ("issue_comment", "pull_request", "pull_request_review", "push")
_BOT = "[bot]"
_LANDS, _PUBLISHES = "Placet: what lands", "Placet: agents publish"
PAGE = {"per_page": 100}


def protect(
    http: ForgeHttp, known: Repository, wanted: Commission, me: tuple[str, int], app: int | None
) -> None:
    """Make it so; what others have set stays.

    Args:
        http: The API.
        known: The repository.
        wanted: What is wanted.
        me: Who publishes where no agent is named, now or before, as rulesets name them.
        app: The App that sets the commit status, if it is one.
    """
    at = f"/repos/{known.full_name}"
    _own(http, at, wanted, logins(http, wanted))
    there = {
        one.name: one.id for one in http.pages(f"{at}/rulesets", Named, {"includes_parents": "false", **PAGE})
    }
    landing, publishing = (_around(http, at, there.get(name)) for name in (_LANDS, _PUBLISHES))
    witnesses = [one for one in landing if one not in publishing]
    if wanted.witnesses is not None:
        witnesses = [who(http, login) for login in wanted.witnesses]
    agents = publishing or [me]
    if wanted.agents is not None:
        agents = [who(http, login) for login in wanted.agents]
    for ruleset in _rulesets(wanted, agents, witnesses, app):
        ident = there.get(str(ruleset["name"]))
        way, path = ("PUT", f"{at}/rulesets/{ident}") if ident else ("POST", f"{at}/rulesets")
        http.call(way, path, body=ruleset).read(Created)
    settings: dict[str, object] = {"delete_branch_on_merge": False}
    if http.maybe(f"{at}/branches/{quote(wanted.published[0], safe='')}", Branch) is not None:
        settings["default_branch"] = wanted.published[0]
    http.call("PATCH", at, body=settings).read(Created)
    with contextlib.suppress(Conflict):  # an organisation may have decided it
        least = {"can_approve_pull_request_reviews": False, "default_workflow_permissions": "read"}
        http.call("PUT", f"{at}/actions/permissions/workflow", body=least)
    if wanted.hook is not None:
        _hook(http, at, wanted.hook, wanted.secret)


def _around(http: ForgeHttp, at: str, ruleset: int | None) -> list[tuple[str, int]]:
    """The accounts and Apps that may go around a ruleset of ours as it is now."""
    found = http.get(f"{at}/rulesets/{ruleset}", Ruleset).bypass_actors if ruleset else None
    return [
        (one.actor_type, one.actor_id)
        for one in found or ()
        if one.actor_type in {"User", "Integration"} and one.actor_id and one.bypass_mode == "always"
    ]


def _rulesets(
    wanted: Commission,
    agents: Sequence[tuple[str, int]],
    witnesses: Sequence[tuple[str, int]],
    app: int | None,
) -> Iterator[dict[str, object]]:
    check: dict[str, object] = {"context": wanted.status}
    if app is not None:
        check["integration_id"] = app
    reviewed = {
        "required_approving_review_count": 0,
        "require_code_owner_review": bool(wanted.owners),
        "dismiss_stale_reviews_on_push": False,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
    }
    checked = {"strict_required_status_checks_policy": False, "required_status_checks": [check]}
    landing = [
        {"type": "pull_request", "parameters": reviewed},
        {"type": "required_status_checks", "parameters": checked},
    ]
    kept = [{"type": "deletion"}, {"type": "non_fast_forward"}]
    yield _ruleset("Placet: history stays", [wanted.main, *wanted.published], kept, [])
    yield _ruleset(_LANDS, [wanted.main], landing, list(dict.fromkeys([*agents, *witnesses])))
    yield _ruleset(_PUBLISHES, wanted.published, [{"type": "update"}], agents)


def _own(http: ForgeHttp, at: str, wanted: Commission, people: Sequence[str]) -> None:
    """Write CODEOWNERS, if it is another one; where `main` takes no push any more, it stays as it is."""
    path, data, blob = owned(http, at, wanted.main)
    text = owners.text(people)
    if not people or data == text:
        return
    body = {"message": "code owners", "content": b64encode(text).decode(), "branch": wanted.main}
    with contextlib.suppress(Refused, Conflict):
        http.call("PUT", f"{at}/contents/{path}", body=body | ({"sha": blob} if blob else {}))


def owned(http: ForgeHttp, at: str, main: str) -> tuple[str, bytes, str | None]:
    """The CODEOWNERS that GitHub takes: path, content and blob; of none the path where it is to be."""
    for path in (f".github/{layout.CODEOWNERS}", layout.CODEOWNERS):
        found = http.maybe(f"{at}/contents/{path}", Content, {"ref": main})
        if found is not None:
            try:
                return path, b64decode(found.content or ""), found.sha
            except ValueError:
                raise odd("a file of it is not in base64") from None
    return layout.CODEOWNERS, b"", None


def _ruleset(
    name: str, branches: Sequence[str], rules: Sequence[object], actors: Sequence[tuple[str, int]]
) -> dict[str, object]:
    return {
        "name": name,
        "target": "branch",
        "enforcement": "active",
        "bypass_actors": [
            {"actor_type": kind, "actor_id": ident, "bypass_mode": "always"} for kind, ident in actors
        ],
        "conditions": {"ref_name": {"include": [f"refs/heads/{one}" for one in branches], "exclude": []}},
        "rules": list(rules),
    }


def who(http: ForgeHttp, login: str) -> tuple[str, int]:
    """An agent as rulesets name it."""
    if login.endswith(_BOT):
        return "Integration", http.get(f"/apps/{quote(login.removesuffix(_BOT), safe='')}", Integration).id
    return "User", http.get(f"/users/{quote(login, safe='')}", User).id


def _hook(http: ForgeHttp, at: str, url: str, secret: str | None) -> None:
    config = {"url": url, "content_type": "json", "insecure_ssl": "0"} | (
        {"secret": secret} if secret else {}
    )
    body = {"active": True, "events": list(EVENTS), "config": config}
    for one in http.pages(f"{at}/hooks", Hook, PAGE):
        if one.config.url == url:
            http.call("PATCH", f"{at}/hooks/{one.id}", body=body).read(Created)
            return
    http.call("POST", f"{at}/hooks", body={"name": "web", **body}).read(Created)


def logins(http: ForgeHttp, wanted: Commission) -> list[str]:
    """Who may change the policy, by their names of today."""
    found = (http.maybe(f"/user/{ident}", User) for ident in wanted.owners)
    return [one.login for one in found if one is not None]
