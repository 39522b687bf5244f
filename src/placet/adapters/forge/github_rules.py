"""A repository's protection on GitHub: what Placet sets (rulesets, a webhook), and what holds there anyway.

Rulesets and the older branch protection both count; GitHub tells for each branch what is in force, wherever
it was set.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from placet.adapters.forge.github_answers import (
    BranchProtection,
    Created,
    Hook,
    Integration,
    Named,
    OwnersErrors,
    Repository,
    Rule,
    Ruleset,
    User,
    WorkflowRights,
)
from placet.adapters.forge.http import ForgeHttp
from placet.errors import Conflict, Refused
from placet.ports import Commission, Hole

log = logging.getLogger(__name__)

CODEOWNERS = ".github/CODEOWNERS"
EVENTS = ("issue_comment", "pull_request", "pull_request_review", "push")
_ROLES = {2: "maintainers", 4: "everybody with write access", 5: "administrators of the repository"}
_BOT = "[bot]"
_PAGE = {"per_page": 100}
_WHERE = "Settings, Rules, Rulesets"


# --- setting up -----------------------------------------------------------------------------------


def protect(
    http: ForgeHttp, known: Repository, wanted: Commission, me: tuple[str, int], app: int | None
) -> None:
    """Make it so; what others have set stays.

    Args:
        http: The API.
        known: The repository.
        wanted: What is wanted.
        me: Who publishes where no agent is named, as rulesets name them.
        app: The App that sets the commit status, if it is one.
    """
    at = f"/repos/{known.full_name}"
    _codeowners(http, at, wanted)
    actors = [_who(http, login) for login in wanted.agents] or [me]
    there = {
        one.name: one.id
        for one in http.pages(f"{at}/rulesets", Named, {"includes_parents": "false", **_PAGE})
    }
    for ruleset in _rulesets(wanted, actors, app):
        ident = there.get(str(ruleset["name"]))
        way, path = ("PUT", f"{at}/rulesets/{ident}") if ident else ("POST", f"{at}/rulesets")
        http.call(way, path, body=ruleset).read(Created)
    settings: dict[str, object] = {"delete_branch_on_merge": False}
    if http.maybe(f"{at}/branches/{quote(wanted.published[0], safe='')}", Branch) is not None:
        settings["default_branch"] = wanted.published[0]
    http.call("PATCH", at, body=settings).read(Created)
    if wanted.hook is not None:
        _hook(http, at, wanted.hook, wanted.secret)


def _rulesets(
    wanted: Commission, actors: Sequence[tuple[str, int]], app: int | None
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
    yield _ruleset("Placet: what lands", [wanted.main], landing, actors)
    yield _ruleset("Placet: agents publish", wanted.published, [{"type": "update"}], actors)


def _codeowners(http: ForgeHttp, at: str, wanted: Commission) -> None:
    """Who is asked about changes of the policy; on a branch that is protected already it comes by a proposal."""
    found = (http.maybe(f"/user/{ident}", User) for ident in wanted.owners)
    logins = [f"@{one.login}" for one in found if one is not None]
    if not logins or http.maybe(f"{at}/contents/{CODEOWNERS}", Content, {"ref": wanted.main}) is not None:
        return
    text = f"# It decides nothing, signatures do: see placet init --forge.\n/.placet/ {' '.join(logins)}\n"
    body = {
        "message": "Name who is asked about changes of the policy",
        "content": base64.b64encode(text.encode()).decode(),
        "branch": wanted.main,
    }
    try:
        http.call("PUT", f"{at}/contents/{CODEOWNERS}", body=body)
    except (Refused, Conflict):
        log.warning("%s could not be written to %s: it is protected already", CODEOWNERS, wanted.main)


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


def _who(http: ForgeHttp, login: str) -> tuple[str, int]:
    """An agent as rulesets name it."""
    if login.endswith(_BOT):
        return "Integration", http.get(f"/apps/{quote(login.removesuffix(_BOT), safe='')}", Integration).id
    return "User", http.get(f"/users/{quote(login, safe='')}", User).id


def _hook(http: ForgeHttp, at: str, url: str, secret: str | None) -> None:
    config = {"url": url, "content_type": "json", "insecure_ssl": "0"} | (
        {"secret": secret} if secret else {}
    )
    body = {"active": True, "events": list(EVENTS), "config": config}
    for one in http.pages(f"{at}/hooks", Hook, _PAGE):
        if one.config.url == url:
            http.call("PATCH", f"{at}/hooks/{one.id}", body=body).read(Created)
            return
    http.call("POST", f"{at}/hooks", body={"name": "web", **body}).read(Created)


# --- looking --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Guard:
    """One rule that holds for a branch, and who may go around it: None where that cannot be seen."""

    kind: str
    around: frozenset[str] | None


_KEPT = {
    "deletion": "can be deleted",
    "non_fast_forward": "can be rewritten by a forced push",
}
_LANDING = {
    "pull_request": "takes pushes that no pull request shows",
    "status": "takes merges whatever the commit status {status} says",
}


def holes(http: ForgeHttp, known: Repository, wanted: Commission) -> list[Hole]:
    """What is left open, the repository itself first."""
    at = f"/repos/{known.full_name}"
    agents = frozenset(_name(*_who(http, login)) for login in wanted.agents)
    found = [*_of_repository(http, at, known, wanted)]
    guards = _guards(http, at, wanted.main, wanted.status)
    found += _of_main(guards, wanted, agents)
    if wanted.owners:
        found += _of_owners(http, at, guards, wanted.main)
    for glob in wanted.published:
        guards = _guards(http, at, glob.replace("*", "example"), wanted.status)
        found += _of_published(glob, guards, agents)
    if wanted.hook is not None:
        found += _of_hook(http, at, wanted.hook)
    return found


def _of_repository(http: ForgeHttp, at: str, known: Repository, wanted: Commission) -> Iterator[Hole]:
    if known.archived:
        yield Hole("The repository is archived: nothing can be proposed or published.", "Unarchive it.")
    first = wanted.published[0]
    if known.default_branch != first:
        yield Hole(
            f"The default branch is {known.default_branch}: a plain clone shows what is not published.",
            f"Settings, General: make {first} the default branch.",
        )
    if known.delete_branch_on_merge:
        yield Hole(
            "GitHub deletes a proposal's branch when it is merged, which every party reports as an alarm.",
            "Settings, General: switch off 'Automatically delete head branches'.",
        )
    try:
        rights = http.get(f"{at}/actions/permissions/workflow", WorkflowRights)
    except Refused:
        yield _unseen("what GitHub Actions may do", "Administration: read")
        return
    if rights.can_approve_pull_request_reviews:
        yield Hole(
            "A workflow, which whoever pushes a branch can write, may approve pull requests.",
            "Settings, Actions, General: take from Actions that it may approve pull requests.",
        )


def _of_main(guards: Sequence[_Guard], wanted: Commission, agents: frozenset[str]) -> Iterator[Hole]:
    for kind, text in _KEPT.items():
        yield from _lacking(wanted.main, text, _around(guards, kind))
    for kind, text in _LANDING.items():
        what = text.format(status=wanted.status)
        yield from _lacking(wanted.main, what, _others(_around(guards, kind), agents))
    if _around(guards, "dismissal"):
        yield Hole(
            f"On {wanted.main} GitHub dismisses reviews with each push, a signed decision among them.",
            f"{_WHERE}: do not dismiss stale approvals; Placet itself counts a review for its content only.",
        )


def _of_owners(http: ForgeHttp, at: str, guards: Sequence[_Guard], main: str) -> Iterator[Hole]:
    mend = f"Propose {CODEOWNERS} with a line for /.placet/, and require reviews of code owners."
    errors = http.maybe(f"{at}/codeowners/errors", OwnersErrors, {"ref": main})
    if errors is None or errors.errors:
        yield Hole(f"Nobody is asked about changes of the policy: {main} has no right CODEOWNERS.", mend)
    elif not _around(guards, "owners"):
        yield Hole(f"The branch {main} takes changes of the policy that no code owner has reviewed.", mend)


def _of_published(glob: str, guards: Sequence[_Guard], agents: frozenset[str]) -> Iterator[Hole]:
    for kind, text in _KEPT.items():
        yield from _lacking(glob, text, _around(guards, kind))
    mend = f"{_WHERE}: restrict updates of {glob}, and let only the agents bypass that."
    updates = _around(guards, "update")
    strangers = _others(updates, agents)
    if not updates:
        yield Hole(f"Everybody with write access may push to {glob}.", mend)
    elif None in updates:
        yield _unseen(f"who may push to {glob}", "Administration: write")
    elif frozenset() not in strangers:
        others = min((one for one in strangers if one), key=len)
        yield Hole(f"Others than the agents may push to {glob}: {_listed(others)}.", mend)


def _around(guards: Sequence[_Guard], kind: str) -> list[frozenset[str] | None]:
    """Who may go around each rule of a kind."""
    return [one.around for one in guards if one.kind == kind]


def _others(around: Sequence[frozenset[str] | None], agents: frozenset[str]) -> list[frozenset[str] | None]:
    """The same without the agents; where they are not known, without single accounts and apps."""

    def is_agent(name: str) -> bool:
        return name in agents if agents else name.startswith(("app ", "user "))

    return [None if one is None else frozenset(name for name in one if not is_agent(name)) for one in around]


def _lacking(branch: str, what: str, around: Sequence[frozenset[str] | None]) -> Iterator[Hole]:
    if not around:
        yield Hole(f"The branch {branch} {what}.", f"{_WHERE}: add the rule for {branch}.")
    elif frozenset() in around:
        return
    elif None in around:
        yield _unseen(f"who may go around the rules of {branch}", "Administration: write")
    else:
        others = min((one for one in around if one), key=len)
        mend = f"{_WHERE}: let nobody bypass the rules of {branch}."
        yield Hole(f"The branch {branch} {what}, by some: {_listed(others)}.", mend)


def _unseen(what: str, right: str) -> Hole:
    return Hole(
        f"This credential cannot see {what}.",
        f"Look by hand, or run it once with a token that has {right!r}.",
    )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _of_hook(http: ForgeHttp, at: str, url: str) -> Iterator[Hole]:
    mend = "Settings, Webhooks: mend it, or set the repository up again with `placet init`."
    try:
        hook = next((one for one in http.pages(f"{at}/hooks", Hook, _PAGE) if one.config.url == url), None)
    except Refused:
        yield _unseen("the webhooks", "Webhooks: read")
        return
    if hook is None:
        yield Hole(f"There is no webhook to {url}: agents find out at their next look only.", mend)
        return
    if not hook.active or "push" not in hook.events:
        yield Hole(f"The webhook to {url} is not active, or not for pushes.", mend)
    if hook.config.content_type != "json" or not hook.config.secret:
        yield Hole(f"The webhook to {url} has no secret, or is not of content type JSON.", mend)
    if str(hook.config.insecure_ssl) not in {"0", "0.0"}:
        yield Hole(f"The webhook to {url} is sent without a look at the certificate.", mend)


# --- what holds for a branch ----------------------------------------------------------------------


def _guards(http: ForgeHttp, at: str, branch: str, status: str) -> list[_Guard]:
    name = quote(branch, safe="")
    found: list[_Guard] = []
    around: dict[int, frozenset[str] | None] = {}
    for rule in http.pages(f"{at}/rules/branches/{name}", Rule, _PAGE):
        if rule.ruleset_id not in around:
            around[rule.ruleset_id] = _bypass(http, at, rule.ruleset_id)
        found += [_Guard(kind, around[rule.ruleset_id]) for kind in _kinds(rule, status)]
    try:
        protection = http.maybe(f"{at}/branches/{name}/protection", BranchProtection)
    except Refused:
        return found
    return [*found, *_classic(protection, status)] if protection else found


def _kinds(rule: Rule, status: str) -> Iterator[str]:
    yield rule.type
    if rule.type == "pull_request":
        if rule.parameters.require_code_owner_review:
            yield "owners"
        if rule.parameters.dismiss_stale_reviews_on_push:
            yield "dismissal"
    if any(one.context == status for one in rule.parameters.required_status_checks):
        yield "status"


def _bypass(http: ForgeHttp, at: str, ruleset: int) -> frozenset[str] | None:
    try:
        found = http.maybe(f"{at}/rulesets/{ruleset}", Ruleset)
    except Refused:
        return None
    if found is None or found.bypass_actors is None:
        return None
    return frozenset(_name(one.actor_type, one.actor_id) for one in found.bypass_actors)


def _name(kind: str, ident: int | None) -> str:
    if kind == "RepositoryRole":
        return _ROLES.get(ident or 0, f"role {ident}")
    names = {
        "OrganizationAdmin": "owners of the organisation",
        "DeployKey": "deploy keys",
        "Integration": f"app {ident}",
        "Team": f"team {ident}",
        "User": f"user {ident}",
    }
    return names.get(kind, f"{kind} {ident}")


def _classic(found: BranchProtection, status: str) -> Iterator[_Guard]:
    """The older branch protection of this one branch."""
    admins = frozenset() if found.enforce_admins.enabled else frozenset({_ROLES[5]})
    if not found.allow_deletions.enabled:
        yield _Guard("deletion", admins)
    if not found.allow_force_pushes.enabled:
        yield _Guard("non_fast_forward", admins)
    reviews = found.required_pull_request_reviews
    if reviews is not None:
        around = admins | reviews.bypass_pull_request_allowances.names
        yield _Guard("pull_request", around)
        if reviews.require_code_owner_reviews:
            yield _Guard("owners", around)
        if reviews.dismiss_stale_reviews:
            yield _Guard("dismissal", around)
    checks = found.required_status_checks
    if checks is not None and status in checks.contexts:
        yield _Guard("status", admins)
    if found.restrictions is not None:
        yield _Guard("update", admins | found.restrictions.names)
